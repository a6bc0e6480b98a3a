"""The commit: the one atomic change that a load makes, and the loop that makes it.

A commit carries the flow's sequence number and new position with the data, in one step of the destination, on
condition that the destination is at the version that was read. So a load that died before its commit left nothing,
one that died after it is recognised by its sequence number, and of two that race only one gets in.
"""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from tidegate.errors import CommitConflictError, DestinationError, TidegateError, WatermarkError
from tidegate.registry import PluginRegistry
from tidegate.state import Position
from tidegate.timegrid import WindowSet

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.destinations.evolution import Evolution
    from tidegate.destinations.maintenance import Upkeep
    from tidegate.destinations.turns import Turn
    from tidegate.engines.base import BaseEngine, FileTarget, Frame, Written, WrittenFile
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform
    from tidegate.sources.base import ReadScope
    from tidegate.state.watermark import Value

MOST_ATTEMPTS = 30
"""How often a commit is tried against other writers before the load fails, having changed nothing."""


Replays = Literal["any order", "by time", "in order", "replacing"]
"""What a replay does with a window: loads it, in any order, in any order if the window's column tells which row is the
later one, or only in the order of time; or replaces the rows of the table that lie in it."""


class StaleSnapshotError(Exception):
    """The table moved on since its snapshot was read. Internal to the commit loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What travels with the data: who committed, as which load of its flow, and where the flow then stands."""

    dataflow_id: str
    name: str
    sequence: int
    run_id: str
    load_id: str
    """Identifies this attempt; tells a commit of ours whose answer was lost from another's."""
    load_type: str
    source: str
    """What was read, as people write it: another source of the same name must not take its position for its own."""
    position: Position
    window: tuple[str, str] | None = None
    covered: WindowSet = field(default_factory=WindowSet)
    """For a replay: all windows of it that are in the table, this one included."""

    def to_data(self) -> dict[str, Any]:
        """Return the commit as JSON data."""
        return {
            "dataflow_id": self.dataflow_id,
            "name": self.name,
            "sequence": self.sequence,
            "run_id": self.run_id,
            "load_id": self.load_id,
            "load_type": self.load_type,
            "source": self.source,
            "position": self.position.to_data(),
            "window": list(self.window) if self.window else None,
            **({"covered": self.covered.to_data()} if self.covered else {}),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Return the commit that :meth:`to_data` wrote."""
        window = data["window"]
        return cls(
            **{
                name: data[name]
                for name in ("dataflow_id", "name", "sequence", "run_id", "load_id", "load_type", "source")
            },
            position=Position.from_data(data["position"]),
            window=(window[0], window[1]) if window else None,
            covered=WindowSet.from_data(data["covered"]) if "covered" in data else WindowSet(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A file of a table, as a snapshot lists it. Bounds are those of statistics, None where unknown."""

    path: str
    """Absolute."""
    rows: int | None
    size: int
    partition: Mapping[str, str | None] = field(default_factory=dict)
    lower: Mapping[str, Any] = field(default_factory=dict)
    upper: Mapping[str, Any] = field(default_factory=dict)
    nulls: Mapping[str, int] = field(default_factory=dict)
    """Column → how many values are NULL, where known."""
    reference: str = ""
    """The table format's own name of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A table at one version. `version` is None when it does not exist yet."""

    version: int | None
    columns: Mapping[str, pa.DataType] = field(default_factory=dict)
    partition_by: tuple[str, ...] = ()
    sequences: Callable[[str], int] = lambda _: 0
    """Dataflow id → sequence number of its last commit, 0 when it never committed."""
    files: Callable[[], list[DataFile]] = list
    """All files of this version."""
    handle: Any = None
    """What the table itself needs to commit on this version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a load adds to and removes from a snapshot."""

    added: tuple[WrittenFile, ...] = ()
    removed: tuple[DataFile, ...] = ()
    columns: Mapping[str, pa.DataType] = field(default_factory=dict)
    """Columns of the rows that are added."""
    partition_by: tuple[str, ...] = ()
    replaces_all: bool = False
    rows_updated: int | None = None
    rows_deleted: int | None = None


class BaseTable(ABC):
    """One table or folder that loads commit to: the physical destination of a dataflow.

    Attributes:
        load_types: What can be done to such a table.
        has_empty_partitions: Whether empty text is a partition value of its own; else it is kept as NULL.
        partitions_by_floats: Whether a float can be a partition value.
    """

    load_types: ClassVar[frozenset[str]]
    has_empty_partitions: ClassVar[bool] = False
    partitions_by_floats: ClassVar[bool] = True

    def __init__(self, flow: DataFlow, platform: BasePlatform) -> None:
        self.flow = flow
        self.platform = platform

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the table is, as people write it."""

    def recover(self) -> None:  # noqa: B027 - most tables have nothing to do
        """Finish what a process began that died after its commit. Nothing, for tables whose commit is all there is."""

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """Return the table as it is now. Changes nothing.

        Raises:
            DestinationError: there is something else at its place (TG402), or it cannot be read.
        """

    def restored_since(self, version: int, snapshot: Snapshot) -> bool:
        """Tell whether the table was taken back to an older state after `version`; its sequences may not show it."""
        return False

    @abstractmethod
    def last_commit(self, dataflow_id: str) -> Commit | None:
        """Return the flow's last commit that still counts, with its position; None when it never committed.

        Its sequence is that of the table, also when a newer commit of the flow was undone by a restore.
        """

    @abstractmethod
    def commits(self) -> list[Commit]:
        """Return the last commit of every flow that wrote this table."""

    @abstractmethod
    def target(self, prefix: str, partition_by: tuple[str, ...]) -> FileTarget:
        """Return where and how new files are written, invisible to readers until they are committed."""

    @abstractmethod
    def storable(self, column: str, dtype: pa.DataType) -> pa.DataType:
        """Return the type of this format that holds all values of `dtype`.

        Raises:
            DestinationError: there is none (TG403).
        """

    @abstractmethod
    def widening(self, column: str, dtype: pa.DataType, into: pa.DataType) -> Literal["in place", "rewrite"] | None:
        """Tell how a column of the table becomes wider: by its metadata alone, or by writing all files anew.

        Args:
            column: The column.
            dtype: Its type in the table.
            into: A storable type that holds all values of `dtype`.

        Returns:
            None when it cannot become so.
        """

    @abstractmethod
    def commit(self, snapshot: Snapshot, change: Change, commit: Commit) -> int:
        """Make the change in one atomic step, and return the new version.

        Raises:
            StaleSnapshotError: the table is no longer at the snapshot's version; nothing was changed.
        """

    def upkeep(self) -> Upkeep | None:
        """Return how the table is maintained; None where there is nothing to do."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadContext:
    """What a strategy may know besides the rows. Columns are called as at the destination."""

    load_id: str
    scratch: str
    """A folder for files of its own; it is removed when the load has ended."""
    keys: tuple[str, ...] = ()
    """Merge keys."""
    order: tuple[str, ...] = ()
    """Columns that decide which of two rows with one key is the later one."""
    moments: frozenset[str] = frozenset()
    """Columns that say when a row changed, not what it says: watermark, effective time, sequence of changes."""
    window: Mapping[str, Value | None] = field(default_factory=dict)
    """Watermark column → value from which on the source was read; None for all of it."""
    until: Mapping[str, Value] = field(default_factory=dict)
    """Column of a replay's window → value before which the source was read."""
    stamp: Mapping[str, str | datetime] = field(default_factory=dict)
    """System column → value for rows of the table that this load changes."""


class LoadStrategy(ABC):
    """How rows become a change: writes them once, then says what to add and remove against any snapshot.

    Attributes:
        reads: What it needs of the source: what is new, all from the position on whether seen before or not, or all.
        commits_nothing: Whether a batch without rows is a change too.
        replays: What a replay does with a window; None where no window can be loaded for itself.
        replaces_windows: Whether it must be told which window of the table to replace.
        replaces_schema: Whether the table takes on the batch's columns, whatever it had.
    """

    reads: ClassVar[ReadScope] = "new"
    commits_nothing: ClassVar[bool] = False
    replaces_schema: ClassVar[bool] = False
    replays: ClassVar[Replays | None] = "in order"
    replaces_windows: ClassVar[bool] = False

    def __init__(self, *, table: BaseTable, engine: BaseEngine, context: LoadContext) -> None:
        self.table = table
        self.engine = engine
        self.context = context
        self.new_files: list[WrittenFile] = []
        """All files written into the table's place."""
        self.may_be_committed = False
        """Whether a commit was made, or may have been: then the files must stay."""

    @classmethod
    @abstractmethod
    def describe(cls, flow: DataFlow) -> str:
        """Return what the strategy does, in a few words, for the plan."""

    @abstractmethod
    def write(self, frame: Frame, snapshot: Snapshot) -> Written:
        """Run the frame, once, and keep its rows as invisible files."""

    def remove_uncommitted(self) -> None:
        """Remove what was written, when it is certain that no commit refers to it. What cannot be removed stays."""
        if not self.may_be_committed:
            for file in self.new_files:
                with suppress(OSError, TidegateError):
                    self.table.platform.remove(file.path)

    @abstractmethod
    def change(self, snapshot: Snapshot) -> Change:
        """Return the change against this snapshot; called again when another commit came first."""


def commit_change(
    table: BaseTable,
    strategy: LoadStrategy,
    turn: Turn,
    first: Snapshot,
    evolution: Evolution,
    *,
    guard: Callable[[], None] = lambda: None,
) -> tuple[Change, int]:
    """Commit what a strategy has written; start over against the new snapshot when another commit came first.

    An ambiguous failure (did it commit?) is resolved by reading the sequence, never by guessing.

    Args:
        table: The destination.
        strategy: It has written its rows.
        turn: Whether it may be committed, and what travels with it.
        first: The snapshot that the load started from.
        evolution: It has settled the batch's columns against that snapshot.
        guard: Called right before each attempt; what it raises ends the load, which has then changed nothing.

    Returns:
        The change that was committed, and the version of the table that has it.

    Raises:
        CommitConflictError: the flow itself was committed by another process (TG405), or other writers did not let
            this load in (TG404). Nothing of this load is visible.
        WatermarkError: the table was replaced or restored while the load was under way (TG506).
    """
    snapshot = first
    for attempt in range(MOST_ATTEMPTS):
        if attempt:
            time.sleep(random.uniform(0, min(0.01 * 2**attempt, 1.0)))  # noqa: S311 - jitter
            table.recover()
            snapshot = table.snapshot()
        commit = turn.at(table, snapshot)
        if attempt:
            _refuse_restored(table, first, snapshot, commit)
        try:
            change = evolution.change(strategy, snapshot)
        except StaleSnapshotError:
            continue
        _refuse_other_layout(table, snapshot, change)
        guard()
        strategy.may_be_committed = True
        try:
            version = table.commit(snapshot, change, commit)
        except StaleSnapshotError:
            pass
        except TidegateError:
            if table.snapshot().sequences(commit.dataflow_id) < commit.sequence:
                strategy.may_be_committed = False
                raise
        else:
            return change, version
        there = table.last_commit(commit.dataflow_id)
        if there is not None and turn.is_done_by(there):
            return change, table.snapshot().version or 0
        strategy.may_be_committed = False
    msg = f"other writers of {table.place} came first {MOST_ATTEMPTS} times; nothing was changed"
    raise CommitConflictError(msg, {"destination": table.place}, hint="run again, or write to it less often")


def _refuse_other_layout(table: BaseTable, snapshot: Snapshot, change: Change) -> None:
    """Refuse to add files whose partitions are not the table's, which another commit may just have set."""
    if snapshot.version is not None and change.partition_by != snapshot.partition_by:
        partitions = ", ".join(snapshot.partition_by) or "no column"
        msg = f"{table.place} was created, partitioned by {partitions}, while this load was under way"
        raise CommitConflictError(msg, where=table.place, hint="run again; nothing was changed")


def _refuse_restored(table: BaseTable, first: Snapshot, snapshot: Snapshot, commit: Commit) -> None:
    """Refuse to commit on a table that was taken back: this load goes on from a position that is undone."""
    if first.version is None or not table.restored_since(first.version, snapshot):
        return
    msg = f"{table.place} was taken back to an older state while load {commit.sequence} was under way"
    hint = f"`tidegate state rebuild --flow {commit.name}` takes the table's word; then run again"
    raise WatermarkError(msg, code="TG506", where=table.place, hint=hint)


def incompatible(column: str, found: str, expected: str, place: str) -> DestinationError:
    """Return the error for a column whose type the table does not take."""
    msg = f"column {column!r} is {found}, but {expected} in the table"
    hint = f"convert it (schema_hints: [{{column_name: {column}, data_type: {expected}}}]), or load into a new table"
    return DestinationError(msg, {"column": column}, code="TG403", where=place, hint=hint)


table_registry: PluginRegistry[BaseTable] = PluginRegistry("tidegate.destinations", BaseTable)
table_registry.register_lazy("delta", "tidegate.destinations.delta:DeltaTable")
table_registry.register_lazy("iceberg", "tidegate.destinations.iceberg:IcebergTable")
for _format in ("parquet", "csv", "jsonl"):
    table_registry.register_lazy(_format, "tidegate.destinations.files:FileTable")

strategy_registry: PluginRegistry[LoadStrategy] = PluginRegistry("tidegate.load_strategies", LoadStrategy)
for _name, _place in {
    "append": "append:Append",
    "overwrite": "overwrite:Overwrite",
    "full_load": "overwrite:Overwrite",
    "overwrite_partitions": "overwrite:OverwritePartitions",
    "replace_by_watermark": "replace_by_watermark:ReplaceByWatermark",
    "replace_window": "replace_window:ReplaceWindow",
    "merge_upsert": "merge_upsert:MergeUpsert",
    "merge_overwrite": "merge_overwrite:MergeOverwrite",
    "merge_delete": "merge_delete:MergeDelete",
    "snapshot": "snapshot:SnapshotMirror",
    "scd2": "scd2:Scd2",
}.items():
    strategy_registry.register_lazy(_name, f"tidegate.destinations.load_strategies.{_place}")
