"""The offsets of the calendar family: which days fit them."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import date

from tidegate.timegrid.bound import Direction

_FRIDAY = 4
_MONTHS = {"M": 1, "Q": 3, "Y": 12}


def is_weekday(day: date) -> bool:
    """Tell whether a day is Monday to Friday."""
    return day.weekday() <= _FRIDAY


def fitting_days(offset: str, first: date, last: date, direction: Direction) -> Iterator[date]:
    """Yield the days from `first` to `last`, both included, that fit an offset."""
    order = 1 if direction == "forward" else -1
    for number in range(first.year * 12 + first.month - 1, last.year * 12 + last.month)[::order]:
        year, month = number // 12, number % 12 + 1
        for day in _days_of(offset, year, month)[::order]:
            if first <= (fitting := date(year, month, day)) <= last:
                yield fitting


def _days_of(offset: str, year: int, month: int) -> tuple[int, ...]:
    weekday, length = monthrange(year, month)
    match offset:
        case "B":
            return tuple(day for day in range(1, length + 1) if (weekday + day - 1) % 7 <= _FRIDAY)
        case "SMS":
            return (1, 15)
        case "SME":
            return (15, length)
    months, at_end, business = _MONTHS[offset[-2]], offset.endswith("E"), offset.startswith("B")
    if (month if at_end else month - 1) % months:
        return ()
    if at_end:
        last_weekday = (weekday + length - 1) % 7
        return (length - max(last_weekday - _FRIDAY, 0) if business else length,)
    return (8 - weekday if business and weekday > _FRIDAY else 1,)
