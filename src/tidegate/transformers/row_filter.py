"""Step 35: rows that do not meet the condition are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import narwhals as nw

from tidegate.expressions.sql import parse_expression
from tidegate.transformers.base import BaseTransformer, TransformContext
from tidegate.transformers.change_data import IS_DELETE

if TYPE_CHECKING:
    from tidegate.engines.base import Frame
    from tidegate.models import DataFlow

_MEETS = "__tidegate_meets"


class RowFilter(BaseTransformer):
    """Keeps the rows for which the condition is true; NULL is not true. Deletes of change data always pass."""

    name: ClassVar[str] = "keep rows"
    order: ClassVar[int] = 35

    @classmethod
    def describe(cls, flow: DataFlow) -> str | None:
        """Show the condition."""
        return flow.transform.filter_expression

    def transform(self, frame: Frame, context: TransformContext) -> Frame:
        """Add the condition."""
        condition = context.flow.transform.filter_expression
        if not condition:
            return frame
        expression = parse_expression(condition)
        if context.flow.source.cdc is None:
            return context.engine.where(frame, expression)
        # a delete often has its keys alone, which meet no condition
        computed = context.engine.with_columns(frame, {_MEETS: expression})
        return computed.filter(nw.col(_MEETS) | nw.col(IS_DELETE)).drop(_MEETS)
