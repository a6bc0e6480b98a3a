"""Intervals: their text, and what is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.errors import ConfigurationError
from tidegate.timegrid import Interval
from tidegate.timegrid.interval import ALIASES, OFFSETS


class TestText:
    @settings(deadline=None)
    @given(st.integers(min_value=1, max_value=10**17), st.sampled_from(sorted(OFFSETS)))
    def test_an_interval_reads_back_from_its_text(self, count, offset):
        interval = Interval(count=count, offset=offset)
        assert Interval.parse(str(interval)) == interval

    @pytest.mark.parametrize(
        ("words", "text"),
        [
            ("daily day Daily DAY", "1D"),
            ("weekly week", "1W"),
            ("monthly month", "1M"),
            ("hourly hour Hour", "1h"),
            ("minutely minute", "1min"),
            ("secondly second", "1s"),
            ("business_daily business-day business_day", "1B"),
        ],
    )
    def test_words_stand_for_intervals(self, words, text):
        assert {str(Interval.parse(word)) for word in words.split()} == {text}

    def test_every_word_is_an_interval(self):
        assert all(Interval.parse(word) for word in ALIASES)

    @pytest.mark.parametrize("offset", OFFSETS)
    def test_one_is_meant_when_no_count_is_given(self, offset):
        assert Interval.parse(offset) == Interval(count=1, offset=offset)

    def test_offsets_are_case_sensitive(self):
        assert Interval.parse("2M").family == "months"
        with pytest.raises(ConfigurationError):
            Interval.parse("2Min")


class TestRefusals:
    @pytest.mark.parametrize("text", ["0D", "-1D", "00h", "-3MS"])
    def test_a_count_must_be_positive(self, text):
        with pytest.raises(ConfigurationError, match="positive") as caught:
            Interval.parse(text)
        assert caught.value.code == "TG621"

    @pytest.mark.parametrize("offset", ["C", "CBME", "CBMS", "bh", "cbh", "ns"])
    def test_other_offsets_of_pandas_are_not_supported(self, offset):
        for text in (offset, f"2{offset}"):
            with pytest.raises(ConfigurationError, match="not supported") as caught:
                Interval.parse(text)
            assert caught.value.code == "TG622"
            assert caught.value.hint

    @pytest.mark.parametrize(
        "text", ["", " ", "1", "-", "-D", "1 D", "1.5h", "+1D", "1D2h", "W-MON", "\u0661D", "9" * 19 + "s"]
    )
    def test_bad_text_is_refused(self, text):
        with pytest.raises(ConfigurationError, match="is no interval") as caught:
            Interval.parse(text)
        assert caught.value.code == "TG620"

    def test_a_wrong_offset_is_refused_by_the_value_too(self):
        with pytest.raises(ConfigurationError, match="is no interval"):
            Interval(count=2, offset="days")

    @pytest.mark.parametrize(
        ("text", "hint"),
        [
            ("1m", "did you mean 1min or 1M?"),
            ("m", "did you mean 1min or 1M?"),
            ("30T", "did you mean 30min?"),
            ("6H", "did you mean 6h?"),
            ("2d", "did you mean 2D?"),
            ("Q", "did you mean 1QS or 1QE?"),
            ("BM", "did you mean 1BME?"),
            ("2days", "did you mean 2D?"),
            ("dayly", "did you mean daily?"),
            ("3hours", "did you mean 3h?"),
        ],
    )
    def test_a_near_miss_is_told_what_was_probably_meant(self, text, hint):
        with pytest.raises(ConfigurationError) as caught:
            Interval.parse(text)
        assert caught.value.hint == hint
