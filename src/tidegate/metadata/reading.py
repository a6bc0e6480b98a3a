"""What the readers of JSON and YAML have in common."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from tidegate.metadata.finding import Findings, Place

MAX_DEPTH = 100
"""Levels of nesting beyond which a file is refused."""


class UnreadableError(Exception):
    """A file, or a text within one, is not what its format asks for."""

    def __init__(self, message: str, place: Place, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.hint = hint


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the garbage collector off trees that only grow.

    It walks all of a tree each time that it has grown by a quarter, which takes more time than to read a large project.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def report_duplicate_key(findings: Findings, key: str, first: Place, second: Place) -> None:
    """Report a key that stands twice in one object."""
    findings.add("TG105", second, f"{key!r} is given twice in one object", hint=f"the first is at {first}")
