"""From text to the expression tree, by sqlglot. Import this module late: sqlglot takes a quarter of a second.

sqlglot tokenizes and parses; its function builders are switched off, so that a function keeps the name and the order
of arguments in which it was written, and :mod:`tidegate.expressions.functions` alone says what it means. A construct
that is not translated here is refused, and so is an unknown part of one that is: nothing is dropped in silence.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, SqlglotError, TokenError
from sqlglot.tokenizer_core import TokenType

from tidegate.expressions.errors import unparsable
from tidegate.expressions.translation import Translator, checked_depth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlglot.tokenizer_core import Token

    from tidegate.errors import MetadataError
    from tidegate.expressions.nodes import Node

_DIALECTS = {
    "": "duckdb",
    "ansi": "duckdb",
    "sql": "duckdb",
    "polars": "duckdb",
    "delta": "spark",
    "fabric": "spark",
    "mssql": "tsql",
    "sqlserver": "tsql",
    "postgresql": "postgres",
    "mariadb": "mysql",
}
_KEPT = ("CAST", "TRY_CAST", "SAFE_CAST", "EXTRACT", "TRIM", "SUBSTRING", "POSITION")
_STATEMENTS = frozenset(
    [
        "select",
        "insert",
        "update",
        "delete",
        "merge",
        "create",
        "drop",
        "alter",
        "truncate",
        "with",
        "grant",
        "revoke",
        "call",
        "execute",
        "use",
        "show",
    ]
)
_HINT_SCALAR = "write one SQL expression over the columns of a row, for instance `quantity * price`"
_MISSING = re.compile(r"Required keyword: '(\w+)' missing for <class '.*\.(\w+)'>")


def parse(text: str, dialect: str | None) -> Node:
    """Return the tree of a scalar expression.

    Raises:
        MetadataError: it does not parse or is not one scalar expression (TG108), or it uses a function, operator or
            type that expressions do not have (TG109, TG305).
    """
    name = (dialect or "").strip().lower()
    name = _DIALECTS.get(name, name)
    language = _dialect(name)
    if language is None:
        message = f"SQL dialect {name!r} is unknown"
        raise unparsable(message, text, hint="use spark, duckdb, postgres, mysql or tsql")
    try:
        tokens = language.tokenize(text)
    except TokenError as error:
        quote = next((quote for quote in "'\"`" if text.count(quote) % 2), None)
        offset = text.rfind(quote) if quote else None
        message = "expression has a quote that is not closed" if quote else f"expression cannot be read: {error}"
        raise unparsable(message, text, offset=offset, hint="write '' for a quote within a text") from None
    _refuse_early(text, tokens)
    try:
        found = language.parser().parse_into(exp.Condition, tokens, text)
    except ParseError as error:
        raise _unparsed(text, error) from None
    except (SqlglotError, RecursionError) as error:
        raise unparsable(f"expression cannot be read: {type(error).__name__}", text) from None
    tree = found[0] if len(found) == 1 else None
    if not isinstance(tree, exp.Expr) or isinstance(tree, exp.Command):
        raise unparsable("expression is not one scalar expression", text, hint=_HINT_SCALAR)
    try:
        return checked_depth(Translator(text, name).node(tree))
    except RecursionError:
        raise unparsable("expression is nested too deeply", text, hint="split it over several columns") from None


@lru_cache
def _dialect(name: str) -> Dialect | None:
    base: Any = Dialect.get(name)
    if base is None:
        return None
    identifiers = base.tokenizer_class.IDENTIFIERS
    tokenizer = type(
        "Tokenizer",
        (base.tokenizer_class,),
        {"IDENTIFIERS": [*identifiers, *(["`"] if "`" not in identifiers else [])]},
    )
    parsers = base.parser_class.FUNCTION_PARSERS
    kept = {key: parsers[key] for key in _KEPT if key in parsers}
    without_if = {"NO_PAREN_FUNCTION_PARSERS": {"CASE": base.parser_class.NO_PAREN_FUNCTION_PARSERS["CASE"]}}
    parser = type("Parser", (base.parser_class,), {"FUNCTIONS": {}, "FUNCTION_PARSERS": kept, **without_if})
    made: Any = type(f"Tidegate_{name}", (base,), {"Tokenizer": tokenizer, "Parser": parser})
    dialect: Dialect = made()
    return dialect


def _refuse_early(text: str, tokens: Sequence[Token]) -> None:
    """Refuse what sqlglot would accept, or would refuse less clearly."""
    if not tokens:
        raise unparsable("expression is empty", text, hint=_HINT_SCALAR)
    first = tokens[0].text.lower()
    if first in _STATEMENTS and len(tokens) > 1 and (tokens[1].text[:1].isalnum() or tokens[1].text in {"*", "'"}):
        message = f"expression is a statement ({first.upper()} ...), not a scalar expression"
        raise unparsable(message, text, offset=tokens[0].start, hint=_HINT_SCALAR)
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.token_type == TokenType.SEMICOLON:
            message = "expression holds ';': one expression is expected, not several"
            raise unparsable(message, text, offset=token.start, hint="take the ';' away")
        is_end = following is None or following.token_type in {TokenType.COMMA, TokenType.R_PAREN}
        if token.token_type == TokenType.COMMA and is_end:
            raise unparsable("expression lacks a value after ','", text, offset=token.start)


def _unparsed(text: str, error: ParseError) -> MetadataError:
    found = error.errors[0] if error.errors else {}
    highlight = found.get("highlight") or ""
    offset = len(found["start_context"]) if found.get("start_context") is not None else 0
    offset = _offset(text, found, highlight) if found.get("line") else offset
    description = str(found.get("description", "it cannot be read"))
    at_end = offset + len(highlight) >= len(text.rstrip())
    if missing := _MISSING.fullmatch(description):
        where = "at the end" if at_end else f"after {highlight!r}"
        what = "an operand" if missing[1] in {"expression", "this"} else f"the {missing[1]!r} part"
        return unparsable(f"expression does not parse: {what} is missing {where}", text, offset=offset)
    if description.startswith("Expecting"):
        what = description.removeprefix("Expecting").strip()
        return unparsable(f"expression does not parse: {what!r} is expected near {highlight!r}", text, offset=offset)
    if highlight == ",":
        message = "expression does not parse: one expression is expected, and ',' starts another"
        return unparsable(message, text, offset=offset, hint="declare one column for each expression")
    if highlight.lower() in {"as", "over", "distinct"}:
        message = f"expression does not parse: {highlight.upper()} is not part of a scalar expression"
        return unparsable(message, text, offset=offset, hint=_HINT_SCALAR)
    return unparsable(f"expression does not parse near {highlight!r}", text, offset=offset, hint=_quote_hint(highlight))


def _quote_hint(highlight: str) -> str:
    if highlight in {"$", "{", "}"}:
        return "variables are written ${var:name} and are filled in before the check: is the name spelled right?"
    return 'quote a column whose name has spaces or is a keyword: "order date"'


def _offset(text: str, found: dict[str, Any], highlight: str) -> int:
    """Return the offset of the highlight: sqlglot counts lines from 1, and gives the column of its last character."""
    lines = text.split("\n")
    before = sum(len(line) + 1 for line in lines[: int(found["line"]) - 1])
    return max(0, before + int(found["col"]) - len(highlight))
