"""Step 30: columns computed by SQL expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tidegate.expressions.sql import parse_expression
from tidegate.transformers.base import BaseTransformer, TransformContext

if TYPE_CHECKING:
    from tidegate.engines.base import Frame
    from tidegate.models import DataFlow


class ColumnAdder(BaseTransformer):
    """Adds columns one after the other, so that an expression may use a column added before it."""

    name: ClassVar[str] = "add columns"
    order: ClassVar[int] = 30

    @classmethod
    def describe(cls, flow: DataFlow) -> str | None:
        """Show the expressions."""
        return ", ".join(f"{added.column} = {added.expression}" for added in flow.transform.additional_columns) or None

    def transform(self, frame: Frame, context: TransformContext) -> Frame:
        """Add the columns."""
        for added in context.flow.transform.additional_columns:
            frame = context.engine.with_columns(frame, {added.column: parse_expression(added.expression)})
        return frame
