"""snapshot: the table is brought to what the source holds; only what differs is touched."""

from __future__ import annotations

from typing import Any

import deltalake
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.behaviour.project import Project
from tests.behaviour.test_merge_upsert import live_files
from tidegate import DataFlow


def mirror(project: Project, *, mode: str = "hard", **options: Any) -> DataFlow:
    """Declare a flow that mirrors its source."""
    options.setdefault("keys", ["id"])
    more = options.pop("settings", {})
    return project.flow(load_type="snapshot", settings={"delete_mode": mode, **more}, **options)


class TestMirror:
    def test_rows_are_added_changed_and_deleted(self, project: Project) -> None:
        """The table is the source."""
        flow = mirror(project)
        project.csv("events.csv", "id,v", "1,a", "2,b", "3,c")
        project.load(flow)
        project.csv("events.csv", "id,v", "1,a", "2,bb", "4,d")
        report = project.load(flow)
        assert (report.rows_updated, report.rows_deleted, report.detail) == (1, 1, "1 row is gone at the source")
        assert project.rows(flow, "id", "v") == [(1, "a"), (2, "bb"), (4, "d")]

    def test_unchanged_rows_keep_when_they_were_written(self, project: Project) -> None:
        """A changed row was created when it was, and updated now."""
        flow = mirror(project)
        project.csv("events.csv", "id,v", "1,a", "2,b")
        project.load(flow)
        before = project.frame(flow, system=True).sort("id")
        project.csv("events.csv", "id,v", "1,a", "2,bb")
        project.load(flow)
        after = project.frame(flow, system=True).sort("id")
        assert after["__created_at"].to_list() == before["__created_at"].to_list()
        assert after["__updated_at"][0] == before["__updated_at"][0]
        assert after["__updated_at"][1] > before["__updated_at"][1]

    def test_a_row_that_only_moved_its_watermark_is_changed(self, project: Project) -> None:
        """A mirror holds the source's times too."""
        flow = mirror(project, watermark="at")
        project.csv("events.csv", "id,at", "1,1")
        project.load(flow)
        project.csv("events.csv", "id,at", "1,2")
        project.load(flow)
        assert project.rows(flow, "id", "at") == [(1, 2)]

    def test_null_is_a_value_and_a_key(self, project: Project) -> None:
        """To and from NULL is a change; a NULL key is one row."""
        flow = mirror(project, hints={"id": "bigint", "v": "string"})
        for rows in (["1,a", ",x"], ["1,", ",x"], ["1,a", ","], ["1,a"]):
            project.csv("events.csv", "id,v", *rows)
            project.load(flow)
            expected = [tuple(part or None for part in row.split(",")) for row in rows]
            assert sorted(map(str, project.rows(flow, "id", "v"))) == sorted(
                str((int(key) if key else None, value)) for key, value in expected
            )

    def test_only_files_that_differ_are_rewritten(self, project: Project) -> None:
        """A picture with one change touches one file."""
        flow = mirror(project, write_options={"max_rows_per_file": 10}, format="parquet")
        rows = pl.DataFrame({"id": range(100), "v": range(100)})
        project.parquet("events.parquet", rows)
        project.load(flow)
        before = live_files(flow)
        project.parquet("events.parquet", rows.with_columns(v=pl.when(pl.col("id") == 55).then(-1).otherwise("v")))
        project.load(flow)
        assert len(before - live_files(flow)) == 1
        project.parquet("events.parquet", rows.with_columns(v=pl.when(pl.col("id") == 55).then(-1).otherwise("v")))
        unchanged = live_files(flow)
        project.load(flow)
        assert live_files(flow) == unchanged

    def test_declared_columns_alone_make_a_change(self, project: Project) -> None:
        """`compare_columns`, as the destination calls them."""
        flow = mirror(project, settings={"merge_options": {"compare_columns": ["name"]}})
        project.csv("events.csv", "id,Name,seen", "1,a,1", "2,b,1")
        project.load(flow)
        project.csv("events.csv", "id,Name,seen", "1,a,2", "2,bb,2")
        project.load(flow)
        assert project.rows(flow, "id", "seen") == [(1, 1), (2, 2)]

    def test_an_unknown_compare_column_is_refused(self, project: Project) -> None:
        """Named, with what is there."""
        flow = mirror(project, settings={"merge_options": {"compare_columns": ["adress"]}})
        project.csv("events.csv", "id,address", "1,a")
        project.load(flow)
        project.csv("events.csv", "id,address", "1,b")
        assert project.fail(flow).code == "TG413"

    def test_a_source_without_rows_empties_the_table(self, project: Project) -> None:
        """A header alone is a picture of nothing; a missing file is an error."""
        flow = mirror(project, hints={"id": "bigint"})
        project.csv("events.csv", "id,v", "1,a")
        project.load(flow)
        project.csv("events.csv", "id,v")
        project.load(flow)
        assert project.rows(flow, "id") == []
        (project.source_root / "events.csv").unlink()
        assert project.fail(flow).code == "TG201"

    def test_a_row_that_changes_its_partition(self, project: Project) -> None:
        """Is one row."""
        flow = mirror(project, partitions=["city"])
        project.csv("events.csv", "id,city", "1,Oslo", "2,Oslo")
        project.load(flow)
        project.csv("events.csv", "id,city", "1,Bergen", "2,Oslo")
        project.load(flow)
        assert project.rows(flow, "id", "city") == [(1, "Bergen"), (2, "Oslo")]


