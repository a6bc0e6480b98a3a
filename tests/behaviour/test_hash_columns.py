"""Hash columns: equal values have one hash, on every machine and in every version."""

from __future__ import annotations

import hashlib
import struct
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.behaviour.project import Project
from tidegate.engines.base import Digest
from tidegate.engines.digest import digest_expression

NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)
MICROSECONDS = 1_706_702_400_000_000


def written(letter: str, text: str) -> str:
    """Return a value as the documentation says that it is written."""
    return f"{letter}{len(text.encode())}:{text}"


def bits(number: float) -> str:
    """Return a float's 64 bits, as a number."""
    return str(struct.unpack("<Q", struct.pack("<d", number))[0])


def digest(values: dict[str, Any], dtypes: dict[str, Any], algorithm: str = "sha256") -> Any:
    """Return the hash of one row."""
    frame = pl.DataFrame({name: pl.Series([value], dtype=dtypes[name]) for name, value in values.items()})
    expression = digest_expression(Digest(algorithm=algorithm, columns=tuple(values)), frame.schema)  # type: ignore[arg-type]
    return frame.select(expression.alias("h")).item()


def of_one(value: Any, dtype: Any) -> str:
    """Return the hash of one value."""
    return str(digest({"v": value}, {"v": dtype}))


class TestKnownAnswers:
    @pytest.mark.parametrize(
        ("value", "dtype", "text"),
        [
            (None, pl.String, "~"),
            (None, pl.Int64, "~"),
            ("", pl.String, written("t", "")),
            ("é~:", pl.String, written("t", "é~:")),
            ("1", pl.String, written("t", "1")),
            (1, pl.Int8, written("i", "1")),
            (-(2**63), pl.Int64, written("i", "-9223372036854775808")),
            (2**64 - 1, pl.UInt64, written("i", "18446744073709551615")),
            (True, pl.Boolean, written("b", "true")),
            (Decimal("-1.50"), pl.Decimal(10, 2), written("d", "-1.5")),
            (Decimal("100.00"), pl.Decimal(10, 2), written("d", "100")),
            (Decimal(100), pl.Decimal(10, 0), written("d", "100")),
            (Decimal("0.00"), pl.Decimal(10, 2), written("d", "0")),
            (0.1, pl.Float64, written("f", bits(0.1))),
            (0.5, pl.Float32, written("f", bits(0.5))),
            (-0.0, pl.Float64, written("f", "0")),
            (float("nan"), pl.Float64, written("f", "9221120237041090560")),
            (float("inf"), pl.Float64, written("f", bits(float("inf")))),
            (date(1969, 12, 31), pl.Date, written("D", "-1")),
            (time(0, 0, 1), pl.Time, written("T", "1000000")),
            (NOON, pl.Datetime("us", "UTC"), written("z", str(MICROSECONDS))),
            (NOON, pl.Datetime("ms", "Asia/Tokyo"), written("z", str(MICROSECONDS))),
            (NOON.replace(tzinfo=None), pl.Datetime("ns"), written("n", str(MICROSECONDS))),
            (b"\x00\xff", pl.Binary, written("x", "00ff")),
            ("a", pl.Categorical, written("t", "a")),
        ],
    )
    def test_a_value_is_written_as_documented(self, value: Any, dtype: Any, text: str) -> None:
        """The hash is that of the documented text, by another implementation."""
        assert of_one(value, dtype) == hashlib.sha256(text.encode()).hexdigest()

    def test_not_a_number_is_one_value(self) -> None:
        """Whatever its sign and payload."""
        others = [struct.unpack("<d", struct.pack("<Q", one))[0] for one in (0xFFF8 << 48, (0x7FF8 << 48) + 1)]
        assert {of_one(number, pl.Float64) for number in others} == {of_one(float("nan"), pl.Float64)}

    def test_rows_are_written_one_value_after_the_other(self) -> None:
        """Without anything between them, in the order that is declared."""
        row = {"name": "Ada", "id": 7, "note": None}
        dtypes = {"name": pl.String, "id": pl.Int64, "note": pl.Date}
        assert digest(row, dtypes) == hashlib.sha256(b"t3:Adai1:7~").hexdigest()
        assert digest(dict(reversed(row.items())), dtypes) == hashlib.sha256(b"~i1:7t3:Ada").hexdigest()

    def test_xxhash64_is_that_of_spark(self) -> None:
        """XXH64 with the seed 42, signed: `xxhash64('t5:Spark')` and `xxhash64('~')` there."""
        assert digest({"v": "Spark"}, {"v": pl.String}, "xxhash64") == SPARK["t5:Spark"]
        assert digest({"v": None}, {"v": pl.String}, "xxhash64") == SPARK["~"]


