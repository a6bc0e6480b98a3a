"""How each clause of SQL becomes a node: literals, predicates, CASE, casts, intervals, calls."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlglot import exp

from tidegate.expressions.errors import unavailable, unparsable
from tidegate.expressions.functions import AGGREGATES, BY_NAME, WINDOWS
from tidegate.expressions.literals import span, temporal, unit_of
from tidegate.expressions.nodes import Call, Cast, Column, Interval, Literal, Node

if TYPE_CHECKING:
    from tidegate.expressions.translation import Translator

_BIGINT = 2**63
_CASTABLE_LITERALS = {
    "date": "date",
    "timestamp_ntz": "timestamp",
    "timestamp": "timestamp_utc",
    "time": "time",
}
_PARTS = {
    "dow": "dow",
    "dayofweek": "dayofweek",
    "doy": "dayofyear",
    "dayofyear": "dayofyear",
    "isodow": "isodow",
    "epoch": "epoch",
}


def _column(translator: Translator, tree: exp.Expr) -> Node:
    if tree.args.get("table") or isinstance(tree.this, exp.Star):
        hint = f'a row has one table: write the column alone; a name with a dot is quoted: "{tree.sql()}"'
        raise unparsable(f"expression names a column of a table: {tree.sql()}", translator.text, hint=hint)
    return Column(tree.name)


def _literal(translator: Translator, tree: exp.Expr) -> Node:
    text = str(tree.this)
    if tree.args.get("is_string"):
        return Literal(text, "text")
    if "e" in text.lower():
        return Literal(float(text), "float")
    if "." in text:
        return Literal(Decimal(text), "decimal")
    return _integer(translator, int(text))


def _integer(translator: Translator, value: int) -> Literal:
    if not -_BIGINT <= value < _BIGINT:
        message = f"number {value} does not fit a bigint"
        raise unparsable(message, translator.text, hint=f"write {value}.0 for a decimal")
    return Literal(value, "integer")


def _negative(translator: Translator, tree: exp.Expr) -> Node:
    operand = tree.this
    if isinstance(operand, exp.Literal) and not operand.is_string and str(operand.this).isdigit():
        return _integer(translator, -int(operand.this))
    node = translator.node(operand)
    match node:
        case Literal(value=Interval(months=months, days=days, microseconds=rest)):
            return Literal(Interval(-months, -days, -rest), "interval")
        case Literal(value=int() | float() | Decimal() as value, kind="integer" | "decimal" | "float" as kind):
            return Literal(-value, kind)
        case _:
            return Call("negate", (node,))


def _is(translator: Translator, tree: exp.Expr) -> Node:
    operand = translator.node(tree.this)
    if isinstance(tree.expression, exp.Null):
        return Call("is_null", (operand,))
    if isinstance(tree.expression, exp.Boolean):
        return Call("is_true" if tree.expression.this else "is_false", (operand,))
    raise translator.unsupported(tree)


def _in(translator: Translator, tree: exp.Expr) -> Node:
    if tree.args.get("query") or tree.args.get("unnest") or tree.args.get("field"):
        raise translator.unsupported(tree)
    translator.only(tree, "this", "expressions")
    members = tuple(translator.node(member) for member in tree.expressions)
    if not members:
        raise unparsable("expression has an empty IN ()", translator.text, hint="list at least one value")
    return Call("in", (translator.node(tree.this), *members))


def _between(translator: Translator, tree: exp.Expr) -> Node:
    translator.only(tree, "this", "low", "high")
    return Call("between", tuple(translator.node(tree.args[part]) for part in ("this", "low", "high")))


def _like(translator: Translator, tree: exp.Expr) -> Node:
    translator.only(tree, "this", "expression")
    name = "like" if isinstance(tree, exp.Like) else "ilike"
    pattern = translator.node(tree.expression)
    if not isinstance(pattern, Literal) or not isinstance(pattern.value, str):
        hint = "for a pattern in a column use starts_with, ends_with or contains"
        raise unavailable(f"{name} takes a pattern in quotes", translator.text, hint=hint)
    if "\\" in pattern.value:
        hint = "use contains, starts_with, ends_with or regexp_like"
        raise unavailable(f"{name} reads a backslash differently in each engine", translator.text, hint=hint)
    return Call(name, (translator.node(tree.this), pattern))


def _escape(translator: Translator, _: exp.Expr) -> Node:
    hint = "use contains, starts_with, ends_with or regexp_like"
    raise unavailable("LIKE ... ESCAPE is not available in Polars", translator.text, hint=hint)


def _case(translator: Translator, tree: exp.Expr) -> Node:
    translator.only(tree, "this", "ifs", "default")
    operand = translator.node(tree.this) if tree.this else None
    parts: list[Node] = []
    for branch in tree.args["ifs"]:
        condition = translator.node(branch.this)
        parts.append(condition if operand is None else Call("=", (operand, condition)))
        parts.append(translator.node(branch.args["true"]))
    default = tree.args.get("default")
    parts.append(translator.node(default) if default is not None else Literal(None, "null"))
    return Call("case", tuple(parts))


def _cast(translator: Translator, tree: exp.Expr) -> Node:
    translator.only(tree, "this", "to", "safe")
    lenient = isinstance(tree, exp.TryCast)
    target = translator.data_type(tree.args["to"])
    operand = translator.node(tree.this)
    if isinstance(operand, Literal) and isinstance(operand.value, str) and target in _CASTABLE_LITERALS:
        literal = temporal(operand.value, _CASTABLE_LITERALS[target])  # type: ignore[arg-type]
        if literal is None and not lenient:
            hint = "ISO: 2024-01-31, 2024-01-31 13:05:00"
            raise unparsable(f"{operand.value!r} is not a {target}", translator.text, hint=hint)
        return literal or Cast(Literal(None, "null"), target)
    return Cast(operand, target, lenient)


def _extract(translator: Translator, tree: exp.Expr) -> Node:
    part = tree.this.name.lower() if hasattr(tree.this, "name") else str(tree.this)
    return translator.function(_PARTS.get(part) or unit_of(part) or part, (translator.node(tree.expression),), None)


def _trim(translator: Translator, tree: exp.Expr) -> Node:
    translator.only(tree, "this", "expression", "position")
    side = str(tree.args.get("position") or "BOTH").upper()
    name = {"LEADING": "ltrim", "TRAILING": "rtrim", "BOTH": "trim"}[side]
    operands = (tree.this, tree.expression) if tree.args.get("expression") else (tree.this,)
    return translator.function(name, tuple(translator.node(operand) for operand in operands), None)


def _substring(translator: Translator, tree: exp.Expr) -> Node:
    translator.only(tree, "this", "start", "length")
    parts = (tree.this, tree.args.get("start"), tree.args.get("length"))
    given = tuple(translator.node(part) for part in parts if part is not None)
    return translator.function("substring", given, None)


def _position(translator: Translator, tree: exp.Expr) -> Node:
    translator.only(tree, "this", "substr")
    return Call("strpos", (translator.node(tree.this), translator.node(tree.args["substr"])))


def _interval(translator: Translator, tree: exp.Expr) -> Node:
    unit = tree.args.get("unit")
    if isinstance(tree.this, exp.Literal):
        value = span(str(tree.this.this), unit.name if unit is not None else None)
        if value is None:
            hint = "write interval '3 days', interval 3 day or interval '1 month 2 days'; whole numbers only"
            raise unparsable(
                f"expression has an interval that cannot be read: {tree.sql()}", translator.text, hint=hint
            )
        return Literal(value, "interval")
    one = span("1", unit.name) if unit is not None else None
    if one is None:
        raise unparsable(f"expression has an interval without a unit: {tree.sql()}", translator.text)
    return Call("*", (translator.node(tree.this), Literal(one, "interval")))


def _anonymous(translator: Translator, tree: exp.Expr) -> Node:
    offset = tree.meta.get("start")
    name = str(tree.this)
    lower = name.lower()
    if lower in {"date_part", "datepart"} and tree.expressions:
        part, *rest = tree.expressions
        return _extract(translator, exp.Extract(this=part, expression=rest[0] if rest else None))
    if lower in AGGREGATES or lower in WINDOWS or lower not in BY_NAME:
        return translator.function(name, (), offset)
    return translator.function(name, tuple(translator.node(argument) for argument in tree.expressions), offset)


CLAUSES: dict[type[exp.Expr], Callable[[Translator, exp.Expr], Node]] = {
    exp.Paren: lambda translator, tree: translator.node(tree.this),
    exp.Column: _column,
    exp.Literal: _literal,
    exp.Boolean: lambda _, tree: Literal(bool(tree.this), "boolean"),
    exp.Null: lambda _, __: Literal(None, "null"),
    exp.Neg: _negative,
    exp.Not: lambda translator, tree: Call("not", (translator.node(tree.this),)),
    exp.Is: _is,
    exp.In: _in,
    exp.Between: _between,
    exp.Like: _like,
    exp.ILike: _like,
    exp.Escape: _escape,
    exp.Case: _case,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Extract: _extract,
    exp.Trim: _trim,
    exp.Substring: _substring,
    exp.StrPosition: _position,
    exp.Interval: _interval,
    exp.Anonymous: _anonymous,
    exp.CurrentDate: lambda _, __: Call("current_date", ()),
    exp.CurrentTimestamp: lambda _, __: Call("current_timestamp", ()),
}
