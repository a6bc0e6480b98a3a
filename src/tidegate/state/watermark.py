"""Watermark values, and how they keep their type in JSON.

A watermark is what a watermark column reached: an int, float, decimal, text, date, time, timestamp with or without a
zone, or bytes. JSON has no words for most of them, so they travel as one-key objects:
``{"updated_at": {"__datetime__": "2026-04-03T09:15:00+00:00"}}``. The tags ``__datetime__``, ``__date__`` and
``__time__`` are those of earlier metadata; ``__decimal__``, ``__binary__`` and ``__float__`` (infinity) are ours.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation, localcontext

from tidegate.errors import WatermarkError

Value = bool | int | float | str | Decimal | datetime | date | time | bytes
Watermark = Mapping[str, Value]

_DECODERS: dict[str, Callable[[str], Value]] = {
    "__datetime__": datetime.fromisoformat,
    "__date__": date.fromisoformat,
    "__time__": time.fromisoformat,
    "__decimal__": Decimal,
    "__binary__": lambda text: base64.b64decode(text, validate=True),
    "__float__": float,
}
_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>s|sec|m|min|h|d|w)")
_LONGEST_DECIMAL = 78
"""Digits of the longest decimal that any engine has, and room for the lag's."""
_SECONDS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}


def encode_value(value: Value) -> object:
    """Return `value` as JSON data, tagged where JSON has no type of its own."""
    match value:
        case datetime():  # before date: a datetime is a date
            return {"__datetime__": value.isoformat()}
        case date():
            return {"__date__": value.isoformat()}
        case time():
            return {"__time__": value.isoformat()}
        case Decimal():
            return {"__decimal__": str(value)}
        case bytes():
            return {"__binary__": base64.b64encode(value).decode()}
        case float() if not math.isfinite(value):
            return {"__float__": str(value)}
        case _:
            return value


def decode_value(data: object) -> Value:
    """Return the value that :func:`encode_value` wrote.

    Raises:
        WatermarkError: the data is none of the known forms. It is never taken for "no watermark".
    """
    if isinstance(data, bool | int | float | str):
        return data
    if isinstance(data, dict) and len(data) == 1:
        tag, text = next(iter(data.items()))
        if tag in _DECODERS and isinstance(text, str):
            try:
                return _DECODERS[tag](text)
            except (ValueError, InvalidOperation, binascii.Error):
                pass
    msg = f"not a watermark value: {json.dumps(data, default=str)[:80]}"
    raise WatermarkError(msg, code="TG504", hint="repair it with `tidegate state set`, or `tidegate state rebuild`")


def watermark_to_json(watermark: Watermark) -> str:
    """Return the watermark as the JSON text that metadata stores exchange."""
    return json.dumps({column: encode_value(value) for column, value in watermark.items()})


def watermark_from_json(text: str) -> dict[str, Value]:
    """Return the watermark of a JSON text.

    Raises:
        WatermarkError: the text is not a JSON object of watermark values. Bad text never means "first run".
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        msg = f"the watermark is not JSON: {error.msg} at character {error.pos}"
        raise WatermarkError(msg, code="TG504", hint="`tidegate state rebuild` reads it from the destination") from None
    if not isinstance(data, dict):
        msg = f"the watermark is not a JSON object but {type(data).__name__}"
        raise WatermarkError(msg, code="TG504", hint="`tidegate state rebuild` reads it from the destination")
    return {column: decode_value(value) for column, value in data.items()}


def less_lag(value: Value, lag: str | float) -> Value:
    """Return `value` moved back by `lag`: a duration such as ``2h`` for times, a number for numbers.

    Raises:
        WatermarkError: the lag does not fit the type of the value.
    """
    if isinstance(value, datetime | date) and isinstance(lag, str) and (span := parse_duration(lag)) is not None:
        if not isinstance(value, datetime) and span % timedelta(days=1):
            span += timedelta(days=1)  # a date moves back by whole days, rounded towards re-reading more
        return value - span
    try:
        number = Decimal(str(lag))
    except InvalidOperation:
        number = None
    if number is not None and isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        with localcontext(prec=_LONGEST_DECIMAL):
            return type(value)(Decimal(str(value)) - number)
    msg = f"watermark_lag {lag!r} does not fit a watermark of type {type(value).__name__}"
    raise WatermarkError(msg, code="TG507", hint="use a duration such as '2h' for times, a number for numbers")


def reaches(value: Value, bound: Value) -> bool:
    """Tell whether `value` is at or past `bound`; both are values of one column."""
    return bool(value >= bound)  # type: ignore[operator]  # values of one column have one type


def parse_duration(text: str) -> timedelta | None:
    """Return the duration that ``<number><s|min|h|d|w>`` says, or None when the text says none."""
    match = _DURATION.fullmatch(text.strip().lower())
    return timedelta(seconds=float(match["number"]) * _SECONDS[match["unit"]]) if match else None


def seconds_of(span: float | str) -> float | None:
    """Return a positive span as seconds: a number of seconds, or a duration such as ``30min``; None when it is none.

    >>> seconds_of("1.5h"), seconds_of("90"), seconds_of("soon")
    (5400.0, 90.0, None)
    """
    duration = parse_duration(span) if isinstance(span, str) else None
    try:
        seconds = duration.total_seconds() if duration is not None else float(span)
    except ValueError:
        return None
    return seconds if 0 < seconds < math.inf else None


def render_value(value: Value) -> str:
    """Return the value as people read it."""
    return value.isoformat(sep=" ") if isinstance(value, datetime) else str(value)
