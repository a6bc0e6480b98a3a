"""What a probe has to say: one line about one thing that a load depends on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tidegate.errors import TidegateError
from tidegate.masking import mask

Status = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What was found.

    Attributes:
        check: What was looked at: `reach`, `sign in`, `read`, `write`, `clock`, `version`, ...
        status: A warning keeps no load from running.
        message: What was found, in one line, secrets masked.
        code: Of what is wrong; ``tidegate explain`` says more.
        hint: What to do about it.
    """

    check: str
    status: Status
    message: str
    code: str | None = None
    hint: str | None = None


def ok(check: str, message: str) -> Diagnosis:
    """Return that all is well."""
    return Diagnosis(check=check, status="ok", message=mask(message))


def warning(check: str, error: TidegateError) -> Diagnosis:
    """Return what may become wrong, said as an error."""
    return Diagnosis(check=check, status="warning", message=error.message, code=error.code, hint=error.hint)


def failed(check: str, error: TidegateError) -> Diagnosis:
    """Return what is wrong."""
    return Diagnosis(check=check, status="failed", message=error.message, code=error.code, hint=error.hint)


def tried(check: str, attempt: Callable[[], str]) -> Diagnosis:
    """Return what came of an attempt: what it returns, or the error that it raises."""
    try:
        return ok(check, attempt())
    except TidegateError as error:
        return failed(check, error)
