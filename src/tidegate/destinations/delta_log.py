"""One entry of a Delta log that changes the schema together with the rows.

delta-rs has no commit that does both and keeps what is there. Without this one, columns would be added in an entry of
their own before their rows. Source of the rules: Delta protocol, "Actions" and "Protocol Evolution".
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pyarrow as pa
from deltalake import Schema

from tidegate.errors import DestinationError

if TYPE_CHECKING:
    import deltalake
    from deltalake.transaction import AddAction

    from tidegate.destinations.table import DataFile

_NO_ZONE = "timestamp_ntz"
_NO_ZONE_FEATURE = "timestampNtz"
_FEATURES_SINCE = {2: ("appendOnly", "invariants"), 3: ("checkConstraints",), 4: ("changeDataFeed",)}
"""Writer version → features that it brought, of those that Tidegate writes; a table that uses others is refused."""
_READER_WITH_FEATURES, _WRITER_WITH_FEATURES = 3, 7


def log_entry(
    table: deltalake.DeltaTable,
    columns: Mapping[str, pa.DataType],
    added: Iterable[AddAction],
    removed: Iterable[DataFile],
    *,
    about: Mapping[str, Any],
    transaction: tuple[str, int],
) -> bytes:
    """Return the entry that follows the version of `table`.

    Args:
        table: The table as it was read.
        columns: All columns that it has from then on; what it knows of columns that stay is kept.
        added: Files that are added.
        removed: Files that are removed.
        about: What the commit says of itself.
        transaction: The flow and its sequence.

    Raises:
        DestinationError: rows would be removed from a table that is only appended to (TG407).
    """
    now = int(time.time() * 1000)
    schema = _merged_schema(table, columns)
    removals = list(_removals(table, removed, now))
    _refuse_removals(table, removals)
    actions = [
        {"commitInfo": {"timestamp": now, **about}},
        *_protocol(table, schema),
        {"metaData": _metadata(table, schema)},
        {"txn": {"appId": transaction[0], "version": transaction[1], "lastUpdated": now}},
        *({"remove": removal} for removal in removals),
        *({"add": _addition(file)} for file in added),
    ]
    return "".join(f"{json.dumps(action)}\n" for action in actions).encode()


def compaction_entry(
    table: deltalake.DeltaTable, added: Iterable[AddAction], removed: Iterable[DataFile], *, about: Mapping[str, Any]
) -> bytes:
    """Return the entry that puts files in the place of others with the same rows, and changes nothing else.

    Readers of changes pass it over, and a table that is only appended to takes it (Delta protocol, "Add File and
    Remove File", `dataChange`).
    """
    now = int(time.time() * 1000)
    actions = [
        {"commitInfo": {"timestamp": now, **about}},
        *({"remove": removal} for removal in _removals(table, removed, now, data_change=False)),
        *({"add": _addition(file)} for file in added),
    ]
    return "".join(f"{json.dumps(action)}\n" for action in actions).encode()


def _merged_schema(table: deltalake.DeltaTable, columns: Mapping[str, pa.DataType]) -> dict[str, Any]:
    there = {field["name"]: field for field in json.loads(table.schema().to_json())["fields"]}
    wanted = json.loads(Schema.from_arrow(pa.schema(list(columns.items()))).to_json())["fields"]
    fields = [
        {**there[field["name"]], "type": _merged_type(there[field["name"]]["type"], field["type"])}
        if field["name"] in there
        else field
        for field in wanted
    ]
    return {"type": "struct", "fields": fields}


def _merged_type(there: Any, wanted: Any) -> Any:
    """Return the wanted type with what the table says of its fields."""
    if not isinstance(there, Mapping) or not isinstance(wanted, Mapping) or there["type"] != wanted["type"]:
        return wanted
    if wanted["type"] != "struct":
        return {
            **there,
            **{
                part: _merged_type(there[part], wanted[part])
                for part in ("elementType", "keyType", "valueType")
                if part in wanted
            },
        }
    known = {field["name"]: field for field in there["fields"]}
    fields = [
        {**known[field["name"]], "type": _merged_type(known[field["name"]]["type"], field["type"])}
        if field["name"] in known
        else field
        for field in wanted["fields"]
    ]
    return {**wanted, "fields": fields}


def _protocol(table: deltalake.DeltaTable, schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the protocol that the schema needs, where the table does not have it: times without a zone are a feature.

    Features that an older protocol implied are listed from then on.
    """
    there = table.protocol()
    readers, writers = list(there.reader_features or ()), list(there.writer_features or ())
    if _NO_ZONE_FEATURE in readers or _NO_ZONE not in _types(schema):
        return
    if there.min_writer_version < _WRITER_WITH_FEATURES:
        since = (names for version, names in _FEATURES_SINCE.items() if version <= there.min_writer_version)
        writers += (name for names in since for name in names)
    yield {
        "protocol": {
            "minReaderVersion": _READER_WITH_FEATURES,
            "minWriterVersion": _WRITER_WITH_FEATURES,
            "readerFeatures": [*readers, _NO_ZONE_FEATURE],
            "writerFeatures": [*dict.fromkeys([*writers, _NO_ZONE_FEATURE])],
        }
    }


def _types(schema: Any) -> set[str]:
    """Return the names of all types in a schema, nested ones too."""
    if isinstance(schema, str):
        return {schema}
    if not isinstance(schema, Mapping):
        return set()
    inner = [field["type"] for field in schema.get("fields", ())]
    inner += [schema[part] for part in ("elementType", "keyType", "valueType") if part in schema]
    return set().union(*map(_types, inner)) if inner else set()


def _metadata(table: deltalake.DeltaTable, schema: Mapping[str, Any]) -> dict[str, Any]:
    there = table.metadata()
    return {
        "id": str(there.id),
        "name": there.name,
        "description": there.description,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps(schema),
        "partitionColumns": list(there.partition_columns),
        "createdTime": there.created_time,
        "configuration": dict(there.configuration),
    }


def _removals(
    table: deltalake.DeltaTable, removed: Iterable[DataFile], now: int, *, data_change: bool = True
) -> Iterator[dict[str, Any]]:
    """Yield removals, of paths as the log has them: readers compare them letter by letter."""
    files = list(removed)
    written = {unquote(path): path for path in pa.table(table.get_add_actions())["path"].to_pylist()} if files else {}
    for file in files:
        yield {
            "path": written[file.reference],
            "dataChange": data_change,
            "deletionTimestamp": now,
            "extendedFileMetadata": True,
            "partitionValues": dict(file.partition),
            "size": file.size,
        }


def _addition(file: AddAction) -> dict[str, Any]:
    return {
        "path": quote(file.path, safe="/="),
        "partitionValues": dict(file.partition_values),
        "size": file.size,
        "modificationTime": file.modification_time,
        "dataChange": file.data_change,
        "stats": file.stats,
    }


def _refuse_removals(table: deltalake.DeltaTable, removals: list[dict[str, Any]]) -> None:
    if removals and str(table.metadata().configuration.get("delta.appendOnly")).lower() == "true":
        msg = "the table is append-only (delta.appendOnly), and this load replaces files"
        hint = "load into another table, or set delta.appendOnly to false"
        raise DestinationError(msg, code="TG407", where=table.table_uri, hint=hint)
