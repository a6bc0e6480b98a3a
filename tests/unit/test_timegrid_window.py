"""Windows and points: their text, their order, their laws, and what time zones do to them."""

import json
import subprocess
import sys
from contextlib import redirect_stdout
from datetime import UTC, date, datetime, timedelta, timezone
from io import StringIO
from itertools import islice, pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.errors import ConfigurationError
from tidegate.timegrid import (
    Window,
    WindowSet,
    decode_bound,
    encode_bound,
    parse_bound,
    point_windows,
    points,
    windows,
)
from tidegate.timegrid.interval import OFFSETS
from tidegate.timegrid.zone import at_wall_time
from tools.run_docs import blocks

ZONES = [
    ZoneInfo(name)
    for name in ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Pacific/Apia")
]
DAY_OFFSETS = ["D", "W", *(offset for offset, family in OFFSETS.items() if family in ("months", "calendar"))]
BERLIN = ZoneInfo("Europe/Berlin")
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "windows.md"

moments = st.datetimes(datetime(1995, 1, 1), datetime(2037, 12, 31))  # noqa: DTZ001
intervals = st.one_of(
    st.tuples(st.integers(3, 90), st.sampled_from(["h"])),
    st.tuples(st.integers(200, 3000), st.sampled_from(["min"])),
    st.tuples(st.integers(1, 9), st.sampled_from(DAY_OFFSETS)),
).map(lambda parts: f"{parts[0]}{parts[1]}")
zones = st.sampled_from([None, *ZONES])
bounds = {
    "integers": st.integers(),
    "dates": st.dates(),
    "datetimes": st.datetimes(),
    "datetimes with zone": st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.sampled_from(ZONES)),  # noqa: DTZ001
}
pairs = st.one_of([st.tuples(kind, kind) for kind in bounds.values()])


def instant(point):
    return point.astimezone(UTC) if isinstance(point, datetime) and point.tzinfo else point


def texts(found):
    return [point.isoformat() for point in found]


def window_of(pair):
    lower, upper = sorted(map(parse_bound, pair), key=instant)
    return Window(lower=lower, upper=upper) if instant(lower) < instant(upper) else None


class TestText:
    @settings(deadline=None)
    @given(pairs)
    def test_a_window_reads_back_from_its_text(self, pair):
        if (window := window_of(pair)) is not None:
            assert Window.parse(str(window)) == window
            assert Window.parse(str(window).replace("--", "/", 1)) == window
            assert hash(Window.parse(str(window))) == hash(window)

    @settings(deadline=None)
    @given(st.one_of([st.tuples(kind, kind, kind, kind) for name, kind in bounds.items() if name != "integers"]))
    def test_texts_of_one_kind_sort_by_time(self, four):
        found = [window for window in (window_of(four[:2]), window_of(four[2:])) if window is not None]
        assert sorted(found) == sorted(found, key=str)

    @pytest.mark.parametrize(
        ("window", "text"),
        [
            (Window(lower=-5, upper=-3), "-5---3"),
            (Window(lower=date(2025, 1, 1), upper=date(2025, 2, 1)), "2025-01-01--2025-02-01"),
            (
                Window(lower=datetime(2025, 1, 1), upper=datetime(2025, 1, 1, 0, 0, 0, 1)),  # noqa: DTZ001
                "2025-01-01T00:00:00--2025-01-01T00:00:00.000001",
            ),
            (
                Window(lower=datetime(2025, 7, 1, tzinfo=BERLIN), upper=datetime(2025, 8, 1, tzinfo=BERLIN)),
                "2025-06-30T22:00:00+00:00--2025-07-31T22:00:00+00:00",
            ),
        ],
    )
    def test_the_text_is_iso_8601(self, window, text):
        assert str(window) == text
        assert Window.parse(text) == window

    @pytest.mark.parametrize(
        "text", ["", "--", "2025-01-01", "5", "-5--", "--5", "2025-01-01 2025-01-02", "5--4", "5--5"]
    )
    def test_other_text_is_refused(self, text):
        with pytest.raises(ConfigurationError) as caught:
            Window.parse(text)
        assert caught.value.code in ("TG623", "TG627")


