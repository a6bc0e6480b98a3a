"""The reader of type names: a word of its system, parameters, and types within types."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import NamedTuple

import pyarrow as pa

from tidegate.errors import MetadataError
from tidegate.expressions.type_words import AMBIGUOUS, DECIMAL_DEFAULT, DECIMAL_DEFAULTS, OVERRIDES, WORDS

MAX_PRECISION = 38
_MAX_FRACTION_DIGITS = 7  # datetime2(7) counts 100 ns; microseconds are what every destination keeps
_FLOAT_BITS = 24
_MAX_DEPTH = 64

_TOKEN = re.compile(r"\s*(?:`((?:[^`]|``)*)`|\"((?:[^\"]|\"\")*)\"|'([^']*)'|([^\W\d][\w$]*)|([+-]?\d+)|(\S))")
_QUOTED, _WORD, _SYMBOL = {1, 2}, 4, 6  # groups of _TOKEN
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
        """Return the type that the whole text names."""
        if not self.tokens:
            raise type_error("a data type is empty", "write a type such as `string`, `bigint` or `decimal(18,2)`")
        dtype = self._type(0)
        if self.at < len(self.tokens):
            raise self.fail(f"cannot be read after {self.tokens[self.at - 1][1]!r}")
        return dtype

    def fail(self, why: str, hint: str | None = None) -> MetadataError:
        """Return the error of this text."""
        return type_error(f"data type {self.text.strip()!r} {why}", hint)

    def _peek(self, symbol: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at] == (_SYMBOL, symbol)

    def _take(self, symbol: str) -> bool:
        found = self._peek(symbol)
        self.at += found
        return found

    def _expect(self, *symbols: str) -> None:
        if not any(self._take(symbol) for symbol in symbols):
            raise self.fail(f"lacks {symbols[0]!r}")

    def _word(self) -> str | None:
        """Take a word that belongs to a type name, or nothing."""
        if self.at < len(self.tokens) and self.tokens[self.at][0] == _WORD:
            word = self.tokens[self.at][1].lower()
            if word not in _STOP:
                self.at += 1
                return word
        return None

    def _type(self, depth: int) -> pa.DataType:
        if depth > _MAX_DEPTH:
            raise self.fail("is nested too deeply")
        name = self._name()
        family = self.words.get(name)
        is_nested = family in {"array", "struct", "map"}
        dtype = self._nested(str(family), depth) if is_nested else self._scalar(name, depth)
        while self._peek("[") and self.tokens[self.at + 1 : self.at + 2] == [(_SYMBOL, "]")]:
            self.at += 2
            dtype = pa.list_(dtype)
        return dtype

    def _name(self) -> str:
        words: list[str] = []
        while (word := self._word()) is not None:
            words.append(word)
        return " ".join(words)

    def _nested(self, family: str, depth: int) -> pa.DataType:
        self._expect("<", "(")
        if family == "struct":
            fields = [] if self._peek(">") or self._peek(")") else [self._field(depth)]
            while self._take(","):
                fields.append(self._field(depth))
            self._expect(">", ")")
            for one, other in pairwise(sorted(field.name.lower() for field in fields)):
                if one == other:
                    raise self.fail(f"names field {one!r} twice")
            return pa.struct(fields)
        if family == "array":
            self._label()
            value = self._type(depth + 1)
            self._expect(">", ")")
            return pa.list_(value)
        key = self._type(depth + 1)
        self._expect(",")
        value = self._type(depth + 1)
        self._expect(">", ")")
        return pa.map_(key, value)

    def _label(self) -> None:
        """Skip the label that Arrow writes before an element: ``list<item: int64>``."""
        if self.tokens[self.at + 1 : self.at + 2] == [(_SYMBOL, ":")]:
            self.at += 2

    def _field(self, depth: int) -> pa.Field:
        if self.at >= len(self.tokens) or self.tokens[self.at][0] not in {*_QUOTED, _WORD}:
            raise self.fail("lacks the name of a field", "write struct<name: type, ...>")
        group, name = self.tokens[self.at]
        self.at += 1
        if group in _QUOTED:
            quote = "`" if group == 1 else '"'
            name = name.replace(quote * 2, quote)
        self._take(":")
        dtype = self._type(depth + 1)
        nullable = True
        while self.at < len(self.tokens) and self.tokens[self.at][1].lower() in {"not", "null"}:
            nullable = nullable and self.tokens[self.at][1].lower() != "not"
            self.at += 1
        return pa.field(name, dtype, nullable)

    def _scalar(self, name: str, depth: int) -> pa.DataType:
        closing = ")" if self._take("(") else None
        if closing is None and self._peek("[") and self.tokens[self.at + 1 : self.at + 2] != [(_SYMBOL, "]")]:
            self._take("[")
            closing = "]"
        parameters = self._parameters(closing) if closing else []
        trailing = self._name()
        full = f"{name} {trailing}".strip()
        family = self.words.get(full)
        if family is None:
            if full in self.refused:
                raise self.fail("is not accepted", self.refused[full])
            raise self.fail("is unknown", closest(full, self.words) or "see `tidegate explain TG305` for the types")
        if closing == "]" and family.endswith(("timestamp", "timestamp_ntz")):
            family = "arrow_timestamp"
        return _SCALARS.get(family, _plain)(self, _Named(family, parameters, depth))

    def _parameters(self, closing: str) -> list[str]:
        """Take the parameters up to the closing bracket; of ``tz=UTC`` and ``time_zone='UTC'`` the value."""
        values: list[str] = []
        current = ""
        while not self._take(closing):
            if self.at >= len(self.tokens):
                raise self.fail(f"lacks {closing!r}")
            _, written = self.tokens[self.at]
            self.at += 1
            if written in {"=", ","}:
                values += [current] if written == "," else []
                current = ""
            else:
                current += written
        return [*values, current] if current else values


class _Named(NamedTuple):
    """A family with its parameters, and how deep within other types it stands."""

    family: str
    parameters: list[str]
    depth: int


def _numbers(reader: TypeReader, parameters: list[str]) -> list[int]:
    if all(re.fullmatch(r"[+-]?\d+", value) for value in parameters):
        return [int(value) for value in parameters]
    raise reader.fail(f"has parameters that are not numbers: {', '.join(parameters)}")


def _plain(reader: TypeReader, named: _Named) -> pa.DataType:
    if named.parameters and named.family != "string":
        _numbers(reader, [value for value in named.parameters if value not in {"us", "day", "max"}])
    is_mysql_flag = named.family == "tinyint" and reader.system == "mysql" and named.parameters == ["1"]
    return pa.bool_() if is_mysql_flag else PLAIN[named.family]


def _decimal(reader: TypeReader, named: _Named) -> pa.DataType:
    numbers = _numbers(reader, named.parameters)
    precision, scale = reader.hinted if named.depth == 0 and not numbers else (None, None)
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


def _float(reader: TypeReader, named: _Named) -> pa.DataType:
    bits = _numbers(reader, named.parameters)
    if bits and len(bits) == 1:
        return pa.float32() if bits[0] <= _FLOAT_BITS else pa.float64()
    return PLAIN[named.family]


def _bit(reader: TypeReader, named: _Named) -> pa.DataType:
    if named.parameters not in ([], ["1"]):
        raise reader.fail("is a string of bits", "use binary or string")
    return pa.bool_()


def _timestamp(reader: TypeReader, named: _Named) -> pa.DataType:
    if any(digits > _MAX_FRACTION_DIGITS for digits in _numbers(reader, named.parameters)):
        raise reader.fail("counts finer than microseconds", f"use {named.family}, which keeps microseconds")
    return PLAIN[named.family]


def _arrow_timestamp(reader: TypeReader, named: _Named) -> pa.DataType:
    unit = (named.parameters[0] if named.parameters else "us").replace("μ", "u").replace("µ", "u")
    zone = named.parameters[1] if len(named.parameters) > 1 and named.parameters[1].lower() != "none" else None
    if unit not in {"s", "ms", "us", "ns"}:
        raise reader.fail(f"has no time unit {unit!r}", "the units are s, ms, us and ns")
    return pa.timestamp(unit, zone)


_SCALARS: dict[str, Callable[[TypeReader, _Named], pa.DataType]] = {
    "decimal": _decimal,
    "float": _float,
    "double": _float,
    "bit": _bit,
    "timestamp": _timestamp,
    "timestamp_ntz": _timestamp,
    "arrow_timestamp": _arrow_timestamp,
}
