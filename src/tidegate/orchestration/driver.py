"""The driver: runs dataflows, and records what happened to each."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tidegate.destinations.turns import replay_scope
from tidegate.engines import BaseEngine, engine_registry
from tidegate.errors import ConfigurationError, TidegateError
from tidegate.metadata import BaseMetadataProvider, open_metadata
from tidegate.metadata.watermarks import with_watermarks
from tidegate.models import ColumnCaseMode, DataFlow, ReplayConfig, RunConfig
from tidegate.orchestration.cancellation import Cancellation
from tidegate.orchestration.destination_locks import DestinationLocks
from tidegate.orchestration.job_distributor import JobDistributor
from tidegate.orchestration.maintenance import Maintenance
from tidegate.orchestration.parallel_executor import ParallelExecutor
from tidegate.orchestration.planner import Planner
from tidegate.orchestration.replay import earlier
from tidegate.orchestration.replays import Replays
from tidegate.orchestration.run import Run, place_of
from tidegate.orchestration.run_order import limits_of, missing_upstreams, said_of_missing, tasks_of
from tidegate.orchestration.run_recorder import RunRecorder
from tidegate.orchestration.runner import Runner
from tidegate.orchestration.secret_connections import SecretConnections
from tidegate.platforms import BasePlatform, platform_registry
from tidegate.reporting import EventStream, ExecutionResult, Notice, Sink, UnitReport
from tidegate.reporting.sinks import configured_sinks
from tidegate.secrets import BaseSecretProvider, install_secret_filter, native_provider
from tidegate.state import Replay, StateStore, state_path_of
from tidegate.state.lease import Heartbeat
from tidegate.state.opening import ENVIRONMENT_VARIABLE, open_state_store

if TYPE_CHECKING:
    from tidegate.orchestration.replays import ReplayPlan
    from tidegate.orchestration.schedule import Task
    from tidegate.orchestration.stages import UnitPlan


class Driver:
    """Runs dataflows: plans each against the present state, loads it, commits it once, and records it.

    A driver may run several times, and several dataflows at the same time. Use it as a context manager, or call
    :meth:`close`.

    Args:
        engine: What evaluates the frames.
        platform: Where bytes live; the local file system when not given.
        metadata_provider: Where dataflows are declared; not needed when they are given to :meth:`run`.
        state: Where positions are kept: a store, its URL or its path; what `$TIDEGATE_STATE` or the metadata say when
            not given, else `.tidegate/state.db` in the project folder.
        config: Options of the run.
        secret_provider: Resolves secrets in connections; when not given, what `$TIDEGATE_SECRET_PROVIDER` names, else
            environment variables.
        sinks: Who listens to events.
        base_log_path: Folder of the record: Parquet and event files; `$TIDEGATE_LOG_PATH` when not given.
        root: The project folder; that of the metadata, or the working directory, when not given.
    """

    def __init__(
        self,
        engine: BaseEngine,
        platform: BasePlatform | None = None,
        metadata_provider: BaseMetadataProvider | None = None,
        *,
        state: StateStore | str | Path | None = None,
        config: RunConfig | None = None,
        secret_provider: BaseSecretProvider | None = None,
        sinks: Iterable[Sink] = (),
        base_log_path: str | Path | None = None,
        root: str | Path | None = None,
    ) -> None:
        self.engine = engine
        self.platform = platform or platform_registry.get("local")
        self.metadata_provider = metadata_provider
        self.config = config or RunConfig()
        self.root = Path(root or (metadata_provider.root if metadata_provider else Path.cwd())).absolute()
        profile = metadata_provider.profile if metadata_provider else None
        self._home = state_path_of(self.root, profile).parent
        if state is None or isinstance(state, str | Path):
            declared = metadata_provider.state_url if metadata_provider else os.environ.get(ENVIRONMENT_VARIABLE)
            url = declared if state is None else state
            state = open_state_store(url, root=self.root, profile=profile)
        self.state = with_watermarks(state, metadata_provider) if metadata_provider else state
        self._distributor = JobDistributor(
            self.config.job_num, self.config.job_index, distribution=self.config.distribution
        )
        self._secrets = SecretConnections(secret_provider or native_provider())
        self._events = EventStream([*sinks, *([] if self.config.dry_run else configured_sinks(base_log_path))])
        self._heartbeat = Heartbeat(self.state)
        self._locks = DestinationLocks()
        self._cancellation = Cancellation()
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

    def cancel(self) -> None:
        """End the run that is under way at its next step, without a commit; call it from another thread."""
        self._cancellation.cancel()

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
        return self._mine(flows, active_only=active_only)

    def plan(
        self,
        stage: str | list[str] | None = None,
        dataflows: Sequence[DataFlow] | None = None,
        *,
        names: Sequence[str] | None = None,
    ) -> list[tuple[DataFlow, UnitPlan | TidegateError]]:
        """Return what a run would do now: per dataflow its plan, or why there is none. Changes nothing."""
        flows = list(dataflows) if dataflows is not None else self.load_dataflows(stage, names=names)
        planner = Planner(
            state=self.state, platform=self.platform, allowed_functions=self.config.allowed_function_prefixes
        )
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
        flows = self._asked_for(stage, dataflows, names)
        tasks = tasks_of(flows)
        run = self._new_run(mode)
        record = RunRecorder(run=run, command="run", flows=flows)
        with record.held():
            record.begin(tuple((flow.name, flow.stage, place_of(flow)) for flow in flows))
            result = self._executed(tasks, flows, run)
            record.end(result)
        return result

    def run_replay(
        self,
        dataflows: Sequence[DataFlow] | None = None,
        replay: ReplayConfig | None = None,
        column_name_mode: ColumnCaseMode | str = ColumnCaseMode.LOWER,
        *,
        stage: str | list[str] | None = None,
        names: Sequence[str] | None = None,
    ) -> ExecutionResult:
        """Load a range of history again, in windows, each of which is committed once.

        The positions of the dataflows stay where they are, unless `save_watermark` moves them. Dataflows are replayed
        at the same time, the windows of one in their order; a window that fails ends the replay of its dataflow alone.
        Replaying again goes on with what is left.

        Args:
            dataflows: These dataflows, instead of those of the metadata.
            replay: The range, and how it is cut.
            column_name_mode: How column names are written: `lower` or `snake`.
            stage: A stage, several separated by commas, or a list of them; all when not given.
            names: Only the dataflows of these names.

        Returns:
            The statistics, counted in windows; those that were done before count as skipped.

        Raises:
            TidegateError: the metadata do not hold, the range makes no windows, a dataflow cannot be loaded in windows
                (TG620 to TG635), or rows would be doubled (TG509). Nothing was run.
        """
        replay = _given(replay)
        return self._replays(column_name_mode).run(self._asked_for(stage, dataflows, names), replay)

    def plan_replay(
        self,
        dataflows: Sequence[DataFlow] | None = None,
        replay: ReplayConfig | None = None,
        *,
        stage: str | list[str] | None = None,
        names: Sequence[str] | None = None,
    ) -> list[ReplayPlan]:
        """Return what :meth:`run_replay` would do now: per dataflow its windows, and which are done. Changes nothing.

        Raises:
            TidegateError: as :meth:`run_replay`.
        """
        replay = _given(replay)
        return self._replays(ColumnCaseMode.LOWER).plans(self._asked_for(stage, dataflows, names), replay)

    def earlier_replays(
        self,
        replay: ReplayConfig,
        *,
        stage: str | list[str] | None = None,
        names: Sequence[str] | None = None,
    ) -> list[tuple[DataFlow, Replay, dict[str, int]]]:
        """Return the dataflows with a replay of this range that no living process is at: its record, and its windows.

        The windows are counted by what the ledger says of them: `written`, `failed`, ...
        """
        found = []
        for flow in self.load_dataflows(stage, names=names):
            replayed = earlier(flow, replay, state=self.state)
            if replayed is not None:
                chain = replay_scope(flow.dataflow_id, replayed.replay_id)
                found.append((flow, replayed, self.state.counts(chain)))
        return found

    def load_maintenance_dataflows(
        self,
        connection: str | list[str] | None = None,
        active_only: bool = True,  # noqa: FBT001, FBT002 - the seed's signature
    ) -> list[DataFlow]:
        """Return one dataflow of this job for each Delta or Iceberg table of the metadata, the smallest id first.

        Args:
            connection: Name or id of the destinations' connection; several separated by commas, or a list; or all.
            active_only: Leave out inactive dataflows.

        Raises:
            MetadataError: the metadata do not hold, or a connection is unknown (TG104).
        """
        return self._maintenance().declared(self.metadata_provider, connection, active_only=active_only)

    def run_maintenance(
        self,
        connection: str | list[str] | None = None,
        dataflows: Sequence[DataFlow] | None = None,
        do_compact: bool = True,  # noqa: FBT001, FBT002 - the seed's signature
        do_cleanup: bool = True,  # noqa: FBT001, FBT002 - the seed's signature
    ) -> ExecutionResult:
        """Maintain each Delta and Iceberg table once, several at the same time; loads may run meanwhile.

        Args:
            connection: Name or id of the destinations' connection; several separated by commas, or a list; or all.
            dataflows: Their tables, instead of those of the metadata.
            do_compact: Merge small files.
            do_cleanup: Remove files that no reader needs, `retention_hours` after they were replaced.

        Raises:
            MetadataError: the metadata do not hold, or a connection is unknown (TG104). Nothing was done.
        """
        maintenance = self._maintenance(do_compact=do_compact, do_cleanup=do_cleanup)
        if dataflows is None:
            return maintenance.carry_out(maintenance.declared(self.metadata_provider, connection))
        return maintenance.carry_out(maintenance.given(dataflows, connection))

    def _maintenance(self, *, do_compact: bool = True, do_cleanup: bool = True) -> Maintenance:
        run = self._new_run(ColumnCaseMode.LOWER)
        return Maintenance(run=run, distributor=self._distributor, do_compact=do_compact, do_cleanup=do_cleanup)

    def _replays(self, column_name_mode: ColumnCaseMode | str) -> Replays:
        return Replays(self._new_run(ColumnCaseMode(column_name_mode)))

    def _asked_for(
        self, stage: str | list[str] | None, dataflows: Sequence[DataFlow] | None, names: Sequence[str] | None
    ) -> list[DataFlow]:
        """Return, of the given dataflows or else of the metadata's, those of this job."""
        return self.load_dataflows(stage, names=names) if dataflows is None else self._mine(dataflows)

    def _mine(self, dataflows: Sequence[DataFlow], *, active_only: bool = True) -> list[DataFlow]:
        """Return the dataflows of this job; tell of those that need dataflows of other jobs."""
        mine = self._distributor.filter_dataflows(dataflows, active_only=active_only)
        are_shared = len(mine) < len(dataflows) and self.config.job_num > 1
        if are_shared and (missing := missing_upstreams(mine, dataflows)):
            hint = "`--distribution balanced` (distribution='balanced') keeps together what depends on each other"
            self._events.emit(Notice(level="warning", message=said_of_missing(missing), hint=hint))
        return mine

    def _new_run(self, mode: ColumnCaseMode) -> Run:
        run_id = uuid.uuid4().hex
        self._cancellation = Cancellation()
        runner = Runner(
            engine=self.engine,
            state=self.state,
            run_id=run_id,
            scratch_root=str(self._home / "scratch"),
            column_name_mode=mode,
            locks=self._locks,
        )
        planner = Planner(
            state=self.state, platform=self.platform, allowed_functions=self.config.allowed_function_prefixes
        )
        return Run(
            run_id=run_id,
            planner=planner,
            runner=runner,
            state=self.state,
            heartbeat=self._heartbeat,
            events=self._events,
            secrets=self._secrets,
            config=self.config,
            cancellation=self._cancellation,
        )

    def _executed(self, tasks: Sequence[Task[DataFlow]], flows: Sequence[DataFlow], run: Run) -> ExecutionResult:
        """Run tasks, and return the result in the order of their dataflows; what was not started is skipped.

        That is recorded when an interrupt is raised, too.
        """
        ended: dict[str, UnitReport] = {}
        executor = ParallelExecutor(self.config.max_workers, self.config.stop_on_error)
        reason = "the run was interrupted"
        try:
            result = executor.execute_tasks(
                tasks,
                run.load,
                lambda report: ended.update({report.dataflow_id: report}),
                skipped_fn=run.skipped,
                limits=limits_of(flows),
            )
            reason = "an earlier dataflow failed"
        finally:
            for flow in flows:
                if flow.dataflow_id not in ended:
                    ended[flow.dataflow_id] = run.skipped(flow, f"not started: {reason}")
        units = [ended[flow.dataflow_id] for flow in flows]
        return ExecutionResult.from_units(units, run_id=run.run_id, duration_seconds=result.duration_seconds)


