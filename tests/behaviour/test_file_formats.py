"""Avro and Excel as sources: their types, their damage, and that each row arrives once."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import polars as pl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.behaviour.project import Project
from tidegate.engines.base import FileGroup
from tidegate.engines.polars_avro import avro_schema, read_avro
from tidegate.engines.polars_types import arrow_schema
from tidegate.errors import SourceError
from tidegate.platforms.local import LocalPlatform

PLATFORM = LocalPlatform()
MOMENT = datetime(2026, 3, 1, 8, 0, 0, 123456, tzinfo=UTC)
COLOUR = {"type": "enum", "name": "Colour", "symbols": ["RED", "GREEN"]}
POINT = {
    "type": "record",
    "name": "Point",
    "fields": [{"name": "x", "type": "int"}, {"name": "colour", "type": ["null", COLOUR]}],
}


def avro_bytes(columns: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], **options: Any) -> bytes:
    """Return an Avro file of these columns' types and rows."""
    fields = [{"name": name, "type": dtype} for name, dtype in columns.items()]
    schema = fastavro.parse_schema({"type": "record", "name": "row", "namespace": "shop.orders", "fields": fields})
    target = io.BytesIO()
    fastavro.writer(target, schema, rows, **options)
    return target.getvalue()


def read_all(path: Path) -> pl.DataFrame:
    """Return the rows of an Avro file, as the engine reads them."""
    columns = arrow_schema(avro_schema(str(path), PLATFORM))
    return read_avro(FileGroup(format="avro", paths=(str(path),), columns=columns), None).collect(engine="streaming")


