"""Metadata in Excel workbooks: what cells mean, and where what is wrong stands."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from tidegate.metadata import FileMetadata, Finding, check
from tidegate.metadata.cells import cell_of, node_of_cell
from tidegate.metadata.finding import Findings, Place, letters_of
from tidegate.metadata.rows import path_of
from tidegate.metadata.xlsx_template import write_template
from tidegate.models import DataFlow

CONNECTIONS = [
    ["name", "format", "configure.base_path"],
    ["landing", "csv", "landing"],
    ["lake", "delta", "lake"],
]
DATAFLOWS = [
    ["name", "source.connection_name", "source.table", "destination.connection_name", "destination.table"],
    ["orders", "landing", "orders", "lake", "orders"],
]


def workbook(path: Path, **sheets: list[list[Any]]) -> Path:
    """Write a workbook, as a person would: numbers, dates and truth values in their own cells."""
    file = xlsxwriter.Workbook(str(path), {"strings_to_formulas": False})
    form = file.add_format({"num_format": "yyyy-mm-dd"})
    for name, rows in sheets.items():
        sheet = file.add_worksheet(name)
        for number, row in enumerate(rows):
            for index, value in enumerate(row):
                if isinstance(value, date):
                    sheet.write_datetime(number, index, value, form)
                elif value is not None:
                    sheet.write(number, index, value)
    file.close()
    return path


def flow(path: Path, columns: list[str], values: list[Any]) -> DataFlow:
    """Return a dataflow with further columns."""
    rows = [[*DATAFLOWS[0], *columns], [*DATAFLOWS[1], *values]]
    return FileMetadata(workbook(path / "m.xlsx", connections=CONNECTIONS, dataflows=rows)).load().dataflows[0]


def found(path: Path, **sheets: list[list[Any]]) -> list[Finding]:
    """Return what is found in a workbook that has the usual connections and dataflows."""
    usual = {"connections": CONNECTIONS, "dataflows": DATAFLOWS}
    return check(workbook(path / "m.xlsx", **{**usual, **sheets}))


class TestCells:
    def test_numbers_dates_and_truth_values_become_what_the_field_takes(self, tmp_path: Path) -> None:
        """Excel knows no whole numbers, and people write a name that is a number as one."""
        columns = ["group_number", "is_active", "stage", "description", "timeout", "tags"]
        read = flow(tmp_path, columns, [1.0, True, 2024, date(2026, 3, 1), 90.5, 7])
        assert (read.group_number, read.is_active, read.stage, read.timeout) == (1, True, "2024", 90.5)
        assert (read.description, read.tags) == ("2026-03-01", ("7",))

    def test_names_have_commas_and_objects_are_json(self, tmp_path: Path) -> None:
        columns = ["source.watermark_columns", "destination.partition_columns", "transform", "source.configure"]
        transform = '{"rename_columns": {"a": "b"}}'
        partitions = '["day", {"column": "month", "expression": "month(day)"}]'
        read = flow(tmp_path, columns, ["a, b", partitions, transform, '{"read_options": {"delimiter": ";"}}'])
        assert read.source.watermark_columns == ("a", "b")
        assert [part.column for part in read.destination.partition_columns] == ["day", "month"]
        assert read.transform.rename_columns == {"a": "b"}
        assert read.source.read_options == {"delimiter": ";"}

    def test_older_names_of_columns_are_read_too(self, tmp_path: Path) -> None:
        """`source_table`, and connections by their id."""
        connections = [["name", "connection_id", "format", "configure"], ["l", "c-1", "csv", '{"base_path": "x"}']]
        connections.append(["d", "c-2", "delta", '{"base_path": "y"}'])
        rows = [
            ["Name", "source_connection_id", "Source Table", "destination_connection_name", "destination_table"],
            ["orders", "c-1", "t", "d", "u"],
        ]
        file = workbook(tmp_path / "m.xlsx", connections=connections, dataflows=rows)
        (read,) = FileMetadata(file).load().dataflows
        assert (read.source.connection_name, read.source.table, read.destination.table) == ("l", "t", "u")

    def test_variables_keep_their_type(self, tmp_path: Path) -> None:
        rows = [["name", "value"], ["number", 3], ["digits", "3"], ["options", '{"a": [1]}'], ["empty", None]]
        metadata = FileMetadata(
            workbook(tmp_path / "m.xlsx", connections=CONNECTIONS, dataflows=DATAFLOWS, variables=rows)
        ).load()
        assert metadata.variables == {"number": 3, "digits": "3", "options": {"a": [1]}, "empty": None}

    def test_empty_rows_and_sheets_of_notes_are_passed_over(self, tmp_path: Path) -> None:
        rows = [DATAFLOWS[0], [], *DATAFLOWS[1:]]
        assert found(tmp_path, dataflows=rows, **{"Read me": [["anything"], ["at all"]]}) == []

    @given(
        kind=st.sampled_from(["text", "any"]),
        text=st.text(st.sampled_from('"\\[{}]1.,eE-a ') | st.characters(exclude_categories=["Cs"]), max_size=20),
        typed=st.booleans(),
    )
    def test_any_text_comes_back_as_the_text_it_was(self, kind: Any, text: str, *, typed: bool) -> None:
        """Also one that looks like a number, like JSON, or like nothing."""
        cell = cell_of(kind, text, typed=typed)
        assert node_of_cell(kind, cell, Place("here"), Findings(), typed=typed).plain() == text

    @given(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans(), st.booleans())
    def test_any_number_comes_back_as_the_number_it_was(self, number: float, typed: bool) -> None:  # noqa: FBT001
        """A cell of Excel holds 15 digits of it: longer ones are kept as text."""
        cell = cell_of("any", number, typed=typed)
        if typed and isinstance(cell, float):
            cell = float(f"{cell:.15G}")
        assert node_of_cell("any", cell, Place("here"), Findings(), typed=typed).plain() == number


class TestPlaces:
    @pytest.mark.parametrize(("column", "letters"), [(1, "A"), (26, "Z"), (27, "AA"), (703, "AAA")])
    def test_columns_have_letters(self, column: int, letters: str) -> None:
        assert letters_of(column) == letters

    def test_a_value_is_shown_at_its_cell(self, tmp_path: Path) -> None:
        rows = [[*DATAFLOWS[0], "destination.load_type"], [], [*DATAFLOWS[1], "mege_upsert"]]
        (finding,) = found(tmp_path, dataflows=rows)
        assert str(finding.where) == f"{tmp_path}/m.xlsx:dataflows!F3"
        assert (finding.where.line, finding.where.column) == (3, 6)
        assert (finding.code, finding.hint) == ("TG102", "did you mean 'merge_upsert'?")

    def test_a_misspelled_column_is_shown_at_its_header(self, tmp_path: Path) -> None:
        rows = [[*DATAFLOWS[0], "source.watermark_colums"], [*DATAFLOWS[1], "id"]]
        (finding,) = found(tmp_path, dataflows=rows)
        assert (finding.code, str(finding.where)) == ("TG101", f"{tmp_path}/m.xlsx:dataflows!F1")
        assert finding.hint == "did you mean 'watermark_columns'?"

    def test_what_is_missing_is_shown_at_its_row(self, tmp_path: Path) -> None:
        rows = [*DATAFLOWS, ["lines", "landing", "lines", "lake"]]
        (finding,) = found(tmp_path, dataflows=rows)
        assert (finding.code, str(finding.where)[-12:]) == ("TG103", "dataflows!D3")

    def test_two_columns_that_say_one_field_are_refused(self, tmp_path: Path) -> None:
        rows = [[*DATAFLOWS[0], "source"], [*DATAFLOWS[1], '{"table": "other"}']]
        (finding,) = found(tmp_path, dataflows=rows)
        assert (finding.code, str(finding.where)[-12:]) == ("TG105", "dataflows!C2")

    def test_a_misspelled_sheet_is_found(self, tmp_path: Path) -> None:
        (finding,) = found(tmp_path, varables=[["name", "value"]])
        assert (finding.code, finding.hint) == ("TG101", "did you mean 'variables'?")

    def test_a_variable_is_given_once_and_has_a_name(self, tmp_path: Path) -> None:
        rows = [["name", "value"], ["a", 1], ["a", 2], [None, 3]]
        assert [finding.code for finding in found(tmp_path, variables=rows)] == ["TG105", "TG103"]


class TestFiles:
    def test_a_folder_may_have_some_sections_in_workbooks(self, tmp_path: Path) -> None:
        """By the name of the file, whose first sheet then may be called anything; data beside it is left alone."""
        workbook(tmp_path / "dataflows.xlsx", Sheet1=DATAFLOWS)
        workbook(tmp_path / "data.xlsx", Sheet1=[["a"], [1]])
        text = "- {name: landing, format: csv, configure: {base_path: landing}}\n"
        (tmp_path / "connections.yaml").write_text(text + "- {name: lake, format: delta, configure: {base_path: lake}}")
        (tmp_path / "~$dataflows.xlsx").write_text("the lock of Excel")
        assert [flow.name for flow in FileMetadata(tmp_path).load().dataflows] == ["orders"]

    def test_what_is_no_workbook_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "m.xlsx").write_text("name,format")
        (finding,) = check(tmp_path / "m.xlsx")
        assert finding.code == "TG100"
        assert finding.message.startswith("not an Excel workbook")
        (finding,) = check(tmp_path / "none.xlsx")
        assert (finding.code, finding.message) == ("TG100", "no such file")


class TestTemplate:
    def test_it_holds(self, tmp_path: Path) -> None:
        """Its example can be checked as it is."""
        write_template(tmp_path / "metadata.xlsx")
        assert check(tmp_path / "metadata.xlsx") == []
        metadata = FileMetadata(tmp_path).load()
        assert [flow.destination.load_type for flow in metadata.dataflows] == ["merge_upsert"]
        assert metadata.variables == {"landing": "landing"}

    def test_its_headers_explain_themselves_and_its_lists_are_those_of_the_models(self, tmp_path: Path) -> None:
        import zipfile

        write_template(tmp_path / "metadata.xlsx")
        with zipfile.ZipFile(tmp_path / "metadata.xlsx") as archive:
            texts = {name: archive.read(name).decode() for name in archive.namelist() if name.endswith(".xml")}
        assert "append,overwrite,full_load,merge_upsert" in texts["xl/worksheets/sheet2.xml"]
        assert "TRUE,FALSE" in texts["xl/worksheets/sheet1.xml"]
        assert "SQL condition that rows must meet to be loaded. Text." in texts["xl/comments2.xml"]

    @pytest.mark.parametrize("column", ["source.table", "source_table", "Source Table", "SOURCE.TABLE"])
    def test_a_column_is_found_however_it_is_written(self, column: str) -> None:
        assert path_of(DataFlow, column) == ("source", "table")
