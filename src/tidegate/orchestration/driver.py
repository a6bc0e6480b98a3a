"""The driver: runs dataflows, and records what happened to each."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tidegate.engines import BaseEngine, engine_registry
from tidegate.errors import ConfigurationError, TidegateError
from tidegate.metadata import BaseMetadataProvider, FileMetadata
from tidegate.models import ColumnCaseMode, DataFlow, RunConfig
from tidegate.orchestration.job_distributor import JobDistributor
from tidegate.orchestration.parallel_executor import ParallelExecutor
from tidegate.orchestration.planner import Planner
from tidegate.orchestration.run import Run, place_of
from tidegate.orchestration.runner import DestinationLocks, Runner
from tidegate.orchestration.secret_connections import SecretConnections
from tidegate.platforms import BasePlatform, platform_registry
from tidegate.reporting import EventStream, ExecutionResult, RunFinished, RunStarted, Sink
from tidegate.secrets import BaseSecretProvider, EnvSecretProvider, install_secret_filter
from tidegate.state import SQLiteStateStore, StateStore, state_path_of
from tidegate.state.lease import Heartbeat

if TYPE_CHECKING:
    from tidegate.orchestration.stages import UnitPlan


class Driver:
    """Runs dataflows: plans each against the present state, loads it, commits it once, and records it.

    A driver may run several times, and several dataflows at the same time. Use it as a context manager, or call
    :meth:`close`.

    Args:
        engine: What evaluates the frames.
        platform: Where bytes live; the local file system when not given.
        metadata_provider: Where dataflows are declared; not needed when they are given to :meth:`run`.
        state: Where positions are kept; `.tidegate/state.db` in the project folder when not given.
        config: Options of the run.
        secret_provider: Resolves secrets in connections; environment variables when not given.
        sinks: Who listens to events.
        root: The project folder; that of the metadata, or the working directory, when not given.
    """

    def __init__(
        self,
        engine: BaseEngine,
        platform: BasePlatform | None = None,
        metadata_provider: BaseMetadataProvider | None = None,
        *,
        state: StateStore | None = None,
        config: RunConfig | None = None,
        secret_provider: BaseSecretProvider | None = None,
        sinks: Iterable[Sink] = (),
        root: str | Path | None = None,
    ) -> None:
        self.engine = engine
        self.platform = platform or platform_registry.get("local")
        self.metadata_provider = metadata_provider
        self.config = config or RunConfig()
        self.root = Path(root or (metadata_provider.root if metadata_provider else Path.cwd())).absolute()
        state_path = state_path_of(self.root, metadata_provider.profile if metadata_provider else None)
        self._home = state_path.parent
        self.state = state or SQLiteStateStore(state_path)
        self._distributor = JobDistributor(self.config.job_num, self.config.job_index)
        self._secrets = SecretConnections(secret_provider or EnvSecretProvider())
        self._events = EventStream(sinks)
        self._heartbeat = Heartbeat(self.state)
        self._locks = DestinationLocks()
        self._closed = False
        install_secret_filter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the heartbeat, the event stream and the connections to the state store. May be called again."""
        if not self._closed:
            self._closed = True
            self._heartbeat.close()
            self._events.close()
            self.state.close()

    def load_dataflows(
        self,
        stage: str | list[str] | None = None,
        active_only: bool = True,  # noqa: FBT001, FBT002 - the seed's signature
        attach_schema_hints: bool = True,  # noqa: FBT001, FBT002 - the seed's signature
        *,
        names: Sequence[str] | None = None,
    ) -> list[DataFlow]:
        """Return the dataflows of this job, from the metadata.

        Args:
            stage: A stage, several separated by commas, or a list of them; all when not given.
            active_only: Leave out inactive dataflows.
            attach_schema_hints: Attach the shared schema hints of the source tables.
            names: Only the dataflows of these names.

        Raises:
            MetadataError: the metadata do not hold, or the stage or name is unknown.
        """
        if self.metadata_provider is None:
            msg = "no metadata: neither a metadata provider nor dataflows were given"
            raise ConfigurationError(msg, hint="create_driver(metadata_provider='tidegate.yaml')")
        flows = self.metadata_provider.get_dataflows(
            stage, names=names, active_only=active_only, attach_schema_hints=attach_schema_hints
        )
        return self._distributor.filter_dataflows(flows, active_only=active_only)

    def plan(
        self,
        stage: str | list[str] | None = None,
        dataflows: Sequence[DataFlow] | None = None,
        *,
        names: Sequence[str] | None = None,
    ) -> list[tuple[DataFlow, UnitPlan | TidegateError]]:
        """Return what a run would do now: per dataflow its plan, or why there is none. Changes nothing."""
        flows = list(dataflows) if dataflows is not None else self.load_dataflows(stage, names=names)
        planner = Planner(state=self.state, platform=self.platform)
        plans: list[tuple[DataFlow, UnitPlan | TidegateError]] = []
        for flow in flows:
            try:
                plans.append((flow, planner.plan(self._secrets.resolved(flow))))
            except Exception as error:  # noqa: BLE001 - a plan that fails is what is planned
                plans.append((flow, self.engine.translate(error)))
        return plans

    def run(
        self,
        stage: str | list[str] | None = None,
        dataflows: Sequence[DataFlow] | None = None,
        column_name_mode: ColumnCaseMode | str = ColumnCaseMode.LOWER,
        *,
        names: Sequence[str] | None = None,
    ) -> ExecutionResult:
        """Run dataflows; the same as :meth:`run_dataflow`."""
        return self.run_dataflow(stage, dataflows, column_name_mode, names=names)

    def run_dataflow(
        self,
        stage: str | list[str] | None = None,
        dataflows: Sequence[DataFlow] | None = None,
        column_name_mode: ColumnCaseMode | str = ColumnCaseMode.LOWER,
        *,
        names: Sequence[str] | None = None,
    ) -> ExecutionResult:
        """Run the dataflows of this job: read, transform, commit.

        A dataflow that fails leaves its source, destination and position as they were; the others go on.

        Args:
            stage: A stage, several separated by commas, or a list of them; all when not given.
            dataflows: These dataflows, instead of those of the metadata.
            column_name_mode: How column names are written: `lower` or `snake`.
            names: Only the dataflows of these names.

        Raises:
            MetadataError: the metadata do not hold, or the stage or name is unknown. Nothing was run.
        """
        mode = ColumnCaseMode(column_name_mode)
        flows = self.load_dataflows(stage, names=names) if dataflows is None else self._mine(dataflows)
        run = self._new_run(mode)
        self._events.emit(
            RunStarted(run_id=run.run_id, units=tuple((flow.name, flow.stage, place_of(flow)) for flow in flows))
        )
        executor = ParallelExecutor(self.config.max_workers, self.config.stop_on_error)
        result = executor.execute_with_groups(self._distributor.group_dataflows(flows), run.unit)
        result = self._with_unstarted(result, flows, run)
        self._events.emit(RunFinished(result=result))
        return result

    def _mine(self, dataflows: Sequence[DataFlow]) -> list[DataFlow]:
        return self._distributor.filter_dataflows(dataflows)

    def _new_run(self, mode: ColumnCaseMode) -> Run:
        run_id = uuid.uuid4().hex
        runner = Runner(
            engine=self.engine,
            state=self.state,
            run_id=run_id,
            scratch_root=str(self._home / "scratch"),
            column_name_mode=mode,
            locks=self._locks,
        )
        planner = Planner(state=self.state, platform=self.platform)
        return Run(
            run_id=run_id,
            planner=planner,
            runner=runner,
            state=self.state,
            heartbeat=self._heartbeat,
            events=self._events,
            secrets=self._secrets,
            config=self.config,
        )

    def _with_unstarted(self, result: ExecutionResult, flows: Sequence[DataFlow], run: Run) -> ExecutionResult:
        """Return the result in the dataflows' order, with those that `stop_on_error` kept from starting as skipped."""
        done = {unit.dataflow_id: unit for unit in result.units}
        units = [done.get(flow.dataflow_id) or run.unstarted(flow) for flow in flows]
        return ExecutionResult.from_units(units, run_id=run.run_id, duration_seconds=result.duration_seconds)


