"""The rules over SQL in metadata: expressions and type names, each text parsed once."""

from __future__ import annotations

from functools import lru_cache

from tidegate.errors import MetadataError
from tidegate.metadata.declared import Declared
from tidegate.metadata.node import Path


def check_expression(declared: Declared, text: str | None, path: Path) -> None:
    """Report an expression that does not parse (TG108) or calls unknown functions (TG109), at the place within it."""
    if text is None or (error := _expression_error(text)) is None:
        return
    line, column = error.details.get("line"), error.details.get("column")
    declared.report_text(error.code, error.message, path, line=line or 1, column=column or 1, hint=error.hint)


def check_data_type(declared: Declared, text: str, type_system: str | None, path: Path) -> None:
    """Report a data type that is unknown (TG305)."""
    if error := _data_type_error(text, type_system):
        declared.report(error.code, f"{declared.name(path)}: {error.message}", *path, hint=error.hint)


def check_replacement(declared: Declared, pattern: str | None, replacement: str | None, path: Path) -> None:
    """Report a regular expression, or what replaces its matches, that engines read differently (TG109)."""
    from tidegate.expressions.patterns import replacing_rule

    try:
        replacing_rule(pattern or "", replacement or "")
    except MetadataError as error:
        declared.report(error.code, f"{declared.name(path)}: {error.message}", *path, hint=error.hint)


@lru_cache(maxsize=16_384)
def _expression_error(text: str) -> MetadataError | None:
    from tidegate.expressions.sql import parse_expression

    try:
        parse_expression(text)
    except MetadataError as error:
        return error
    return None


@lru_cache(maxsize=1024)
def _data_type_error(text: str, type_system: str | None) -> MetadataError | None:
    from tidegate.expressions.data_type import parse_data_type

    try:
        parse_data_type(text, type_system=type_system)
    except MetadataError as error:
        return error
    return None
