"""Statistics of Parquet files as the Delta log keeps them, from the footers of the files just written.

Source of the rules: Delta protocol, "Per-file Statistics". A bound may be wider than the values, never narrower.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pyarrow import parquet

if TYPE_CHECKING:
    from tidegate.engines.base import WrittenFile

INDEXED_COLUMNS = 32
"""Columns with bounds, from the first on (`delta.dataSkippingNumIndexedCols`)."""

LONGEST_TEXT = 64
"""Characters of a text bound."""

_LESS_THAN_A_MILLISECOND = timedelta(microseconds=999)
_CUT_TEXT = 32
"""Bytes of a text bound from which on another writer may have cut it: Spark cuts at 32 characters."""
_EXACT_IN_DOUBLE = 2**53


def safe_lower(bound: Any) -> Any:
    """Return a lower bound of other writers, made no narrower than the values can be; None when it says nothing."""
    match bound:
        case float():
            return math.nextafter(bound, -math.inf)
        case datetime():
            return _moved(bound, -_LESS_THAN_A_MILLISECOND)  # towards zero before 1970
        case Decimal():
            return bound if _is_exact(bound) else None
        case _:
            return bound


def safe_upper(bound: Any) -> Any:
    """Return an upper bound likewise.

    >>> safe_upper(datetime(2024, 1, 1, 0, 0, 0, 123000))
    datetime.datetime(2024, 1, 1, 0, 0, 0, 123999)
    >>> safe_upper("x" * 40) is None
    True
    """
    match bound:
        case float():
            return math.nextafter(bound, math.inf)
        case datetime():
            return _moved(bound, _LESS_THAN_A_MILLISECOND)
        case Decimal():
            return bound if _is_exact(bound) else None
        case str():
            return bound if len(bound.encode()) < _CUT_TEXT else None
        case _:
            return bound


def _moved(bound: datetime, by: timedelta) -> datetime | None:
    try:
        return bound + by
    except OverflowError:
        return None


def _is_exact(bound: Decimal) -> bool:
    """Tell whether a bound, which JSON keeps as a double, can stand for no other value of its scale."""
    exponent = bound.as_tuple().exponent
    assert isinstance(exponent, int), "statistics are finite"  # noqa: S101
    return abs(bound).scaleb(max(-exponent, 0)) < _EXACT_IN_DOUBLE and bound == bound.to_integral_value()


def delta_statistics(file: WrittenFile) -> str:
    """Return the statistics of a Parquet file as JSON text: rows, bounds and null counts."""
    with file.platform.open(file.path) as content:
        footer = parquet.read_metadata(content)
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
