"""Values and columns that rules name: as values of a column, of the kinds that a rule takes, and as SQL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tidegate.engines.base import ColumnCast
from tidegate.errors import TransformError
from tidegate.expressions.data_type import describe_type
from tidegate.expressions.kinds import kind_of_type

if TYPE_CHECKING:
    from tidegate.engines.base import BaseEngine, Frame
    from tidegate.expressions.nodes import Kind

_WORDS = {"true": True, "false": False}


def fitting(value: Any, dtype: pa.DataType, *, column: str, what: str) -> Any:
    """Return a declared value as a value of a column; none is changed to make it fit.

    Numbers and truth values may be written as text; a column of text takes them as they are written.

    Args:
        value: The value, as YAML or JSON give it; not None.
        dtype: The column's type.
        column: The column.
        what: What the value is declared for.

    Raises:
        TransformError: the column has no such value (TG307).
    """
    try:
        found = _READERS[kind_of_type(dtype)](value)
        pa.scalar(found, dtype)
    except (LookupError, ValueError, TypeError, ArithmeticError, pa.ArrowException):
        msg = f"{what}: {value!r} is no value of column {column!r}, which is {describe_type(dtype)}"
        hint = "write a value of that type, or declare another type for the column (schema_hints)"
        raise TransformError(msg, {"column": column}, code="TG307", hint=hint) from None
    return found


def require_kind(dtype: pa.DataType, kinds: Collection[str], *, column: str, what: str, hint: str) -> Kind:
    """Return the kind of a column that an operation works on.

    Raises:
        TransformError: the column is of another kind (TG307).
    """
    kind = kind_of_type(dtype)
    if kind not in kinds:
        msg = f"{what} does not work on column {column!r}, which is {describe_type(dtype)}"
        raise TransformError(msg, {"column": column}, code="TG307", hint=hint)
    return kind


def as_in_arrow(frame: Frame, columns: Mapping[str, pa.DataType], engine: BaseEngine) -> Frame:
    """Return the frame with columns as their Arrow types say: what an engine keeps as a dictionary of text is text."""
    return engine.cast(frame, {column: ColumnCast(type=dtype) for column, dtype in columns.items()})


def quoted_name(column: str) -> str:
    """Return a column as SQL expressions name it.

    >>> print(quoted_name('net "total" (EUR)'))
    "net ""total"" (EUR)"
    """
    return '"' + column.replace('"', '""') + '"'


def quoted_text(text: str) -> str:
    """Return a text as SQL expressions write it."""
    return "'" + text.replace("'", "''") + "'"


def _text(value: str | float | date) -> str:
    if not isinstance(value, str | int | float | date):
        raise TypeError(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _truth(value: bool | str) -> bool:  # noqa: FBT001 - it is the value
    return value if isinstance(value, bool) else _WORDS[str(value).lower()]


def _number(value: str | float) -> Decimal:
    if isinstance(value, bool):
        raise TypeError(value)
    return Decimal(str(value).strip())


def _whole(value: str | float) -> int:
    number = _number(value)
    if number != int(number):
        raise ValueError(value)
    return int(number)


def _date(value: str | date) -> date:
    return date.fromisoformat(value) if isinstance(value, str) else value


def _local(value: str | date) -> datetime:
    moment = datetime.fromisoformat(str(value))
    if moment.tzinfo:
        raise ValueError(value)
    return moment


def _instant(value: str | date) -> datetime:
    moment = datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_READERS: Mapping[Kind, Callable[[Any], Any]] = {
    "text": _text,
    "boolean": _truth,
    "integer": _whole,
    "float": lambda value: float(_number(value)),
    "decimal": _number,
    "date": _date,
    "timestamp": _local,
    "timestamp_utc": _instant,
}
