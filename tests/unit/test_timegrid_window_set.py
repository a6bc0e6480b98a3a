"""Sets of windows, against sets of integers."""

import json
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.errors import ConfigurationError
from tidegate.timegrid import Window, WindowSet, chunks

EPOCH = date(2024, 1, 1)
small = st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda pair: Window(lower=pair[0], upper=sum(pair)))
lists = st.lists(small, max_size=12)


def members(windows):
    return {number for window in windows for number in range(window.lower, window.upper)}


def on(number):
    return EPOCH + timedelta(days=number)


class TestOracle:
    @settings(deadline=None)
    @given(lists)
    def test_it_holds_what_its_windows_hold(self, windows):
        added = reduce(WindowSet.add, windows, WindowSet())
        assert members(added) == members(windows)
        assert added == WindowSet(windows) == WindowSet(reversed(windows))
        assert hash(added) == hash(WindowSet(windows))

    @settings(deadline=None)
    @given(lists)
    def test_ranges_are_in_order_and_do_not_touch(self, windows):
        ranges = list(WindowSet(windows))
        assert all(one.upper < other.lower for one, other in pairwise(ranges))
        assert len(WindowSet(windows)) == len(ranges)
        assert bool(WindowSet(windows)) == bool(windows)

    @settings(deadline=None)
    @given(lists, small)
    def test_what_it_covers_overlaps_and_misses(self, windows, window):
        held, asked, found = members(windows), members([window]), WindowSet(windows)
        assert found.covers(window) == (asked <= held)
        assert found.overlaps(window) == bool(asked & held)
        missing = list(found.missing(window))
        assert members(missing) == asked - held
        assert all(one.upper < other.lower for one, other in pairwise(missing))

    @settings(deadline=None)
    @given(lists, small)
    def test_what_is_missing_makes_it_whole(self, windows, window):
        found = WindowSet(windows)
        whole = reduce(WindowSet.add, found.missing(window), found)
        assert whole.covers(window)
        assert whole == found.add(window)

    @settings(deadline=None)
    @given(lists)
    def test_it_travels_through_json(self, windows):
        by_day = WindowSet(Window(lower=on(window.lower), upper=on(window.upper)) for window in windows)
        for found in (WindowSet(windows), by_day):
            assert WindowSet.from_data(json.loads(json.dumps(found.to_data()))) == found


class TestKinds:
    def test_moments_of_all_zones_are_one_kind(self):
        berlin = ZoneInfo("Europe/Berlin")
        days = WindowSet(
            chunks(datetime(2024, 10, 26, tzinfo=berlin), datetime(2024, 10, 29, tzinfo=berlin), {"days": 1})
        )
        assert len(days) == 1
        assert days.covers(
            Window(lower=datetime(2024, 10, 25, 22, tzinfo=UTC), upper=datetime(2024, 10, 28, 23, tzinfo=UTC))
        )
        assert WindowSet.from_data(json.loads(json.dumps(days.to_data()))) == days

    @pytest.mark.parametrize("act", ["add", "covers", "overlaps", "missing"])
    def test_two_kinds_do_not_mix(self, act):
        found = WindowSet([Window(lower=1, upper=5)])
        with pytest.raises(ConfigurationError, match="do not go together") as caught:
            getattr(found, act)(Window(lower=on(1), upper=on(2)))
        assert caught.value.code == "TG624"
        with pytest.raises(ConfigurationError, match="do not go together"):
            WindowSet([Window(lower=1, upper=5), Window(lower=on(1), upper=on(2))])

    def test_it_does_not_change(self):
        empty = WindowSet()
        assert empty.add(Window(lower=1, upper=2))
        assert not empty
        with pytest.raises(AttributeError):
            empty.ranges = ()


class TestData:
    def test_the_tags_are_those_of_watermarks(self):
        window = Window(lower=datetime(2024, 1, 1, tzinfo=UTC), upper=datetime(2024, 1, 2, tzinfo=UTC))
        assert WindowSet([window]).to_data() == [
            [{"__datetime__": "2024-01-01T00:00:00+00:00"}, {"__datetime__": "2024-01-02T00:00:00+00:00"}]
        ]
        assert WindowSet([Window(lower=on(0), upper=on(1))]).to_data() == [
            [{"__date__": "2024-01-01"}, {"__date__": "2024-01-02"}]
        ]
        assert WindowSet([Window(lower=1, upper=2)]).to_data() == [[1, 2]]

    @pytest.mark.parametrize(
        "data",
        [None, {}, "", 5, [1, 2], [[1]], [[1, 2, 3]], [[2, 1]], [[1, 1]], [[1, True]], [["1", "2"]],
         [[{"__date__": "2024-01-01"}, {"__date__": "soon"}]], [[{"__date__": "2024-01-01"}, 5]],
         [[{"__day__": "2024-01-01"}, {"__day__": "2024-01-02"}]],
         [[1, 2], [{"__date__": "2024-01-01"}, {"__date__": "2024-01-02"}]],
         [[{"__date__": 5}, {"__date__": 6}]]],
    )  # fmt: skip
    def test_damage_is_an_error_and_never_an_empty_set(self, data):
        with pytest.raises(ConfigurationError, match="no set of windows") as caught:
            WindowSet.from_data(data)
        assert caught.value.code == "TG628"
