"""Literals that are written as text: dates, times and spans of time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from tidegate.expressions.nodes import Interval, Kind, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidegate.expressions.nodes import Value

_STAMP = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?)?(Z|[+-]\d{2}(:?\d{2})?)?")
_SPAN = re.compile(r"\s*([+-]?\d+)\s*([A-Za-z]+)")

_UNITS: dict[str, Interval] = {
    "year": Interval(months=12),
    "quarter": Interval(months=3),
    "month": Interval(months=1),
    "week": Interval(days=7),
    "day": Interval(days=1),
    "hour": Interval(microseconds=3_600_000_000),
    "minute": Interval(microseconds=60_000_000),
    "second": Interval(microseconds=1_000_000),
    "millisecond": Interval(microseconds=1000),
    "microsecond": Interval(microseconds=1),
}
_SHORT_UNITS = {"yy": "year", "mon": "month", "mm": "month", "dd": "day", "hh": "hour", "min": "minute"}

UNITS = tuple(_UNITS)[:8]
"""Units that date_trunc, dateadd and datediff know."""


def unit_of(word: str) -> str | None:
    """Return the unit that a word names (``Months``, ``mon``), or None."""
    word = word.lower()
    word = _SHORT_UNITS.get(word, word)
    word = word if word in _UNITS else word.removesuffix("s")
    return word if word in _UNITS else None


def temporal(text: str, kind: Kind) -> Literal | None:
    """Return the literal of ISO text, or None when the text is not one.

    A timestamp with an offset is an instant; one without is taken as UTC where an instant is meant.
    """
    try:
        return Literal(_READERS[kind](text.strip()), kind)
    except (KeyError, ValueError):
        return None


def _date(text: str) -> Value:
    stamp = _timestamp(text)
    if stamp.time() != time():
        raise ValueError(text)
    return stamp.date()


def _timestamp(text: str) -> datetime:
    stamp = _any_timestamp(text)
    if stamp.tzinfo is not None:
        raise ValueError(text)
    return stamp


def _instant(text: str) -> Value:
    stamp = _any_timestamp(text)
    return stamp.astimezone(UTC) if stamp.tzinfo else stamp.replace(tzinfo=UTC)


def _any_timestamp(text: str) -> datetime:
    if not _STAMP.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text)


_READERS: dict[Kind, Callable[[str], Value]] = {
    "date": _date,
    "timestamp": _timestamp,
    "timestamp_utc": _instant,
    "time": time.fromisoformat,
}


def span(text: str, unit: str | None = None) -> Interval | None:
    """Return the span that text such as ``1 month 2 days``, or a number and a unit, means; None when it is none."""
    if unit is not None:
        text = f"{text} {unit}"
    total = Interval()
    position = 0
    while match := _SPAN.match(text, position):
        name = unit_of(match[2])
        if name is None:
            return None
        total = plus(total, times(_UNITS[name], int(match[1])))
        position = match.end()
    return total if position and not text[position:].strip() else None


def times(interval: Interval, factor: int) -> Interval:
    """Return the span so many times."""
    return Interval(interval.months * factor, interval.days * factor, interval.microseconds * factor)


def plus(one: Interval, other: Interval) -> Interval:
    """Return the sum of two spans."""
    return Interval(one.months + other.months, one.days + other.days, one.microseconds + other.microseconds)


def written(value: Interval) -> str:
    """Return the span in words that every engine reads: ``1 months -2 days``."""
    parts = (("months", value.months), ("days", value.days), ("microseconds", value.microseconds))
    return " ".join(f"{amount} {unit}" for unit, amount in parts if amount) or "0 days"
