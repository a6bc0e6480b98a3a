"""The runner: the visitor that does what the stages of a plan say."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tidegate.destinations import Commit, LoadStrategy, strategy_registry
from tidegate.destinations.commit import LoadContext, commit_change
from tidegate.destinations.evolution import Evolution
from tidegate.engines.meter import Meter as RowMeter
from tidegate.errors import TidegateError, WatermarkError
from tidegate.expressions.sql import parse_expression
from tidegate.orchestration.fitting import fitted, narrowed_at_source, spelled_as, without_place
from tidegate.orchestration.stages import (
    CommitLoad,
    Idle,
    KeepSourceRows,
    Meter,
    Read,
    Recover,
    Stage,
    Transform,
    UnitPlan,
    Write,
)
from tidegate.state.position import fingerprint
from tidegate.transformers import TransformContext, transformer_registry
from tidegate.transformers.column_names import final_names
from tidegate.transformers.destination_columns import (
    moments_at_destination,
    order_at_destination,
    watermark_at_destination,
)
from tidegate.transformers.system_columns import load_stamp

if TYPE_CHECKING:
    from tidegate.destinations.schema_policy import Settled
    from tidegate.engines.base import BaseEngine, Frame, Written
    from tidegate.models import ColumnCaseMode
    from tidegate.reporting.events import Phase
    from tidegate.sources import OpenRead, ReadPlan
    from tidegate.state import Lease, Position, StateStore


class Progress(Protocol):
    """Told how far a unit is: its phase, and rows read and written where they are known."""

    def __call__(self, phase: Phase, rows_in: int | None = None, rows_out: int | None = None) -> None:
        """Take note."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a unit has done."""

    rows_in: int = 0
    rows_out: int = 0
    rows_updated: int | None = None
    rows_deleted: int | None = None
    files_read: int | None = None
    files_skipped: int | None = None
    bytes_written: int = 0
    sequence: int | None = None
    position: Position | None = None
    detail: str | None = None