class TestAvroTypes:
    @pytest.mark.parametrize(
        ("dtype", "polars", "values"),
        [
            ("int", pl.Int32(), [1, -5]),
            ("long", pl.Int64(), [2**62, -3]),
            ("float", pl.Float32(), [1.5]),
            ("double", pl.Float64(), [0.1, -1e300]),
            ("boolean", pl.Boolean(), [True, False]),
            ("string", pl.String(), ["", "é"]),
            ("bytes", pl.Binary(), [b"", b"a\x00"]),
            (["null", "int"], pl.Int32(), [1, None]),
            (["int", "null"], pl.Int32(), [None, 1]),
            (["int"], pl.Int32(), [1]),
            ({"type": "int", "logicalType": "date"}, pl.Date(), [date(1950, 1, 1), date(2026, 3, 1)]),
            ({"type": "int", "logicalType": "time-millis"}, pl.Time(), [time(1, 2, 3, 4000)]),
            ({"type": "long", "logicalType": "time-micros"}, pl.Time(), [time(1, 2, 3, 4)]),
            (
                {"type": "long", "logicalType": "timestamp-millis"},
                pl.Datetime("ms", "UTC"),
                [MOMENT.replace(microsecond=123000)],
            ),
            ({"type": "long", "logicalType": "timestamp-micros"}, pl.Datetime("us", "UTC"), [MOMENT]),
            (
                {"type": "long", "logicalType": "local-timestamp-millis"},
                pl.Datetime("ms"),
                [MOMENT.replace(microsecond=123000, tzinfo=None)],
            ),
            (
                {"type": "long", "logicalType": "local-timestamp-micros"},
                pl.Datetime("us"),
                [MOMENT.replace(tzinfo=None)],
            ),
            (
                {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 2},
                pl.Decimal(38, 2),
                [Decimal("1.25"), Decimal("-999999999999999999999999999999999999.99"), Decimal(0)],
            ),
            (
                {"type": "fixed", "name": "Amount", "size": 8, "logicalType": "decimal", "precision": 10, "scale": 2},
                pl.Decimal(10, 2),
                [Decimal("-1.25")],
            ),
            ({"type": "fixed", "name": "Four", "size": 4}, pl.Binary(), [b"abcd"]),
            ({"type": "fixed", "name": "Span", "size": 12, "logicalType": "duration"}, pl.Binary(), [b"123412341234"]),
            (COLOUR, pl.String(), ["RED", "GREEN"]),
            (["null", COLOUR], pl.String(), ["GREEN", None]),
            ({"type": "array", "items": ["null", COLOUR]}, pl.List(pl.String), [["RED", None], []]),
            (["null", {"type": "array", "items": "long"}], pl.List(pl.Int64), [[1], None, []]),
            (
                ["null", POINT],
                pl.Struct({"x": pl.Int32, "colour": pl.String}),
                [{"x": 1, "colour": "RED"}, None, {"x": 2, "colour": None}],
            ),
            ("null", pl.Null(), [None, None]),
            (["null"], pl.Null(), [None]),
            ({"type": "string", "logicalType": "of-ours"}, pl.String(), ["a"]),
        ],
        ids=str,
    )
    def test_values_are_what_they_were_written_as(
        self, tmp_path: Path, dtype: Any, polars: pl.DataType, values: list[Any]
    ) -> None:
        """Between two other columns, which must not shift."""
        columns = {"before": "int", "x": dtype, "after": "string"}
        rows = [{"before": number, "x": value, "after": str(number)} for number, value in enumerate(values)]
        path = tmp_path / "a.avro"
        path.write_bytes(avro_bytes(columns, rows))
        read = read_all(path)
        assert read.schema["x"] == polars
        assert read.rows() == [tuple(row.values()) for row in rows]

    def test_nanoseconds(self, tmp_path: Path) -> None:
        """They are times, to the nanosecond."""
        columns = {"at": {"type": "long", "logicalType": "timestamp-nanos"}}
        path = tmp_path / "a.avro"
        path.write_bytes(avro_bytes(columns, [{"at": 1_772_352_000_123_456_789}]))
        read = read_all(path)
        assert read.schema["at"] == pl.Datetime("ns", "UTC")
        assert read["at"].dt.epoch("ns").to_list() == [1_772_352_000_123_456_789]

    def test_a_map_is_a_list_of_keys_and_values(self, tmp_path: Path) -> None:
        """As it is in a Parquet file."""
        path = tmp_path / "a.avro"
        nested = {"type": "map", "values": {"type": "map", "values": ["null", COLOUR]}}
        path.write_bytes(avro_bytes({"m": ["null", nested]}, [{"m": {"a": {"b": "RED"}}}, {"m": None}, {"m": {}}]))
        inner = [{"key": "b", "value": "RED"}]
        assert read_all(path)["m"].to_list() == [[{"key": "a", "value": inner}], None, []]

    def test_a_type_is_named_again(self, tmp_path: Path) -> None:
        """By its short name in the same namespace, and by its full name."""
        columns = {"a": COLOUR, "b": "Colour", "c": ["null", "shop.orders.Colour"]}
        path = tmp_path / "a.avro"
        path.write_bytes(avro_bytes(columns, [{"a": "RED", "b": "GREEN", "c": None}]))
        assert read_all(path).rows() == [("RED", "GREEN", None)]

    @pytest.mark.parametrize(
        ("dtype", "value", "cause"),
        [
            (["null", "int", "string"], 1, "avro: x is a union of null, int, string"),
            ({"type": "array", "items": ["int", "string"]}, [1], "avro: x[] is a union of int, string"),
            (
                {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]},
                {"next": None},
                "avro: x.next is a record shop.orders.Node within itself",
            ),
            (
                {"type": "bytes", "logicalType": "decimal", "precision": 50, "scale": 2},
                Decimal(1),
                "avro: x is decimal(50, 2)",
            ),
        ],
    )
    def test_a_type_that_no_column_has(self, project: Project, dtype: Any, value: Any, cause: str) -> None:
        """The file and the column are named."""
        path = project.text("events/a.avro", avro_bytes({"x": dtype}, [{"x": value}]))
        error = project.fail(project.flow(format="avro"))
        assert (error.code, error.message, error.where) == ("TG212", cause, str(path))

    def test_rows_that_are_no_records(self, project: Project) -> None:
        """Such a file has no columns."""
        target = io.BytesIO()
        fastavro.writer(target, "int", [1])
        project.text("events/a.avro", target.getvalue())
        assert project.fail(project.flow(format="avro")).code == "TG212"


