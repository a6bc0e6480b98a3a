"""Step 20: of rows with one key, the latest stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tidegate.transformers.base import BaseTransformer, TransformContext
from tidegate.transformers.column_names import spelled_all

if TYPE_CHECKING:
    from tidegate.engines.base import Frame
    from tidegate.models import DataFlow


class Deduplicator(BaseTransformer):
    """Keeps per key the row with the greatest ordering columns; NULL never wins; of ties the last one read."""

    name: ClassVar[str] = "deduplicate"
    order: ClassVar[int] = 20

    @classmethod
    def describe(cls, flow: DataFlow) -> str | None:
        """Name keys and order: declared, or the merge keys and watermark columns where those decide between rows."""
        keys, order = flow.deduplicate_columns, deciding_columns(flow)
        is_declared = bool(flow.transform.deduplicate_columns or flow.transform.latest_data_columns)
        if not keys or not (order or is_declared):
            return None
        return f"latest {', '.join(order) or 'read'} per {', '.join(keys)} (spills to disk)"

    def transform(self, frame: Frame, context: TransformContext) -> Frame:
        """Add the step."""
        flow = context.flow
        schema = context.engine.schema(frame)
        return context.engine.latest(
            frame,
            spelled_all(flow.deduplicate_columns, schema, context, what="deduplicate column", required=True),
            spelled_all(deciding_columns(flow), schema, context, what="latest data column", required=True),
            by_rank=flow.transform.settings.deduplicate_by_rank,
            scratch=context.scratch,
        )


def deciding_columns(flow: DataFlow) -> tuple[str, ...]:
    """Return the ordering columns that can differ between rows of one key."""
    keys = {column.lower() for column in flow.deduplicate_columns}
    return tuple(column for column in flow.latest_data_columns if column.lower() not in keys)
