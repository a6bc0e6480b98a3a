"""merge_overwrite, replace_by_watermark and partition overwrite: what the batch stands for is replaced by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.behaviour.project import Project
from tests.behaviour.test_merge_upsert import live_files
from tidegate import DataFlow

_ROW = st.tuples(st.integers(0, 9) | st.none(), st.integers(0, 3))
"""A watermark and a value."""


class TestMergeOverwrite:
    def overwrite(self, project: Project, **options: Any) -> DataFlow:
        """Declare a flow."""
        options.setdefault("keys", ["id"])
        return project.flow(load_type="merge_overwrite", **options)

    def test_a_row_is_replaced_entirely(self, project: Project) -> None:
        """Columns that the batch lacks become NULL, and the row is as if it had never been."""
        flow = self.overwrite(project)
        project.csv("events/a.csv", "id,v,w", "1,a,x", "2,b,y")
        project.load(flow)
        project.csv("events/b.csv", "id,v", "1,aa")
        assert project.load(flow).rows_updated == 1
        assert project.rows(flow, "id", "v", "w") == [(1, "aa", None), (2, "b", "y")]
        frame = project.frame(flow, system=True).sort("id")
        assert frame["__created_at"][0] > frame["__created_at"][1]

    def test_it_is_one_commit(self, project: Project) -> None:
        """Never delete, then append (defect 3)."""
        flow = self.overwrite(project)
        for number in range(3):
            project.csv(f"events/{number}.csv", "id,v", f"1,{number}", f"{number + 2},x")
            project.load(flow)
        assert deltalake.DeltaTable(str(flow.destination.path)).version() == 2

    def test_groups_of_rows(self, project: Project) -> None:
        """Where more than the merge keys identify a row, a key's rows are replaced by the batch's rows of that key."""
        flow = self.overwrite(project, keys=["bill"], deduplicate_columns=["bill", "line"])
        project.csv("events/a.csv", "bill,line,v", "1,1,a", "1,2,b", "1,3,c", "2,1,d")
        project.load(flow)
        project.csv("events/b.csv", "bill,line,v", "1,1,aa", "1,4,e", "3,1,f")
        project.load(flow)
        assert project.rows(flow, "bill", "line", "v") == [(1, 1, "aa"), (1, 4, "e"), (2, 1, "d"), (3, 1, "f")]

    def test_a_repeated_key_without_groups_is_an_error(self, project: Project) -> None:
        """Defect 12."""
        project.csv("events.csv", "id,v", "1,a", "1,b")
        assert project.fail(self.overwrite(project)).code == "TG410"


class TestReplaceByWatermark:
    def window(self, project: Project, **options: Any) -> DataFlow:
        """Declare a flow."""
        options.setdefault("watermark", "at")
        options.setdefault("load_type", "append")
        return project.flow(settings={"replace_by_watermark": True}, **options)

    def test_the_end_of_the_source_is_mirrored(self, project: Project) -> None:
        """Rows from the position on are what the source has now: corrected, added, and gone."""
        flow = self.window(project, lag=2)
        project.csv("events.csv", "id,at", "1,1", "2,2", "3,3", "4,4")
        project.load(flow)
        project.csv("events.csv", "id,at", "1,1", "22,2", "4,4", "5,5")
        project.load(flow)
        assert project.rows(flow, "id", "at") == [(1, 1), (4, 4), (5, 5), (22, 2)]

    def test_rows_before_the_window_stay(self, project: Project) -> None:
        """Whatever became of them at the source: it may keep only its newest rows."""
        flow = self.window(project)
        project.csv("events.csv", "id,at", "1,1", "2,2")
        project.load(flow)
        project.csv("events.csv", "id,at", "3,2", "4,3")
        project.load(flow)
        assert project.rows(flow, "id", "at") == [(1, 1), (3, 2), (4, 3)]

    def test_a_file_that_was_read_before_is_part_of_the_window(self, project: Project) -> None:
        """A new file at the boundary does not cost the rows of the old one."""
        flow = self.window(project)
        project.csv("events/a.csv", "id,at", "1,1", "2,2")
        project.load(flow)
        project.csv("events/b.csv", "id,at", "3,2")
        project.load(flow)
        assert project.rows(flow, "id", "at") == [(1, 1), (2, 2), (3, 2)]

    def test_a_file_that_is_gone_takes_its_rows_along(self, project: Project) -> None:
        """As far as they lie in the window; also when nothing of the window is left."""
        flow = self.window(project)
        project.csv("events/a.csv", "id,at", "1,1")
        project.csv("events/b.csv", "id,at", "2,2")
        project.load(flow)
        (project.source_root / "events" / "b.csv").unlink()
        project.load(flow)
        assert project.rows(flow, "id", "at") == [(1, 1)]

    def test_a_source_that_did_not_change_is_not_read(self, project: Project) -> None:
        """Nothing can differ then."""
        flow = self.window(project)
        project.csv("events.csv", "id,at", "1,1")
        project.load(flow)
        assert project.load(flow).detail == "nothing new"

    def test_rows_without_a_watermark_belong_to_every_window(self, project: Project) -> None:
        """They are read every time, and replaced every time."""
        flow = self.window(project, hints={"at": "bigint"})
        project.csv("events.csv", "id,at", "1,1", "7,")
        project.load(flow)
        project.csv("events.csv", "id,at", "1,1", "8,", "2,2")
        project.load(flow)
        assert project.rows(flow, "id", "at") == [(1, 1), (2, 2), (8, None)]

    def test_a_first_load_into_a_table_with_rows(self, project: Project) -> None:
        """Its window begins at the smallest value that it brings; older rows stay."""
        project.csv("old.csv", "id,at", "1,1", "2,2", "3,3")
        project.load(project.flow(source="old"))
        project.csv("new.csv", "id,at", "33,3", "22,2")
        flow = self.window(project, source="new", name="window")
        project.load(flow)
        assert project.rows(flow, "id", "at") == [(1, 1), (22, 2), (33, 3)]

    def test_files_before_the_window_are_not_rewritten(self, project: Project) -> None:
        """Statistics say where they lie."""
        flow = self.window(project, write_options={"max_rows_per_file": 10}, format="parquet")
        project.parquet("events.parquet", {"id": list(range(50)), "at": list(range(50))})
        project.load(flow)
        before = live_files(flow)
        project.parquet("events.parquet", {"id": [0] * 12, "at": list(range(48, 60))})
        project.load(flow)
        assert len(before & live_files(flow)) == 4
        assert project.rows(flow, "at") == list(range(60)) or sorted(project.rows(flow, "at"))[-12:] == list(
            range(48, 60)
        )

    @pytest.mark.parametrize("destination", ["delta", "iceberg"])
    def test_nan_is_no_watermark(self, tmp_path: Path, destination: str) -> None:
        """Rows with NaN are read and replaced every time, though no statistics show them."""
        project = Project(tmp_path, destination)
        flow = self.window(project, format="parquet", write_options={"max_rows_per_file": 2})
        for last in (4.0, 5.0, 6.0, 7.0):
            project.parquet("events.parquet", {"at": [float("nan"), 4.0, last], "v": [last] * 3})
            project.load(flow)
        assert project.frame(flow)["at"].is_nan().sum() == 1

    def test_a_renamed_watermark(self, project: Project) -> None:
        """The window is known by the name at the destination."""
        flow = self.window(project, rename_columns={"at": "Changed At"})
        project.csv("events.csv", "id,at", "1,1", "2,2")
        project.load(flow)
        project.csv("events.csv", "id,at", "3,2")
        project.load(flow)
        assert project.rows(flow, "id", "changed_at") == [(1, 1), (3, 2)]

    def test_a_watermark_that_is_computed_anew_is_refused(self, project: Project) -> None:
        """It would replace another window."""
        project.csv("events.csv", "id,at", "1,1")
        flow = self.window(project, additional_columns=[{"column": "at", "expression": "at * 10"}])
        assert project.fail(flow).code == "TG306"

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(
            st.lists(st.tuples(st.integers(0, 9) | st.none(), st.integers(0, 3)), max_size=6), min_size=1, max_size=4
        ),
        st.integers(0, 3),
    )
    def test_any_sources_one_after_the_other(
        self, tmp_path_factory: Any, sources: list[list[tuple[int | None, int]]], lag: int
    ) -> None:
        """Before the window the rows are the old ones, from there on those of the source."""
        project = Project(tmp_path_factory.mktemp("window"))
        flow = self.window(project, format="parquet", lag=lag)
        expected: list[tuple[int | None, int]] = []
        reached: int | None = None
        for number, rows in enumerate(sources):
            frame = pl.DataFrame(rows, schema={"at": pl.Int64, "v": pl.Int64}, orient="row")
            project.parquet("events.parquet", frame.with_columns(load=pl.lit(number)))
            project.load(flow)
            known = [at for at, _ in rows if at is not None]
            start = min(known, default=None) if reached is None else reached - lag
            kept = [(at, v) for at, v in expected if at is not None and (start is None or at < start)]
            expected = kept + [(at, v) for at, v in rows if at is None or start is None or at >= start]
            reached = max([*known, *([] if reached is None else [reached])], default=None)
            assert sorted(map(str, project.frame(flow).select("at", "v").rows())) == sorted(map(str, expected))


class TestFloatPartitions:
    def test_iceberg_does_not_take_them(self, tmp_path: Path) -> None:
        """Its manifests would not keep their exact values: rows would be doubled, or not be found."""
        project = Project(tmp_path, "iceberg")
        project.parquet("events.parquet", {"id": [1], "k": [0.1]})
        error = project.fail(project.flow(format="parquet", partitions=["k"]))
        assert (error.code, "'k'" in error.message) == ("TG403", True)

    def test_zero_is_one_partition(self, project: Project) -> None:
        """Whatever its sign."""
        flow = TestPartitionOverwrite().overwrite(project, format="parquet", partitions=["k"])
        for zero in (0.0, -0.0):
            project.parquet("events.parquet", {"id": [1], "k": [zero]})
            project.load(flow)
        assert project.rows(flow, "id") == [1]


class TestPartitionOverwrite:
    def overwrite(self, project: Project, **options: Any) -> DataFlow:
        """Declare a flow."""
        options.setdefault("partitions", ["day"])
        write = {"partitionOverwriteMode": "dynamic", **options.pop("write_options", {})}
        return project.flow(load_type="overwrite", write_options=write, **options)

    def test_the_partitions_of_the_batch_are_replaced(self, any_project: Project) -> None:
        """The others stay, on every destination."""
        flow = self.overwrite(any_project)
        any_project.csv("events.csv", "id,day", "1,1", "2,1", "3,2")
        any_project.load(flow)
        any_project.csv("events.csv", "id,day", "4,2", "5,3")
        any_project.load(flow)
        assert any_project.rows(flow, "id", "day") == [(1, 1), (2, 1), (4, 2), (5, 3)]

    def test_null_and_special_values_are_partitions_like_others(self, any_project: Project) -> None:
        """Slashes, blanks and NULL."""
        flow = self.overwrite(any_project, hints={"day": "string"}, format="parquet")
        days = ["a/b", "a b", None, "ü=%"]
        for load in range(2):
            any_project.parquet("events.parquet", {"id": [load] * 4, "day": days})
            any_project.load(flow)
        assert any_project.rows(flow, "id") == [1, 1, 1, 1]
        any_project.parquet("events.parquet", {"id": [2], "day": pl.Series([None], dtype=pl.String)})
        any_project.load(flow)
        assert any_project.rows(flow, "id") == [1, 1, 1, 2]

    def test_many_loads(self, any_project: Project) -> None:
        """What was replaced stays replaced, load after load."""
        flow = self.overwrite(any_project)
        for load in range(4):
            any_project.csv("events.csv", "id,day", f"{load},{load % 2}", f"{load},9")
            any_project.load(flow)
        assert any_project.rows(flow, "id", "day") == [(2, 0), (3, 1), (3, 9)]

    @pytest.mark.parametrize("mode", ["static", "STATIC"])
    def test_static_replaces_all(self, any_project: Project, mode: str) -> None:
        """The default, written out."""
        flow = self.overwrite(any_project, write_options={"partitionOverwriteMode": mode})
        for day in (1, 2):
            any_project.csv("events.csv", "id,day", f"1,{day}")
            any_project.load(flow)
        assert any_project.rows(flow, "day") == [2]
