"""The timeline of a key against an oracle of ten lines, in memory: thousands of stories."""

from __future__ import annotations

import itertools
from typing import Any

import narwhals as nw
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.behaviour.history import Version, told
from tidegate.destinations.load_strategies import timeline
from tidegate.destinations.load_strategies.timeline import KIND, STATE, batch_events, table_events, timelines
from tidegate.engines.polars import PolarsEngine
from tidegate.transformers.scd2_columns import IS_CURRENT, VALID_FROM, VALID_TO
from tidegate.transformers.system_columns import CREATED_AT

many = settings(max_examples=150, deadline=None)
KEYS = ("k", "n")
TYPES = {
    "k": pl.String,
    "n": pl.Int64,
    VALID_FROM: pl.Int64,
    VALID_TO: pl.Int64,
    STATE: pl.UInt64,
    CREATED_AT: pl.Int64,
}

keys = st.tuples(st.sampled_from([None, "x", ""]), st.sampled_from([None, 1]))
times = st.integers(0, 6)
states = st.one_of(st.none(), st.integers(1, 3))
batches = st.dictionaries(st.tuples(keys, times), states, max_size=12)

Key = tuple[str | None, int | None]
Row = tuple[Key, Any, Any, Any]
"""Key, from, to, state of a version."""


def frame(rows: list[Row], created: int) -> nw.LazyFrame[Any]:
    """Return rows as the strategy stages them."""
    data = [(*key, start, end, state, created) for key, start, end, state in rows]
    lazy = pl.LazyFrame(data, schema=TYPES, orient="row").with_columns(pl.col(VALID_TO).is_null().alias(IS_CURRENT))
    return nw.from_native(lazy)


def after(versions: list[Row], batch: dict[tuple[Key, int], int | None]) -> list[dict[str, Any]]:
    """Return the versions that come of these, and of a batch."""
    engine = PolarsEngine()
    news = frame([(key, at, None, state) for (key, at), state in batch.items()], 2).drop(VALID_TO, IS_CURRENT)
    events = nw.concat([table_events(engine, frame(versions, 1), KEYS), batch_events(news, KEYS)])
    native: pl.LazyFrame = timelines(engine, events, KEYS).to_native()
    return native.collect().to_dicts()


def rows(found: list[dict[str, Any]]) -> list[Row]:
    """Return versions in short."""
    return [((row["k"], row["n"]), row[VALID_FROM], row[VALID_TO], row[STATE]) for row in found]


def ordered(versions: list[Row]) -> list[Row]:
    """Sort versions, NULL first."""
    return sorted(versions, key=lambda row: [(part is not None, part) for part in (*row[0], *row[1:])])


class TestOracle:
    @many
    @given(st.lists(batches, max_size=5))
    def test_each_load_comes_to_what_the_oracle_says(self, loads: list[dict[tuple[Key, int], int | None]]) -> None:
        """The versions; which of them are the table's; and that each key has one that holds now, at most."""
        there: list[Row] = []
        for batch in loads:
            found = after(there, batch)
            expected: list[Row] = []
            for key in {row[0] for row in there} | {key for key, _ in batch}:
                old = [Version(*row[1:]) for row in there if row[0] == key]
                news = {at: state for (other, at), state in batch.items() if other == key}
                expected += [(key, new.start, new.end, new.content) for new in told(old, news)]
            assert ordered(rows(found)) == ordered(expected)
            kept = {(row[0], row[1], row[3]) for row in there}
            for row, short in zip(found, rows(found), strict=True):
                assert row[IS_CURRENT] == (row[VALID_TO] is None)
                assert (row[KIND] == timeline.VERSION) == ((short[0], short[1], short[3]) in kept)
            there = rows(found)

    @many
    @given(batches, st.randoms(use_true_random=False))
    def test_the_order_of_rows_does_not_matter(self, batch: dict[tuple[Key, int], int | None], random: Any) -> None:
        """Neither in the table nor in the batch."""
        there = rows(after([], batch))
        shuffled, again = list(there), list(batch.items())
        random.shuffle(shuffled)
        random.shuffle(again)
        assert ordered(rows(after(shuffled, dict(again)))) == ordered(there)


class TestAnyTable:
    @many
    @given(
        st.lists(
            st.tuples(keys, st.one_of(st.none(), times), st.one_of(st.none(), times), st.integers(1, 3)), max_size=10
        ),
        batches,
    )
    def test_whatever_was_there_one_story_is_told(
        self, there: list[Row], batch: dict[tuple[Key, int], int | None]
    ) -> None:
        """Versions that overlap, begin together or hold at no time: then none do, and the batch's word counts."""
        found = rows(after(there, batch))
        by_key: dict[Key, list[Row]] = {}
        for row in ordered(found):
            by_key.setdefault(row[0], []).append(row)
        for versions in by_key.values():
            for earlier, later in itertools.pairwise(versions):
                assert earlier[2] is not None
                assert earlier[2] <= later[1]
                assert earlier[2] < later[1] or earlier[3] != later[3]
            assert all(row[1] is None or row[2] is None or row[1] < row[2] for row in versions)
        for (key, at), state in batch.items():
            holding = [
                row[3]
                for row in found
                if row[0] == key and (row[1] is None or row[1] <= at) and (row[2] is None or at < row[2])
            ]
            assert holding == ([] if state is None else [state])
        untouched = {row[0] for row in there} - {key for key, _ in batch}
        again = rows(after([row for row in found if row[0] in untouched], {}))
        assert ordered(again) == ordered([row for row in found if row[0] in untouched])
