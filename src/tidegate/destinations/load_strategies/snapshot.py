"""snapshot: the batch is all that the source holds; the table is brought to the same, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import narwhals as nw
import pyarrow as pa

from tidegate.destinations.load_strategies.content import compared_columns
from tidegate.destinations.load_strategies.copy_on_write import FILE, Columns, Replacement, together
from tidegate.destinations.load_strategies.merge_upsert import MergeUpsert
from tidegate.destinations.selection import AllRows
from tidegate.transformers.system_columns import DELETED_AT, UPDATED_AT, marks_deleted

if TYPE_CHECKING:
    from tidegate.destinations.selection import Selection
    from tidegate.destinations.strategy import Replays
    from tidegate.destinations.table import DataFile
    from tidegate.engines.base import Written, WrittenFile
    from tidegate.models import DataFlow
    from tidegate.sources.base import ReadScope

_CONTENT = "__tidegate_content"
_OLD_CONTENT = "__tidegate_old_content"
_COUNT = "__tidegate_count"


class SnapshotMirror(MergeUpsert):
    """Adds new rows, replaces changed ones, and deletes or marks those that are gone. Unchanged rows stay as they are.

    Rows are compared by a 64-bit hash of their content, key by key.
    """

    replays: ClassVar[Replays | None] = None

    reads: ClassVar[ReadScope] = "all"
    commits_nothing: ClassVar[bool] = True

    @classmethod
    def describe(cls, flow: DataFlow) -> str:
        """Name the keys, and what becomes of rows that are gone."""
        gone = "mark" if marks_deleted(flow) else "delete"
        return f"add, replace what changed, and {gone} what is gone by {', '.join(flow.destination.merge_keys)}"

    def selection(self) -> Selection:
        """Return all rows: any can be gone."""
        return AllRows()

    def replacement(self, candidates: Sequence[DataFile], columns: Columns) -> Replacement:
        """Compare both sides by key and content, then fetch the rows that differ."""
        keys = self.context.keys
        key_types, old_types = self.narrow(columns, keys), self._old_types(columns)
        old, new = self._compared(candidates, columns)
        pairs = self.engine.keeping(
            self.read(new, {**key_types, _CONTENT: pa.uint64()}),
            self.read(old, old_types),
            keys,
            [name for name in old_types if name in {_OLD_CONTENT, DELETED_AT}],
        )
        was_deleted = ~nw.col(DELETED_AT).is_null() if DELETED_AT in columns else nw.lit(False)
        is_new = nw.col(_OLD_CONTENT).is_null()
        unknown = self.stage(pairs.filter(is_new).select(keys), "unknown")
        changed = self.stage(
            pairs.filter(~is_new & ((nw.col(_OLD_CONTENT) != nw.col(_CONTENT)) | was_deleted)).select(keys), "changed"
        )
        absent = self._absent(old, new, columns)
        parts = [unknown, changed]
        if old.rows - absent.rows > new.rows - unknown.rows:  # a key has several rows there: other writers' work
            parts.append(self._repeated(old, old_types))
        differing = together(parts)
        gone = self._gone(absent, old_types)
        replaced = self.engine.matches(self.read(old, old_types), self.read(differing, key_types), keys)
        leaving = self.stage(nw.concat([replaced, self.read(gone, old_types)]), "leaving")
        batch = self.engine.matches(self.read(self.batch, columns), self.read(differing, key_types), keys)
        come = self.replaced_or_added(batch, leaving, columns) if differing.rows else ()
        if marks_deleted(self.table.flow) and gone.rows:
            come += self._marked(gone, candidates, columns)
        return self.replacing(leaving, key_types, candidates, come, deleted=gone.rows)

    def _compared(self, candidates: Sequence[DataFile], columns: Columns) -> tuple[Written, Written]:
        """Stage keys and a hash of the content: of the table's rows, with what they hand on, and of the batch's."""
        compared = compared_columns(self.table.flow, self.columns, self.context)
        there = self.engine.read_table(candidates, columns, path_column=FILE)
        hashed = self.engine.with_content_hash(there, compared, _OLD_CONTENT)
        batch = self.engine.with_content_hash(self.read(self.batch, columns), compared, _CONTENT)
        return (
            self.stage(hashed.select(list(self._old_types(columns))), "there"),
            self.stage(batch.select(*self.context.keys, _CONTENT), "here"),
        )

    def _old_types(self, columns: Columns) -> Columns:
        kept = [*self.kept_columns(columns), *([DELETED_AT] if DELETED_AT in columns else [])]
        narrow = self.narrow(columns, self.context.keys, kept)
        return {**narrow, FILE: pa.string(), _OLD_CONTENT: pa.uint64()}

    def _absent(self, old: Written, new: Written, columns: Columns) -> Written:
        """Stage the rows of the table whose key is not in the batch."""
        keys = self.context.keys
        rows = self.read(old, self._old_types(columns))
        return self.stage(self.engine.without_matches(rows, self.read(new, self.narrow(columns, keys)), keys), "absent")

    def _repeated(self, old: Written, old_types: Columns) -> Written:
        """Stage the keys that occur more than once in the table."""
        keys = self.context.keys
        counted = self.read(old, old_types).group_by(*keys).agg(nw.len().alias(_COUNT))
        return self.stage(counted.filter(nw.col(_COUNT) > 1).select(*keys), "repeated")

    def _gone(self, absent: Written, old_types: Columns) -> Written:
        """Return the absent rows that the table does not mark as deleted yet, if it marks them."""
        if not (marks_deleted(self.table.flow) and DELETED_AT in old_types):
            return absent
        return self.stage(self.read(absent, old_types).filter(nw.col(DELETED_AT).is_null()), "gone")

    def _marked(self, gone: Written, candidates: Sequence[DataFile], columns: Columns) -> tuple[WrittenFile, ...]:
        """Write the rows that are gone, marked."""
        rows = self.read(self.matching(candidates, gone, columns, "marked"), columns)
        stamp = self.context.stamp
        return self.put(self.engine.with_constants(rows, {**stamp, DELETED_AT: stamp[UPDATED_AT]}), "marked")
