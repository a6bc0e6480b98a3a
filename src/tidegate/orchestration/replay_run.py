"""Carrying out the replay of one dataflow: window by window, or several at a time and in several processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from tidegate.destinations.turns import replay_chain, replays_in
from tidegate.errors import LeaseHeldError, TidegateError, WatermarkError
from tidegate.orchestration.planner import table_of
from tidegate.orchestration.run import NO_ROWS
from tidegate.sources.base import ColumnWindow
from tidegate.sources.window_bounds import bounds_beside
from tidegate.state.watermark import reaches, render_value
from tidegate.timegrid import WindowSet

if TYPE_CHECKING:
    from tidegate.destinations import BaseTable
    from tidegate.orchestration.replay import FlowReplay
    from tidegate.orchestration.run import Run
    from tidegate.reporting import UnitReport
    from tidegate.state import Lease
    from tidegate.timegrid import Window

_LOOK_AGAIN_SECONDS = 0.5


@dataclass(slots=True, kw_only=True)
class Replayed:
    """What came of the replay of one dataflow."""

    reports: list[UnitReport] = field(default_factory=list)
    """Of the windows that were carried out, in the order in which they ended."""
    done_before: int = 0
    """Windows that were in the table, or held no rows, before this run came to them."""
    stopped: bool = False
    """Whether windows are left over."""

    @property
    def ending(self) -> Literal["succeeded", "failed"]:
        """How it ended."""
        return "failed" if any(report.status == "failed" for report in self.reports) else "succeeded"


class ReplayRun:
    """Carries out the replay of one dataflow.

    Args:
        replay: What to do.
        run: The run that it is part of.
        stop: When set, no other window is begun.
    """

    def __init__(self, replay: FlowReplay, run: Run, stop: threading.Event) -> None:
        self._replay = replay
        self._run = run
        self._stop = stop
        self._failed = threading.Event()
        self._lock = threading.Lock()
        self._result = Replayed()
        self._covered: WindowSet = replay.covered
        self._empty = WindowSet()
        """Windows without rows, of which no commit has told yet."""
        self._held: list[Window] = []
        self._lease: Lease | None = None
        """That of the dataflow, where the replay moves its position."""

    def carry_out(self) -> Replayed:
        """Load all windows that are not in the table yet; end at the first that fails.

        Raises:
            LeaseHeldError: the windows must come in order, and another process carries them out (TG502).
            WatermarkError: the position lies in the middle of a window (TG636), or the table was taken back (TG506).
        """
        self._empty = self._replay.empty(self._run.state)
        self._covered = WindowSet((*self._covered, *self._empty))
        if self._replay.config.save_watermark:
            with self._holding(self._replay.flow.dataflow_id) as self._lease:  # no load comes between two windows
                self._one_after_the_other(self._after_position())
        elif self._replay.config.parallel == 1:
            with self._holding(f"{replay_chain(self._replay.flow.dataflow_id)}|all"):  # in the order of time
                self._one_after_the_other(self._replay.windows())
        else:
            self._side_by_side()
        return self._finished()

    @property
    def so_far(self) -> Replayed:
        """What was done up to now."""
        return self._result

    def _finished(self) -> Replayed:
        self._result.stopped = self._is_over
        if self._replay.replay and not self._result.stopped and self._result.ending == "succeeded":
            with suppress(TidegateError):  # its windows are in, whether this succeeds or not
                self._run.state.end_replay(self._replay.replay.replay_id)
        return self._result

    @property
    def _is_over(self) -> bool:
        return self._stop.is_set() or self._failed.is_set() or not self._run.cancellation.is_wanted

    # -- in which order ------------------------------------------------------------------------------------------

    def _one_after_the_other(self, windows: Iterator[Window]) -> None:
        for window in windows:
            if self._is_over:
                return
            self._load(window)

    def _side_by_side(self) -> None:
        """Load windows in several threads; of those that another process is at, wait for the end."""
        windows = self._replay.windows()
        while True:
            self._share(windows)
            if self._is_over or not self._held:
                return
            self._run.cancellation.wait(_LOOK_AGAIN_SECONDS)
            held, self._held = self._held, []
            windows = iter(held)

    def _share(self, windows: Iterator[Window]) -> None:
        def work() -> None:
            while not self._is_over:
                with self._lock:
                    window = next(windows, None)
                if window is None:
                    return
                try:
                    self._load(window)
                except LeaseHeldError:
                    with self._lock:
                        self._held.append(window)
                except BaseException:
                    self._failed.set()
                    raise

        workers = self._replay.config.parallel
        with ThreadPoolExecutor(workers, thread_name_prefix="tidegate-replay") as pool:
            for future in [pool.submit(work) for _ in range(workers)]:
                future.result()

    # -- one window ----------------------------------------------------------------------------------------------

    def _load(self, window: Window) -> None:
        """Load what is not in the table yet of a window: all of it, unless it was cut otherwise before."""
        missing = list(self._covered.missing(window))
        if not missing:
            self._note_done()
        for part in missing:
            if not self._is_over:
                self._load_part(part)

    def _load_part(self, window: Window) -> None:
        unit = self._replay.unit(window)
        lease = None
        if unit.replay_id and not self._run.config.dry_run:
            lease = self._run.state.claim(unit.key, unit.scope)
            if lease is None:
                self._recheck(window, unit.key)
                self._note_done()
                return
            self._run.heartbeat.add(lease)
        with self._lock:
            empty, self._empty = self._empty, WindowSet()
        try:
            report = self._run.carry_out(replace(unit, empty=empty), lease or self._lease)
        finally:
            if lease is not None:
                self._run.let_go(lease)
        with self._lock:
            self._result.reports.append(report)
            if report.status != "succeeded" or not report.rows_out:  # perhaps no commit was made
                done = (window,) if report.status == "succeeded" else ()
                self._empty = WindowSet((*self._empty, *empty, *done))
        if report.status == "failed":
            self._failed.set()
        elif report.status == "skipped" and not self._run.config.dry_run:
            for part in self._look_again().missing(window):  # another process has committed it, or a part of it
                self._load_part(part)

    def _note_done(self) -> None:
        with self._lock:
            self._result.done_before += 1

    def _recheck(self, window: Window, key: str) -> None:
        """Believe the ledger that a window is done only if the table says so too, or there was nothing to commit.

        Raises:
            WatermarkError: the table was taken back since (TG506).
        """
        record = self._run.state.unit(key)
        if record is not None and record.detail == NO_ROWS:
            return
        covered = self._look_again()
        if not covered.covers(window):
            name, place = self._replay.flow.name, self._table().place
            msg = f"{window} of dataflow {name!r} was committed, says the ledger, and is not in {place}"
            hint = "the table was taken back since: `tidegate replay --restart` begins anew, with --replace for appends"
            raise WatermarkError(msg, code="TG506", where=place, hint=hint)

    def _look_again(self) -> WindowSet:
        """Return which windows are in the table now."""
        table = self._table()
        replays = replays_in(table, table.snapshot(), self._replay.flow.dataflow_id)
        known = replays.get(self._replay.replay.replay_id) if self._replay.replay else None
        covered = known.windows if known else WindowSet()
        with self._lock:
            self._covered = covered
        return covered

    def _table(self) -> BaseTable:
        return table_of(self._run.secrets.resolved(self._replay.flow), self._run.planner.platform)

    # -- who may -------------------------------------------------------------------------------------------------

    @contextmanager
    def _holding(self, key: str) -> Iterator[Lease | None]:
        """Keep all others from what this lease is for."""
        if self._run.config.dry_run:
            yield None
            return
        lease = self._run.state.acquire(key)
        self._run.heartbeat.add(lease)
        try:
            yield lease
        finally:
            self._run.let_go(lease)

    def _after_position(self) -> Iterator[Window]:
        """Yield the windows past the dataflow's position, which the replay moves.

        Raises:
            WatermarkError: the position lies before the range or in the middle of a window (TG636).
        """
        flow, column = self._run.secrets.resolved(self._replay.flow), self._replay.column
        position = self._run.planner.standing(flow)
        reached = {name.lower(): value for name, value in position.watermark.items()}.get(column.lower())
        for window in self._replay.windows():
            if reached is not None:
                over = ColumnWindow(column=column, window=window)
                lower, upper = bounds_beside(over, reached)
                if reaches(reached, upper):
                    self._note_done()
                    continue
                if not reaches(reached, lower):
                    between = f"what lies between it and {window} would never be loaded"
                    msg = f"the position of dataflow {flow.name!r} is {render_value(reached)}: {between}"
                    hint = "begin the range at the position, or replay without save_watermark"
                    raise WatermarkError(msg, code="TG636", hint=hint)
                if reached != lower:
                    msg = f"the position of dataflow {flow.name!r}, {render_value(reached)}, lies inside {window}"
                    hint = "a load other than a replay has moved it: replay without save_watermark, or from it on"
                    raise WatermarkError(msg, code="TG636", hint=hint)
            yield window
            reached = None  # the windows that follow begin where this one has ended
