"""Step 35: rows that do not meet the condition are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tidegate.expressions.sql import parse_expression
from tidegate.transformers.base import BaseTransformer, TransformContext

if TYPE_CHECKING:
    from tidegate.engines.base import Frame
    from tidegate.models import DataFlow


class RowFilter(BaseTransformer):
    """Keeps the rows for which the condition is true; NULL is not true."""

    name: ClassVar[str] = "keep rows"
    order: ClassVar[int] = 35

    @classmethod
    def describe(cls, flow: DataFlow) -> str | None:
        """Show the condition."""
        return flow.transform.filter_expression

    def transform(self, frame: Frame, context: TransformContext) -> Frame:
        """Add the condition."""
        condition = context.flow.transform.filter_expression
        return context.engine.where(frame, parse_expression(condition)) if condition else frame
