"""Ending work early: because it took too long, or because it is no longer wanted."""

from __future__ import annotations

import threading
import time

from tidegate.errors import DataFlowError


class Cancellation:
    """Tells work that is under way whether it should end. Work asks it between batches, and before it commits.

    Args:
        seconds: How long the work may take; without an end when not given.
        parent: What cancels this work too.
    """

    def __init__(self, seconds: float | None = None, parent: Cancellation | None = None) -> None:
        self._seconds = seconds
        self._ends_at = None if seconds is None else time.monotonic() + seconds
        self._parent = parent
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """End the work at the next point where it asks."""
        self._cancelled.set()

    @property
    def is_wanted(self) -> bool:
        """Whether the work may go on."""
        return self._reason() is None

    def check(self) -> None:
        """Do nothing while the work may go on.

        Raises:
            DataFlowError: it was cancelled (TG615), or took longer than it may (TG614). Not to be retried.
        """
        match self._reason():
            case "late":
                msg = f"it took longer than its timeout of {self._seconds:g} seconds; nothing was changed"
                hint = "raise `timeout`, or load less at a time: `tidegate replay` loads a range in windows"
                raise DataFlowError(msg, code="TG614", hint=hint)
            case "cancelled":
                msg = "it was cancelled; nothing was changed"
                raise DataFlowError(msg, code="TG615", hint="run again: it goes on from where the last commit was")
            case _:
                return

    def wait(self, seconds: float) -> None:
        """Wait, but not longer than the work may go on.

        Raises:
            DataFlowError: as :meth:`check`.
        """
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.check()
            self._cancelled.wait(min(left, 0.2))
        self.check()

    def _reason(self) -> str | None:
        if self._cancelled.is_set():
            return "cancelled"
        if self._ends_at is not None and time.monotonic() >= self._ends_at:
            return "late"
        return self._parent._reason() if self._parent else None  # noqa: SLF001 - its own kind
