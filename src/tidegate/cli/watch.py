"""Watching a run: what is running, and what an interrupt does to it.

The first Ctrl-C lets what runs finish and starts nothing new. The second ends the process at once, which is safe: a
load is visible as a whole or not at all, and the next run takes the dead process's leases over.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, Self

from tidegate.cli.failure import INTERRUPTED, hinted, interrupted
from tidegate.cli.terminal import note
from tidegate.reporting import (
    Event,
    ExecutionResult,
    Notice,
    RunStarted,
    Sink,
    UnitFinished,
    UnitReport,
    UnitStarted,
)

_NAMED = 5
_PATIENCE_SECONDS = 1.0


class Watch:
    """A sink that hands events on to another, and knows what is running. As a context, it answers Ctrl-C.

    Args:
        sink: Shows the run.
        go_on: How to go on after an interrupt.
    """

    def __init__(self, sink: Sink, go_on: str = "run again: it goes on from here, nothing is loaded twice") -> None:
        self._sink = sink
        self._go_on = go_on
        self._lock = threading.Lock()
        self._run_id = ""
        self._waiting: dict[str, None] = {}
        self._running: dict[str, None] = {}
        self._names: list[str] = []
        self._reports: dict[str, UnitReport] = {}
        self._finished_late: list[str] = []
        self._interrupts = 0
        self._before: Callable[[int, FrameType | None], Any] | int | None = None

    # -- the sink ------------------------------------------------------------------------------------------------

    def handle(self, event: Event, /) -> None:
        """Take note of an event, and hand it on."""
        with self._lock:
            match event:
                case RunStarted():
                    self._run_id = event.run_id
                    self._names = [name for name, _, _ in event.units]
                    self._waiting = dict.fromkeys(self._names)
                case UnitStarted():
                    self._waiting.pop(event.name, None)
                    self._running[event.name] = None
                case UnitFinished(report=report):
                    self._running.pop(report.name, None)
                    self._reports[report.name] = report
                    if self._interrupts:
                        self._finished_late.append(report.name)
                case _:
                    pass
            self._sink.handle(event)

    def close(self) -> None:
        """Close the other sink."""
        self._sink.close()

    # -- interrupts ----------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    @property
    def has_started(self) -> bool:
        """Whether a run has begun."""
        return bool(self._run_id)

    def result(self) -> ExecutionResult:
        """Return what happened to the units that were finished."""
        in_order = [
            self._reports[name] for name in dict.fromkeys([*self._names, *self._reports]) if name in self._reports
        ]
        return ExecutionResult.from_units(in_order, run_id=self._run_id)

    def say_how_to_go_on(self) -> None:
        """Write to stderr what an interrupt has left undone, and what to do."""
        parts = []
        if self._finished_late:
            parts.append(f"{_listed(self._finished_late)} {_was(self._finished_late)} running and could finish")
        if self._running:
            parts.append(f"{_listed(self._running)} {_was(self._running)} broken off: loaded as a whole, or not at all")
        if self._waiting:
            parts.append(f"{_listed(self._waiting)} {_was(self._waiting)} not started")
        interrupted("; ".join(parts) or "everything was finished")
        if self._running or self._waiting or not self._names:
            note(hinted(self._go_on))

    def _interrupt(self, _: int, __: FrameType | None) -> None:
        self._interrupts += 1
        # Writing is left to a thread: the one that was interrupted may hold the locks that writing needs.
        if self._interrupts > 1:
            threading.Thread(target=self._end_now, daemon=True).start()
            return
        threading.Thread(target=self._announce, daemon=True).start()
        raise KeyboardInterrupt

    def _announce(self) -> None:
        with self._lock:
            if self._running:
                message = f"interrupted: no new flow starts; {_listed(self._running)} will finish"
                hint = "Ctrl-C again ends at once; what was not committed is then not loaded"
                self._sink.handle(Notice(level="warning", message=message, hint=hint))

    def _end_now(self) -> None:
        held = self._lock.acquire(timeout=_PATIENCE_SECONDS)
        if held:
            self._sink.close()
            self.say_how_to_go_on()
        os._exit(INTERRUPTED)


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _was(names: Iterable[str]) -> str:
    return "was" if len(list(names)) == 1 else "were"
