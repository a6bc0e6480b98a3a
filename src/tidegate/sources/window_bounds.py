"""The bounds of a window as values of the column that it is over."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tidegate.errors import SourceError
from tidegate.expressions.data_type import describe_type

if TYPE_CHECKING:
    from tidegate.sources.base import ColumnWindow
    from tidegate.state.watermark import Value

_FARTHEST_ZONE = timedelta(days=1)
"""Local time is never farther from UTC."""


def bounds_in(window: ColumnWindow, dtype: pa.DataType) -> tuple[Value, Value]:
    """Return both bounds of a window as values of its column.

    A date stands for its midnight; a time without a zone is UTC where the column has a zone.

    Raises:
        SourceError: the column's type cannot be compared with the bounds (TG633).
    """
    lower, upper = (_as(dtype, bound) for bound in (window.window.lower, window.window.upper))
    if lower is None or upper is None:
        msg = f"column {window.column!r} is {describe_type(dtype)}, which windows such as {window.window} do not fit"
        raise SourceError(msg, {"column": window.column}, code="TG633", hint=_hint(dtype))
    return lower, upper


def bounds_beside(window: ColumnWindow, value: Value) -> tuple[Value, Value]:
    """Return both bounds of a window as values that compare with a value of its column.

    Raises:
        SourceError: as :func:`bounds_in`.
    """
    return bounds_in(window, pa.scalar(value).type)


def column_called(name: str, columns: Collection[str], place: str) -> str:
    """Return the column of a window as the source spells it.

    Raises:
        SourceError: there is none of this name (TG632).
    """
    found = {column.lower(): column for column in columns}.get(name.lower())
    if found is None:
        near = difflib.get_close_matches(name, list(columns), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"columns: {', '.join(columns)}"
        msg = f"there is no column {name!r} in {place} to cut a range by"
        raise SourceError(msg, {"column": name}, code="TG632", where=place, hint=hint)
    return found


def lies_outside(window: ColumnWindow, least: Any, greatest: Any) -> bool:
    """Tell whether values from `least` to `greatest` surely have none in the window; None and floats prove nothing."""
    if least is None or greatest is None or isinstance(least, float) or isinstance(greatest, float):
        return False
    try:
        if isinstance(least, datetime):  # it may be given another zone, or lose one, on its way to the window
            least, greatest = least - _FARTHEST_ZONE, greatest + _FARTHEST_ZONE
        lower = _like(window.window.lower, greatest)
        upper = _like(window.window.upper, least)
        return bool((lower is not None and greatest < lower) or (upper is not None and least >= upper))
    except (TypeError, OverflowError):
        return False


def _as(dtype: pa.DataType, bound: Any) -> Value | None:
    is_whole = isinstance(bound, int) and not isinstance(bound, bool)
    if pa.types.is_timestamp(dtype):
        return _moment(bound, zoned=dtype.tz is not None)
    if pa.types.is_date(dtype):
        moment = _moment(bound, zoned=False)
        return moment.date() if moment is not None and moment.time() == time.min else None
    if pa.types.is_integer(dtype):
        return bound if is_whole else None
    if pa.types.is_floating(dtype):
        return float(bound) if is_whole else None
    if pa.types.is_decimal(dtype):
        return Decimal(bound) if is_whole else None
    return None


def _moment(bound: Any, *, zoned: bool) -> datetime | None:
    if isinstance(bound, date) and not isinstance(bound, datetime):
        bound = datetime.combine(bound, time.min)
    if not isinstance(bound, datetime):
        return None
    if zoned:
        return bound.replace(tzinfo=UTC) if bound.tzinfo is None else bound.astimezone(UTC)
    return bound if bound.tzinfo is None else None


def _like(bound: Any, sample: Any) -> Any:
    """Return a bound to compare with a value of a file's statistics; None where they do not compare for sure."""
    match sample:
        case datetime():
            return _moment(bound, zoned=sample.tzinfo is not None)
        case date():
            moment = _moment(bound, zoned=False)
            return moment.date() if moment is not None and moment.time() == time.min else None
        case bool() | None:
            return None
        case int() | Decimal():
            return bound if isinstance(bound, int) else None
        case _:
            return None


def _hint(dtype: pa.DataType) -> str:
    if pa.types.is_string(dtype) or pa.types.is_large_string(dtype):
        return "declare its type (schema_hints), or name another column: --column (chunk_column)"
    if pa.types.is_timestamp(dtype) or pa.types.is_date(dtype):
        zone = "" if getattr(dtype, "tz", None) else " without a zone"
        return f"give the range as times{zone}, in whole days for a column of dates"
    return "give the range as whole numbers with a step, or name a column of times: chunk_column"
