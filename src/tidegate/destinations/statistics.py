"""Statistics of Parquet files as the Delta log keeps them, from the footers of the files just written.

Source of the rules: Delta protocol, "Per-file Statistics". A bound may be wider than the values, never narrower.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from pyarrow import parquet

INDEXED_COLUMNS = 32
"""Columns with bounds, from the first on (`delta.dataSkippingNumIndexedCols`)."""

LONGEST_TEXT = 64
"""Characters of a text bound."""


def delta_statistics(path: str) -> str:
    """Return the statistics of a Parquet file as JSON text: rows, bounds and null counts."""
    footer = parquet.read_metadata(path)
    lower: dict[str, Any] = {}
    upper: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for index in range(min(footer.num_columns, INDEXED_COLUMNS)):
        column = footer.schema.column(index)
        if column.max_definition_level > 1 or column.max_repetition_level:
            continue  # nested
        chunks = [footer.row_group(group).column(index).statistics for group in range(footer.num_row_groups)]
        if any(chunk is None or not chunk.has_null_count for chunk in chunks):
            continue
        nulls[column.path] = sum(chunk.null_count for chunk in chunks)
        bounded = [chunk for chunk in chunks if chunk.has_min_max]
        if len(bounded) != sum(chunk.num_values > 0 for chunk in chunks) or not bounded:
            continue
        lowest, highest = _lower(chunk.min for chunk in bounded), _upper(chunk.max for chunk in bounded)
        if lowest is not None and highest is not None:
            lower[column.path], upper[column.path] = lowest, highest
    return json.dumps({"numRecords": footer.num_rows, "minValues": lower, "maxValues": upper, "nullCount": nulls})


def _lower(values: Iterable[Any]) -> Any:
    bound = min(values)
    return bound[:LONGEST_TEXT] if isinstance(bound, str) else _json_value(bound)


def _upper(values: Iterable[Any]) -> Any:
    bound = max(values)
    if isinstance(bound, str):
        return bound if len(bound) <= LONGEST_TEXT else None
    return _json_value(bound)


def _json_value(value: Any) -> Any:
    match value:
        case bool() | bytes():
            return None
        case float():
            return value if math.isfinite(value) else None
        case int():
            return value
        case Decimal():
            return float(value) if abs(value) < 2**53 and value == value.to_integral_value() else None
        case datetime():
            zoned = value.tzinfo is not None
            text = (value.astimezone(UTC) if zoned else value).replace(tzinfo=None).isoformat(timespec="microseconds")
            return f"{text}Z" if zoned else text
        case date():
            return value.isoformat()
        case _:
            return None