class TestAvroBlocks:
    @settings(max_examples=40, deadline=None)
    @given(
        rows=st.integers(0, 3000),
        block=st.integers(10, 5000),
        codec=st.sampled_from(["null", "deflate", "snappy", "bzip2", "xz", "zstandard"]),
    )
    def test_every_row_arrives_in_order(
        self, tmp_path_factory: pytest.TempPathFactory, rows: int, block: int, codec: str
    ) -> None:
        """However rows are cut into blocks, and blocks compressed."""
        path = tmp_path_factory.mktemp("avro") / "a.avro"
        written = [{"id": number, "text": str(number) * 3} for number in range(rows)]
        path.write_bytes(avro_bytes({"id": "long", "text": "string"}, written, codec=codec, sync_interval=block))
        assert read_all(path).rows() == [tuple(row.values()) for row in written]

    def test_more_rows_than_are_read_at_once(self, project: Project) -> None:
        """Some blocks at a time; a column that nothing needs is not read."""
        rows = [{"id": number, "text": "x" * 20} for number in range(200_000)]
        project.text("events/a.avro", avro_bytes({"id": "long", "text": "string"}, rows, codec="deflate"))
        flow = project.flow(format="avro", select_columns=["id"])
        assert project.load(flow).rows_out == 200_000
        assert project.frame(flow)["id"].sum() == sum(range(200_000))

    @settings(max_examples=60, deadline=None)
    @given(cut=st.integers(0, 10_000))
    def test_a_file_that_was_cut_off_is_never_fewer_rows(
        self, tmp_path_factory: pytest.TempPathFactory, cut: int
    ) -> None:
        """Unless it ends with a block, in which case nothing tells; then the first rows are there in order."""
        data = avro_bytes({"id": "long"}, [{"id": number} for number in range(2000)], sync_interval=500)
        mark = data[-16:]
        path = tmp_path_factory.mktemp("avro") / "a.avro"
        path.write_bytes(data[: cut % len(data)])
        try:
            read = read_all(path)
        except SourceError as error:
            assert error.code == "TG204"  # noqa: PT017 - both outcomes are looked at
        else:
            assert path.read_bytes().endswith(mark)
            assert read["id"].to_list() == list(range(read.height))

    def test_a_damaged_block_is_named_with_its_row(self, project: Project) -> None:
        """Rows of blocks before it are counted."""
        data = bytearray(avro_bytes({"id": "long"}, [{"id": number} for number in range(2000)], sync_interval=500))
        data[-1] ^= 1
        path = project.text("events/a.avro", bytes(data))
        error = project.fail(project.flow(format="avro"))
        assert error.code == "TG204"
        assert error.message == "the file cannot be read as avro: a block does not end where it should"
        assert error.where is not None
        assert error.where.startswith(f"{path}, from row 1")

    @pytest.mark.parametrize("content", [b"id,n\n1,2\n", b"Obj\x01", b"Obj\x01\x02\x02a"])
    def test_another_file_is_no_avro(self, project: Project, content: bytes) -> None:
        """It is told from its first bytes, or its header."""
        project.text("events/a.avro", content)
        assert project.fail(project.flow(format="avro")).code == "TG204"

    def test_a_file_without_rows_has_columns(self, project: Project) -> None:
        """The table is made, and empty."""
        project.text("events/a.avro", avro_bytes({"id": "long"}, [], codec="deflate"))
        flow = project.flow(format="avro")
        assert project.load(flow).rows_out == 0
        assert project.frame(flow).schema == {"id": pl.Int64()}


def excel(fill: Callable[[Any, Any], None], *, sheet: str = "Orders", others: Sequence[str] = ()) -> bytes:
    """Return a workbook whose first sheet is filled."""
    target = io.BytesIO()
    book = xlsxwriter.Workbook(target, {"in_memory": True})
    fill(book, book.add_worksheet(sheet))
    for other in others:
        book.add_worksheet(other).write_column(0, 0, [other, 1])
    book.close()
    return target.getvalue()


def table(*rows: Sequence[Any], at: tuple[int, int] = (0, 0)) -> Callable[[Any, Any], None]:
    """Return what writes rows: dates, times and durations as such, text and numbers as they are."""

    def fill(book: Any, sheet: Any) -> None:
        formats = {
            kind: book.add_format({"num_format": text})
            for kind, text in {
                datetime: "yyyy-mm-dd hh:mm:ss",
                date: "yyyy-mm-dd",
                time: "hh:mm:ss",
                timedelta: "[h]:mm",
            }.items()
        }
        for row, values in enumerate(rows, at[0]):
            for column, value in enumerate(values, at[1]):
                if type(value) in formats:
                    sheet.write_datetime(row, column, value, formats[type(value)])
                elif isinstance(value, str) and value.startswith("#"):
                    sheet.write_formula(row, column, "=NA()", None, value)
                elif value is not None:
                    sheet.write(row, column, value)

    return fill


