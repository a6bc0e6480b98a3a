"""Step 12: change-data rows say what happened to a key; deletes are marked for the load strategy."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import narwhals as nw

from tidegate.transformers.base import BaseTransformer, TransformContext
from tidegate.transformers.column_names import spelled_all

if TYPE_CHECKING:
    from tidegate.engines.base import Frame
    from tidegate.models import DataFlow

IS_DELETE = "__tidegate_is_delete"
"""Whether a row says that its key is gone. For the load strategy alone; it is never written."""


class ChangeDataMarker(BaseTransformer):
    """Marks deletes by the operation column, which itself goes no further than the projection."""

    name: ClassVar[str] = "mark deletes"
    order: ClassVar[int] = 12

    @classmethod
    def describe(cls, flow: DataFlow) -> str | None:
        """Name the column and the values."""
        if (cdc := flow.source.cdc) is None:
            return None
        return f"{cdc.operation_column} in {', '.join(cdc.delete_values)}"

    def transform(self, frame: Frame, context: TransformContext) -> Frame:
        """Add the mark. An operation that is NULL is no delete."""
        cdc = context.flow.source.cdc
        if cdc is None:
            return frame
        columns = context.engine.schema(frame)
        [column] = spelled_all([cdc.operation_column], columns, context, what="operation column", required=True)
        is_delete = nw.col(column).cast(nw.String).is_in(list(cdc.delete_values)).fill_null(value=False)
        return frame.with_columns(is_delete.alias(IS_DELETE))
