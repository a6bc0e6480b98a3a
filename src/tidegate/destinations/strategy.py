"""What a load strategy is: it writes rows once, and says against any snapshot what they change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Literal

from tidegate.errors import TidegateError
from tidegate.registry import PluginRegistry

if TYPE_CHECKING:
    from tidegate.destinations.table import BaseTable, Change, Snapshot
    from tidegate.engines.base import BaseEngine, FileTarget, Frame, Written, WrittenFile
    from tidegate.models import DataFlow
    from tidegate.sources.base import ReadScope
    from tidegate.state.watermark import Value

Replays = Literal["any order", "by time", "in order", "replacing"]
"""What a replay does with a window: loads it, in any order, in any order if the window's column tells which row is the
later one, or only in the order of time; or replaces the rows of the table that lie in it."""


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

    def target(self, part: str = "", partition_by: tuple[str, ...] = ()) -> FileTarget:
        """Return where rows that come are written."""
        prefix = f"{self.context.load_id}-{part}" if part else self.context.load_id
        return self.table.target(prefix, partition_by, scratch=self.context.scratch)

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
