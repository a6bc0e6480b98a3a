"""The meter: which rows pass, what is remembered, where the read ended; whatever the batches."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any, ClassVar

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.engines import meter as meters
from tidegate.engines.meter import Cursor, Meter, Reading
from tidegate.engines.row_hash import row_hashes
from tidegate.errors import SourceError
from tidegate.state import SeenRows

COLUMNS = ("id", "at")
SCHEMA = {"id": pl.Int64, "at": pl.Int64}
marks = st.one_of(st.none(), st.integers(0, 5))
row_lists = st.lists(st.tuples(st.integers(0, 2), marks), max_size=12)


def read(
    rows: list[tuple[Any, ...]], before: Reading | None = None, *, batch: int = 100, **options: Any
) -> tuple[list[tuple[Any, ...]], Reading]:
    """Meter rows in batches, as an engine does: the condition first, then the batches."""
    cursor = Cursor(
        columns=("at",),
        hashed_columns=COLUMNS,
        watermark=before.watermark if before else {},
        seen=before.seen if before else SeenRows(),
        **options,
    )
    meter = Meter(cursor)
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    condition = meter.past_position(frame.schema)
    if condition is not None:
        frame = frame.filter(condition)
    passed = [row for part in frame.iter_slices(batch) for row in meter(part).rows()]
    return passed, meter.reading()


class TestOneRead:
    @given(row_lists, st.integers(1, 4))
    def test_a_first_read_takes_all(self, rows: list[tuple[int, int | None]], batch: int) -> None:
        """Without a position every row passes, and the watermark is the greatest that is not NULL."""
        passed, reading = read(rows, batch=batch)
        assert passed == rows
        assert reading.rows == len(rows)
        known = [at for _, at in rows if at is not None]
        assert reading.watermark == ({"at": max(known)} if known else {})

    @given(row_lists, st.integers(1, 4), st.integers(0, 2))
    def test_batches_do_not_matter(self, rows: list[tuple[int, int | None]], batch: int, lag: int) -> None:
        """What is remembered depends on the rows, not on how they came."""
        assert read(rows, batch=batch, lag=lag)[1] == read(rows, lag=lag)[1]

    @given(row_lists)
    def test_only_what_will_be_met_again_is_remembered(self, rows: list[tuple[int, int | None]]) -> None:
        """Ties at the watermark, and rows without one; no others."""
        _, reading = read(rows)
        top = reading.watermark.get("at")
        assert reading.seen.hashes().total() == sum(at is None or at == top for _, at in rows)


class TestReadingOn:
    @given(st.lists(row_lists, max_size=4), st.integers(1, 4), st.integers(0, 3))
    def test_a_growing_source_gives_each_row_once(
        self, steps: list[list[tuple[int, int | None]]], batch: int, lag: int
    ) -> None:
        """Each read sees all rows so far; rows that were in reach when they came pass once, as a multiset."""
        everything: list[tuple[int, int | None]] = []
        taken: Counter[tuple[int, int | None]] = Counter()
        expected: Counter[tuple[int, int | None]] = Counter()
        reading: Reading | None = None
        for new in steps:
            top = reading.watermark.get("at") if reading else None
            start = None if top is None else int(top) - lag  # type: ignore[arg-type]
            expected.update(row for row in new if row[1] is None or start is None or row[1] >= start)
            everything += new
            passed, reading = read(everything, reading, batch=batch, lag=lag)
            taken.update(passed)
            assert taken == expected

    def test_a_position_never_goes_back(self) -> None:
        """A late row within the lag leaves the watermark where it is."""
        _, first = read([(1, 5)], lag=3)
        _, second = read([(1, 5), (2, 3)], first, lag=3)
        assert second.watermark == {"at": 5}

    def test_what_is_passed_is_forgotten(self) -> None:
        """Hashes of ties are dropped once the watermark is past them."""
        _, first = read([(number, 5) for number in range(10)])
        _, second = read([(99, 6)], first)
        assert second.seen.hashes().total() == 1


class TestLimits:
    def test_too_many_ties_are_an_error_for_an_append(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An append that could not tell its rows apart says so, and names the columns."""
        monkeypatch.setattr(meters, "MOST_REMEMBERED_ROWS", 5)
        with pytest.raises(SourceError, match="newest value of at") as raised:
            read([(number, 1) for number in range(6)])
        assert raised.value.code == "TG211"

    def test_a_keyed_load_only_repeats_work(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A merge forgets instead, and says so: reading a row again does no harm there."""
        monkeypatch.setattr(meters, "MOST_REMEMBERED_ROWS", 5)
        _, reading = read([(number, 1) for number in range(6)], must_remember=False)
        (forgotten,) = reading.seen.generations
        assert (reading.rows, reading.watermark) == (6, {"at": 1})
        assert (forgotten.up_to, forgotten.hashes.total(), forgotten.complete) == ({"at": 1}, 0, False)

    def test_many_rows_below_the_watermark_are_no_matter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only what is left at the end counts."""
        monkeypatch.setattr(meters, "MOST_REMEMBERED_ROWS", 5)
        _, reading = read([(number, number) for number in range(100)], batch=1)
        assert reading.seen.hashes().total() == 1

    def test_progress_counts_rows(self) -> None:
        """Who watches sees the rows so far."""
        seen: list[int] = []
        meter = Meter(Cursor(columns=("at",), hashed_columns=COLUMNS), seen.append)
        for at in (1, 2):
            meter(pl.DataFrame({"id": [1, 2], "at": [at, at]}))
        assert seen == [2, 4]


class TestEarlierPositions:
    """Rows that earlier versions remembered: by converted values, and decimals with a point behind all digits."""

    ROWS: ClassVar = pl.DataFrame({"id": [1, 2], "at": [5, 5], "n": [Decimal("1.00"), Decimal("2.50")]})

    def metered(self, rows: pl.DataFrame, seen: SeenRows, **options: Any) -> tuple[pl.DataFrame, Reading]:
        cursor = Cursor(
            columns=("at",), hashed_columns=("id", "at", "n"), watermark={"at": 5} if seen.generations else {},
            seen=seen, **options,
        )  # fmt: skip
        meter = Meter(cursor)
        return meter(rows), meter.reading()

    def test_they_are_recognised(self) -> None:
        """Also where a rule has changed what is read, and until the watermark has passed them."""
        types = {"id": "a number", "at": "a number", "n": "a number"}
        _, before = self.metered(self.ROWS, SeenRows())
        assert before.seen.types == {}
        more = pl.concat([self.ROWS, self.ROWS.with_columns(id=pl.col("id") + 2)])
        more = more.with_columns(pl.lit(0).alias(f"{meters.AS_READ}id"))
        passed, after = self.metered(more, before.seen, types=types)
        assert passed["id"].to_list() == [3, 4]
        assert after.seen.types == {}
        passed, last = self.metered(more.with_columns(at=pl.col("at") + pl.col("id") // 4), after.seen, types=types)
        assert passed["id"].to_list() == [4]
        assert (last.watermark, last.seen.types) == ({"at": 6}, types)

    def test_their_hashes_are_what_they_were(self) -> None:
        """They are in positions that are stored."""
        assert row_hashes(self.ROWS, ("n",), with_points=True) == [11892304077563715953, 10294424486184233057]
