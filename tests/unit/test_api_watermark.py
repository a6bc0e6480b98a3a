"""What an API is asked for: bounds as parameters, and ranges that leave nothing out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import chain, pairwise
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("httpx2", reason="httpx2 is not installed")

from tidegate.connections.http_call import Call
from tidegate.errors import ConfigurationError
from tidegate.models import Connection, Source
from tidegate.sources.api import without_overlap
from tidegate.sources.api_pages import found
from tidegate.sources.api_streams import in_order
from tidegate.sources.api_watermark import WatermarkParams
from tidegate.sources.base import ColumnWindow
from tidegate.timegrid import Window

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
MOMENTS = st.integers(1, 900 * 86_400_000_000).map(lambda back: NOW - timedelta(microseconds=back))
FORMATS = ("iso", "date", "timestamp", "timestamp_ms", "datetime", "datetime_ms")


def params(zone: str = "UTC", **configure: Any) -> WatermarkParams:
    connection = Connection(
        name="shop", format="api", configure={"base_url": "http://h", "watermark_to_param_timezone": zone}
    )
    mapped = {"watermark_param_mapping": {"at": "from"}, "watermark_to_param": "to", **configure}
    return WatermarkParams.of(Source(connection=connection, watermark_columns=("at",), configure=mapped))


def asked(told: WatermarkParams, start: Any, window: Window | None = None) -> list[dict[str, str]]:
    starts = {} if start is None else {"at": start}
    column_window = ColumnWindow(column="at", window=window) if window else None
    calls = told.calls(Call(url="http://h"), starts, column_window, NOW)
    return [dict(parse_qsl(urlsplit(call.url).query)) for call in calls]


class TestFormats:
    """How a bound is written."""

    MOMENT = datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("form", "lower", "to"),
        [
            ("iso", "2024-01-02T10:04:05.678901+07:00", "2024-06-01T19:00:00+07:00"),
            ("date", "2024-01-02", "2024-06-01"),
            ("timestamp", "1704164645.678901", "1717243200"),
            ("timestamp_ms", "1704164645678", "1717243200000"),
            ("datetime", "2024-01-02T10:04:05", "2024-06-01T19:00:00"),
            ("datetime_ms", "2024-01-02T10:04:05.678", "2024-06-01T19:00:00.000"),
        ],
    )
    def test_each_format(self, form: str, lower: str, to: str) -> None:
        assert asked(params("+07:00", watermark_param_format=form), self.MOMENT) == [{"from": lower, "to": to}]

    @pytest.mark.parametrize(
        ("start", "written"),
        [
            ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
            ("v7", "v7"),
            (7, "7"),
            (Decimal("7.5"), "7.5"),
            (date(2024, 1, 2), "2024-01-02"),
        ],
    )
    def test_what_the_api_wrote_itself_stays_as_it_is(self, start: Any, written: str) -> None:
        assert asked(params(), start)[0]["from"] == written

    @pytest.mark.parametrize("form", FORMATS)
    def test_before_the_first_load_nothing_is_asked_from(self, form: str) -> None:
        assert asked(params(watermark_param_format=form), None)[0].keys() == {"to"}

    def test_numbers_of_seconds_can_be_cut_into_ranges(self) -> None:
        told = params(watermark_param_format="timestamp", watermark_range_interval_unit="day")
        start = int((NOW - timedelta(days=2)).timestamp())
        assert [int(call["from"]) - start for call in asked(told, start)] == [0, 86400]

    def test_a_start_ahead_of_our_clock_has_no_end(self) -> None:
        assert asked(params(), NOW + timedelta(hours=1)) == [{"from": "2024-06-01T13:00:00+00:00"}]


class TestWindows:
    """A replay's window is asked for whole."""

    @pytest.mark.parametrize("zone", ["UTC", "+07:00", "America/New_York"])
    def test_bounds_without_a_zone_may_be_meant_in_either(self, zone: str) -> None:
        window = Window(lower=date(2024, 1, 1), upper=date(2024, 1, 2))
        (call,) = asked(params(zone), None, window)
        lower, upper = (datetime.fromisoformat(call[name]) for name in ("from", "to"))
        assert lower <= datetime(2024, 1, 1, tzinfo=UTC)
        assert datetime(2024, 1, 2, tzinfo=UTC) <= upper
        assert upper - lower <= timedelta(days=1.5)

    def test_a_window_over_another_column_asks_for_all(self) -> None:
        told = params()
        window = ColumnWindow(column="id", window=Window(lower=1, upper=5))
        (call,) = told.calls(Call(url="http://h"), {}, window, NOW)
        assert "from=" not in call.url

    @given(
        MOMENTS,
        st.timedeltas(timedelta(microseconds=1), timedelta(days=400)),
        st.sampled_from([form for form in FORMATS if form != "date"]),
        st.sampled_from(["UTC", "+05:30", "America/New_York"]),
    )
    def test_rounding_leaves_no_moment_of_the_window_out(
        self, lower: datetime, span: timedelta, form: str, zone: str
    ) -> None:
        told = params(zone, watermark_param_format=form)
        window = Window(lower=lower, upper=lower + span)
        (call,) = asked(told, None, window)
        assert read(call["from"], form, told) <= window.lower
        assert read(call["to"], form, told) >= window.upper

    def test_an_end_that_clocks_show_twice_is_not_taken_for_the_first_time(self) -> None:
        told = params("America/New_York", watermark_param_format="datetime")
        upper = datetime(2023, 11, 5, 6, 30, tzinfo=UTC)  # 01:30 for the second time
        (call,) = asked(told, None, Window(lower=upper - timedelta(hours=3), upper=upper))
        assert read(call["to"], "datetime", told) >= upper


