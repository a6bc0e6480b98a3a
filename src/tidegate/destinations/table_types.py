"""Which types a table format has, and which type fits into which without loss."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from tidegate.errors import DestinationError
from tidegate.expressions.data_type import describe_type

_SIGNED = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.decimal128(20, 0)}
_EXACT_IN_DOUBLE = 32
"""Bits of an integer that a double holds exactly, with room."""
_BITS_OF_INT = 32
"""Iceberg's shortest integer."""
_MOST_DIGITS = 38
"""Of an Iceberg decimal."""
_ICEBERG_KINDS: tuple[tuple[Callable[[pa.DataType], bool], pa.DataType | None], ...] = (
    (pa.types.is_boolean, None),
    (pa.types.is_float16, pa.float32()),
    (pa.types.is_floating, None),
    (pa.types.is_decimal128, None),
    (pa.types.is_date, pa.date32()),
    (pa.types.is_time, pa.time64("us")),
    (pa.types.is_string, None),
    (pa.types.is_binary, None),
)
"""Test of a kind → the one type of it that Iceberg has; None where Arrow's is Iceberg's."""


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


def iceberg_type(column: str, dtype: pa.DataType, place: str) -> pa.DataType:
    """Return the Iceberg type, in Arrow's words, that holds all values of `dtype` (Iceberg specification, "Types").

    Raises:
        DestinationError: there is none (TG403).
    """
    if pa.types.is_integer(dtype):
        signed = _SIGNED.get(dtype, dtype)
        return pa.int32() if pa.types.is_integer(signed) and signed.bit_width < _BITS_OF_INT else signed
    if pa.types.is_null(dtype) or pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype):
        return pa.string()
    if pa.types.is_large_binary(dtype) or pa.types.is_binary_view(dtype):
        return pa.binary()
    if pa.types.is_timestamp(dtype):
        return pa.timestamp("us", "UTC" if dtype.tz else None)
    if _is_list(dtype):
        return pa.list_(iceberg_type(column, dtype.value_type, place))
    if pa.types.is_struct(dtype) and dtype.num_fields:
        return pa.struct([(field.name, iceberg_type(column, field.type, place)) for field in dtype])
    for is_kind, plain in _ICEBERG_KINDS:
        if is_kind(dtype):
            return plain or dtype
    msg = f"column {column!r} is {describe_type(dtype)}, which Iceberg tables do not have"
    hint = f"declare another type: schema_hints: [{{column_name: {column}, data_type: string}}]"
    raise DestinationError(msg, {"column": column}, code="TG403", where=place, hint=hint)


def united(dtype: pa.DataType, there: pa.DataType) -> pa.DataType | None:
    """Return the type that holds all values of both; None when neither is wider than the other.

    Fields of structs are compared by name, in the order of `there`; of decimals, the digits before and after the point.
    """
    if pa.types.is_list(there) and pa.types.is_list(dtype):
        element = united(dtype.value_type, there.value_type)
        return None if element is None else pa.list_(element)
    if pa.types.is_struct(there) and pa.types.is_struct(dtype):
        come, known = _fields(dtype), _fields(there)
        fields = {name: united(come.get(name, inner), inner) for name, inner in {**come, **known}.items()}
        ordered = {name: fields[name] for name in (*known, *come)}
        return None if None in ordered.values() else pa.struct(list(ordered.items()))
    if pa.types.is_decimal(there) and pa.types.is_decimal(dtype):
        scale = max(there.scale, dtype.scale)
        precision = max(there.precision - there.scale, dtype.precision - dtype.scale) + scale
        return pa.decimal128(precision, scale) if precision <= _MOST_DIGITS else None
    if fits(dtype, there):
        return there
    return dtype if fits(there, dtype) else None


def _fields(dtype: pa.StructType) -> dict[str, pa.DataType]:
    return {field.name: field.type for field in dtype}


def iceberg_united(dtype: pa.DataType, there: pa.DataType) -> pa.DataType | None:
    """Return the type that a column of type `there` takes so that it holds `dtype` too; None when there is none.

    It is `there` or, where that is too narrow, a type that Iceberg lets it grow into without a rewrite (Iceberg
    specification, "Schema Evolution"): int into long, float into double, a decimal into more digits, a struct into
    one with more fields.

    Args:
        dtype: What comes, as :func:`iceberg_type` gives it.
        there: The column's type in the table.
    """
    if fits(dtype, there) and not pa.types.is_nested(there):
        return there
    if pa.types.is_int32(there) and pa.types.is_int64(dtype):
        return dtype
    if pa.types.is_float32(there) and pa.types.is_float64(dtype):
        return dtype
    if pa.types.is_decimal(there) and pa.types.is_decimal(dtype) and dtype.scale <= there.scale:
        precision = max(there.precision - there.scale, dtype.precision - dtype.scale) + there.scale
        return pa.decimal128(precision, there.scale) if precision <= _MOST_DIGITS else None
    if pa.types.is_list(there) and pa.types.is_list(dtype):
        element = iceberg_united(dtype.value_type, there.value_type)
        return None if element is None else pa.list_(element)
    if pa.types.is_struct(there) and pa.types.is_struct(dtype):
        return _united_struct(dtype, there)
    return there if fits(dtype, there) else None


def _united_struct(dtype: pa.StructType, there: pa.StructType) -> pa.DataType | None:
    come = {field.name: field.type for field in dtype}
    known = {field.name: field.type for field in there}
    fields = {name: iceberg_united(come.get(name, inner), inner) for name, inner in known.items()}
    fields |= {name: inner for name, inner in come.items() if name not in known}
    return None if None in fields.values() else pa.struct(list(fields.items()))


def _is_list(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_list(dtype) or pa.types.is_large_list(dtype) or pa.types.is_fixed_size_list(dtype))


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
