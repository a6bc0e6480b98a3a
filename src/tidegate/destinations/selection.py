"""Selections: which rows of a table a load may change. The table says where they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tidegate.destinations.table import DataFile
    from tidegate.engines.base import WrittenFile
    from tidegate.state.watermark import Value


class Selection(Protocol):
    """Some rows of a table."""

    def may_be_in(self, file: DataFile) -> bool:
        """Tell whether a file may hold some of them: whether its statistics do not rule it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllRows(Selection):
    """All rows."""

    def may_be_in(self, file: DataFile) -> bool:
        """Tell that every file has some."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsWithKeys(Selection):
    """The rows whose key is one of these; NULL equals NULL."""

    keys: tuple[str, ...]
    files: tuple[WrittenFile, ...]
    """Parquet files that hold the keys, and may hold other columns."""
    ranges: Mapping[str, tuple[Any, Any] | None]
    """Smallest and greatest value of each key; None where one is NULL."""

    def may_be_in(self, file: DataFile) -> bool:
        """Compare the keys with the bounds of the file, one by one."""
        return all(_may_hold(file, key, self.ranges.get(key)) for key in self.keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsFrom(Selection):
    """The rows that are not before these starts: past one of them, or NULL in one of their columns."""

    starts: Mapping[str, Value | None]
    """Column → value; None where only rows without a value are selected."""

    def may_be_in(self, file: DataFile) -> bool:
        """Tell whether statistics do not prove that every row is set and before the start."""
        return not all(
            file.nulls.get(column) == 0 and _precedes(file.upper.get(column), start, unknown=True)
            for column, start in self.starts.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsWithin(Selection):
    """The rows whose value lies in `[lower, upper)`; NULL does not."""

    column: str
    lower: Any
    upper: Any

    def may_be_in(self, file: DataFile) -> bool:
        """Tell whether bounds do not prove that all values lie outside."""
        column = self.column
        return not (_precedes(file.upper.get(column), self.lower) or _reaches(file.lower.get(column), self.upper))


def _may_hold(file: DataFile, key: str, keys: tuple[Any, Any] | None) -> bool:
    lower, upper = file.lower.get(key), file.upper.get(key)
    if keys is None or keys[0] is None or lower is None or upper is None:
        return True
    try:
        return bool(lower <= keys[1] and upper >= keys[0])
    except TypeError:
        return True


def _precedes(upper: Any, start: Any, *, unknown: bool = False) -> bool:
    """Tell whether a bound proves that all values are before the start; a float proves nothing: NaN is in no bound."""
    if upper is None or isinstance(upper, float) or isinstance(start, float):
        return False
    try:
        return unknown if start is None else bool(upper < start)
    except TypeError:
        return False


def _reaches(lower: Any, end: Any) -> bool:
    try:
        return lower is not None and not isinstance(lower, float) and bool(lower >= end)
    except TypeError:
        return False
