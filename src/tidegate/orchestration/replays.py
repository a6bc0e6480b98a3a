"""Replaying several dataflows: at the same time, in the order that they need, and as one run."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tidegate.errors import TidegateError
from tidegate.orchestration.replay import FlowReplay, prepare
from tidegate.orchestration.replay_rules import refuse_meeting
from tidegate.orchestration.replay_run import Replayed, ReplayRun
from tidegate.orchestration.run import blank_report
from tidegate.orchestration.run_order import limits_of, tasks_of
from tidegate.orchestration.run_recorder import RunRecorder
from tidegate.orchestration.schedule import Ending, Schedule, Task
from tidegate.orchestration.stages import Read
from tidegate.orchestration.work_unit import WorkUnit
from tidegate.reporting import ErrorReport, ExecutionResult, Notice
from tidegate.reporting.events import UnitFinished
from tidegate.sources.window_bounds import bounds_in, column_called
from tidegate.timegrid import WindowSet

if TYPE_CHECKING:
    from tidegate.models import DataFlow, ReplayConfig
    from tidegate.orchestration.run import Run
    from tidegate.reporting import UnitReport
    from tidegate.timegrid import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPlan:
    """What a replay of one dataflow would do."""

    flow: DataFlow
    column: str
    strategy: str
    windows: int
    done: int
    """How many of them are in the table, or known to hold no rows."""
    first: Window | None
    """The first window to load; None when all are done."""
    last: Window | None


class Replays:
    """Replays dataflows, as part of one run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._stop = threading.Event()
        self._replayed: dict[str, Replayed] = {}

    def run(self, flows: Sequence[DataFlow], config: ReplayConfig) -> ExecutionResult:
        """Replay them, and return what happened, counted in windows.

        Raises:
            TidegateError: one of them cannot be replayed so; nothing was run.
        """
        started = time.perf_counter()
        tasks = tasks_of(flows)
        recorder = RunRecorder(run=self._run, command="replay", flows=flows)
        with recorder.held(), ExitStack() as at_work:
            replays = {flow.dataflow_id: self._checked(flow, config) for flow in flows}
            for replay in replays.values():
                self._begin(replay, at_work)
            recorder.begin(())
            reason = "the run was interrupted"
            try:
                self._carry_out(tasks, replays)
                reason = "an earlier dataflow failed"
            finally:
                for flow in flows:
                    self._tell_leftover(flow, reason)
        reports = [report for flow in flows for report in self._of(flow).reports]
        result = ExecutionResult.from_units(
            reports, run_id=self._run.run_id, duration_seconds=time.perf_counter() - started
        )
        done_before = sum(self._of(flow).done_before for flow in flows)
        result.total += done_before
        result.skipped += done_before
        result.counted_in = "window"
        recorder.end(result)
        return result

    def _carry_out(self, tasks: Sequence[Task[DataFlow]], replays: Mapping[str, FlowReplay]) -> None:

        def process(task: Task[DataFlow]) -> Ending:
            replayed = self._replay(replays[task.key])
            self._replayed[task.key] = replayed
            if replayed.ending == "failed" and self._run.config.stop_on_error:
                self._stop.set()
            return replayed.ending

        def skip(task: Task[DataFlow], reason: str) -> None:
            if task.item is not None:
                self._replayed[task.key] = Replayed(reports=[self._run.skipped(task.item, reason)])

        schedule = Schedule(
            tasks,
            max_workers=min(self._run.config.max_workers, max(len(tasks), 1)),
            limits=limits_of([task.item for task in tasks if task.item]),
            stop=self._stop,
        )
        schedule.run(process, skip)

    def plans(self, flows: Sequence[DataFlow], config: ReplayConfig) -> list[ReplayPlan]:
        """Return what a replay would do; changes nothing."""
        return [_plan(self._prepared(flow, config), self._run) for flow in flows]

    def _of(self, flow: DataFlow) -> Replayed:
        return self._replayed.setdefault(flow.dataflow_id, Replayed(stopped=True))

    def _tell_leftover(self, flow: DataFlow, reason: str) -> None:
        """Report what was not begun: a replay that was stopped has not succeeded."""
        replayed = self._of(flow)
        if not replayed.stopped or replayed.ending == "failed":
            return
        if self._run.cancellation.is_wanted:
            detail = "windows are left" if replayed.reports else f"not started: {reason}"
            replayed.reports.append(self._run.skipped(flow, detail))
            return
        try:
            self._run.cancellation.check()
        except TidegateError as error:
            replayed.reports.append(self._failure(flow, error))

    def _failure(self, flow: DataFlow, error: Exception) -> UnitReport:
        """Record that a replay ended outside of its windows, and return the report."""
        blank = blank_report(WorkUnit(flow=flow, operation="replay"), self._run.run_id)
        failure = ErrorReport.from_exception(self._run.runner.engine.translate(error))
        report = replace(blank, ended_at=datetime.now(UTC), error=failure)
        with suppress(TidegateError):
            self._run.state.finish(None, report.to_dict())
        self._run.events.emit(UnitFinished(report=report))
        return report

    def _prepared(self, flow: DataFlow, config: ReplayConfig) -> FlowReplay:
        state, platform = self._run.state, self._run.planner.platform
        return replace(prepare(self._run.secrets.resolved(flow), config, state=state, platform=platform), flow=flow)

    def _checked(self, flow: DataFlow, config: ReplayConfig) -> FlowReplay:
        """Return the replay of a dataflow, if it may begin or go on."""
        run, prepared = self._run, self._prepared(flow, config)
        if not run.config.dry_run:
            resolved = replace(prepared, flow=run.secrets.resolved(flow))
            refuse_meeting(resolved, state=run.state, platform=run.planner.platform)
        return prepared

    def _begin(self, flow_replay: FlowReplay, at_work: ExitStack) -> None:
        """Record that a replay begins; others see that this process is at work on it, until the end."""
        run = self._run
        if flow_replay.replay is None or run.config.dry_run:
            return
        lease = run.state.acquire(f"{flow_replay.scope}|at work|{run.run_id}")
        run.heartbeat.add(lease)
        at_work.callback(run.let_go, lease)
        run.state.begin_replay(flow_replay.replay)

    def _replay(self, flow_replay: FlowReplay) -> Replayed:
        """Replay one dataflow. Never raises for a failure of the dataflow."""
        replaying = ReplayRun(flow_replay, self._run, self._stop)
        try:
            replayed = replaying.carry_out()
        except Exception as error:  # noqa: BLE001 - whatever it is, the other dataflows go on
            report = self._failure(flow_replay.flow, error)
            replayed = replace(replaying.so_far, reports=[*replaying.so_far.reports, report])
        if replayed.done_before:
            windows = "1 window was" if replayed.done_before == 1 else f"{replayed.done_before:,} windows were"
            message = f"{flow_replay.flow.name}: {windows} done before"
            self._run.events.emit(Notice(level="info", message=message))
        return replayed


def _check_column(flow_replay: FlowReplay, window: Window, run: Run) -> None:
    """Look whether the source has the column, and whether windows fit its type.

    Raises:
        SourceError: it has not (TG632), or they do not (TG633).
    """
    unit = flow_replay.unit(window)
    plan = run.planner.plan(replace(unit, flow=run.secrets.resolved(unit.flow)))
    for stage in plan.stages:
        if isinstance(stage, Read) and unit.window:
            columns = plan.source.open(stage.plan, run.runner.engine).columns
            column = column_called(flow_replay.column, columns, stage.plan.place)
            bounds_in(replace(unit.window, column=column), columns[column])


def _plan(flow_replay: FlowReplay, run: Run) -> ReplayPlan:
    windows = done = 0
    first = last = None
    known = WindowSet((*flow_replay.covered, *flow_replay.empty(run.state)))
    for window in flow_replay.windows():
        windows += 1
        if known.covers(window):
            done += 1
        else:
            if first is None:
                _check_column(flow_replay, window, run)
            first, last = first or window, window
    return ReplayPlan(
        flow=flow_replay.flow,
        column=flow_replay.column,
        strategy=flow_replay.strategy,
        windows=windows,
        done=done,
        first=first,
        last=last,
    )