class DestinationLocks:
    """One lock for each physical destination: loads of one process that write it take turns at the commit."""

    def __init__(self) -> None:
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def of(self, place: str) -> threading.Lock:
        """Return the lock of a destination."""
        with self._lock:
            return self._locks.setdefault(place, threading.Lock())


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Carries out plans. One instance serves all units of a run."""

    engine: BaseEngine
    state: StateStore
    run_id: str
    scratch_root: str
    column_name_mode: ColumnCaseMode
    locks: DestinationLocks

    def run(self, plan: UnitPlan, lease: Lease, progress: Progress) -> Outcome:
        """Carry out all stages of a plan.

        Raises:
            TidegateError: a stage failed. Source, destination and position are as before.
        """
        load = _Load(self, plan, lease, progress)
        try:
            for stage in plan.stages:
                load.carry_out(stage)
        finally:
            load.clean_up()
        return load.outcome


class _Load:
    """One plan under way."""

    def __init__(self, runner: Runner, plan: UnitPlan, lease: Lease, progress: Progress) -> None:
        self.outcome = Outcome()
        self._runner = runner
        self._plan = plan
        self._lease = lease
        self._progress = progress
        self._engine = runner.engine
        self._flow = plan.flow
        flow_key = f"{fingerprint(plan.flow.dataflow_id):016x}"
        self._load_id = f"tg-{flow_key}-{plan.state.sequence + 1:08d}-{uuid.uuid4().hex[:8]}"
        self._flow_scratch = str(Path(runner.scratch_root, flow_key))
        self._scratch = str(Path(self._flow_scratch, self._load_id))  # an owner that lost its lease may write yet
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

    def carry_out(self, stage: Stage) -> None:
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
            case Meter():
                self._metered()
            case Transform(plugin=plugin):
                self._frame = transformer_registry.get(plugin).transform(self._frame, self._context)
            case Write(strategy=strategy):
                self._write(strategy)
            case CommitLoad(sequence=sequence):
                self._commit(sequence)

    def clean_up(self) -> None:
        """Remove what is not part of a commit."""
        with suppress(OSError, TidegateError):
            self._plan.table.platform.remove(self._scratch)
        if self._strategy is not None:
            with suppress(Exception):
                self._strategy.remove_uncommitted()
            if not self._strategy.may_be_committed:
                self._evolution.finish(None)

    def _open(self, read: ReadPlan) -> None:
        self._progress("reading")
        self._plan.table.platform.remove(self._flow_scratch)  # left by runs of this flow that were killed
        self._read = read
        self._opened = self._plan.source.open(read, self._engine)
        for note in self._opened.notes:
            self._note(note)
        self._frame = self._opened.frame
        self._count_files(read)

    def _count_files(self, read: ReadPlan) -> None:
        about = read.describe()
        self.outcome.files_read, self.outcome.files_skipped = about.get("files"), about.get("files skipped")

    def _metered(self) -> None:
        self._meter = RowMeter(self._opened.cursor, lambda rows: self._progress("writing", rows))
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
        keys = final_names(self._flow.destination.merge_keys, self._flow, self._context.column_name_mode, columns)
        context = LoadContext(
            load_id=self._load_id,
            scratch=self._scratch,
            keys=tuple(keys),
            order=order_at_destination(self._flow, self._context.column_name_mode, columns),
            moments=moments_at_destination(self._flow, self._context.column_name_mode, columns),
            window=self._window(columns) if strategy_type.reads == "window" else {},
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

    def _window(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        """Return from where the source was read, by the watermark column as the destination calls it."""
        names = watermark_at_destination(self._flow, self._context.column_name_mode, columns)
        cursor = self._opened.cursor
        return {name: cursor.start(column) for column, name in zip(cursor.columns, names, strict=True)}

    def _commit(self, sequence: int) -> None:
        state = replace(
            self._plan.state,
            position=self._position,
            version=self._plan.snapshot.version,
            run_id=self._runner.run_id,
            origin="read",
        )
        strategy = self._strategy
        if self._written.rows or (strategy and strategy.commits_nothing) or self._plan.snapshot.version is None:
            version = self._commit_to_table(sequence)
            state = replace(state, sequence=sequence, version=version, origin="commit")
        try:
            self._runner.state.write(self._lease, state)
        except WatermarkError as error:
            if state.origin != "commit":
                raise
            self.outcome.detail = f"committed; the next run recovers the position ({error.message})"
        self.outcome.position = self._position
        self.outcome.sequence = state.sequence

    def _commit_to_table(self, sequence: int) -> int:
        assert self._strategy is not None  # noqa: S101 - planned before the commit
        commit = Commit(
            dataflow_id=self._flow.dataflow_id,
            name=self._flow.name,
            sequence=sequence,
            run_id=self._runner.run_id,
            load_id=self._load_id,
            load_type=self._flow.destination.load_type,
            source=self._read.place,
            position=self._position,
        )
        with self._runner.locks.of(self._flow.destination.destination_key):
            change, version = commit_change(
                self._plan.table,
                self._strategy,
                commit,
                self._plan.snapshot,
                self._evolution,
                guard=self._refuse_without_lease,
            )
        self._evolution.finish(change)
        self.outcome.rows_updated, self.outcome.rows_deleted = change.rows_updated, change.rows_deleted
        if change.rows_deleted:
            rows = "1 row is" if change.rows_deleted == 1 else f"{change.rows_deleted:,} rows are"
            self._note(f"{rows} gone at the source")
        return version

    def _refuse_without_lease(self) -> None:
        if not self._runner.state.holds(self._lease):
            msg = f"the lease of dataflow {self._flow.name!r} was taken over by another process; nothing was changed"
            raise WatermarkError(msg, code="TG503", hint="the process that took it over goes on; run again later")


def rendered(outcome: Outcome) -> Mapping[str, Any]:
    """Return the outcome as fields of a unit report."""
    return {
        "rows_in": outcome.rows_in,
        "rows_out": outcome.rows_out,
        "rows_updated": outcome.rows_updated,
        "rows_deleted": outcome.rows_deleted,
        "files_read": outcome.files_read,
        "files_skipped": outcome.files_skipped,
        "bytes_written": outcome.bytes_written,
        "sequence": outcome.sequence,
        "position_after": outcome.position.render() if outcome.position else None,
        "detail": outcome.detail,
    }
