"""Step 10: columns take the types that schema hints declare."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from tidegate.engines.base import ColumnCast
from tidegate.expressions.data_type import parse_data_type
from tidegate.transformers.base import BaseTransformer, TransformContext
from tidegate.transformers.column_names import spelled

if TYPE_CHECKING:
    from tidegate.engines.base import Frame
    from tidegate.models import DataFlow


class SchemaConverter(BaseTransformer):
    """Converts columns strictly: a value that does not fit fails the load, and is named with its file and row."""

    name: ClassVar[str] = "convert types"
    order: ClassVar[int] = 10

    @classmethod
    def describe(cls, flow: DataFlow) -> str | None:
        """Name the hinted columns and their types."""
        parts = [f"{hint.column_name} {hint.data_type}" for hint in flow.transform.schema_hints if hint.is_active]
        if flow.transform.settings.convert_timestamp_ntz:
            parts.append(f"naive timestamps in {flow.transform.settings.timestamp_timezone}")
        return ", ".join(parts) or None

    def transform(self, frame: Frame, context: TransformContext) -> Frame:
        """Add the casts; columns that the source lacks are an error or left out, as the policy says."""
        schema = context.engine.schema(frame)
        settings = context.flow.transform.settings
        connection = context.flow.source.connection
        system = connection.settings.schema_hint_type_system if connection else None
        casts: dict[str, ColumnCast] = {}
        for hint in context.flow.transform.schema_hints:
            if not hint.is_active:
                continue
            column = spelled(hint.column_name, schema, context, what="schema hint")
            if column is not None:
                casts[column] = ColumnCast(
                    type=parse_data_type(
                        hint.data_type, type_system=system, precision=hint.precision, scale=hint.scale
                    ),
                    format=hint.format,
                    default=hint.default_value,
                    time_zone=settings.timestamp_timezone,
                )
        if settings.convert_timestamp_ntz:
            for column, dtype in schema.items():
                if pa.types.is_timestamp(dtype) and dtype.tz is None and column not in casts:
                    casts[column] = ColumnCast(type=pa.timestamp("us", "UTC"), time_zone=settings.timestamp_timezone)
        return context.engine.cast(frame, casts) if casts else frame
