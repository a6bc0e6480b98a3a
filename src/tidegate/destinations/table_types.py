"""Which types a table format has, and which type fits into which without loss."""

from __future__ import annotations

import pyarrow as pa

from tidegate.errors import DestinationError
from tidegate.expressions.data_type import describe_type

_SIGNED = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.decimal128(20, 0)}
_EXACT_IN_DOUBLE = 32
"""Bits of an integer that a double holds exactly, with room."""


def delta_type(column: str, dtype: pa.DataType, place: str) -> pa.DataType:
    """Return the Delta type that holds all values of `dtype` (Delta protocol, "Primitive Types").

    Raises:
        DestinationError: there is none (TG403).
    """
    if dtype in _SIGNED:
        return _SIGNED[dtype]
    if pa.types.is_timestamp(dtype):
        return pa.timestamp("us", "UTC" if dtype.tz else None)
    if pa.types.is_null(dtype):
        return pa.string()
    if pa.types.is_list(dtype):
        return pa.list_(delta_type(column, dtype.value_type, place))
    if pa.types.is_struct(dtype):
        return pa.struct([(field.name, delta_type(column, field.type, place)) for field in dtype])
    if pa.types.is_time(dtype) or pa.types.is_duration(dtype) or pa.types.is_decimal256(dtype):
        msg = f"column {column!r} is {describe_type(dtype)}, which Delta tables do not have"
        hint = f"declare another type: schema_hints: [{{column_name: {column}, data_type: string}}]"
        raise DestinationError(msg, {"column": column}, code="TG403", where=place, hint=hint)
    return dtype


def fits(dtype: pa.DataType, into: pa.DataType) -> bool:
    """Tell whether every value of `dtype` is a value of `into`."""
    if dtype == into or pa.types.is_null(dtype):
        return True
    if pa.types.is_integer(dtype):
        return _integer_fits(dtype, into)
    if pa.types.is_floating(dtype):
        return bool(pa.types.is_floating(into) and dtype.bit_width <= into.bit_width)
    if pa.types.is_decimal(dtype) and pa.types.is_decimal(into):
        return bool(into.scale >= dtype.scale and into.precision - into.scale >= dtype.precision - dtype.scale)
    if pa.types.is_list(dtype) and pa.types.is_list(into):
        return fits(dtype.value_type, into.value_type)
    if pa.types.is_struct(dtype) and pa.types.is_struct(into):
        inner = {field.name: field.type for field in into}
        return all(field.name in inner and fits(field.type, inner[field.name]) for field in dtype)
    return False


def _integer_fits(dtype: pa.DataType, into: pa.DataType) -> bool:
    is_signed = pa.types.is_signed_integer(dtype)
    if pa.types.is_integer(into):
        if is_signed == pa.types.is_signed_integer(into):
            return bool(dtype.bit_width <= into.bit_width)
        return bool(not is_signed and dtype.bit_width < into.bit_width)
    if pa.types.is_decimal(into):
        greatest = 2 ** (dtype.bit_width - is_signed)
        return bool(into.precision - into.scale >= len(str(greatest)))
    return bool(pa.types.is_float64(into) and dtype.bit_width <= _EXACT_IN_DOUBLE)