class TestWindow:
    def test_it_holds_its_lower_bound_and_not_its_upper(self):
        window = Window(lower=date(2025, 1, 1), upper=date(2025, 2, 1))
        assert window.contains(date(2025, 1, 1))
        assert window.contains(date(2025, 1, 31))
        assert not window.contains(date(2025, 2, 1))
        with pytest.raises(ConfigurationError, match="do not go together"):
            window.contains(5)

    @pytest.mark.parametrize(("lower", "upper"), [(2, 1), (1, 1)])
    def test_it_is_not_empty(self, lower, upper):
        with pytest.raises(ConfigurationError, match="nothing lies between") as caught:
            Window(lower=lower, upper=upper)
        assert caught.value.code == "TG627"

    def test_the_same_time_in_two_zones_is_the_same_window(self):
        window = Window(lower=datetime(2024, 3, 30, tzinfo=BERLIN), upper=datetime(2024, 4, 1, tzinfo=BERLIN))
        india = timezone(timedelta(hours=5, minutes=30))
        same = Window(lower=window.lower.astimezone(india), upper=window.upper.astimezone(india))
        assert window == same
        assert hash(window) == hash(same)

    def test_the_hour_that_comes_twice_is_a_window(self):
        """By wall time, on which Python compares within one zone, it would begin where it ends."""
        twice = [datetime(2024, 10, 27, 2, fold=fold, tzinfo=BERLIN) for fold in (0, 1)]
        window = Window(lower=twice[0], upper=twice[1])
        assert window.upper - window.lower == timedelta(hours=1)
        assert window.contains(twice[0])
        assert not window.contains(twice[1])


class TestBounds:
    @pytest.mark.parametrize(
        ("value", "bound"),
        [
            ("1000", 1000),
            ("-3", -3),
            ("2025", 2025),
            ("2025-01-31", date(2025, 1, 31)),
            (" 2025-01-31T06:00 ", datetime(2025, 1, 31, 6)),  # noqa: DTZ001
            ("2025-01-31 06:00Z", datetime(2025, 1, 31, 6, tzinfo=UTC)),
            (date(2025, 1, 31), date(2025, 1, 31)),
            (7, 7),
        ],
    )
    def test_a_text_says_what_kind_of_bound_it_is(self, value, bound):
        found = parse_bound(value)
        assert (found, type(found)) == (bound, type(bound))

    @pytest.mark.parametrize("value", ["", "soon", "31/01/2025", "2025-02-30", "1_000", True, None, 1.5, b"1"])
    def test_what_is_no_bound(self, value):
        with pytest.raises(ConfigurationError, match="is no bound") as caught:
            parse_bound(value)
        assert caught.value.code == "TG623"

    def test_a_moment_outside_the_calendar_is_no_bound(self):
        with pytest.raises(ConfigurationError, match="is no bound"):
            parse_bound("0001-01-01T00:00+05:00")

    @pytest.mark.parametrize(
        ("start", "end"),
        [
            ("2025-01-01T00:00", "2025-02-01T00:00Z"),
            ("2025-01-01T00:00Z", "2025-02-01T00:00"),
            ("2025-01-01", "2025-02-01T00:00"),
            ("2025-01-01", 5),
        ],
    )
    def test_bounds_of_two_kinds_are_an_error(self, start, end):
        for cut in (lambda: points("daily", start, end), lambda: windows(start, end, "daily")):
            with pytest.raises(ConfigurationError, match="do not go together") as caught:
                cut()
            assert caught.value.code == "TG624"

    @settings(deadline=None)
    @given(pairs)
    def test_bounds_travel_through_json(self, pair):
        for bound in pair:
            data = json.loads(json.dumps(encode_bound(bound)))
            assert instant(decode_bound(data)) == instant(bound)
            assert type(decode_bound(data)) is type(bound)


