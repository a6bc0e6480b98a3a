"""Rows on their way between databases and Arrow: each value as it is, or an error that names its column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tidegate.errors import PlatformError
from tidegate.expressions.data_type import describe_type

_UNSIGNED = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
}
MOST_DIGITS = 38
"""Of a decimal, in Arrow, Polars and Delta."""


def plain_type(dtype: pa.DataType) -> pa.DataType | None:
    """Return the common type that holds all values of `dtype`, as most databases have it; None when there is none.

    Unsigned integers become wider ones, times and timestamps get microseconds (those that need finer ones are refused
    value by value), texts and bytes lose their Arrow encoding. Nested values and durations have no such type.
    """
    if pa.types.is_dictionary(dtype) or pa.types.is_run_end_encoded(dtype):
        return plain_type(dtype.value_type)
    if dtype in _UNSIGNED:
        return _UNSIGNED[dtype]
    if pa.types.is_timestamp(dtype):
        return pa.timestamp("us", "UTC" if dtype.tz else None)
    if pa.types.is_decimal(dtype):
        fits = dtype.precision <= MOST_DIGITS and 0 <= dtype.scale <= dtype.precision
        return pa.decimal128(dtype.precision, dtype.scale) if fits else None
    for is_kind, plain in _PLAIN:
        if is_kind(dtype):
            return plain or dtype
    return None


_PLAIN: tuple[tuple[Callable[[pa.DataType], bool], pa.DataType | None], ...] = (
    (pa.types.is_boolean, None),
    (pa.types.is_integer, None),
    (pa.types.is_float16, pa.float32()),
    (pa.types.is_floating, None),
    (pa.types.is_date, pa.date32()),
    (pa.types.is_time, pa.time64("us")),
    (pa.types.is_null, pa.string()),
    (pa.types.is_string, None),
    (pa.types.is_large_string, pa.string()),
    (pa.types.is_string_view, pa.string()),
    (pa.types.is_binary, None),
    (pa.types.is_large_binary, pa.binary()),
    (pa.types.is_binary_view, pa.binary()),
    (pa.types.is_fixed_size_binary, pa.binary()),
)
"""Test of a kind → the one type of it that databases give back; None where it is itself."""


def exactly(
    batch: pa.RecordBatch, columns: Mapping[str, pa.DataType], place: str, *, rows_before: int = 0
) -> pa.RecordBatch:
    """Return a batch with its columns in the given types, each value unchanged.

    Args:
        batch: Its columns are taken by position.
        columns: Name → type.
        place: Where it comes from, or goes to.
        rows_before: How many rows came before it, for messages.

    Raises:
        PlatformError: a value is none of its column's type, or a day outside of the years 1 to 9999 (TG725).
    """
    arrays = [
        _exact(array, name, dtype, place, rows_before)
        for array, (name, dtype) in zip(batch.columns, columns.items(), strict=True)
    ]
    return pa.record_batch(arrays, schema=pa.schema(list(columns.items())))


def sliced(batch: pa.RecordBatch, rows: int) -> Iterator[pa.RecordBatch]:
    """Yield a batch in batches of at most so many rows."""
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def no_value(column: str, dtype: pa.DataType, value: object, place: str, *, row: int) -> PlatformError:
    """Return the error for a value that is none of its column's type."""
    text = repr(value)
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    msg = f"column {column!r} has {shown} in row {row}, which is no {describe_type(dtype)}"
    return PlatformError(msg, {"column": column, "row": row}, code="TG725", where=place, hint=READ_OTHERWISE)


_SHOWN = 60
"""Letters of a value in a message, at most."""
_ZONE = r":[\d.]+(Z|[+-]\d\d(:?\d\d)?)$"
"""At the end of a time of day. A time without one is in UTC, where the column is of instants."""
READ_OTHERWISE = (
    "read it through `query`, with a CAST to text or a CASE that says what it stands for; "
    "to write it, declare another type with schema_hints"
)


