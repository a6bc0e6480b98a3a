"""Step 60: the columns of a slowly changing dimension, type 2: from when to when a version of a row holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import narwhals as nw

from tidegate.transformers.base import BaseTransformer, TransformContext
from tidegate.transformers.column_names import spelled_all

if TYPE_CHECKING:
    from tidegate.engines.base import Frame
    from tidegate.models import DataFlow

VALID_FROM = "__valid_from"
VALID_TO = "__valid_to"
IS_CURRENT = "__is_current"
SCD2_COLUMNS = (VALID_FROM, VALID_TO, IS_CURRENT)


class SCD2ColumnAdder(BaseTransformer):
    """Adds `__valid_from`: the effective column, or the load's time; `__valid_to` and `__is_current` follow from it."""

    name: ClassVar[str] = "add SCD2 columns"
    order: ClassVar[int] = 60

    @classmethod
    def describe(cls, flow: DataFlow) -> str | None:
        """Name the effective column."""
        if flow.destination.load_type != "scd2":
            return None
        effective = flow.destination.settings.scd2_effective_column
        return f"{', '.join(SCD2_COLUMNS)} from {effective or 'the time of the load'}"

    def transform(self, frame: Frame, context: TransformContext) -> Frame:
        """Add the columns, of a version that holds until further notice."""
        effective = context.flow.destination.settings.scd2_effective_column
        if effective is None:
            frame = context.engine.with_constants(frame, {VALID_FROM: context.started_at})
        else:
            columns = context.engine.schema(frame)
            [column] = spelled_all([effective], columns, context, what="effective column", required=True)
            frame = frame.with_columns(nw.col(column).alias(VALID_FROM))
        until = nw.when(nw.lit(False)).then(nw.col(VALID_FROM)).alias(VALID_TO)
        return frame.with_columns(until, nw.lit(True).alias(IS_CURRENT))
