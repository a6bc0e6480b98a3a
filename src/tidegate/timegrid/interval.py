"""Intervals: how far it is from one point to the next, as people write it."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal

from tidegate.errors import ConfigurationError

Family = Literal["elapsed", "days", "months", "calendar"]
"""How steps are counted: time that passes, days of the wall clock, months of it, or days that fit a rule."""

ALIASES = {
    "daily": "1D", "day": "1D",
    "weekly": "1W", "week": "1W",
    "monthly": "1M", "month": "1M",
    "hourly": "1h", "hour": "1h",
    "minutely": "1min", "minute": "1min",
    "secondly": "1s", "second": "1s",
    "business_daily": "1B", "business-day": "1B", "business_day": "1B",
}  # fmt: skip
"""Words for intervals. They are not case-sensitive; offsets are."""

OFFSETS: dict[str, Family] = {
    **dict.fromkeys(("h", "min", "s", "ms", "us"), "elapsed"),
    **dict.fromkeys(("D", "W"), "days"),
    "M": "months",
    **dict.fromkeys(
        ("B", "ME", "SME", "BME", "MS", "SMS", "BMS", "QE", "BQE", "QS", "BQS", "YE", "BYE", "YS", "BYS"), "calendar"
    ),
}
"""All offsets, and the family of each."""

_UNSUPPORTED = {
    "C": "register a calendar of your own, or take B",
    "CBME": "register a calendar of your own, or take BME",
    "CBMS": "register a calendar of your own, or take BMS",
    "bh": "business hours need opening times: register a calendar of your own, or take h",
    "cbh": "business hours need opening times: register a calendar of your own, or take h",
    "ns": "a datetime is exact to the microsecond: take us",
}
_NEAR = {
    "m": ("min", "M"), "mi": ("min",), "mins": ("min",), "T": ("min",),
    "mo": ("M",), "mon": ("M",),
    "Q": ("QS", "QE"), "q": ("QS", "QE"), "Y": ("YS", "YE"), "y": ("YS", "YE"), "A": ("YS", "YE"),
    "BM": ("BME",), "BQ": ("BQE",), "BY": ("BYE",), "SM": ("SMS", "SME"),
    "L": ("ms",), "U": ("us",), "sec": ("s",),
}  # fmt: skip
_TEXT = re.compile(r"(?P<count>-?[0-9]*)(?P<offset>[A-Za-z]+)")
_MOST_DIGITS = 18
"""Longer than any step between two datetimes, in microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A number of offsets, for instance two months. `str` gives the text that :meth:`parse` reads: ``2M``.

    Attributes:
        count: How many, at least 1.
        offset: Of what: one of :data:`OFFSETS`.

    Raises:
        ConfigurationError: The offset is unknown (TG620) or not supported (TG622), or the count not positive (TG621).
    """

    count: int = 1
    offset: str

    def __post_init__(self) -> None:
        if self.offset in _UNSUPPORTED:
            raise ConfigurationError(
                f"offset {self.offset!r} is not supported", code="TG622", hint=_UNSUPPORTED[self.offset]
            )
        if self.offset not in OFFSETS:
            raise _not_understood(str(self), "" if self.count == 1 else str(self.count), self.offset)
        require_positive(f"interval {str(self)!r}", self.count)

    @classmethod
    def parse(cls, text: str) -> Interval:
        """Return the interval of a text: a word such as ``daily``, or a count and an offset such as ``6h`` or ``MS``.

        Raises:
            ConfigurationError: As the class, and TG620 for a text of another form.
        """
        match = _TEXT.fullmatch(ALIASES.get(text.lower(), text))
        if match is None or len(match["count"]) > _MOST_DIGITS or match["count"] == "-":
            raise _not_understood(text, "", text)
        if match["offset"] not in OFFSETS and match["offset"] not in _UNSUPPORTED:
            raise _not_understood(text, match["count"], match["offset"])
        return cls(count=int(match["count"] or 1), offset=match["offset"])

    @property
    def family(self) -> Family:
        """How its steps are counted."""
        return OFFSETS[self.offset]

    def __str__(self) -> str:
        return f"{self.count}{self.offset}"


def require_positive(what: str, count: int) -> None:
    """Refuse a step that does not lead anywhere.

    Raises:
        ConfigurationError: TG621, when `count` is less than 1.
    """
    if count < 1:
        raise ConfigurationError(f"{what} must be positive", {"count": count}, code="TG621", hint="count from 1 up")


def _not_understood(text: str, count: str, offset: str) -> ConfigurationError:
    if near := _similar(count, offset):
        hint = f"did you mean {' or '.join(near)}?"
    else:
        hint = f"write a count and one of {', '.join(OFFSETS)}; or one of {', '.join(ALIASES)}"
    return ConfigurationError(f"{text[:80]!r} is no interval", {"text": text[:80]}, code="TG620", hint=hint)


def _similar(count: str, offset: str) -> list[str]:
    """Return what was probably meant; offsets come with their count."""
    found = _NEAR.get(offset) or [known for known in OFFSETS if known.lower() == offset.lower()]
    if not found and (words := difflib.get_close_matches(offset.lower(), ALIASES, n=1, cutoff=0.7)):
        if not count:
            return words
        found = [ALIASES[words[0]].lstrip("1")]  # "2days"
    return [f"{count or 1}{known}" for known in found]
