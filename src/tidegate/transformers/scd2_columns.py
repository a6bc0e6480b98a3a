"""Step 60: the columns of a slowly changing dimension, type 2: from when to when a version of a row holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import narwhals as nw
import pyarrow as pa

from tidegate.errors import TransformError
from tidegate.expressions.data_type import describe_type
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
    """Adds `__valid_from`: the effective column, or the load's time; `__valid_to` and `__is_current` follow from it.

    It comes after computed columns, which may be the effective one, and before columns are dropped or renamed.
    """

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
        """Add the columns, of a version that holds until further notice.

        Raises:
            TransformError: the effective column does not exist (TG302), or its values have no order (TG417).
        """
        effective = context.flow.destination.settings.scd2_effective_column
        if effective is None:
            frame = context.engine.with_constants(frame, {VALID_FROM: context.started_at})
        else:
            columns = context.engine.schema(frame)
            [column] = spelled_all([effective], columns, context, what="effective column", required=True)
            _refuse_unordered(column, columns[column])
            frame = frame.with_columns(nw.col(column).alias(VALID_FROM))
        until = nw.when(nw.lit(value=False)).then(nw.col(VALID_FROM)).alias(VALID_TO)
        return frame.with_columns(until, nw.lit(value=True).alias(IS_CURRENT))


def _refuse_unordered(column: str, dtype: pa.DataType) -> None:
    is_time = pa.types.is_temporal(dtype) and not pa.types.is_duration(dtype)
    is_number = pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype)
    if is_time or is_number or pa.types.is_string(dtype) or pa.types.is_large_string(dtype) or pa.types.is_null(dtype):
        return
    msg = f"effective column {column!r} is {describe_type(dtype)}, which is no time"
    hint = "name a column of times, dates or numbers in destination.configure.scd2_effective_column"
    raise TransformError(msg, {"column": column}, code="TG417", hint=hint)
