"""The columns of Arrow data of all kinds, in the types that every engine has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from tidegate.sources.rows import Columns


def plain_columns(schema: pa.Schema, known: Columns) -> dict[str, pa.DataType]:
    """Return columns with their plain types; one of which nothing is known has that of earlier loads, or is text.

    Args:
        schema: Its names differ.
        known: The columns of earlier loads.
    """
    return {field.name: plain(known.get(field.name, field.type) if _is_null(field) else field.type) for field in schema}


def plain(dtype: pa.DataType) -> pa.DataType:
    """Return the type that holds the same values in the encoding that all of Tidegate uses; times are in UTC."""
    match dtype:
        case pa.UuidType():
            return pa.string()
        case pa.BaseExtensionType():
            return plain(dtype.storage_type)
        case pa.DictionaryType() | pa.RunEndEncodedType():
            return plain(dtype.value_type)
        case pa.StructType():
            return pa.struct([(field.name, plain(field.type)) for field in dtype])
        case pa.MapType():
            return pa.map_(plain(dtype.key_type), plain(dtype.item_type))
        case pa.TimestampType():
            return pa.timestamp("ns" if dtype.unit == "ns" else "us", "UTC" if dtype.tz else None)
        case _ if hasattr(dtype, "value_type"):
            return pa.list_(plain(dtype.value_type))
        case _:
            return _plain_scalar(dtype)


def _plain_scalar(dtype: pa.DataType) -> pa.DataType:
    kinds = {
        pa.null(): pa.string(),
        pa.large_string(): pa.string(),
        pa.string_view(): pa.string(),
        pa.large_binary(): pa.binary(),
        pa.binary_view(): pa.binary(),
        pa.float16(): pa.float32(),
        pa.date64(): pa.date32(),
    }
    if pa.types.is_time(dtype):
        return pa.time64("us")
    return pa.binary() if pa.types.is_fixed_size_binary(dtype) else kinds.get(dtype, dtype)


def _is_null(field: pa.Field) -> bool:
    return bool(pa.types.is_null(field.type))
