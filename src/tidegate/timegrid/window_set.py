"""Sets of windows: what is done, and what is missing."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter

from tidegate.errors import ConfigurationError
from tidegate.timegrid.bound import decode_bound, encode_bound, require_same_kind
from tidegate.timegrid.window import Window

_lower = attrgetter("lower")
_upper = attrgetter("upper")


@dataclass(frozen=True, slots=True)
class WindowSet:
    """An immutable set of the bounds that lie in any of some windows, all of one kind.

    It is kept as disjoint ranges in order; those that overlap or touch are one. `len` counts the ranges, iteration
    gives them in order, and an empty set is false.

    Attributes:
        ranges: The windows to begin with; kept as the ranges that they make.

    Raises:
        ConfigurationError: TG624, when the windows are of different kinds.
    """

    ranges: tuple[Window, ...] = ()

    def __init__(self, windows: Iterable[Window] = ()) -> None:
        object.__setattr__(self, "ranges", _merged(tuple(windows)))

    def add(self, window: Window) -> WindowSet:
        """Return the set with a window added.

        Raises:
            ConfigurationError: TG624, when the window is of another kind.
        """
        self._require_kind(window)
        first = bisect_left(self.ranges, window.lower, key=_upper)  # touching ranges included
        last = bisect_right(self.ranges, window.upper, key=_lower)
        touching = (window, *self.ranges[first:last])
        merged = Window(lower=min(map(_lower, touching)), upper=max(map(_upper, touching)))
        return _of_ranges((*self.ranges[:first], merged, *self.ranges[last:]))

    def covers(self, window: Window) -> bool:
        """Tell whether all of a window lies in the set. Takes O(log n).

        Raises:
            ConfigurationError: TG624, when the window is of another kind.
        """
        return bool(self.ranges) and next(self.missing(window), None) is None

    def overlaps(self, window: Window) -> bool:
        """Tell whether any of a window lies in the set. Takes O(log n).

        Raises:
            ConfigurationError: TG624, when the window is of another kind.
        """
        first, last = self._overlapping(window)
        return first < last

    def missing(self, window: Window) -> Iterator[Window]:
        """Return the parts of a window that do not lie in the set, in order, lazily.

        Raises:
            ConfigurationError: TG624, when the window is of another kind.
        """
        first, last = self._overlapping(window)
        return self._gaps(window, range(first, last))

    def to_data(self) -> list[list[object]]:
        """Return the ranges as JSON data: pairs of bounds."""
        return [[encode_bound(window.lower), encode_bound(window.upper)] for window in self.ranges]

    @classmethod
    def from_data(cls, data: object) -> WindowSet:
        """Return the set that :meth:`to_data` wrote.

        Raises:
            ConfigurationError: TG628, when the data is not a list of windows of one kind. Damage never means "empty".
        """
        if not isinstance(data, list):
            raise _damaged(data)
        try:
            pairs = [(decode_bound(lower), decode_bound(upper)) for lower, upper in data]
            return cls(Window(lower=lower, upper=upper) for lower, upper in pairs)
        except (TypeError, ValueError, ConfigurationError):
            raise _damaged(data) from None

    def __iter__(self) -> Iterator[Window]:
        return iter(self.ranges)

    def __len__(self) -> int:
        return len(self.ranges)

    def _overlapping(self, window: Window) -> tuple[int, int]:
        """Return from which to which index, not included, ranges overlap a window."""
        self._require_kind(window)
        first = bisect_right(self.ranges, window.lower, key=_upper)
        return first, bisect_left(self.ranges, window.upper, key=_lower)

    def _gaps(self, window: Window, overlapping: range) -> Iterator[Window]:
        lower = window.lower
        for index in overlapping:
            covered = self.ranges[index]
            if lower < covered.lower:  # type: ignore[operator]  # bounds of one kind compare
                yield Window(lower=lower, upper=covered.lower)
            lower = covered.upper
        if lower < window.upper:  # type: ignore[operator]  # bounds of one kind compare
            yield Window(lower=lower, upper=window.upper)

    def _require_kind(self, window: Window) -> None:
        if self.ranges:
            require_same_kind(self.ranges[0].lower, window.lower)


def _merged(windows: tuple[Window, ...]) -> tuple[Window, ...]:
    for window in windows[1:]:
        require_same_kind(windows[0].lower, window.lower)
    merged: list[Window] = []
    for window in sorted(windows):
        if merged and not merged[-1].upper < window.lower:  # type: ignore[operator]  # bounds of one kind compare
            last = merged.pop()
            merged.append(Window(lower=last.lower, upper=max(last, window, key=_upper).upper))
        else:
            merged.append(window)
    return tuple(merged)


def _of_ranges(ranges: tuple[Window, ...]) -> WindowSet:
    """Return a set of ranges that are known to be disjoint and in order."""
    found = WindowSet()
    object.__setattr__(found, "ranges", ranges)
    return found


def _damaged(data: object) -> ConfigurationError:
    return ConfigurationError(
        f"no set of windows: {str(data)[:80]}",
        code="TG628",
        hint="the stored record is damaged: restore it, or remove it to begin anew",
    )
