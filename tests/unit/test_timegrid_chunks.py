"""Chunks: a range of history in windows that are aligned to the calendar."""

from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.errors import ConfigurationError
from tidegate.timegrid import WindowSet, chunks

ZONES = [
    ZoneInfo(name)
    for name in ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Pacific/Apia")
]
BERLIN = ZoneInfo("Europe/Berlin")
moments = st.datetimes(datetime(1995, 1, 1), datetime(2037, 12, 31))  # noqa: DTZ001
time_intervals = st.one_of(
    st.tuples(st.sampled_from(["years", "months", "weeks", "days"]), st.integers(1, 40)),
    st.tuples(st.just("hours"), st.integers(3, 50)),
)


def texts(*arguments):
    return [str(window) for window in chunks(*arguments)]


def utc(*parts, zone=BERLIN, fold=0):
    return datetime(*parts, tzinfo=zone, fold=fold).astimezone(UTC)


class TestAlignment:
    def test_three_months_are_three_windows(self):
        assert texts("2025-01-01", "2025-04-01", {"months": 1}) == [
            "2025-01-01--2025-02-01", "2025-02-01--2025-03-01", "2025-03-01--2025-04-01",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("start", "end", "interval", "inner"),
        [
            ("2024-11-15", "2025-05-15", {"months": 3}, ["2025-01-01", "2025-04-01"]),
            ("2023-06-01", "2025-06-01", {"years": 1}, ["2024-01-01", "2025-01-01"]),
            ("2015-06-01", "2031-06-01", {"years": 10}, ["2020-01-01", "2030-01-01"]),
            ("2025-01-01", "2025-01-15", {"weeks": 1}, ["2025-01-06", "2025-01-13"]),
            ("2025-01-01", "2025-01-03", {"days": 1}, ["2025-01-02"]),
            ("2025-01-01T05:00", "2025-01-02T01:00", {"hours": 6},
             ["2025-01-01T06:00:00", "2025-01-01T12:00:00", "2025-01-01T18:00:00", "2025-01-02T00:00:00"]),
            ("2025-01-01T05:10", "2025-01-01T06:10", {"minutes": 30}, ["2025-01-01T05:30:00", "2025-01-01T06:00:00"]),
            (5, 25, {"step": 10}, ["10", "20"]),
            (-15, 5, {"step": 10}, ["-10", "0"]),
        ],
    )  # fmt: skip
    def test_edges_lie_on_the_calendar_and_the_first_and_last_may_be_partial(self, start, end, interval, inner):
        found = list(chunks(start, end, interval))
        assert [str(window).split("--", 1)[1] for window in found[:-1]] == inner
        assert WindowSet(found).ranges == tuple(chunks(start, end))

    def test_no_interval_is_one_window(self):
        assert texts("2025-01-01", "2025-04-01", None) == ["2025-01-01--2025-04-01"]

    @pytest.mark.parametrize("interval", [None, {"days": 1}])
    def test_an_empty_range_has_no_windows(self, interval):
        assert texts("2025-01-01", "2025-01-01", interval) == []
        assert texts("2025-01-02", "2025-01-01", interval, "backward") == []

    @pytest.mark.parametrize(
        ("key", "edge"), [("years", "0001-01-01"), ("weeks", "0001-01-01"), ("days", "0001-01-01")]
    )
    def test_the_ends_of_the_calendar_are_edges_enough(self, key, edge):
        found = list(chunks(edge, "9999-12-31", {key: 3000}))
        assert WindowSet(found).ranges == tuple(chunks(edge, "9999-12-31"))
        assert texts("2025-01-01", "2025-01-02", {key: 10**30}) == ["2025-01-01--2025-01-02"]

    def test_an_end_beyond_the_calendar_of_the_zone_is_no_obstacle(self):
        start = datetime(9999, 12, 30, tzinfo=ZoneInfo("Asia/Tokyo"))
        found = list(chunks(start, datetime(9999, 12, 31, 23, tzinfo=UTC), {"hours": 6}))
        assert WindowSet(found).ranges == tuple(chunks(start, datetime(9999, 12, 31, 23, tzinfo=UTC)))


class TestLaws:
    @settings(deadline=None)
    @given(moments, st.integers(1, 100 * 24 * 60), time_intervals, st.sampled_from([None, *ZONES]))
    def test_together_they_are_the_range_and_in_order(self, wall, minutes, interval, zone):
        start = wall.replace(tzinfo=zone)
        end = start + timedelta(minutes=minutes)
        found = list(chunks(start, end, dict([interval])))
        whole = list(chunks(start, end))
        assert [window.lower for window in found[:1]] == [window.lower for window in whole]
        assert [window.upper for window in found[-1:]] == [window.upper for window in whole]
        assert all(one.upper == other.lower for one, other in pairwise(found))
        assert all(one < other for one, other in pairwise(found))
        assert list(chunks(start, end, dict([interval]), "backward")) == found[::-1]

    @settings(deadline=None)
    @given(moments, st.integers(1, 5000), st.integers(1, 5000), time_intervals, st.sampled_from([None, *ZONES]))
    def test_ranges_that_overlap_are_cut_at_the_same_places(self, wall, before, hours, interval, zone):
        """So a replay of another range knows which windows are done."""
        end = (
            (wall.replace(tzinfo=zone) + timedelta(hours=hours)).astimezone(UTC)
            if zone
            else wall + timedelta(hours=hours)
        )
        start, earlier = wall.replace(tzinfo=zone), (wall - timedelta(hours=before)).replace(tzinfo=zone)
        inner = list(chunks(start, end, dict([interval])))[1:]
        assert set(inner) <= set(chunks(earlier, end, dict([interval])))

    @settings(deadline=None)
    @given(st.integers(-(10**9), 10**9), st.integers(1, 10**4), st.integers(1, 10**4))
    def test_integers(self, start, length, step):
        found = list(chunks(start, start + length, {"step": step}))
        assert found[0].lower == start
        assert found[-1].upper == start + length
        assert all(one.upper == other.lower and other.lower % step == 0 for one, other in pairwise(found))
        assert list(chunks(start, start + length, {"step": step}, "backward")) == found[::-1]

    @pytest.mark.parametrize("direction", ["forward", "backward"])
    def test_the_first_window_of_a_huge_range_is_there_at_once(self, direction):
        """Nothing is built before it is asked for."""
        assert len(list(islice(chunks(0, 10**30, {"step": 1}, direction), 3))) == 3
        whole = datetime(1, 1, 2, tzinfo=BERLIN), datetime(9999, 12, 30, tzinfo=BERLIN)
        assert len(list(islice(chunks(*whole, {"minutes": 1}, direction), 3))) == 3


