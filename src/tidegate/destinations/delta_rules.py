"""What Delta tables demand of their writers beyond the protocol's core, and which of it Tidegate does not keep.

Source of the rules: Delta protocol, "Requirements for Writers" and "Table Features".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import deltalake

_KNOWN_READER_FEATURES = {"timestampNtz", "deletionVectors", "v2Checkpoint", "vacuumProtocolCheck"}
_KNOWN_WRITER_FEATURES = _KNOWN_READER_FEATURES | {"appendOnly", "invariants", "changeDataFeed", "checkConstraints"}
_WHOLE_FILES = frozenset({"append", "overwrite", "full_load", "overwrite_partitions"})
"""Strategies that add and remove whole files, whose changes readers can tell without further files."""
_RULES_OF_FIELDS = ("delta.invariants", "delta.generationExpression", "delta.identity.")


def broken_rules(table: deltalake.DeltaTable, strategy: str) -> set[str]:
    """Return the rules of a table that a load by this strategy would break by writing files itself."""
    protocol, configuration = table.protocol(), table.metadata().configuration
    broken = (set(protocol.reader_features or ()) - _KNOWN_READER_FEATURES) | (
        set(protocol.writer_features or ()) - _KNOWN_WRITER_FEATURES
    )
    broken |= {name for name in configuration if name.startswith("delta.constraints.")}
    broken |= set(_rules_of_fields(json.loads(table.schema().to_json())))
    if configuration.get("delta.columnMapping.mode", "none") != "none":
        broken.add("columnMapping")
    if strategy not in _WHOLE_FILES and _is_set(configuration, "delta.enableChangeDataFeed"):
        broken.add("delta.enableChangeDataFeed")
    if strategy != "append" and _is_set(configuration, "delta.appendOnly"):
        broken.add("delta.appendOnly")
    if "deletionVectors" in (protocol.reader_features or ()) and table.deletion_vectors().read_all().num_rows:
        broken.add("deletionVectors")
    return broken


def _is_set(configuration: Mapping[str, Any], name: str) -> bool:
    return str(configuration.get(name)).lower() == "true"


def _rules_of_fields(schema: Any) -> Iterator[str]:
    """Yield what the fields of a schema, as the log has it, demand of their values; nested fields too."""
    if not isinstance(schema, Mapping):
        return
    for field in schema.get("fields", ()):
        if not field["nullable"]:
            yield f"not null ({field['name']})"
        yield from (f"{key} ({field['name']})" for key in field["metadata"] if key.startswith(_RULES_OF_FIELDS))
        yield from _rules_of_fields(field["type"])
    for part in ("elementType", "keyType", "valueType"):
        yield from _rules_of_fields(schema.get(part))
