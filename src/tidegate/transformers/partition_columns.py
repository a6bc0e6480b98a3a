"""Step 80: partition columns that are computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tidegate.expressions.sql import parse_expression
from tidegate.transformers.base import BaseTransformer, TransformContext

if TYPE_CHECKING:
    from tidegate.engines.base import Frame
    from tidegate.models import DataFlow


class PartitionHandler(BaseTransformer):
    """Adds the partition columns that have an expression. Partition columns are no part of a row's identity."""

    name: ClassVar[str] = "add partition columns"
    order: ClassVar[int] = 80

    @classmethod
    def describe(cls, flow: DataFlow) -> str | None:
        """Show the expressions."""
        computed = [part for part in flow.destination.partitions if part.expression]
        return ", ".join(f"{part.column} = {part.expression}" for part in computed) or None

    def transform(self, frame: Frame, context: TransformContext) -> Frame:
        """Add the columns."""
        computed = {
            part.column: parse_expression(part.expression)
            for part in context.flow.destination.partitions
            if part.expression
        }
        return context.engine.with_columns(frame, computed) if computed else frame
