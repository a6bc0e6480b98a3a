"""Watching a run: what is running, and what an interrupt does to it.

The first Ctrl-C, or SIGTERM as process managers send it, lets what runs finish and starts nothing new. The second ends
the process at once, which is safe: a load is visible as a whole or not at all, and the next run takes the leases of the
dead process over.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, Self

from tidegate.cli.failure import Terminated, exit_code_of, hinted, interrupted
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
_COUNTED_IN = {"replay": "window", "maintain": "table"}
_INTERRUPTS: dict[int, type[KeyboardInterrupt]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}
_PATIENCE_SECONDS = 1.0


class Watch:
    """A sink that hands events on to another, and knows what is running. As a context, it answers Ctrl-C and SIGTERM.

    Args:
        sink: Shows the run.
        go_on: How to go on after an interrupt.
    """

    def __init__(self, sink: Sink, go_on: str = "run again: it goes on from here, nothing is loaded twice") -> None:
        self._sink = sink
        self._go_on = go_on
        self._lock = threading.Lock()
        self._run_id = ""
        self._counted_in = "flow"
        self._waiting: dict[str, None] = {}
        self._running: dict[str, None] = {}
        self._names: list[str] = []
        self._reports: dict[str, UnitReport] = {}
        self._finished_late: list[str] = []
        self._interrupt: KeyboardInterrupt | None = None
        self._before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}

    # -- the sink ------------------------------------------------------------------------------------------------

    def handle(self, event: Event, /) -> None:
        """Take note of an event, and hand it on."""
        with self._lock:
            match event:
                case RunStarted():
                    self._run_id = event.run_id
                    self._counted_in = _COUNTED_IN.get(event.command, "flow")
                    self._names = [name for name, _, _ in event.units]
                    self._waiting = dict.fromkeys(self._names)
                case UnitStarted():
                    self._waiting.pop(event.name, None)
                    self._running[event.name] = None
                case UnitFinished(report=report):
                    was_running = report.name in self._running
                    self._running.pop(report.name, None)
                    self._reports[report.name] = report
                    if self._interrupt and was_running:
                        self._finished_late.append(report.name)
                    elif not self._interrupt:
                        self._waiting.pop(report.name, None)
                case _:
                    pass
            self._sink.handle(event)

    def close(self) -> None:
        """Close the other sink."""
        self._sink.close()

    # -- interrupts ----------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._answer) for number in _INTERRUPTS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    @property
    def has_started(self) -> bool:
        """Whether a run has begun."""
        return bool(self._run_id)

    @property
    def exit_code(self) -> int:
        """What an interrupted command exits with: 130 after Ctrl-C, 143 after SIGTERM."""
        return exit_code_of(self._interrupt or KeyboardInterrupt())

    def result(self) -> ExecutionResult:
        """Return what happened until the interrupt; units that nobody has told of are counted as skipped."""
        in_order = [
            self._reports[name] for name in dict.fromkeys([*self._names, *self._reports]) if name in self._reports
        ]
        result = ExecutionResult.from_units(in_order, run_id=self._run_id)
        untold = sum(name not in self._reports for name in self._names)
        result.total += untold
        result.skipped += untold
        result.interrupted, result.counted_in = True, self._counted_in
        return result

    def say_how_to_go_on(self) -> None:
        """Write to stderr what an interrupt has left undone, and what to do."""
        parts = []
        if self._finished_late:
            parts.append(f"{_listed(self._finished_late)} {_was(self._finished_late)} running and could finish")
        if self._running:
            parts.append(f"{_listed(self._running)} {_was(self._running)} broken off: loaded as a whole, or not at all")
        if self._waiting:
            parts.append(f"{_listed(self._waiting)} {_was(self._waiting)} not started")
        interrupted("; ".join(parts) or "everything was finished", self._word)
        if self._running or self._waiting or not self._names:
            note(hinted(self._go_on))

    @property
    def _word(self) -> str:
        return "terminated" if isinstance(self._interrupt, Terminated) else "interrupted"

    def _answer(self, number: int, _: FrameType | None) -> None:
        is_first, self._interrupt = self._interrupt is None, _INTERRUPTS[number]()
        # Writing is left to a thread: the one that was interrupted may hold the locks that writing needs.
        if not is_first:
            threading.Thread(target=self._end_now, daemon=True).start()
            return
        threading.Thread(target=self._announce, daemon=True).start()
        raise self._interrupt

    def _announce(self) -> None:
        with self._lock:
            if self._running:
                message = f"{self._word}: no new flow starts; {_listed(self._running)} will finish"
                again = "a second signal" if isinstance(self._interrupt, Terminated) else "Ctrl-C again"
                hint = f"{again} ends at once; what was not committed is then not loaded"
                self._sink.handle(Notice(level="warning", message=message, hint=hint))

    def _end_now(self) -> None:
        held = self._lock.acquire(timeout=_PATIENCE_SECONDS)
        if held:
            self._sink.close()
            self.say_how_to_go_on()
        os._exit(self.exit_code)


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _was(names: Iterable[str]) -> str:
    return "was" if len(list(names)) == 1 else "were"
