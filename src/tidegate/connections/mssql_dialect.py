"""How SQL is written for SQL Server, and which Arrow type each of its types is read as."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tidegate.connections.dialect import Dialect
from tidegate.connections.exact import plain_type

_WORDS = {
    pa.bool_(): "bit",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float32(): "real",
    pa.float64(): "float(53)",
    pa.string(): "nvarchar(max)",
    pa.binary(): "varbinary(max)",
    pa.date32(): "date",
    pa.time64("us"): "time(6)",
    pa.timestamp("us"): "datetime2(6)",
    pa.timestamp("us", "UTC"): "datetimeoffset(6)",
}
_KEYS = {
    pa.string(): "nvarchar(255) COLLATE Latin1_General_100_BIN2",
    pa.binary(): "varbinary(255)",
}
_READ = {
    **{words.partition("(")[0]: dtype for dtype, words in _WORDS.items() if not words.endswith("(max)")},
    "tinyint": pa.int16(),
    "money": pa.decimal128(19, 4),
    "smallmoney": pa.decimal128(10, 4),
    "datetime": pa.timestamp("us"),
    "smalldatetime": pa.timestamp("us"),
    "binary": pa.binary(),
    "varbinary": pa.binary(),
    "image": pa.binary(),
    "timestamp": pa.binary(),
    "geography": pa.binary(),
    "geometry": pa.binary(),
    "hierarchyid": pa.binary(),
}
_PIECES = re.compile(
    r"""'(?:[^']|'')*' | \[(?:[^\]]|\]\])*\] | "(?:[^"]|"")*"  # text, names
    | --[^\n]* | /\*.*?\*/                                      # comments
    | (?P<parameter>\?)""",
    re.VERBOSE | re.DOTALL,
)


class SQLServerDialect(Dialect):
    """The words of SQL Server and Azure SQL."""

    sqlglot = "tsql"
    quotes = ("[", "]")
    longest_name = 116  # of a temporary table; other names have 128

    def same(self, left: str, right: str) -> str:
        """Return a NULL-safe equality that takes an index, and that every version knows."""
        return f"EXISTS (SELECT {left} INTERSECT SELECT {right})"

    def equal(self, left: str, right: str, *, is_loose: bool, is_null_safe: bool) -> str:
        """Return the condition; texts of two collations are only compared in a third one that is named."""
        if is_loose:
            left, right = (f"{side} COLLATE Latin1_General_100_BIN2" for side in (left, right))
        return super().equal(left, right, is_loose=False, is_null_safe=is_null_safe)

    def in_code_point_order(self, text: str) -> str:
        """Return the text as bytes of UTF-8, which have that order; SQL Server 2019 or later knows the collation."""
        utf8 = f"CAST({text} COLLATE Latin1_General_100_BIN2_UTF8 AS varchar(max))"
        return f"CAST({utf8} AS varbinary(max))"

    def type_name(self, dtype: pa.DataType, *, key: bool = False) -> str:
        """Return the column type; a key has at most 255 characters, and tells cases apart."""
        kept: Any = self.storable(dtype)
        if pa.types.is_decimal(kept):
            return f"decimal({kept.precision},{kept.scale})"
        return _KEYS.get(kept, _WORDS[kept]) if key else _WORDS[kept]

    def storable(self, dtype: pa.DataType) -> pa.DataType | None:
        """Return the type as which it comes back: smallint is the shortest integer with a sign."""
        plain = plain_type(dtype)
        return pa.int16() if plain == pa.int8() else plain

    def temporary_name(self, name: str) -> str:
        """Return the name with the sign of temporary tables."""
        return self.quoted(f"#{name}")

    def temporary_table(self, name: str, columns: Mapping[str, pa.DataType], *, keys: Sequence[str] = ()) -> str:
        """Return the statement that makes it; its name alone makes it temporary."""
        return self.create_table(self.temporary_name(name), columns, keys=keys)

    def add_column(self, table: str, column: str, dtype: pa.DataType) -> str:
        """Return the statement."""
        return f"ALTER TABLE {table} ADD {self.quoted(column)} {self.type_name(dtype)} NULL"

    def widen(self, table: str, column: str, dtype: pa.DataType, attributes: str = "") -> list[str] | None:
        """Return the statement; defaults stay as they are."""
        name = self.quoted(column)
        return [f"ALTER TABLE {table} ALTER COLUMN {name} {self.type_name(dtype)} {attributes or 'NULL'}"]

    def update_from(self, table: str, source: str, on: str, assignments: Mapping[str, str]) -> str:
        """Return an UPDATE that names the table by its alias."""
        sets = ", ".join(f"{self.quoted(column)} = {value}" for column, value in assignments.items())
        return f"UPDATE t SET {sets} FROM {table} AS t JOIN {source} AS s ON {on}"

    def delete_from(self, table: str, source: str, on: str) -> str:
        """Return a DELETE that names the table by its alias."""
        return f"DELETE t FROM {table} AS t WHERE EXISTS (SELECT 1 FROM {source} AS s WHERE {on})"


def arrow_type(words: str) -> pa.DataType:
    """Return as which Arrow type a column is read; types that Arrow lacks are text.

    Args:
        words: Its type as the server describes it, for instance ``decimal(10,2)``.
    """
    name, _, sizes = words.partition("(")
    if name in {"decimal", "numeric"}:
        precision, scale = (int(size) for size in sizes.rstrip(")").split(","))
        return pa.decimal128(precision, scale)
    return _READ.get(name, pa.string())


def with_named_parameters(sql: str) -> str:
    """Return a statement with its question marks named, as the server counts them.

    >>> with_named_parameters("SELECT '?', [a?] FROM t WHERE a = ? AND b > ? -- ?")
    "SELECT '?', [a?] FROM t WHERE a = @P1 AND b > @P2 -- ?"
    """
    count = 0

    def named(piece: re.Match[str]) -> str:
        nonlocal count
        if not piece["parameter"]:
            return piece[0]
        count += 1
        return f"@P{count}"

    return _PIECES.sub(named, sql)
