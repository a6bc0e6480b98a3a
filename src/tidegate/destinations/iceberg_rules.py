"""What Iceberg tables demand of their writers and readers, and which of it Tidegate does not keep.

Files are written with the table's field ids, but the table's own files are read by the names in them: a load that
reads and rewrites them is refused where the two could differ. Source of the rules: Iceberg specification, "Column
Projection", "Row-level Deletes", "Partitioning".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pyarrow import parquet
from pyiceberg.manifest import FileFormat, ManifestContent
from pyiceberg.schema import index_by_name
from pyiceberg.types import FixedType, ListType, MapType, PrimitiveType, StructType

from tidegate.connections.iceberg import local_path
from tidegate.destinations.iceberg_files import FIELD_ID
from tidegate.destinations.iceberg_schema import arrow_type

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile as ListedFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.types import IcebergType, NestedField

ADDING_STRATEGIES = frozenset({"append", "overwrite", "full_load", "overwrite_partitions"})
"""Load strategies that read no row of the table."""

_FORMAT_VERSION = 2
_NAME_MAPPING = "schema.name-mapping.default"
_SAFE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""Names that all writers put into files as they are (Avro specification, "Names")."""


def broken_rules(table: Table) -> dict[str, str]:
    """Return the rules of a table that every load would break, each with what to do about it."""
    broken: dict[str, str] = {}
    if table.format_version != _FORMAT_VERSION:
        what = "upgrade it" if table.format_version < _FORMAT_VERSION else "load into a table of version 2"
        broken[f"format version {table.format_version}"] = f"{what} (property format-version)"
    for part in table.spec().fields:
        if str(part.transform) != "identity":
            broken[f"partitioning by {part.transform} ({part.name})"] = "partition it by columns' own values"
    for name in _required(table.schema()):
        broken[f"required column {name}"] = "make the column optional"
    if local_path(table.location()) is None or local_path(data_folder(table)) is None:
        broken[f"location {table.location()}"] = "keep the table on a file system of this machine, or mounted there"
    return broken


def broken_rules_of_rows(table: Table) -> dict[str, str]:
    """Return the rules that a load would break which reads the table's rows and writes them anew."""
    broken: dict[str, str] = {}
    for name, kind in _unknown_types(table.schema()):
        broken[f"type {kind} ({name})"] = "load by append or overwrite only"
    snapshot = table.current_snapshot()
    if snapshot is None:
        return broken
    manifests = snapshot.manifests(table.io)
    if any(manifest.content == ManifestContent.DELETES and _is_alive(manifest) for manifest in manifests):
        broken["delete files (merge-on-read)"] = "compact the table first: rewrite_data_files, with its delete files"
    return broken


def broken_rules_of_files(table: Table, files: Iterable[ListedFile]) -> dict[str, str]:
    """Return the rules that a load would break which reads these files of the table by the names of its columns."""
    may_differ = names_may_differ(table)
    for file in files:
        if file.file_format != FileFormat.PARQUET:
            return {f"{file.file_format} files ({file.file_path})": "rewrite them as Parquet: rewrite_data_files"}
        if may_differ and not _has_current_names(file.file_path, table.schema()):
            return {f"older names of columns ({file.file_path})": "rewrite the older files: rewrite_data_files"}
    return {}


def data_folder(table: Table) -> str:
    """Return where the table's data files go."""
    return table.properties.get("write.data.path", f"{table.location().rstrip('/')}/data").rstrip("/")


def names_may_differ(table: Table) -> bool:
    """Tell whether some file may know a column by another name than the table does now."""
    names_by_id: dict[int, set[str]] = {}
    ids_by_name: dict[str, set[int]] = {}
    for schema in table.metadata.schemas:
        for name, number in index_by_name(schema).items():
            names_by_id.setdefault(number, set()).add(name)
            ids_by_name.setdefault(name, set()).add(number)
    current = index_by_name(table.schema())
    known = {schema.schema_id for schema in table.metadata.schemas}
    return (
        any(len(names_by_id[number]) > 1 or len(ids_by_name[name]) > 1 for name, number in current.items())
        or known != set(range(max(known) + 1))  # some of the history is gone
        or not all(_SAFE_NAME.fullmatch(field.name) for field in _fields(table.schema().fields))
        or any(_odd_names(json.loads(table.properties.get(_NAME_MAPPING, "[]"))))
    )


def _required(schema: Schema) -> Iterator[str]:
    return (field.name for field in _fields(schema.fields) if field.required)


def _fields(fields: tuple[NestedField, ...]) -> Iterator[NestedField]:
    """Yield the fields, and those within them."""
    for field in fields:
        yield field
        match field.field_type:
            case StructType(fields=inner):
                yield from _fields(inner)
            case ListType() as kind:
                yield from _fields((kind.element_field,))
            case _:
                pass


def _unknown_types(schema: Schema) -> Iterator[tuple[str, IcebergType]]:
    import pyarrow as pa

    for field in _fields(schema.fields):
        kind = field.field_type
        is_unknown = isinstance(kind, PrimitiveType) and pa.types.is_null(arrow_type(kind))
        if is_unknown or isinstance(kind, MapType | FixedType) or str(kind) == "uuid":
            yield field.name, kind


def _is_alive(manifest: Any) -> bool:
    return bool(manifest.has_added_files() or manifest.has_existing_files())


def _odd_names(mapping: list[dict[str, Any]]) -> Iterator[bool]:
    for field in mapping:
        yield len(field.get("names", ())) > 1
        yield from _odd_names(field.get("fields", []))


def _has_current_names(path: str, schema: Schema) -> bool:
    """Tell whether a file has every column under the table's own name for it, by the ids in its footer."""
    here = local_path(path)
    if here is None:
        return False
    return _agree(list(parquet.read_schema(here)), {field.name: field for field in schema.fields})


def _agree(found: list[pa.Field], wanted: dict[str, NestedField]) -> bool:
    names = {field.field_id: name for name, field in wanted.items()}
    for field in found:
        number = int((field.metadata or {}).get(FIELD_ID, -1))
        if names.get(number, field.name) != field.name or (field.name in wanted and number not in names):
            return False
        if field.name in wanted and not _agree(*_within(field.type, wanted[field.name].field_type)):
            return False
    return True


def _within(dtype: pa.DataType, kind: IcebergType) -> tuple[list[pa.Field], dict[str, NestedField]]:
    match kind:
        case StructType(fields=fields):
            return list(dtype), {field.name: field for field in fields}
        case ListType() as of:
            element = dtype.value_field
            return [element.with_name("element")], {"element": of.element_field}
        case _:
            return [], {}
