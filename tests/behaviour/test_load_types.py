"""Load types, on every destination: what append and overwrite leave behind, run after run."""

from __future__ import annotations

import contextlib
import json
from datetime import date
from pathlib import Path

import deltalake
import pytest

from tests.behaviour.project import DATABASES, Project, data_files, tree
from tidegate.destinations.files import FileTable
from tidegate.transformers.system_columns import SYSTEM_COLUMNS

NO_KEYS = "replacing single rows needs a table format: TG107"


class TestAppend:
    def test_a_second_run_adds_nothing(self, any_project: Project) -> None:
        """A source that did not change is loaded once, however often the flow runs."""
        any_project.csv("events.csv", "id,name", "1,a", "2,b")
        flow = any_project.flow()
        first = any_project.load(flow)
        before = tree(any_project.destination_root)
        second = any_project.load(flow)
        assert (first.rows_in, first.rows_out, second.rows_out) == (2, 2, 0)
        assert second.detail == "nothing new"
        assert any_project.rows(flow) == [(1, "a"), (2, "b")]
        assert tree(any_project.destination_root) == before

    def test_only_new_files_are_read(self, any_project: Project) -> None:
        """Files that were read before are skipped, counted, and not loaded again."""
        any_project.csv("events/a.csv", "id", "1")
        flow = any_project.flow()
        any_project.load(flow)
        any_project.csv("events/b.csv", "id", "2")
        any_project.csv("events/sub/c.csv", "id", "3")
        report = any_project.load(flow)
        assert (report.files_read, report.files_skipped, report.rows_out) == (2, 1, 2)
        assert any_project.rows(flow) == [1, 2, 3]

    def test_two_loads_in_one_second_keep_all_rows(self, any_project: Project) -> None:
        """Names of files are unique per load, not per second (defect 7)."""
        flow = any_project.flow()
        for number in range(10):
            any_project.csv(f"events/{number}.csv", "id", *map(str, range(number * 10, number * 10 + 10)))
            any_project.load(flow)
        assert any_project.rows(flow) == list(range(100))

    def test_a_new_column_is_added_and_old_rows_have_null(self, any_project: Project) -> None:
        """A column that is new in the source evolves the destination; rows from before have none of it (defect 13)."""
        any_project.csv("events/a.csv", "id", "1")
        flow = any_project.flow()
        any_project.load(flow)
        any_project.csv("events/b.csv", "id,city", "2,Oslo")
        any_project.load(flow)
        assert any_project.rows(flow, "id", "city") == [(1, None), (2, "Oslo")]

    def test_an_empty_file_with_a_header_is_no_row_and_no_type(self, any_project: Project) -> None:
        """A header without rows adds nothing, and does not turn its neighbours' numbers into text."""
        any_project.csv("events/a.csv", "id,n")
        any_project.csv("events/b.csv", "id,n", "1,2")
        flow = any_project.flow()
        any_project.load(flow)
        assert any_project.rows(flow) == [(1, 2)]

    def test_null_in_one_file_takes_the_type_of_another(self, any_project: Project) -> None:
        """A column that is NULL throughout a file has the type that it has elsewhere."""
        any_project.jsonl("events/a.jsonl", {"id": 1, "n": None})
        any_project.jsonl("events/b.jsonl", {"id": 2, "n": 5})
        flow = any_project.flow(format="jsonl")
        any_project.load(flow)
        assert any_project.rows(flow) == [(1, None), (2, 5)]

    @pytest.mark.never(DATABASES, reason="rows of a database lie in no folders")
    def test_partitions_hold_special_values(self, any_project: Project) -> None:
        """Slashes, blanks, percent signs, quotes and umlauts in a partition value do no harm; NULL has a folder."""
        values = ["a b", "a/b", "a%2Fb", "ü=ö", None, "x'y", "c:d", "e#f?g", "%", "+", "back\\slash", ".", ".."]
        any_project.parquet("events/a.parquet", {"id": list(range(len(values))), "place": values})
        flow = any_project.flow(format="parquet", partitions=["place"])
        report = any_project.load(flow)
        assert report.rows_out == len(values)
        suffix, root = any_project.data_suffix, any_project.data_root()
        assert all(file.resolve().is_relative_to(root) for file in data_files(root, suffix))
        assert len({file.parent for file in data_files(root, suffix)}) == len(values)
        if any_project.data_suffix == "parquet":
            assert any_project.rows(flow, "id", "place") == list(enumerate(values))

    @pytest.mark.never(DATABASES, reason="rows of a database lie in no folders")
    def test_partitions_by_date(self, any_project: Project) -> None:
        """A date partition is written as ISO 8601, and a computed one from its expression."""
        any_project.csv("events.csv", "id,day", "1,2024-01-31", "2,2024-02-01")
        flow = any_project.flow(
            hints={"day": "date"}, partitions=["day", {"column": "month", "expression": "month(day)"}]
        )
        any_project.load(flow)
        suffix, root = any_project.data_suffix, any_project.data_root()
        folders = [str(file.parent.relative_to(root)) for file in data_files(root, suffix)]
        assert folders == ["day=2024-01-31/month=1", "day=2024-02-01/month=2"]


