"""The beginning and the end of a run, told to those who listen and kept in the state store."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tidegate.errors import TidegateError
from tidegate.orchestration.run_lease import holding_run
from tidegate.reporting import RunFinished, RunStarted
from tidegate.state import RunRecord

if TYPE_CHECKING:
    from tidegate.models import DataFlow
    from tidegate.orchestration.run import Run
    from tidegate.reporting import ExecutionResult
    from tidegate.reporting.events import PlannedUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecorder:
    """Records one run; a dry one is only told. That it cannot be recorded stops no load; one that died has no end."""

    run: Run
    command: str
    flows: Sequence[DataFlow]

    def held(self) -> AbstractContextManager[None]:
        """Hold the run's lease while it goes on: `tidegate runs` tells by it whether a run without an end lives."""
        run = self.run
        return nullcontext() if run.config.dry_run else holding_run(run.state, run.heartbeat, run.run_id)

    def begin(self, units: tuple[PlannedUnit, ...]) -> None:
        """Record that it begins, and with which units."""
        config, now = self.run.config, datetime.now(UTC)
        self.run.events.emit(
            RunStarted(
                run_id=self.run.run_id,
                units=units,
                command=self.command,
                job_id=config.job_id,
                job_num=config.job_num,
                job_index=config.job_index,
                at=now,
            )
        )
        record = RunRecord(
            run_id=self.run.run_id,
            command=self.command,
            started_at=now,
            job_id=config.job_id,
            job_num=config.job_num,
            job_index=config.job_index,
            flows=tuple(flow.name for flow in self.flows),
        )
        if not config.dry_run:
            with suppress(TidegateError):
                self.run.state.begin_run(record)

    def end(self, result: ExecutionResult) -> None:
        """Record what came of it."""
        if not self.run.config.dry_run:
            with suppress(TidegateError):
                self.run.state.end_run(self.run.run_id, datetime.now(UTC), result.summary())
        self.run.events.emit(RunFinished(result=result))
