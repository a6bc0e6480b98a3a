"""Step 85: columns are selected or dropped, then renamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tidegate.transformers.base import BaseTransformer, TransformContext
from tidegate.transformers.column_names import spelled, spelled_all
from tidegate.transformers.system_columns import SYSTEM_COLUMNS

if TYPE_CHECKING:
    from tidegate.engines.base import Frame
    from tidegate.models import DataFlow


class Projection(BaseTransformer):
    """Keeps what is selected (and always the system columns), or drops what is dropped; then renames."""

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
        if transform.rename_columns:
            parts.append("rename " + ", ".join(f"{old} to {new}" for old, new in transform.rename_columns.items()))
        return "; ".join(parts) or None

    def transform(self, frame: Frame, context: TransformContext) -> Frame:
        """Add the projection."""
        transform = context.flow.transform
        columns = list(context.engine.schema(frame))
        if transform.select_columns:
            chosen = spelled_all(transform.select_columns, columns, context, what="selected column")
            frame = frame.select(
                [*chosen, *(name for name in columns if name in SYSTEM_COLUMNS and name not in chosen)]
            )
        elif transform.drop_columns:
            frame = frame.drop(spelled_all(transform.drop_columns, columns, context, what="dropped column"))
        renamed = {
            column: new
            for old, new in transform.rename_columns.items()
            if (column := spelled(old, columns, context, what="renamed column")) is not None
        }
        return frame.rename(renamed) if renamed else frame
