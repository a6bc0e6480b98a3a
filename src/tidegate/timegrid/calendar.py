"""Calendars: which points there are between two bounds. Packages bring their own."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import ClassVar

from tidegate.errors import ConfigurationError
from tidegate.registry import PluginRegistry
from tidegate.timegrid.bound import Bound, instant, kind_of, parse_bound
from tidegate.timegrid.interval import Interval
from tidegate.timegrid.offset_rules import is_weekday
from tidegate.timegrid.stepping import days_between, interval_after, interval_steps, on_days


class BaseCalendar(ABC):
    """Which points there are between two bounds. Calendars keep no state: one may serve many ranges at a time.

    A calendar of your own has :meth:`steps`; most are simpler as a :class:`DayCalendar`.
    """

    @abstractmethod
    def steps(self, start: Bound, end: Bound) -> Iterable[Bound]:
        """Return the points from `start` to `end`, both included, in order, of the kind of `start`.

        They may come lazily. `start` and `end` are of one kind; nothing lies between them when `start` is after `end`.
        """

    def steps_backward(self, start: Bound, end: Bound) -> Iterable[Bound]:
        """Return the same points, the last one first."""
        return reversed(tuple(self.steps(start, end)))

    def after(self, start: Bound, moment: Bound) -> Bound | None:
        """Return the first point after `moment`, counted from `start`; None when there is none."""
        for further in _further_and_further(moment):
            later = (point for point in self.steps(start, further) if instant(point) > instant(moment))
            if (point := next(iter(later), None)) is not None:
                return point
        return None


class DayCalendar(BaseCalendar):
    """Every day that fits, with the start's time of day and zone."""

    @abstractmethod
    def includes(self, day: date) -> bool:
        """Tell whether a day fits."""

    def steps(self, start: Bound, end: Bound) -> Iterable[Bound]:  # noqa: D102 - as the base says
        return self._on_days(start, end, backward=False)

    def steps_backward(self, start: Bound, end: Bound) -> Iterable[Bound]:  # noqa: D102 - as the base says
        return self._on_days(start, end, backward=True)

    def _on_days(self, start: Bound, end: Bound, *, backward: bool) -> Iterable[Bound]:
        if kind_of(start) == "integer":
            raise ConfigurationError(
                f"{type(self).__name__} steps over days, not over integers",
                code="TG625",
                hint="use chunk_interval={'step': ...}",
            )
        first, last = days_between(start, end)
        ordinals = range(first.toordinal(), last.toordinal() + 1)
        days = map(date.fromordinal, reversed(ordinals) if backward else ordinals)
        return on_days(filter(self.includes, days), start, end)


@dataclass(frozen=True, slots=True)
class IntervalCalendar(BaseCalendar):
    """The points of an interval, counted from the start."""

    interval: Interval

    def steps(self, start: Bound, end: Bound) -> Iterable[Bound]:  # noqa: D102 - as the base says
        return interval_steps(self.interval, start, end, "forward")

    def steps_backward(self, start: Bound, end: Bound) -> Iterable[Bound]:  # noqa: D102 - as the base says
        return interval_steps(self.interval, start, end, "backward")

    def after(self, start: Bound, moment: Bound) -> Bound | None:  # noqa: D102 - as the base says
        if self.interval.family == "calendar":
            return BaseCalendar.after(self, start, moment)
        return interval_after(self.interval, start, moment)


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessCalendar(DayCalendar):
    """Monday to Friday, without holidays.

    Attributes:
        holidays: Days off, as dates or as ISO 8601 texts.

    Raises:
        ConfigurationError: TG623, when a holiday is no date.
    """

    holidays: Collection[date | str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "holidays", frozenset(map(_day_off, self.holidays)))

    def includes(self, day: date) -> bool:  # noqa: D102 - as the base says
        return is_weekday(day) and day not in self.holidays


class _NamedCalendar(IntervalCalendar):
    """An interval under a name."""

    __slots__ = ()
    text: ClassVar[str]

    def __init__(self) -> None:
        super().__init__(Interval.parse(self.text))


class DailyCalendar(_NamedCalendar):
    """Every day."""

    __slots__ = ()
    text = "1D"


class HourlyCalendar(_NamedCalendar):
    """Every hour that passes."""

    __slots__ = ()
    text = "1h"


class WeeklyCalendar(_NamedCalendar):
    """Every seven days from the start."""

    __slots__ = ()
    text = "1W"


class FirstDayOfMonthCalendar(_NamedCalendar):
    """Every first day of a month."""

    __slots__ = ()
    text = "1MS"


class LastDayOfMonthCalendar(_NamedCalendar):
    """Every last day of a month."""

    __slots__ = ()
    text = "1ME"


calendar_registry: PluginRegistry[BaseCalendar] = PluginRegistry("tidegate.calendars", BaseCalendar)
"""Calendars by name. Packages add theirs as entry points of `tidegate.calendars`; each is made without arguments."""
calendar_registry.register("daily", DailyCalendar)
calendar_registry.register("hourly", HourlyCalendar)
calendar_registry.register("weekly", WeeklyCalendar)
calendar_registry.register("weekdays", BusinessCalendar)
calendar_registry.register("business_daily", BusinessCalendar)
calendar_registry.register("monday_friday", BusinessCalendar)
calendar_registry.register("first_day_of_month", FirstDayOfMonthCalendar)
calendar_registry.register("last_day_of_month", LastDayOfMonthCalendar)


def calendar_of(value: BaseCalendar | Interval | str) -> BaseCalendar:
    """Return the calendar that a text names, or that of an interval.

    Raises:
        ConfigurationError: The text is neither the name of a calendar nor an interval (TG620 to TG622), or the named
            calendar cannot be loaded (TG611 to TG613).
    """
    if isinstance(value, BaseCalendar):
        return value
    if isinstance(value, Interval):
        return IntervalCalendar(value)
    if calendar_registry.is_available(value):
        return calendar_registry.get(value)
    try:
        return IntervalCalendar(Interval.parse(value))
    except ConfigurationError as error:
        names = difflib.get_close_matches(value.lower(), calendar_registry.list_plugins(), n=1, cutoff=0.7)
        if error.code != "TG620" or not names:
            raise
        hint = f"did you mean {names[0]}?"
        raise ConfigurationError(f"{value[:80]!r} is no calendar", code="TG620", hint=hint) from None


def _further_and_further(moment: Bound) -> Iterator[Bound]:
    """Yield bounds after `moment`, each four times as far off, as long as there are any."""
    for exponent in range(32):
        try:
            yield moment + 4**exponent if isinstance(moment, int) else moment + timedelta(days=4**exponent)
        except OverflowError:
            return


def _day_off(value: date | str) -> date:
    bound = parse_bound(value)
    if kind_of(bound) != "date":
        raise ConfigurationError(f"holiday {value} is no date", code="TG623", hint="write 2025-12-25")
    return bound  # type: ignore[return-value]  # its kind says so
