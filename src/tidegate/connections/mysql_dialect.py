"""How SQL is written for MySQL 8 and MariaDB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import pyarrow as pa

from tidegate.connections.dialect import Dialect
from tidegate.connections.exact import plain_type

_MOST_DECIMAL_PLACES = 30
_WORDS = {
    pa.bool_(): "TINYINT(1)",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INT",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.string(): "LONGTEXT CHARACTER SET utf8mb4",
    pa.binary(): "LONGBLOB",
    pa.date32(): "DATE",
    pa.time64("us"): "TIME(6)",
    pa.timestamp("us"): "DATETIME(6)",
}
_KEYS = {
    # Spaces at the end count, as they do not in utf8mb4_bin. Each server reads one of the two comments.
    pa.string(): "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE /*!80017 utf8mb4_0900_bin */ /*M! utf8mb4_nopad_bin */",
    pa.binary(): "VARBINARY(255)",
}

_KEY_BYTES = {pa.string(): 4 * 255 + 2, pa.binary(): 255 + 2}
_FEW_BYTES = 32
"""Of a number or a time in an index, at most."""
_INDEX_BYTES = 3072


class MySQLDialect(Dialect):
    """The words of MySQL and MariaDB.

    In an UPDATE of joined tables an assignment may see what another one of the same statement has set.
    """

    sqlglot = "mysql"
    quotes = ("`", "`")
    ddl_in_transaction = False
    longest_name = 64
    table_options = " ENGINE=InnoDB"  # which knows transactions

    def same(self, left: str, right: str) -> str:
        """Return the NULL-safe equality of MySQL."""
        return f"{left} <=> {right}"

    def in_code_point_order(self, text: str) -> str:
        """Return the text as bytes of UTF-8, which have that order."""
        return f"CAST(CONVERT({text} USING utf8mb4) AS BINARY)"

    def type_name(self, dtype: pa.DataType, *, key: bool = False) -> str:
        """Return the column type; a key has at most 255 characters."""
        kept: Any = self.storable(dtype)
        if pa.types.is_decimal(kept):
            return f"DECIMAL({kept.precision},{kept.scale})"
        return _KEYS.get(kept, _WORDS[kept]) if key else _WORDS[kept]

    def storable(self, dtype: pa.DataType) -> pa.DataType | None:
        """Return the type as which it comes back: a zoned timestamp without its zone, in UTC.

        MySQL's own TIMESTAMP ends in 2038.
        """
        plain: Any = plain_type(dtype)
        if plain == pa.timestamp("us", "UTC"):
            return pa.timestamp("us")
        if pa.types.is_decimal(plain) and plain.scale > _MOST_DECIMAL_PLACES:
            return None
        return plain

    def create_table(self, table: str, columns: Mapping[str, pa.DataType], *, keys: Sequence[str] = ()) -> str:
        """Return the statement, with the index: each CREATE is a transaction of its own, and it would be missing.

        An index has at most 3072 bytes: it takes the first keys that have room.
        """
        sizes = accumulate(_KEY_BYTES.get(self.storable(columns[key]), _FEW_BYTES) for key in keys)
        indexed = [key for key, size in zip(keys, sizes, strict=True) if size <= _INDEX_BYTES]
        index = f", INDEX ({', '.join(map(self.quoted, indexed))})" if indexed else ""
        return f"CREATE TABLE {table} ({self._definitions(columns, keys)}{index}){self.table_options}"

    def create_index(self, table: str, name: str, keys: Sequence[str]) -> None:
        """Return None: the table has been made with it."""

    def widen(self, table: str, column: str, dtype: pa.DataType, attributes: str = "") -> list[str] | None:
        """Return the statement, with the column's attributes."""
        definition = f"{self.quoted(column)} {self.type_name(dtype)} {attributes or 'NULL'}"
        return [f"ALTER TABLE {table} MODIFY COLUMN {definition}"]

    def update_from(self, table: str, source: str, on: str, assignments: Mapping[str, str]) -> str:
        """Return an UPDATE of the joined tables."""
        sets = ", ".join(f"t.{self.quoted(column)} = {value}" for column, value in assignments.items())
        return f"UPDATE {table} AS t JOIN {source} AS s ON {on} SET {sets}"

    def delete_from(self, table: str, source: str, on: str) -> str:
        """Return a DELETE that names the table by its alias."""
        return f"DELETE t FROM {table} AS t WHERE EXISTS (SELECT 1 FROM {source} AS s WHERE {on})"
