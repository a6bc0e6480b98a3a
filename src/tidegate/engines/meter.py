"""The meter: sees every row of a read once, on the way, and knows afterwards where the read ended.

It lets through the rows past a position, drops those that an earlier load already took (ties at the boundary, the
tail of a lag, rows without a watermark), counts, and finds the new position. No second scan for a count or a maximum.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import polars as pl

from tidegate.engines.row_hash import row_hashes
from tidegate.errors import SourceError
from tidegate.state import Generation, SeenRows
from tidegate.state.watermark import Value, less_lag, reaches, render_value

MOST_REMEMBERED_ROWS = 1_000_000
MOST_REMEMBERED_KEYED_ROWS = 10_000
"""Of a load that may take rows again: they are of use only to an append that may come after it."""
AS_READ = "__tidegate_read_"
"""Before the name of a column: its values as they were read, for the meter alone."""
_HASH = "__tidegate_hash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """From where a read starts, and what it must remember for the next one."""

    columns: tuple[str, ...] = ()
    """Watermark columns; a row is past the position when any of them is."""
    watermark: Mapping[str, Value] = field(default_factory=dict)
    lag: str | float | None = None
    look_back: Callable[[Value], Value] | None = None
    """Moves a value back, after the lag has; others than dates and times stay."""
    seen: SeenRows = field(default_factory=SeenRows)
    hashed_columns: tuple[str, ...] = ()
    """Columns by which rows are recognised; none when rows need not be remembered."""
    types: Mapping[str, Any] = field(default_factory=dict)
    """Their types, as positions keep them; empty to recognise rows by values as they were converted."""
    doubt: str = ""
    """Why rows may not be recognised that an earlier load took; empty when all are."""
    must_remember: bool = True
    """Whether forgetting rows would double them (append), or only repeat work (keyed loads)."""

    def start(self, column: str) -> Value | None:
        """Return where the read starts in this column: back from the watermark, as far as rows are remembered."""
        value = self.watermark.get(column)
        if value is None or not self.goes_back:
            return value
        start = self.back(value)
        remembered = self.seen.since.get(column, value)
        return remembered if self.must_remember and reaches(remembered, start) else start

    @property
    def goes_back(self) -> bool:
        """Whether reads start before the position."""
        return self.lag is not None or self.look_back is not None

    def back(self, value: Value) -> Value:
        """Return from where rows are read again once the watermark is `value`: less the lag, then the look-back."""
        value = value if self.lag is None else less_lag(value, self.lag)
        return value if self.look_back is None else self.look_back(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the meter found."""

    rows: int
    """Rows that are new."""
    recognised: int
    """Rows that an earlier load took already, and that were left out."""
    watermark: Mapping[str, Value]
    seen: SeenRows


