"""The pass over a bound expression that settles what depends on types.

Text literals become dates, times or numbers where they meet one (``order_date >= '2024-01-01'``), instants meet naive
timestamps as UTC, days are added to dates; and what would mean one thing in one engine and another in the next is
refused.
"""

from __future__ import annotations

from tidegate.expressions.alignment import CAST_HINTS, a_kind, aligned, as_temporal, require, stamp
from tidegate.expressions.errors import unavailable
from tidegate.expressions.functions import BY_NAME
from tidegate.expressions.kinds import (
    GROUPS,
    OPEN,
    TEMPORALS,
    is_whole,
    kind_of,
    kind_of_word,
)
from tidegate.expressions.nodes import Call, Cast, Interval, Kind, Literal, Node, show

_ALIGNED = frozenset(
    [
        "=",
        "<>",
        "<",
        "<=",
        ">",
        ">=",
        "is_same",
        "is_other",
        "in",
        "between",
        "nullif",
        "coalesce",
        "greatest",
        "least",
    ]
)
_ARITHMETIC = frozenset(["+", "-", "*", "/", "mod", "negate"])
_LOGICAL = frozenset(["and", "or", "not", "is_true", "is_false"])
_TEXT = frozenset(["||", "like", "ilike"])

_CASTS: dict[Kind, frozenset[Kind]] = {
    "boolean": frozenset({"boolean", "integer", "text"}),
    "integer": frozenset({"boolean", "integer", "text"}),
    "decimal": frozenset({"boolean", "integer", "decimal", "float", "text"}),
    "float": frozenset({"boolean", "integer", "decimal", "float", "text"}),
    "text": GROUPS["stringable"],
    "date": TEMPORALS | {"text"},
    "timestamp": TEMPORALS | {"text"},
    "timestamp_utc": TEMPORALS | {"text"},
    "time": frozenset({"time"}),
    "binary": frozenset({"binary"}),
}
"""Kinds that may be cast to a kind, because engines agree on the result."""


def settle(node: Node) -> Node:
    """Return the node with everything that depends on types settled.

    Raises:
        MetadataError: types do not fit each other, or engines disagree about them (TG109).
    """
    match node:
        case Cast(operand=operand, target=target, lenient=lenient):
            return _settled_cast(Cast(settle(operand), target, lenient))
        case Call(function=name, arguments=arguments):
            return _settled_call(name, tuple(settle(argument) for argument in arguments))
        case _:
            return node


def _settled_cast(cast: Cast) -> Node:
    kind, target = kind_of(cast.operand), kind_of_word(cast.target)
    if target not in _CASTS:
        raise unavailable(f"{show(cast)}: expressions do not convert to {cast.target}")
    is_cut = target == "integer" and kind in {"decimal", "float"} and is_whole(cast.operand)
    if kind not in _CASTS[target] and kind not in OPEN and not is_cut:
        hint = CAST_HINTS.get((kind, target), f"{cast.target} is made from {', '.join(sorted(_CASTS[target]))}")
        raise unavailable(f"{show(cast)}: {a_kind(kind)} is not converted to {cast.target} in one way", hint=hint)
    return cast


def _settled_call(name: str, arguments: tuple[Node, ...]) -> Node:
    if name in _ALIGNED:
        return Call(name, aligned(name, arguments))
    if name == "case":
        for condition in arguments[:-1:2]:
            require(name, condition, "boolean")
        values = aligned(name, (*arguments[1:-1:2], arguments[-1]))
        conditions = [_typed_null(condition, "boolean") for condition in arguments[:-1:2]]
        pairs = zip(conditions, values[:-1], strict=True)
        return Call(name, (*(part for pair in pairs for part in pair), values[-1]))
    if name in _ARITHMETIC:
        return _settled_arithmetic(name, arguments)
    if name in _LOGICAL:
        for argument in arguments:
            require(name, argument, "boolean")
        return Call(name, tuple(_typed_null(argument, "boolean") for argument in arguments))
    if name in _TEXT:
        for argument in arguments:
            require(name, argument, "stringable" if name == "||" else "text")
        return Call(name, arguments)
    return _settled_function(name, arguments) if name in BY_NAME else Call(name, arguments)


def _settled_function(name: str, arguments: tuple[Node, ...]) -> Node:
    settled: list[Node] = []
    for position, argument in enumerate(arguments):
        group = BY_NAME[name].accepts[min(position, len(BY_NAME[name].accepts) - 1)]
        if group == "temporal" or (name == "datediff" and position):
            settled.append(as_temporal(argument))
            require(name, settled[-1], "temporal")
        else:
            settled.append(argument)
            if group not in {"any", "unit"}:
                require(name, argument, group)
        settled[-1] = _typed_null(settled[-1], group)
    if name in {"date_add", "date_sub"}:
        return _moved(name, settled[0], settled[1])
    if name == "dateadd":
        one = Literal(_UNIT_SPANS[str(settled[0].value)], "interval")  # type: ignore[union-attr]
        return _settled_arithmetic("+", (settled[2], _settled_arithmetic("*", (settled[1], one))))
    if name == "date":
        return _settled_cast(Cast(as_temporal(settled[0]), "date"))
    if name == "to_timestamp" and len(settled) == 1:
        return _settled_cast(Cast(settled[0], "timestamp_ntz"))
    if name == "datediff":
        return Call(name, (settled[0], *aligned(name, tuple(settled[1:]))))
    return Call(name, tuple(settled))