class TestLaws:
    @settings(deadline=None)
    @given(moments, st.integers(1, 400 * 24 * 60), intervals, zones)
    def test_windows_are_the_range_do_not_overlap_and_come_in_order(self, wall, minutes, text, zone):
        start = parse_bound(wall.replace(tzinfo=zone))
        end = parse_bound(start + timedelta(minutes=minutes))
        found = list(windows(start, end, text))
        assert found[0].lower == instant(start)
        assert found[-1].upper == instant(end)
        assert all(one.upper == other.lower for one, other in pairwise(found))
        assert all(one < other for one, other in pairwise(found))
        assert WindowSet(found).ranges == (Window(lower=start, upper=end),)
        assert list(windows(start, end, text, "backward")) == found[::-1]

    @settings(deadline=None)
    @given(moments, st.integers(0, 400 * 24 * 60), intervals, zones)
    def test_a_point_is_the_window_up_to_the_next(self, wall, minutes, text, zone):
        start = parse_bound(wall.replace(tzinfo=zone))
        end = parse_bound(start + timedelta(minutes=minutes))
        found = [instant(point) for point in points(text, start, end)]
        assert all(one < other for one, other in pairwise(found))
        of_points = list(point_windows(text, start, end))
        assert [window.lower for window in of_points] == found
        assert all(one.upper == other.lower for one, other in pairwise(of_points))
        assert all(window.upper > instant(end) for window in of_points[-1:])
        assert list(point_windows(text, start, end, "backward")) == of_points[::-1]
        later = islice(points(text, start, end + timedelta(days=4000)), 1, len(found) + 1)
        assert [window.upper for window in of_points] == [instant(point) for point in later]

    @settings(deadline=None)
    @given(moments, st.integers(0, 5000), intervals, zones)
    def test_points_close_both_ends_and_backward_is_the_same_in_the_opposite_order(self, wall, hours, text, zone):
        """Defect 30: the order of points is the order in which they run."""
        start = parse_bound(wall.replace(tzinfo=zone))
        end = parse_bound(start + timedelta(hours=hours))
        found = texts(points(text, start, end))
        assert texts(points(text, start, end, "backward")) == found[::-1]
        if found:
            last = list(points(text, start, end))[-1]
            assert texts(points(text, start, last)) == found

    @pytest.mark.parametrize("direction", ["forward", "backward"])
    @pytest.mark.parametrize("zone", [None, BERLIN])
    def test_the_first_of_very_many_is_there_at_once(self, direction, zone):
        """A day in steps of 100 microseconds has 864 million; a history of microseconds many more."""
        day = datetime(2024, 5, 1, tzinfo=zone), datetime(2024, 5, 2, tzinfo=zone)
        assert len(list(islice(windows(*day, "100us", direction), 3))) == 3
        whole = datetime(1, 1, 2, tzinfo=zone), datetime(9999, 12, 30, tzinfo=zone)
        for text in ("us", "min", "D", "M", "B", "MS", "weekdays"):
            assert len(list(islice(points(text, *whole, direction), 3))) == 3
            assert len(list(islice(point_windows(text, *day, direction), 1))) == 1

    def test_what_is_wrong_is_said_by_the_call_and_not_by_the_first_window(self):
        with pytest.raises(ConfigurationError, match="is no interval"):
            points("1m", "2025-01-01", "2025-01-02")
        with pytest.raises(ConfigurationError, match="not over integers"):
            windows(0, 1, "daily")
        with pytest.raises(ConfigurationError, match="not over integers"):
            point_windows("weekdays", 0, 1)

    def test_a_direction_is_one_of_two(self):
        with pytest.raises(ConfigurationError, match="'down' is no direction"):
            points("D", "2025-01-01", "2025-01-02", "down")


