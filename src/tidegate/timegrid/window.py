"""Windows: half-open ranges, and the ways to cut a range into them.

Everything here is lazy: the first point or window of any range costs the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain, pairwise
from typing import get_args

from tidegate.errors import ConfigurationError
from tidegate.timegrid.bound import Bound, Direction, instant, kind_of, parse_bound, parse_range, require_same_kind
from tidegate.timegrid.calendar import BaseCalendar, calendar_of
from tidegate.timegrid.interval import Interval

CalendarLike = BaseCalendar | Interval | str
"""A calendar, an interval, or the text of either."""

_TEXT = re.compile(r"(?P<lower>.*[^-/])(?:--|/)(?P<upper>.+)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Window:
    """The half-open range `[lower, upper)`.

    Windows of one kind compare by `lower`, then by `upper`. Datetimes with a zone are kept in UTC, so that two windows
    over the same time are equal. `str` gives both bounds in ISO 8601, joined by its separator for places where ``/``
    means something else: ``2025-01-01--2025-02-01``. :meth:`parse` reads it back exactly, and texts of dates or
    datetimes sort by time.

    Attributes:
        lower: First bound; belongs to the window.
        upper: Second bound; does not.

    Raises:
        ConfigurationError: A bound is none (TG623), they are of different kinds (TG624), or `lower` is not before
            `upper` (TG627).
    """

    lower: Bound
    upper: Bound

    def __post_init__(self) -> None:
        lower, upper = map(instant, parse_range(self.lower, self.upper))
        if not lower < upper:
            raise ConfigurationError(
                f"nothing lies between {self.lower} and {self.upper}",
                code="TG627",
                hint="a window holds its lower bound and not its upper one: the upper one must be greater",
            )
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @classmethod
    def parse(cls, text: str) -> Window:
        """Return the window that `str` wrote; ``/`` is read like ``--``.

        Raises:
            ConfigurationError: As the class, and TG627 for a text of another form.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ConfigurationError(f"{text[:80]!r} is no window", code="TG627", hint="write 2025-01-01--2025-02-01")
        return cls(lower=parse_bound(match["lower"]), upper=parse_bound(match["upper"]))

    def contains(self, bound: Bound) -> bool:
        """Tell whether a bound lies in the window.

        Raises:
            ConfigurationError: It is no bound (TG623), or of another kind (TG624).
        """
        require_same_kind(self.lower, bound)
        return bool(self.lower <= instant(bound) < self.upper)

    def __str__(self) -> str:
        return f"{_text(self.lower)}--{_text(self.upper)}"


def points(
    calendar: CalendarLike, start: Bound | str, end: Bound | str, direction: Direction = "forward"
) -> Iterator[Bound]:
    """Yield a calendar's points from `start` to `end`, both included; none when `start` is after `end`.

    Raises:
        ConfigurationError: A bound, a pair of bounds, the calendar or the direction is not valid (TG620 to TG626), or
            the calendar gives points twice, out of order or out of range (TG629).
    """
    lower, upper = parse_range(start, end)
    return _points(calendar_of(calendar), lower, upper, require_direction(direction))


def windows(
    start: Bound | str, end: Bound | str, calendar: CalendarLike, direction: Direction = "forward"
) -> Iterator[Window]:
    """Cut `[start, end)` at a calendar's points, and yield the windows; none when `start` is not before `end`.

    Together they are the range. The first is partial when `start` is no point, the last when `end` is none.

    Raises:
        ConfigurationError: As :func:`points`.
    """
    lower, upper = parse_range(start, end)
    return cut(lower, upper, _points(calendar_of(calendar), lower, upper, require_direction(direction)), direction)


def point_windows(
    calendar: CalendarLike, start: Bound | str, end: Bound | str, direction: Direction = "forward"
) -> Iterator[Window]:
    """Yield for each of :func:`points` the window from it to the next point, which may be after `end`.

    Raises:
        ConfigurationError: As :func:`points`, and TG629 when there is no next point.
    """
    lower, upper = parse_range(start, end)
    grid = calendar_of(calendar)
    return _point_windows(grid, lower, upper, _points(grid, lower, upper, require_direction(direction)), direction)


def cut(start: Bound, end: Bound, edges: Iterable[Bound], direction: Direction) -> Iterator[Window]:
    """Yield the windows of `[start, end)` between edges, which come in the direction; those outside are passed over."""
    lower, upper = instant(start), instant(end)
    if lower >= upper:
        return
    within = (edge for edge in map(instant, edges) if lower < edge < upper)
    if direction == "forward":
        for one, other in pairwise(chain((lower,), within, (upper,))):
            yield _of_instants(one, other)
    else:
        for one, other in pairwise(chain((upper,), within, (lower,))):
            yield _of_instants(other, one)


def require_direction(direction: Direction) -> Direction:
    """Refuse what is no direction.

    Raises:
        ConfigurationError: TG626.
    """
    if direction not in get_args(Direction):
        raise ConfigurationError(f"{direction!r} is no direction", code="TG626", hint="write forward or backward")
    return direction


def _of_instants(lower: Bound, upper: Bound) -> Window:
    """Return a window whose bounds are known to be right: to check them takes longer than all the rest."""
    window = object.__new__(Window)
    object.__setattr__(window, "lower", lower)
    object.__setattr__(window, "upper", upper)
    return window


def _points(calendar: BaseCalendar, start: Bound, end: Bound, direction: Direction) -> Iterator[Bound]:
    steps: Callable[[Bound, Bound], Iterable[Bound]]
    steps = calendar.steps if direction == "forward" else calendar.steps_backward
    return _checked(calendar, steps(start, end), start, end, direction)


def _checked(
    calendar: BaseCalendar, steps: Iterable[Bound], start: Bound, end: Bound, direction: Direction
) -> Iterator[Bound]:
    """Yield the steps as long as they are in order: a point that came twice would be loaded twice."""
    lower, upper, previous = instant(start), instant(end), None
    for point in steps:
        reached = instant(point)
        try:
            within = lower <= reached <= upper
        except TypeError:
            raise _misbehaves(calendar, f"gives {point} ({kind_of(point)}) from {start} ({kind_of(start)})") from None
        ordered = previous is None or (reached > previous if direction == "forward" else reached < previous)
        if not (ordered and within):
            raise _misbehaves(calendar, f"gives {point} {'out of range' if ordered else 'twice or out of order'}")
        yield point
        previous = reached


def _point_windows(
    calendar: BaseCalendar, start: Bound, end: Bound, steps: Iterator[Bound], direction: Direction
) -> Iterator[Window]:
    previous = None
    for point in steps:
        if previous is not None:
            yield Window(lower=min(previous, point, key=instant), upper=max(previous, point, key=instant))
        elif direction == "backward":
            yield Window(lower=point, upper=_next(calendar, start, end))
        previous = point
    if previous is not None and direction == "forward":
        yield Window(lower=previous, upper=_next(calendar, start, end))


def _next(calendar: BaseCalendar, start: Bound, moment: Bound) -> Bound:
    point = calendar.after(start, moment)
    if point is None:
        raise _misbehaves(calendar, f"has no point after {moment}, where the last window would end")
    return point


def _misbehaves(calendar: BaseCalendar, what: str) -> ConfigurationError:
    name = type(calendar).__name__
    hint = "steps() gives points from start to end, both included, each one once and in order"
    return ConfigurationError(f"calendar {name} {what}", {"calendar": name}, code="TG629", hint=hint)


def _text(bound: Bound) -> str:
    return bound.isoformat() if isinstance(bound, date | datetime) else str(bound)
