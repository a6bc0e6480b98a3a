"""merge_delete: change-data rows are applied by key: rows are replaced, added, and deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import narwhals as nw

from tidegate.destinations.load_strategies.copy_on_write import Columns, Replacement
from tidegate.destinations.load_strategies.merge_upsert import MergeUpsert
from tidegate.transformers.change_data import IS_DELETE
from tidegate.transformers.system_columns import DELETED_AT, UPDATED_AT, marks_deleted

if TYPE_CHECKING:
    from tidegate.destinations.strategy import Replays
    from tidegate.destinations.table import DataFile
    from tidegate.engines.base import Written, WrittenFile
    from tidegate.models import DataFlow


class MergeDelete(MergeUpsert):
    """Merges, and lets a key go that its last change says is deleted.

    A row that is kept and marked (`delete_mode: soft`) keeps its values, but for those that order changes: an older
    change that comes later does not bring it back. A hard delete leaves nothing that could tell.
    """

    replays: ClassVar[Replays | None] = "in order"

    @classmethod
    def describe(cls, flow: DataFlow) -> str:
        """Name the keys, and what becomes of deleted rows."""
        what = "mark deleted rows" if marks_deleted(flow) else "delete"
        return f"replace, add or {what} by {', '.join(flow.destination.merge_keys)}"

    def replacement(self, candidates: Sequence[DataFile], columns: Columns) -> Replacement:
        """Let every accepted change take the place of what has its key, and deletes leave it empty or marked."""
        accepted, old = self.accepted(candidates, columns)
        changes = self.read(accepted, {**columns, IS_DELETE: self.columns[IS_DELETE]})
        upserts = changes.filter(~nw.col(IS_DELETE)).drop(IS_DELETE)
        come = self.replaced_or_added(upserts, old, columns) if accepted.rows else ()
        deletes = self.stage(changes.filter(nw.col(IS_DELETE)), "deletes")
        if marks_deleted(self.table.flow):
            come += self._marked(deletes, candidates, columns)
        keys = self.narrow(columns, self.context.keys)
        deleted = self.engine.matches(self.read(old, keys), self.read(deletes, keys), self.context.keys)
        return self.replacing(old, keys, candidates, come, deleted=self.stage(deleted, "gone").rows)

    def _marked(self, deletes: Written, candidates: Sequence[DataFile], columns: Columns) -> tuple[WrittenFile, ...]:
        """Write the deleted rows with the values that they had, or for keys that are new what their change says."""
        if not deletes.rows:
            return ()
        keys = self.context.keys
        taken = [*self.context.order, *self.context.stamp]
        there = self.matching(candidates, deletes, columns, "deleted")
        known = self.engine.keeping(
            self.read(there, columns), self.read(deletes, self.narrow(columns, keys, taken)), keys, taken
        )
        unknown = self.engine.without_matches(
            self.read(deletes, columns), self.read(there, self.narrow(columns, keys)), keys
        )
        rows = nw.concat([known.select(list(columns)), unknown.select(list(columns))])
        since = nw.when(~nw.col(DELETED_AT).is_null()).then(nw.col(DELETED_AT)).otherwise(nw.col(UPDATED_AT))
        return self.put(rows.with_columns(since.alias(DELETED_AT)), "marked")
