"""What kind of value an expression gives, and the rules that need to know it.

Kinds are coarse (all integers are one) and come from the columns' types when an expression is bound to a schema. Until
then a column is `unknown`, which every rule lets pass; a renderer that needs the kind asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.expressions.functions import BY_NAME
from tidegate.expressions.nodes import Call, Cast, Column, Kind, Literal, Node

if TYPE_CHECKING:
    import pyarrow as pa

NUMBERS: frozenset[Kind] = frozenset({"integer", "decimal", "float"})
TEMPORALS: frozenset[Kind] = frozenset({"date", "timestamp", "timestamp_utc"})
OPEN: frozenset[Kind] = frozenset({"unknown", "null"})
"""Kinds that every rule lets pass."""

GROUPS: dict[str, frozenset[Kind]] = {
    "boolean": frozenset({"boolean"}),
    "text": frozenset({"text"}),
    "number": NUMBERS,
    "integer": frozenset({"integer"}),
    "temporal": TEMPORALS,
    "stringable": frozenset({"text", "integer", "decimal", "boolean", "date", "timestamp"}),
}
"""Kinds that an argument of a function may have. Floats and instants have no one text form: they are not stringable."""

WHOLE = frozenset({"round", "floor", "ceil", "trunc"})
"""Functions whose result has no fraction (round: with one argument)."""

_WORDS: dict[str, Kind] = {
    **dict.fromkeys(("tinyint", "smallint", "int", "bigint"), "integer"),
    **dict.fromkeys(("utinyint", "usmallint", "uint", "ubigint"), "integer"),
    "float": "float",
    "double": "float",
    "string": "text",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp_utc",
    "timestamp_ntz": "timestamp",
    "time": "time",
    "binary": "binary",
}
_UTC = frozenset({"UTC", "ETC/UTC", "Z", "+00:00"})
_FIXED: dict[str, Kind] = {
    **dict.fromkeys(("and", "or", "not", "is_null", "is_true", "is_false"), "boolean"),
    **dict.fromkeys(("=", "<>", "<", "<=", ">", ">=", "is_same", "is_other"), "boolean"),
    **dict.fromkeys(("in", "between", "like", "ilike"), "boolean"),
    "/": "float",
    "||": "text",
}
"""Kinds of what operators give, whatever they are given."""


def kind_of_word(word: str) -> Kind:
    """Return the kind of a described type, such as ``decimal(18,2)``."""
    return "decimal" if word.startswith("decimal(") else _WORDS.get(word, "other")


def kind_of_type(dtype: pa.DataType) -> Kind:
    """Return the kind of an Arrow type. A timestamp in a zone other than UTC is `other`."""
    import pyarrow as pa

    from tidegate.expressions.data_type import describe_type

    if pa.types.is_timestamp(dtype):
        if dtype.tz is None:
            return "timestamp"
        return "timestamp_utc" if dtype.tz.upper() in _UTC else "other"
    if pa.types.is_dictionary(dtype):
        return kind_of_type(dtype.value_type)
    if pa.types.is_float16(dtype):
        return "float"
    if pa.types.is_null(dtype):
        return "null"
    return kind_of_word(describe_type(dtype))


def kind_of(node: Node) -> Kind:
    """Return the kind of what a node gives."""
    match node:
        case Column(kind=kind) | Literal(kind=kind):
            return kind
        case Cast(target=target):
            return kind_of_word(target)
        case Call(function=name, arguments=arguments):
            return _kind_of_call(name, arguments)


def _kind_of_call(name: str, arguments: tuple[Node, ...]) -> Kind:
    if name in _FIXED:
        return _FIXED[name]
    if name == "case":
        return common([kind_of(value) for value in values_of_case(arguments)]) or "other"
    kinds = [kind_of(argument) for argument in arguments]
    if name in {"+", "-", "*"}:
        return _kind_of_arithmetic(name, kinds[0], kinds[1])
    if name in {"date_trunc", "dateadd"}:
        return "timestamp" if kinds[-1] == "date" else kinds[-1]
    returns = "first" if name == "negate" else BY_NAME[name].returns
    if returns == "first":
        return kinds[0]
    return (common(kinds) or "other") if returns == "common" else returns


def _kind_of_arithmetic(name: str, one: Kind, other: Kind) -> Kind:
    if "interval" in (one, other):
        if name == "*":
            return "interval"
        kind = other if one == "interval" else one
        return "timestamp" if kind == "date" else kind
    if one in TEMPORALS and other in TEMPORALS:
        return "interval"
    return common([one, other]) or "other"


def values_of_case(arguments: tuple[Node, ...]) -> list[Node]:
    """Return the values of a ``case`` call, its default last."""
    return [*arguments[1:-1:2], arguments[-1]]


def common(kinds: list[Kind]) -> Kind | None:
    """Return the kind that holds all of them, or None when there is none."""
    found = set(kinds) - {"null"}
    if not found:
        return "null"
    if len(found) == 1:
        return found.pop()
    if "unknown" in found:
        return "unknown"
    if found <= NUMBERS:
        return "float" if "float" in found else "decimal"
    if found <= TEMPORALS:
        return "timestamp_utc" if "timestamp_utc" in found else "timestamp"
    return None


def is_whole(node: Node) -> bool:
    """Say whether a number is known to have no fraction."""
    match node:
        case Call(function=name, arguments=(_,)) if name in WHOLE:
            return True
        case Call(function="negate" | "abs", arguments=(operand,)):
            return is_whole(operand)
        case _:
            return kind_of(node) == "integer"
