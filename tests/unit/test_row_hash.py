"""Row hashes: equal rows have one hash on every machine, engine and version; different rows have two."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.engines.row_hash import row_hashes

texts = st.one_of(st.none(), st.text(alphabet="~:1ab\x00é", max_size=4))
rows = st.lists(st.tuples(texts, texts, st.one_of(st.none(), st.integers(-100, 100))), min_size=1, max_size=20)
SCHEMA = {"a": pl.String, "b": pl.String, "n": pl.Int64}
COLUMNS = ("a", "b", "n")


def hash_of(value: Any, dtype: Any) -> int:
    """Return the hash of one value."""
    (number,) = row_hashes(pl.DataFrame({"v": [value]}, schema={"v": dtype}), ("v",))
    return number


class TestRows:
    @given(rows, st.integers(1, 5))
    def test_chunks_do_not_matter(self, data: list[tuple[Any, ...]], size: int) -> None:
        """A row has the same hash in any batch."""
        frame = pl.DataFrame(data, schema=SCHEMA, orient="row")
        parts = [number for part in frame.iter_slices(size) for number in row_hashes(part, COLUMNS)]
        assert parts == row_hashes(frame, COLUMNS)

    @given(rows)
    def test_equal_hashes_mean_equal_rows(self, data: list[tuple[Any, ...]]) -> None:
        """No two different rows read alike, whatever they hold: separators, marks for NULL, empty text."""
        hashes = row_hashes(pl.DataFrame(data, schema=SCHEMA, orient="row"), COLUMNS)
        assert len(set(hashes)) == len(set(data))

    def test_a_missing_column_is_null(self) -> None:
        """A row without a column hashes like one where it is NULL."""
        narrow = pl.DataFrame({"a": [1]})
        wide = pl.DataFrame({"a": [1], "b": [None]}, schema={"a": pl.Int64, "b": pl.Date})
        assert row_hashes(narrow, ("a", "b")) == row_hashes(wide, ("a", "b"))

    def test_the_order_of_columns_in_the_file_does_not_matter(self) -> None:
        """The named columns count, in the named order."""
        frame = pl.DataFrame({"a": [1], "b": [2]})
        assert row_hashes(frame, ("a", "b")) == row_hashes(frame.select("b", "a"), ("a", "b"))
        assert row_hashes(frame, ("a", "b")) != row_hashes(frame, ("b", "a"))

    def test_no_rows(self) -> None:
        """Nothing has no hash."""
        assert row_hashes(pl.DataFrame(schema=SCHEMA), COLUMNS) == []

    def test_it_is_part_of_the_stored_format(self) -> None:
        """Hashes are kept in positions: they never change between versions."""
        frame = pl.DataFrame({"a": [1], "b": ["x"], "c": [date(2024, 1, 1)], "e": [1.5], "f": [True]})
        assert row_hashes(frame, ("a", "b", "c", "e", "f", "missing")) == [6616706741933867775]


class TestTypes:
    @pytest.mark.parametrize(
        ("value", "dtypes"),
        [
            (100, [pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt64]),
            (0.5, [pl.Float32, pl.Float64]),
            (Decimal("1.50"), [pl.Decimal(10, 2), pl.Decimal(38, 2), pl.Decimal(38, 10)]),
            (datetime(2024, 1, 1, 12), [pl.Datetime("ms"), pl.Datetime("us"), pl.Datetime("ns")]),  # noqa: DTZ001
            ("text", [pl.String, pl.Categorical]),
        ],
    )
    def test_the_width_of_a_type_does_not_matter(self, value: Any, dtypes: list[Any]) -> None:
        """A value hashes alike in a narrow and in a wide column."""
        assert len({hash_of(value, dtype) for dtype in dtypes}) == 1

    @pytest.mark.parametrize(
        ("dtype", "values"),
        [
            (pl.Float64, [0.1, 0.1 + 1e-17 * 2, float("nan"), float("inf"), -0.0]),
            (pl.Binary, [b"", b"\x00", b"\xff"]),
            (pl.Time, [time(1), time(1, 0, 0, 1)]),
            (pl.Boolean, [True, False, None]),
            (pl.Datetime("us", "UTC"), [datetime(1600, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)]),
            (pl.List(pl.Int64), [[], [1], [1, 2], [None], None]),
            (pl.Struct({"x": pl.Int64, "y": pl.String}), [{"x": 1, "y": "a"}, {"x": 1, "y": None}, None]),
            (pl.Struct({"at": pl.Date}), [{"at": date(2024, 1, 1)}, {"at": None}]),
        ],
        ids=str,
    )
    def test_every_type_tells_its_values_apart(self, dtype: Any, values: list[Any]) -> None:
        """Different values have different hashes, equal ones the same, in every type."""
        hashes = [hash_of(value, dtype) for value in values]
        assert len(set(hashes)) == len({repr(value) for value in values})
        assert hashes == [hash_of(value, dtype) for value in values]
