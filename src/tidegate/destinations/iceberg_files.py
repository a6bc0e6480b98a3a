"""Data files of Iceberg tables: those just written, as a commit lists them, and those of a snapshot."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import parquet
from pyiceberg.io.pyarrow import compute_statistics_plan, data_file_statistics_from_parquet_metadata
from pyiceberg.manifest import DataFile as ListedFile
from pyiceberg.manifest import DataFileContent, FileFormat, ManifestContent
from pyiceberg.typedef import Record

from tidegate.connections.iceberg import local_path
from tidegate.destinations.iceberg_schema import field_ids
from tidegate.destinations.iceberg_values import bound, text_of_value, value_from_text
from tidegate.destinations.table import DataFile
from tidegate.engines.base import FieldId

if TYPE_CHECKING:
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata

    from tidegate.engines.base import WrittenFile

FIELD_ID = b"PARQUET:field_id"
"""Key of a field's id in the Arrow schema of a Parquet file."""


def added_file(file: WrittenFile, metadata: TableMetadata) -> ListedFile:
    """Return a file just written as the table lists it, with the statistics of its footer.

    A file whose ids are no longer those of the table's columns, because another load added columns meanwhile, is
    written again; so is one with times of day, which Polars knows in nanoseconds only.
    """
    schema, spec = metadata.schema(), metadata.spec()
    footer = parquet.read_metadata(file.path)
    wanted = _numbered_schema(footer.schema.to_arrow_schema(), field_ids(schema))
    if not wanted.equals(footer.schema.to_arrow_schema(), check_metadata=True):
        _write_again(file.path, wanted)
        footer = parquet.read_metadata(file.path)
    return ListedFile.from_args(
        content=DataFileContent.DATA,
        file_path=file.path,
        file_format=FileFormat.PARQUET,
        partition=_partition(file, schema, spec),
        file_size_in_bytes=os.stat(file.path).st_size,  # noqa: PTH116 - a path is a string here
        sort_order_id=None,
        spec_id=spec.spec_id,
        equality_ids=None,
        key_metadata=None,
        **_statistics(footer, wanted, schema, metadata.properties),
    )


def listed_files(table: Table) -> Iterator[tuple[DataFile, ListedFile]]:
    """Yield the data files of the table's current snapshot, as loads know them and as Iceberg lists them."""
    snapshot = table.current_snapshot()
    if snapshot is None:
        return
    schema, specs = table.schema(), table.specs()
    for manifest in snapshot.manifests(table.io):
        if manifest.content == ManifestContent.DATA:
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
                yield _known(entry.data_file, schema, specs[manifest.partition_spec_id]), entry.data_file


def _known(file: ListedFile, schema: Schema, spec: PartitionSpec) -> DataFile:
    plain = [field for field in schema.fields if field.field_type.is_primitive]
    lower, upper, nulls = file.lower_bounds or {}, file.upper_bounds or {}, file.null_value_counts or {}
    return DataFile(
        path=local_path(file.file_path) or file.file_path,
        rows=file.record_count,
        size=file.file_size_in_bytes,
        partition=dict(_partition_texts(file, schema, spec)),
        lower={field.name: bound(field.field_type, lower.get(field.field_id)) for field in plain},
        upper={field.name: bound(field.field_type, upper.get(field.field_id)) for field in plain},
        nulls={field.name: nulls[field.field_id] for field in plain if field.field_id in nulls},
        reference=file.file_path,
    )


def _partition_texts(file: ListedFile, schema: Schema, spec: PartitionSpec) -> Iterator[tuple[str, str | None]]:
    columns = {field.field_id: field for field in schema.fields}
    for index, part in enumerate(spec.fields):
        column = columns.get(part.source_id)
        if column is not None and part.transform.preserves_order and str(part.transform) == "identity":
            yield column.name, text_of_value(column.field_type, file.partition[index])