class TestOverwrite:
    @pytest.mark.parametrize("load_type", ["overwrite", "full_load", "OVERWRITE"])
    def test_replaces_all_rows(self, any_project: Project, load_type: str) -> None:
        """All rows are those of the source as it is now; `full_load` is another word for it."""
        any_project.csv("events.csv", "id", "1", "2")
        flow = any_project.flow(load_type=load_type)
        any_project.load(flow)
        any_project.csv("events.csv", "id", "3")
        any_project.load(flow)
        assert any_project.rows(flow) == [3]

    def test_a_second_run_doubles_nothing(self, any_project: Project) -> None:
        """The same source gives the same rows."""
        any_project.csv("events.csv", "id", "1", "2")
        flow = any_project.flow(load_type="overwrite")
        any_project.load(flow)
        any_project.load(flow)
        assert any_project.rows(flow) == [1, 2]

    def test_a_failed_one_leaves_the_old_rows(self, any_project: Project) -> None:
        """Until the new rows are in place the old ones stay, byte for byte (defect 8)."""
        any_project.csv("events.csv", "id", "1", "2")
        flow = any_project.flow(load_type="overwrite")
        any_project.load(flow)
        any_project.csv("events.csv", "id", *["3"] * 20_000, "oops")
        error = any_project.fail(flow)
        assert (error.code, error.where) == ("TG206", f"{any_project.source_root}/events.csv, row 20001, column id")
        assert any_project.rows(flow) == [1, 2]

    @pytest.mark.never(DATABASES, reason="a file without rows has no types, and a database keeps its own")
    def test_a_source_without_rows_empties_it(self, any_project: Project) -> None:
        """No rows in the source are no rows at the destination."""
        any_project.csv("events.csv", "id", "1")
        flow = any_project.flow(load_type="overwrite")
        any_project.load(flow)
        any_project.csv("events.csv", "id")
        any_project.load(flow)
        assert any_project.rows(flow) == []

    @pytest.mark.never(DATABASES, reason="a database keeps its columns")
    def test_other_columns_replace_those_of_before(self, any_project: Project) -> None:
        """A full load takes over the source's columns, and has none of the old."""
        any_project.csv("events.csv", "id,old", "1,x")
        flow = any_project.flow(load_type="overwrite")
        any_project.load(flow)
        any_project.csv("events.csv", "id,new", "1,2024-01-01")
        any_project.load(flow)
        assert sorted(any_project.frame(flow).columns) == ["id", "new"]

    def test_append_after_it_doubles_no_file(self, any_project: Project) -> None:
        """A flow that is switched from a full load to append goes on with new files."""
        any_project.csv("events/a.csv", "id", "1")
        any_project.load(any_project.flow(load_type="overwrite"))
        any_project.csv("events/b.csv", "id", "2")
        flow = any_project.flow()
        any_project.load(flow)
        assert any_project.rows(flow) == [1, 2]


