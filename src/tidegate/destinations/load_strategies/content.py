"""The content of a row: the columns by which two versions of it are compared."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from tidegate.engines.base import FILE_INFO_COLUMNS
from tidegate.errors import DestinationError
from tidegate.transformers.change_data import IS_DELETE
from tidegate.transformers.scd2_columns import SCD2_COLUMNS
from tidegate.transformers.system_columns import DELETED_AT, SYSTEM_COLUMNS

if TYPE_CHECKING:
    from tidegate.destinations.strategy import LoadContext
    from tidegate.models import DataFlow

_NEVER = frozenset({*SYSTEM_COLUMNS, DELETED_AT, *SCD2_COLUMNS, *FILE_INFO_COLUMNS, IS_DELETE})


def compared_columns(
    flow: DataFlow, columns: Collection[str], context: LoadContext, *, ignores: Collection[str] = ()
) -> list[str]:
    """Return the columns that make two versions of a row different: those declared, else all that come from the source.

    Args:
        flow: The dataflow; `merge_options.compare_columns` declares them, as the destination calls them.
        columns: The columns of the batch at the destination.
        context: For the keys, which two versions share.
        ignores: Further columns that do not count unless declared.

    Raises:
        DestinationError: a declared column is not at the destination (TG413).
    """
    declared = flow.destination.compare_columns
    spelling = {column.lower(): column for column in columns}
    for name in declared:
        if name.lower() not in spelling:
            msg = f"compare column {name!r} does not exist at the destination"
            hint = f"the columns are: {', '.join(columns)}"
            raise DestinationError(msg, {"column": name}, code="TG413", where=flow.destination.path, hint=hint)
    if declared:
        return [spelling[name.lower()] for name in declared]
    return [column for column in columns if column not in {*_NEVER, *context.keys, *ignores}]
