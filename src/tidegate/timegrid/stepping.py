"""The points of an interval from a start: by arithmetic where they can be counted, else by the days that fit."""

from __future__ import annotations

import sys
from bisect import bisect_right
from calendar import monthrange
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from itertools import count, islice

from tidegate.errors import ConfigurationError
from tidegate.timegrid.bound import Bound, Direction, instant, kind_of
from tidegate.timegrid.interval import Interval
from tidegate.timegrid.offset_rules import fitting_days
from tidegate.timegrid.zone import at_wall_time, plus_elapsed, plus_wall, wall_time

_SPANS = {
    "W": timedelta(weeks=1),
    "D": timedelta(days=1),
    "h": timedelta(hours=1),
    "min": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
    "us": timedelta(microseconds=1),
}
_MOST_STEPS = 1 << 62
"""More microseconds than there are between any two datetimes."""


def interval_steps(interval: Interval, start: Bound, end: Bound, direction: Direction) -> Iterator[Bound]:
    """Yield the points from `start` to `end`, both included, lazily.

    Raises:
        ConfigurationError: TG625, when the interval does not step over bounds of this kind.
    """
    require_steps_fit(interval, start)
    if instant(start) > instant(end):
        return iter(())
    if interval.family != "calendar":
        return _counted(interval, start, end, direction)
    first, last = days_between(start, end)
    days = fitting_days(interval.offset, first, last, direction if interval.count == 1 else "forward")
    points = on_days(days, start, end)
    if interval.count > 1:  # which ones are the n-th is counted from the start
        points = islice(points, 0, None, min(interval.count, sys.maxsize))
        points = points if direction == "forward" else reversed(tuple(points))
    return iter(points)


def interval_after(interval: Interval, start: Bound, moment: Bound) -> Bound | None:
    """Return the first point after `moment` of those that are counted from `start`; None at the end of time."""
    index = _index_after(interval, start, moment)
    return _at(interval, start, index)


def require_steps_fit(interval: Interval, start: Bound) -> None:
    """Refuse to step over what has no such steps.

    Raises:
        ConfigurationError: TG625, for integers, and for steps of less than a day over dates.
    """
    if kind_of(start) == "integer":
        message, hint = f"interval {interval} steps over time, not over integers", "use chunk_interval={'step': ...}"
    elif kind_of(start) == "date" and interval.family == "elapsed":
        message = f"steps of {interval} over dates would all fall on one day"
        hint = f"give the bounds as datetimes: {start}T00:00"
    else:
        return
    raise ConfigurationError(message, {"interval": str(interval), "start": str(start)}, code="TG625", hint=hint)


def days_between(start: Bound, end: Bound) -> tuple[date, date]:
    """Return the days of both bounds, which are no integers, in the zone of `start`."""
    zone = start.tzinfo if isinstance(start, datetime) else None
    return _day(start), wall_time(end, zone).date() if isinstance(end, datetime) else _day(end)


def on_days(days: Iterable[date], start: Bound, end: Bound) -> Iterator[Bound]:
    """Yield `start`'s time of day, in its zone, on each of the days, as far as it is from `start` to `end`."""
    lower, upper, previous = instant(start), instant(end), None
    for day in days:
        point = _on_day(day, start)
        reached = instant(point)
        if lower <= reached <= upper and reached != previous:  # a day that a zone skips falls on the next one
            yield point
            previous = reached


def _on_day(day: date, start: Bound) -> Bound:
    if not isinstance(start, datetime):
        return day
    return start if day == start.date() else at_wall_time(datetime.combine(day, start.time()), start.tzinfo)


def _day(bound: Bound) -> date:
    return bound.date() if isinstance(bound, datetime) else bound  # type: ignore[return-value]  # integers are refused


def _counted(interval: Interval, start: Bound, end: Bound, direction: Direction) -> Iterator[Bound]:
    upper, previous = instant(end), None
    indexes = count() if direction == "forward" else range(_index_after(interval, start, end) - 1, -1, -1)
    for index in indexes:
        point = _at(interval, start, index)
        if point is None or (reached := instant(point)) > upper:
            return
        if reached != previous:  # a day that a zone skips falls on the next one
            yield point
            previous = reached


def _index_after(interval: Interval, start: Bound, moment: Bound) -> int:
    def reached(index: int) -> tuple[bool, object]:
        point = _at(interval, start, index)
        return (True, None) if point is None else (False, instant(point))

    return bisect_right(range(_MOST_STEPS), (False, instant(moment)), key=reached)


def _at(interval: Interval, start: Bound, index: int) -> Bound | None:
    """Return the point after `index` steps; None when the calendar ends before it."""
    if index == 0:
        return start  # also when it is the second occurrence of its wall time
    try:
        if interval.family == "months":
            return _plus_months(start, interval.count * index)
        span = _SPANS[interval.offset] * (interval.count * index)
        if not isinstance(start, datetime):
            return start + span  # type: ignore[operator]  # integers are refused
        return plus_elapsed(start, span) if interval.family == "elapsed" else plus_wall(start, span)
    except (OverflowError, ValueError):
        return None


def _plus_months(start: Bound, months: int) -> Bound:
    first = _day(start)
    year, index = divmod(first.year * 12 + first.month - 1 + months, 12)
    day = date(year, index + 1, min(first.day, monthrange(year, index + 1)[1]))
    return _on_day(day, start)
