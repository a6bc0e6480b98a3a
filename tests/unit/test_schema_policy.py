"""How a batch's columns go into a table's, decided without a table."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.destinations.schema_policy import Settled, settle
from tidegate.destinations.table import Snapshot
from tidegate.destinations.table_types import delta_type, fits, united
from tidegate.errors import DestinationError


class Table:
    """Stands for a table where only its types matter."""

    place = "lake/t"

    def storable(self, column: str, dtype: pa.DataType) -> pa.DataType:
        """Take what Delta takes."""
        return delta_type(column, dtype, self.place)

    def widening(self, column: str, dtype: pa.DataType, into: pa.DataType) -> str | None:
        """Widen all but one column."""
        return None if column == "fixed" else "rewrite"


def settled(columns: dict[str, Any], there: dict[str, Any] | None, policy: Any = "evolve", **options: Any) -> Settled:
    """Settle columns against a table; None is one that does not exist."""
    snapshot = Snapshot(version=None) if there is None else Snapshot(version=3, columns=there)
    return settle(columns, snapshot, Table(), policy, **options)  # type: ignore[arg-type]


PLAIN = st.sampled_from(
    [
        pa.int8(),
        pa.int16(),
        pa.int32(),
        pa.int64(),
        pa.uint32(),
        pa.float32(),
        pa.float64(),
        pa.string(),
        pa.bool_(),
        pa.date32(),
        pa.timestamp("us"),
        pa.timestamp("us", "UTC"),
        pa.decimal128(10, 2),
        pa.decimal128(10, 4),
        pa.decimal128(38, 0),
        pa.decimal128(38, 38),
    ]
)
TYPES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        inner.map(pa.list_),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1).map(lambda fields: pa.struct(list(fields.items()))),
    ),
    max_leaves=4,
)


class TestUnited:
    @given(TYPES, TYPES)
    def test_it_holds_both(self, came: pa.DataType, there: pa.DataType) -> None:
        """Whatever it is, no value of either is lost."""
        both = united(came, there)
        assert both is None or (fits(came, both) and fits(there, both))

    @given(TYPES, TYPES)
    def test_what_fits_needs_no_other_type(self, came: pa.DataType, there: pa.DataType) -> None:
        """A table's type that holds the batch's stays."""
        assert not fits(came, there) or united(came, there) == there

    @given(TYPES, TYPES)
    def test_it_is_never_missed_when_one_is_wider(self, came: pa.DataType, there: pa.DataType) -> None:
        """A batch's type that holds the table's is taken, but for the order of fields."""
        both = united(came, there)
        assert not fits(there, came) or (both is not None and fits(both, came))

    @pytest.mark.parametrize(
        ("came", "there"),
        [
            (pa.int64(), pa.float64()),
            (pa.float64(), pa.int64()),
            (pa.string(), pa.int64()),
            (pa.timestamp("us"), pa.timestamp("us", "UTC")),
            (pa.decimal128(38, 0), pa.decimal128(38, 38)),
            (pa.list_(pa.string()), pa.list_(pa.int64())),
            (pa.struct([("x", pa.string())]), pa.struct([("x", pa.int64())])),
        ],
    )
    def test_there_may_be_none(self, came: pa.DataType, there: pa.DataType) -> None:
        """Where values would be lost there is no such type."""
        assert united(came, there) is None


class TestSettle:
    def test_a_first_load_takes_storable_types(self) -> None:
        """Whatever the policy, there is nothing to differ from."""
        assert settled({"n": pa.uint8()}, None, "fail").columns == {"n": pa.int16()}

    def test_evolve(self) -> None:
        """New columns, wider ones and missing ones are told apart; the batch's order stays."""
        there = {"id": pa.int32(), "old": pa.string(), "n": pa.int64()}
        found = settled({"x": pa.string(), "id": pa.int64(), "n": pa.int32()}, there)
        assert list(found.columns.items()) == [("x", pa.string()), ("id", pa.int64()), ("n", pa.int64())]
        assert (found.added, found.missing, found.rewrites) == (("x",), ("old",), True)
        assert list(found.widened) == ["id"]

    def test_ignore(self) -> None:
        """The table's types stay, and what it does not have is left out, even if the format could not hold it."""
        there = {"id": pa.int32(), "s": pa.struct([("x", pa.int32())])}
        batch = {"id": pa.int64(), "t": pa.time64("us"), "s": pa.struct([("x", pa.int64()), ("y", pa.int8())])}
        found = settled(batch, there, "ignore")
        assert found.columns == there
        assert found.narrowed == there
        assert found.ignored == ("t", "s.y")

    def test_fail_names_all_differences(self) -> None:
        """One error says everything that there is to correct."""
        with pytest.raises(
            DestinationError, match="'x' is new; column 'old' is missing; column 'n' is bigint"
        ) as caught:
            settled({"x": pa.int8(), "n": pa.int64()}, {"old": pa.int8(), "n": pa.int32()}, "fail")
        assert caught.value.code == "TG414"

    @pytest.mark.parametrize("policy", ["evolve", "ignore", "fail"])
    def test_own_columns_are_no_difference(self, policy: str) -> None:
        """What Tidegate adds is added, and not asked for; what only strategies see keeps its type."""
        batch = {"id": pa.int8(), "__updated_by": pa.string(), "__tidegate_is_delete": pa.uint8()}
        found = settled(batch, {"id": pa.int8(), "__deleted_at": pa.timestamp("us"), "__valid_to": pa.int8()}, policy)
        assert found.columns == batch
        assert (found.added, found.missing, found.ignored) == ((), (), ())

    @pytest.mark.parametrize("policy", ["evolve", "ignore", "fail"])
    @pytest.mark.parametrize("column", ["fixed", "n"])
    def test_what_does_not_fit_is_refused(self, policy: str, column: str) -> None:
        """Under every policy, with both types; so is a column that its format cannot widen."""
        came = pa.int64() if column == "fixed" else pa.string()
        with pytest.raises(DestinationError, match=r"but int in the table") as caught:
            settled({column: came}, {column: pa.int32()}, policy)
        assert (caught.value.code, caught.value.where) == ("TG403", "lake/t")

    def test_null_fits_everything(self) -> None:
        """A column without any value has the table's type."""
        assert settled({"n": pa.null()}, {"n": pa.int32()}, "fail").columns == {"n": pa.int32()}

    def test_replaced_rows_bring_their_schema(self) -> None:
        """Only under evolve."""
        batch, there = {"n": pa.string()}, {"n": pa.int64(), "old": pa.int8()}
        assert settled(batch, there, replaces_schema=True) == Settled(columns=batch)
        with pytest.raises(DestinationError):
            settled(batch, there, "ignore", replaces_schema=True)
