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
        """Name keys and order. The step runs when both are known, declared or from merge keys and watermark."""
        if not (flow.deduplicate_columns and flow.latest_data_columns):
            return None
        return (
            f"latest {', '.join(flow.latest_data_columns)} per {', '.join(flow.deduplicate_columns)} (spills to disk)"
        )

    def transform(self, frame: Frame, context: TransformContext) -> Frame:
        """Add the step."""
        flow = context.flow
        schema = context.engine.schema(frame)
        return context.engine.latest(
            frame,
            spelled_all(flow.deduplicate_columns, schema, context, what="deduplicate column"),
            spelled_all(flow.latest_data_columns, schema, context, what="latest data column"),
            by_rank=flow.transform.settings.deduplicate_by_rank,
            scratch=context.scratch,
        )
