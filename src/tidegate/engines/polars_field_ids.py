"""Field ids in the Parquet files that Polars writes (Iceberg specification, "Column Projection")."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl
import pyarrow as pa

from tidegate.engines.base import FieldId
from tidegate.engines.polars_types import arrow_schema, polars_type

_KEY = "PARQUET:field_id"
"""Key of Arrow field metadata that Parquet writers take for the field's id."""


def with_field_ids(
    frame: pl.LazyFrame, field_ids: Callable[[Mapping[str, pa.DataType]], Mapping[str, FieldId]] | None
) -> tuple[pl.LazyFrame, pa.Schema | None]:
    """Return the frame as it is to be written, and the schema for the sink that carries the ids; None without ids."""
    if field_ids is None:
        return frame, None
    schema = frame.collect_schema()
    columns = arrow_schema(schema)
    types = {column: polars_type(dtype) for column, dtype in columns.items()}
    plain = frame.cast({column: dtype for column, dtype in types.items() if dtype != schema[column]})
    numbers = field_ids(columns)
    native = pl.DataFrame(schema=types).to_arrow().schema  # in the very Arrow types that the sink writes
    return plain, pa.schema([_numbered(field, numbers[field.name]) for field in native])


def _numbered(field: pa.Field, field_id: FieldId) -> pa.Field:
    dtype = field.type
    if pa.types.is_large_list(dtype):
        dtype = pa.large_list(_numbered(dtype.value_field, field_id.inner["element"]))
    elif pa.types.is_struct(dtype):
        dtype = pa.struct([_numbered(inner, field_id.inner[inner.name]) for inner in dtype])
    return pa.field(field.name, dtype, metadata={_KEY: str(field_id.number)})