class TestRanges:
    """Ranges follow each other without a gap."""

    @given(
        MOMENTS,
        st.sampled_from(["day", "month", "year"]),
        st.integers(1, 5),
        st.sampled_from(FORMATS),
        st.sampled_from(["UTC", "+05:30", "America/New_York"]),
    )
    def test_each_begins_where_the_one_before_ends(
        self, start: datetime, unit: str, amount: int, form: str, zone: str
    ) -> None:
        told = params(
            zone,
            watermark_param_format=form,
            watermark_range_interval_unit=unit,
            watermark_range_interval_amount=amount,
        )
        calls = asked(told, start)
        assert all(one["to"] == other["from"] for one, other in pairwise(calls))
        assert read(calls[0]["from"], form, told) <= start

    def test_each_can_end_before_the_next(self) -> None:
        told = params(watermark_range_interval_unit="day", watermark_range_to_exclusive_offset="1ms")
        ends = [call["to"] for call in asked(told, NOW - timedelta(days=2))]
        assert ends == ["2024-05-31T11:59:59.999000+00:00", "2024-06-01T12:00:00+00:00"]

    @pytest.mark.parametrize("zone", ["Middle/Earth", "+7"])
    def test_an_unknown_zone_is_refused(self, zone: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            params(zone)
        assert caught.value.code == "TG250"


def read(text: str, form: str, told: WatermarkParams) -> datetime:
    """Return the moment that a parameter says, as the API understands it."""
    if form.startswith("timestamp"):
        unit = timedelta(seconds=1) if form == "timestamp" else timedelta(milliseconds=1)
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
            microseconds=round(float(text) * (unit // timedelta(microseconds=1)))
        )
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=told.zone)


class TestOverlap:
    """Records that two ranges share arrive once; those that are there twice, twice."""

    def test_what_both_give_is_taken_once(self) -> None:
        pages = [(0, [{"a": 1}, {"a": 2}, {"a": 2}]), (1, [{"a": 2}, {"a": 2}]), (1, [{"a": 3}]), (3, [{"a": 3}])]
        taken = [row["a"] for page in without_overlap(iter(pages)) for row in page]
        assert taken == [1, 2, 2, 3, 3]

    @given(st.lists(st.integers(0, 20), max_size=40), st.lists(st.integers(1, 20), max_size=4))
    def test_ranges_that_hold_their_end_give_what_the_whole_gives(self, values: list[int], cuts: list[int]) -> None:
        edges = [-1, *sorted(set(cuts)), 99]
        ranges = [
            (number, [{"v": value} for value in sorted(values) if lower <= value <= upper])
            for number, (lower, upper) in enumerate(pairwise(edges))
        ]
        taken = [row["v"] for page in without_overlap(iter(ranges)) for row in page]
        assert taken == sorted(values)


class TestStreams:
    """Streams that run at the same time are read in order."""

    @given(st.lists(st.lists(st.integers(), max_size=5), max_size=6), st.integers(1, 4))
    def test_items_come_stream_after_stream(self, streams: list[list[int]], workers: int) -> None:
        assert list(in_order([lambda items=items: iter(items) for items in streams], workers)) == list(chain(*streams))

    def test_an_error_comes_in_its_turn(self) -> None:
        def failing() -> Iterator[int]:
            yield 2
            raise KeyError("here")

        items = in_order([lambda: iter([1]), failing, lambda: iter([3])], 3)
        assert [next(items), next(items)] == [1, 2]
        with pytest.raises(KeyError):
            next(items)


class TestPaths:
    """Dotted paths."""

    @pytest.mark.parametrize(("path", "value"), [("a.b", 1), ("a.c.0", 2), ("x.y", 3), ("x.y.z", 4), ("n", None)])
    def test_names_with_dots_are_found_too(self, path: str, value: Any) -> None:
        data = {"a": {"b": 1, "c": [2]}, "x.y": 3, "x": {"y.z": 4}, "n": None}
        assert found(data, path) == value
