"""The reader of type names: a word of its system, parameters, and types within types."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from itertools import pairwise

import pyarrow as pa

from tidegate.errors import MetadataError
from tidegate.expressions.type_words import AMBIGUOUS, DECIMAL_DEFAULT, DECIMAL_DEFAULTS, OVERRIDES, WORDS

MAX_PRECISION = 38
_MAX_FRACTION_DIGITS = 7  # datetime2(7) counts 100 ns; microseconds are what every destination keeps
_FLOAT_BITS = 24
_MAX_DEPTH = 64

_TOKEN = re.compile(r"\s*(?:`((?:[^`]|``)*)`|\"((?:[^\"]|\"\")*)\"|'([^']*)'|([^\W\d][\w$]*)|([+-]?\d+)|(\S))")
_STOP = frozenset({"not", "null", "comment"})

PLAIN: dict[str, pa.DataType] = {
    "string": pa.string(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "utinyint": pa.uint8(),
    "usmallint": pa.uint16(),
    "uint": pa.uint32(),
    "ubigint": pa.uint64(),
    "hugeint": pa.decimal128(MAX_PRECISION, 0),
    "float": pa.float32(),
    "double": pa.float64(),
    "money": pa.decimal128(19, 4),
    "smallmoney": pa.decimal128(10, 4),
    "boolean": pa.bool_(),
    "bit": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "timestamp_ntz": pa.timestamp("us"),
    "time": pa.time64("us"),
    "binary": pa.binary(),
}
"""What a family without parameters is."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return a hint that names the known words closest to a word, or None."""
    close = difflib.get_close_matches(word.lower(), list(known), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(f'`{name}`' for name in close)}?" if close else None


def type_error(message: str, hint: str | None = None) -> MetadataError:
    """Return the TG305 of a type that cannot be read."""
    return MetadataError(message, code="TG305", hint=hint)


class TypeReader:
    """A recursive-descent reader of one type name.

    Args:
        text: The type name.
        system: Canonical name of the type system, or None.
        hinted: Precision and scale of a decimal that does not say its own.
    """

    def __init__(self, text: str, system: str | None, hinted: tuple[int | None, int | None]) -> None:
        self.text = text
        self.system = system
        self.hinted = hinted
        self.words = {**WORDS, **OVERRIDES.get(system or "spark", {})}
        self.refused = {word: why for word, why in AMBIGUOUS.items() if word not in self.words}
        self.tokens = [(match.lastindex or 0, match[match.lastindex or 0]) for match in _TOKEN.finditer(text.strip())]
        self.at = 0

    def whole(self) -> pa.DataType:
        if not self.tokens:
            raise type_error("a data type is empty", "write a type such as `string`, `bigint` or `decimal(18,2)`")
        dtype = self.type(0)
        if self.at < len(self.tokens):
            raise self.fail(f"cannot be read after {self.tokens[self.at - 1][1]!r}")
        return dtype

    def fail(self, why: str, hint: str | None = None) -> MetadataError:
        return type_error(f"data type {self.text.strip()!r} {why}", hint)

    def peek(self, symbol: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at] == (6, symbol)

    def take(self, symbol: str) -> bool:
        found = self.peek(symbol)
        self.at += found
        return found

    def expect(self, *symbols: str) -> None:
        if not any(self.take(symbol) for symbol in symbols):
            raise self.fail(f"lacks {symbols[0]!r}")

    def word(self) -> str | None:
        """Take a word that belongs to a type name, or nothing."""
        if self.at < len(self.tokens) and self.tokens[self.at][0] == 4:
            word = self.tokens[self.at][1].lower()
            if word not in _STOP:
                self.at += 1
                return word
        return None

    def type(self, depth: int) -> pa.DataType:
        if depth > _MAX_DEPTH:
            raise self.fail("is nested too deeply")
        name = self.name()
        family = self.words.get(name)
        if family in {"array", "struct", "map"}:
            dtype = self.nested(family, depth)
        else:
            dtype = self.scalar(name, depth)
        while self.peek("[") and self.tokens[self.at + 1 : self.at + 2] == [(6, "]")]:
            self.at += 2
            dtype = pa.list_(dtype)
        return dtype

    def name(self) -> str:
        words: list[str] = []
        while (word := self.word()) is not None:
            words.append(word)
        return " ".join(words)

    def nested(self, family: str, depth: int) -> pa.DataType:
        self.expect("<", "(")
        if family == "struct":
            fields = [] if self.peek(">") or self.peek(")") else [self.field(depth)]
            while self.take(","):
                fields.append(self.field(depth))
            self.expect(">", ")")
            for one, other in pairwise(sorted(field.name.lower() for field in fields)):
                if one == other:
                    raise self.fail(f"names field {one!r} twice")
            return pa.struct(fields)
        if family == "array":
            self.label()
            value = self.type(depth + 1)
            self.expect(">", ")")
            return pa.list_(value)
        key = self.type(depth + 1)
        self.expect(",")
        value = self.type(depth + 1)
        self.expect(">", ")")
        return pa.map_(key, value)

    def label(self) -> None:
        """Skip the label that Arrow writes before an element: ``list<item: int64>``."""
        if self.tokens[self.at + 1 : self.at + 2] == [(6, ":")]:
            self.at += 2

    def field(self, depth: int) -> pa.Field:
        if self.at >= len(self.tokens) or self.tokens[self.at][0] not in {1, 2, 4}:
            raise self.fail("lacks the name of a field", "write struct<name: type, ...>")
        group, name = self.tokens[self.at]
        self.at += 1
        if group in {1, 2}:
            quote = "`" if group == 1 else '"'
            name = name.replace(quote * 2, quote)
        self.take(":")
        dtype = self.type(depth + 1)
        nullable = True
        while self.at < len(self.tokens) and self.tokens[self.at][1].lower() in {"not", "null"}:
            nullable = nullable and self.tokens[self.at][1].lower() != "not"
            self.at += 1
        return pa.field(name, dtype, nullable)

    def scalar(self, name: str, depth: int) -> pa.DataType:
        closing = ")" if self.take("(") else None
        if closing is None and self.peek("[") and self.tokens[self.at + 1 : self.at + 2] != [(6, "]")]:
            self.take("[")
            closing = "]"
        parameters = self.parameters(closing) if closing else []
        trailing = self.name()
        full = f"{name} {trailing}".strip()
        family = self.words.get(full)
        if family is None:
            if full in self.refused:
                raise self.fail("is not accepted", self.refused[full])
            raise self.fail("is unknown", closest(full, self.words) or "see `tidegate explain TG305` for the types")
        if closing == "]" and family.endswith(("timestamp", "timestamp_ntz")):
            family = "arrow_timestamp"
        return _SCALARS.get(family, _plain)(self, family, parameters, depth)

    def parameters(self, closing: str) -> list[str]:
        """Take the parameters up to the closing bracket; of ``tz=UTC`` and ``time_zone='UTC'`` the value."""
        values: list[str] = []
        current = ""
        while not self.take(closing):
            if self.at >= len(self.tokens):
                raise self.fail(f"lacks {closing!r}")
            _, token = self.tokens[self.at]
            self.at += 1
            if token == "=":
                current = ""
            elif token == ",":
                values.append(current)
                current = ""
            else:
                current += token
        return [*values, current] if current else values