def _exact(array: pa.Array, name: str, dtype: pa.DataType, place: str, rows_before: int) -> pa.Array:
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    try:
        cast = _cast(array, dtype)
    except pa.ArrowNotImplementedError:
        msg = f"column {name!r} comes as {describe_type(array.type)}, not as {describe_type(dtype)}"
        raise PlatformError(msg, {"column": name}, code="TG725", where=place, hint=READ_OTHERWISE) from None
    except pa.ArrowInvalid:
        row = _first_failure(array, lambda part: _cast(part, dtype))
        raise no_value(name, dtype, _shown(array[row]), place, row=rows_before + row + 1) from None
    if not _is_in_range(cast):
        row = _first_failure(cast, _require_range)
        what = "an infinite time, or one that is not in the years 1 to 9999"
        msg = f"column {name!r} has in row {rows_before + row + 1} {what}"
        raise PlatformError(
            msg, {"column": name, "row": rows_before + row + 1}, code="TG725", where=place, hint=READ_OTHERWISE
        )
    return cast


def _shown(value: pa.Scalar) -> object:
    try:
        return value.as_py()
    except ValueError:  # Python has no nanoseconds
        return value.cast(pa.string()).as_py()


def _cast(array: pa.Array, dtype: pa.DataType) -> pa.Array:
    if array.type == dtype:
        return array
    if pa.types.is_floating(array.type) and pa.types.is_floating(dtype) and array.type.bit_width > dtype.bit_width:
        raise pa.ArrowNotImplementedError  # Arrow's cast would round
    if not pa.types.is_string(array.type):
        return array.cast(dtype)
    if pa.types.is_time64(dtype):  # Arrow reads no times, but days with times
        of_first_day = pc.binary_join_element_wise("1970-01-01", array, " ").cast(pa.timestamp("us"))
        return of_first_day.view(pa.int64()).view(dtype)
    if pa.types.is_timestamp(dtype) and dtype.tz:
        has_zone = pc.match_substring_regex(array, _ZONE)
        array = pc.if_else(has_zone, array, pc.binary_join_element_wise(array, "Z", ""))
    return array.cast(dtype)


def _first_failure(array: pa.Array, attempt: Callable[[pa.Array], Any]) -> int:
    """Return the first row for which `attempt` fails, by halves; that there is one is known."""
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            attempt(array.slice(low, middle - low))
        except pa.ArrowInvalid:
            high = middle
        else:
            low = middle
    return low


def _require_range(array: pa.Array) -> None:
    if not _is_in_range(array):
        raise pa.ArrowInvalid


def _is_in_range(array: pa.Array) -> bool:
    dtype = array.type
    if pa.types.is_date32(dtype):
        numbers, (least, most) = array.view(pa.int32()), _DAYS
    elif pa.types.is_timestamp(dtype) and dtype.unit == "us":
        numbers, (least, most) = array.view(pa.int64()), _MICROSECONDS
    elif pa.types.is_time64(dtype):
        numbers, (least, most) = array.view(pa.int64()), (0, _A_DAY - 1)
    else:
        return True
    found = pc.min_max(numbers).as_py()
    return found["min"] is None or (found["min"] >= least and found["max"] <= most)


_EPOCH = date(1970, 1, 1).toordinal()
_A_DAY = 86_400_000_000
"""Microseconds of a day."""
_DAYS = (date.min.toordinal() - _EPOCH, date.max.toordinal() - _EPOCH)
_MICROSECONDS = (_DAYS[0] * _A_DAY, (_DAYS[1] + 1) * _A_DAY - 1)


def next_rows(rows: int, size: int, most: int) -> int:
    """Return how many rows to ask for next, so that a batch has a few megabytes, whatever its rows are like.

    Args:
        rows: Of the batch before; 0 for the first.
        size: Its bytes.
        most: Rows of a batch.
    """
    return min(most, _FIRST_ROWS if not rows else max(1, min(4 * rows, rows * BATCH_BYTES // max(size, 1))))


_FIRST_ROWS = 1024
BATCH_BYTES = 8 << 20
