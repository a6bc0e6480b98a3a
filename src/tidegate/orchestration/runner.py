"""The runner: the visitor that does what the stages of a plan say."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tidegate.destinations import Commit, LoadStrategy, strategy_registry
from tidegate.destinations.commit import commit_change
from tidegate.destinations.evolution import Evolution
from tidegate.destinations.strategy import LoadContext
from tidegate.destinations.turns import InSequence, InWindow, lowest, replay_chain
from tidegate.engines.meter import Cursor
from tidegate.engines.meter import Meter as RowMeter
from tidegate.errors import TidegateError, WatermarkError
from tidegate.expressions.sql import parse_expression
from tidegate.orchestration.destination_locks import DestinationLocks
from tidegate.orchestration.fitting import fitted, narrowed_at_source, spelled_as, without_place
from tidegate.orchestration.outcome import Outcome
from tidegate.orchestration.stages import (
    CommitLoad,
    CommitWindow,
    Idle,
    KeepSourceRows,
    KeepWindow,
    Meter,
    Read,
    Recover,
    Stage,
    Transform,
    UnitPlan,
    Write,
)
from tidegate.platforms.local import LOCAL
from tidegate.sources.window_bounds import bounds_in, column_called
from tidegate.state import Position
from tidegate.state.position import fingerprint
from tidegate.transformers import TransformContext, transformer_registry
from tidegate.transformers.column_names import final_names
from tidegate.transformers.destination_columns import (
    moments_at_destination,
    order_at_destination,
    unchanged_at_destination,
)
from tidegate.transformers.system_columns import load_stamp

if TYPE_CHECKING:
    from tidegate.destinations.schema_policy import Settled
    from tidegate.destinations.turns import Turn
    from tidegate.engines.base import BaseEngine, Frame, Written
    from tidegate.models import ColumnCaseMode
    from tidegate.orchestration.cancellation import Cancellation
    from tidegate.reporting.events import Phase
    from tidegate.sources import OpenRead, ReadPlan
    from tidegate.sources.base import ColumnWindow
    from tidegate.state import Lease, StateStore
    from tidegate.state.watermark import Value


class Progress(Protocol):
    """Told how far a unit is: its phase, and rows read and written where they are known."""

    def __call__(self, phase: Phase, rows_in: int | None = None, rows_out: int | None = None) -> None:
        """Take note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Carries out plans. One instance serves all units of a run."""

    engine: BaseEngine
    state: StateStore
    run_id: str
    scratch_root: str
    column_name_mode: ColumnCaseMode
    locks: DestinationLocks

    def run(self, plan: UnitPlan, lease: Lease, progress: Progress, cancellation: Cancellation) -> Outcome:
        """Carry out all stages of a plan.

        Args:
            plan: What to do.
            lease: The right to do it.
            progress: Told how far it is.
            cancellation: Asked between stages, between batches of rows, and before the commit.

        Raises:
            TidegateError: a stage failed. Source, destination and position are as before.
        """
        load = _Load(self, plan, lease, progress, cancellation)
        try:
            for stage in plan.stages:
                cancellation.check()
                load.carry_out(stage)
        finally:
            load.clean_up()
        return load.outcome


class _Load:
    """One plan under way."""

    def __init__(
        self, runner: Runner, plan: UnitPlan, lease: Lease, progress: Progress, cancellation: Cancellation
    ) -> None:
        self.outcome = Outcome()
        self._runner = runner
        self._plan = plan
        self._lease = lease
        self._progress = progress
        self._cancellation = cancellation
        self._engine = runner.engine
        self._flow = plan.flow
        unit_key = f"{fingerprint(plan.unit.key):016x}"
        self._load_id = f"tg-{unit_key}-{plan.state.sequence + 1:08d}-{uuid.uuid4().hex[:8]}"
        self._unit_scratch = str(Path(runner.scratch_root, unit_key))
        self._scratch = str(Path(self._unit_scratch, self._load_id))  # an owner that lost its lease may write yet
        self._context = TransformContext(
            flow=plan.flow,
            engine=runner.engine,
            run_id=runner.run_id,
            started_at=datetime.now(UTC),
            column_name_mode=runner.column_name_mode,
            scratch=str(Path(self._scratch, "steps")),
            known_columns=frozenset(plan.state.position.columns),
        )
        self._frame: Frame
        self._read: ReadPlan
        self._opened: OpenRead
        self._meter: RowMeter
        self._strategy: LoadStrategy | None = None
        self._evolution: Evolution
        self._written: Written
        self._position: Position
        self._window_bounds: tuple[str, Value, Value]

    def carry_out(self, stage: Stage) -> None:  # noqa: C901 - one case a stage
        match stage:
            case Recover(state=state):
                self._runner.state.write(self._lease, state)
                self.outcome.detail = f"recovered load {state.sequence}"
                self.outcome.position = state.position
            case Idle(plan=read, reason=reason):
                self._count_files(read)
                self.outcome.position = self._plan.state.position
                self._note(reason)
            case Read(plan=read):
                self._open(read)
            case KeepSourceRows(expression=expression):
                self._frame = self._engine.where(self._frame, parse_expression(expression))
            case KeepWindow(window=window):
                self._keep_window(window)
            case Meter(columns=columns):
                self._metered(counts_only=not columns)
            case Transform(plugin=plugin):
                self._frame = transformer_registry.get(plugin).transform(self._frame, self._context)
            case Write(strategy=strategy):
                self._write(strategy)
            case CommitLoad(sequence=sequence, window=window):
                self._commit(sequence, window)
            case CommitWindow(window=window):
                self._commit_window(window)

    def clean_up(self) -> None:
        """Remove what is not part of a commit."""
        with suppress(OSError, TidegateError):
            LOCAL.remove(self._scratch)
        if self._strategy is not None:
            with suppress(Exception):
                self._strategy.remove_uncommitted()
            if not self._strategy.may_be_committed:
                self._evolution.finish(None)

    def _open(self, read: ReadPlan) -> None:
        self._progress("reading")
        LOCAL.remove(self._unit_scratch)  # left by runs of this unit that were killed
        self._read = read
        self._plan.source.check = self._cancellation.check
        self._plan.source.scratch = str(Path(self._scratch, "source"))
        self._opened = self._plan.source.open(read, self._engine)
        for note in filter(None, [self._plan.takes_over, *self._opened.notes]):
            self._note(note)
        self._frame = self._opened.frame
        self.outcome.columns_read = self._opened.columns
        self._count_files(read)

    def _count_files(self, read: ReadPlan) -> None:
        about = read.describe()
        self.outcome.files_read, self.outcome.files_skipped = about.get("files"), about.get("files skipped")

    def _keep_window(self, window: ColumnWindow) -> None:
        columns = self._engine.schema(self._frame)
        column = column_called(window.column, columns, self._read.place)
        lower, upper = bounds_in(replace(window, column=column), columns[column])
        self._frame = self._engine.in_window(self._frame, column, lower, upper)
        self._window_bounds = (column, lower, upper)

    def _metered(self, *, counts_only: bool) -> None:
        cursor = Cursor() if counts_only else self._opened.cursor
        self._meter = RowMeter(cursor, lambda rows: self._progress("writing", rows))
        self._frame = self._engine.metered(self._frame, self._meter)

    def _write(self, strategy: str) -> None:
        table, snapshot = self._plan.table, self._plan.snapshot
        strategy_type = strategy_registry.load(strategy)
        self._evolution = Evolution(
            table=table,
            engine=self._engine,
            load_id=self._load_id,
            policy=self._flow.destination.settings.schema_policy or "evolve",
            replaces_schema=strategy_type.replaces_schema,
        )
        self._frame = spelled_as(self._frame, self._engine.schema(self._frame), snapshot.columns)
        settled = self._evolution.settle(self._engine.schema(self._frame), snapshot)
        frame, columns = fitted(self._frame, settled, self._engine), settled.columns
        self.outcome.columns_written = columns
        keys = final_names(self._flow.destination.merge_keys, self._flow, self._context.column_name_mode, columns)
        context = LoadContext(
            load_id=self._load_id,
            scratch=self._scratch,
            keys=tuple(keys),
            order=order_at_destination(self._flow, self._context.column_name_mode, columns),
            moments=moments_at_destination(self._flow, self._context.column_name_mode, columns),
            **self._window(strategy_type, columns),
            stamp=load_stamp(self._context.started_at, self._context.run_id),
        )
        self._strategy = strategy_type(table=table, engine=self._engine, context=context)
        try:
            self._written = self._strategy.write(frame, snapshot)
        except Exception as error:
            raise self._explained(error, settled) from error
        reading = self._meter.reading()
        self._position = self._plan.source.finish(self._read, self._opened, reading)
        self.outcome.rows_in, self.outcome.rows_out = reading.rows, self._written.rows
        if reading.recognised:
            known = "1 row was" if reading.recognised == 1 else f"{reading.recognised:,} rows were"
            self._note(f"{known} loaded before")
        for note in settled.notes():
            self._note(note)
        self.outcome.bytes_written = self._written.size
        self._progress("committing", reading.rows, self._written.rows)

    def _explained(self, error: Exception, settled: Settled) -> Exception:
        """Return the failure of a write with the place of the value that it comes from, where that can be found."""
        mode = self._context.column_name_mode
        narrowed = narrowed_at_source(settled, self._opened.columns, self._flow, mode)
        better = self._plan.source.explain(error, self._read, self._opened, narrowed=narrowed)
        return without_place(better, settled.narrowed, self._plan.table.place)

    def _note(self, note: str) -> None:
        self.outcome.detail = "; ".join(filter(None, (self.outcome.detail, note)))

    def _window(self, strategy: type[LoadStrategy], columns: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Return which part of the source was read, by its columns as the destination calls them."""
        mode, window = self._context.column_name_mode, self._plan.unit.window
        if window:
            if not strategy.replaces_windows:
                return {}
            (name,) = unchanged_at_destination([window.column], self._flow, mode, columns)
            lower, upper = bounds_in(replace(window, column=name), columns[name])
            return {"window": {name: lower}, "until": {name: upper}}
        if strategy.reads != "window":
            return {}
        names = unchanged_at_destination(self._flow.source.watermark_columns, self._flow, mode, columns)
        cursor = self._opened.cursor
        starts = {name: cursor.start(column) for column, name in zip(cursor.columns, names, strict=True)}
        return {"window": starts}

    def _commit(self, sequence: int, window: ColumnWindow | None) -> None:
        starts: Mapping[str, Value] = self._read.starts
        if window:
            column, lower, upper = self._window_bounds
            self._position = Position(watermark={column: upper}, columns=self._position.columns)
            starts = {column: lower}
        before = self._plan.state
        floor = lowest(before.position.floor, starts, has_loaded=before.sequence > 0)
        replays_seen = self._plan.snapshot.sequences(replay_chain(self._flow.dataflow_id))
        self._position = replace(self._position, floor=floor, replays_seen=replays_seen)
        state = replace(
            self._plan.state,
            position=self._position,
            version=self._plan.snapshot.version,
            run_id=self._runner.run_id,
            origin="read",
        )
        if self._changes_table:
            appends_from = starts if self._plan.unit.load_strategy == "append" else None
            turn = InSequence(
                commit=self._about(sequence, window),
                appends_from=appends_from,
                replays_seen=before.position.replays_seen,
            )
            version = self._commit_to_table(turn)
            state = replace(state, sequence=sequence, version=version, origin="commit")
        try:
            self._runner.state.write(self._lease, state)
        except WatermarkError as error:
            if state.origin != "commit":
                raise
            self.outcome.detail = f"committed; the next run recovers the position ({error.message})"
        self.outcome.position = self._position
        self.outcome.sequence = state.sequence

    def _commit_window(self, window: ColumnWindow) -> None:
        if self._changes_table and (self._written.rows or self._plan.snapshot.version is not None):
            unit = self._plan.unit
            self._commit_to_table(
                InWindow(
                    commit=self._about(0, window),
                    dataflow_id=self._flow.dataflow_id,
                    replay_id=unit.replay_id,
                    over=window,
                    empty=unit.empty,
                    must_not_meet=unit.must_not_meet,
                )
            )
        self.outcome.position = None

    @property
    def _changes_table(self) -> bool:
        strategy = self._strategy
        return bool(
            self._written.rows or (strategy and strategy.commits_nothing) or self._plan.snapshot.version is None
        )

    def _about(self, sequence: int, window: ColumnWindow | None) -> Commit:
        """Return what travels with the rows."""
        return Commit(
            dataflow_id=self._plan.unit.chain_id,
            name=self._flow.name,
            sequence=sequence,
            run_id=self._runner.run_id,
            load_id=self._load_id,
            load_type=self._flow.destination.load_type,
            source=self._read.place,
            position=Position() if self._plan.unit.replay_id else self._position,
            window=window.texts if window else None,
        )

    def _commit_to_table(self, turn: Turn) -> int:
        assert self._strategy is not None  # noqa: S101 - planned before the commit
        with self._runner.locks.of(self._flow.destination.destination_key):
            change, version = commit_change(
                self._plan.table,
                self._strategy,
                turn,
                self._plan.snapshot,
                self._evolution,
                guard=self._guard,
            )
        self.outcome.is_committed = True
        self._evolution.finish(change)
        self.outcome.rows_updated, self.outcome.rows_deleted = change.rows_updated, change.rows_deleted
        if change.rows_deleted:
            rows = "1 row is" if change.rows_deleted == 1 else f"{change.rows_deleted:,} rows are"
            self._note(f"{rows} gone at the source")
        return version

    def _guard(self) -> None:
        """Refuse to commit what is no longer this process's to commit, or no longer wanted."""
        self._cancellation.check()
        if not self._runner.state.holds(self._lease):
            msg = f"the lease of {self._plan.unit.name!r} was taken over by another process; nothing was changed"
            raise WatermarkError(msg, code="TG503", hint="the process that took it over goes on; run again later")
