"""OpenLineage: tells a lineage server what is read and written, unit by unit and column by column.

The one place that imports openlineage-python, whose own settings say where events go (`OPENLINEAGE_URL`,
`openlineage.yml`). A server that is slow or dead neither stops nor delays a load: events wait in a bounded queue, and
are sent from a thread of their own. One that cannot be reached is not tried again in the same run.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Protocol
from uuid import UUID

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    DatasetFacet,
    RunFacet,
    column_lineage_dataset,
    error_message_run,
    input_statistics_input_dataset,
    job_type_job,
    nominal_time_run,
    output_statistics_output_dataset,
    parent_run,
    processing_engine_run,
    schema_dataset,
    symlinks_dataset,
)
from openlineage.client.uuid import generate_static_uuid

from tidegate.errors import PlaceUnavailableError
from tidegate.masking import mask
from tidegate.reporting.events import (
    Event,
    Notice,
    RunFinished,
    RunStarted,
    UnitFinished,
    UnitProgress,
    UnitStarted,
    utc_now,
)
from tidegate.reporting.lineage import Dataset, InputColumn, Lineage
from tidegate.reporting.run_report import UnitReport, flow_of, timestamp

VERSION = version("tidegate")
PRODUCER = f"urn:tidegate:{VERSION}"
_THREAD = "tidegate-openlineage"
_MOST_WAITING = 10_000
_CLOSE_SECONDS = 2.0
_NO_WAY = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH})
_ENDS = {"succeeded": RunState.COMPLETE, "failed": RunState.FAIL, "skipped": RunState.ABORT}


class Client(Protocol):
    """What sends events: an `OpenLineageClient`."""

    def emit(self, event: RunEvent) -> None:
        """Send an event."""

    def close(self, timeout: float = -1.0) -> bool:
        """Send what waits, for at most so many seconds."""


class OpenLineageSink:
    """Sends START, then COMPLETE, FAIL or ABORT, for the run and for each unit, whose parent it is.

    Args:
        client: What sends them; one as its environment and files configure it when not given.
        namespace: Namespace of the jobs; `OPENLINEAGE_NAMESPACE`, else `tidegate`, when not given.
        most_waiting: How many events may wait; what comes when so many do is lost.
        close_seconds: How long :meth:`close` lets what waits be sent.
    """

    wants_lineage = True

    def __init__(
        self,
        client: Client | None = None,
        *,
        namespace: str | None = None,
        most_waiting: int = _MOST_WAITING,
        close_seconds: float = _CLOSE_SECONDS,
    ) -> None:
        self._client = client or _configured_client()
        self._translation = Translation(namespace or os.environ.get("OPENLINEAGE_NAMESPACE") or "tidegate")
        self._most_waiting = most_waiting
        self._close_seconds = close_seconds
        self._waiting: deque[Event] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._sending = 0
        self._lost = 0
        self._is_reachable = True
        self._cause = "the server is slow"

    def handle(self, event: Event, /) -> None:
        """Let an event wait for its sending, or lose it where too many wait."""
        if isinstance(event, UnitProgress | Notice):
            return
        with self._changed:
            if len(self._waiting) >= self._most_waiting:
                self._lost += 1
                return
            self._waiting.append(event)
            self._changed.notify()
            if self._thread is None:
                _quieten()
                self._thread = threading.Thread(target=self._send_all, name=_THREAD, daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Send what waits, for a few seconds.

        Raises:
            PlaceUnavailableError: events were lost (TG641).
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread:
            self._thread.join(self._close_seconds)
        with self._changed:
            lost = self._lost + len(self._waiting) + self._sending
            self._waiting.clear()
        if lost:
            events = "1 lineage event was" if lost == 1 else f"{lost:,} lineage events were"
            hint = "the loads are in; check OPENLINEAGE_URL, or whether the lineage server is up"
            raise PlaceUnavailableError(f"{events} lost: {self._cause}", code="TG641", hint=hint)

    def _send_all(self) -> None:
        while (event := self._next()) is not None:
            if isinstance(event, RunStarted):
                self._is_reachable = True
            try:
                for told in self._translation.of(event):
                    self._send(told)
            except Exception as error:  # noqa: BLE001 - whatever the server or its library does, loads go on
                self._lose(error)
            with self._changed:
                self._sending = 0
        try:
            for told in self._translation.rest() if self._is_reachable else ():
                self._send(told)
            self._client.close(self._close_seconds)
        except Exception as error:  # noqa: BLE001 - likewise
            self._lose(error)

    def _send(self, event: RunEvent) -> None:
        if not self._is_reachable:
            raise PlaceUnavailableError(self._cause)
        self._client.emit(event)

    def _next(self) -> Event | None:
        """Return the event that is to be sent now; None when there will be none any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return None
            self._sending = 1
            return self._waiting.popleft()

    def _lose(self, error: Exception) -> None:
        with self._changed:
            self._lost += 1
            if not self._is_reachable:
                return
            if reason := _unreachable(error):
                self._is_reachable = False
                self._cause = f"the server cannot be reached: {reason}"
            else:
                self._cause = " ".join(mask(f"{type(error).__name__}: {error}").split())


