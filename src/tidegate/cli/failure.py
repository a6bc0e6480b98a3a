"""How errors look on the command line, and which exit code each has."""

from __future__ import annotations

import os
import sys
from typing import Any

from tidegate.cli.parser import UsageError
from tidegate.cli.terminal import note, styled, wrapped
from tidegate.errors import ConfigurationError, MetadataError, TidegateError
from tidegate.masking import mask

FAILED = 1
"""A flow failed."""
MISUSED = 2
"""Bad usage or metadata."""
INTERRUPTED = 130
TERMINATED = 143
_MISUSES = frozenset({"TG508", "TG509", "TG511"})
"""Codes of what is asked for wrongly, though its class tells of state."""
DEBUG_VARIABLE = "TIDEGATE_DEBUG"


class Terminated(KeyboardInterrupt):
    """SIGTERM has ended a command, as process managers do."""


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of an error or interrupt that ended a command."""
    if isinstance(error, KeyboardInterrupt):
        return TERMINATED if isinstance(error, Terminated) else INTERRUPTED
    misused = isinstance(error, UsageError | MetadataError | ConfigurationError)
    return MISUSED if misused or getattr(error, "code", None) in _MISUSES else FAILED


def show_error(error: Exception) -> None:
    """Write an error to stderr; with ``TIDEGATE_DEBUG=1`` its traceback before it."""
    if os.environ.get(DEBUG_VARIABLE):
        import traceback

        note("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, TidegateError):
        note(rendered(error))
    elif isinstance(error, UsageError):
        note(_labelled("error:", error.message, "bold", "red"))
        note(hinted(error.hint))
    else:
        note(_labelled("error:", _said(error), "bold", "red"))
        note(hinted(f"this is a fault of Tidegate; {DEBUG_VARIABLE}=1 shows where it happened"))


def error_record(error: Exception) -> dict[str, Any]:
    """Return an error that ended a command as JSON-ready data, with the exit code; a misuse has no error code."""
    about: dict[str, str | None]
    if isinstance(error, TidegateError):
        about = {"code": error.code, "message": error.message, "where": error.where, "hint": error.hint}
    elif isinstance(error, UsageError):
        about = {"code": None, "message": error.message, "where": None, "hint": error.hint}
    else:
        about = {"code": TidegateError.default_code, "message": _said(error), "where": None, "hint": None}
    return {"error": about, "exit_code": exit_code_of(error)}


def rendered(error: TidegateError) -> str:
    """Return an error as ``error CODE: message`` with its place and hint, for stderr."""
    lines = [_labelled(f"error {error.code}:", error.message, "bold", "red")]
    if error.where:
        lines.append(_labelled("  at", error.where, "dim"))
    if error.hint:
        lines.append(hinted(error.hint))
    return "\n".join(lines)


def hinted(hint: str) -> str:
    """Return a hint as a line of its own, for stderr."""
    return _labelled("  hint:", hint, "cyan")


def warn(message: str, hint: str | None = None) -> None:
    """Write a warning to stderr."""
    note(_labelled("warning:", message, "yellow"))
    if hint:
        note(hinted(hint))


def interrupted(undone: str = "", word: str = "interrupted") -> None:
    """Say that a command was interrupted, and what that left undone."""
    note(_labelled(f"{word}:", undone, "yellow") if undone else styled(word, "yellow", stream=sys.stderr))


def _said(error: Exception) -> str:
    return " ".join(mask(f"{type(error).__name__}: {error}").split())


def _labelled(label: str, text: str, *styles: str) -> str:
    """Return the text after its label, broken to fit the terminal, and only the label in these styles."""
    indent = 4 + len(label) - len(label.lstrip())
    whole = wrapped(f"{label} {text}", indent=indent, stream=sys.stderr)
    return styled(label, *styles, stream=sys.stderr) + whole[len(label) :]
