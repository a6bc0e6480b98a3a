"""Data types by name: the words of each system, the rule for timestamps, and the round trip through `describe_type`."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import MetadataError
from tidegate.expressions.data_type import describe_type, parse_data_type
from tidegate.expressions.type_words import OVERRIDES, SYSTEMS, WORDS

UTC = pa.timestamp("us", "UTC")
NAIVE = pa.timestamp("us")

SCALARS = st.one_of(
    st.sampled_from(
        [
            pa.string(),
            pa.int8(),
            pa.int16(),
            pa.int32(),
            pa.int64(),
            pa.uint8(),
            pa.uint16(),
            pa.uint32(),
            pa.uint64(),
            pa.float32(),
            pa.float64(),
            pa.bool_(),
            pa.date32(),
            pa.time64("us"),
            pa.binary(),
        ]
    ),
    st.integers(1, 38).flatmap(lambda p: st.integers(0, p).map(lambda s: pa.decimal128(p, s))),
    st.builds(
        pa.timestamp,
        st.sampled_from(["s", "ms", "us", "ns"]),
        st.sampled_from([None, "UTC", "Europe/Paris", "+02:00", "Etc/GMT+5"]),
    ),
)
NAMES = st.text(min_size=1, max_size=8).filter(lambda name: not name.isspace()) | st.sampled_from(
    ["a b", "`", "not", "1x", "int"]
)


def _struct(types):
    fields = st.lists(
        st.builds(pa.field, NAMES, types, st.booleans()),
        min_size=0,
        max_size=3,
        unique_by=lambda field: field.name.lower(),
    )
    return fields.map(pa.struct)


TYPES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(inner.map(pa.list_), st.builds(pa.map_, SCALARS, inner), _struct(inner)),
    max_leaves=6,
)


class TestDescription:
    @given(dtype=TYPES)
    def test_every_supported_type_is_read_back_from_its_description(self, dtype):
        assert parse_data_type(describe_type(dtype)) == dtype

    @pytest.mark.parametrize(
        ("dtype", "word"),
        [
            (pa.string(), "string"),
            (pa.large_string(), "string"),
            (pa.int32(), "int"),
            (pa.int64(), "bigint"),
            (pa.float32(), "float"),
            (pa.decimal128(18, 2), "decimal(18,2)"),
            (UTC, "timestamp"),
            (NAIVE, "timestamp_ntz"),
            (pa.timestamp("ns"), "timestamp[ns]"),
            (pa.timestamp("us", "Europe/Paris"), "timestamp[us, tz=Europe/Paris]"),
            (pa.list_(pa.struct({"a": pa.int32()})), "array<struct<a: int>>"),
            (pa.map_(pa.string(), pa.bool_()), "map<string, boolean>"),
            (pa.duration("us"), "duration[us]"),
        ],
    )
    def test_uses_the_short_words_of_sql(self, dtype, word):
        assert describe_type(dtype) == word


class TestTimestamps:
    @pytest.mark.parametrize("system", [None, "", "spark", "delta", "databricks", "mysql", "bigquery"])
    def test_a_timestamp_is_an_instant_where_it_is_one(self, system):
        assert parse_data_type("timestamp", type_system=system) == UTC

    @pytest.mark.parametrize("system", ["postgres", "PostgreSQL", "duckdb", "ansi", "iceberg", "snowflake", "oracle"])
    def test_a_timestamp_has_no_zone_where_it_has_none(self, system):
        assert parse_data_type("TIMESTAMP", type_system=system) == NAIVE

    @pytest.mark.parametrize("system", [None, *sorted(set(SYSTEMS.values()))])
    def test_the_words_that_say_it_mean_it_in_every_system(self, system):
        for word in ("timestamptz", "timestamp with time zone", "timestamp(3) with time zone", "datetimeoffset(7)"):
            assert parse_data_type(word, type_system=system) == UTC
        for word in ("timestamp_ntz", "timestamp without time zone", "timestamp (6) without time zone", "datetime2(7)"):
            assert parse_data_type(word, type_system=system) == NAIVE

    def test_a_timestamp_of_sql_server_is_a_row_version(self):
        assert parse_data_type("timestamp", type_system="tsql") == pa.binary()

    def test_arrow_and_polars_spell_unit_and_zone(self):
        assert parse_data_type("timestamp[ms, tz=UTC]") == pa.timestamp("ms", "UTC")
        assert parse_data_type("Datetime(time_unit='us', time_zone='UTC')", type_system="polars") == UTC
        assert parse_data_type("Datetime[μs]", type_system="polars") == NAIVE


class TestWords:
    @pytest.mark.parametrize(
        ("text", "system", "dtype"),
        [
            ("VARCHAR(20)", None, pa.string()),
            ("nvarchar(max)", "tsql", pa.string()),
            ("character varying (20)", "postgres", pa.string()),
            ("uniqueidentifier", "tsql", pa.string()),
            ("byte", "spark", pa.int8()),
            ("short", "spark", pa.int16()),
            ("long", "spark", pa.int64()),
            ("int8", "postgres", pa.int64()),
            ("int8", "duckdb", pa.int64()),
            ("Int8", "polars", pa.int8()),
            ("tinyint", "tsql", pa.int16()),
            ("tinyint(1)", "mysql", pa.bool_()),
            ("int unsigned", "mysql", pa.uint32()),
            ("int(11)", "mysql", pa.int32()),
            ("mediumint", "mysql", pa.int32()),
            ("hugeint", "duckdb", pa.decimal128(38, 0)),
            ("float", None, pa.float32()),
            ("float", "postgres", pa.float64()),
            ("float", "tsql", pa.float64()),
            ("float(24)", "tsql", pa.float32()),
            ("real", "mysql", pa.float64()),
            ("double precision", "postgres", pa.float64()),
            ("decimal(18,2)", None, pa.decimal128(18, 2)),
            ("NUMERIC ( 18 )", None, pa.decimal128(18, 0)),
            ("decimal", None, pa.decimal128(38, 18)),
            ("decimal", "spark", pa.decimal128(10, 0)),
            ("decimal", "duckdb", pa.decimal128(18, 3)),
            ("numeric", "postgres", pa.decimal128(38, 18)),
            ("number(10)", "oracle", pa.decimal128(10, 0)),
            ("money", "tsql", pa.decimal128(19, 4)),
            ("bit", "tsql", pa.bool_()),
            ("bool", None, pa.bool_()),
            ("date", None, pa.date32()),
            ("date", "oracle", NAIVE),
            ("time(6)", "postgres", pa.time64("us")),
            ("bytea", "postgres", pa.binary()),
            ("varbinary(16)", "tsql", pa.binary()),
            ("int[]", "duckdb", pa.list_(pa.int32())),
            ("array(bigint)", "trino", pa.list_(pa.int64())),
            ("List(Int64)", "polars", pa.list_(pa.int64())),
            ("list<item: int64>", "arrow", pa.list_(pa.int64())),
            ("struct<a:int,b:array<string>>", "spark", pa.struct({"a": pa.int32(), "b": pa.list_(pa.string())})),
            ('struct(a integer, "b c" varchar)', "duckdb", pa.struct({"a": pa.int32(), "b c": pa.string()})),
            ("map<string, decimal(4,1)>", None, pa.map_(pa.string(), pa.decimal128(4, 1))),
            (" BigInt ", None, pa.int64()),
        ],
    )
    def test_a_word_means_what_its_system_says(self, text, system, dtype):
        assert parse_data_type(text, type_system=system) == dtype

    @pytest.mark.parametrize("system", [None, *sorted(SYSTEMS)])
    def test_every_word_of_the_tables_is_a_type_or_a_kind_of_nesting(self, system):
        words = {**WORDS, **OVERRIDES.get(SYSTEMS.get(system or "", "spark"), {})}
        for word, family in words.items():
            if family not in {"array", "struct", "map"}:
                assert isinstance(parse_data_type(word, type_system=system), pa.DataType)


class TestDecimals:
    def test_a_bare_decimal_takes_precision_and_scale_of_the_hint(self):
        assert parse_data_type("decimal", precision=18, scale=4) == pa.decimal128(18, 4)
        assert parse_data_type("decimal", precision=18) == pa.decimal128(18, 0)

    def test_parameters_in_the_text_win_over_the_hint(self):
        assert parse_data_type("decimal(10,2)", precision=18, scale=4) == pa.decimal128(10, 2)

    def test_precision_of_a_hint_does_not_touch_other_types_nor_inner_ones(self):
        assert parse_data_type("string", precision=18) == pa.string()
        assert parse_data_type("array<decimal(4,1)>", precision=18) == pa.list_(pa.decimal128(4, 1))
        assert parse_data_type("array<decimal>", type_system="spark", precision=18) == pa.list_(pa.decimal128(10, 0))


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "system", "words", "hint"),
        [
            ("strng", None, "'strng' is unknown", "`string`"),
            ("decmal(10,2)", None, "is unknown", "`decimal`"),
            ("geography", "tsql", "is unknown", "TG305"),
            ("decimal(39,2)", None, "at most 38 digits", "decimal(38, s)"),
            ("decimal(10,12)", None, "precision 10 and scale 12", "p digits in all"),
            ("decimal(0)", None, "precision 0", "p digits in all"),
            ("decimal(a,b)", None, "not numbers", ""),
            ("int8", None, "is not accepted", "8 bytes in PostgreSQL"),
            ("interval", None, "is not accepted", "bigint"),
            ("timestamp(9)", None, "finer than microseconds", "microseconds"),
            ("bit(8)", "postgres", "string of bits", "binary"),
            ("array<int", None, "lacks '>'", ""),
            ("array", None, "lacks '<'", ""),
            ("decimal(10,2", None, "lacks ')'", ""),
            ("struct<int>", None, "is unknown", ""),
            ("struct<a: int, A: int>", None, "field 'a' twice", ""),
            ("int > string", None, "cannot be read after 'int'", ""),
            ("", None, "empty", "string"),
            ("bigint", "klingon", "type system 'klingon' is unknown", "spark"),
            ("bigint", "postgre", "type system 'postgre' is unknown", "`postgres`"),
            ("array<" * 100 + "int" + ">" * 100, None, "nested too deeply", ""),
        ],
    )
    def test_says_what_is_wrong_and_what_to_write(self, text, system, words, hint):
        with pytest.raises(MetadataError) as caught:
            parse_data_type(text, type_system=system)
        assert caught.value.code == "TG305"
        assert words in caught.value.message
        assert hint in (caught.value.hint or "")

    @given(text=st.text(alphabet="intdecmalstruy<>()[],:` '0123\"=", max_size=20))
    def test_any_text_is_a_type_or_is_refused_as_metadata(self, text):
        try:
            dtype = parse_data_type(text)
        except MetadataError as error:
            outcome = error.code
        else:
            outcome = parse_data_type(describe_type(dtype)) == dtype
        assert outcome in {True, "TG305"}
