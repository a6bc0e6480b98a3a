"""Expressions as DuckDB SQL, for a session whose time zone is UTC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from tidegate.expressions.calls import (
    digits,
    filling,
    matching,
    reading_format,
    replacing,
    trimming,
    writing_format,
)
from tidegate.expressions.kinds import kind_of, kind_of_word
from tidegate.expressions.nodes import Cast, Interval, Kind, Node
from tidegate.expressions.polars_cast import DATE_SHAPE
from tidegate.expressions.rendering import Renderer, quoted, untyped

Rule = Callable[[Renderer, tuple[Node, ...]], str]


_NUMBER = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"
_SHAPES: dict[Kind, str] = {
    "integer": "^[+-]?[0-9]+$",
    "decimal": f"^{_NUMBER}$",
    "float": f"^({_NUMBER}|[+-]?(?i:inf|infinity|nan))$",
    **dict.fromkeys(("date", "timestamp", "timestamp_utc"), DATE_SHAPE),
}
"""What text a TRY_CAST reads, in every engine; other text is NULL."""


def _arithmetic(operator: str) -> Rule:
    """Integers compute in 64 bits, as everywhere; DuckDB would take the narrower type of the operands."""

    def rule(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
        one, other = (renderer.render(argument) for argument in arguments)
        kinds = [kind_of(argument) for argument in arguments]
        if all(kind in {"integer", "null"} for kind in kinds):
            return f"(CAST({one} AS BIGINT) {operator} CAST({other} AS BIGINT))"
        if operator == "*" and "interval" in kinds:
            return f"({one} * {other})"
        return f"({one} {operator} {other})"

    return rule


def _divided(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    return "(" + " / ".join(f"CAST({renderer.render(argument)} AS DOUBLE)" for argument in arguments) + ")"


def _remainder(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    one, other = (renderer.render(argument) for argument in arguments)
    kinds = {renderer.known(argument, "a remainder") for argument in arguments}
    if "float" in kinds:
        return f"({one} % {other})"
    rendered = f"({one} % NULLIF({other}, 0))"
    return rendered if "decimal" in kinds else f"CAST({rendered} AS BIGINT)"


def _integer(template: str) -> Rule:
    """The result of an integer function is a bigint."""

    def rule(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
        number = renderer.render(arguments[0])
        if kind_of(arguments[0]) == "integer":
            return template.format(f"CAST({number} AS BIGINT)")
        return template.format(number)

    return rule


def _rounded(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    decimals = digits(arguments)
    kind = renderer.known(arguments[0], "rounding")
    number = renderer.render(arguments[0])
    if kind == "integer":
        return number
    return f"round({number}, {decimals})" if kind == "decimal" else f"round(CAST({number} AS DOUBLE), {decimals})"


def _cut(name: str) -> Rule:
    def rule(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
        number = renderer.render(arguments[0])
        return number if kind_of(arguments[0]) == "integer" else f"{name}({number})"

    return rule


def _named(name: str) -> Rule:
    def rule(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
        return f"{name}({', '.join(renderer.render(argument) for argument in arguments)})"

    return rule


def _upper(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    """DuckDB maps letter to letter; Unicode, Polars and Spark make 'SS' of 'ß'."""
    return f"upper(replace({renderer.render(arguments[0])}, 'ß', 'SS'))"


def _trimmed(name: str) -> Rule:
    def rule(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
        characters = trimming(arguments)
        extra = "" if characters is None else f", {quoted(characters)}"
        return f"{name}({renderer.render(arguments[0])}{extra})"

    return rule


def _padded(name: str) -> Rule:
    def rule(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
        text, count = (renderer.render(argument) for argument in arguments[:2])
        return f"{name}({text}, CAST({_not_negative(count)} AS INTEGER), {quoted(filling(arguments))})"

    return rule


def _substring(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    text, start, *length = (renderer.render(argument) for argument in arguments)
    return f"substring({', '.join([text, start, *(_not_negative(count) for count in length)])})"


def _not_negative(count: str) -> str:
    return f"CASE WHEN {count} < 0 THEN 0 ELSE {count} END"


def _matches(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    parts = [quoted(part) for part in matching(arguments) if part]
    return f"regexp_matches({renderer.render(arguments[0])}, {', '.join(parts)})"


def _rewritten(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    parts = [quoted(part) for part in replacing(arguments)]
    return f"regexp_replace({renderer.render(arguments[0])}, {', '.join(parts)})"


def _extracted(part: str) -> Rule:
    def rule(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
        return f"{part}({renderer.render(arguments[0])})"

    return rule


def _moved(operator: str) -> Rule:
    def rule(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
        day, count = (renderer.render(argument) for argument in arguments)
        return f"(CAST({day} AS DATE) {operator} CAST({count} AS INTEGER))"

    return rule


def _formatted(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    return f"strftime({renderer.render(arguments[0])}, {quoted(writing_format(arguments))})"


def _read(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    return f"strptime({renderer.render(arguments[0])}, {quoted(reading_format(arguments) or '')})"


class DuckDBRenderer(Renderer):
    """Writes what DuckDB reads."""

    types: ClassVar[Mapping[str, str]] = {
        "string": "VARCHAR",
        "tinyint": "TINYINT",
        "smallint": "SMALLINT",
        "int": "INTEGER",
        "bigint": "BIGINT",
        "utinyint": "UTINYINT",
        "usmallint": "USMALLINT",
        "uint": "UINTEGER",
        "ubigint": "UBIGINT",
        "float": "FLOAT",
        "double": "DOUBLE",
        "boolean": "BOOLEAN",
        "date": "DATE",
        "time": "TIME",
        "timestamp": "TIMESTAMPTZ",
        "timestamp_ntz": "TIMESTAMP",
        "binary": "BLOB",
    }
    rules: ClassVar[Mapping[str, Rule]] = {
        **{operator: _arithmetic(operator) for operator in "+-*"},
        "/": _divided,
        "mod": _remainder,
        "negate": _integer("(- {})"),
        "abs": _integer("abs({})"),
        "sign": lambda renderer, arguments: f"CAST(sign({renderer.render(arguments[0])}) AS BIGINT)",
        "round": _rounded,
        "floor": _cut("floor"),
        "ceil": _cut("ceil"),
        "trunc": _cut("trunc"),
        "upper": _upper,
        **{name: _trimmed(name) for name in ("trim", "ltrim", "rtrim")},
        "substring": _substring,
        "lpad": _padded("lpad"),
        "rpad": _padded("rpad"),
        "regexp_like": _matches,
        "regexp_replace": _rewritten,
        **{part: _extracted(part) for part in ("year", "quarter", "month", "week", "day", "dayofyear", "isodow")},
        **{part: _extracted(part) for part in ("hour", "minute", "second", "epoch")},
        "datediff": _named("date_diff"),
        "date_add": _moved("+"),
        "date_sub": _moved("-"),
        "strftime": _formatted,
        "to_timestamp": _read,
        "current_date": lambda renderer, _: renderer.literal(renderer.now.date()),
        "current_timestamp": lambda renderer, _: renderer.literal(renderer.now),
    }

    def literal(self, value: object) -> str:
        """Write an interval by its parts; DuckDB reads negative ones."""
        if isinstance(value, Interval):
            return f"INTERVAL '{value.months} months {value.days} days {value.microseconds} microseconds'"
        return super().literal(value)

    def cast(self, cast: Cast) -> str:
        """Return a conversion; text that is no plain number or ISO date is NULL for TRY_CAST, as in every engine."""
        kind, target = kind_of(cast.operand), kind_of_word(cast.target)
        if kind == "unknown":
            raise untyped(cast.operand, f"a cast to {cast.target}")
        text = self.render(cast.operand)
        if cast.lenient and kind == "text" and target in _SHAPES:
            trimmed = f"trim({text}, chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || ' ')"
            text = f"CASE WHEN regexp_matches({trimmed}, '{_SHAPES[target]}') THEN {trimmed} END"
        return f"{'TRY_CAST' if cast.lenient else 'CAST'}({text} AS {self.type_word(cast.target)})"