class TestMarked:
    def test_rows_that_are_gone_stay_marked_and_come_back(self, project: Project) -> None:
        """`delete_mode: soft` marks once, and takes the mark away when the row is back, changed or not."""
        flow = mirror(project, mode="soft")
        project.csv("events.csv", "id,v", "1,a", "2,b")
        project.load(flow)
        project.csv("events.csv", "id,v", "1,a")
        project.load(flow)
        frame = project.frame(flow, system=True).sort("id")
        assert frame["v"].to_list() == ["a", "b"]
        assert frame["__deleted_at"][0] is None
        first = frame["__deleted_at"][1]
        assert first == frame["__updated_at"][1]
        project.csv("events.csv", "id,v", "1,aa")
        project.load(flow)
        assert project.frame(flow, system=True).sort("id")["__deleted_at"][1] == first
        project.csv("events.csv", "id,v", "1,aa", "2,b")
        project.load(flow)
        assert project.frame(flow, system=True)["__deleted_at"].to_list() == [None, None]


@pytest.mark.parametrize("mode", ["hard", "soft"])
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.dictionaries(st.integers(0, 6) | st.none(), st.integers(0, 2) | st.none()), max_size=5))
def test_any_pictures_one_after_the_other(
    tmp_path_factory: Any, mode: str, pictures: list[dict[int | None, int | None]]
) -> None:
    """The living rows are those of the last picture, whatever came before."""
    project = Project(tmp_path_factory.mktemp("pictures"))
    flow = mirror(project, mode=mode, format="parquet")
    for picture in pictures:
        frame = pl.DataFrame(list(picture.items()), schema={"id": pl.Int64, "v": pl.Int64}, orient="row")
        project.parquet("events.parquet", frame)
        project.load(flow)
        there = project.frame(flow, system=True)
        if mode == "soft":
            there = there.filter(pl.col("__deleted_at").is_null())
        assert sorted(map(str, there.select("id", "v").rows())) == sorted(map(str, picture.items()))


class TestOtherWriters:
    def test_a_key_that_another_writer_doubled_is_one_row_again(self, project: Project) -> None:
        """Also where the copy equals the row."""
        flow = mirror(project)
        project.csv("events.csv", "id,v", "1,a", "2,b")
        project.load(flow)
        copy = project.frame(flow, system=True).filter(pl.col("id") == 1)
        deltalake.write_deltalake(str(flow.destination.path), copy.to_arrow(), mode="append")
        project.csv("events.csv", "id,v", "1,a", "2,b")
        project.load(flow)
        assert project.rows(flow, "id", "v") == [(1, "a"), (2, "b")]

    def test_from_marking_to_deleting(self, project: Project) -> None:
        """A row that is back is not marked any more, whatever the mode is by then."""
        project.csv("events.csv", "id,v", "1,a", "2,b")
        project.load(mirror(project, mode="soft"))
        project.csv("events.csv", "id,v", "1,a")
        project.load(mirror(project, mode="soft"))
        project.csv("events.csv", "id,v", "1,a", "2,bb")
        flow = mirror(project)
        project.load(flow)
        assert project.frame(flow, system=True)["__deleted_at"].to_list() == [None, None]
