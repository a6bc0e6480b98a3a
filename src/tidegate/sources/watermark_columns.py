"""The watermark columns of a source: how its data spell them, and whether their values can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa

from tidegate.engines.base import FILE_INFO_COLUMNS
from tidegate.errors import SourceError
from tidegate.expressions.data_type import describe_type

if TYPE_CHECKING:
    from tidegate.models import DataFlow
    from tidegate.state.watermark import Value, Watermark


def row_watermark(flow: DataFlow, available: Iterable[str]) -> tuple[str, ...]:
    """Return the columns by which rows are told apart, as the source spells them; none when files alone tell.

    Args:
        flow: The dataflow.
        available: The source's columns, as far as they are known.
    """
    if set(flow.source.watermark_columns) & set(FILE_INFO_COLUMNS):
        return ()
    available = list(available)
    by_lower_case = {column.lower(): column for column in available}
    return tuple(
        column if column in available else by_lower_case.get(column.lower(), column)
        for column in flow.source.watermark_columns
    )


def check_watermark(columns: Iterable[str], types: Mapping[str, pa.DataType], reached: Watermark, place: str) -> None:
    """Refuse a watermark that the source lacks, or that cannot be compared.

    Args:
        columns: The watermark columns, as the source spells them.
        types: The source's columns.
        reached: The stored watermark.
        place: The source, for the error.

    Raises:
        SourceError: a column is missing (TG209), has no order, or another type than the stored value (TG210).
    """
    for column in columns:
        if column not in types:
            msg = f"watermark column {column!r} is not in the source"
            hint = f"its columns are: {', '.join(types)}"
            raise SourceError(msg, {"column": column}, code="TG209", where=place, hint=hint)
        dtype = types[column]
        if pa.types.is_nested(dtype) or pa.types.is_boolean(dtype):
            msg = f"watermark column {column!r} is {describe_type(dtype)}, which has no order"
            hint = "use a column of numbers, dates, timestamps or text"
            raise SourceError(msg, {"column": column}, code="TG210", where=place, hint=hint)
        if column in reached and not is_value_of(reached[column], dtype):
            kind = type(reached[column]).__name__
            msg = f"watermark column {column!r} is {describe_type(dtype)}, but the stored position is a {kind}"
            hint = "tell where it stands in the new type: `tidegate state set FLOW COLUMN:TYPE=VALUE`, or rewind it"
            raise SourceError(msg, {"column": column}, code="TG210", where=place, hint=hint)


def is_value_of(value: Value, dtype: pa.DataType) -> bool:
    """Tell whether a watermark value compares with the values of a column."""
    if pa.types.is_timestamp(dtype):
        return isinstance(value, datetime) and (value.tzinfo is None) == (dtype.tz is None)
    if pa.types.is_date(dtype):
        return isinstance(value, date) and not isinstance(value, datetime)
    if pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype):
        return isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    if pa.types.is_time(dtype):
        return isinstance(value, time)
    return isinstance(value, bytes if pa.types.is_binary(dtype) else str)
