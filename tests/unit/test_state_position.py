"""Positions: their JSON, and that a damaged one is never taken for the empty one."""

from __future__ import annotations

import copy
import json
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import WatermarkError
from tidegate.state import Generation, Position, SeenRows
from tidegate.state.position import fingerprint

hashes = st.integers(0, 2**64 - 1)
marks = st.dictionaries(
    st.text(min_size=1, max_size=5),
    st.one_of(
        st.integers(), st.floats(allow_nan=False), st.text(), st.dates(), st.datetimes(timezones=st.just(UTC)),
        st.decimals(allow_nan=False, allow_infinity=False),
    ),
    max_size=3,
)  # fmt: skip
generations = st.builds(
    Generation,
    up_to=marks,
    hashes=st.dictionaries(hashes, st.integers(1, 3), max_size=5).map(Counter),
    complete=st.booleans(),
)
positions = st.builds(
    Position,
    watermark=marks,
    seen_rows=st.builds(
        SeenRows,
        columns=st.lists(st.text()).map(tuple),
        types=st.dictionaries(st.text(), st.sampled_from(["a number", {"x": ["text"]}, None]), max_size=3),
        generations=st.lists(generations, max_size=3).map(tuple),
        table=st.text(),
    ),
    seen_files=st.dictionaries(hashes, hashes, max_size=5),
    columns=st.dictionaries(st.text(), st.text(), max_size=3),
)

FULL = Position(
    watermark={"at": datetime(2024, 1, 1, tzinfo=UTC), "n": Decimal("1.50")},
    seen_rows=SeenRows(
        columns=("id",), generations=(Generation(up_to={"at": date(2024, 1, 1)}, hashes=Counter([1, 1])),)
    ),
    seen_files={1: 2},
    columns={"id": "bigint"},
)


class TestRoundTrip:
    @given(positions)
    def test_through_json_text(self, position: Position) -> None:
        """What travels in a commit comes back whole, multisets and all."""
        assert Position.from_data(json.loads(json.dumps(position.to_data(), allow_nan=False))) == position

    @given(st.lists(generations, max_size=4))
    def test_all_hashes_are_one_multiset(self, parts: list[Generation]) -> None:
        """Generations add up."""
        total: Counter[int] = Counter()
        for part in parts:
            total += part.hashes
        assert SeenRows(generations=tuple(parts)).hashes() == total


class TestDamage:
    @pytest.mark.parametrize("key", ["watermark", "seen_rows", "seen_files", "columns"])
    @pytest.mark.parametrize("value", [..., None, 5, "x", [1]])
    def test_every_part_is_needed(self, key: str, value: Any) -> None:
        """A part that is missing or of another kind is an error that names the repair."""
        data: dict[str, Any] = copy.deepcopy(FULL.to_data())
        if value is ...:
            del data[key]
        else:
            data[key] = value
        with pytest.raises(WatermarkError) as raised:
            Position.from_data(data)
        assert raised.value.code == "TG504"
        assert "state rebuild" in str(raised.value.hint)

    @pytest.mark.parametrize("data", [None, [], "text", 5, {}])
    def test_what_is_no_position(self, data: Any) -> None:
        """Anything but an object of the right keys is damage."""
        with pytest.raises(WatermarkError):
            Position.from_data(data)

    def test_an_odd_number_of_file_fingerprints(self) -> None:
        """Path and stamp go in pairs."""
        data = {**FULL.to_data(), "seen_files": "AQAAAAAAAAA="}
        with pytest.raises(WatermarkError):
            Position.from_data(data)


class TestText:
    def test_a_watermark_is_shown_first(self) -> None:
        """People read the watermark, else the number of files, else that nothing was read."""
        assert FULL.render() == "at=2024-01-01 00:00:00+00:00, n=1.50"
        assert Position(seen_files={1: 1}).render() == "1 file"
        assert Position(seen_files={1: 1, 2: 2}).render() == "2 files"
        assert Position().render() == "start"

    def test_only_the_empty_one_is_false(self) -> None:
        """A position that holds anything is one."""
        assert not Position()
        assert all(
            Position(**part) for part in ({"watermark": {"a": 0}}, {"seen_files": {1: 1}}, {"columns": {"a": "int"}})
        )


def test_fingerprints_are_stable() -> None:
    """A fingerprint is part of the stored format: it never changes between versions."""
    assert fingerprint("/data/a.csv") == 9753079048817135875
    assert fingerprint("a", "b") != fingerprint("ab")
    assert fingerprint(12, 3) != fingerprint(1, 23)
