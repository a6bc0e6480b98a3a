"""Step 20: of rows with one key, the latest stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tidegate.errors import TransformError
from tidegate.transformers.base import BaseTransformer, TransformContext
from tidegate.transformers.column_names import final_names, spelled_all

if TYPE_CHECKING:
    from collections.abc import Collection

    from tidegate.engines.base import Frame
    from tidegate.models import ColumnCaseMode, DataFlow


class Deduplicator(BaseTransformer):
    """Keeps per key the row with the greatest ordering columns; NULL never wins; of ties the last one read."""

    name: ClassVar[str] = "deduplicate"
    order: ClassVar[int] = 20

    @classmethod
    def describe(cls, flow: DataFlow) -> str | None:
        """Name keys and order: declared, or the merge keys and watermark columns where those decide between rows."""
        keys, order = flow.deduplicate_columns, _deciding(flow)
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
            spelled_all(_deciding(flow), schema, context, what="latest data column", required=True),
            by_rank=flow.transform.settings.deduplicate_by_rank,
            scratch=context.scratch,
        )


def _deciding(flow: DataFlow) -> tuple[str, ...]:
    """Return the ordering columns that can differ between rows of one key."""
    keys = {column.lower() for column in flow.deduplicate_columns}
    return tuple(column for column in flow.latest_data_columns if column.lower() not in keys)


def order_at_destination(flow: DataFlow, mode: ColumnCaseMode, columns: Collection[str]) -> tuple[str, ...]:
    """Return the ordering columns as the destination has them, up to the first that it does not have unchanged."""
    computed = {added.column.lower() for added in flow.transform.additional_columns}
    computed |= {part.column.lower() for part in flow.destination.partitions if part.expression}
    computed |= {new.lower() for old, new in flow.transform.rename_columns.items() if old.lower() != new.lower()}
    order: list[str] = []
    for name in _deciding(flow):
        if name.lower() in computed:
            break
        try:
            order += final_names([name], flow, mode, columns)
        except TransformError:
            break
    return tuple(order)