class TestZones:
    @pytest.mark.parametrize("zone", ZONES, ids=str)
    def test_hours_are_hours_of_utc(self, zone):
        """Defect 33: no hour of UTC comes twice in spring, and none is left out in autumn."""
        for start in (datetime(2024, 1, 1, tzinfo=zone), datetime(2011, 6, 1, tzinfo=zone)):
            end = start.replace(year=start.year + 1)
            found = [point.astimezone(UTC) for point in points("1h", start, end)]
            assert {other - one for one, other in pairwise(found)} == {timedelta(hours=1)}
            assert (found[0], found[-1]) == (start.astimezone(UTC), end.astimezone(UTC))

    def test_the_hour_that_comes_twice_is_two_points(self):
        start, end = datetime(2024, 10, 27, 1, tzinfo=BERLIN), datetime(2024, 10, 27, 3, tzinfo=BERLIN)
        assert texts(points("1h", start, end)) == [
            "2024-10-27T01:00:00+02:00", "2024-10-27T02:00:00+02:00",
            "2024-10-27T02:00:00+01:00", "2024-10-27T03:00:00+01:00",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("zone", "start", "expected"),
        [
            ("Europe/Berlin", "2024-03-30T02:30", ["2024-03-31T03:00:00+02:00", "2024-04-01T02:30:00+02:00"]),
            ("Europe/Berlin", "2024-10-26T02:30", ["2024-10-27T02:30:00+02:00", "2024-10-28T02:30:00+01:00"]),
            ("America/New_York", "2024-03-09T02:30", ["2024-03-10T03:00:00-04:00", "2024-03-11T02:30:00-04:00"]),
            ("Australia/Lord_Howe", "2024-10-05T02:15", ["2024-10-06T02:30:00+11:00", "2024-10-07T02:15:00+11:00"]),
            ("Australia/Lord_Howe", "2024-04-06T01:45", ["2024-04-07T01:45:00+11:00", "2024-04-08T01:45:00+10:30"]),
            ("Africa/Cairo", "2024-04-25T00:00", ["2024-04-26T01:00:00+03:00", "2024-04-27T00:00:00+03:00"]),
            ("Pacific/Apia", "2011-12-29T00:00", ["2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"]),
        ],
    )
    def test_days_are_days_of_the_wall_clock(self, zone, start, expected):
        """A time that the clocks skip becomes the first one after the gap; of one that comes twice, it is the first."""
        first = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
        found = points("D", first, first + timedelta(days=5))
        assert texts(found)[1:3] == expected

    @pytest.mark.parametrize(("text", "start"), [("M", "2024-01-31T02:30"), ("ME", "2024-01-01T02:30")])
    def test_months_keep_the_wall_time(self, text, start):
        found = points(text, datetime.fromisoformat(start).replace(tzinfo=BERLIN), datetime(2024, 5, 1, tzinfo=BERLIN))
        assert texts(found) == [
            "2024-01-31T02:30:00+01:00", "2024-02-29T02:30:00+01:00",
            "2024-03-31T03:00:00+02:00", "2024-04-30T02:30:00+02:00",
        ]  # fmt: skip

    def test_a_start_in_the_second_of_two_equal_hours_stays_there(self):
        start = datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN)
        assert texts(points("D", start, start + timedelta(days=1))) == [
            "2024-10-27T02:30:00+01:00",
            "2024-10-28T02:30:00+01:00",
        ]

    def test_a_start_that_the_clocks_skip_is_moved(self):
        assert parse_bound(datetime(2024, 3, 31, 2, 30, tzinfo=BERLIN)).isoformat() == "2024-03-31T03:00:00+02:00"

    def test_an_end_may_be_in_another_zone(self):
        """In Tokyo it is the first of the month before it is in UTC."""
        start = datetime(2024, 1, 15, tzinfo=ZoneInfo("Asia/Tokyo"))
        end = datetime(2024, 1, 31, 15, tzinfo=UTC)
        assert texts(points("MS", start, end)) == ["2024-02-01T00:00:00+09:00"]
        assert texts(points("MS", start, end - timedelta(microseconds=1))) == []
        assert len(list(points("weekdays", start, end))) == 14

    @settings(deadline=None)
    @given(moments, moments, st.sampled_from(ZONES))
    def test_wall_times_stay_in_order(self, one, other, zone):
        first, second = sorted((one, other))
        assert at_wall_time(first, zone).astimezone(UTC) <= at_wall_time(second, zone).astimezone(UTC)

    @settings(deadline=None)
    @given(moments, st.sampled_from(ZONES))
    def test_a_moment_shows_its_wall_time_or_the_first_after_a_gap(self, wall, zone):
        found = at_wall_time(wall, zone)
        before = (found.astimezone(UTC) - timedelta(microseconds=1)).astimezone(zone)
        shown = found.replace(tzinfo=None, fold=0)
        assert shown == wall or before.replace(tzinfo=None, fold=0) < wall < shown


def test_the_page_says_what_the_code_does():
    code = [line for block in blocks(PAGE.read_text()) if block.language == "python" for line in block.lines]
    printed = StringIO()
    with redirect_stdout(printed):
        exec("\n".join(code), {"__name__": "page"})  # noqa: S102 - our own page
    assert printed.getvalue().splitlines() == [line[2:] for line in code if line.startswith("# ")]


def test_nothing_heavy_is_imported():
    code = (
        "import sys, tidegate.timegrid; print({'pydantic', 'polars', 'pyarrow', 'pandas', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