class TestExcelTypes:
    @pytest.mark.parametrize(
        ("cells", "dtype", "values"),
        [
            ([1, 2.0], pl.Int64(), [1, 2]),
            ([1, 2.5], pl.Float64(), [1.0, 2.5]),
            ([2**53, -(2**53)], pl.Int64(), [2**53, -(2**53)]),
            (["a", " b "], pl.String(), ["a", " b "]),
            (["007", "1"], pl.String(), ["007", "1"]),
            ([1, "x"], pl.String(), ["1", "x"]),
            ([True, False], pl.Boolean(), [True, False]),
            ([date(2026, 3, 1), date(2026, 3, 2)], pl.Date(), [date(2026, 3, 1), date(2026, 3, 2)]),
            (
                [datetime(2026, 3, 1), datetime(2026, 3, 2, 8, 30)],  # noqa: DTZ001 - a cell has no zone
                pl.Datetime("us"),
                [datetime(2026, 3, 1), datetime(2026, 3, 2, 8, 30)],  # noqa: DTZ001
            ),
            ([time(8, 30), time(23, 59, 59)], pl.Time(), [time(8, 30), time(23, 59, 59)]),
            ([1, None], pl.Int64(), [1, None]),
            ([timedelta(hours=30), timedelta(minutes=1)], pl.String(), ["P1DT6H", "PT1M"]),
        ],
        ids=str,
    )
    def test_cells_tell_their_type(
        self, project: Project, cells: list[Any], dtype: pl.DataType, values: list[Any]
    ) -> None:
        """Beside a column that counts the rows."""
        rows = [(number, value) for number, value in enumerate(cells)]
        project.text("events/a.xlsx", excel(table(("id", "x"), *rows)))
        flow = project.flow(format="excel", to="parquet")
        project.load(flow)
        frame = project.frame(flow).sort("id")
        assert frame.schema["x"] == dtype
        assert frame["x"].to_list() == values

    def test_rows_and_columns_without_values_are_none(self, project: Project) -> None:
        """Sheets have borders and gaps; the table need not begin in A1."""
        project.text("events/a.xlsx", excel(table(("id", "x", None), (1, "a"), (None,), (2, "b"), at=(3, 2))))
        flow = project.flow(format="excel")
        project.load(flow)
        assert project.rows(flow, "id", "x") == [(1, "a"), (2, "b")]

    def test_a_column_that_is_empty_in_one_file(self, project: Project) -> None:
        """It takes the type of the other."""
        project.text("events/a.xlsx", excel(table(("id", "x"), (1, None))))
        project.text("events/b.xlsx", excel(table(("id", "x"), (2, 5))))
        flow = project.flow(format="excel")
        project.load(flow)
        assert project.rows(flow, "id", "x") == [(1, None), (2, 5)]

    def test_a_hint_declares_the_type(self, project: Project) -> None:
        """A number becomes text, as it is shown; a date a timestamp."""
        project.text("events/a.xlsx", excel(table(("zip", "at"), (1234, date(2026, 3, 1)))))
        flow = project.flow(format="excel", hints={"zip": "string", "at": "timestamp"})
        project.load(flow)
        assert project.rows(flow, "zip") == ["1234"]
        assert project.frame(flow)["at"].dt.date().to_list() == [date(2026, 3, 1)]

    def test_a_later_file_that_does_not_fit_is_named_with_its_row(self, project: Project) -> None:
        """As in text formats: the types of earlier loads stay."""
        project.text("events/a.xlsx", excel(table(("id", "n"), (1, 1))))
        flow = project.flow(format="excel")
        project.load(flow)
        path = project.text("events/b.xlsx", excel(table(("id", "n"), (2, 2), (3, "many"))))
        error = project.fail(flow)
        assert (error.code, error.where) == ("TG206", f"{path}, row 2, column n")