class Translation:
    """Turns events of one run after the other into those of OpenLineage."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._run: RunStarted | None = None
        self._units: dict[str, UnitStarted] = {}

    def of(self, event: Event) -> Iterator[RunEvent]:
        """Yield what is told of an event."""
        match event:
            case RunStarted():
                self._run = event
                self._units.clear()
                yield self._run_event(RunState.START, event.at)
            case UnitStarted():
                self._units[event.name] = event
                yield self._unit_event(RunState.START if event.attempt == 1 else RunState.RUNNING, event.name, event.at)
            case UnitFinished(report=report, lineage=lineage):
                if self._units.pop(report.name, None) or report.status != "skipped":  # else nothing was begun
                    yield self._unit_event(_ENDS[report.status], report.name, report.ended_at, report, lineage)
            case RunFinished(result=result) if self._run:
                end = self._run_event(RunState.FAIL if result.failed else RunState.COMPLETE, event.at)
                self._run = None
                yield end
            case _:
                pass

    def rest(self) -> Iterator[RunEvent]:
        """Yield the end of what was broken off."""
        if self._run:
            for name in self._units:
                yield self._unit_event(RunState.ABORT, name, utc_now())
            yield self._run_event(RunState.ABORT, utc_now())
            self._run = None

    def _run_event(self, state: RunState, at: datetime) -> RunEvent:
        return RunEvent(
            eventType=state,
            eventTime=timestamp(at),
            run=Run(runId=self._run_id(), facets={"processing_engine": _engine()}),
            job=self._job("RUN"),
            producer=PRODUCER,
        )

    def _unit_event(
        self,
        state: RunState,
        name: str,
        at: datetime,
        report: UnitReport | None = None,
        lineage: Lineage | None = None,
    ) -> RunEvent:
        run_id = self._run_id()
        parent = parent_run.ParentRunFacet(
            run=parent_run.Run(runId=run_id),
            job=parent_run.Job(namespace=self._namespace, name=self._job_name()),
            producer=PRODUCER,
        )
        facets: dict[str, RunFacet] = {"parent": parent, "processing_engine": _engine()}
        if report and report.error:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
                message=f"{report.error.code}: {report.error.message}", programmingLanguage="PYTHON", producer=PRODUCER
            )
        if report and (nominal := _nominal_time(report)):
            facets["nominalTime"] = nominal
        return RunEvent(
            eventType=state,
            eventTime=timestamp(at),
            run=Run(runId=str(generate_static_uuid(self._began(), f"{run_id}/{name}".encode())), facets=facets),
            job=self._job("DATAFLOW", flow_of(name)),
            inputs=[_input(lineage, report)] if lineage else [],
            outputs=[_output(lineage, report)] if lineage else [],
            producer=PRODUCER,
        )

    def _job(self, kind: str, name: str | None = None) -> Job:
        about = job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration="TIDEGATE", jobType=kind, producer=PRODUCER
        )
        return Job(namespace=self._namespace, name=name or self._job_name(), facets={"jobType": about})

    def _job_name(self) -> str:
        return (self._run.job_id or f"tidegate.{self._run.command}") if self._run else "tidegate.run"

    def _began(self) -> datetime:
        return self._run.at if self._run else datetime.fromtimestamp(0, UTC)

    def _run_id(self) -> str:
        """Return the run's id as the UUID that OpenLineage wants: itself, where it is one."""
        name = self._run.run_id if self._run else ""
        try:
            return str(UUID(name))
        except ValueError:
            return str(generate_static_uuid(self._began(), name.encode()))


