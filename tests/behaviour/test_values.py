"""Values and file formats: what a file says is what the destination holds."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from tests.behaviour.project import DATABASES, Project


class TestCsv:
    def test_quotes_separators_and_line_breaks(self, any_project: Project) -> None:
        """A quoted field may hold separators, quotes and line breaks, and they come through."""
        any_project.text("events.csv", 'id,text\n1,"a, ""b""\nc"\n2,"  padded  "\n3,plain\n')
        flow = any_project.flow()
        any_project.load(flow)
        assert any_project.rows(flow) == [(1, 'a, "b"\nc'), (2, "  padded  "), (3, "plain")]

    @pytest.mark.parametrize(
        ("content", "options"),
        [
            ("id;n\n1;2\n", {"separator": ";"}),
            ("id\tn\n1\t2\n", {"delimiter": "\t"}),
            ("id|n\n1|2\n", {"sep": "|", "header": "true"}),
            ("# made by hand\nid,n\n1,2\n", {"comment_prefix": "#"}),
            ("report of today\n\nid,n\n1,2\n", {"skip_rows": 2}),
            ("id,n\n'1','2'\n", {"quote": "'"}),
            ('id;n\n"1";"2,0"\n', {"separator": ";", "decimal_comma": True}),
            ("\ufeffid,n\n1,2\n", {}),
            ("id,n\r\n1,2\r\n", {}),
        ],
    )
    def test_dialects(self, project: Project, content: str, options: dict[str, Any]) -> None:
        """Separators, quotes, comments, headings, byte order marks and line ends of the world."""
        project.text("events.csv", content)
        flow = project.flow(read_options=options)
        project.load(flow)
        assert project.rows(flow, "id", "n") == [(1, 2)]

    def test_without_a_header(self, project: Project) -> None:
        """Columns get names of their own."""
        project.text("events.csv", "1,a\n2,b\n")
        flow = project.flow(read_options={"has_header": False})
        project.load(flow)
        assert project.frame(flow).width == 2
        assert project.frame(flow).height == 2

    @pytest.mark.parametrize(("option", "nulls"), [("NA", [2]), (["NA", "-"], [2, 3]), ({"v": "-"}, [3])])
    def test_texts_for_null(self, project: Project, option: Any, nulls: list[int]) -> None:
        """`null_values` says which texts stand for NULL."""
        project.csv("events.csv", "id,v", "1,x", "2,NA", "3,-")
        flow = project.flow(read_options={"null_values": option})
        project.load(flow)
        assert [row[0] for row in project.rows(flow, "id", "v") if row[1] is None] == nulls

    def test_nothing_and_the_empty_text(self, project: Project) -> None:
        """A field without anything is NULL; quotes around nothing are the empty text."""
        project.text("events.csv", 'id,v\n1,\n2,""\n3,x\n')
        flow = project.flow()
        project.load(flow)
        assert project.rows(flow, "id", "v") == [(1, None), (2, ""), (3, "x")]

    def test_a_short_row_is_padded_with_null(self, project: Project) -> None:
        """Fields that a row lacks at its end are NULL."""
        project.csv("events.csv", "a,b,c", "1,2,3", "4")
        flow = project.flow()
        project.load(flow)
        assert project.rows(flow, "a", "b", "c") == [(1, 2, 3), (4, None, None)]

    def test_numbers_with_blanks_around_them(self, project: Project) -> None:
        """Padding is no part of a number."""
        project.csv("events.csv", "a,b", " 7 , 1.5")
        flow = project.flow(hints={"a": "bigint", "b": "decimal(4,1)"})
        project.load(flow)
        assert project.rows(flow, "a", "b") == [(7, Decimal("1.5"))]

    def test_leading_zeros_stay_where_text_is_declared(self, project: Project) -> None:
        """A postcode is text when it is said to be."""
        project.csv("events.csv", "zip", "01067")
        flow = project.flow(hints={"zip": "string"})
        project.load(flow)
        assert project.rows(flow) == ["01067"]

    def test_the_last_line_needs_no_end(self, project: Project) -> None:
        """A file without a final line break has all its rows."""
        project.text("events.csv", "id\n1\n2")
        flow = project.flow()
        project.load(flow)
        assert project.rows(flow) == [1, 2]


class TestCompressed:
    @pytest.mark.parametrize(
        ("name", "file_format", "content"),
        [("events.csv.gz", "csv", "id\n1\n2\n"), ("events.jsonl.gz", "jsonl", '{"id":1}\n{"id":2}\n')],
    )
    def test_gz(self, project: Project, name: str, file_format: str, content: str) -> None:
        """Compressed text is read as it is."""
        project.text(name, content)
        flow = project.flow(format=file_format)
        project.load(flow)
        assert project.rows(flow) == [1, 2]


class TestJson:
    @pytest.mark.never(DATABASES, reason="no such types")
    def test_nested_values(self, any_project: Project) -> None:
        """Objects and lists come through, inside each other."""
        any_project.jsonl(
            "events.jsonl",
            {"id": 1, "who": {"name": "Ann", "tags": ["a", "b"], "at": {"x": 1.5}}},
            {"id": 2, "who": {"name": None, "tags": [], "at": None}},
            {"id": 3, "who": None},
        )
        flow = any_project.flow(format="jsonl")
        if any_project.destination_format == "csv":
            error = any_project.fail(flow)
            assert (error.code, "csv files cannot hold" in error.message) == ("TG403", True)
            return
        any_project.load(flow)
        rows = {row["id"]: row["who"] for row in any_project.frame(flow).to_dicts()}
        assert rows[1] == {"name": "Ann", "tags": ["a", "b"], "at": {"x": 1.5}}
        assert rows[2]["tags"] == []
        assert rows[2]["name"] is None

    def test_a_field_that_comes_in_a_later_file(self, project: Project) -> None:
        """Files of one read may differ in the fields of their objects; none is dropped."""
        project.jsonl("events/a.jsonl", {"id": 1, "o": {"x": 1}})
        project.jsonl("events/b.jsonl", {"id": 2, "o": {"x": 1.5, "y": "new"}})
        flow = project.flow(format="jsonl")
        project.load(flow)
        assert project.rows(flow, "id", "o") == [(1, {"x": 1.0, "y": None}), (2, {"x": 1.5, "y": "new"})]

    def test_a_field_that_comes_in_a_later_load_is_not_dropped(self, project: Project) -> None:
        """A new field inside an object does not vanish: the table takes it on, and the report says so."""
        project.jsonl("events/a.jsonl", {"id": 1, "o": {"x": 1}})
        flow = project.flow(format="jsonl")
        project.load(flow)
        project.jsonl("events/b.jsonl", {"id": 2, "o": {"x": 1, "y": 2}})
        assert "widened o" in str(project.load(flow).detail)
        assert project.rows(flow, "id", "o") == [(1, {"x": 1, "y": None}), (2, {"x": 1, "y": 2})]

    def test_an_empty_list_has_elements_later(self, project: Project) -> None:
        """A list that was always empty does not block what comes after it."""
        project.jsonl("events/a.jsonl", {"id": 1, "tags": []})
        flow = project.flow(format="jsonl")
        project.load(flow)
        project.jsonl("events/b.jsonl", {"id": 2, "tags": ["x"]})
        project.load(flow)
        assert project.rows(flow, "id", "tags") == [(1, []), (2, ["x"])]

    @pytest.mark.supports("sources", "json", "polars", evidence="real")
    @pytest.mark.parametrize("document", [[{"id": 1}, {"id": 2}], {"id": 1}])
    def test_documents(self, project: Project, document: Any) -> None:
        """A JSON file holds a list of objects, or one."""
        project.json("events.json", document)
        flow = project.flow(format="json")
        project.load(flow)
        assert project.rows(flow) == ([1, 2] if isinstance(document, list) else [1])

    def test_keys_that_some_records_lack(self, project: Project) -> None:
        """The columns are the union of all keys (defect 37)."""
        project.jsonl("events.jsonl", {"a": 1}, {"b": 2}, {"a": 3, "c": 4})
        flow = project.flow(format="jsonl")
        project.load(flow)
        assert project.rows(flow, "a", "b", "c") == [(None, 2, None), (1, None, None), (3, None, 4)]

    @pytest.mark.parametrize("file_format", ["csv", "jsonl", "json"])
    def test_integers_beyond_64_bits(self, project: Project, file_format: str) -> None:
        """Twenty digits are a decimal, not an error and not a float."""
        if file_format == "csv":
            project.csv("events.csv", "n", "1", "99999999999999999999")
        elif file_format == "json":
            project.json("events.json", [{"n": 1}, {"n": 99999999999999999999}])
        else:
            project.jsonl("events.jsonl", {"n": 1}, {"n": 99999999999999999999})
        flow = project.flow(format=file_format)
        project.load(flow)
        assert project.rows(flow) == [Decimal(1), Decimal(99999999999999999999)]


class TestValues:
    @pytest.mark.never(["postgresql"], reason="no zero bytes in text")
    def test_unicode(self, any_project: Project) -> None:
        """Every script, emoji and combining mark comes through unchanged."""
        texts = ["Grüße", "日本語", "🦀👩‍👩‍👧", "e\u0301", "\u202eright to left", "a\u0000b"]
        any_project.parquet("events.parquet", {"id": range(len(texts)), "text": texts})
        flow = any_project.flow(format="parquet")
        any_project.load(flow)
        assert any_project.rows(flow, "id", "text") == list(enumerate(texts))

    def test_texts_of_ten_megabytes(self, project: Project) -> None:
        """A very long text is loaded, and its file still has statistics of a sane size."""
        text = "x" * 10_000_000
        project.csv("events.csv", "id,text", f"1,{text}", "2,short")
        flow = project.merge()
        project.load(flow)
        project.csv("events.csv", "id,text", f"1,{text}y")
        project.load(flow)
        assert [len(row[1]) for row in project.rows(flow, "id", "text")] == [10_000_001, 5]
        log = project.destination_root / "events" / "_delta_log"
        assert all(entry.stat().st_size < 50_000 for entry in log.iterdir())

    def test_a_bad_row_beside_a_very_long_text(self, project: Project) -> None:
        """The place of an error is found in files of very long lines too."""
        project.csv("events.csv", "id,text", f"1,{'x' * 1_000_000}", "2,a,b")
        error = project.fail(project.flow())
        assert (error.code, "row 2 has 3 fields" in error.message) == ("TG205", True)

    @pytest.mark.parametrize(
        ("dtype", "values"),
        [
            (pl.Decimal(38, 10), [Decimal("1234567890123456789012345678.0123456789"), Decimal("-0.0000000001")]),
            (pl.Date, [date(1, 1, 1), date(1899, 12, 31), date(9999, 12, 31)]),
            (pl.Datetime("us"), [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999)]),  # noqa: DTZ001
            (pl.Datetime("us", "UTC"), [datetime(1700, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)]),
            (pl.UInt8, [0, 2**8 - 1]),
            (pl.UInt16, [0, 2**16 - 1]),
            (pl.UInt32, [0, 2**32 - 1]),
            (pl.Int64, [-(2**63), 2**63 - 1]),
            (pl.Float32, [0.5, -1.5]),
            (pl.Float64, [float("-inf"), 5e-324, 1.7976931348623157e308]),
            (pl.Boolean, [False, True]),
            (pl.String, ["", "x"]),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("to", ["delta", "parquet"])
    def test_extremes_of_every_type(self, project: Project, to: str, dtype: Any, values: list[Any]) -> None:
        """The least and the greatest value of each type, and NULL, come through."""
        project.parquet("events.parquet", pl.DataFrame({"v": [*values, None]}, schema={"v": dtype}))
        flow = project.flow(format="parquet", to=to)
        project.load(flow)
        assert project.rows(flow) == [None, *sorted(values)]

    def test_unsigned_64_bits_become_a_decimal_in_delta(self, project: Project) -> None:
        """Delta has no unsigned numbers: the type that holds them all takes their place."""
        project.parquet("events.parquet", pl.DataFrame({"v": [0, 2**64 - 1]}, schema={"v": pl.UInt64}))
        flow = project.flow(format="parquet")
        project.load(flow)
        assert project.rows(flow) == [Decimal(0), Decimal(2**64 - 1)]

    def test_a_type_that_delta_lacks(self, project: Project) -> None:
        """A duration is refused with the column named."""
        project.parquet("events.parquet", pl.DataFrame({"v": [1]}).select(pl.duration(seconds="v").alias("v")))
        error = project.fail(project.flow(format="parquet"))
        assert (error.code, "'v'" in error.message) == ("TG403", True)

    def test_a_table_keeps_its_wider_type(self, project: Project) -> None:
        """A narrower type that fits is widened into the table's."""
        project.parquet("wide.parquet", pl.DataFrame({"v": [2**40]}))
        project.load(project.flow("events", source="wide", format="parquet", name="wide"))
        project.parquet("narrow.parquet", pl.DataFrame({"v": [1]}, schema={"v": pl.Int8}))
        flow = project.flow("events", source="narrow", format="parquet", name="narrow")
        project.load(flow)
        assert project.rows(flow) == [1, 2**40]


class TestWriteOptions:
    @pytest.mark.parametrize("compression", ["snappy", "zstd", "lz4", "uncompressed"])
    def test_codecs(self, project: Project, compression: str) -> None:
        """Parquet files are written with the codec that is asked for."""
        project.csv("events.csv", "id", "1")
        flow = project.flow(write_options={"compression": compression})
        project.load(flow)
        assert project.rows(flow) == [1]

    @pytest.mark.never(DATABASES, reason="rows, no files")
    def test_rows_per_file(self, any_project: Project) -> None:
        """A load is split into files of so many rows."""
        any_project.csv("events.csv", "id", *map(str, range(10)))
        flow = any_project.flow(write_options={"max_rows_per_file": 4})
        any_project.load(flow)
        assert len(list(any_project.destination_root.rglob(f"*.{any_project.data_suffix}"))) == 3
        assert any_project.rows(flow) == list(range(10))
