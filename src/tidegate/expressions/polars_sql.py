"""Expressions as Polars SQL (2.1), with the values that DuckDB gives.

Each rule here, in :mod:`polars_text`, :mod:`polars_time` and :mod:`polars_cast` stands where Polars SQL by itself would
give another value, and says which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from tidegate.expressions.calls import digits
from tidegate.expressions.kinds import kind_of
from tidegate.expressions.nodes import Cast, Column, Literal, Node, walk
from tidegate.expressions.polars_cast import rendered_cast
from tidegate.expressions.polars_text import TEXT_RULES
from tidegate.expressions.polars_time import TIME_RULES, add_or_subtract, span
from tidegate.expressions.rendering import Renderer, untyped

_NAN = "CAST('NaN' AS DOUBLE)"
_BELOW_HALF = "0.49999999999999994e0"

Rule = Callable[[Renderer, tuple[Node, ...]], str]


def half_away(number: str, decimals: int) -> str:
    """Round a float, a half away from zero; Polars SQL rounds it to even.

    As DuckDB does it: scale, round, scale back; a number too great to be scaled has no fraction. The greatest float
    below a half is added, as 0.49999999999999994 and a half make 1.
    """
    number = f"CAST({number} AS DOUBLE)"
    if not decimals:
        return f"TRUNC({number} + SIGN({number}) * {_BELOW_HALF})"
    rounded = quotient(f"TRUNC({number} * 1e{decimals} + SIGN({number}) * {_BELOW_HALF})", f"1e{decimals}")
    return f"CASE WHEN ABS({number}) > 1e{308 - decimals} THEN {number} ELSE {rounded} END"


def _wide(renderer: Renderer, node: Node) -> str:
    text = renderer.render(node)
    return text if isinstance(node, Literal) and node.value is not None else f"CAST({text} AS DECIMAL(38,0))"


def _arithmetic(operator: str) -> Rule:
    """Integers compute in 128 bits and are narrowed strictly; Polars wraps around on overflow."""

    def rule(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
        kinds = [kind_of(argument) for argument in arguments]
        if "interval" in kinds or any(kind.startswith("timestamp") for kind in kinds):
            return add_or_subtract(renderer, operator, arguments)
        if any(kind in {"float", "decimal"} for kind in kinds):
            one, other = (renderer.render(argument) for argument in arguments)
            return f"({one} {operator} {other})"
        for argument in arguments:
            renderer.known(argument, f"'{operator}'")
        one, other = (_wide(renderer, argument) for argument in arguments)
        if all(isinstance(argument, Literal) for argument in arguments):
            one = f"CAST({one} AS DECIMAL(38,0))"
        return f"CAST(({one} {operator} {other}) AS BIGINT)"

    return rule


def _multiplied(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    if "interval" in {kind_of(argument) for argument in arguments}:
        return span(renderer, arguments)
    return _arithmetic("*")(renderer, arguments)


def quotient(number: str, divisor: str) -> str:
    """Divide by a constant. Polars would multiply by its reciprocal: 57 / 100 became 0.5700000000000001.

    Made a column, the divisor is divided by.
    """
    return f"({number} / {as_column(divisor, number)})"


def as_column(constant: str, beside: str) -> str:
    """Add a term that is 0, or stands beside a NULL, so that Polars sees no constant to be clever about."""
    return f"({constant} + CAST({beside} IS NULL AS DOUBLE))"


def _divided(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    """Divide floats: Polars divides decimals into decimals of six more digits, and fails on zero."""
    number, divisor = (f"CAST({renderer.render(argument)} AS DOUBLE)" for argument in arguments)
    has_columns = [any(isinstance(node, Column) for node in walk(argument)) for argument in arguments]
    return quotient(number, divisor) if has_columns == [True, False] else f"({number} / {divisor})"


def _remainder(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    kinds = {renderer.known(argument, "a remainder") for argument in arguments}
    one, other = (renderer.render(argument) for argument in arguments)
    if "float" in kinds:
        return f"({one} % {other})"
    is_safe = isinstance(arguments[1], Literal) and arguments[1].value != 0
    divided = f"({one} % {other})" if is_safe else f"({one} % NULLIF({other}, 0))"
    return divided if "decimal" in kinds else f"CAST({divided} AS BIGINT)"


def _unary(template: str) -> Rule:
    """Negate or take the absolute value: of the least integer Polars gives a negative one."""

    def rule(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
        if renderer.known(arguments[0], "a sign") == "integer":
            return f"CAST({template.format(_wide(renderer, arguments[0]))} AS BIGINT)"
        return template.format(renderer.render(arguments[0]))

    return rule


def _rounded(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    decimals = digits(arguments)
    kind = renderer.known(arguments[0], "rounding")
    number = renderer.render(arguments[0])
    if kind == "integer":
        return number
    return f"ROUND({number}, {decimals})" if kind == "decimal" else half_away(number, decimals)


def _cut(name: str) -> Rule:
    def rule(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
        number = renderer.render(arguments[0])
        return number if kind_of(arguments[0]) == "integer" else f"{name}({number})"

    return rule


def _sign(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    """Polars gives the sign in the number's own type, and NaN for NaN."""
    number = renderer.render(arguments[0])
    is_nan = f"WHEN {number} = {_NAN} THEN 0 " if kind_of(arguments[0]) in {"float", "unknown"} else ""
    signs = f"WHEN {number} > 0 THEN 1 WHEN {number} < 0 THEN -1 WHEN {number} = 0 THEN 0"
    return f"CAST(CASE {is_nan}{signs} END AS BIGINT)"


