"""Conditions for MongoDB: what documents surely are not wanted, whatever types their fields have.

A comparison excludes values of its own type alone: what is missing, NULL, NaN or of another type is let through, and
looked at again; so nothing that should be an error is passed over. An array, though, counts as the values in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bson import Decimal128, ObjectId

from tidegate.errors import TidegateError
from tidegate.expressions.nodes import Call, Column, Literal, Node
from tidegate.expressions.sql import bind, parse_expression
from tidegate.sources.mongodb_documents import utc

if TYPE_CHECKING:
    from tidegate.sources.rows import Columns
    from tidegate.timegrid import Window

Filter = dict[str, Any]

_KINDS = frozenset({"integer", "decimal", "text", "timestamp_utc"})
_MILLISECOND = timedelta(milliseconds=1)
_LAST = datetime(9999, 12, 31)  # noqa: DTZ001 - as BSON has it
_INT64 = range(-(2**63), 2**63)


def new_since(starts: Mapping[str, Any], *, texts: bool = True) -> list[Filter]:
    """Return what leaves out documents that are before the starts of all watermark columns.

    Args:
        starts: Column → value from which documents may be new.
        texts: Whether texts are compared letter by letter there.
    """
    parts = [_not_below(column, start, texts=texts) for column, start in starts.items() if start is not None]
    known = [part for part in parts if part is not None]
    return [{"$or": known}] if known and len(known) == len(starts) else []


def within(column: str, window: Window) -> list[Filter]:
    """Return what leaves out documents outside of a window."""
    lower, upper = _not_below(column, window.lower), _excluding(column, "$gte", window.upper, up=True)
    return [part for part in (lower, upper) if part is not None]


def holding(text: str, columns: Columns, *, texts: bool = True) -> list[Filter]:
    """Return those parts of a condition, joined by AND, that the server decides as an engine would.

    Args:
        text: The condition.
        columns: The columns with the types of all documents.
        texts: Whether texts are compared letter by letter there.
    """
    try:
        tree = bind(parse_expression(text), columns).tree
    except TidegateError:  # it is over columns that only a later step makes, and is said to be wrong there
        return []
    found = [_rendered(part, columns, texts=texts) for part in _conjuncts(tree)]
    return [part for part in found if part is not None]


def _not_below(column: str, start: Any, *, texts: bool = True) -> Filter | None:
    part = _excluding(column, "$lt", start, texts=texts)
    if part is None or not isinstance(start, str) or not ObjectId.is_valid(start):
        return part
    # an ObjectId is read as text, which is in the same order
    return {"$and": [part, {column: {"$not": {"$lt": ObjectId(start)}}}]}


def _excluding(column: str, sign: str, value: Any, *, up: bool = False, texts: bool = True) -> Filter | None:
    """Return what excludes values that compare so; an array counts by all of its values."""
    operand = _operand(value, up=up, texts=texts)
    if operand is None or not _has_path(column):
        return None
    other = {"$lt": "$gte", "$gte": "$lt"}[sign]
    return {"$or": [{column: {"$not": {sign: operand}}}, {column: {sign: operand, other: operand}}]}


def _rendered(node: Node, columns: Columns, *, texts: bool) -> Filter | None:
    match node:
        case Call(function="and" | "or" as function, arguments=arguments):
            parts = [_rendered(argument, columns, texts=texts) for argument in arguments]
            return None if None in parts else {f"${function}": parts}
        case Call(function=sign, arguments=(Column(kind=kind, name=name), Literal() as literal)) if _compares(
            kind, literal
        ) and _has_path(name):
            return _compared(name, sign, literal.value, texts=texts)
        case Call(function="between", arguments=(Column() as column, lower, upper)):
            bounds = (Call(">=", (column, lower)), Call("<=", (column, upper)))
            return _rendered(Call("and", bounds), columns, texts=texts)
        case Call(function="in", arguments=(Column() as column, *values)):
            either = tuple(Call("=", (column, value)) for value in values)
            return _rendered(Call("or", either), columns, texts=texts)
        case _:
            return None


def _compared(name: str, sign: str, value: Any, *, texts: bool) -> Filter | None:
    """Return what excludes the documents for which the comparison surely is not true: NULL, and those to the contrary.

    Times of documents are in milliseconds; those that were finer lie after what the server has of them.
    """
    operand, above = _operand(value, texts=texts), _operand(value, up=True, texts=texts)
    if operand is None:
        return None
    is_time = isinstance(value, datetime)
    excluded: Mapping[str, list[Filter]] = {
        "=": [{name: {"$lt": operand}}, {name: {"$gt": operand}}],
        "<>": [] if is_time else [{name: {"$eq": operand}}],
        "<": [{name: {"$gte": above}}],
        "<=": [{name: {"$gt": operand}}],
        ">": [{name: {"$lt": operand}}] if is_time else [{name: {"$lte": operand}}],
        ">=": [{name: {"$lt": operand}}],
    }
    return {"$nor": [{name: None}, *excluded[sign]]} if sign in excluded else None


def _compares(kind: str, literal: Literal) -> bool:
    numbers = {"integer", "decimal"}
    return kind in _KINDS and (kind == literal.kind or {kind, literal.kind} <= numbers)


def _operand(value: Any, *, up: bool = False, texts: bool = True) -> Any:
    """Return a value as MongoDB compares it; None where it would not do so as an engine does.

    Args:
        value: The value.
        up: Whether a time that BSON does not have becomes the next one that it has, not the one before.
        texts: Whether texts are compared letter by letter.
    """
    operand: Any = None
    match value:
        case int() if not isinstance(value, bool) and value in _INT64:
            operand = value
        case Decimal():
            with suppress(ArithmeticError):
                operand = Decimal128(value)
        case str() if texts:
            operand = value
        case datetime():
            moment = utc(value)
            operand = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
            if up and operand != moment:
                operand = operand + _MILLISECOND if operand < _LAST else None
        case date():
            operand = datetime.combine(value, time.min)
    return operand


def _has_path(column: str) -> bool:
    """Tell whether a query can name the field."""
    return bool(column) and "." not in column and not column.startswith("$")


def _conjuncts(node: Node) -> Iterator[Node]:
    if isinstance(node, Call) and node.function == "and":
        for argument in node.arguments:
            yield from _conjuncts(argument)
    else:
        yield node