def _given(replay: ReplayConfig | None) -> ReplayConfig:
    """Refuse to replay nothing: the seed's signature has the range after the dataflows, and neither is required."""
    if replay is None:
        msg = "no range to replay"
        raise ConfigurationError(msg, hint="replay=ReplayConfig(start='2025-01-01', end='2025-04-01')")
    return replay


def create_driver(
    engine: str | BaseEngine = "polars",
    platform: str | BasePlatform = "local",
    metadata_provider: str | Path | BaseMetadataProvider | None = None,
    *,
    profile: str | None = None,
    variables: Mapping[str, Any] | None = None,
    state: StateStore | str | Path | None = None,
    secret_provider: BaseSecretProvider | None = None,
    sinks: Iterable[Sink] = (),
    base_log_path: str | Path | None = None,
    root: str | Path | None = None,
    config: RunConfig | None = None,
    **options: Any,
) -> Driver:
    """Return a driver.

    Args:
        engine: An engine, or its name.
        platform: A platform, or its name.
        metadata_provider: A metadata provider; or a metadata file, project folder, or URL of metadata.
        profile: Name of the metadata profile.
        variables: Values that win over the declared variables.
        state: Where positions are kept: a store, its URL or its path; see :class:`Driver`.
        secret_provider: Resolves secrets in connections.
        sinks: Who listens to events.
        base_log_path: Folder of the record: Parquet and event files.
        root: The project folder.
        config: Options of the run.
        **options: Single options of the run (:class:`~tidegate.models.RunConfig`): `max_workers`, `job_num`, ...

    Example:
        >>> from tidegate import create_driver
        >>> with create_driver(metadata_provider="tidegate.yaml") as driver:  # doctest: +SKIP
        ...     result = driver.run(stage="bronze")
    """
    if isinstance(metadata_provider, str | Path):
        metadata_provider = open_metadata(metadata_provider, profile=profile, variables=variables)
    base = config or RunConfig()
    return Driver(
        engine_registry.get_or_create(engine) if isinstance(engine, str) else engine,
        platform_registry.get_or_create(platform) if isinstance(platform, str) else platform,
        metadata_provider,
        state=state,
        config=RunConfig.model_validate({**base.model_dump(), **options}),
        secret_provider=secret_provider,
        sinks=sinks,
        base_log_path=base_log_path,
        root=root,
    )
