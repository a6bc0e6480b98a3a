"""How rows are brought into the types that their table takes, and what is said of a value that does not fit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from tidegate.engines.base import ColumnCast
from tidegate.errors import DestinationError, EngineError, TransformError
from tidegate.expressions.data_type import describe_type
from tidegate.transformers.column_names import final_names

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.destinations.schema_policy import Settled
    from tidegate.engines.base import BaseEngine, Frame
    from tidegate.models import ColumnCaseMode, DataFlow


def spelled_as(frame: Frame, columns: Collection[str], table_columns: Collection[str]) -> Frame:
    """Return the frame with columns spelled as the table has them: in tables, case is no difference."""
    spelling = {column.lower(): column for column in table_columns}
    renamed = {column: spelling.get(column.lower(), column) for column in columns}
    changed = {old: new for old, new in renamed.items() if old != new}
    return frame.rename(changed) if changed else frame


def fitted(frame: Frame, settled: Settled, engine: BaseEngine) -> Frame:
    """Return the settled columns of a frame in their types; where they are narrower, each value must fit."""
    found = engine.schema(frame)
    casts = {
        column: ColumnCast(type=found[column], within=dtype) if column in settled.narrowed else ColumnCast(type=dtype)
        for column, dtype in settled.columns.items()
        if dtype != found[column]
    }
    frame = engine.cast(frame, casts) if casts else frame
    return frame if len(found) == len(settled.columns) else frame.select(list(settled.columns))


def narrowed_at_source(
    settled: Settled, columns: Collection[str], flow: DataFlow, mode: ColumnCaseMode
) -> dict[str, pa.DataType]:
    """Return the columns of the source, as far as they come to the table unchanged, that must fit a narrower type."""
    computed = {added.column.lower() for added in flow.transform.additional_columns}
    narrowed: dict[str, pa.DataType] = {}
    for column in columns:
        if column.lower() in computed:
            continue
        try:
            [name] = final_names([column], flow, mode, settled.narrowed)
        except TransformError:
            continue
        narrowed[column] = settled.narrowed[name]
    return narrowed


def without_place(error: Exception, narrowed: Mapping[str, pa.DataType], place: str) -> Exception:
    """Return the error for a value that does not fit the table, where it was not found in the source."""
    if not isinstance(error, EngineError):
        return error
    named = [column for column in narrowed if f"'{column}'" in error.message]
    suspects = named or [column for column, dtype in narrowed.items() if dtype.num_fields]
    if not suspects or "conversion" not in error.message:
        return error
    columns = " or ".join(f"{column!r}" for column in suspects)
    types = " or ".join(describe_type(narrowed[column]) for column in suspects)
    msg = f"column {columns}: a value is not {types}, as the table has it: {error.message}"
    hint = "let the column become wider (schema_policy: evolve), or correct the value"
    return DestinationError(msg, {"columns": suspects}, code="TG415", where=place, hint=hint)
