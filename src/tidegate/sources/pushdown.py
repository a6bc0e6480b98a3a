"""Conditions for a database: what it surely decides as an engine would, in its own SQL with bound parameters.

A database may leave out rows that are not wanted, and only those: whatever it lets through is looked at again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidegate.errors import TidegateError
from tidegate.expressions.nodes import Call, Column, Literal, Node
from tidegate.expressions.sql import bind, parse_expression

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.connections import Dialect
    from tidegate.sources.rows import RowRequest

_KINDS = frozenset({"integer", "decimal", "text", "date", "timestamp", "timestamp_utc"})
"""Kinds that all databases compare alike: floats differ in NaN, booleans are numbers to some."""
_COMPARISONS = frozenset({"=", "<>", "<", "<=", ">", ">="})


@dataclass(slots=True)
class Conditions:
    """Conditions that all hold, under way."""

    dialect: Dialect
    columns: Mapping[str, pa.DataType]
    uncompared: Collection[str] = ()
    """Columns that the database compares otherwise than engines do."""
    clauses: list[str] = field(default_factory=list)
    parameters: list[Any] = field(default_factory=list)

    @property
    def where(self) -> str:
        """All of them as a clause; empty when there is none."""
        return f" WHERE {' AND '.join(self.clauses)}" if self.clauses else ""

    def add_request(self, request: RowRequest) -> None:
        """Leave out rows that are before the starts, or outside the window."""
        if request.starts and all(start is None or self._ordered(name) for name, start in request.starts.items()):
            reached = [
                f"{self._ordered(name)} >= {self._parameter(name, start)}"
                if start is not None
                else f"{self.dialect.quoted(name)} IS NOT NULL"
                for name, start in request.starts.items()
            ]
            unknown = " AND ".join(f"{self.dialect.quoted(name)} IS NULL" for name in request.starts)
            self.clauses.append(f"({' OR '.join(reached)} OR ({unknown}))")
        if request.window:
            column, lower, upper = request.window
            if value := self._ordered(column):
                self.clauses += [f"{value} >= {self._parameter(column, lower)}"]
                self.clauses += [f"{value} < {self._parameter(column, upper)}"]

    def add_part(self, column: str, lower: Any, upper: Any) -> None:
        """Keep one of several parts: the values in `[lower, upper)`, None being no bound; NULL is in the first.

        They are compared in the order of the database, whatever it is: each row is in one of the parts.
        """
        value = self.dialect.quoted(column)
        if lower is not None:
            self.clauses.append(f"{value} >= {self._placeholder(lower)}")
        if upper is not None:
            or_null = f" OR {value} IS NULL" if lower is None else ""
            self.clauses.append(f"({value} < {self._placeholder(upper)}{or_null})")

    def add_expression(self, text: str) -> None:
        """Add those parts of a condition, joined by AND, that the database decides as an engine would."""
        try:
            tree = bind(parse_expression(text), self.columns).tree
        except TidegateError:  # it is over columns that only a later step makes, and is said to be wrong there
            return
        for part in _conjuncts(tree):
            before = len(self.parameters)
            clause = self._rendered(part)
            if clause is None:
                del self.parameters[before:]
            else:
                self.clauses.append(clause)

    def _rendered(self, node: Node) -> str | None:
        match node:
            case Call(function="and" | "or" as function, arguments=arguments):
                parts = [self._rendered(argument) for argument in arguments]
                return None if None in parts else f"({f' {function.upper()} '.join(map(str, parts))})"
            case Call(function="not", arguments=(argument,)):
                part = self._rendered(argument)
                return part and f"NOT ({part})"
            case Call(function="is_null", arguments=(Column(name=name),)):
                return f"{self.dialect.quoted(name)} IS NULL"
            case Call(function=sign, arguments=(Column(kind=kind, name=name), Literal() as literal)) if (
                sign in _COMPARISONS and self._compares(kind, literal)
            ):
                value = self._ordered(name)
                return value and f"{value} {sign} {self._parameter(name, literal.value)}"
            case Call(function="between", arguments=(Column() as column, lower, upper)):
                bounds = (Call(">=", (column, lower)), Call("<=", (column, upper)))
                return self._rendered(Call("and", bounds))
            case Call(function="in", arguments=(Column() as column, *values)):
                return self._rendered(Call("or", tuple(Call("=", (column, value)) for value in values)))
            case _:
                return None

    @staticmethod
    def _compares(kind: str, literal: Literal) -> bool:
        numbers = {"integer", "decimal"}
        return kind in _KINDS and (kind == literal.kind or {kind, literal.kind} <= numbers)

    def _ordered(self, name: str) -> str | None:
        """Return the column in the order of engines; None where there is none such, as for NaN and infinity."""
        import pyarrow as pa

        if name in self.uncompared or pa.types.is_floating(self.columns[name]):
            return None
        return self.dialect.ordered(self.dialect.quoted(name), self.columns[name])

    def _parameter(self, name: str, value: Any) -> str:
        placeholder = self._placeholder(value)
        return self.dialect.ordered(placeholder, self.columns[name]) or placeholder

    def _placeholder(self, value: Any) -> str:
        self.parameters.append(value)
        return self.dialect.placeholder(len(self.parameters) - 1)


def single_statement(query: str, dialect: str) -> str:
    """Return a query without the semicolons, and the comments, that end it: it may then be a part of another one.

    Args:
        query: SQL.
        dialect: Its name in sqlglot.
    """
    from sqlglot import TokenType, tokenize
    from sqlglot.errors import SqlglotError

    try:
        tokens = tokenize(query, dialect)
    except SqlglotError:  # the database itself will say what is wrong
        return query.strip().rstrip(";")
    end = len(query)
    for token in reversed(tokens):
        if token.token_type != TokenType.SEMICOLON:
            break
        end = token.start
    return query[:end].strip()


def _conjuncts(node: Node) -> Iterator[Node]:
    if isinstance(node, Call) and node.function == "and":
        for argument in node.arguments:
            yield from _conjuncts(argument)
    else:
        yield node
