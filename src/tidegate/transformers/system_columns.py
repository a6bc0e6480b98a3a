"""Step 70: columns that say when and by which run a row was written."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import narwhals as nw

from tidegate.transformers.base import BaseTransformer, TransformContext

if TYPE_CHECKING:
    from datetime import datetime

    from tidegate.engines.base import Frame
    from tidegate.models import DataFlow

CREATED_AT = "__created_at"
UPDATED_AT = "__updated_at"
UPDATED_BY = "__updated_by"
RUN_ID = "__dataflow_run_id"
DELETED_AT = "__deleted_at"
"""When a load found the row deleted, for destinations that keep such rows (`delete_mode: soft`); else NULL."""
SYSTEM_COLUMNS = (CREATED_AT, UPDATED_AT, UPDATED_BY, RUN_ID)


class SystemColumnAdder(BaseTransformer):
    """Adds the system columns. All rows of a load carry the same instant; a merge keeps `__created_at`."""

    name: ClassVar[str] = "add system columns"
    order: ClassVar[int] = 70

    @classmethod
    def describe(cls, flow: DataFlow) -> str | None:
        """Name the columns."""
        return ", ".join((*SYSTEM_COLUMNS, *([DELETED_AT] if marks_deleted(flow) else [])))

    def transform(self, frame: Frame, context: TransformContext) -> Frame:
        """Add the columns."""
        stamp = load_stamp(context.started_at, context.run_id)
        frame = context.engine.with_constants(frame, {CREATED_AT: context.started_at, **stamp})
        if not marks_deleted(context.flow):
            return frame
        return frame.with_columns(nw.when(nw.lit(False)).then(nw.col(UPDATED_AT)).alias(DELETED_AT))


def load_stamp(started_at: datetime, run_id: str) -> dict[str, str | datetime]:
    """Return the system columns of rows that a load writes or changes, but for when they were created."""
    return {UPDATED_AT: started_at, UPDATED_BY: "tidegate", RUN_ID: run_id}


def marks_deleted(flow: DataFlow) -> bool:
    """Tell whether rows that are deleted at the source stay, marked."""
    destination = flow.destination
    return destination.settings.delete_mode == "soft" and destination.load_type in {"merge_delete", "snapshot"}
