"""How SQL is written for Oracle, and which Arrow type each of its types is read as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tidegate.connections.dialect import Dialect
from tidegate.connections.exact import MOST_DIGITS, plain_type

_WORDS = {
    pa.bool_(): "NUMBER(1)",
    pa.int16(): "NUMBER(5)",
    pa.int32(): "NUMBER(10)",
    pa.int64(): "NUMBER(19)",
    pa.float32(): "BINARY_FLOAT",
    pa.float64(): "BINARY_DOUBLE",
    pa.string(): "CLOB",
    pa.binary(): "BLOB",
    pa.date32(): "DATE",
    pa.time64("us"): "VARCHAR2(15)",
    pa.timestamp("us"): "TIMESTAMP(6)",
    pa.timestamp("us", "UTC"): "TIMESTAMP(6) WITH TIME ZONE",
}
_KEYS = {pa.string(): "VARCHAR2(255 CHAR)", pa.binary(): "RAW(255)"}
_STORED = {
    pa.bool_(): pa.decimal128(1, 0),
    pa.int8(): pa.decimal128(5, 0),
    pa.int16(): pa.decimal128(5, 0),
    pa.int32(): pa.decimal128(10, 0),
    pa.int64(): pa.decimal128(19, 0),
    pa.date32(): pa.timestamp("us"),
    pa.time64("us"): pa.string(),
}


class OracleDialect(Dialect):
    """The words of Oracle 12.2 and later. An empty text is NULL there."""

    sqlglot = "oracle"
    ddl_in_transaction = False
    longest_name = 120  # of 128, as a private temporary table has a prefix

    def placeholder(self, index: int) -> str:
        """Return ``:1`` for the first parameter."""
        return f":{index + 1}"

    def same(self, left: str, right: str) -> str:
        """Return a NULL-safe equality, in which NULL is like NULL."""
        return f"DECODE({left}, {right}, 1, 0) = 1"

    def in_code_point_order(self, text: str) -> str:
        """Return the text as a key of binary order."""
        return f"NLSSORT({text}, 'NLS_SORT=BINARY')"

    def type_name(self, dtype: pa.DataType, *, key: bool = False) -> str:
        """Return the column type; a key has at most 255 characters."""
        plain: Any = plain_type(dtype)
        if pa.types.is_decimal(plain):
            return f"NUMBER({plain.precision},{plain.scale})"
        plain = pa.int16() if plain == pa.int8() else plain
        return _KEYS.get(plain, _WORDS[plain]) if key else _WORDS[plain]

    def storable(self, dtype: pa.DataType) -> pa.DataType | None:
        """Return the type as which it comes back: numbers are decimals, and a DATE has a time of day."""
        plain = plain_type(dtype)
        return None if plain is None else _STORED.get(plain, plain)

    def temporary_name(self, name: str) -> str:
        """Return the name of a private temporary table, whose prefix is Oracle's."""
        return self.quoted(f"ORA$PTT_{name}")

    def temporary_table(self, name: str, columns: Mapping[str, pa.DataType], *, keys: Sequence[str] = ()) -> str:
        """Return the statement that makes it; it ends no transaction, and outlives it."""
        made = self._definitions(columns, keys)
        return f"CREATE PRIVATE TEMPORARY TABLE {self.temporary_name(name)} ({made}) ON COMMIT PRESERVE DEFINITION"

    def add_column(self, table: str, column: str, dtype: pa.DataType) -> str:
        """Return the statement."""
        return f"ALTER TABLE {table} ADD ({self.quoted(column)} {self.type_name(dtype)})"

    def widen(self, table: str, column: str, dtype: pa.DataType, attributes: str = "") -> list[str] | None:
        """Return the statement."""
        return [f"ALTER TABLE {table} MODIFY ({self.quoted(column)} {self.type_name(dtype)})"]

    def update_from(self, table: str, source: str, on: str, assignments: Mapping[str, str]) -> str:
        """Return a MERGE: an UPDATE joins no tables before Oracle 23."""
        sets = ", ".join(f"t.{self.quoted(column)} = {value}" for column, value in assignments.items())
        return f"MERGE INTO {table} t USING {source} s ON ({on}) WHEN MATCHED THEN UPDATE SET {sets}"

    def delete_from(self, table: str, source: str, on: str) -> str:
        """Return a DELETE without AS, which Oracle does not know before aliases."""
        return f"DELETE FROM {table} t WHERE EXISTS (SELECT 1 FROM {source} s WHERE {on})"


def arrow_type(name: str, precision: int | None, scale: int | None) -> pa.DataType:
    """Return as which Arrow type a column is read; a NUMBER without a fixed scale is text, so that no digit is lost.

    Args:
        name: Of its type as python-oracledb names it, for instance ``DB_TYPE_NUMBER``.
        precision: Of a NUMBER; 0 or None where it has none.
        scale: Of a NUMBER; -127 where it has none.
    """
    kind = name.removeprefix("DB_TYPE_")
    if kind != "NUMBER":
        return _READ.get(kind, pa.string())
    if not precision or scale is None or not -MOST_DIGITS <= scale <= MOST_DIGITS:
        return pa.string()
    digits = max(precision, scale) if scale >= 0 else precision - scale
    return pa.decimal128(digits, max(scale, 0)) if digits <= MOST_DIGITS else pa.string()


_READ = {
    "BINARY_FLOAT": pa.float32(),
    "BINARY_DOUBLE": pa.float64(),
    "DATE": pa.timestamp("us"),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMP_TZ": pa.timestamp("us", "UTC"),
    "TIMESTAMP_LTZ": pa.timestamp("us", "UTC"),
    "RAW": pa.binary(),
    "LONG_RAW": pa.binary(),
    "BLOB": pa.binary(),
    "BOOLEAN": pa.bool_(),
}
