"""Maintenance runs: each physical destination once, under a lease of its own, beside the loads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidegate.destinations.compaction import Compacted, compact
from tidegate.destinations.maintenance import CleanedUp, Upkeep
from tidegate.errors import ConfigurationError, LeaseHeldError, MetadataError, TidegateError
from tidegate.models.connection import LAKEHOUSE_FORMATS
from tidegate.orchestration.parallel_executor import ParallelExecutor
from tidegate.orchestration.planner import table_of
from tidegate.orchestration.retry_handler import RetryHandler
from tidegate.orchestration.run import Run, place_of, policy_of
from tidegate.orchestration.run_recorder import RunRecorder
from tidegate.reporting import ErrorReport, ExecutionResult, Notice, UnitFinished, UnitReport, UnitStarted
from tidegate.reporting.figures import plural

if TYPE_CHECKING:
    from tidegate.metadata import BaseMetadataProvider
    from tidegate.models import Connection, DataFlow
    from tidegate.orchestration.job_distributor import JobDistributor

LEASE_PREFIX = "maintain|"
"""Begin of the keys of leases; the destination's key follows."""
NOTHING_ELIGIBLE = "there is nothing to maintain: no destination that was asked for is a Delta or Iceberg table"

_logger = logging.getLogger(__name__)


def maintainable(
    dataflows: Iterable[DataFlow],
    connection: str | Sequence[str] | None = None,
    connections: Iterable[Connection] = (),
) -> list[DataFlow]:
    """Return the dataflows whose destinations can be maintained, Delta and Iceberg tables.

    Args:
        dataflows: Any dataflows.
        connection: Name or id of the destination's connection; several separated by commas, or a list; all when None.
        connections: Further connections that are known, though no dataflow may write to them.

    Raises:
        MetadataError: a connection is unknown (TG104).
    """
    flows = list(dataflows)
    lakes = [flow for flow in flows if _format(flow) in LAKEHOUSE_FORMATS]
    if connection is None:
        return lakes
    asked = [name.strip() for name in (connection.split(",") if isinstance(connection, str) else connection)]
    declared = [*connections, *filter(None, (flow.destination.connection for flow in flows))]
    names = list(dict.fromkeys(connection.name for connection in declared))
    for name in asked:
        if not any(name in _names(connection) for connection in declared):
            hint = f"connections: {', '.join(names)}" if names else "there are no connections"
            raise MetadataError(f"unknown connection {name!r}", {"known": names}, code="TG104", hint=hint)
    return [flow for flow in lakes if flow.destination.connection and _names(flow.destination.connection) & set(asked)]