def _power(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    """Raise floats: Polars raises integers to integers, which wraps around, and takes a root for the power 0.5."""
    number, exponent = (f"CAST({renderer.render(argument)} AS DOUBLE)" for argument in arguments)
    is_constant = not any(isinstance(node, Column) for node in walk(arguments[1]))
    return f"POWER({number}, {as_column(exponent, number) if is_constant else exponent})"


def _of_floats(name: str) -> Rule:
    """Compute with floats, whatever the number is."""

    def rule(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
        return f"{name}({', '.join(f'CAST({renderer.render(argument)} AS DOUBLE)' for argument in arguments)})"

    return rule


def _greatest(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    """NaN is the greatest number; Polars passes over it."""
    kinds = [renderer.known(argument, "greatest") for argument in arguments]
    rendered = [renderer.render(argument) for argument in arguments]
    plain = f"GREATEST({', '.join(rendered)})"
    floats = [text for text, kind in zip(rendered, kinds, strict=True) if kind == "float"]
    if not floats:
        return plain
    return f"CASE WHEN {' OR '.join(f'{text} = {_NAN}' for text in floats)} THEN {_NAN} ELSE {plain} END"


class PolarsRenderer(Renderer):
    """Writes what `polars.sql_expr` reads."""

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
        "float": "REAL",
        "double": "DOUBLE",
        "boolean": "BOOLEAN",
        "date": "DATE",
        "time": "TIME",
        "timestamp": "TIMESTAMPTZ",
        "timestamp_ntz": "TIMESTAMP",
        "binary": "VARBINARY",
    }
    rules: ClassVar[Mapping[str, Rule]] = {
        "+": _arithmetic("+"),
        "-": _arithmetic("-"),
        "*": _multiplied,
        "/": _divided,
        "mod": _remainder,
        "negate": _unary("(- {})"),
        "abs": _unary("ABS({})"),
        "round": _rounded,
        "floor": _cut("FLOOR"),
        "ceil": _cut("CEIL"),
        "trunc": _cut("TRUNC"),
        "sign": _sign,
        "power": _power,
        "sqrt": _of_floats("SQRT"),
        "exp": _of_floats("EXP"),
        "ln": _of_floats("LN"),
        "greatest": _greatest,
        **TEXT_RULES,
        **TIME_RULES,
    }

    def cast(self, cast: Cast) -> str:
        """Return a conversion that gives what DuckDB's gives."""
        kind = kind_of(cast.operand)
        if kind == "unknown":
            raise untyped(cast.operand, f"a cast to {cast.target}")
        return rendered_cast(self, cast, kind, half_away)
