"""How SQL is written for PostgreSQL, and which Arrow type each of its types is read as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tidegate.connections.dialect import Dialect
from tidegate.connections.exact import MOST_DIGITS, plain_type
from tidegate.connections.parameters import pieces

NATIVE: dict[int, pa.DataType] = {
    16: pa.bool_(),
    17: pa.binary(),
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    25: pa.string(),
    700: pa.float32(),
    701: pa.float64(),
    1042: pa.string(),
    1043: pa.string(),
    1082: pa.date32(),
    1083: pa.time64("us"),
    1114: pa.timestamp("us"),
    1184: pa.timestamp("us", "UTC"),
}
"""Oids of the types that come as they are; all others come as text, written by the server."""
NUMERIC = 1700
_WORDS = {
    pa.bool_(): "boolean",
    pa.int8(): "smallint",
    pa.int16(): "smallint",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.float32(): "real",
    pa.float64(): "double precision",
    pa.string(): "text",
    pa.binary(): "bytea",
    pa.date32(): "date",
    pa.time64("us"): "time",
    pa.timestamp("us"): "timestamp",
    pa.timestamp("us", "UTC"): "timestamptz",
}
PIECES = pieces(
    r"""(?<![\w$])[eE]'(?:[^'\\]|\\.|'')*'     # text with escapes
    | '(?:[^']|'')*' | "(?:[^"]|"")*"          # text, names
    | (?<![\w$])\$(?P<tag>\w*)\$.*?\$(?P=tag)\$ # text between dollars
    | (?<![\w$])\$(?P<parameter>\d+)"""
)

PRIMARY_KEY = """
SELECT attname FROM pg_index, unnest(indkey) WITH ORDINALITY AS k (attnum, place), pg_attribute AS a
WHERE indrelid = to_regclass($1) AND indisprimary AND attrelid = indrelid AND a.attnum = k.attnum ORDER BY place
"""
TRAITS = """
SELECT c.oid::text, c.relkind::text, attname, CASE WHEN atttypid IN (1083, 1114, 1184) THEN atttypmod ELSE -1 END,
  typname = 'citext' OR NOT COALESCE(collisdeterministic, true)
FROM pg_class AS c JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
  JOIN pg_type AS t ON t.oid = atttypid LEFT JOIN pg_collation AS l ON l.oid = attcollation
WHERE c.oid = to_regclass($1)
"""
TABLES = """
SELECT nspname, relname FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relispartition AND nspname !~ '^pg_' AND
  nspname <> 'information_schema' AND ($1::text IS NULL OR nspname = $1)
ORDER BY nspname COLLATE "C", relname COLLATE "C"
"""


class PostgreSQLDialect(Dialect):
    """The words of PostgreSQL."""

    sqlglot = "postgres"

    def placeholder(self, index: int) -> str:
        """Return ``$1`` for the first parameter."""
        return f"${index + 1}"

    def in_code_point_order(self, text: str) -> str:
        """Return the text in the collation "C"; as text, since a `citext` would stay one."""
        return f'({text})::text COLLATE "C"'

    def create_index(self, table: str, name: str, keys: Sequence[str]) -> str:
        """Return the statement without a name: PostgreSQL finds one that is free."""
        return f"CREATE INDEX ON {table} ({', '.join(map(self.quoted, keys))})"

    def temporary_copy(
        self,
        name: str,
        table: str,
        columns: Mapping[str, pa.DataType],
        *,
        keys: Sequence[str] = (),
    ) -> str:
        """Return the statement that takes the table's own types: text is none of uuid, JSON or an enumeration."""
        names = ", ".join(map(self.quoted, columns))
        return f"CREATE TEMPORARY TABLE {self.temporary_name(name)} AS SELECT {names} FROM {table} WITH NO DATA"

    def type_name(self, dtype: pa.DataType, *, key: bool = False) -> str:
        """Return the column type; the same for a key."""
        plain: Any = plain_type(dtype)
        return f"numeric({plain.precision},{plain.scale})" if pa.types.is_decimal(plain) else _WORDS[plain]

    def storable(self, dtype: pa.DataType) -> pa.DataType | None:
        """Return the type as which it comes back: smallint is the shortest integer."""
        plain = plain_type(dtype)
        return pa.int16() if plain == pa.int8() else plain

    def after_filling(self, table: str, keys: Sequence[str]) -> list[str]:
        """Let the planner know how many keys there are: it takes them for a few, and looks each up by itself."""
        return [f"ANALYZE {table}"]


def arrow_type(oid: int, modifier: int) -> pa.DataType:
    """Return as which Arrow type a column is read.

    A numeric without a precision, or with one above 38, is text: its digits are kept, whatever they are.

    Args:
        oid: Of its type.
        modifier: Of its type, as the server describes a query.
    """
    if oid != NUMERIC or modifier < _HEADER:
        return NATIVE.get(oid, pa.string())
    precision, scale = (modifier - _HEADER) >> 16, (((modifier - _HEADER) & 0x7FF) ^ 0x400) - 0x400
    precision = max(precision, scale) if scale >= 0 else precision - scale
    return pa.decimal128(precision, max(scale, 0)) if precision <= MOST_DIGITS else pa.string()


_HEADER = 4
"""What PostgreSQL adds to the modifier of a numeric."""