class TestExcelErrors:
    def test_an_error_in_a_cell_is_refused(self, project: Project) -> None:
        """It is no value, and NULL would hide it."""
        path = project.text("events/a.xlsx", excel(table(("id", "n"), (1, 1), (2, "#DIV/0!"))))
        error = project.fail(project.flow(format="excel"))
        assert (error.code, error.message) == ("TG206", "column 'n': the cell holds an error, #DIV/0!")
        assert error.where == f"{path}, row 2, column n"

    def test_an_error_in_a_cell_is_null_when_declared(self, project: Project) -> None:
        """In columns of numbers and of text."""
        project.text("events/a.xlsx", excel(table(("id", "n", "t"), (1, 1, "#N/A"), (2, "#N/A", "b"))))
        flow = project.flow(format="excel", read_options={"error_cells": "null"})
        project.load(flow)
        assert project.rows(flow, "id", "n", "t") == [(1, 1, None), (2, None, "b")]

    def test_an_error_in_a_column_that_is_not_read(self, project: Project) -> None:
        """It says nothing."""
        project.text("events/a.xlsx", excel(table(("id", "n", "e"), (1, 1, "#REF!"))))
        flow = project.flow(format="excel", read_options={"columns": ["n", "id"]})
        project.load(flow)
        assert project.rows(flow, "id", "n") == [(1, 1)]

    def test_a_title_above_the_header(self, project: Project) -> None:
        """A merged cell names one column; the other has none, and values."""
        rows = (("Orders of March", None), ("id", "n"), (1, 10))
        project.text("events/a.xlsx", excel(table(*rows)))
        error = project.fail(project.flow(format="excel"))
        assert error.code == "TG214"
        assert error.message == "column B of the sheet has values and no name: 'n' is the first"
        flow = project.flow(format="excel", read_options={"skip_rows": 1})
        project.load(flow)
        assert project.rows(flow, "id", "n") == [(1, 10)]

    def test_an_empty_sheet(self, project: Project) -> None:
        """It holds no columns."""
        project.text("events/a.xlsx", excel(table()))
        assert project.fail(project.flow(format="excel")).code == "TG202"

    def test_a_header_alone_is_no_rows(self, project: Project) -> None:
        """As in a CSV file."""
        project.text("events/a.xlsx", excel(table(("id", "n"))))
        flow = project.flow(format="excel")
        assert project.load(flow).rows_out == 0

    @pytest.mark.parametrize(
        ("options", "hint"),
        [
            ({"sheet": "Order"}, 'Sheet "Order" not found in file. Available sheets: "Orders", "Notes".'),
            ({"sheet": 3}, "Sheet index 2 is out of range. File has 2 sheets."),
            ({"columns": ["id", "m"]}, "columns: id, n"),
        ],
    )
    def test_a_sheet_or_column_that_is_not_there(self, project: Project, options: dict[str, Any], hint: str) -> None:
        """What is there is said."""
        project.text("events/a.xlsx", excel(table(("id", "n"), (1, 1)), others=["Notes"]))
        error = project.fail(project.flow(format="excel", read_options=options))
        assert (error.code, error.hint) == ("TG213", hint)

    def test_another_file_is_no_workbook(self, project: Project) -> None:
        """Whatever its name says."""
        project.text("events/a.xlsx", "id,n\n1,2\n")
        assert project.fail(project.flow(format="excel")).code == "TG204"


class TestExcelOptions:
    @pytest.mark.parametrize("options", [{"sheet": "Notes"}, {"sheet_name": "Notes"}, {"sheet_id": 2}])
    def test_a_sheet_by_name_or_number(self, project: Project, options: dict[str, Any]) -> None:
        """Without the option it is the first."""
        project.text("events/a.xlsx", excel(table(("id",), (1,)), others=["Notes"]))
        flow = project.flow(format="excel", read_options=options, to="parquet")
        project.load(flow)
        assert project.frame(flow).to_dicts() == [{"notes": 1}]

    @pytest.mark.parametrize("columns", ["A,C", "a:a,c", ["id", "n"]])
    def test_columns_by_letter_or_name(self, project: Project, columns: Any) -> None:
        """As the sheet names them."""
        project.text("events/a.xlsx", excel(table(("id", "x", "n"), (1, "x", 2))))
        flow = project.flow(format="excel", read_options={"columns": columns})
        project.load(flow)
        assert project.rows(flow) == [(1, 2)]

    def test_no_header(self, project: Project) -> None:
        """Columns are numbered from 1."""
        project.text("events/a.xlsx", excel(table(("title",), (1, 2), (3, 4))))
        flow = project.flow(format="excel", read_options={"has_header": False, "skip_rows": 1})
        project.load(flow)
        assert project.rows(flow, "column_1", "column_2") == [(1, 2), (3, 4)]

    def test_the_lock_file_of_an_open_workbook_is_none_of_the_source(self, project: Project) -> None:
        """It lies beside the workbook, with its suffix."""
        project.text("events/a.xlsx", excel(table(("id",), (1,))))
        project.text("events/~$a.xlsx", "ada")
        flow = project.flow(format="excel")
        project.load(flow)
        assert project.rows(flow) == [1]


def written(file_format: str, rows: Sequence[tuple[int, Any]]) -> bytes:
    """Return a file of the format with columns id and at."""
    if file_format == "excel":
        return excel(table(("id", "at"), *((number, at.replace(tzinfo=None)) for number, at in rows)))
    columns = {"id": "long", "at": {"type": "long", "logicalType": "timestamp-micros"}}
    return avro_bytes(columns, [{"id": number, "at": at} for number, at in rows])