def _configured_client() -> Client:
    from openlineage.client import OpenLineageClient
    from openlineage.client.transport.http import HttpTransport
    from openlineage.client.transport.http_common import DEFAULT_RETRY_CONFIG

    client = OpenLineageClient()
    if isinstance(client.transport, HttpTransport) and client.transport.config.retry == DEFAULT_RETRY_CONFIG:
        client.transport.config.retry = {**DEFAULT_RETRY_CONFIG, "connect": 0}  # refused once is enough to know
    return client


def _unreachable(error: BaseException) -> str | None:
    """Return why no connection was made to a server; None when there was one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError | socket.gaierror) or (
            isinstance(cause, OSError) and cause.errno in _NO_WAY
        ):
            return cause.strerror or type(cause).__name__
        cause = cause.__cause__ or cause.__context__
    return None


def _engine() -> RunFacet:
    return processing_engine_run.ProcessingEngineRunFacet(version=VERSION, name="Tidegate", producer=PRODUCER)


def _nominal_time(report: UnitReport) -> RunFacet | None:
    """Return the window of a unit where it is one of times."""
    try:
        lower, upper = (_moment(bound) for bound in report.window or ())
    except ValueError:
        return None
    return nominal_time_run.NominalTimeRunFacet(nominalStartTime=lower, nominalEndTime=upper, producer=PRODUCER)


def _moment(text: str) -> str:
    if text.isdecimal():
        raise ValueError(text)  # a number that reads as a date
    moment = datetime.fromisoformat(text)
    return timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _input(lineage: Lineage, report: UnitReport | None) -> InputDataset:
    dataset = lineage.source
    statistics = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
        rowCount=report.rows_in if report else None,
        fileCount=report.files_read if report else None,
        producer=PRODUCER,
    )
    return InputDataset(
        namespace=dataset.namespace,
        name=dataset.name,
        facets=_about(dataset),
        inputFacets={"inputStatistics": statistics},
    )


def _output(lineage: Lineage, report: UnitReport | None) -> OutputDataset:
    dataset, facets = lineage.destination, _about(lineage.destination)
    if lineage.columns:
        facets["columnLineage"] = column_lineage_dataset.ColumnLineageDatasetFacet(
            fields={
                column.column: column_lineage_dataset.Fields(inputFields=_fields(lineage.source, column.inputs))
                for column in lineage.columns
                if column.inputs
            },
            dataset=_fields(lineage.source, lineage.row_inputs),
            producer=PRODUCER,
        )
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=report.rows_out if report else None,
        size=report.bytes_written if report else None,
        producer=PRODUCER,
    )
    return OutputDataset(
        namespace=dataset.namespace,
        name=dataset.name,
        facets=facets,
        outputFacets={"outputStatistics": statistics},
    )


def _about(dataset: Dataset) -> dict[str, DatasetFacet]:
    facets: dict[str, DatasetFacet] = {}
    if dataset.columns:
        fields = [
            schema_dataset.SchemaDatasetFacetFields(name=name, type=text or None, ordinal_position=number)
            for number, (name, text) in enumerate(dataset.columns, start=1)
        ]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=fields, producer=PRODUCER)
    if dataset.table:
        namespace, name = dataset.table
        identifier = symlinks_dataset.Identifier(namespace=namespace, name=name, type="TABLE")
        facets["symlinks"] = symlinks_dataset.SymlinksDatasetFacet(identifiers=[identifier], producer=PRODUCER)
    return facets


def _fields(source: Dataset, inputs: Sequence[InputColumn]) -> list[column_lineage_dataset.InputField]:
    """Return each column once, with all that it is used for."""
    uses: dict[str, list[InputColumn]] = {}
    for known in inputs:
        uses.setdefault(known.column, []).append(known)
    return [
        column_lineage_dataset.InputField(
            namespace=source.namespace,
            name=source.name,
            field=column,
            transformations=[
                column_lineage_dataset.Transformation(
                    type="DIRECT" if use.is_direct else "INDIRECT",
                    subtype=use.use,
                    description=use.description or None,
                )
                for use in known
            ],
        )
        for column, known in uses.items()
    ]


class _NotFromThisThread(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.threadName != _THREAD


def _quieten() -> None:
    """Keep what the libraries log of each attempt from the terminal: what is lost is told once, at the end."""
    for name in ("urllib3.connectionpool", "urllib3.util.retry"):
        logger = logging.getLogger(name)
        if not any(isinstance(one, _NotFromThisThread) for one in logger.filters):
            logger.addFilter(_NotFromThisThread())
