"""Step 85: columns are selected or dropped, then renamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tidegate.transformers.base import BaseTransformer, TransformContext
from tidegate.transformers.change_data import IS_DELETE
from tidegate.transformers.column_names import spelled, spelled_all
from tidegate.transformers.scd2_columns import SCD2_COLUMNS
from tidegate.transformers.system_columns import DELETED_AT, SYSTEM_COLUMNS

if TYPE_CHECKING:
    from tidegate.engines.base import Frame
    from tidegate.models import DataFlow

_ALWAYS_KEPT = frozenset({*SYSTEM_COLUMNS, DELETED_AT, *SCD2_COLUMNS, IS_DELETE})


class Projection(BaseTransformer):
    """Keeps what is selected (and always Tidegate's own columns), or drops what is dropped; then renames.

    The operation column of change data is dropped too: it says what happened to a row, and is no part of it.
    """

    name: ClassVar[str] = "project"
    order: ClassVar[int] = 85

    @classmethod
    def describe(cls, flow: DataFlow) -> str | None:
        """Name the columns."""
        transform = flow.transform
        parts = []
        if transform.select_columns:
            parts.append(f"select {', '.join(transform.select_columns)}")
        if transform.drop_columns:
            parts.append(f"drop {', '.join(transform.drop_columns)}")
        if flow.source.cdc:
            parts.append(f"drop {flow.source.cdc.operation_column}")
        if transform.rename_columns:
            parts.append("rename " + ", ".join(f"{old} to {new}" for old, new in transform.rename_columns.items()))
        return "; ".join(parts) or None

    def transform(self, frame: Frame, context: TransformContext) -> Frame:
        """Add the projection."""
        transform = context.flow.transform
        columns = list(context.engine.schema(frame))
        if transform.select_columns:
            chosen = spelled_all(transform.select_columns, columns, context, what="selected column")
            frame = frame.select([*chosen, *(name for name in columns if name in _ALWAYS_KEPT and name not in chosen)])
        dropped = spelled_all(transform.drop_columns, columns, context, what="dropped column")
        if cdc := context.flow.source.cdc:
            dropped += [name for name in columns if name.lower() == cdc.operation_column.lower()]
        frame = frame.drop(dict.fromkeys(dropped), strict=False)
        renamed = {
            column: new
            for old, new in transform.rename_columns.items()
            if (column := spelled(old, columns, context, what="renamed column")) is not None
        }
        return frame.rename(renamed) if renamed else frame