class TestZones:
    def test_days_have_the_hours_that_they_have(self):
        days = chunks(utc(2024, 3, 30).astimezone(BERLIN), datetime(2024, 4, 2, tzinfo=BERLIN), {"days": 1})
        assert [(day.upper - day.lower) / timedelta(hours=1) for day in days] == [24, 23, 24]

    def test_six_hours_begin_at_0_6_12_and_18_of_each_wall_day(self):
        start = datetime(2024, 10, 26, tzinfo=BERLIN)
        found = chunks(start, datetime(2024, 10, 28, tzinfo=BERLIN), {"hours": 6})
        assert [window.lower.astimezone(BERLIN).hour for window in found] == [0, 6, 12, 18] * 2

    @pytest.mark.parametrize("zone", ZONES[:3])
    @pytest.mark.parametrize("minutes", [1, 15, 30, 60])
    def test_hours_and_less_take_the_time_that_they_say(self, zone, minutes):
        """Defect 33: no hour of UTC comes twice in spring, and none is left out in autumn."""
        for month in (3, 10, 11):
            start, end = datetime(2024, month, 1, tzinfo=zone), datetime(2024, month, 30, tzinfo=zone)
            found = list(chunks(start, end, {"minutes": minutes}))
            assert {window.upper - window.lower for window in found} == {timedelta(minutes=minutes)}

    def test_an_edge_that_the_clocks_skip_is_moved_to_the_end_of_the_gap(self):
        start, end = datetime(2024, 3, 31, tzinfo=BERLIN), datetime(2024, 3, 31, 6, tzinfo=BERLIN)
        lowers = [window.lower for window in chunks(start, end, {"hours": 2})]
        assert lowers == [utc(2024, 3, 31), utc(2024, 3, 31, 3), utc(2024, 3, 31, 4)]

    def test_a_start_in_the_hour_that_comes_twice_keeps_its_place(self):
        start = datetime(2024, 10, 27, 2, 10, fold=1, tzinfo=BERLIN)
        end = datetime(2024, 10, 27, 2, 50, fold=1, tzinfo=BERLIN)
        found = list(chunks(start, end, {"minutes": 30}))
        assert [window.lower for window in found] == [
            utc(2024, 10, 27, 2, 10, fold=1),
            utc(2024, 10, 27, 2, 30, fold=1),
        ]
        assert list(chunks(start, end, {"minutes": 30}, "backward")) == found[::-1]

    def test_a_day_that_a_zone_skipped_is_no_window(self):
        apia = ZoneInfo("Pacific/Apia")
        found = chunks(datetime(2011, 12, 28, tzinfo=apia), datetime(2012, 1, 2, tzinfo=apia), {"days": 1})
        assert [window.lower.astimezone(apia).day for window in found] == [28, 29, 31, 1]


class TestRefusals:
    @pytest.mark.parametrize(
        ("interval", "code", "said"),
        [
            ({"month": 1}, "TG626", "did you mean months?"),
            ({}, "TG626", "exactly one"),
            ({"days": 1, "hours": 12}, "TG626", "exactly one"),
            ({"days": 1.5}, "TG626", "integer"),
            ({"days": True}, "TG626", "integer"),
            ({"days": 0}, "TG621", "positive"),
            ({"days": -1}, "TG621", "positive"),
            ({"hours": 6}, "TG625", "2025-01-01T00:00"),
            ({"minutes": 6}, "TG625", "2025-01-01T00:00"),
            ({"step": 6}, "TG625", "cut integers by a step"),
        ],
    )
    def test_what_does_not_cut_a_range_of_dates(self, interval, code, said):
        with pytest.raises(ConfigurationError) as caught:
            chunks(date(2025, 1, 1), date(2025, 2, 1), interval)
        assert caught.value.code == code
        assert said in caught.value.render()

    def test_time_does_not_cut_integers(self):
        with pytest.raises(ConfigurationError, match="chunks of days do not fit") as caught:
            chunks(0, 100, {"days": 1})
        assert caught.value.code == "TG625"

    def test_a_direction_is_one_of_two(self):
        with pytest.raises(ConfigurationError, match="'up' is no direction"):
            chunks(0, 100, {"step": 1}, "up")
