"""How errors look on the command line, and which exit code each has."""

from __future__ import annotations

import os
import sys

from tidegate.cli.parser import UsageError
from tidegate.cli.terminal import note, styled, wrapped
from tidegate.errors import ConfigurationError, MetadataError, TidegateError

FAILED = 1
"""A flow failed."""
MISUSED = 2
"""Bad usage or metadata."""
INTERRUPTED = 130
_MISUSES = frozenset({"TG508", "TG509"})
"""Codes of what is asked for wrongly, though its class tells of state."""
DEBUG_VARIABLE = "TIDEGATE_DEBUG"


def exit_code_of(error: Exception) -> int:
    """Return the exit code of an error that ended a command."""
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
        text = " ".join(f"{type(error).__name__}: {error}".split())
        note(_labelled("error:", text, "bold", "red"))
        note(hinted(f"this is a fault of Tidegate; {DEBUG_VARIABLE}=1 shows where it happened"))


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


def interrupted(undone: str = "") -> None:
    """Say that a command was interrupted, and what that left undone."""
    note(_labelled("interrupted:", undone, "yellow") if undone else styled("interrupted", "yellow", stream=sys.stderr))


def _labelled(label: str, text: str, *styles: str) -> str:
    """Return the text after its label, broken to fit the terminal, and only the label in these styles."""
    indent = 4 + len(label) - len(label.lstrip())
    whole = wrapped(f"{label} {text}", indent=indent, stream=sys.stderr)
    return styled(label, *styles, stream=sys.stderr) + whole[len(label) :]
