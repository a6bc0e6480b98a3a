"""Bad input: the flow fails with a code and the place, the others finish, and all is as it was before.

`Project.fail` compares all bytes of source and destination, and the position, before and after.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from tests.behaviour.project import DATABASES, Project
from tidegate import DataFlow, create_driver
from tidegate.reporting import ErrorReport
from tidegate.reporting.events import UnitProgress

DAY = datetime(2024, 5, 31, 12)  # noqa: DTZ001 - a naive column


def spoiled(
    project: Project, spoil: Callable[[Path], object], file_format: str = "csv", **options: object
) -> ErrorReport:
    """Load a good file, let a bad one follow, and return why the load of that fails, beside a flow that succeeds."""
    good = {
        "csv": ("id,n\n1,1\n", "a.csv"),
        "jsonl": ('{"id":1,"n":1}\n', "a.jsonl"),
        "json": ('[{"id":1,"n":1}]', "a.json"),
    }
    if file_format == "parquet":
        project.parquet("events/a.parquet", {"id": [1], "n": [1]})
    else:
        content, name = good[file_format]
        project.text(f"events/{name}", content)
    flow = project.flow(format=file_format, **options)
    project.load(flow)
    spoil(project.source_root / "events")
    project.csv("good.csv", "id", "1")
    other = project.flow("good")
    result = project.run(flow, other)
    assert (result.succeeded, result.failed, result.exit_code) == (1, 1, 1)
    assert project.rows(other) == [1]
    error = project.fail(flow)
    assert project.rows(flow) == [(1, 1)]
    return error


class TestFiles:
    def test_a_missing_file(self, project: Project) -> None:
        """The name is shown, and what is there instead."""
        project.csv("event.csv", "id", "1")
        error = project.fail(project.flow())
        assert error.code == "TG201"
        assert f"no such file or folder: {project.source_root}/events" in error.message
        assert "event.csv" in error.message
        assert not project.destination_root.exists()

    def test_an_empty_file(self, project: Project) -> None:
        """A file of no bytes is not a file of no rows."""
        error = spoiled(project, lambda folder: (folder / "b.csv").touch())
        assert (error.code, "b.csv" in error.message) == ("TG202", True)

    @pytest.mark.parametrize(("file_format", "content"), [("json", "[]"), ("jsonl", "\n"), ("csv", "\n\n")])
    def test_a_file_without_a_record(self, project: Project, file_format: str, content: str) -> None:
        """A file that tells no column is an error that names it."""
        error = spoiled(project, lambda folder: (folder / f"b.{file_format}").write_text(content), file_format)
        assert (error.code, f"b.{file_format}" in error.message) == ("TG202", True)

    def test_a_file_with_other_columns(self, project: Project) -> None:
        """A file that lacks columns of earlier loads is refused, with what is missing and what is too much."""
        error = spoiled(project, lambda folder: (folder / "b.csv").write_text("id,amount\n2,2\n"))
        assert error.code == "TG203"
        assert "n missing, amount unexpected" in error.message
        assert "schema_policy: evolve" in str(error.hint)
        assert str(error.where).endswith("b.csv")

    def test_files_of_one_read_with_other_columns(self, project: Project) -> None:
        """The first file sets the columns of a first load."""
        project.csv("events/a.csv", "id,n", "1,1")
        project.csv("events/b.csv", "id,m", "2,2")
        error = project.fail(project.flow())
        assert (error.code, str(error.where).endswith("b.csv")) == ("TG203", True)

    @pytest.mark.parametrize("policy", [None, "evolve", "ignore"])
    def test_a_file_that_only_lacks_a_column(self, project: Project, policy: str | None) -> None:
        """Is taken, and the report says what it lacks; `fail` refuses it."""
        project.csv("events/a.csv", "id,n", "1,1")
        flow = project.flow(settings={"schema_policy": policy} if policy else None)
        project.load(flow)
        project.csv("events/b.csv", "id", "2")
        assert "the source lacks n" in str(project.load(flow).detail)
        assert project.rows(flow, "id", "n") == [(1, 1), (2, None)]
        project.csv("events/c.csv", "id", "3")
        strict = project.flow(settings={"schema_policy": "fail"})
        assert project.fail(strict).code == "TG203"

    def test_a_file_that_lacks_a_column_with_a_schema_hint(self, project: Project) -> None:
        """A hint for a column that went is passed over; one for a column that never was is an error."""
        project.csv("events/a.csv", "id,n", "1,1")
        flow = project.flow(hints={"n": "decimal(10,2)"})
        project.load(flow)
        project.csv("events/b.csv", "id", "2")
        project.load(flow)
        assert project.rows(flow, "id", "n") == [(1, Decimal("1.00")), (2, None)]
        project.csv("events/c.csv", "id", "3")
        assert project.fail(project.flow(hints={"m": "bigint"})).code == "TG302"

    @pytest.mark.parametrize("policy", ["evolve", "ignore"])
    def test_a_file_of_another_source(self, project: Project, policy: str) -> None:
        """With no column in common it is refused under any policy: it may have another separator."""
        project.csv("events/a.csv", "id,n", "1,1")
        flow = project.flow(settings={"schema_policy": policy})
        project.load(flow)
        project.csv("events/b.csv", "id;n", "2;2")
        assert project.fail(flow).code == "TG203"

    def test_a_truncated_parquet_file(self, project: Project) -> None:
        """A file without its footer is named."""

        def spoil(folder: Path) -> None:
            data = (folder / "a.parquet").read_bytes()
            (folder / "b.parquet").write_bytes(data[: len(data) // 2])

        error = spoiled(project, spoil, "parquet")
        assert (error.code, str(error.where).endswith("b.parquet")) == ("TG204", True)

    def test_parquet_that_is_something_else(self, project: Project) -> None:
        """A text file with the wrong suffix is named."""
        error = spoiled(project, lambda folder: (folder / "b.parquet").write_text("id,n\n1,2\n"), "parquet")
        assert (error.code, str(error.where).endswith("b.parquet")) == ("TG204", True)

    def test_a_truncated_gz_file(self, project: Project) -> None:
        """A compressed file that ends too early is named."""
        whole = gzip.compress(b"id,n\n1,2\n" * 100)
        error = spoiled(project, lambda folder: (folder / "b.csv.gz").write_bytes(whole[:-9]))
        assert (error.code, str(error.where).endswith("b.csv.gz")) == ("TG204", True)

    def test_a_changed_file_under_append_without_a_watermark(self, project: Project) -> None:
        """Nothing tells its new rows from its old ones: refused, with three ways out."""
        error = spoiled(project, lambda folder: (folder / "a.csv").write_text("id,n\n1,1\n2,2\n"))
        assert (error.code, str(error.where).endswith("a.csv")) == ("TG208", True)
        assert "watermark_columns" in str(error.hint)

    def test_a_file_that_changes_while_it_is_read(self, project: Project) -> None:
        """A file that is written at the same time is not half loaded: the run does not count, the next one does."""
        path = project.csv("events.csv", "id", *map(str, range(100)))
        flow = project.flow(watermark="id")

        class Writer:
            def handle(self, event: object, /) -> None:
                if isinstance(event, UnitProgress) and event.phase == "reading":
                    project.more("events.csv", "100")

            def close(self) -> None:
                pass

        with create_driver(root=project.root, sinks=[Writer()]) as driver:
            (unit,) = driver.run(dataflows=[flow]).units
        assert unit.error is not None
        assert (unit.error.code, unit.error.where) == ("TG207", str(path))
        assert not any(project.destination_root.rglob("*.parquet"))
        assert project.position(flow) is None
        project.load(flow)
        assert project.rows(flow) == list(range(101))

    def test_a_file_that_vanishes_while_it_is_read(self, project: Project) -> None:
        """A file that is gone between plan and read is named."""
        path = project.csv("events/a.csv", "id", "1")
        project.csv("events/b.csv", "id", "2")
        flow = project.flow()

        class Remover:
            def handle(self, event: object, /) -> None:
                if isinstance(event, UnitProgress) and event.phase == "reading":
                    path.unlink(missing_ok=True)

            def close(self) -> None:
                pass

        with create_driver(root=project.root, sinks=[Remover()]) as driver:
            (unit,) = driver.run(dataflows=[flow]).units
        assert unit.error is not None
        assert unit.error.code in {"TG201", "TG204", "TG207"}
        assert str(path) in f"{unit.error.message} {unit.error.where}"
        assert project.position(flow) is None


class TestRows:
    @pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
    def test_too_many_fields(self, project: Project, suffix: str) -> None:
        """A row with more fields than the header is named by row and line."""
        content = "id,n\n2,2\n3,3,3\n"
        error = spoiled(project, lambda _: project.text(f"events/b{suffix}", content))
        assert (error.code, error.message) == ("TG205", "row 2 has 3 fields, the header has 2")
        assert error.where == f"{project.source_root}/events/b{suffix}, row 2 (line 3)"

    def test_lines_inside_quotes_count_as_lines_not_rows(self, project: Project) -> None:
        """Row and line differ where a field holds a line break; both are said."""
        project.text("events.csv", 'id,n\n1,"a\nb"\n2,3,4\n')
        error = project.fail(project.flow())
        assert (error.code, error.where) == ("TG205", f"{project.source_root}/events.csv, row 2 (line 4)")

    def test_an_open_quote(self, project: Project) -> None:
        """A quote that is never closed is a row that is no row."""
        project.text("events.csv", 'id,n\n1,2\n2,"open\n3,3\n')
        error = project.fail(project.flow())
        assert (error.code, str(error.where).startswith(f"{project.source_root}/events.csv, row 2")) == ("TG205", True)

    def test_bytes_that_are_not_utf8(self, project: Project) -> None:
        """Another encoding is named with its row; `encoding: utf8-lossy` takes it nevertheless."""
        project.text("events.csv", b"id,n\n1,a\n2,\xe9\n")
        error = project.fail(project.flow())
        assert (error.code, error.message) == ("TG205", "row 2 is not UTF-8")
        flow = project.flow(read_options={"encoding": "utf8-lossy"})
        project.load(flow)
        assert project.rows(flow, "n") == ["a", "�"]

    @pytest.mark.parametrize(
        ("file_format", "content"),
        [("csv", "id,n\n2,2\n3,many\n"), ("jsonl", '{"id":2,"n":"2"}\n{"id":3,"n":"many"}\n')],
    )
    def test_a_value_that_does_not_cast(self, project: Project, file_format: str, content: str) -> None:
        """Value, type, file, row and column are said."""
        error = spoiled(
            project,
            lambda folder: (folder / f"b.{file_format}").write_text(content),
            file_format,
            hints={"n": "bigint"},
        )
        assert (error.code, error.message) == ("TG206", "column 'n': 'many' is not bigint")
        assert error.where == f"{project.source_root}/events/b.{file_format}, row 2, column n"

    def test_a_parquet_value_that_does_not_cast(self, project: Project) -> None:
        """Text in a column that was numbers is parsed strictly."""
        error = spoiled(project, lambda _: project.parquet("events/b.parquet", {"id": [2], "n": ["many"]}), "parquet")
        assert (error.code, error.message) == ("TG206", "column 'n': 'many' is not bigint")
        assert error.where == f"{project.source_root}/events/b.parquet, row 1, column n"

    @pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
    def test_a_fraction_in_a_column_of_integers(self, project: Project, file_format: str) -> None:
        """1.5 after 1 is not cut off to 1."""

        def spoil(_: Path) -> None:
            if file_format == "jsonl":
                project.jsonl("events/b.jsonl", {"id": 2, "n": 1.5})
            else:
                project.parquet("events/b.parquet", {"id": [2], "n": [1.5]})

        error = spoiled(project, spoil, file_format)
        assert (error.code, "1.5" in error.message, "bigint" in error.message) == ("TG206", True, True)

    def test_a_time_of_day_in_a_column_of_dates(self, project: Project) -> None:
        """A timestamp after a date is not cut off to its day."""
        project.parquet("events/a.parquet", {"day": [DAY.date()]})
        flow = project.flow(format="parquet")
        project.load(flow)
        project.parquet("events/b.parquet", {"day": [DAY]})
        assert project.fail(flow).code == "TG203"

    def test_more_digits_behind_the_point(self, project: Project) -> None:
        """A finer decimal after a coarser one is not rounded."""
        project.parquet("events/a.parquet", {"n": [Decimal("1.25")]})
        flow = project.flow(format="parquet")
        project.load(flow)
        project.parquet("events/b.parquet", {"n": [Decimal("1.2599")]})
        assert project.fail(flow).code == "TG203"

    def test_unless_a_decimal_holds_both(self, project: Project) -> None:
        """38 digits are the most there are; fewer may grow."""
        for name, digits, text in (("a", pl.Decimal(10, 2), "1.25"), ("b", pl.Decimal(12, 4), "1.2599")):
            project.parquet(f"events/{name}.parquet", pl.DataFrame({"n": [Decimal(text)]}, schema={"n": digits}))
            project.load(project.flow(format="parquet"))
        assert project.rows(project.flow(), "n") == [Decimal("1.25"), Decimal("1.2599")]

    def test_a_value_beyond_the_rows_that_types_were_found_in(self, project: Project) -> None:
        """The 10,002nd row is as strict as the first, padding included."""
        for value in ("x", "1.5", " 7 "):
            project.csv("events.csv", "a", *["1"] * 10_001, f'"{value}"' if " " in value else value)
            error = project.fail(project.flow())
            assert (error.code, error.where) == ("TG206", f"{project.source_root}/events.csv, row 10002, column a")

    def test_a_jsonl_line_that_is_no_object(self, project: Project) -> None:
        """A line that is cut off, or no object, is named with its file."""
        for line in ('{"id":2,"n', "[1]"):
            error = spoiled(project, lambda folder, line=line: (folder / "b.jsonl").write_text(line + "\n"), "jsonl")
            assert (error.code, "b.jsonl" in str(error.where)) == ("TG204", True)
            (project.source_root / "events" / "b.jsonl").unlink()
            project.forget_state()
            project = Project(project.root / "again")

    def test_a_failed_load_can_be_repaired(self, project: Project) -> None:
        """Once the row is corrected, the same flow loads it, once."""
        project.csv("events/a.csv", "id,n", "1,1")
        flow = project.flow(hints={"n": "bigint"})
        project.load(flow)
        project.csv("events/b.csv", "id,n", "2,x")
        project.fail(flow)
        project.csv("events/b.csv", "id,n", "2,2")
        project.load(flow)
        assert project.rows(flow) == [(1, 1), (2, 2)]


class TestDestination:
    @pytest.mark.never(DATABASES, reason="a database is no folder")
    def test_below_a_regular_file(self, any_project: Project) -> None:
        """A path that cannot be made is an error of writing, and the file in its way stays."""
        any_project.csv("events.csv", "id", "1")
        any_project.destination_root.write_text("in the way")
        error = any_project.fail(any_project.flow())
        assert error.code == "TG401"
        assert str(any_project.destination_root) in f"{error.message} {error.where}"
        assert any_project.destination_root.read_text() == "in the way"

    @pytest.mark.never(DATABASES, reason="a database is no folder")
    def test_a_file_where_the_table_should_be(self, any_project: Project) -> None:
        """A file of the table's name is not overwritten."""
        any_project.csv("events.csv", "id", "1")
        any_project.destination_root.mkdir()
        (any_project.destination_root / "events").write_text("in the way")
        error = any_project.fail(any_project.flow(load_type="overwrite"))
        assert (error.code, error.where) == ("TG402", str(any_project.destination_root / "events"))

    @pytest.mark.never(DATABASES, reason="a database is no folder")
    def test_a_folder_with_other_files(self, any_project: Project) -> None:
        """A folder that others filled is not taken over."""
        any_project.csv("events.csv", "id", "1")
        folder = any_project.destination_root / "events"
        folder.mkdir(parents=True)
        for suffix in ("csv", "parquet", "jsonl", "txt"):
            (folder / f"theirs.{suffix}").write_text("x")
        error = any_project.fail(any_project.flow(load_type="overwrite"))
        assert (error.code, "theirs.csv" in str(error.hint)) == ("TG402", True)

    def test_an_empty_folder_is_fine(self, any_project: Project) -> None:
        """A folder that was made beforehand is where the table goes."""
        any_project.csv("events.csv", "id", "1")
        (any_project.destination_root / "events").mkdir(parents=True)
        flow = any_project.flow()
        any_project.load(flow)
        assert any_project.rows(flow) == [1]

    def test_a_column_that_does_not_fit_the_table(self, any_project: Project) -> None:
        """Text into a column of numbers is refused before anything is written."""
        any_project.csv("events.csv", "id", "1")
        any_project.load(any_project.flow())
        any_project.csv("words.csv", "id", "one")
        error = any_project.fail(any_project.flow(source="words", name="words"))
        assert (error.code, "'id'" in error.message) == ("TG403", True)

    @pytest.mark.never(DATABASES, reason="rows of a database lie in no folders")
    def test_other_partitions_than_the_table_has(self, any_project: Project) -> None:
        """Partition columns of a table do not change."""
        any_project.csv("events.csv", "id,a,b", "1,1,1")
        any_project.load(any_project.flow(partitions=["a"]))
        error = any_project.fail(any_project.flow(partitions=["b"], source="events", name="other"))
        assert error.code == "TG409"

    def test_a_damaged_delta_log(self, project: Project) -> None:
        """A table that cannot be opened is not taken for one that does not exist."""
        project.csv("events/a.csv", "id", "1")
        flow = project.flow()
        project.load(flow)
        (project.destination_root / "events" / "_delta_log" / "00000000000000000000.json").write_text("{")
        project.csv("events/b.csv", "id", "2")
        assert project.fail(flow).code in {"TG401", "TG402"}

    def test_a_damaged_commit_record(self, project: Project) -> None:
        """The log of a folder of files is read strictly too."""
        project.csv("events/a.csv", "id", "1")
        flow = project.flow(to="parquet")
        project.load(flow)
        (record,) = (project.destination_root / "events" / "_tidegate" / "log").iterdir()
        record.write_text("{")
        project.csv("events/b.csv", "id", "2")
        assert project.fail(flow).code == "TG411"

    @pytest.mark.parametrize("destination", ["parquet", "csv", "jsonl"])
    def test_a_merge_into_plain_files(self, project: Project, destination: str) -> None:
        """Replacing single rows needs a table format: refused before anything is written, also without a `check`."""
        project.csv("events/a.csv", "id", "1")
        project.load(project.flow(to=destination))
        assert project.fail(project.merge(to=destination, name="merge")).code == "TG107"


class TestOthers:
    def test_stop_on_error_starts_nothing_new(self, project: Project) -> None:
        """With `stop_on_error` what had not started is reported as skipped (defect 21)."""
        project.csv("good.csv", "id", "1")
        flows: list[DataFlow] = [project.flow("missing"), project.flow("good")]
        result = project.run(*flows, max_workers=1, stop_on_error=True)
        assert [unit.status for unit in result.units] == ["failed", "skipped"]

    def test_configuration_errors_are_not_retried(self, project: Project) -> None:
        """A missing file is missing the second time too (defect 26)."""
        result = project.run(project.flow(), retry_count=3, retry_delay=60)
        assert result.units[0].attempts == 1
