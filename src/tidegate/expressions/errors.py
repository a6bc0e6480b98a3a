"""The errors of this room, made in one place so that each says the same things in the same order."""

from __future__ import annotations

from tidegate.errors import MetadataError


def located(text: str, offset: int) -> tuple[int, int]:
    """Return line and column, both from 1, of a character offset."""
    before = text[: max(0, offset)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def unparsable(message: str, text: str, *, offset: int | None = None, hint: str | None = None) -> MetadataError:
    """Return the TG108 of an expression that does not parse, or is not one scalar expression."""
    return _at("TG108", message, text, offset, hint)


def unavailable(
    message: str, text: str | None = None, *, offset: int | None = None, hint: str | None = None
) -> MetadataError:
    """Return the TG109 of a function, operator or conversion that expressions do not have."""
    return _at("TG109", message, text, offset, hint)


def _at(code: str, message: str, text: str | None, offset: int | None, hint: str | None) -> MetadataError:
    details: dict[str, object] = {}
    if text is not None:
        details["expression"] = text
    if text is not None and offset is not None:
        line, column = located(text, offset)
        details |= {"line": line, "column": column}
        message = f"{message} (line {line}, column {column} of the expression)"
    return MetadataError(message, details, code=code, hint=hint)
