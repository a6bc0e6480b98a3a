"""What `check` says of file sources: options of Avro and Excel, dated folders, look-back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.metadata import check


def said(tmp_path: Path, *, file_format: str = "csv", connection: str = "", source: str = "") -> list[tuple[str, str]]:
    """Check a project of one flow; return the codes and messages."""
    configure = ", ".join(filter(None, ("base_path: in", connection)))
    (tmp_path / "tidegate.yaml").write_text(
        f"""
connections:
  - {{name: files, format: {file_format}, configure: {{{configure}}}}}
  - {{name: lake, format: delta, configure: {{base_path: lake}}}}
dataflows:
  - name: a
    source: {{connection: files, table: t{source}}}
    destination: {{connection: lake, table: t}}
""",
        encoding="utf-8",
    )
    return [(finding.code, finding.message) for finding in check(str(tmp_path))]


class TestOptions:
    @pytest.mark.parametrize(
        ("file_format", "options"),
        [
            ("avro", "include_file_info: true"),
            ("excel", "sheet: 2026, skip_rows: 1, columns: 'A:D'"),
            ("excel", "sheet_name: Orders, has_header: false, columns: [id, n], error_cells: 'null'"),
        ],
    )
    def test_those_of_the_format_are_taken(self, tmp_path: Path, file_format: str, options: str) -> None:
        """In their spellings."""
        assert said(tmp_path, file_format=file_format, connection=f"read_options: {{{options}}}") == []

    @pytest.mark.parametrize(
        ("file_format", "options", "code", "message"),
        [
            ("avro", "separator: ;", "TG121", "unknown option"),
            ("excel", "sheets: x", "TG121", "unknown option"),
            ("excel", "sheet: 0", "TG102", "the name of a sheet, or its number, from 1"),
            ("excel", "sheet: a, sheet_name: b", "TG116", "sheet and sheet_name are the same option"),
            ("excel", "columns: city names", "TG102", "letters such as A:D, or a list of names"),
            ("excel", "error_cells: ignore", "TG102", "fail or null"),
            ("excel", "skip_rows: -1", "TG102", "a number of rows"),
        ],
    )
    def test_others_are_refused(self, tmp_path: Path, file_format: str, options: str, code: str, message: str) -> None:
        """Before a file is opened."""
        ((found, text),) = said(tmp_path, file_format=file_format, connection=f"read_options: {{{options}}}")
        assert found == code
        assert message in text


class TestDatedFolders:
    def test_a_pattern_is_taken(self, tmp_path: Path) -> None:
        """Down to the hour."""
        assert said(tmp_path, connection="date_folder_partitions: 'y={year}/{month}/{day}/{hour}'") == []

    @pytest.mark.parametrize("pattern", ["{month}", "{year}/{day}", "{year}/{weekday}", "daily"])
    def test_one_without_dates_is_not(self, tmp_path: Path, pattern: str) -> None:
        """What is wanted is said."""
        ((code, text),) = said(tmp_path, connection=f"date_folder_partitions: '{pattern}'")
        assert code == "TG102"
        assert "write {year}, and as far as they go {month}, {day} and {hour}" in text


class TestLookBack:
    WATERMARK = ", watermark_columns: [day]"

    @pytest.mark.parametrize(
        "fields", ["backward_days: 3", "backward: {months: 1, years: 1}", "backward_closing_day: 5"]
    )
    def test_of_a_source_and_of_a_connection(self, tmp_path: Path, fields: str) -> None:
        """It needs something that it moves; a connection may have it for others."""
        assert said(tmp_path, connection=fields) == []
        assert said(tmp_path, source=f"{self.WATERMARK}, configure: {{{fields}}}") == []
        dated = "date_folder_partitions: '{year}'"
        assert said(tmp_path, connection=dated, source=f", configure: {{{fields}}}") == []
        ((code, _),) = said(tmp_path, source=f", configure: {{{fields}}}")
        assert code == "TG120"

    @pytest.mark.parametrize("fields", ["backward_days: -1", "backward: {hours: -1}", "backward_closing_day: 0"])
    def test_a_negative_one_would_skip_rows(self, tmp_path: Path, fields: str) -> None:
        """It is refused, wherever it stands."""
        assert said(tmp_path, connection=fields)[0][0] == "TG102"
        assert said(tmp_path, source=f"{self.WATERMARK}, configure: {{{fields}}}")[0][0] == "TG102"

    def test_both_forms_exclude_each_other(self, tmp_path: Path) -> None:
        """Of a connection as of a source."""
        both = "backward: {days: 1}, backward_months: 1"
        message = "configure: backward and backward_months exclude each other"
        ((code, text),) = said(tmp_path, connection=both)
        assert code == "TG116"
        assert message in text
        ((code, text),) = said(tmp_path, source=f"{self.WATERMARK}, configure: {{{both}}}")
        assert code == "TG116"
        assert f"source.{message}" in text
