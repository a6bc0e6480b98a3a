"""merge_upsert: rows whose key is in the table are replaced, unless they are older; the others are added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from tidegate.destinations.load_strategies.copy_on_write import FILE, Columns, CopyOnWrite, Replacement
from tidegate.transformers.system_columns import CREATED_AT, DELETED_AT

if TYPE_CHECKING:
    from tidegate.destinations.strategy import Replays
    from tidegate.destinations.table import DataFile
    from tidegate.engines.base import Frame, Written, WrittenFile
    from tidegate.models import DataFlow


class MergeUpsert(CopyOnWrite):
    """Replaces by key (NULL equals NULL). `__created_at`, and columns that the batch lacks, keep their old values.

    Where columns decide which of two rows is the later one, a row of the table that is later than that of the batch
    stays: many loads come to what one load of all their rows comes to.
    """

    replays: ClassVar[Replays | None] = "by time"

    @classmethod
    def describe(cls, flow: DataFlow) -> str:
        """Name the keys."""
        return f"replace or add by {', '.join(flow.destination.merge_keys)}"

    def replacement(self, candidates: Sequence[DataFile], columns: Columns) -> Replacement:
        """Let every accepted row of the batch replace what has its key."""
        accepted, old = self.accepted(candidates, columns)
        come = self.replaced_or_added(self.read(accepted, columns), old, columns) if accepted.rows else ()
        return self.replacing(old, self.narrow(columns, self.context.keys), candidates, come)

    def accepted(self, candidates: Sequence[DataFile], columns: Columns) -> tuple[Written, Written]:
        """Return the rows of the batch that are not older than the table's, and the rows of the table they replace."""
        keys, order = self.context.keys, self.context.order
        old = self.matching(candidates, self.batch, self.kept_narrow(columns), "matching")
        if not (order and old.rows):
            return self.batch, old
        decisive = self.narrow(columns, keys, order)
        outranked = self.engine.outranked(self.read(self.batch, decisive), self.read(old, decisive), keys, order)
        older = self.stage(outranked, "outranked")
        if not older.rows:
            return self.batch, old
        older_keys = self.read(older, self.narrow(columns, keys))
        batch = self.read(self.batch, self.columns)
        accepted = self.stage(self.engine.without_matches(batch, older_keys, keys), "accepted")
        replaced = self.engine.without_matches(self.read(old, self._with_file(columns)), older_keys, keys)
        return accepted, self.stage(replaced, "replaced")

    def kept_narrow(self, columns: Columns) -> Columns:
        """Return the columns that are read of the table's rows before it is known which of them are replaced."""
        return self.narrow(columns, self.context.keys, self.context.order, self.kept_columns(columns))

    def kept_columns(self, columns: Columns) -> list[str]:
        """Return the columns that a replaced row hands on to its successor."""
        lacking = (column for column in columns if column not in self.columns and column != DELETED_AT)
        return [*([CREATED_AT] if CREATED_AT in columns else []), *(name for name in lacking if name != CREATED_AT)]

    def _with_file(self, columns: Columns) -> Columns:
        return {**self.kept_narrow(columns), FILE: pa.string()}

    def replaced_or_added(self, rows: Frame, old: Written, columns: Columns) -> tuple[WrittenFile, ...]:
        """Write accepted rows, with what the old rows of their keys hand on to them."""
        if old.rows:
            kept = self.read(old, self.kept_narrow(columns))
            rows = self.engine.keeping(rows, kept, self.context.keys, self.kept_columns(columns))
        return self.put(rows, "new")