class TestMergeUpsert:
    @pytest.mark.never(["parquet", "csv", "jsonl"], reason=NO_KEYS)
    def test_replaces_and_adds(self, any_project: Project) -> None:
        """A key that is there is replaced, another is added, and what the batch lacks stays."""
        any_project.csv("events/a.csv", "id,name", "1,a", "2,b")
        flow = any_project.merge()
        any_project.load(flow)
        any_project.csv("events/b.csv", "id,name", "2,B", "3,c")
        report = any_project.load(flow)
        assert (report.rows_out, report.rows_updated) == (2, 1)
        assert any_project.rows(flow) == [(1, "a"), (2, "B"), (3, "c")]


class TestDelta:
    def test_the_log_carries_sequence_and_position(self, project: Project) -> None:
        """One log entry holds rows, sequence, run and position; other readers see an ordinary table."""
        project.csv("events.csv", "id,at", "1,2024-01-01")
        flow = project.flow(watermark="at", hints={"at": "date"})
        report = project.load(flow)
        table = deltalake.DeltaTable(str(flow.destination.path))
        (entry,) = table.history()
        assert table.transaction_version(flow.dataflow_id) == report.sequence == 1
        assert entry["tidegate"]["position"]["watermark"] == {"at": {"__date__": "2024-01-01"}}
        assert entry["tidegate"]["run_id"] == report.run_id

    def test_statistics_let_others_prune(self, project: Project) -> None:
        """Files carry row counts, bounds and null counts."""
        project.csv("events.csv", "id,name", "1,b", "3,")
        flow = project.flow()
        project.load(flow)
        log = project.destination_root / "events" / "_delta_log" / "00000000000000000000.json"
        (add,) = (entry["add"] for line in log.read_text().splitlines() if "add" in (entry := json.loads(line)))
        assert json.loads(add["stats"]) == {
            "numRecords": 2,
            "minValues": {"id": 1, "name": "b", **_instants(add["stats"], "minValues")},
            "maxValues": {"id": 3, "name": "b", **_instants(add["stats"], "maxValues")},
            "nullCount": {"id": 0, "name": 1, **dict.fromkeys(SYSTEM_COLUMNS, 0)},
        }

    def test_nothing_but_the_table_is_left(self, project: Project) -> None:
        """After a load there is no scratch file, no draft, no staged file."""
        project.csv("events.csv", "id", "1")
        flow = project.merge()
        project.load(flow)
        project.csv("events.csv", "id", "1", "2")
        project.load(flow)
        files = {str(path.relative_to(project.root)) for path in project.root.rglob("*") if path.is_file()}
        known = {"in/events.csv"} | {
            name for name in files if name.startswith((".tidegate/state.db", "out/events/_delta"))
        }
        active = {Path(uri).name for uri in deltalake.DeltaTable(str(flow.destination.path)).file_uris()}
        removed = {Path(name).name for name in files - known} - active
        assert all(name.startswith("tg-") and name.endswith(".parquet") for name in removed)

    def test_bytes_of_a_date_are_those_of_the_source(self, project: Project) -> None:
        """A date column is a date in the table."""
        project.csv("events.csv", "day", "2024-02-29")
        flow = project.flow(hints={"day": "date"})
        project.load(flow)
        assert project.rows(flow) == [date(2024, 2, 29)]


def _instants(statistics: str, bound: str) -> dict[str, str]:
    """Return the bounds of the system columns, which differ in every run."""
    return {name: value for name, value in json.loads(statistics)[bound].items() if name in SYSTEM_COLUMNS}


class TestFolders:
    @pytest.mark.parametrize("destination_format", ["parquet", "csv", "jsonl"])
    def test_no_pattern_of_a_reader_finds_uncommitted_files(
        self, any_project: Project, destination_format: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Readers that look into every folder for the format's files do not meet those of a load that died."""
        any_project.csv("events.csv", "id", "1")
        flow = any_project.flow()

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(FileTable, "commit", die)
        monkeypatch.setattr(FileTable, "recover", lambda _: None)
        monkeypatch.setattr("tidegate.destinations.load_strategies.append.Append.remove_uncommitted", lambda _: None)
        with contextlib.suppress(KeyboardInterrupt):
            any_project.run(flow)
        folder = Path(str(flow.destination.path))
        assert [file for file in folder.rglob("*") if file.is_file()], "the load has written its files"
        assert list(folder.glob(f"**/*.{destination_format}")) == []