@pytest.fixture(params=["avro", "excel"])
def file_format(request: pytest.FixtureRequest) -> str:
    """Each of both formats."""
    return str(request.param)


@pytest.mark.supports("sources", "{file_format}", "polars", evidence="real")
class TestIncrements:
    """What holds for files of every format holds for these."""

    def day(self, number: int) -> datetime:
        """Return a day of March."""
        return datetime(2026, 3, number, 8, tzinfo=UTC)

    def suffix(self, file_format: str) -> str:
        """Return the end of a file's name."""
        return "xlsx" if file_format == "excel" else "avro"

    def test_each_file_is_read_once(self, project: Project, file_format: str) -> None:
        """And a file that came later the next time."""
        flow = project.flow(format=file_format)
        for number in (1, 2, 3):
            name = f"events/{number}.{self.suffix(file_format)}"
            project.text(name, written(file_format, [(number, self.day(number))]))
            assert project.load(flow).rows_out == 1
        assert project.rows(flow, "id") == [1, 2, 3]

    def test_a_watermark_tells_rows_of_a_file_that_grows(self, project: Project, file_format: str) -> None:
        """Ties included."""
        name = f"events/all.{self.suffix(file_format)}"
        rows = [(1, self.day(1)), (2, self.day(2))]
        project.text(name, written(file_format, rows))
        flow = project.flow(format=file_format, watermark="at")
        project.load(flow)
        project.text(name, written(file_format, [*rows, (3, self.day(2)), (4, self.day(3))]))
        assert project.load(flow).rows_out == 2
        assert project.rows(flow, "id") == [1, 2, 3, 4]

    def test_files_with_differing_columns(self, project: Project, file_format: str) -> None:
        """A new column comes; earlier rows have NULL there."""
        suffix = self.suffix(file_format)
        project.text(f"events/1.{suffix}", written(file_format, [(1, self.day(1))]))
        more = {
            "excel": lambda: excel(table(("id", "at", "new"), (2, datetime(2026, 3, 2, 8), 7))),  # noqa: DTZ001
            "avro": lambda: avro_bytes(
                {"new": "long", "id": "long", "at": {"type": "long", "logicalType": "timestamp-micros"}},
                [{"id": 2, "at": self.day(2), "new": 7}],
            ),
        }
        project.text(f"events/2.{suffix}", more[file_format]())
        flow = project.flow(format=file_format)
        project.load(flow)
        assert project.rows(flow, "id", "new") == [(1, None), (2, 7)]

    def test_which_file_a_row_came_from(self, project: Project, file_format: str) -> None:
        """File information is added as for every format."""
        suffix = self.suffix(file_format)
        for number in (1, 2):
            project.text(f"events/{number}.{suffix}", written(file_format, [(number, self.day(number))]))
        flow = project.flow(format=file_format, read_options={"include_file_info": True})
        project.load(flow)
        assert project.rows(flow, "id", "__file_name") == [(1, f"1.{suffix}"), (2, f"2.{suffix}")]
        only = project.flow("names", source="events", format=file_format, read_options={"include_file_info": True},
                            select_columns=["__file_name"])  # fmt: skip
        project.load(only)
        assert project.rows(only) == [f"1.{suffix}", f"2.{suffix}"]

    def test_by_the_time_of_the_files(self, project: Project, file_format: str) -> None:
        """Each file once, also one that is older than the position."""
        suffix = self.suffix(file_format)
        project.text(f"events/1.{suffix}", written(file_format, [(1, self.day(1))]))
        flow = project.flow(format=file_format, watermark="__file_modification_time")
        project.load(flow)
        old = project.text(f"events/0.{suffix}", written(file_format, [(0, self.day(1))]), modified_ns=10**18)
        project.text(f"events/2.{suffix}", written(file_format, [(2, self.day(1))]))
        assert old.stat().st_mtime_ns == 10**18
        assert project.load(flow).rows_out == 2
        assert project.load(flow).rows_out == 0
        assert project.rows(flow, "id") == [0, 1, 2]

    def test_a_source_condition_and_a_projection(self, project: Project, file_format: str) -> None:
        """Both reach the reader."""
        name = f"events/1.{self.suffix(file_format)}"
        project.text(name, written(file_format, [(number, self.day(number)) for number in range(1, 9)]))
        flow = project.flow(format=file_format, source_filter="id > 5", select_columns=["at"])
        project.load(flow)
        days = [moment.day for moment in project.rows(flow)]
        assert days == [6, 7, 8]
