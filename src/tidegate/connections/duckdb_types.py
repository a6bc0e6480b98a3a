"""How SQL is written for DuckDB, and which Arrow type each of its types is read as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tidegate.connections.dialect import Dialect
from tidegate.connections.exact import plain_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb.sqltypes import DuckDBPyType

_READ = {
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "utinyint": pa.uint8(),
    "usmallint": pa.uint16(),
    "uinteger": pa.uint32(),
    "ubigint": pa.uint64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "varchar": pa.string(),
    "blob": pa.binary(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamp_s": pa.timestamp("us"),
    "timestamp_ms": pa.timestamp("us"),
    "timestamp_ns": pa.timestamp("ns"),
    "timestamp with time zone": pa.timestamp("us", "UTC"),
}
_WORDS = {
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.uint8(): "UTINYINT",
    pa.uint16(): "USMALLINT",
    pa.uint32(): "UINTEGER",
    pa.uint64(): "UBIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR",
    pa.binary(): "BLOB",
    pa.date32(): "DATE",
    pa.time64("us"): "TIME",
    pa.timestamp("us"): "TIMESTAMP",
    pa.timestamp("ns"): "TIMESTAMP_NS",
    pa.timestamp("us", "UTC"): "TIMESTAMP WITH TIME ZONE",
}


class DuckDBDialect(Dialect):
    """The words of DuckDB."""

    sqlglot = "duckdb"
    longest_name = 1024

    def placeholder(self, index: int) -> str:
        """Return ``$1`` for the first parameter."""
        return f"${index + 1}"

    def type_name(self, dtype: pa.DataType, *, key: bool = False) -> str:
        """Return the column type; the same for a key."""
        stored: Any = self.storable(dtype)
        if pa.types.is_list(stored):
            return f"{self.type_name(stored.value_type)}[]"
        if pa.types.is_struct(stored):
            return f"STRUCT({', '.join(f'{self.quoted(field.name)} {self.type_name(field.type)}' for field in stored)})"
        if pa.types.is_decimal(stored):
            return f"DECIMAL({stored.precision},{stored.scale})"
        return _WORDS[stored]

    def create_index(self, table: str, name: str, keys: Sequence[str]) -> None:
        """Return None: joins need no index there, and no column of a table with one can be made wider."""

    def storable(self, dtype: pa.DataType) -> pa.DataType | None:
        """Return the type as which it comes back; lists and structs are kept, maps are not."""
        if dtype in _WORDS:
            return dtype
        if _is_list(dtype):
            value = self.storable(dtype.value_type)
            return value and pa.list_(value)
        if pa.types.is_struct(dtype):
            fields = {field.name: self.storable(field.type) for field in dtype}
            is_kept = len(fields) == dtype.num_fields > 0 and None not in fields.values()
            return pa.struct(list(fields.items())) if is_kept else None
        return plain_type(dtype)


def _is_list(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_list(dtype) or pa.types.is_large_list(dtype) or pa.types.is_fixed_size_list(dtype))


def arrow_type(dtype: DuckDBPyType) -> pa.DataType | None:
    """Return as which Arrow type a column is read; None: it has none, and is read as text."""
    parts: Any = dtype.children if dtype.id in {"decimal", "list", "struct"} else []
    if dtype.id == "decimal":
        return pa.decimal128(dict(parts)["precision"], dict(parts)["scale"])
    if dtype.id == "list":
        value = arrow_type(dict(parts)["child"])
        return value and pa.list_(value)
    if dtype.id == "struct":
        fields = {name: arrow_type(inner) for name, inner in parts}
        return None if None in fields.values() else pa.struct(list(fields.items()))
    return _READ.get(dtype.id)
