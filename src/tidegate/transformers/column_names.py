"""Step 90: column names as the destination writes them; and how names in metadata find their columns."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from tidegate.errors import TransformError
from tidegate.models import ColumnCaseMode, DataFlow
from tidegate.transformers.base import BaseTransformer, TransformContext

if TYPE_CHECKING:
    from tidegate.engines.base import Frame

_UNSAFE = re.compile(r"[^\w]+")
_WORD_END = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class ColumnNameSanitizer(BaseTransformer):
    """Writes column names in lower or snake case, with `_` for what tables do not take in a name."""

    name: ClassVar[str] = "column names"
    order: ClassVar[int] = 90

    @classmethod
    def describe(cls, flow: DataFlow) -> str | None:  # noqa: ARG003 - the same for every dataflow
        """Say what is done."""
        return "in lower case, or in snake case where the run asks for it (--column-names)"

    def transform(self, frame: Frame, context: TransformContext) -> Frame:
        """Rename; two columns that would take one name are an error."""
        columns = list(context.engine.schema(frame))
        renamed = {column: sanitized(column, context.column_name_mode) for column in columns}
        clash = [name for name, count in Counter(renamed.values()).items() if count > 1]
        if clash:
            both = [column for column, new in renamed.items() if new == clash[0]]
            msg = f"columns {', '.join(both)} would all be named {clash[0]!r} at the destination"
            raise TransformError(msg, {"columns": both}, code="TG304", hint="rename or drop one: rename_columns")
        changed = {old: new for old, new in renamed.items() if old != new}
        return frame.rename(changed) if changed else frame


def sanitized(column: str, mode: ColumnCaseMode) -> str:
    """Return a column's name at the destination.

    >>> sanitized("OrderID", ColumnCaseMode.LOWER), sanitized("OrderID", ColumnCaseMode.SNAKE)
    ('orderid', 'order_id')
    >>> sanitized("Net Price (EUR)", ColumnCaseMode.LOWER)
    'net_price_eur'
    """
    if column.startswith("__"):
        return column
    if mode is ColumnCaseMode.SNAKE:
        column = _WORD_END.sub("_", column)
    return _UNSAFE.sub("_", column).lower().strip("_") or "_"


def final_name(column: str, flow: DataFlow, mode: ColumnCaseMode) -> str:
    """Return how a column of the source is called at the destination, if it gets there."""
    renamed = {old.lower(): new for old, new in flow.transform.rename_columns.items()}
    return sanitized(renamed.get(column.lower(), column), mode)


def final_names(names: Iterable[str], flow: DataFlow, mode: ColumnCaseMode, columns: Iterable[str]) -> list[str]:
    """Return how columns that metadata names are called at the destination, after renaming and sanitizing.

    Args:
        names: Names as metadata gives them: of the source, or already as at the destination.
        flow: The dataflow, for its `rename_columns`.
        mode: How names are written.
        columns: The columns at the destination.

    Raises:
        TransformError: there is no such column (TG302).
    """
    renamed = {old.lower(): new for old, new in flow.transform.rename_columns.items()}
    columns = list(columns)
    found = []
    for name in names:
        candidates = (name, sanitized(renamed.get(name.lower(), name), mode), sanitized(name, mode))
        by_lower_case = {column.lower(): column for column in columns}
        match = next((by_lower_case[name.lower()] for name in candidates if name.lower() in by_lower_case), None)
        if match is None:
            raise _missing(name, columns, "column")
        found.append(match)
    return found


def spelled(
    name: str, columns: Iterable[str], context: TransformContext, *, what: str, required: bool = False
) -> str | None:
    """Return the column that a name means, whatever its case; None for a missing column that may be missing.

    That is one which is not required, where the policy is `ignore`; or one that the source had in earlier loads: it
    went, and the schema policy has allowed it.

    Raises:
        TransformError: there is no such column, and it is required or the policy is `error` (TG302).
    """
    columns = list(columns)
    if name in columns:
        return name
    match = next((column for column in columns if column.lower() == name.lower()), None)
    if match is not None:
        return match
    is_ignored = context.flow.transform.settings.missing_column_policy == "ignore"
    if required or not (is_ignored or name.lower() in {column.lower() for column in context.known_columns}):
        raise _missing(name, columns, what)
    return None


def spelled_all(
    names: Iterable[str], columns: Iterable[str], context: TransformContext, *, what: str, required: bool = False
) -> list[str]:
    """Return the columns that names mean, without those that are missing and may be."""
    columns = list(columns)
    found = (spelled(name, columns, context, what=what, required=required) for name in names)
    return [column for column in found if column is not None]


def _missing(name: str, columns: list[str], what: str) -> TransformError:
    close = difflib.get_close_matches(name.lower(), [column.lower() for column in columns], n=1)
    suggestion = f"did you mean `{close[0]}`? " if close else ""
    hint = f"{suggestion}the columns are: {', '.join(columns)}"
    return TransformError(f"{what} {name!r} does not exist", {"column": name}, code="TG302", hint=hint)