def _numbers(reader: TypeReader, parameters: list[str]) -> list[int]:
    if all(re.fullmatch(r"[+-]?\d+", value) for value in parameters):
        return [int(value) for value in parameters]
    raise reader.fail(f"has parameters that are not numbers: {', '.join(parameters)}")


def _plain(reader: TypeReader, family: str, parameters: list[str], depth: int) -> pa.DataType:
    if parameters and family != "string":
        _numbers(reader, [value for value in parameters if value not in {"us", "day", "max"}])
    is_mysql_flag = family == "tinyint" and reader.system == "mysql" and parameters == ["1"]
    return pa.bool_() if is_mysql_flag else PLAIN[family]


def _decimal(reader: TypeReader, family: str, parameters: list[str], depth: int) -> pa.DataType:
    numbers = _numbers(reader, parameters)
    precision, scale = reader.hinted if depth == 0 and not numbers else (None, None)
    if numbers:
        precision, scale = numbers[0], numbers[1] if len(numbers) > 1 else 0
    if precision is None:
        precision, default_scale = DECIMAL_DEFAULTS.get(reader.system or "", DECIMAL_DEFAULT)
        scale = default_scale if scale is None else scale
    scale = scale or 0
    if precision > MAX_PRECISION:
        hint = "use decimal(38, s), or string to keep every digit, or double to keep the magnitude"
        raise reader.fail(f"has precision {precision}: a decimal holds at most {MAX_PRECISION} digits", hint)
    if precision < 1 or not 0 <= scale <= precision:
        hint = "decimal(p, s): p digits in all, s of them after the point"
        raise reader.fail(f"has precision {precision} and scale {scale}: it must be 1 <= p, 0 <= s <= p", hint)
    return pa.decimal128(precision, scale)


def _float(reader: TypeReader, family: str, parameters: list[str], depth: int) -> pa.DataType:
    bits = _numbers(reader, parameters)
    if bits and len(bits) == 1:
        return pa.float32() if bits[0] <= _FLOAT_BITS else pa.float64()
    return PLAIN[family]


def _bit(reader: TypeReader, family: str, parameters: list[str], depth: int) -> pa.DataType:
    if parameters not in ([], ["1"]):
        raise reader.fail("is a string of bits", "use binary or string")
    return pa.bool_()


def _timestamp(reader: TypeReader, family: str, parameters: list[str], depth: int) -> pa.DataType:
    if any(digits > _MAX_FRACTION_DIGITS for digits in _numbers(reader, parameters)):
        raise reader.fail("counts finer than microseconds", f"use {family}, which keeps microseconds")
    return PLAIN[family]


def _arrow_timestamp(reader: TypeReader, family: str, parameters: list[str], depth: int) -> pa.DataType:
    unit = (parameters[0] if parameters else "us").replace("μ", "u").replace("µ", "u")
    zone = parameters[1] if len(parameters) > 1 and parameters[1].lower() != "none" else None
    if unit not in {"s", "ms", "us", "ns"}:
        raise reader.fail(f"has no time unit {unit!r}", "the units are s, ms, us and ns")
    return pa.timestamp(unit, zone)


_SCALARS: dict[str, Callable[[TypeReader, str, list[str], int], pa.DataType]] = {
    "decimal": _decimal,
    "float": _float,
    "double": _float,
    "bit": _bit,
    "timestamp": _timestamp,
    "timestamp_ntz": _timestamp,
    "arrow_timestamp": _arrow_timestamp,
}
