"""One run: every unit of it under its lease, tried as often as is sensible, and recorded."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tidegate.errors import LeaseHeldError, TidegateError
from tidegate.orchestration.explainer import explain
from tidegate.orchestration.retry_handler import RetryHandler
from tidegate.orchestration.runner import Outcome, rendered
from tidegate.reporting import ErrorReport, UnitReport
from tidegate.reporting.events import Phase, UnitFinished, UnitProgress, UnitStarted

if TYPE_CHECKING:
    from tidegate.models import DataFlow, RunConfig
    from tidegate.orchestration.planner import Planner
    from tidegate.orchestration.runner import Runner
    from tidegate.orchestration.secret_connections import SecretConnections
    from tidegate.reporting import EventStream
    from tidegate.state import Lease, StateStore
    from tidegate.state.lease import Heartbeat


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

    def unit(self, flow: DataFlow) -> UnitReport:
        """Run one dataflow to its end, and return what happened. Never raises for a failure of the dataflow."""
        retry = flow.retry or self.config
        blank = _blank_report(flow, self.run_id)
        attempts = 0

        def attempt() -> UnitReport:
            nonlocal attempts
            attempts += 1
            self._tell_start(flow, attempts)
            return self._attempt(flow, replace(blank, attempts=attempts))

        try:
            report, _ = RetryHandler(retry.retry_count, retry.retry_delay).execute(attempt)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other dataflows go on
            report = replace(
                blank,
                ended_at=datetime.now(UTC),
                attempts=attempts,
                error=ErrorReport.from_exception(error),
                detail="lease held by another process" if isinstance(error, LeaseHeldError) else None,
            )
            self._record(None, report)
        self.events.emit(UnitFinished(report=report))
        return report

    def unstarted(self, flow: DataFlow) -> UnitReport:
        """Return the report of a dataflow that was kept from starting."""
        return replace(
            _blank_report(flow, self.run_id), status="skipped", detail="not started: an earlier dataflow failed"
        )

    def _attempt(self, flow: DataFlow, blank: UnitReport) -> UnitReport:
        """Plan and load under the flow's lease; success is recorded in the step that releases the lease."""
        if self.config.dry_run:
            return self._planned(flow, blank)
        lease = self.state.acquire(flow.dataflow_id)
        self.heartbeat.add(lease)
        try:
            outcome, before = self._load(self.secrets.resolved(flow), lease)
            report = replace(
                blank,
                status="succeeded",
                ended_at=datetime.now(UTC),
                position_before=before,
                **rendered(outcome),
            )
            self._record(lease, report)
        except Exception as error:
            raise self.runner.engine.translate(error) from error
        finally:
            self.heartbeat.remove(lease)
            with suppress(TidegateError):  # nothing is left to release after a success
                self.state.release(lease)
        return report

    def _planned(self, flow: DataFlow, blank: UnitReport) -> UnitReport:
        """Say what a load would do, and do nothing."""
        plan = explain(self.planner.plan(self.secrets.resolved(flow)))
        detail = "; ".join(
            step["text"] for step in plan["steps"] if step["step"] in {"recover", "idle", "read", "write"}
        )
        return replace(
            blank,
            status="skipped",
            ended_at=datetime.now(UTC),
            position_before=plan["position"],
            detail=f"dry run: {detail}",
        )

    def _record(self, lease: Lease | None, report: UnitReport) -> None:
        """Keep the report. The load is in, or not, whether this succeeds or not."""
        with suppress(TidegateError):
            self.state.finish(lease, report.to_dict())

    def _load(self, flow: DataFlow, lease: Lease) -> tuple[Outcome, str]:
        def progress(phase: Phase, rows_in: int | None = None, rows_out: int | None = None) -> None:
            self.events.emit(
                UnitProgress(
                    run_id=self.run_id,
                    dataflow_id=flow.dataflow_id,
                    name=flow.name,
                    phase=phase,
                    rows_in=rows_in,
                    rows_out=rows_out,
                )
            )

        progress("planning")
        plan = self.planner.plan(flow, recover=True)
        return self.runner.run(plan, lease, progress), plan.state.position.render()

    def _tell_start(self, flow: DataFlow, attempt: int) -> None:
        self.events.emit(
            UnitStarted(
                run_id=self.run_id,
                dataflow_id=flow.dataflow_id,
                name=flow.name,
                stage=flow.stage,
                destination=place_of(flow),
                attempt=attempt,
            )
        )


def place_of(flow: DataFlow) -> str:
    """Return where a dataflow writes, as people write it."""
    return flow.destination.path or flow.destination.table


def _blank_report(flow: DataFlow, run_id: str) -> UnitReport:
    now = datetime.now(UTC)
    return UnitReport(
        run_id=run_id,
        dataflow_id=flow.dataflow_id,
        name=flow.name,
        stage=flow.stage,
        load_type=flow.destination.load_type,
        source=flow.source.path or flow.source.connection_name,
        destination=place_of(flow),
        status="failed",
        started_at=now,
        ended_at=now,
    )
