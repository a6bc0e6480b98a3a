"""Single values in Iceberg's metadata: bounds and partition values, to and from Python's types.

Source of the rules: Iceberg specification, "Appendix D: Single-value serialization", and "Partition Transforms".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from pyiceberg.conversions import from_bytes
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    LongType,
    PrimitiveType,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
)
from pyiceberg.utils.datetime import (
    date_to_days,
    datetime_to_micros,
    days_to_date,
    micros_to_time,
    micros_to_timestamp,
    micros_to_timestamptz,
    time_to_micros,
)

from tidegate.engines.base import partition_text

_FROM_NUMBER: dict[type[IcebergType], Callable[[int], Any]] = {
    DateType: days_to_date,
    TimeType: micros_to_time,
    TimestampType: micros_to_timestamp,
    TimestamptzType: micros_to_timestamptz,
}
"""Types that metadata keep as a number → how to read it."""

_FROM_TEXT: dict[type[IcebergType], Callable[[str], Any]] = {
    BooleanType: lambda text: text == "true",
    IntegerType: int,
    LongType: int,
    FloatType: float,
    DoubleType: float,
    DecimalType: Decimal,
    DateType: lambda text: date_to_days(date.fromisoformat(text)),
    TimeType: lambda text: time_to_micros(time.fromisoformat(text)),
    TimestampType: lambda text: datetime_to_micros(datetime.fromisoformat(text)),
    TimestamptzType: lambda text: datetime_to_micros(datetime.fromisoformat(text)),
}
"""Types → how to read the text of a partition value; as it is, where a type is not here."""

_COMPARABLE: tuple[type[IcebergType], ...] = (
    BooleanType,
    IntegerType,
    LongType,
    FloatType,
    DoubleType,
    DecimalType,
    StringType,
    *_FROM_NUMBER,
)


def bound(kind: IcebergType, data: bytes | None) -> Any:
    """Return a bound as a Python value; None when there is none, or none that can be compared with."""
    if data is None or not isinstance(kind, PrimitiveType) or not isinstance(kind, _COMPARABLE):
        return None
    try:
        value: Any = from_bytes(kind, data)
        value = _FROM_NUMBER[type(kind)](value) if type(kind) in _FROM_NUMBER else value
    except (ValueError, OverflowError, ArithmeticError):  # cut within a letter, or a year that Python does not have
        return None
    return None if isinstance(value, float) and math.isnan(value) else value


def value_from_text(kind: IcebergType, text: str | None) -> Any:
    """Return the value that metadata keep for a partition value as text.

    >>> value_from_text(DateType(), "1970-01-03"), value_from_text(StringType(), "x"), value_from_text(LongType(), "7")
    (2, 'x', 7)
    """
    return None if text is None else _FROM_TEXT.get(type(kind), str)(text)


def text_of_value(kind: IcebergType, value: Any) -> str | None:
    """Return a partition value of the metadata as text, as the engine writes and reads it."""
    if value is not None and type(kind) in _FROM_NUMBER:
        value = _FROM_NUMBER[type(kind)](value)
    return partition_text(value)
