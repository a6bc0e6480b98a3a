"""Patterns of dated folders: `{year}/{month}/{day}`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Self

_PARTS = ("year", "month", "day", "hour")
_DIGITS: Mapping[str, str] = MappingProxyType(
    {"year": r"\d{4}", "month": r"\d{1,2}", "day": r"\d{1,2}", "hour": r"\d{1,2}"}
)
_ALWAYS = (datetime(1, 1, 1), datetime(9999, 12, 31))  # noqa: DTZ001 - folders have no zone
_PART = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class DateFolders:
    """Folders within folders whose names hold a date, level by level.

    Dates have no zone: they are only compared with each other.
    """

    levels: tuple[re.Pattern[str], ...]

    @classmethod
    def parse(cls, pattern: str) -> Self:
        """Return the folders that a pattern describes.

        Raises:
            ValueError: it names no year, a month, day or hour without those that it is in, or something else.
        """
        levels = [level for level in pattern.split("/") if level]
        named = [part for level in levels for part in _PART.findall(level)]
        if not named or {*named} != {*_PARTS[: len({*named})]}:
            msg = "write {year}, and as far as they go {month}, {day} and {hour}, for instance {year}/{month}/{day}"
            raise ValueError(msg)
        return cls(tuple(re.compile(_expression(level)) for level in levels))

    def span(self, names: Sequence[str]) -> tuple[datetime, datetime] | None:
        """Return the time `[lower, upper)` that these nested folders stand for; None when their names do not match.

        >>> DateFolders.parse("{year}/{month}").span(["2026", "3"])
        (datetime.datetime(2026, 3, 1, 0, 0), datetime.datetime(2026, 4, 1, 0, 0))

        Args:
            names: Of the outermost folder and of those in it; not more than there are levels.
        """
        found: dict[str, int] = {}
        for level, name in zip(self.levels, names, strict=False):
            match = level.fullmatch(name)
            if match is None:
                return None
            for part, digits in match.groupdict().items():
                if found.setdefault(part, int(digits)) != int(digits):
                    return None
        known = [found[part] for part in itertools.takewhile(found.__contains__, _PARTS)]
        return _span(known) if known else _ALWAYS


def _span(known: Sequence[int]) -> tuple[datetime, datetime] | None:
    """Return the time that a year is, or a month, day or hour in it."""
    try:
        year, month, day, hour = (*known, *(1, 1, 1, 0)[len(known) :])
        lower = datetime(year, month, day, hour)  # noqa: DTZ001 - folders have no zone
        match len(known):
            case 1:
                return lower, lower.replace(year=lower.year + 1)
            case 2:
                return lower, (lower + timedelta(days=31)).replace(day=1)
            case 3:
                return lower, lower + timedelta(days=1)
            case _:
                return lower, lower + timedelta(hours=1)
    except (ValueError, OverflowError):
        return None


def _expression(level: str) -> str:
    """Return the regular expression of a folder's name; a part that comes twice is the same twice."""
    expression, seen, end = "", set[str](), 0
    for found in _PART.finditer(level):
        part = found[1]
        digits = _DIGITS[part]
        if level[found.end() : found.end() + 1] == "{" or level[: found.start()].endswith("}"):
            digits = digits.replace("{1,2}", "{2}")  # where nothing parts the digits
        expression += re.escape(level[end : found.start()])
        expression += f"(?P={part})" if part in seen else f"(?P<{part}>{digits})"
        seen.add(part)
        end = found.end()
    return expression + re.escape(level[end:])
