"""The SQL expressions of metadata: parsed, checked, bound to columns and rendered for an engine.

An expression means one thing, whichever engine computes it; where engines disagree it is refused (TG109), not guessed.
The rules, where dialects differ:

* ``/`` is true division and gives a float, by zero infinity or NaN; ``mod`` and ``%`` by zero give NULL.
* Integers compute in 64 bits, an overflow is an error; single-precision floats compute in double precision.
* NULL is three-valued everywhere; ``||`` with NULL is NULL, ``concat`` skips it.
* ``round`` takes a half away from zero; casting a fraction to an integer is refused: cast ``round(x)`` or ``trunc(x)``.
* ``timestamp`` in a cast has no zone unless the dialect is Spark's; an instant is read in UTC, always.
* A date and an interval make a timestamp; ``date_add(d, n)`` and ``d + n`` stay dates.
* Double quotes and backticks quote names (in the Spark and MySQL dialects double quotes are text).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from tidegate.errors import MetadataError, TransformError
from tidegate.expressions.nodes import Call, Cast, Column, Node, walk

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

_SHOWN_COLUMNS = 30


@dataclass(frozen=True, slots=True)
class SqlExpression:
    """A parsed scalar expression. Equal texts in one dialect are one object.

    Attributes:
        text: What was written.
        columns: Names of the columns it reads, unquoted, in order, each once.
        functions: Canonical names of the functions it calls, in order, each once.
        tree: What it computes.
    """

    text: str
    columns: tuple[str, ...]
    functions: tuple[str, ...]
    tree: Node = field(repr=False)


@lru_cache(maxsize=4096)
def parse_expression(text: str, *, dialect: str | None = None) -> SqlExpression:
    """Return the parsed expression.

    Args:
        text: One scalar SQL expression, as Spark SQL, DuckDB or standard SQL write it.
        dialect: Dialect whose quotes, escapes and type names apply; None is DuckDB's, which is close to the standard.

    Raises:
        MetadataError: it does not parse, or is not one scalar expression (TG108); it uses a function that is unknown
            or that engines compute differently (TG109); it casts to an unknown type (TG305). `details` hold `line`
            and `column` within the text.
    """
    from tidegate.expressions.parsing import parse

    return _expression(text, parse(text, dialect))


def bind(expression: SqlExpression, columns: Mapping[str, pa.DataType] | Sequence[str]) -> SqlExpression:
    """Return the expression with its column references spelled as the available columns are.

    Names match exactly, else without regard to case. With types, everything that depends on them is settled too:
    :func:`render_polars` needs that for arithmetic, rounding, casts and dates.

    Args:
        expression: What :func:`parse_expression` returned.
        columns: The available columns, in order: a schema (name to Arrow type), or their names alone.

    Raises:
        TransformError: a column does not exist, or its name fits several (TG301).
        MetadataError: types do not fit each other, or engines disagree about them (TG109).
    """
    from tidegate.expressions.kinds import kind_of_type
    from tidegate.expressions.typing_rules import settle

    types = columns if isinstance(columns, Mapping) else {}
    names = tuple(columns)
    found: dict[str, Node] = {}
    used: list[str] = []
    for name in expression.columns:
        spelled = _spelled(name, names, expression.text)
        used.append(spelled)
        column = Column(spelled, kind_of_type(types[spelled]) if spelled in types else "unknown")
        is_real = spelled in types and str(types[spelled]) in {"float", "halffloat"}
        found[name] = Cast(column, "double") if is_real else column
    try:
        tree = settle(_substituted(expression.tree, found))
    except MetadataError as error:
        error.details.setdefault("expression", expression.text)
        raise
    return replace(expression, columns=tuple(dict.fromkeys(used)), tree=tree)


def render_polars(expression: SqlExpression, *, now: datetime | None = None) -> str:
    """Return the text with which `polars.sql_expr` computes the expression.

    Args:
        expression: A bound expression.
        now: The instant of ``current_timestamp`` and ``current_date``; the present when it is not given.

    Raises:
        MetadataError: the rendering depends on the type of a column that was bound without one (TG109).
    """
    from tidegate.expressions.polars_sql import PolarsRenderer

    return PolarsRenderer(now).render(expression.tree)


def render_duckdb(expression: SqlExpression, *, now: datetime | None = None) -> str:
    """Return the expression as DuckDB SQL, for a session whose time zone is UTC.

    Takes and raises what :func:`render_polars` does.
    """
    from tidegate.expressions.duckdb_sql import DuckDBRenderer

    return DuckDBRenderer(now).render(expression.tree)


def _expression(text: str, tree: Node) -> SqlExpression:
    from tidegate.expressions.functions import BY_NAME

    nodes = list(walk(tree))
    columns = dict.fromkeys(node.name for node in nodes if isinstance(node, Column))
    called = dict.fromkeys(node.function for node in nodes if isinstance(node, Call))
    return SqlExpression(text, tuple(columns), tuple(name for name in called if name in BY_NAME), tree)


def _spelled(name: str, names: tuple[str, ...], text: str) -> str:
    if name in names:
        return name
    fitting = [one for one in names if one.casefold() == name.casefold()]
    if len(fitting) == 1:
        return fitting[0]
    details = {"expression": text, "column": name, "columns": list(names)}
    if fitting:
        message = f"column {name!r} fits several columns: {', '.join(fitting)}"
        raise TransformError(message, details, code="TG301", hint=f'quote the one that is meant: "{fitting[0]}"')
    lowered = {one.casefold(): one for one in names}
    close = [lowered[one] for one in difflib.get_close_matches(name.casefold(), list(lowered), n=3, cutoff=0.6)]
    listed = ", ".join(names[:_SHOWN_COLUMNS]) + (", ..." if len(names) > _SHOWN_COLUMNS else "")
    suggestion = f"did you mean {' or '.join(f'`{one}`' for one in close)}? " if close else ""
    hint = f"{suggestion}columns: {listed}"
    raise TransformError(f"column {name!r} does not exist (in {text!r})", details, code="TG301", hint=hint)


def _substituted(node: Node, found: Mapping[str, Node]) -> Node:
    match node:
        case Column(name=name):
            return found[name]
        case Call(function=function, arguments=arguments):
            return Call(function, tuple(_substituted(argument, found) for argument in arguments))
        case Cast(operand=operand, target=target, lenient=lenient):
            return Cast(_substituted(operand, found), target, lenient)
        case _:
            return node
