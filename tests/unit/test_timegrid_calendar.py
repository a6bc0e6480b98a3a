"""Calendars: their points, their names, and those of users."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.errors import ConfigurationError
from tidegate.timegrid import (
    BaseCalendar,
    BusinessCalendar,
    DayCalendar,
    Interval,
    IntervalCalendar,
    calendar_of,
    calendar_registry,
    point_windows,
    points,
    windows,
)

days = st.dates(date(1990, 1, 1), date(2040, 12, 31))


def last_of_month(day):
    return (day + timedelta(days=1)).month != day.month


def business(day):
    return day.weekday() < 5


def first_business(day):
    return business(day) and not any(business(day.replace(day=earlier)) for earlier in range(1, day.day))


def last_business(day):
    rest = (day + timedelta(days=ahead) for ahead in range(1, 4))
    return business(day) and not any(business(later) for later in rest if later.month == day.month)


ORACLES = {
    "B": business,
    "MS": lambda day: day.day == 1,
    "ME": last_of_month,
    "SMS": lambda day: day.day in (1, 15),
    "SME": lambda day: day.day == 15 or last_of_month(day),
    "BMS": first_business,
    "BME": last_business,
    "QS": lambda day: day.day == 1 and day.month in (1, 4, 7, 10),
    "QE": lambda day: last_of_month(day) and day.month in (3, 6, 9, 12),
    "BQS": lambda day: first_business(day) and day.month in (1, 4, 7, 10),
    "BQE": lambda day: last_business(day) and day.month in (3, 6, 9, 12),
    "YS": lambda day: (day.month, day.day) == (1, 1),
    "YE": lambda day: (day.month, day.day) == (12, 31),
    "BYS": lambda day: first_business(day) and day.month == 1,
    "BYE": lambda day: last_business(day) and day.month == 12,
}
"""Which days fit an offset, as slowly and plainly as can be."""


class TestKnownAnswers:
    @pytest.mark.parametrize(
        ("text", "start", "end", "expected"),
        [
            ("MS", "2024-01-10", "2024-04-01", "2024-02-01 2024-03-01 2024-04-01"),
            ("ME", "2024-01-10", "2024-03-31", "2024-01-31 2024-02-29 2024-03-31"),
            ("BMS", "2024-06-01", "2024-08-05", "2024-06-03 2024-07-01 2024-08-01"),
            ("BME", "2024-05-01", "2024-06-30", "2024-05-31 2024-06-28"),
            ("BQE", "2024-03-01", "2024-06-30", "2024-03-29 2024-06-28"),
            ("BYS", "2022-12-31", "2024-01-02", "2023-01-02 2024-01-01"),
            ("BYE", "2023-01-01", "2023-12-31", "2023-12-29"),
            ("2B", "2024-01-05", "2024-01-10", "2024-01-05 2024-01-09"),
            ("2ME", "2024-01-01", "2024-05-31", "2024-01-31 2024-03-31 2024-05-31"),
            ("2M", "2024-01-31", "2024-05-31", "2024-01-31 2024-03-31 2024-05-31"),
            ("M", "2024-01-31", "2024-03-31", "2024-01-31 2024-02-29 2024-03-31"),
            ("SMS", "2024-03-01", "2024-04-02", "2024-03-01 2024-03-15 2024-04-01"),
            ("SME", "2024-03-01", "2024-04-02", "2024-03-15 2024-03-31"),
            ("QS", "2024-01-02", "2024-07-01", "2024-04-01 2024-07-01"),
            ("YE", "2024-01-02", "2025-12-31", "2024-12-31 2025-12-31"),
            ("W", "2024-01-03", "2024-01-18", "2024-01-03 2024-01-10 2024-01-17"),
            ("weekdays", "2024-01-05", "2024-01-09", "2024-01-05 2024-01-08 2024-01-09"),
            ("first_day_of_month", "2024-01-01", "2024-02-01", "2024-01-01 2024-02-01"),
            ("last_day_of_month", "2024-02-01", "2024-03-30", "2024-02-29"),
        ],
    )
    def test_points(self, text, start, end, expected):
        assert " ".join(map(str, points(text, start, end))) == expected
        assert " ".join(map(str, points(text, start, end, "backward"))) == " ".join(reversed(expected.split()))

    @pytest.mark.parametrize("text", ["D", "h", "M", "MS", "2B", "weekdays"])
    def test_a_start_after_the_end_gives_nothing(self, text):
        late, early = datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC)
        assert not list(points(text, late, early))
        assert not list(points(text, late, early, "backward"))
        assert not list(windows(late, early, text))

    def test_a_point_keeps_the_start_time_of_day(self):
        start, end = datetime(2024, 1, 10, 12), datetime(2024, 3, 31, 11)  # noqa: DTZ001
        assert [point.isoformat() for point in points("ME", start, end)] == [
            "2024-01-31T12:00:00",
            "2024-02-29T12:00:00",
        ]

    def test_the_end_of_the_calendar_is_reached(self):
        assert [str(day) for day in points("10D", "9999-12-11", "9999-12-31")] == [
            "9999-12-11",
            "9999-12-21",
            "9999-12-31",
        ]
        assert [str(day) for day in points("YE", "9998-01-01", "9999-12-31")] == ["9998-12-31", "9999-12-31"]
        assert [str(day) for day in points("999999999999999W", "2024-01-01", "9999-12-31")] == ["2024-01-01"]
        for offset in ("D", "M", "us", "B"):
            far = IntervalCalendar(Interval(count=10**30, offset=offset))
            assert len(list(points(far, "2024-01-01T00:00", "9999-12-31T00:00"))) == 1

    @settings(deadline=None)
    @given(st.sampled_from(sorted(ORACLES)), days, st.integers(0, 900), st.integers(1, 5))
    def test_offsets_take_every_nth_day_that_fits(self, offset, start, length, count):
        end = start + timedelta(days=length)
        every = [start + timedelta(days=ahead) for ahead in range(length + 1)]
        expected = list(filter(ORACLES[offset], every))[::count]
        assert list(points(f"{count}{offset}", start, end)) == expected
        assert list(points(f"{count}{offset}", start, end, "backward")) == expected[::-1]


class TestNames:
    def test_these_have_names(self):
        assert {
            "daily", "hourly", "weekly", "weekdays", "business_daily", "monday_friday",
            "first_day_of_month", "last_day_of_month",
        } <= set(calendar_registry.list_plugins())  # fmt: skip

    @pytest.mark.parametrize(
        ("name", "interval"),
        [
            ("daily", "1D"),
            ("hourly", "1h"),
            ("weekly", "1W"),
            ("weekdays", "1B"),
            ("business_daily", "1B"),
            ("monday_friday", "1B"),
            ("first_day_of_month", "MS"),
            ("last_day_of_month", "ME"),
        ],
    )
    def test_a_name_gives_the_points_of_its_interval(self, name, interval):
        start, end = datetime(2024, 2, 20, 3, tzinfo=UTC), datetime(2024, 4, 7, 3, tzinfo=UTC)
        for direction in ("forward", "backward"):
            assert list(points(name, start, end, direction)) == list(points(interval, start, end, direction))

    def test_what_is_no_name_is_an_interval(self):
        assert calendar_of("2M") == IntervalCalendar(Interval(count=2, offset="M"))
        assert calendar_of(Interval.parse("2M")) == calendar_of("2M")

    def test_a_misspelled_name_gets_a_suggestion(self):
        with pytest.raises(ConfigurationError, match="'weekday' is no calendar") as caught:
            calendar_of("weekday")
        assert caught.value.hint == "did you mean weekdays?"


class SundayToThursday(DayCalendar):
    def includes(self, day):
        return day.isoweekday() not in (5, 6)


class Listed(BaseCalendar):
    """A calendar of a package: whatever its list says."""

    def __init__(self, listed):
        self.listed = listed

    def steps(self, start, end):
        return [point for point in self.listed if start <= point <= end]


class TestOwnCalendars:
    def test_a_registered_calendar_is_found_by_name(self):
        calendar_registry.register("sunday_thursday", SundayToThursday)
        try:
            found = [day.day for day in points("sunday_thursday", "2024-05-01", "2024-05-08")]
        finally:
            calendar_registry.unregister("sunday_thursday")
        assert found == [1, 2, 5, 6, 7, 8]

    def test_holidays_are_left_out(self):
        calendar = BusinessCalendar(holidays=["2024-05-01", date(2024, 5, 2)])
        assert [day.day for day in points(calendar, "2024-04-29", "2024-05-06")] == [29, 30, 3, 6]

    def test_a_holiday_is_a_date(self):
        """A datetime equals no date: it would be passed over in silence."""
        with pytest.raises(ConfigurationError, match="is no date"):
            BusinessCalendar(holidays=[datetime(2024, 5, 1, tzinfo=UTC)])

    @settings(deadline=None)
    @given(days, st.integers(0, 400))
    def test_backward_is_forward_turned_around(self, start, length):
        end = start + timedelta(days=length)
        calendar = SundayToThursday()
        assert list(points(calendar, start, end, "backward")) == list(points(calendar, start, end))[::-1]

    def test_integers_may_have_calendars_of_their_own(self):
        squares = Listed([number**2 for number in range(100)])
        assert [str(window) for window in windows(3, 20, squares)] == ["3--4", "4--9", "9--16", "16--20"]
        assert [str(window) for window in point_windows(squares, 3, 9)] == ["4--9", "9--16"]

    @pytest.mark.parametrize(
        ("listed", "message"),
        [
            ([1, 3, 3], "gives 3 twice or out of order"),
            ([3, 1], "gives 1 twice or out of order"),
        ],
    )
    def test_a_point_that_comes_twice_is_an_error(self, listed, message):
        """Defect 32: duplicate steps are an error."""
        with pytest.raises(ConfigurationError, match=message) as caught:
            list(points(Listed(listed), 0, 9))
        assert caught.value.code == "TG629"

    def test_a_point_out_of_range_or_of_another_kind_is_an_error(self):
        class Careless(BaseCalendar):
            def steps(self, start, end):
                return [end if isinstance(end, int) else 5, 1000]

        with pytest.raises(ConfigurationError, match="gives 1000 out of range"):
            list(points(Careless(), 0, 9))
        with pytest.raises(ConfigurationError, match="gives 5 \\(integer\\) from 2024-01-01 \\(date\\)"):
            list(points(Careless(), "2024-01-01", "2024-01-02"))

    def test_a_calendar_that_ends_cannot_give_the_last_window(self):
        assert list(points(Listed([1, 2]), 0, 5)) == [1, 2]
        with pytest.raises(ConfigurationError, match="has no point after 5"):
            list(point_windows(Listed([1, 2]), 0, 5))


class TestFit:
    def test_steps_of_less_than_a_day_over_dates_are_an_error(self):
        """Defect 32: six-hour steps over dates would be four times the same date."""
        with pytest.raises(ConfigurationError, match="steps of 6h over dates") as caught:
            points("6h", "2024-05-01", "2024-05-02")
        assert caught.value.code == "TG625"
        assert "2024-05-01T00:00" in caught.value.hint
        assert len(list(points("6h", "2024-05-01T00:00", "2024-05-01T23:00"))) == 4

    @pytest.mark.parametrize("calendar", ["daily", "MS", "weekdays"])
    def test_time_is_not_stepped_over_integers(self, calendar):
        with pytest.raises(ConfigurationError, match="not over integers") as caught:
            points(calendar, 0, 10)
        assert caught.value.code == "TG625"


def test_a_calendar_that_is_shared_keeps_no_state():
    """Defect 29: a range asked for after, or while, another one runs is that range."""
    calendar = calendar_of("daily")
    first = points(calendar, "2024-01-01", "2024-01-03")
    next(first)
    assert [str(day) for day in points(calendar, "2024-05-01", "2024-05-02")] == ["2024-05-01", "2024-05-02"]
    assert [str(day) for day in first] == ["2024-01-02", "2024-01-03"]
