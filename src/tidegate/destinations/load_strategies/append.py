"""append: the batch is added to the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tidegate.destinations.load_strategies.layout import (
    partition_columns,
    with_missing_partitions,
    with_null_partitions,
)
from tidegate.destinations.strategy import LoadStrategy
from tidegate.destinations.table import Change, Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from tidegate.destinations.strategy import Replays
    from tidegate.engines.base import Frame, Written
    from tidegate.models import DataFlow


class Append(LoadStrategy):
    """Adds files. No file of the table is read or rewritten, so other writers never invalidate the work."""

    replays: ClassVar[Replays | None] = "any order"

    _columns: Mapping[str, pa.DataType]
    _partition_by: tuple[str, ...]

    @classmethod
    def describe(cls, flow: DataFlow) -> str:  # noqa: ARG003 - the same for every dataflow
        """Say what is done."""
        return "add the rows"

    def write(self, frame: Frame, snapshot: Snapshot) -> Written:
        """Write the rows as the table's own files."""
        self._partition_by = partition_columns(self.table, snapshot, self.engine.schema(frame))
        frame = with_missing_partitions(frame, snapshot, self._partition_by)
        self._columns = self.engine.schema(frame)
        frame = with_null_partitions(frame, self.table, self._columns, self._partition_by)
        written = self.engine.write(frame, self.target(partition_by=self._partition_by))
        self.new_files.extend(written.files)
        return written

    def change(self, snapshot: Snapshot) -> Change:
        """Add the files."""
        return Change(added=tuple(self.new_files), columns=self._columns, partition_by=self._partition_by)
