"""The expression tree: columns, literals, calls and casts; small, immutable, independent of any parser or engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Literal as OneOf

Kind = OneOf[
    "boolean",
    "integer",
    "decimal",
    "float",
    "text",
    "date",
    "timestamp",
    "timestamp_utc",
    "time",
    "interval",
    "binary",
    "other",
    "null",
    "unknown",
]
"""What an expression gives: `timestamp` has no zone, `timestamp_utc` has; `unknown` until columns have types."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A span of time as SQL counts it: months, days and microseconds are kept apart."""

    months: int = 0
    days: int = 0
    microseconds: int = 0


Value = str | int | float | bool | Decimal | date | datetime | time | Interval | None


@dataclass(frozen=True, slots=True)
class Column:
    """A reference to a column of the row."""

    name: str
    kind: Kind = "unknown"


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant. The kind says what it is: `1` is an integer, `1.5` a decimal, `1e0` a float."""

    value: Value
    kind: Kind


@dataclass(frozen=True, slots=True)
class Call:
    """An operator or function, by its canonical name, and its arguments.

    Operators and clauses are calls too: ``+``, ``and``, ``in``, ``between``, ``is_null``, ``case`` (condition, value,
    ..., else).
    """

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Cast:
    """A conversion to a type, named as :func:`tidegate.expressions.describe_type` names it.

    With `lenient`, a value that cannot be converted becomes NULL (TRY_CAST); else it is an error.
    """

    operand: Node
    target: str
    lenient: bool = False


Node = Column | Literal | Call | Cast


def walk(node: Node) -> Iterator[Node]:
    """Yield the node and everything below it, in the order in which it was written."""
    yield node
    match node:
        case Call(arguments=arguments):
            for argument in arguments:
                yield from walk(argument)
        case Cast(operand=operand):
            yield from walk(operand)
        case _:
            pass


def show(node: Node) -> str:
    """Return the node as SQL-like text for error messages."""
    match node:
        case Column(name=name):
            return name
        case Literal(value=str() as value):
            return f"'{value}'"
        case Literal(value=None):
            return "NULL"
        case Literal(value=Interval(months=months, days=days, microseconds=rest)):
            return f"interval '{months} months {days} days {rest} microseconds'"
        case Literal(value=value):
            return str(value)
        case Cast(operand=operand, target=target, lenient=lenient):
            return f"{'try_cast' if lenient else 'cast'}({show(operand)} as {target})"
        case Call(function=name, arguments=arguments):
            shown = [show(argument) for argument in arguments]
            is_operator = not name[0].isalpha() or name in {"and", "or", "like", "ilike"}
            return f" {name} ".join(shown) if is_operator and len(shown) > 1 else f"{name}({', '.join(shown)})"
