"""merge_overwrite: rows whose key is in the batch are replaced by the batch, entirely."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from tidegate.destinations.load_strategies.copy_on_write import Columns, Replacement
from tidegate.destinations.load_strategies.merge_upsert import MergeUpsert

if TYPE_CHECKING:
    from tidegate.destinations.strategy import Replays
    from tidegate.destinations.table import DataFile
    from tidegate.models import DataFlow


class MergeOverwrite(MergeUpsert):
    """Replaces by key; nothing of the old rows is kept.

    Where `deduplicate_columns` say that more than the merge keys identify a row, a key stands for a group of rows:
    the batch's group takes the place of the table's, whichever is later.
    """

    replays: ClassVar[Replays | None] = "in order"

    @classmethod
    def describe(cls, flow: DataFlow) -> str:
        """Name the keys."""
        what = "groups of rows" if _has_groups(flow) else "whole rows"
        return f"replace {what} by {', '.join(flow.destination.merge_keys)}"

    def examine_batch(self) -> None:
        """Refuse keys that occur twice, unless they stand for groups."""
        if not _has_groups(self.table.flow):
            super().examine_batch()

    def replacement(self, candidates: Sequence[DataFile], columns: Columns) -> Replacement:
        """Let every row of the batch take the place of what has its key."""
        if not _has_groups(self.table.flow):
            return super().replacement(candidates, columns)
        keys = self.narrow(columns, self.context.keys)
        gone = self.matching(candidates, self.batch, keys, "matching")
        come = self.put(self.read(self.batch, columns), "new") if self.batch.rows else ()
        return self.replacing(gone, keys, candidates, come)

    def identity(self) -> tuple[str, ...]:
        """Return the keys, unless they stand for groups."""
        return () if _has_groups(self.table.flow) else self.context.keys

    def kept_columns(self, columns: Columns) -> list[str]:
        """Keep nothing."""
        return []


def _has_groups(flow: DataFlow) -> bool:
    """Tell whether rows are identified by more than the merge keys."""
    keys = {key.lower() for key in flow.destination.merge_keys}
    return not {column.lower() for column in flow.transform.deduplicate_columns} <= keys
