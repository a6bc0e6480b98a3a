"""How a merge finds the files that it must rewrite, and in which groups."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.destinations.load_strategies.layout import rewrite_groups
from tidegate.destinations.selection import _may_hold
from tidegate.destinations.table import DataFile
from tidegate.destinations.table_types import fits
from tidegate.engines.polars import PolarsEngine


def file(lower: Any = None, upper: Any = None, rows: int | None = 1) -> DataFile:
    """Return a file with these bounds of its key."""
    bounds = {} if lower is None else {"lower": {"k": lower}, "upper": {"k": upper}}
    return DataFile(path="f", rows=rows, size=1, **bounds)


class TestMayHold:
    @pytest.mark.parametrize(
        ("lower", "upper", "keys", "may"),
        [
            (1, 5, (5, 9), True),
            (1, 5, (6, 9), False),
            (6, 9, (1, 5), False),
            (1, 5, None, True),
            (1, 5, (None, None), True),
            (None, None, (1, 2), True),
            ("a", "m", ("n", "z"), False),
            ("a", "m", (1, 2), True),
            (date(2024, 1, 1), date(2024, 1, 31), (date(2024, 2, 1), date(2024, 2, 2)), False),
            (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC), (datetime(2025, 1, 1),) * 2, True),  # noqa: DTZ001
            (1.0, 2.0, (Decimal("2.5"), Decimal(3)), False),
        ],
    )
    def test_bounds_only_rule_out_what_they_prove(self, lower: Any, upper: Any, keys: Any, may: bool) -> None:  # noqa: FBT001
        """Unknown, NULL and bounds of another kind prove nothing."""
        assert _may_hold(file(lower, upper), "k", keys) is may


class TestGroups:
    @given(st.lists(st.one_of(st.none(), st.integers(0, 50)), max_size=20), st.integers(1, 100))
    def test_every_file_is_in_one_group_of_bounded_size(self, counts: list[int | None], rows: int) -> None:
        """Groups keep the order, and no group without its last file reaches the limit."""
        files = [file(rows=count) for count in counts]
        groups = list(rewrite_groups(files, rows))
        assert [member for group in groups for member in group] == files
        for group in groups:
            assert sum(rows if member.rows is None else member.rows for member in group[:-1]) < rows


class TestKeys:
    def test_ranges(self) -> None:
        """The range of each key, unless NULL or NaN is among them."""
        engine = PolarsEngine()
        frame = pl.LazyFrame({"a": [3, 1], "b": [None, 1], "c": [1.0, float("nan")], "d": ["x", "ü"]})
        import narwhals as nw

        ranges = engine.key_ranges(nw.from_native(frame), ["a", "b", "c", "d"])
        assert ranges == {"a": (1, 3), "b": None, "c": None, "d": ("x", "ü")}


class TestFits:
    @pytest.mark.parametrize(
        ("narrow", "wide", "fit"),
        [
            (pa.int32(), pa.int64(), True),
            (pa.int64(), pa.int32(), False),
            (pa.int64(), pa.float64(), False),
            (pa.int32(), pa.float64(), True),
            (pa.int64(), pa.decimal128(18, 0), False),
            (pa.int64(), pa.decimal128(19, 0), True),
            (pa.float32(), pa.float64(), True),
            (pa.float64(), pa.float32(), False),
            (pa.decimal128(10, 2), pa.decimal128(12, 4), True),
            (pa.decimal128(10, 2), pa.decimal128(10, 3), False),
            (pa.string(), pa.int64(), False),
            (pa.int64(), pa.string(), False),
            (pa.date32(), pa.timestamp("us"), False),
            (pa.null(), pa.int64(), True),
            (pa.list_(pa.int32()), pa.list_(pa.int64()), True),
            (pa.struct([("x", pa.int32())]), pa.struct([("x", pa.int64()), ("y", pa.string())]), True),
            (pa.struct([("x", pa.int32()), ("y", pa.string())]), pa.struct([("x", pa.int64())]), False),
        ],
    )
    def test_without_loss_or_not_at_all(self, narrow: pa.DataType, wide: pa.DataType, fit: bool) -> None:  # noqa: FBT001
        """A type fits into another when each of its values is one of the other's."""
        assert fits(narrow, wide) is fit
