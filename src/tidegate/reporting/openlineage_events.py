"""What OpenLineage calls the events of a run: runs, jobs and datasets, with the facets that are known of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
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

from tidegate.reporting.events import (
    Event,
    RunFinished,
    RunStarted,
    UnitFinished,
    UnitStarted,
    utc_now,
)
from tidegate.reporting.lineage import Dataset, InputColumn, Lineage
from tidegate.reporting.run_report import UnitReport, flow_of, timestamp

VERSION = version("tidegate")
PRODUCER = f"urn:tidegate:{VERSION}"
_ENDS = {"succeeded": RunState.COMPLETE, "failed": RunState.FAIL, "skipped": RunState.ABORT}


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
