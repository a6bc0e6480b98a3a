"""How far back a read starts: a look-back declared in days, hours, months and years, or by a closing day."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from tidegate.models.connection import LookBack, LookBackFields

if TYPE_CHECKING:
    from tidegate.engines.meter import Cursor
    from tidegate.models import Source
    from tidegate.state.watermark import Value

D = TypeVar("D", bound=date)


def declared_look_back(source: Source) -> LookBack | None:
    """Return the look-back of a source: its own takes the place of that of its connection. None for none."""
    own, shared = source.settings, source.connection.settings if source.connection else None
    rules = _given(own) or (_given(shared) if shared else None)
    return rules if rules != LookBack() else None


def look_back_of(source: Source) -> Callable[[Value], Value] | None:
    """Return what a look-back makes of a watermark, for a cursor; None where there is no look-back.

    Dates and times move back. Other values have no days, and stay.
    """
    rules = declared_look_back(source)
    if rules is None:
        return None
    return lambda value: look_back_start(value, rules) if isinstance(value, date) else value


def unmoved_notes(cursor: Cursor) -> tuple[str, ...]:
    """Return what a plan says of watermark columns that a look-back does not move."""
    known = {column: cursor.watermark[column] for column in cursor.columns if column in cursor.watermark}
    still = [column for column, value in known.items() if not isinstance(value, date)]
    if cursor.look_back is None or not still:
        return ()
    return (f"the look-back moves dates and times, not {', '.join(still)}; watermark_lag moves numbers",)


def look_back_start(value: D, rules: LookBack) -> D:
    """Return where a read starts that looks back from a date or a time.

    With a closing day: up to this day of the month at the first of the month before, later at the first of this month.
    Else at the value itself. From there months and years go, the day being the last of a shorter month, then days and
    hours. Never later than the value. A time with a zone counts in its zone, a date moves by whole days, more
    rather than less. What would lie before the year 1 starts there.

    >>> (
    ...     look_back_start(date(2026, 3, 5), LookBack(closing_day=5)),
    ...     look_back_start(date(2026, 3, 6), LookBack(closing_day=5)),
    ... )
    (datetime.date(2026, 2, 1), datetime.date(2026, 3, 1))
    """
    months, start = rules.months + 12 * rules.years, value
    if rules.closing_day is not None:
        months += value.day <= rules.closing_day
        start = _midnight(value).replace(day=1)
    span = timedelta(days=rules.days, hours=rules.hours)
    if not isinstance(value, datetime):
        span = timedelta(days=-(-span // timedelta(days=1)))
    try:
        return _less_months(start, months) - span
    except OverflowError:
        return _midnight(value).replace(year=1, month=1, day=1)


def _given(settings: LookBackFields) -> LookBack | None:
    """Return what is declared, in either of its two forms; None when nothing is."""
    if settings.backward is not None:
        return settings.backward
    fields = [name for name in LookBack.model_fields if f"backward_{name}" in settings.model_fields_set]
    return LookBack(**{name: getattr(settings, f"backward_{name}") for name in fields}) if fields else None


def _less_months(value: D, months: int) -> D:
    year, month = divmod(value.year * 12 + value.month - 1 - months, 12)
    if year < 1:
        raise OverflowError(year)
    return value.replace(year=year, month=month + 1, day=min(value.day, monthrange(year, month + 1)[1]))


def _midnight(value: D) -> D:
    return value.replace(hour=0, minute=0, second=0, microsecond=0) if isinstance(value, datetime) else value
