"""Step 70: columns that say when and by which run a row was written."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tidegate.transformers.base import BaseTransformer, TransformContext

if TYPE_CHECKING:
    from datetime import datetime

    from tidegate.engines.base import Frame
    from tidegate.models import DataFlow

CREATED_AT = "__created_at"
UPDATED_AT = "__updated_at"
UPDATED_BY = "__updated_by"
RUN_ID = "__dataflow_run_id"
SYSTEM_COLUMNS = (CREATED_AT, UPDATED_AT, UPDATED_BY, RUN_ID)


class SystemColumnAdder(BaseTransformer):
    """Adds the system columns. All rows of a load carry the same instant; a merge keeps `__created_at`."""

    name: ClassVar[str] = "add system columns"
    order: ClassVar[int] = 70

    @classmethod
    def describe(cls, flow: DataFlow) -> str | None:  # noqa: ARG003 - the same for every dataflow
        """Name the columns."""
        return ", ".join(SYSTEM_COLUMNS)

    def transform(self, frame: Frame, context: TransformContext) -> Frame:
        """Add the columns."""
        now = context.started_at
        values: dict[str, str | datetime] = {
            CREATED_AT: now,
            UPDATED_AT: now,
            UPDATED_BY: "tidegate",
            RUN_ID: context.run_id,
        }
        return context.engine.with_constants(frame, values)
