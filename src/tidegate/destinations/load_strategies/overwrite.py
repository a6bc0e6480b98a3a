"""overwrite (full_load): the batch replaces all rows of the table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from tidegate.destinations.load_strategies.append import Append
from tidegate.destinations.selection import RowsWithKeys
from tidegate.destinations.table import Change, RowChange, Snapshot
from tidegate.engines.base import FileTarget

if TYPE_CHECKING:
    from tidegate.destinations.strategy import Replays
    from tidegate.models import DataFlow
    from tidegate.sources.base import ReadScope


class Overwrite(Append):
    """Adds the new files and removes all others, in one commit; until then readers see the old rows."""

    replays: ClassVar[Replays | None] = "replacing"

    reads: ClassVar[ReadScope] = "all"
    commits_nothing: ClassVar[bool] = True
    replaces_schema: ClassVar[bool] = True

    @classmethod
    def describe(cls, flow: DataFlow) -> str:  # noqa: ARG003 - the same for every dataflow
        """Say what is done."""
        return "replace all rows"

    def change(self, snapshot: Snapshot) -> Change:
        """Add the files, remove what the snapshot has."""
        return replace(super().change(snapshot), removed=tuple(snapshot.files()), replaces_all=True)


class OverwritePartitions(Append):
    """Replaces the partitions that the rows are in, in one commit; the other partitions stay."""

    replays: ClassVar[Replays | None] = "replacing"

    reads: ClassVar[ReadScope] = "all"

    @classmethod
    def describe(cls, flow: DataFlow) -> str:
        """Name the partition columns."""
        return f"replace the partitions by {', '.join(part.column for part in flow.destination.partitions)} it holds"

    def change(self, snapshot: Snapshot) -> Change:
        """Add the files, remove those, or the rows, of the same partitions."""
        change = super().change(snapshot)
        if self.table.keeps_rows:
            return replace(change, rows=self._rows_replaced(change, snapshot))
        replaced = {tuple(sorted(file.partition.items())) for file in change.added}
        removed = (file for file in snapshot.files() if tuple(sorted(file.partition.items())) in replaced)
        return replace(change, removed=tuple(removed))

    def _rows_replaced(self, change: Change, snapshot: Snapshot) -> RowChange:
        """Remove the rows that have the partition values of the batch, where rows lie in no folders."""
        known = {column.lower(): column for column in (*snapshot.columns, *change.columns)}
        keys = tuple(known[part.column.lower()] for part in self.table.flow.destination.partitions)
        if not (change.added and snapshot.files()):
            return RowChange(added=change.added)
        columns = {key: change.columns[key] for key in keys if key in change.columns}
        values = self.engine.read_table(change.added, columns).unique()
        staged = self.engine.write(values, FileTarget(folder=self.context.scratch, prefix="partitions"))
        return RowChange(removed=RowsWithKeys(keys=keys, files=staged.files, ranges={}), added=change.added)