def xxh64(data: bytes, seed: int = 42) -> int:
    """Return XXH64 of less than 32 bytes, signed, as its specification has it."""
    one, two, three, four, five = (
        11400714785074694791, 14029467366897019727, 1609587929392839161, 9650029242287828579, 2870177450012600261,
    )  # fmt: skip
    all_bits = 2**64 - 1

    def rotated(number: int, by: int) -> int:
        return ((number << by) | (number >> (64 - by))) & all_bits

    result, rest = (seed + five + len(data)) & all_bits, data
    while len(rest) >= 8:
        lane = rotated(int.from_bytes(rest[:8], "little") * two & all_bits, 31) * one & all_bits
        result, rest = (rotated(result ^ lane, 27) * one + four) & all_bits, rest[8:]
    if len(rest) >= 4:
        result = (rotated(result ^ (int.from_bytes(rest[:4], "little") * one & all_bits), 23) * two + three) & all_bits
        rest = rest[4:]
    for byte in rest:
        result = rotated(result ^ (byte * five & all_bits), 11) * one & all_bits
    for shift, prime in ((33, two), (29, three)):
        result = (result ^ (result >> shift)) * prime & all_bits
    result ^= result >> 32
    return result - 2**64 if result >= 2**63 else result


SPARK = {text: xxh64(text.encode()) for text in ("t5:Spark", "~")}

texts = st.one_of(st.none(), st.text(alphabet="~:it12é", max_size=4))
rows = st.lists(st.tuples(texts, texts, st.one_of(st.none(), st.integers(-100, 100))), min_size=1, max_size=20)


class TestRows:
    @given(rows)
    def test_equal_hashes_mean_equal_rows(self, data: list[tuple[Any, ...]]) -> None:
        """No two different rows are written alike: where a value ends is known from its length."""
        frame = pl.DataFrame(data, schema={"a": pl.String, "b": pl.String, "n": pl.Int64}, orient="row")
        for algorithm in ("sha256", "xxhash64"):
            expression = digest_expression(Digest(algorithm=algorithm, columns=("a", "b", "n")), frame.schema)  # type: ignore[arg-type]
            assert frame.select(expression.alias("h"))["h"].n_unique() == len(set(data))

    def test_types_tell_values_apart(self) -> None:
        """1 the number, 1 the text, 1 the decimal, 1.0 and true are five values."""
        values = [
            (1, pl.Int64),
            ("1", pl.String),
            (Decimal(1), pl.Decimal(4, 0)),
            (1.0, pl.Float64),
            (True, pl.Boolean),
        ]
        assert len({of_one(value, dtype) for value, dtype in values}) == 5


class TestLoads:
    def test_columns_of_hashes(self, project: Project) -> None:
        """Of the converted values; names in any case; SHA-256 is text, XXH64 a bigint."""
        project.csv("events.csv", "Id,price", "1,1.50", "2,")
        flow = project.flow(
            hints={"price": "decimal(10,2)"},
            hash_columns=[
                {"target_column": "row_key", "columns": ["ID", "Price"]},
                {"target_column": "bucket", "columns": "id", "algorithm": "xxhash64"},
            ],
            drop_columns=["id"],
        )
        project.load(flow)
        frame = project.frame(flow).sort("price", nulls_last=True)
        assert frame["row_key"].to_list() == [hashlib.sha256(text).hexdigest() for text in (b"i1:1d3:1.5", b"i1:2~")]
        assert frame["bucket"].to_list() == [xxh64(b"i1:1"), xxh64(b"i1:2")]

    def test_a_hash_may_be_the_merge_key(self, project: Project) -> None:
        """The same row of the source comes to the same row of the table."""
        hashed = {"target_column": "key", "columns": ["region", "id"]}
        for number, value in enumerate(("old", "new")):
            project.csv(f"events/{number}.csv", "region,id,v", f"eu,1,{value}", f"us,{number},x")
            flow = project.merge(keys="key", hash_columns=[hashed])
            project.load(flow)
        assert project.rows(flow, "region", "id", "v") == [("eu", 1, "new"), ("us", 0, "x"), ("us", 1, "x")]

    def test_a_hash_may_take_the_place_of_a_column(self, project: Project) -> None:
        """Others are computed from what was there before."""
        columns = [{"target_column": name, "columns": "mail"} for name in ("mail", "copy")]
        project.csv("events.csv", "mail", "a")
        flow = project.flow(hash_columns=columns)
        project.load(flow)
        assert project.rows(flow) == [(hashlib.sha256(b"t1:a").hexdigest(),) * 2]

    def test_a_missing_column_is_an_error_or_null(self, project: Project) -> None:
        """As the policy says."""
        project.csv("events.csv", "id", "1")
        hashed = [{"target_column": "h", "columns": ["id", "name"]}]
        assert project.fail(project.flow(hash_columns=hashed)).code == "TG302"
        flow = project.flow(hash_columns=hashed, configure={"missing_column_policy": "ignore"})
        project.load(flow)
        assert project.rows(flow, "h") == [hashlib.sha256(b"i1:1~").hexdigest()]

    def test_nested_values_are_refused(self, project: Project) -> None:
        """Engines write them in different ways."""
        project.parquet("events.parquet", {"tags": [["a"]]})
        error = project.fail(project.flow(format="parquet", hash_columns=[{"target_column": "h", "columns": "tags"}]))
        assert (error.code, "array<string>" in error.message) == ("TG307", True)
