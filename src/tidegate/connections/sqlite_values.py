"""What SQLite keeps, and as which Arrow type it is read.

SQLite has five kinds of values, and a column may hold any of them. What a column is meant to hold is told by its
declared type; a value that does not fit is an error, never NULL. What stands for the other types:

=============================  =================================================================================
declared                       values
=============================  =================================================================================
BOOLEAN                        0 and 1
DATE, TIME                     ISO 8601 text
DATETIME, TIMESTAMP            ISO 8601 text without a zone
TIMESTAMPTZ                    ISO 8601 text; without a zone it is UTC
DECIMAL(p, s), p up to 15      numbers: SQLite keeps 15 digits
DECIMAL_TEXT(p, s)             text: SQLite would round the digits behind the 15th
=============================  =================================================================================
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tidegate.connections.dialect import Dialect
from tidegate.connections.exact import MOST_DIGITS, no_value, plain_type
from tidegate.connections.parameters import pieces

PIECES = pieces(r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*` | \[[^\]]*\] | \?(?P<parameter>\d+)""")
_DIGITS_OF_A_NUMBER = 15
_DECIMAL = re.compile(r"(?:DECIMAL|NUMERIC|NUMBER|DEC|DECIMAL_TEXT)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_NAMED = {
    "BOOL": pa.bool_(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "DATETIME": pa.timestamp("us"),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", "UTC"),
}
_AFFINITIES = (
    (("INT",), pa.int64()),
    (("CHAR", "CLOB", "TEXT"), pa.string()),
    (("BLOB", "BINARY"), pa.binary()),
    (("REAL", "FLOA", "DOUB"), pa.float64()),
)
"""Words within a declared type → what it holds (SQLite, "Determination Of Column Affinity")."""
_WORDS = {
    pa.bool_(): "BOOLEAN",
    pa.int64(): "INTEGER",
    pa.float64(): "DOUBLE",
    pa.string(): "TEXT",
    pa.binary(): "BLOB",
    pa.date32(): "DATE",
    pa.time64("us"): "TIME",
    pa.timestamp("us"): "TIMESTAMP",
    pa.timestamp("us", "UTC"): "TIMESTAMPTZ",
}
_FOUND = ((str, pa.string()), (bytes, pa.binary()), (float, pa.float64()), (int, pa.int64()))
"""Kind of value → what a column is that has any of it and none of those before."""
_KINDS: tuple[tuple[Callable[[pa.DataType], bool], frozenset[type]], ...] = (
    (pa.types.is_boolean, frozenset({int})),
    (pa.types.is_integer, frozenset({int})),
    (pa.types.is_floating, frozenset({int, float})),
    (pa.types.is_decimal, frozenset({int, float, str})),
    (pa.types.is_binary, frozenset({bytes})),
)
"""Test of a type → the kinds of values it has there; text for all others."""
_NAN = "NaN"
"""How NaN is kept: SQLite would take it for NULL."""


class SQLiteDialect(Dialect):
    """The words of SQLite."""

    sqlglot = "sqlite"
    longest_name = 1024

    def placeholder(self, index: int) -> str:
        """Return ``?1`` for the first parameter."""
        return f"?{index + 1}"

    def same(self, left: str, right: str) -> str:
        """Return the condition with IS, which takes any value."""
        return f"{left} IS {right}"

    def in_code_point_order(self, text: str) -> str:
        """Return the text in the collation that compares bytes."""
        return f"({text}) COLLATE BINARY"

    def ordered(self, expression: str, dtype: pa.DataType) -> str | None:
        """Return an expression in the order of values: the texts of times and decimals have another one."""
        if pa.types.is_timestamp(dtype):
            return f"tidegate_time({expression})"
        if pa.types.is_decimal(dtype):
            return f"tidegate_decimal({expression}, {dtype.scale})"
        return super().ordered(expression, dtype)

    def type_name(self, dtype: pa.DataType, *, key: bool = False) -> str:
        """Return the declared type; the same for a key."""
        stored: Any = self.storable(dtype)
        if not pa.types.is_decimal(stored):
            return _WORDS[stored]
        word = "DECIMAL" if stored.precision <= _DIGITS_OF_A_NUMBER else "DECIMAL_TEXT"
        return f"{word}({stored.precision},{stored.scale})"

    def storable(self, dtype: pa.DataType) -> pa.DataType | None:
        """Return the type as which it comes back: all integers are 64 bits wide, all floats doubles."""
        plain = plain_type(dtype)
        if plain is None:
            return None
        if pa.types.is_integer(plain):
            return pa.int64()
        return pa.float64() if pa.types.is_floating(plain) else plain

    def after_filling(self, table: str, keys: Sequence[str]) -> list[str]:
        """Index the keys: SQLite makes no index of its own for EXISTS, and would scan them all for each row."""
        columns = ", ".join(map(self.quoted, keys))
        return [f'CREATE INDEX "temp".{self.quoted(f"{table}_filled")} ON {table} ({columns})']

    def widen(self, table: str, column: str, dtype: pa.DataType, attributes: str = "") -> list[str] | None:
        """Return None: a declared type stays."""
        return None


def declared_type(declared: str) -> pa.DataType | None:
    """Return what a declared type means; None when it does not say.

    >>> declared_type("VARCHAR(20)"), declared_type("uuid")
    (DataType(string), None)
    """
    word = " ".join(declared.upper().split())
    if found := _DECIMAL.fullmatch(word):
        precision, scale = int(found[1]), int(found[2] or 0)
        return pa.decimal128(precision, scale) if scale <= precision <= MOST_DIGITS and precision else pa.string()
    plain = re.sub(r"\s*\(.*?\)", "", word)
    if plain in _NAMED:
        return _NAMED[plain]
    return next((dtype for parts, dtype in _AFFINITIES if any(part in plain for part in parts)), None)


def found_type(values: Iterable[Any]) -> pa.DataType:
    """Return the type of values that no declared type tells: text when there is any text, or nothing at all."""
    kinds = set(map(type, values))
    return next((dtype for kind, dtype in _FOUND if kind in kinds), pa.string())


def array_of(values: Sequence[Any], name: str, dtype: pa.DataType, place: str, rows_before: int) -> pa.Array:
    """Return the values of a column as an array of `dtype`, or as text that is yet to be read as such.

    Raises:
        PlatformError: SQLite has a value there that is none of the type (TG725).
    """
    kinds = next((kinds for is_kind, kinds in _KINDS if is_kind(dtype)), frozenset({str}))
    there = set(map(type, values)) - {type(None)}
    if pa.types.is_floating(dtype) and str in there:
        values = [math.nan if value == _NAN else value for value in values]
        there = set(map(type, values)) - {type(None)}
    odd = there - kinds
    row = next((row for row, value in enumerate(values) if type(value) in odd), None) if odd else None
    if row is None and pa.types.is_boolean(dtype):
        row = next((row for row, value in enumerate(values) if value not in _BITS), None)
    elif row is None and pa.types.is_floating(dtype) and int in there:
        row = next((row for row, value in enumerate(values) if type(value) is int and int(float(value)) != value), None)
    if row is not None:
        raise no_value(name, dtype, values[row], place, row=rows_before + row + 1)
    if str not in kinds:
        return pa.array(values, pa.int8()).cast(dtype) if pa.types.is_boolean(dtype) else pa.array(values, dtype)
    if there - {str}:
        values = [None if value is None else str(value) for value in values]
    return pa.array(values, pa.string())


_BITS = (0, 1, None)


def values_of(array: pa.Array) -> list[Any]:
    """Return the values of a column as SQLite keeps them."""
    if any(is_text(array.type) for is_text in _IS_TEXT):
        array = array.cast(pa.string())
    values: list[Any] = array.to_pylist()
    if pa.types.is_floating(array.type) and pc.any(pc.is_nan(array)).as_py():
        return [_NAN if value is not None and math.isnan(value) else value for value in values]
    return values


_IS_TEXT = (pa.types.is_date, pa.types.is_time, pa.types.is_timestamp, pa.types.is_decimal)
"""Types of Arrow that are text on the way there; of that of a decimal, SQLite makes a number by the declared type."""


def parameter(value: Any) -> Any:
    """Return a parameter of a statement as SQLite keeps such values."""
    match value:
        case datetime():
            zoned = value.astimezone(UTC) if value.tzinfo else value
            return zoned.replace(tzinfo=None).isoformat(" ", "microseconds") + ("Z" if value.tzinfo else "")
        case time():
            return value.isoformat("microseconds")
        case date():
            return value.isoformat()
        case Decimal():
            return str(value)
        case _:
            return value


def time_in_order(text: Any) -> str | None:
    """Return a time as text that is in the order of times, in UTC. The function `tidegate_time` of SQL."""
    if text is None:
        return None
    found = datetime.fromisoformat(text)
    return (found.astimezone(UTC) if found.tzinfo else found).replace(tzinfo=None).isoformat(" ", "microseconds")


def decimal_in_order(number: Any, scale: int) -> str | None:
    """Return a decimal as text that is in the order of numbers. The function `tidegate_decimal` of SQL."""
    if number is None:
        return None
    digits = Decimal(str(number)).scaleb(scale, _EXACT).to_integral_value(ROUND_FLOOR, _EXACT)
    return f"{int(digits) + 10**MOST_DIGITS:0{MOST_DIGITS + 1}d}"


_EXACT = Context(prec=3 * MOST_DIGITS)