def _partition(file: WrittenFile, schema: Schema, spec: PartitionSpec) -> Record:
    columns = {field.field_id: field for field in schema.fields}
    parts = (columns[part.source_id] for part in spec.fields)
    return Record(*(value_from_text(column.field_type, file.partition[column.name]) for column in parts))


def _statistics(
    footer: parquet.FileMetaData, arrow_schema: pa.Schema, schema: Schema, properties: dict[str, str]
) -> dict[str, Any]:
    """Return counts and bounds from a footer. A column has bounds only where all of its row groups have."""
    ids = dict(zip(_leaf_paths(footer), _leaf_ids(arrow_schema), strict=True))
    found = data_file_statistics_from_parquet_metadata(footer, compute_statistics_plan(schema, properties), ids)
    for path, number in _unbounded(footer):
        if not pa.types.is_floating(_leaf_types(arrow_schema)[number]):  # NaN is never within bounds
            found.column_aggregates.pop(ids[path], None)
    try:
        return found.to_serialized_dict()
    except UnicodeEncodeError:  # PyIceberg raises the last character of a text that it cuts, to one that is none
        texts = [number for number, column in found.column_aggregates.items() if isinstance(column.current_max, str)]
        for number in texts:
            del found.column_aggregates[number]
        return found.to_serialized_dict()


def _unbounded(footer: parquet.FileMetaData) -> Iterator[tuple[str, int]]:
    """Yield the columns that have values without bounds in some row group."""
    for number in range(footer.num_columns):
        for group in range(footer.num_row_groups):
            statistics = footer.row_group(group).column(number).statistics
            if statistics is None or (statistics.num_values and not statistics.has_min_max):
                yield footer.schema.column(number).path, number
                break


def _leaf_paths(footer: parquet.FileMetaData) -> list[str]:
    return [footer.schema.column(index).path for index in range(footer.num_columns)]


def _leaf_ids(schema: pa.Schema) -> list[int]:
    return [int(leaf.metadata[FIELD_ID]) for field in schema for leaf in _leaves(field)]


def _leaf_types(schema: pa.Schema) -> list[pa.DataType]:
    return [leaf.type for field in schema for leaf in _leaves(field)]


def _leaves(field: pa.Field) -> Iterator[pa.Field]:
    if pa.types.is_struct(field.type):
        for inner in field.type:
            yield from _leaves(inner)
    elif pa.types.is_list(field.type) or pa.types.is_large_list(field.type):
        yield from _leaves(field.type.value_field)
    else:
        yield field


def _numbered_schema(schema: pa.Schema, ids: dict[str, FieldId]) -> pa.Schema:
    return pa.schema([_numbered(field, ids[field.name]) for field in schema])


def _numbered(field: pa.Field, field_id: FieldId) -> pa.Field:
    """Return a field with its id, in a type that Iceberg has."""
    dtype = field.type
    if pa.types.is_large_list(dtype) or pa.types.is_list(dtype):
        of = pa.large_list if pa.types.is_large_list(dtype) else pa.list_
        dtype = of(_numbered(dtype.value_field, field_id.inner["element"]))
    elif pa.types.is_struct(dtype):
        dtype = pa.struct([_numbered(inner, field_id.inner[inner.name]) for inner in dtype])
    elif pa.types.is_time(dtype):
        dtype = pa.time64("us")
    return pa.field(field.name, dtype, metadata={FIELD_ID: str(field_id.number).encode()})


def _write_again(path: str, schema: pa.Schema) -> None:
    """Replace a file that no commit refers to by one with the same rows in another schema."""
    draft = f"{path}.draft"
    try:
        with (
            parquet.ParquetFile(path) as source,
            parquet.ParquetWriter(
                draft, schema, compression="zstd", compression_level=1, store_decimal_as_integer=True
            ) as target,
        ):
            for group in range(source.num_row_groups):
                target.write_table(source.read_row_group(group).cast(schema, safe=False))
        os.replace(draft, path)  # noqa: PTH105 - a path is a string here
    finally:
        if os.path.exists(draft):  # noqa: PTH110
            os.remove(draft)  # noqa: PTH107