def dedupe_by_destination(
    dataflows: Iterable[DataFlow], warn: Callable[[str], object] = _logger.warning
) -> list[DataFlow]:
    """Return one dataflow for each physical destination: that with the smallest id, in the order of ids.

    Args:
        dataflows: Any dataflows.
        warn: Told of each dataflow that is left out because its destination cannot be told.
    """
    first: dict[str, DataFlow] = {}
    for flow in sorted(dataflows, key=lambda flow: flow.dataflow_id):
        try:
            first.setdefault(flow.destination.destination_key, flow)
        except TidegateError as error:
            warn(f"dataflow {flow.name!r} is left out of maintenance: {error.message}")
    return list(first.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """Maintains destinations. Safe to use from many threads."""

    run: Run
    distributor: JobDistributor
    do_compact: bool = True
    do_cleanup: bool = True

    def declared(
        self, provider: BaseMetadataProvider | None, connection: str | Sequence[str] | None, *, active_only: bool = True
    ) -> list[DataFlow]:
        """Return one dataflow of this job for each table of the metadata that can be maintained.

        Raises:
            MetadataError: the metadata do not hold, or a connection is unknown (TG104).
        """
        if provider is None:
            msg = "no metadata: neither a metadata provider nor dataflows were given"
            raise ConfigurationError(msg, hint="create_driver(metadata_provider='tidegate.yaml')")
        flows = provider.get_dataflows(active_only=active_only, attach_schema_hints=False)
        chosen = self._once(maintainable(flows, connection, provider.get_connections()))
        return self.distributor.filter_dataflows(chosen, active_only)

    def given(self, dataflows: Iterable[DataFlow], connection: str | Sequence[str] | None) -> list[DataFlow]:
        """Return, of these dataflows, those that :meth:`declared` would return if they were the metadata."""
        return self.distributor.filter_dataflows(self._once(maintainable(dataflows, connection)))

    def carry_out(self, flows: Sequence[DataFlow]) -> ExecutionResult:
        """Maintain the destinations of these dataflows, several at the same time."""
        record = RunRecorder(run=self.run, command="maintain", flows=flows)
        with record.held():
            return self._carry_out(flows, record)

    def _carry_out(self, flows: Sequence[DataFlow], record: RunRecorder) -> ExecutionResult:
        record.begin(tuple((flow.name, flow.stage, place_of(flow)) for flow in flows))
        if not flows:
            self.run.events.emit(Notice(level="warning", message=NOTHING_ELIGIBLE))
        executor = ParallelExecutor(self.run.config.max_workers, self.run.config.stop_on_error)
        done = executor.execute(flows, self.unit)
        reports = {unit.dataflow_id: unit for unit in done.units}
        result = ExecutionResult.from_units(
            (reports.get(flow.dataflow_id) or self._unstarted(flow) for flow in flows),
            run_id=self.run.run_id,
            duration_seconds=done.duration_seconds,
        )
        record.end(result)
        return result

    def unit(self, flow: DataFlow) -> UnitReport:
        """Maintain the destination of one dataflow, and return what happened. Never raises for a failure of it."""
        blank = _blank_report(flow, self.run.run_id)
        attempts = 0

        def attempt() -> UnitReport:
            nonlocal attempts
            attempts += 1
            self._tell_start(flow, attempts)
            return self._attempt(flow, replace(blank, attempts=attempts))

        retries = RetryHandler(policy=policy_of(flow.retry or self.run.config), wait=self.run.cancellation.wait)
        try:
            report, _ = retries.execute(attempt)
        except LeaseHeldError as error:
            report = replace(blank, status="skipped", detail=f"maintained by another process: {error.message}")
        except Exception as error:  # noqa: BLE001 - whatever it is, the other destinations go on
            report = replace(blank, error=ErrorReport.from_exception(error))
        report = replace(report, attempts=attempts, ended_at=datetime.now(UTC))
        if not self.run.config.dry_run:
            with suppress(TidegateError):  # what was done is done, whether it is recorded or not
                self.run.state.finish(None, {**report.to_dict(), "dataflow_id": _key(flow)})
        self.run.events.emit(UnitFinished(report=report))
        return report

    def _attempt(self, flow: DataFlow, blank: UnitReport) -> UnitReport:
        try:
            self.run.cancellation.check()
            upkeep = table_of(self.run.secrets.resolved(flow), self.run.planner.platform).upkeep()
            if upkeep is None:
                return replace(blank, status="skipped", detail="tables of this kind need no maintenance")
            if upkeep.table.snapshot().version is None:
                return replace(blank, status="skipped", detail="there is no table yet")
            if self.run.config.dry_run:
                done = self._maintained(upkeep)
                return replace(blank, **{**done, "detail": f"dry run: {done['detail']}"}, status="skipped")
            with self._leased(flow):
                return replace(blank, **self._maintained(upkeep), status="succeeded")
        except Exception as error:
            raise self.run.runner.engine.translate(error) from error

    @contextmanager
    def _leased(self, flow: DataFlow) -> Iterator[None]:
        """Hold the lease of the destination's maintenance; it has nothing to do with those of loads.

        Raises:
            LeaseHeldError: a living process holds it (TG502).
        """
        lease = self.run.state.acquire(_key(flow))
        self.run.heartbeat.add(lease)
        try:
            yield
        finally:
            self.run.heartbeat.remove(lease)
            with suppress(TidegateError):
                self.run.state.release(lease)

    def _maintained(self, upkeep: Upkeep) -> dict[str, Any]:
        """Compact and clean up, or say what that would do, and return what goes into the report."""
        config, compacted, cleaned = self.run.config, Compacted(), CleanedUp()
        if self.do_compact:
            check = self.run.cancellation.check
            compacted = compact(upkeep, self.run.runner.engine, check=check, dry_run=config.dry_run)
        if self.do_cleanup and self.run.cancellation.is_wanted:
            cleaned = upkeep.clean_up(config.retention_hours, dry_run=config.dry_run)
        return {
            "files_read": compacted.files_before,
            "bytes_written": compacted.bytes_written,
            "files_removed": cleaned.files,
            "bytes_freed": cleaned.bytes,
            "detail": ", ".join(_described(compacted, cleaned)) or "nothing to do",
        }

    def _once(self, flows: Iterable[DataFlow]) -> list[DataFlow]:
        return dedupe_by_destination(flows, lambda text: self.run.events.emit(Notice(level="warning", message=text)))

    def _unstarted(self, flow: DataFlow) -> UnitReport:
        detail = "not started: an earlier one failed"
        return replace(_blank_report(flow, self.run.run_id), status="skipped", detail=detail)

    def _tell_start(self, flow: DataFlow, attempt: int) -> None:
        self.run.events.emit(
            UnitStarted(
                run_id=self.run.run_id,
                dataflow_id=flow.dataflow_id,
                name=flow.name,
                stage=flow.stage,
                destination=place_of(flow),
                attempt=attempt,
            )
        )


def byte_size(size: float) -> str:
    """Return a number of bytes as people read it.

    >>> byte_size(0), byte_size(999), byte_size(3_400_000), byte_size(128_000_000_000)
    ('0 B', '999 B', '3.4 MB', '128 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:  # noqa: PLR2004 - four letters would follow
            return f"{size:.{0 if unit == 'B' or size >= 99.95 else 1}f} {unit}"  # noqa: PLR2004 - three digits
        size /= 1000
    return f"{size:,.1f} TB"


def _described(compacted: Compacted, cleaned: CleanedUp) -> Iterator[str]:
    if compacted.files_before:
        yield f"{plural(compacted.files_before, 'file')} -> {compacted.files_after:,}"
    elif compacted.has_merged_metadata:
        yield "manifests merged"
    if cleaned.snapshots:
        yield f"{plural(cleaned.snapshots, 'snapshot')} expired"
    if cleaned.files:
        yield f"{plural(cleaned.files, 'old file')} removed"
        yield f"{byte_size(cleaned.bytes)} freed"
    if cleaned.note:
        yield cleaned.note


def _key(flow: DataFlow) -> str:
    return f"{LEASE_PREFIX}{flow.destination.destination_key}"


def _names(connection: Connection) -> set[str]:
    return {connection.name, connection.connection_id}


def _format(flow: DataFlow) -> str | None:
    return flow.destination.connection.format if flow.destination.connection else None


def _blank_report(flow: DataFlow, run_id: str) -> UnitReport:
    now = datetime.now(UTC)
    return UnitReport(
        run_id=run_id,
        dataflow_id=flow.dataflow_id,
        name=flow.name,
        stage=flow.stage,
        operation="maintenance",
        destination=place_of(flow),
        status="failed",
        started_at=now,
        ended_at=now,
    )
