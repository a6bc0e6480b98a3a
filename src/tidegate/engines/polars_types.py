"""Types between Arrow and Polars, and strict conversions of columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import polars as pl
import pyarrow as pa

from tidegate.engines.base import ColumnCast
from tidegate.engines.polars_time import parsed

_BOOLEAN_WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}


@lru_cache(maxsize=1024)
def polars_type(dtype: pa.DataType) -> pl.DataType:
    """Return the Polars type of an Arrow type."""
    frame = pl.from_arrow(pa.schema([("column", dtype)]).empty_table())
    return frame.schema["column"] if isinstance(frame, pl.DataFrame) else frame.dtype


def arrow_schema(schema: Mapping[str, pl.DataType]) -> dict[str, pa.DataType]:
    """Return the columns in Arrow types, with 32-bit offsets: the offset width is no property of the data."""
    return {column: _arrow_type(dtype) for column, dtype in schema.items()}


@lru_cache(maxsize=1024)
def _arrow_type(dtype: pl.DataType) -> pa.DataType:
    match dtype:
        case pl.String() | pl.Categorical() | pl.Enum():
            return pa.string()
        case pl.Binary():
            return pa.binary()
        case pl.List(inner=inner) | pl.Array(inner=inner):
            return pa.list_(_arrow_type(inner))
        case pl.Struct(fields=fields):
            return pa.struct([(field.name, _arrow_type(field.dtype)) for field in fields])
        case pl.Time():
            return pa.time64("us")  # to the microsecond, as SQL has it, though Polars counts nanoseconds
        case pl.Int128() | pl.UInt128():
            return pa.decimal128(38, 0)
        case _:
            return pl.Series("column", [], dtype=dtype).to_arrow().type


def cast_expression(column: str, dtype: pl.DataType, cast: ColumnCast, *, strict: bool = True) -> pl.Expr:
    """Return the conversion of a column; a value that does not fit fails the run, or is NULL when not `strict`."""
    target = polars_type(cast.type)
    value = _converted(pl.col(column), dtype, target, cast, strict=strict)
    if cast.default is not None and strict:
        as_iso = replace(cast, format=None)
        value = value.fill_null(_converted(pl.lit(str(cast.default)), pl.String(), target, as_iso, strict=True))
    if cast.within is not None:
        value = _converted(value, target, polars_type(cast.within), cast, strict=strict, exact=True)
    return value.alias(column)


def _converted(
    value: pl.Expr, dtype: pl.DataType, target: pl.DataType, cast: ColumnCast, *, strict: bool, exact: bool = False
) -> pl.Expr:
    if dtype == target:
        return value
    if isinstance(dtype, pl.String):
        return _from_text(value, target, cast, strict=strict)
    if target.is_integer() and (dtype.is_float() or dtype.is_decimal()):
        return _whole(value, dtype, target, strict=strict)
    if isinstance(dtype, pl.Struct) and isinstance(target, pl.Struct):
        return _restructured(value, dtype, target, cast, strict=strict, exact=exact)
    if isinstance(dtype, pl.List) and isinstance(target, pl.List):
        inner, wanted = _type(dtype.inner), _type(target.inner)
        return value.list.eval(_converted(pl.element(), inner, wanted, cast, strict=strict, exact=exact))
    if isinstance(dtype, pl.Datetime) and isinstance(target, pl.Datetime) and target.time_zone and not dtype.time_zone:
        zoned = value.dt.replace_time_zone(cast.time_zone or "UTC", ambiguous="earliest", non_existent="raise")
        return zoned.dt.convert_time_zone(target.time_zone).dt.cast_time_unit(target.time_unit)
    if exact and (target.is_float() or target.is_decimal()):
        return _exact(value, dtype, target, strict=strict)
    return value.cast(target, strict=strict)


def _from_text(value: pl.Expr, target: pl.DataType, cast: ColumnCast, *, strict: bool) -> pl.Expr:
    if _is_time(target):
        return parsed(value, target, cast.format, zone=cast.time_zone, strict=strict)
    if isinstance(target, pl.Boolean):
        lowered = value.str.to_lowercase().str.strip_chars()
        if strict:
            return lowered.replace_strict(_BOOLEAN_WORDS, return_dtype=pl.Boolean)
        return lowered.replace_strict(_BOOLEAN_WORDS, default=None, return_dtype=pl.Boolean)
    return (value.str.strip_chars() if target.is_numeric() else value).cast(target, strict=strict)


def _type(dtype: Any) -> pl.DataType:
    """Return an inner type, which Polars may give as a class, as an instance."""
    instance: pl.DataType = dtype() if isinstance(dtype, type) else dtype
    return instance


def _restructured(
    value: pl.Expr, dtype: pl.Struct, target: pl.Struct, cast: ColumnCast, *, strict: bool, exact: bool
) -> pl.Expr:
    """Convert a struct field by field; one that it lacks is NULL."""
    present = {field.name: _type(field.dtype) for field in dtype.fields}
    fields = [
        _converted(
            value.struct.field(field.name), present[field.name], _type(field.dtype), cast, strict=strict, exact=exact
        )
        if field.name in present
        else pl.lit(None, dtype=field.dtype)
        for field in target.fields
    ]
    named = [field.alias(wanted.name) for field, wanted in zip(fields, target.fields, strict=True)]
    return pl.when(value.is_not_null()).then(pl.struct(named))


def _whole(value: pl.Expr, dtype: pl.DataType, target: pl.DataType, *, strict: bool) -> pl.Expr:
    """Convert floats and decimals to integers; a fraction does not fit, where a plain cast would cut it off."""
    whole = pl.when(value == value.round()).then(value).cast(target, strict=strict)
    return whole if not strict else value.map_batches(_refuse_fractions, dtype, is_elementwise=True).cast(target)


def _exact(value: pl.Expr, dtype: pl.DataType, target: pl.DataType, *, strict: bool) -> pl.Expr:
    """Convert numbers; one that would be rounded does not fit."""
    if strict:
        return value.map_batches(partial(_refuse_rounding, target=target), dtype, is_elementwise=True).cast(target)
    converted = value.cast(target, strict=False)
    return pl.when(converted.cast(dtype, strict=False) == value).then(converted)


def _refuse_rounding(values: pl.Series, target: pl.DataType) -> pl.Series:
    rounded = values.filter(values.cast(target).cast(values.dtype).ne_missing(values))
    if rounded.len():
        msg = f"conversion from `{values.dtype}` to `{target}` failed in column '{values.name}': [{rounded[0]}]"
        raise pl.exceptions.InvalidOperationError(msg)
    return values


def _refuse_fractions(values: pl.Series) -> pl.Series:
    fractions = values.filter((values != values.round()) | (values - values != 0))  # the latter: NaN, infinity
    if fractions.len():
        msg = f"conversion from `{values.dtype}` to integer failed in column '{values.name}': [{fractions[0]}]"
        raise pl.exceptions.InvalidOperationError(msg)
    return values


def _is_time(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.Datetime | pl.Date | pl.Time)
