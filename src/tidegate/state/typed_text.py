"""Watermark values as people type them, in the type of their column."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from tidegate.errors import WatermarkError

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.state.watermark import Value

_EXAMPLES = {
    "integer": "1042",
    "float": "12.5",
    "decimal": "1042.50",
    "date": "2026-03-31",
    "timestamp": "2026-03-31T06:00:00Z",
    "timestamp without zone": "2026-03-31T06:00:00",
    "time": "06:00:00",
}


def parse_value(column: str, text: str, type_name: str) -> Value:
    """Return the value of a watermark column that a text says.

    A timestamp with a zone may be given without one: it is then UTC. A date stands for its midnight.

    Args:
        column: The column, for messages.
        text: The value.
        type_name: The column's type, in the words of schema hints and positions.

    Raises:
        WatermarkError: the text is no value of the type (TG508).
        MetadataError: there is no such type (TG305).
    """
    from tidegate.expressions.data_type import parse_data_type

    dtype = parse_data_type(type_name)
    kind = _kind(dtype)
    if kind is None:
        msg = f"column {column} is {type_name}, which is no type that can be set"
        hint = "`tidegate state rewind` goes back to the start"
        raise WatermarkError(msg, {"column": column}, code="TG508", hint=hint)
    try:
        return _parsed(text.strip() if kind != "string" else text, kind, dtype)
    except (ValueError, InvalidOperation, OverflowError) as error:
        reason = f" ({error})" if isinstance(error, _Unfit) else ""
        msg = f"{text!r} is not a value of column {column}, which is {type_name}{reason}"
        hint = f"for instance {column}={_EXAMPLES[kind]}"
        raise WatermarkError(msg, {"column": column, "type": type_name}, code="TG508", hint=hint) from None


class _Unfit(ValueError):  # noqa: N818 - a reason, told in the error that is raised for it
    """A text that parses, and still does not fit."""


def _kind(dtype: pa.DataType) -> str | None:
    from pyarrow import types

    if types.is_timestamp(dtype):
        return "timestamp" if dtype.tz else "timestamp without zone"
    for kind, matches in (
        ("integer", types.is_integer),
        ("float", types.is_floating),
        ("decimal", types.is_decimal),
        ("date", types.is_date),
        ("time", types.is_time),
        ("string", types.is_string),
    ):
        if matches(dtype):
            return kind
    return None


def _parsed(text: str, kind: str, dtype: pa.DataType) -> Value:
    match kind:
        case "integer":
            return _integer(text, dtype)
        case "float":
            number = float(text)
            if not math.isfinite(number):
                raise _Unfit("not a finite number")
            return number
        case "decimal":
            return _decimal(text, dtype)
        case "date":
            return date.fromisoformat(text)
        case "time":
            return time.fromisoformat(text)
        case "timestamp":
            moment = datetime.fromisoformat(text)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        case "timestamp without zone":
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is not None:
                raise _Unfit("the column has no time zone")
            return moment
        case _:
            return text


def _integer(text: str, dtype: pa.DataType) -> int:
    from pyarrow import types

    number = int(text.replace("_", "x"))  # int() would take 1_000
    signed = types.is_signed_integer(dtype)
    half = 2 ** (dtype.bit_width - 1)
    least, most = (-half, half - 1) if signed else (0, 2 * half - 1)
    if not least <= number <= most:
        raise _Unfit(f"it holds {least} to {most}")
    return number


def _decimal(text: str, dtype: pa.DataType) -> Decimal:
    number = Decimal(text)
    if not number.is_finite():
        raise _Unfit("not a finite number")
    quantum = Decimal(1).scaleb(-dtype.scale)
    exact = number.quantize(quantum) if number.adjusted() < dtype.precision - dtype.scale else None
    if exact is None or exact != number:
        raise _Unfit(f"it has {dtype.precision} digits, {dtype.scale} of them after the point")
    return exact