_NULLS = {
    "text": "string",
    "integer": "bigint",
    "number": "bigint",
    "temporal": "timestamp_ntz",
    "boolean": "boolean",
}


def _typed_null(node: Node, group: str) -> Node:
    """Give a NULL the type that its place asks for; Polars knows no untyped NULL there."""
    is_null = isinstance(node, Literal) and node.value is None
    return Cast(node, _NULLS[group]) if is_null and group in _NULLS else node


_UNIT_SPANS = {
    "year": Interval(months=12),
    "quarter": Interval(months=3),
    "month": Interval(months=1),
    "week": Interval(days=7),
    "day": Interval(days=1),
    "hour": Interval(microseconds=3_600_000_000),
    "minute": Interval(microseconds=60_000_000),
    "second": Interval(microseconds=1_000_000),
}


def _moved(name: str, start: Node, amount: Node) -> Node:
    """``date_add(d, 3)`` counts days and gives a date; ``date_add(d, interval ...)`` is ``d + interval ...``."""
    if kind_of(amount) == "interval":
        return _settled_arithmetic("+" if name == "date_add" else "-", (start, amount))
    require(name, amount, "integer")
    return Call(name, (start, amount))


def _settled_arithmetic(name: str, arguments: tuple[Node, ...]) -> Node:
    kinds = [kind_of(argument) for argument in arguments]
    if "interval" in kinds:
        return _settled_interval(name, arguments)
    if name in {"+", "-"} and any(kind in TEMPORALS for kind in kinds):
        return _settled_dates(name, arguments)
    for argument in arguments:
        if kind_of(argument) == "text":
            hint = "join texts with ||, and cast a text to a number: cast(x as decimal(18,2))"
            raise unavailable(f"{show(Call(name, arguments))} computes with text", hint=hint)
        require(name, argument, "number")
    return Call(name, tuple(_typed_null(argument, "number") for argument in arguments))


def _settled_dates(name: str, arguments: tuple[Node, ...]) -> Node:
    one, other = (as_temporal(argument) for argument in arguments)
    kinds = (kind_of(one), kind_of(other))
    if name == "-" and kinds == ("date", "date"):
        return Call("datediff", (Literal("day", "text"), other, one))
    if name == "-" and all(kind in TEMPORALS for kind in kinds):
        return Call(name, aligned(name, (stamp(one), stamp(other))))
    if kinds[0] == "date" and kinds[1] in {"integer", "null"}:
        return Call("date_add" if name == "+" else "date_sub", (one, other))
    if kinds == ("integer", "date") and name == "+":
        return Call("date_add", (other, one))
    hint = "write x + interval '1 day', or datediff('day', a, b)"
    raise unavailable(
        f"{show(Call(name, arguments))} has no one meaning for {a_kind(kinds[0])} and {a_kind(kinds[1])}", hint=hint
    )


def _settled_interval(name: str, arguments: tuple[Node, ...]) -> Node:
    one, other = arguments
    if name == "+" and kind_of(one) == "interval":
        one, other = other, one
    kinds = (kind_of(one), kind_of(other))
    if name == "*" and "interval" in kinds:
        count, span = (one, other) if kinds[1] == "interval" else (other, one)
        if kind_of(count) in {"integer", "null", "unknown"} and isinstance(span, Literal):
            return _multiplied(count, span)
    if name in {"+", "-"} and kinds[1] == "interval" and kinds[0] in TEMPORALS | {"unknown"}:
        return Call(name, (stamp(one), other))
    raise unavailable(
        f"{show(Call(name, arguments))}: this is not done with an interval",
        hint="add it to a date or timestamp, or multiply it by a whole number",
    )


def _multiplied(count: Node, span: Literal) -> Node:
    value = span.value
    if not isinstance(value, Interval):
        raise TypeError(span)
    if isinstance(count, Literal) and isinstance(count.value, int):
        factor = count.value
        product = Interval(value.months * factor, value.days * factor, value.microseconds * factor)
        return Literal(product, "interval")
    if value.months:
        message = f"{show(count)} months cannot be added: Polars adds only a fixed number of months"
        raise unavailable(message, hint="write the number of months as a literal, or add days")
    return Call("*", (count, span))
