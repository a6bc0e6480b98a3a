"""Arguments that meet each other, and arguments that must be of a kind."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from tidegate.expressions.errors import unavailable
from tidegate.expressions.kinds import GROUPS, NUMBERS, OPEN, TEMPORALS, common, kind_of
from tidegate.expressions.literals import temporal
from tidegate.expressions.nodes import Call, Cast, Kind, Literal, Node, show

CAST_HINTS: dict[tuple[Kind, Kind], str] = {
    ("float", "integer"): "Spark cuts the fraction off, DuckDB rounds: cast round(x), floor(x) or trunc(x)",
    ("decimal", "integer"): "Spark cuts the fraction off, DuckDB rounds: cast round(x), floor(x) or trunc(x)",
    ("float", "text"): "engines write floats differently: cast to decimal(p,s) first",
    ("timestamp_utc", "text"): "engines write the zone differently: use strftime(x, '%Y-%m-%d %H:%M:%S')",
    ("integer", "date"): "say what the number counts: date_add(date '1970-01-01', x)",
    (
        "integer",
        "timestamp",
    ): "say what the number counts: timestamp '1970-01-01 00:00:00' + x * interval '1 second'",
    ("date", "integer"): "say what to count: datediff('day', date '1970-01-01', x)",
    ("timestamp", "integer"): "say what to count: datediff('second', timestamp '1970-01-01 00:00:00', x)",
    ("timestamp_utc", "integer"): "say what to count: floor(epoch(x))",
}


def aligned(name: str, arguments: tuple[Node, ...]) -> tuple[Node, ...]:
    """Bring arguments that meet each other to one kind, or refuse."""
    others: list[Kind] = [kind_of(argument) for argument in arguments if not _is_text_literal(argument)]
    target = common(others)
    if target in TEMPORALS | NUMBERS | {"time"}:
        arguments = tuple(_read(argument, target) if _is_text_literal(argument) else argument for argument in arguments)
    kinds: list[Kind] = [kind_of(argument) for argument in arguments]
    together = common(kinds)
    if together is None:
        found = " and ".join(dict.fromkeys(a_kind(kind) for kind in kinds if kind != "null"))
        message = f"{show(Call(name, arguments))} mixes {found}"
        raise unavailable(message, hint="cast one of them")
    if together == "timestamp_utc":
        return tuple(
            Cast(argument, "timestamp") if kind_of(argument) in {"date", "timestamp"} else argument
            for argument in arguments
        )
    if together == "timestamp":
        return tuple(stamp(argument) for argument in arguments)
    return arguments


def _is_text_literal(node: Node) -> bool:
    return isinstance(node, Literal) and node.kind == "text"


def _read(node: Node, kind: Kind) -> Node:
    text = str(node.value) if isinstance(node, Literal) else ""
    found = _number(text) if kind in NUMBERS else temporal(text, kind)
    if found is None:
        hint = None if kind in NUMBERS else "a date is '2024-01-31', a moment timestamp '2024-01-31 13:05:00'"
        raise unavailable(f"{text!r} is compared with {a_kind(kind)}, and is none", hint=hint)
    return found


def _number(text: str) -> Literal | None:
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        return None
    if not value.is_finite():
        return Literal(float(value), "float")
    return Literal(int(text), "integer") if text.strip().lstrip("+-").isdigit() else Literal(value, "decimal")


def stamp(node: Node) -> Node:
    """A date becomes midnight where it meets an interval, as in DuckDB and PostgreSQL."""
    return Cast(node, "timestamp_ntz") if kind_of(node) == "date" else node


def as_temporal(node: Node) -> Node:
    """Turn an ISO text literal into the date or timestamp it writes."""
    if isinstance(node, Literal) and isinstance(node.value, str):
        return temporal(node.value, "date") or temporal(node.value, "timestamp") or node
    return node


def require(name: str, argument: Node, group: str) -> None:
    """Refuse an argument that is not of a group's kinds (TG109)."""
    kind = kind_of(argument)
    if kind in OPEN or kind in GROUPS[group]:
        return
    wanted = "text" if group in {"text", "stringable"} else f"a {group}".replace("a integer", "an integer")
    cast = CAST_HINTS.get((kind, "text")) if group in {"text", "stringable"} else None
    hint = cast or (f"cast it: cast({show(argument)} as string)" if wanted == "text" else None)
    raise unavailable(f"{name} takes {wanted}, and {show(argument)} is {a_kind(kind)}", hint=hint)


def a_kind(kind: Kind) -> str:
    """Return a kind as a person says it, with its article."""
    words = {"timestamp_utc": "timestamp with a zone", "text": "text", "other": "value of another type"}
    word = words.get(kind, str(kind))
    return word if word == "text" else f"an {word}" if word[0] in "aeiou" else f"a {word}"