def create_driver(
    engine: str | BaseEngine = "polars",
    platform: str | BasePlatform = "local",
    metadata_provider: str | Path | BaseMetadataProvider | None = None,
    *,
    profile: str | None = None,
    variables: Mapping[str, Any] | None = None,
    state: StateStore | None = None,
    secret_provider: BaseSecretProvider | None = None,
    sinks: Iterable[Sink] = (),
    root: str | Path | None = None,
    config: RunConfig | None = None,
    **options: Any,
) -> Driver:
    """Return a driver.

    Args:
        engine: An engine, or its name.
        platform: A platform, or its name.
        metadata_provider: A metadata provider, or the path of a metadata file or project folder.
        profile: Name of the metadata profile.
        variables: Values that win over the declared variables.
        state: Where positions are kept; `.tidegate/state.db` in the project folder when not given.
        secret_provider: Resolves secrets in connections.
        sinks: Who listens to events.
        root: The project folder.
        config: Options of the run.
        **options: Single options of the run (:class:`~tidegate.models.RunConfig`): `max_workers`, `job_num`, ...

    Example:
        >>> from tidegate import create_driver
        >>> with create_driver(metadata_provider="tidegate.yaml") as driver:  # doctest: +SKIP
        ...     result = driver.run(stage="bronze")
    """
    if isinstance(metadata_provider, str | Path):
        metadata_provider = FileMetadata(metadata_provider, profile=profile, variables=variables)
    base = config or RunConfig()
    return Driver(
        engine_registry.get_or_create(engine) if isinstance(engine, str) else engine,
        platform_registry.get_or_create(platform) if isinstance(platform, str) else platform,
        metadata_provider,
        state=state,
        config=RunConfig.model_validate({**base.model_dump(), **options}),
        secret_provider=secret_provider,
        sinks=sinks,
        root=root,
    )
