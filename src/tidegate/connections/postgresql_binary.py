"""Rows in the binary format of PostgreSQL's COPY, written whole columns at a time.

The format is that of the chapter *COPY*, "Binary Format", and the values are as the `recv` functions of their types
read them: numbers with the greatest byte first, times from the year 2000, a numeric as groups of four digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from tidegate.connections.postgresql_dialect import NATIVE, NUMERIC

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
_PIECE_BYTES = 2 << 20
_EPOCH_DAYS = (date(2000, 1, 1) - date(1970, 1, 1)).days
_EPOCH_MICROSECONDS = _EPOCH_DAYS * 86_400_000_000
_GROUP = 4
"""Digits that a numeric has in each two bytes."""
_DIGITS_OF_INT64 = 18
_NEGATIVE, _POSITIVE = b"\x40\0", b"\0\0"


def takes_binary(types: Mapping[str, pa.DataType], oids: Sequence[int]) -> bool:
    """Tell whether columns of a table read the binary form of these types: it is only right for the very same type.

    Args:
        types: Of the rows.
        oids: Of the columns' types.
    """
    return all(
        oid == NUMERIC if pa.types.is_decimal(dtype) else NATIVE.get(oid) == dtype
        for dtype, oid in zip(types.values(), oids, strict=True)
    )


def as_binary(batch: pa.RecordBatch) -> Iterator[memoryview]:
    """Yield rows in pieces of about two megabytes; :data:`HEADER` comes before all rows, :data:`TRAILER` after them."""
    rows = max(1, batch.num_rows * _PIECE_BYTES // max(batch.nbytes, 1))
    for start in range(0, batch.num_rows, rows):
        yield _encoded(batch.slice(start, rows))


def _encoded(batch: pa.RecordBatch) -> memoryview:
    pieces: list[Any] = [batch.num_columns.to_bytes(2)]
    for array in batch.columns:
        values = _values(array)
        pieces += [_lengths(values), values]
    joined = _joined(pieces, null_handling="replace", null_replacement=b"")
    _, offsets, data = joined.buffers()
    ends = memoryview(offsets).cast("i")
    return memoryview(data)[ends[joined.offset] : ends[joined.offset + len(joined)]]


def _lengths(values: pa.Array) -> pa.Array:
    return _reversed(pc.binary_length(values).fill_null(-1))


def _values(array: pa.Array) -> pa.Array:
    """Return a column's values as the server reads them, without their lengths."""
    dtype = array.type
    if pa.types.is_binary(dtype):
        return array
    if pa.types.is_string(dtype):
        return array.view(pa.binary())
    if pa.types.is_decimal(dtype):
        return _numerics(array)
    if pa.types.is_boolean(dtype):
        return _reversed(array.cast(pa.uint8()))
    if pa.types.is_date(dtype):
        return _reversed(pc.subtract(array.view(pa.int32()), pa.scalar(_EPOCH_DAYS, pa.int32())))
    if pa.types.is_timestamp(dtype):
        return _reversed(pc.subtract(array.view(pa.int64()), _EPOCH_MICROSECONDS))
    return _reversed(array)


def _numerics(array: pa.Array) -> pa.Array:
    """Number of groups, weight of the first, sign, scale, and the groups; those that are zero may lead and trail."""
    scale = array.type.scale
    numbers = pl.Series(array).to_physical()
    if array.type.precision <= _DIGITS_OF_INT64:
        numbers = numbers.cast(pl.Int64)

    def power(exponent: int) -> pl.Series:
        return pl.Series([10**exponent], dtype=numbers.dtype)

    sign = pc.if_else((numbers < 0).to_arrow(), _NEGATIVE, _POSITIVE)
    whole, part = numbers.abs() // power(scale), numbers.abs() % power(scale)
    before = -((scale - array.type.precision) // _GROUP)
    groups = [whole // power(_GROUP * place) % power(_GROUP) for place in reversed(range(before))]
    groups += [part // power(place) % power(_GROUP) for place in range(scale - _GROUP, -1, -_GROUP)]
    if left := scale % _GROUP:
        groups.append(part % power(left) * power(_GROUP - left))
    head = len(groups).to_bytes(2) + (before - 1).to_bytes(2, signed=True)
    digits = (_reversed(group.cast(pl.UInt16).to_arrow()) for group in groups)
    return _joined([head, sign, scale.to_bytes(2), *digits], null_handling="emit_null")


def _reversed(array: pa.Array) -> pa.Array:
    """Return the bytes of numbers, the greatest first."""
    return pc.binary_reverse(array.view(pa.binary(array.type.bit_width // 8)).cast(pa.binary()))


def _joined(pieces: Sequence[Any], **options: Any) -> pa.Array:
    return pc.binary_join_element_wise(*pieces, b"", **options)
