"""What the renderers of all engines share: literals, operators and the order of the walk."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import ClassVar

from tidegate.errors import MetadataError
from tidegate.expressions.errors import unavailable
from tidegate.expressions.kinds import kind_of
from tidegate.expressions.literals import written
from tidegate.expressions.nodes import Call, Cast, Column, Interval, Kind, Literal, Node, show

OPERATORS: Mapping[str, str] = {
    **{name: name for name in ("=", "<>", "<", "<=", ">", ">=", "||")},
    "and": "AND",
    "or": "OR",
    "like": "LIKE",
    "ilike": "ILIKE",
    "is_same": "IS NOT DISTINCT FROM",
    "is_other": "IS DISTINCT FROM",
}

_MAX_LENGTH = 200_000


class Renderer:
    """Renders a tree as SQL. An engine adds rules for what it writes in its own way.

    Attributes:
        rules: Operator or function to the rule that writes it.
        types: Described type to the engine's word for it.
    """

    rules: ClassVar[Mapping[str, Callable[[Renderer, tuple[Node, ...]], str]]]
    types: ClassVar[Mapping[str, str]]

    def __init__(self, now: datetime | None) -> None:
        self.now = (now or datetime.now(UTC)).astimezone(UTC)

    def render(self, node: Node) -> str:
        """Return the SQL of a node.

        Raises:
            MetadataError: the SQL becomes too long, as some functions repeat their arguments (TG109).
        """
        text = self._rendered(node)
        if len(text) > _MAX_LENGTH:
            raise unavailable("expression is too long once it is rendered", hint="split it over several columns")
        return text

    def _rendered(self, node: Node) -> str:
        match node:
            case Column(name=name):
                return '"' + name.replace('"', '""') + '"'
            case Literal(value=value):
                return self.literal(value)
            case Cast():
                return self.cast(node)
            case Call(function=name, arguments=arguments):
                return self.call(name, arguments)

    def literal(self, value: object) -> str:
        """Return a constant as SQL."""
        match value:
            case str():
                return quoted(value)
            case bool() | None:
                return str(value).upper() if value is not None else "NULL"
            case int() | float() | Decimal():
                return _number(value)
            case Interval():
                return f"INTERVAL '{written(value)}'"
            case datetime():
                word = "timestamp_ntz" if value.tzinfo is None else "timestamp"
                return f"CAST('{value.isoformat(' ')}' AS {self.types[word]})"
            case date() | time():
                return f"CAST('{value.isoformat()}' AS {type(value).__name__.upper()})"
            case _:
                raise TypeError(value)

    def cast(self, cast: Cast) -> str:
        """Return a conversion as SQL."""
        raise NotImplementedError

    def call(self, name: str, arguments: tuple[Node, ...]) -> str:
        """Return an operator or function as SQL."""
        if (rule := self.rules.get(name)) is not None:
            return rule(self, arguments)
        rendered = [self.render(argument) for argument in arguments]
        if name in OPERATORS:
            return "(" + f" {OPERATORS[name]} ".join(rendered) + ")"
        if name in _CLAUSES:
            return _CLAUSES[name](rendered)
        return f"{name.upper()}({', '.join(rendered)})"

    def type_word(self, target: str) -> str:
        """Return the engine's word for a described type."""
        return target.upper() if target.startswith("decimal(") else self.types[target]

    def known(self, node: Node, what: str) -> Kind:
        """Return the kind of a node.

        Raises:
            MetadataError: it is not known, as the expression was bound without types.
        """
        kind = kind_of(node)
        if kind == "unknown":
            raise untyped(node, what)
        return kind


def untyped(node: Node, what: str) -> MetadataError:
    """Return the error for a rendering that depends on a type nobody gave."""
    hint = "bind the expression with the frame's schema: bind(expression, {name: type})"
    return unavailable(f"{what} depends on the type of {show(node)}, which is not known", hint=hint)


def quoted(text: str) -> str:
    """Return a text literal."""
    return "'" + text.replace("'", "''") + "'"


def _number(value: float | Decimal) -> str:
    if isinstance(value, Decimal):
        text = f"{value:f}"
    elif isinstance(value, int):
        text = str(value)
    elif not math.isfinite(value):
        text = f"CAST('{value}' AS DOUBLE)"
    else:
        text = repr(value) if "e" in repr(value) else f"{value!r}e0"
    return f"({text})" if value < 0 else text


def _case(parts: list[str]) -> str:
    branches = " ".join(
        f"WHEN {condition} THEN {value}" for condition, value in zip(parts[:-1:2], parts[1:-1:2], strict=True)
    )
    return f"CASE {branches} ELSE {parts[-1]} END"


_CLAUSES: dict[str, Callable[[list[str]], str]] = {
    "not": lambda parts: f"(NOT {parts[0]})",
    "in": lambda parts: f"({parts[0]} IN ({', '.join(parts[1:])}))",
    "between": lambda parts: f"({parts[0]} BETWEEN {parts[1]} AND {parts[2]})",
    "is_null": lambda parts: f"({parts[0]} IS NULL)",
    "is_true": lambda parts: f"COALESCE({parts[0]}, FALSE)",
    "is_false": lambda parts: f"COALESCE((NOT {parts[0]}), FALSE)",
    "case": _case,
}
