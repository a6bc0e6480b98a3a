"""JSON records as Arrow: nothing is dropped, nothing is bent."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import SourceError
from tidegate.sources.api_records import record_batches, settled_type, shapes_of_records, type_of

TEXTS = st.text(st.characters(codec="utf-8"), max_size=5)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "flag": st.booleans(),
    "count": st.integers(-(2**63), 2**63 - 1),
    "long": st.integers(-(10**38) + 1, 10**38 - 1),
    "part": st.floats(allow_nan=False, allow_infinity=False),
    "text": TEXTS,
    "tags": st.lists(st.none() | TEXTS, max_size=3),
    "inner": st.fixed_dictionaries({}, optional={"a": st.integers(-9, 9), "b": st.lists(st.floats(-1, 1), max_size=2)}),
    "rows": st.lists(st.fixed_dictionaries({"x": st.none() | st.booleans()}), max_size=2),
}
RECORDS = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(0, 9)}, optional={name: st.none() | value for name, value in VALUES.items()}
    ),
    max_size=6,
)


def read(records: list[dict[str, Any]], known: dict[str, pa.DataType] | None = None) -> list[dict[str, Any]]:
    shapes = shapes_of_records(records, {})
    columns = {name: settled_type(shape, (known or {}).get(name), name) for name, shape in shapes.items()}
    batches = list(record_batches([records], columns, "here"))
    return [row for batch in batches for row in batch.to_pylist()]


def same(read_value: Any, sent: Any) -> bool:
    """Tell whether a value is the one that was sent; what was not sent is NULL, and so is an object's absent field."""
    if isinstance(sent, dict):
        if not sent and (read_value == "{}" or read_value is not None):
            return True
        return all(same(read_value.get(name), sent.get(name)) for name in {*read_value, *sent})
    if isinstance(sent, list) and isinstance(read_value, list):
        return len(sent) == len(read_value) and all(map(same, read_value, sent))
    return bool(read_value == sent)


class TestRecords:
    """Records come out as they went in."""

    @given(RECORDS)
    def test_every_value_is_kept(self, records: list[dict[str, Any]]) -> None:
        rows = read(records)
        assert len(rows) == len(records)
        for row, record in zip(rows, records, strict=True):
            assert record.keys() <= row.keys()
            assert all(same(value, record.get(name)) for name, value in row.items())

    @given(RECORDS, RECORDS)
    def test_pages_settle_on_the_types_of_all_records(self, first: list[Any], second: list[Any]) -> None:
        in_pages = shapes_of_records(second, shapes_of_records(first, {}))
        assert in_pages == shapes_of_records([*first, *second], {})

    @given(RECORDS)
    def test_types_of_an_earlier_load_are_kept(self, records: list[dict[str, Any]]) -> None:
        shapes = shapes_of_records(records, {})
        types = {name: type_of(shape) for name, shape in shapes.items()}
        assert {name: settled_type(shape, types[name], name) for name, shape in shapes.items()} == types

    @pytest.mark.parametrize(
        ("values", "texts"),
        [
            ([1, "x"], ["1", "x"]),
            ([True, "x"], ["true", "x"]),
            ([{"a": [1, None]}, "x"], ['{"a": [1, null]}', "x"]),
            ([10**40], [str(10**40)]),
            ([{}], ["{}"]),
        ],
        ids=str,
    )
    def test_what_has_no_type_in_common_becomes_text(self, values: list[Any], texts: list[str]) -> None:
        assert [row["v"] for row in read([{"v": value} for value in values])] == texts

    def test_a_place_is_named_with_a_value_that_does_not_fit(self) -> None:
        with pytest.raises(SourceError) as caught:
            list(record_batches([[{"v": {"a": 1, "b": 2}}]], {"v": pa.struct([("a", pa.int64())])}, "here"))
        assert (caught.value.code, caught.value.where) == ("TG249", "here")
