"""Chunks: the windows of a replay, aligned to the calendar whatever range is asked for.

Edges lie at multiples of the interval, counted from the first midnight of year 1, a Monday; years and months from year
0; integers from 0. So three months are a quarter and ten years a decade, and two replays that overlap cut at the same
places.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from itertools import groupby
from typing import Any

from tidegate.errors import ConfigurationError
from tidegate.timegrid.bound import Bound, Direction, instant, kind_of, parse_range
from tidegate.timegrid.interval import require_positive
from tidegate.timegrid.window import Window, cut, require_direction
from tidegate.timegrid.zone import at_wall_time, wall_time

_MONTHS = {"years": 12, "months": 1}
_SPANS = {
    "weeks": timedelta(weeks=1),
    "days": timedelta(days=1),
    "hours": timedelta(hours=1),
    "minutes": timedelta(minutes=1),
}
_KEYS = (*_MONTHS, *_SPANS, "step")
_ANCHOR = datetime.min  # noqa: DTZ901 - a wall time
_DAY = timedelta(days=1)


def chunks(
    start: Bound | str,
    end: Bound | str,
    chunk_interval: Mapping[str, int] | None = None,
    direction: Direction = "forward",
) -> Iterator[Window]:
    """Cut `[start, end)` into windows that are aligned to the calendar; the first and the last may be partial.

    Args:
        start: Lower bound; the zone of edges is its zone.
        end: Upper bound. There are no windows when it is not after `start`.
        chunk_interval: How long a window is: one of the keys years, months, weeks (from Monday), days, hours, minutes,
            or step for integers; and how many. None makes one window.
        direction: The order in which the windows come.

    Raises:
        ConfigurationError: A bound or the pair is not valid (TG623, TG624), the interval or the direction is not
            understood (TG626), not positive (TG621), or does not fit the bounds (TG625).
    """
    lower, upper = parse_range(start, end)
    require_direction(direction)
    edges = iter(()) if chunk_interval is None else _edges(_grid(chunk_interval, lower), lower, upper, direction)
    return cut(lower, upper, edges, direction)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Numbers:
    """Multiples of a step."""

    step: int

    def indexes(self, start: Bound, end: Bound) -> range:
        """Return the indexes of all edges from `start` to `end`, and perhaps some more."""
        return range(start // self.step, end // self.step + 1)  # type: ignore[operator]  # integers

    def edge(self, index: int) -> Bound | None:
        """Return the edge of an index."""
        return self.step * index


@dataclass(frozen=True, slots=True, kw_only=True)
class _Times:
    """Multiples of some months, or of a span, on the wall clock."""

    months: int = 0
    span: timedelta = timedelta(0)
    zone: tzinfo | None = None
    dates: bool = False

    def indexes(self, start: Bound, end: Bound) -> range:
        """Return the indexes of all edges from `start` to `end`, and perhaps some more."""
        # Clocks that were set back show an earlier time than some edges before them, by less than a day and a bit.
        ahead = 1 if self.months or self.zone is None else 1 + 2 * _DAY // self.span
        return range(self._index(start), self._index(end) + 1 + ahead)

    def edge(self, index: int) -> Bound | None:
        """Return the edge of an index as what compares; None when it lies outside the calendar."""
        try:
            if self.months:
                year, month = divmod(self.months * index, 12)
                wall = datetime(year, month + 1, 1)  # noqa: DTZ001 - a wall time
            else:
                wall = _ANCHOR + self.span * index
            return wall.date() if self.dates else instant(at_wall_time(wall, self.zone))
        except (OverflowError, ValueError):
            return None

    def _index(self, bound: Bound) -> int:
        wall = self._wall(bound)
        if self.months:
            return (wall.year * 12 + wall.month - 1) // self.months
        return (wall - _ANCHOR) // self.span

    def _wall(self, bound: Bound) -> datetime:
        if not isinstance(bound, datetime):
            return datetime.combine(bound, time())  # type: ignore[arg-type]  # a date
        return wall_time(bound, self.zone)


def _edges(grid: _Numbers | _Times, start: Bound, end: Bound, direction: Direction) -> Iterator[Bound]:
    """Yield the edges of a range, and perhaps some around it."""
    indexes = grid.indexes(start, end)
    found = map(grid.edge, indexes if direction == "forward" else reversed(indexes))
    # Where clocks are set forward, edges may fall together.
    edges = (edge for edge, _ in groupby(found) if edge is not None)
    if isinstance(grid, _Times) and grid.zone is not None and timedelta(0) < grid.span < _DAY:
        return _by_time_that_passes(edges, grid.span, direction)
    return edges


def _by_time_that_passes(edges: Iterator[Any], span: timedelta, direction: Direction) -> Iterator[Bound]:
    """Yield the edges, and more where clocks are set back: a window of two spans or more is cut after each span."""
    previous = None
    for edge in edges:
        if previous is not None and abs(edge - previous) >= 2 * span:
            lower = min(edge, previous)
            between = [lower + span * index for index in range(1, abs(edge - previous) // span)]
            yield from between if direction == "forward" else reversed(between)
        yield edge
        previous = edge


def _grid(chunk_interval: Mapping[str, int], start: Bound) -> _Numbers | _Times:
    key, count = _key_and_count(chunk_interval)
    kind = kind_of(start)
    if (kind == "integer") != (key == "step"):
        hint = "cut integers by a step, dates and times by years, months, weeks, days, hours or minutes"
        raise _does_not_fit(f"chunks of {key} do not fit bounds that are {kind}s", hint)
    if key == "step":
        return _Numbers(step=count)
    if kind == "date" and key in ("hours", "minutes"):
        raise _does_not_fit(f"chunks of {key} do not fit dates", f"give the bounds as datetimes: {start}T00:00")
    months = count * _MONTHS.get(key, 0)
    zone = start.tzinfo if isinstance(start, datetime) else None
    try:
        span = count * _SPANS.get(key, timedelta(0))
    except OverflowError:
        span = timedelta.max
    return _Times(months=months, span=span, zone=zone, dates=kind == "date")


def _key_and_count(chunk_interval: Mapping[str, int]) -> tuple[str, int]:
    if len(chunk_interval) != 1:
        raise _not_understood(chunk_interval, f"give exactly one of {', '.join(_KEYS)}")
    key, count = next(iter(chunk_interval.items()))
    if key not in _KEYS:
        near = difflib.get_close_matches(str(key), _KEYS, n=1)
        raise _not_understood(chunk_interval, f"did you mean {near[0]}?" if near else f"one of {', '.join(_KEYS)}")
    if type(count) is not int:  # a bool is no number here
        raise _not_understood(chunk_interval, f"the number of {key} is an integer")
    require_positive(f"chunk_interval {key}: {count}", count)
    return key, count


def _not_understood(chunk_interval: Mapping[str, int], hint: str) -> ConfigurationError:
    return ConfigurationError(f"chunk_interval {dict(chunk_interval)} is not understood", code="TG626", hint=hint)


def _does_not_fit(message: str, hint: str) -> ConfigurationError:
    return ConfigurationError(message, code="TG625", hint=hint)