class Meter:
    """Meters one run of one frame. Safe under the engine's threads.

    Args:
        cursor: Where the read starts.
        progress: Called with the number of rows seen so far.
    """

    def __init__(self, cursor: Cursor, progress: Callable[[int], None] | None = None) -> None:
        self._cursor = cursor
        self._progress = progress
        self._lock = threading.Lock()
        self._rows = 0
        self._recognised = 0
        self._watermark: dict[str, Value] = {}
        self._remembered: list[pl.DataFrame] = []
        """Watermark columns and hash of rows that the next read may meet again; never whole rows, which hold memory."""
        self._remembered_rows = 0
        # a keyed load takes a row again without harm, and must: its value may have come back after another
        self._to_recognise = cursor.seen.hashes() if cursor.must_remember else Counter()
        self._recognised_by = _Hashing(cursor.seen.columns, is_as_read=bool(cursor.seen.types))
        self._remembered_by = _Hashing(cursor.hashed_columns, is_as_read=bool(cursor.types))
        # rows are remembered by the columns of the rows remembered before, as long as those are needed, else by all
        self._hashed_by = {self._remembered_by: _HASH}
        if cursor.seen.hashes():
            self._hashed_by.setdefault(self._recognised_by, f"{_HASH}_before")
        # a keyed load that looks back reads a long tail again every time: it only says that rows were there
        self._tracks = bool(cursor.columns and cursor.hashed_columns) and (cursor.must_remember or not cursor.goes_back)
        self._most = MOST_REMEMBERED_ROWS
        if not cursor.must_remember:
            self._most = min(MOST_REMEMBERED_ROWS, MOST_REMEMBERED_KEYED_ROWS)
        self._has_unknown = False
        self._has_values: set[str] = set()
        """Columns in which not all rows to remember are NULL."""

    def past_position(self, dtypes: Mapping[str, pl.DataType]) -> pl.Expr | None:
        """Return the condition for rows that may be new, for the engine to push down; None when all may be."""
        starts = {column: self._cursor.start(column) for column in self._cursor.columns}
        if all(start is None for start in starts.values()):
            return None
        values = {column: comparable(column, dtypes[column]) for column in starts}
        reached = [
            # in a column that was always NULL, any value is new
            values[column].is_not_null() if start is None else values[column] >= literal(start, dtypes[column])
            for column, start in starts.items()
        ]
        return pl.any_horizontal(reached).fill_null(False) | self._is_unknown(dtypes)

    def __call__(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the new rows of one batch.

        Raises:
            SourceError: one of them may have been loaded before, and nothing tells (TG227); or too many share the
                newest watermark (TG211).
        """
        if not rows.height:
            return rows
        with self._lock:
            if self._to_recognise or self._cursor.doubt:
                rows = self._unrecognised(rows)
            self._rows += rows.height
            if self._cursor.columns and rows.height:
                self._observe(rows)
            if self._progress is not None:
                self._progress(self._rows)
        return rows

    def reading(self) -> Reading:
        """Return what was found, once the frame has run.

        Raises:
            SourceError: more rows share the newest watermark than an append can remember (TG211).
        """
        watermark = self._reached()
        is_followed = self._cursor.columns and self._cursor.hashed_columns
        seen = SeenRows() if not is_followed else self._seen(watermark) if self._tracks else self._unseen(watermark)
        return Reading(rows=self._rows, recognised=self._recognised, watermark=watermark, seen=seen)

    def _unrecognised(self, rows: pl.DataFrame) -> pl.DataFrame:
        candidates = rows.select(~self._is_ahead(rows.schema)).to_series()
        if not candidates.any():
            return rows
        if self._cursor.doubt:
            raise self._in_doubt()
        keep = [True] * rows.height
        positions = candidates.arg_true().to_list()
        for index, number in zip(positions, self._recognised_by.of(rows.filter(candidates)), strict=True):
            if self._to_recognise[number] > 0:
                self._to_recognise[number] -= 1
                self._recognised += 1
                keep[index] = False
        return rows.filter(pl.Series(keep))

    def _is_ahead(self, schema: Mapping[str, pl.DataType]) -> pl.Expr:
        """Tell rows that no earlier load can have seen: past the watermark itself, not only past its lag."""
        known = self._cursor.watermark
        values = {column: comparable(column, schema[column]) for column in self._cursor.columns}
        ahead = [
            value > literal(known[column], schema[column]) if column in known else value.is_not_null()
            for column, value in values.items()
        ]
        return pl.any_horizontal(ahead).fill_null(False) if ahead else pl.lit(False)

    def _observe(self, rows: pl.DataFrame) -> None:
        columns = self._cursor.columns
        greatest = rows.select(comparable(column, rows.schema[column]).max() for column in columns).row(0, named=True)
        for column, value in greatest.items():
            if value is not None and (column not in self._watermark or reaches(value, self._watermark[column])):
                self._watermark[column] = value
        if not self._cursor.must_remember and not self._has_unknown:
            self._has_unknown = bool(rows.select(self._is_unknown(rows.schema).any()).item())
        if not self._tracks:
            return
        kept = rows.filter(self._must_be_remembered(rows.schema))
        if kept.height:
            values = self._remembered_by.values(kept)
            self._has_values.update(column.name for column in values if column.null_count() < column.len())
            hashes = [pl.Series(name, hashing.of(kept), dtype=pl.UInt64) for hashing, name in self._hashed_by.items()]
            self._remembered.append(kept.select(columns).with_columns(hashes))
            self._remembered_rows += kept.height
            if self._remembered_rows > self._most:
                self._forget()

    def _must_be_remembered(self, schema: Mapping[str, pl.DataType]) -> pl.Expr:
        values = {column: comparable(column, schema[column]) for column in self._cursor.columns}
        floors = self._floors()
        at_the_end = [values[column] >= literal(floor, schema[column]) for column, floor in floors.items()]
        unknown = self._is_unknown(schema)
        return (pl.any_horizontal(at_the_end).fill_null(False) | unknown) if at_the_end else unknown

    def _is_unknown(self, schema: Mapping[str, pl.DataType]) -> pl.Expr:
        return pl.all_horizontal([comparable(column, schema[column]).is_null() for column in self._cursor.columns])

    def _reached(self) -> dict[str, Value]:
        """Return per column the greatest value of this and all earlier reads: a watermark never goes back."""
        cursor = self._cursor
        reached = {column: value for column, value in cursor.watermark.items() if column in cursor.columns}
        for column, value in self._watermark.items():
            if column not in reached or reaches(value, reached[column]):
                reached[column] = value
        return reached

    def _floors(self) -> dict[str, Value]:
        """Return per column where the next read will start."""
        return {column: self._cursor.back(value) for column, value in self._reached().items()}

    def _forget(self) -> None:
        """Drop rows that a greater watermark has made unnecessary; fail when too many are left."""
        rows = pl.concat(self._remembered)
        rows = rows.filter(self._must_be_remembered(rows.schema))
        self._remembered, self._remembered_rows = [rows], rows.height
        if rows.height <= self._most:
            return
        if self._cursor.must_remember:
            raise self._too_many()
        self._remembered, self._remembered_rows, self._tracks = [], 0, False

    def _too_many(self) -> SourceError:
        names = ", ".join(self._cursor.columns)
        share = "lie where the next read looks back to in" if self._cursor.goes_back else "share the newest value of"
        msg = (
            f"more than {MOST_REMEMBERED_ROWS:,} rows {share} {names}, or have none: an append could "
            "not tell them from rows that arrive later with the same value"
        )
        hint = "use a finer watermark, or merge_upsert with merge_keys, or no watermark: each file is then loaded once"
        return SourceError(msg, {"columns": list(self._cursor.columns)}, code="TG211", hint=hint)

    def _in_doubt(self) -> SourceError:
        starts = {column: self._cursor.start(column) for column in self._cursor.columns}
        place = ", ".join(f"{column}={render_value(value)}" for column, value in starts.items() if value is not None)
        msg = f"rows from {place or 'before'} on may have been loaded, and cannot be told from new ones"
        hint = (
            f"undo that, or remove the rows from {place or 'then'} on, and those without a value, from "
            f"the table, and let `tidegate state set FLOW {place or 'COLUMN=VALUE'} --yes` load them again"
        )
        details = {"columns": list(self._cursor.columns)}
        return SourceError(f"{msg}: {self._cursor.doubt}", details, code="TG227", hint=hint)

    def _unseen(self, watermark: Mapping[str, Value]) -> SeenRows:
        """Return that there are rows which the next read meets again, and that none of them is remembered."""
        before = any(not generation.up_to for generation in self._cursor.seen.generations)
        ends = ([watermark] if watermark else []) + ([{}] if self._has_unknown or before else [])
        return SeenRows(
            generations=tuple(Generation(up_to=up_to, hashes=Counter(), complete=False) for up_to in ends),
            since={column: self._remembered_since(column, floor) for column, floor in self._floors().items()},
        )

    def _seen(self, watermark: Mapping[str, Value]) -> SeenRows:
        floors = self._floors()
        kept = [
            generation
            for generation in self._cursor.seen.generations
            if not generation.up_to
            or any(reaches(value, floors[column]) for column, value in generation.up_to.items() if column in floors)
        ]
        is_before = any(generation.hashes for generation in kept)
        hashing = self._recognised_by if is_before else self._remembered_by
        since = {column: self._remembered_since(column, floor) for column, floor in floors.items()}
        known, unknown = self._remembered_now(self._hashed_by[hashing])
        if not self._cursor.must_remember:
            kept = _without(kept, known + unknown)  # they were read, and remembered, again
        are_all = True
        for generation in kept:
            if not generation.up_to:
                unknown.update(generation.hashes)  # kept for good, and so in one
                are_all &= generation.complete
        if known.total() + unknown.total() > self._most:
            if self._cursor.must_remember:
                raise self._too_many()
            return self._unseen(watermark)
        generations = [generation for generation in kept if generation.up_to]
        generations += [Generation(up_to=watermark, hashes=known)] if known else []
        generations += [Generation(up_to={}, hashes=unknown, complete=are_all)] if unknown or not are_all else []
        types = {column: kind if column in self._has_values else None for column, kind in self._cursor.types.items()}
        if is_before:  # NULL is of any type
            before = self._cursor.seen.types
            types = {column: types.get(column) if kind is None else kind for column, kind in before.items()}
        if not any(generation.hashes for generation in generations):
            return SeenRows(generations=tuple(generations), since=since)
        return SeenRows(columns=hashing.columns, types=types, generations=tuple(generations), since=since)

    def _remembered_now(self, hash_column: str) -> tuple[Counter[int], Counter[int]]:
        """Return the hashes of this read's rows that the next may meet: those with a watermark, and those without."""
        if not self._remembered:
            return Counter(), Counter()
        rows = pl.concat(self._remembered)
        rows = rows.filter(self._must_be_remembered(rows.schema))
        is_unknown = self._is_unknown(rows.schema)
        known, unknown = (rows.filter(part)[hash_column].to_list() for part in (~is_unknown, is_unknown))
        return Counter(known), Counter(unknown)

    def _remembered_since(self, column: str, floor: Value) -> Value:
        """Return from which value on all rows are remembered: a lag that grew reaches no rows of earlier loads."""
        before = self._cursor.seen.since.get(column, self._cursor.watermark.get(column))
        return floor if before is None or reaches(floor, before) else before


@dataclass(frozen=True, slots=True)
class _Hashing:
    """By what rows are recognised."""

    columns: tuple[str, ...]
    is_as_read: bool
    """Whether by values as they were read; else as they were converted, which earlier versions did."""

    def of(self, rows: pl.DataFrame) -> list[int]:
        """Return the hash of each row."""
        return row_hashes(self.values(rows), self.columns, with_points=not self.is_as_read)

    def values(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the columns; one that has another spelling is found, one that is not there left out."""
        spelled = {name.lower(): name for name in rows.columns} | {name: name for name in rows.columns}
        values = {}
        for column in self.columns:
            names = [f"{AS_READ}{column}", column] if self.is_as_read else [column]
            found = (spelled.get(name, spelled.get(name.lower())) for name in names)
            if (name := next(filter(None, found), None)) is not None:
                values[column] = pl.col(name)
        return rows.select(**values)


def _without(generations: Sequence[Generation], again: Counter[int]) -> list[Generation]:
    """Return earlier generations without rows that are in a later one; those that are left empty go."""
    left: list[Generation] = []
    for generation in reversed(generations):
        repeated = generation.hashes & again
        again = again - repeated
        if (hashes := generation.hashes - repeated) or not generation.complete:
            left.append(replace(generation, hashes=hashes))
    return left[::-1]


def comparable(column: str, dtype: pl.DataType) -> pl.Expr:
    """Return the column as watermarks compare it: times to the microsecond and in UTC, NaN and infinity as NULL."""
    value = pl.col(column)
    match dtype:
        case pl.Datetime(time_unit=unit, time_zone=zone):
            value = value if unit == "us" else value.dt.cast_time_unit("us")
            return value if zone in {None, "UTC"} else value.dt.convert_time_zone("UTC")
        case pl.Float32() | pl.Float64():
            return pl.when(value.is_finite()).then(value)
        case _:
            return value


def literal(value: Any, dtype: pl.DataType) -> pl.Expr:
    """Return a watermark value as a literal that compares with :func:`comparable`."""
    if isinstance(value, datetime):
        return pl.lit(value, dtype=pl.Datetime("us", "UTC" if value.tzinfo else None))
    return pl.lit(value, dtype=dtype if isinstance(dtype, pl.Decimal) else None)
