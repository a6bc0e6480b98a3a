"""Watermark values: their JSON, their lag, their order."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import WatermarkError
from tidegate.state.watermark import (
    decode_value,
    encode_value,
    less_lag,
    parse_duration,
    watermark_from_json,
    watermark_to_json,
)

values = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.dates(),
    st.times(),
    st.binary(),
)


class TestJson:
    @given(st.dictionaries(st.text(), values))
    def test_it_keeps_values_and_types(self, watermark: dict[str, Any]) -> None:
        """What is written is read again, of the same type, through JSON that other languages read."""
        text = watermark_to_json(watermark)
        json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
        found = watermark_from_json(text)
        assert found == watermark
        assert {name: type(value) for name, value in found.items()} == {
            name: type(value) for name, value in watermark.items()
        }

    def test_the_tags_of_earlier_metadata(self) -> None:
        """`__datetime__`, `__date__` and `__time__` are read as they were written elsewhere."""
        tagged = {"__datetime__": "2026-04-03T09:15:00+00:00"}, {"__date__": "2026-04-03"}, {"__time__": "09:15:00"}
        text = json.dumps(dict(zip("abc", tagged, strict=True)))
        assert watermark_from_json(text) == {
            "a": datetime(2026, 4, 3, 9, 15, tzinfo=UTC),
            "b": date(2026, 4, 3),
            "c": time(9, 15),
        }

    @pytest.mark.parametrize(
        "text",
        ["", "{", "null", "[]", "5", '{"a": null}', '{"a": []}', '{"a": {}}', '{"a": {"__date__": "soon"}}',
         '{"a": {"__decimal__": "x"}}', '{"a": {"__binary__": "*"}}', '{"a": {"__datetime__": 5}}',
         '{"a": {"__what__": "1"}}', '{"a": {"__date__": "2026-01-01", "b": 1}}'],
    )  # fmt: skip
    def test_damage_is_an_error(self, text: str) -> None:
        """Bad text never means that nothing was read."""
        with pytest.raises(WatermarkError) as raised:
            watermark_from_json(text)
        assert raised.value.code == "TG504"
        assert "tidegate state" in str(raised.value.hint)

    def test_infinity_is_tagged(self) -> None:
        """JSON has no word for infinity."""
        assert encode_value(math.inf) == {"__float__": "inf"}
        assert decode_value({"__float__": "-inf"}) == -math.inf


class TestLag:
    @pytest.mark.parametrize(
        ("value", "lag", "expected"),
        [
            (datetime(2024, 3, 1, 1, tzinfo=UTC), "2h", datetime(2024, 2, 29, 23, tzinfo=UTC)),
            (datetime(2024, 3, 1, 1), "1.5d", datetime(2024, 2, 28, 13)),  # noqa: DTZ001
            (date(2024, 3, 1), "1d", date(2024, 2, 29)),
            (date(2024, 3, 1), "25h", date(2024, 2, 28)),
            (100, 20, 80),
            (101, "20", 81),
            (1.5, 0.25, 1.25),
            (Decimal("1.10"), "0.01", Decimal("1.09")),
            (Decimal("9" * 38), 1, Decimal("9" * 37 + "8")),
        ],
    )
    def test_a_value_moves_back(self, value: Any, lag: Any, expected: Any) -> None:
        """A watermark less its lag, of the same type, without loss of digits."""
        found = less_lag(value, lag)
        assert found == expected
        assert type(found) is type(value)

    @pytest.mark.parametrize(
        ("value", "lag"), [(5, "2h"), ("text", "2h"), (datetime(2024, 1, 1, tzinfo=UTC), 5), (True, 1), (5, "much")]
    )
    def test_one_that_does_not_fit(self, value: Any, lag: Any) -> None:
        """A duration is for times, a number for numbers."""
        with pytest.raises(WatermarkError) as raised:
            less_lag(value, lag)
        assert raised.value.code == "TG507"

    @given(st.datetimes(min_value=datetime(1000, 1, 1)), st.integers(0, 100_000))  # noqa: DTZ001
    def test_no_date_is_read_too_late(self, moment: datetime, hours: int) -> None:
        """A date moves back by at least the lag: rather a day too much is read than too little."""
        assert less_lag(moment.date(), f"{hours}h") <= (moment - timedelta(hours=hours)).date() + timedelta(days=1)

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("30s", 30), ("5 min", 300), ("2h", 7200), ("1d", 86400), ("2w", 1209600), ("1.5 H", 5400)],
    )
    def test_durations(self, text: str, seconds: int) -> None:
        """Seconds, minutes, hours, days and weeks."""
        assert parse_duration(text) == timedelta(seconds=seconds)

    @pytest.mark.parametrize("text", ["", "h", "2", "2y", "-2h", "2h30"])
    def test_what_is_no_duration(self, text: str) -> None:
        """Anything else is none."""
        assert parse_duration(text) is None


def test_zones_other_than_utc_keep_the_instant() -> None:
    """A watermark of another zone is the same instant after a round trip."""
    moment = datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert decode_value(encode_value(moment)) == moment
