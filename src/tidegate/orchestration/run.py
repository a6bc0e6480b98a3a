"""One run: every unit of it under its lease, tried as often as is sensible, and recorded."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tidegate.errors import CommitConflictError, LeaseHeldError, TidegateError
from tidegate.orchestration.cancellation import Cancellation
from tidegate.orchestration.explainer import explain
from tidegate.orchestration.lineage import lineage_of
from tidegate.orchestration.outcome import Outcome, rendered
from tidegate.orchestration.retry_handler import RetryHandler, RetryPolicy
from tidegate.orchestration.work_unit import WorkUnit
from tidegate.reporting import ErrorReport, UnitReport
from tidegate.reporting.events import Phase, UnitFinished, UnitProgress, UnitStarted
from tidegate.state import UnitRecord
from tidegate.state.watermark import seconds_of

if TYPE_CHECKING:
    from tidegate.models import DataFlow, RunConfig
    from tidegate.models.run import RetrySettings
    from tidegate.orchestration.planner import Planner
    from tidegate.orchestration.runner import Runner
    from tidegate.orchestration.secret_connections import SecretConnections
    from tidegate.orchestration.stages import UnitPlan
    from tidegate.reporting import EventStream
    from tidegate.reporting.lineage import Lineage
    from tidegate.state import Lease, StateStore
    from tidegate.state.lease import Heartbeat

NO_ROWS = "no rows"
"""What the ledger says of a window that was done without a commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Carries out units of work. Safe to use from many threads."""

    run_id: str
    planner: Planner
    runner: Runner
    state: StateStore
    heartbeat: Heartbeat
    events: EventStream
    secrets: SecretConnections
    config: RunConfig
    cancellation: Cancellation

    def load(self, flow: DataFlow) -> UnitReport:
        """Load what is new of one dataflow, and return what happened. Never raises for a failure of the dataflow."""
        return self.carry_out(WorkUnit(flow=flow))

    def carry_out(self, unit: WorkUnit, claimed: Lease | None = None) -> UnitReport:
        """Carry out one unit to its end, and return what happened. Never raises for a failure of the unit.

        Args:
            unit: The unit.
            claimed: The claim on it, or the lease of the dataflow where that is held for longer; without one that is
                taken for each attempt.
        """
        blank = blank_report(unit, self.run_id)
        timeout = unit.flow.timeout
        cancellation = Cancellation(None if timeout is None else seconds_of(timeout), self.cancellation)
        attempts = 0

        def attempt() -> UnitFinished:
            nonlocal attempts
            attempts += 1
            self._tell_start(unit, attempts)
            return self._attempt(unit, replace(blank, attempts=attempts), claimed, cancellation)

        retries = RetryHandler(policy=policy_of(unit.flow.retry or self.config), wait=cancellation.wait)
        try:
            finished, _ = retries.execute(attempt)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other dataflows go on
            report = replace(blank, ended_at=datetime.now(UTC), attempts=attempts)
            if unit.replay_id and isinstance(error, CommitConflictError) and error.code == "TG405":
                report = replace(report, status="skipped", detail="committed by another process")
            else:
                held = "lease held by another process" if isinstance(error, LeaseHeldError) else None
                report = replace(report, error=ErrorReport.from_exception(error), detail=held)
            self._record(unit, claimed, report, None)
            finished = UnitFinished(report=report)
        self.events.emit(finished)
        return finished.report

    def skipped(self, flow: DataFlow, reason: str) -> UnitReport:
        """Record that a dataflow is not run, and return the report."""
        unit = WorkUnit(flow=flow)
        report = replace(blank_report(unit, self.run_id), status="skipped", detail=reason)
        self._record(unit, None, report, None)
        self.events.emit(UnitFinished(report=report))
        return report

    def _attempt(
        self, unit: WorkUnit, blank: UnitReport, claimed: Lease | None, cancellation: Cancellation
    ) -> UnitFinished:
        """Plan and load under the unit's lease; success is recorded in the step that releases the lease."""
        cancellation.check()
        if self.config.dry_run:
            return UnitFinished(report=self._planned(unit, blank))
        lease = claimed or self.state.acquire(unit.flow.dataflow_id)
        self.heartbeat.add(lease)
        try:
            outcome, before, plan = self._done(unit, lease, cancellation)
            report = replace(
                blank,
                status="succeeded",
                ended_at=datetime.now(UTC),
                position_before=before,
                **rendered(outcome),
            )
            self._record(unit, lease, report, outcome)
        except Exception as error:
            cancellation.check()  # what an engine makes of a cancelled read is not the reason
            raise self.runner.engine.translate(error) from error
        finally:
            if claimed is None:
                self.let_go(lease)
        return UnitFinished(report=report, lineage=self._lineage(plan, outcome))

    def _lineage(self, plan: UnitPlan, outcome: Outcome) -> Lineage | None:
        if not self.events.wants_lineage:
            return None
        with suppress(Exception):  # what is told of a load cannot undo it
            mode = self.runner.column_name_mode
            return lineage_of(plan, mode=mode, read=outcome.columns_read, written=outcome.columns_written)
        return None

    def let_go(self, lease: Lease) -> None:
        """Release a lease that was kept alive. What it was for is done, whether this succeeds or not."""
        self.heartbeat.remove(lease)
        with suppress(TidegateError):
            self.state.release(lease)

    def _planned(self, unit: WorkUnit, blank: UnitReport) -> UnitReport:
        """Say what a load would do, and do nothing."""
        plan = explain(self.planner.plan(self._with_secrets(unit)))
        detail = "; ".join(
            step["text"] for step in plan["steps"] if step["step"] in {"recover", "idle", "read", "write"}
        )
        return replace(
            blank,
            status="skipped",
            ended_at=datetime.now(UTC),
            position_before=None if unit.window else plan["position"],
            detail=f"dry run: {detail}",
        )

    def _record(self, unit: WorkUnit, lease: Lease | None, report: UnitReport, outcome: Outcome | None) -> None:
        """Keep the report. The load is in, or not, whether this succeeds or not."""
        if self.config.dry_run:
            return
        if lease is not None and unit.window and not unit.replay_id:
            lease = None  # that of the dataflow, held until the last window is done
        record = None
        if unit.replay_id and outcome is not None:
            detail = None if outcome.is_committed else NO_ROWS
            record = UnitRecord(
                key=unit.key, scope=unit.scope, status="written", run_id=self.run_id, detail=detail, at=report.ended_at
            )
        elif unit.replay_id and report.status == "failed":
            code = report.error.code if report.error else None
            record = UnitRecord(
                key=unit.key, scope=unit.scope, status="failed", run_id=self.run_id, detail=code, at=report.ended_at
            )
        with suppress(TidegateError):
            self.state.finish(lease, report.to_dict(), record)

    def _done(self, unit: WorkUnit, lease: Lease, cancellation: Cancellation) -> tuple[Outcome, str | None, UnitPlan]:
        def progress(phase: Phase, rows_in: int | None = None, rows_out: int | None = None) -> None:
            cancellation.check()
            self.events.emit(
                UnitProgress(
                    run_id=self.run_id,
                    dataflow_id=unit.flow.dataflow_id,
                    name=unit.name,
                    phase=phase,
                    rows_in=rows_in,
                    rows_out=rows_out,
                )
            )

        progress("planning")
        plan = self._plan(unit)
        before = None if unit.replay_id else plan.state.position.render()
        return self.runner.run(plan, lease, progress, cancellation), before, plan

    def _plan(self, unit: WorkUnit) -> UnitPlan:
        return self.planner.plan(self._with_secrets(unit), recover=True)

    def _with_secrets(self, unit: WorkUnit) -> WorkUnit:
        return replace(unit, flow=self.secrets.resolved(unit.flow))

    def _tell_start(self, unit: WorkUnit, attempt: int) -> None:
        self.events.emit(
            UnitStarted(
                run_id=self.run_id,
                dataflow_id=unit.flow.dataflow_id,
                name=unit.name,
                stage=unit.flow.stage,
                destination=place_of(unit.flow),
                attempt=attempt,
            )
        )


def policy_of(retry: RetrySettings) -> RetryPolicy:
    """Return declared retries as a policy."""
    return RetryPolicy(
        max_attempts=1 + retry.retry_count,
        initial_delay_seconds=retry.retry_delay,
        backoff_multiplier=retry.backoff_multiplier,
        max_delay_seconds=retry.max_delay,
        jitter_ratio=retry.jitter_ratio,
        retryable_exceptions=frozenset(retry.retryable_exceptions),
    )


def place_of(flow: DataFlow) -> str:
    """Return where a dataflow writes, as people write it."""
    return flow.destination.path or flow.destination.table


def blank_report(unit: WorkUnit, run_id: str) -> UnitReport:
    """Return the report of a unit of which nothing is known yet."""
    now = datetime.now(UTC)
    flow = unit.flow
    return UnitReport(
        run_id=run_id,
        dataflow_id=flow.dataflow_id,
        name=unit.name,
        operation=unit.operation,
        window=unit.window.texts if unit.window else None,
        stage=flow.stage,
        load_type=flow.destination.load_type,
        source=flow.source.path or flow.source.connection_name,
        destination=place_of(flow),
        status="failed",
        started_at=now,
        ended_at=now,
    )
