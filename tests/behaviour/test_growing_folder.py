"""A growing folder is not read again from the start, and no file is overlooked for it."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from tests.behaviour.project import Project
from tidegate import TidegateError


def read_step(plan: dict) -> dict:
    """Return the step of a plan that says what is read."""
    return next(step for step in plan["steps"] if step["step"] in {"read", "idle"})


class TestUnchanged:
    def test_the_plan_and_the_report_count_what_is_skipped(self, project: Project) -> None:
        """What `plan` says about files is what `run` then reports."""
        for number in range(3):
            project.csv(f"events/{number}.csv", "id", str(number))
        flow = project.flow()
        assert read_step(project.plan(flow))["files"] == 3
        project.load(flow)
        project.csv("events/3.csv", "id", "3")
        step = read_step(project.plan(flow))
        assert (step["files"], step["files skipped"], step["unchanged"]) == (1, 3, 3)
        report = project.load(flow)
        assert (report.files_read, report.files_skipped) == (1, 3)

    def test_nothing_new_is_idle(self, project: Project) -> None:
        """A plan over an unchanged folder does nothing, and says why."""
        project.csv("events/a.csv", "id", "1")
        flow = project.flow()
        project.load(flow)
        plan = project.plan(flow)
        assert plan["idle"] is True
        assert "nothing new" in plan["steps"][0]["text"]
        report = project.load(flow)
        assert (report.files_read, report.files_skipped, report.detail) == (0, 1, "nothing new")

    def test_planning_changes_nothing(self, project: Project) -> None:
        """A plan of a first load creates no table, no state of the flow, and takes no lease."""
        project.csv("events/a.csv", "id", "1")
        flow = project.flow()
        project.plan(flow)
        assert not project.destination_root.exists()
        assert project.position(flow) is None

    def test_files_that_are_gone_are_no_problem(self, project: Project) -> None:
        """A file that was loaded may be archived."""
        old = project.csv("events/a.csv", "id", "1")
        flow = project.flow()
        project.load(flow)
        old.unlink()
        project.csv("events/b.csv", "id", "2")
        project.load(flow)
        assert project.rows(flow) == [1, 2]

    def test_an_emptied_folder_is_idle(self, project: Project) -> None:
        """All files archived is nothing new, not an error."""
        old = project.csv("events/a.csv", "id", "1")
        flow = project.flow()
        project.load(flow)
        old.unlink()
        assert project.load(flow).detail == "nothing new"

    def test_a_touched_file_under_a_watermark_doubles_nothing(self, project: Project) -> None:
        """A file with a new time and the same content gives no row again."""
        path = project.csv("events/a.csv", "id,at", "1,1", "2,2")
        flow = project.flow(watermark="at")
        project.load(flow)
        project.touch(path)
        assert project.load(flow).rows_out == 0
        assert project.rows(flow, "id") == [1, 2]

    def test_hidden_and_foreign_files_are_not_read(self, project: Project) -> None:
        """Names that start with a dot or underscore, and other suffixes, are no files of the source."""
        project.csv("events/a.csv", "id", "1")
        for name in ("_SUCCESS", ".b.csv.crc", "_tmp/c.csv", "notes.txt", "d.csv.part"):
            project.text(f"events/{name}", "id\n99\n")
        flow = project.flow()
        project.load(flow)
        assert project.rows(flow) == [1]


class TestOlder:
    def test_parquet_files_older_by_statistics_are_skipped_and_noted(self, project: Project) -> None:
        """A new file whose rows are all below the watermark is not read; the plan says so, and how to have it."""
        project.parquet("events/b.parquet", {"id": [1, 2], "at": [10, 20]})
        flow = project.flow(format="parquet", watermark="at")
        project.load(flow)
        project.parquet("events/a.parquet", {"id": [3], "at": [19]})
        project.parquet("events/c.parquet", {"id": [4], "at": [20]})
        plan = project.plan(flow)
        step = read_step(plan)
        assert (step["files"], step["older by statistics"], step["unchanged"]) == (1, 1, 1)
        assert len(plan["notes"]) == 1
        assert "1 file lies before the position" in plan["notes"][0]
        report = project.load(flow)
        assert (report.files_read, report.files_skipped) == (1, 2)
        assert project.rows(flow, "id") == [1, 2, 4]

    def test_a_file_with_null_or_without_the_column_is_read(self, project: Project) -> None:
        """Statistics with NULL prove nothing: such rows are new."""
        project.parquet("events/b.parquet", {"id": [1], "at": [10]})
        flow = project.flow(format="parquet", watermark="at")
        project.load(flow)
        project.parquet("events/a.parquet", {"id": [2, 3], "at": [5, None]})
        project.load(flow)
        assert project.rows(flow, "id") == [1, 3]

    def test_a_file_without_statistics_is_read(self, project: Project) -> None:
        """No statistics, no skipping; the rows are told apart one by one."""
        project.parquet("events/b.parquet", {"id": [1], "at": [10]})
        flow = project.flow(format="parquet", watermark="at")
        project.load(flow)
        project.parquet("events/a.parquet", {"id": [2, 3], "at": [5, 11]}, statistics=False)
        assert project.load(flow).files_read == 1
        assert project.rows(flow, "id") == [1, 3]

    def test_local_times_are_not_taken_for_utc(self, project: Project) -> None:
        """Statistics in New York's wall time prove nothing before they are five hours behind."""
        at = pl.Series("at", [datetime(2024, 1, 1, 19, 30)])  # noqa: DTZ001
        project.parquet("events/a.parquet", pl.DataFrame(at))
        flow = project.flow(
            format="parquet",
            watermark="at",
            configure={"convert_timestamp_ntz": True, "timestamp_timezone": "America/New_York"},
        )
        project.load(flow)
        project.parquet("events/b.parquet", pl.DataFrame(at.dt.offset_by("1h")))
        project.load(flow)
        assert project.rows(flow) == [datetime(2024, 1, 2, hour, 30, tzinfo=UTC) for hour in (0, 1)]

    def test_nanoseconds_in_statistics(self, project: Project) -> None:
        """A time finer than Python's is no reason to fail."""
        for name, value in (("a", 5), ("b", 1_000_000_007)):
            project.parquet(f"events/{name}.parquet", pl.DataFrame({"at": pl.Series([value]).cast(pl.Datetime("ns"))}))
            flow = project.flow(format="parquet", watermark="at")
            project.load(flow)
        assert project.frame(flow).height == 2

    def test_older_hive_partitions_are_skipped_by_name(self, project: Project) -> None:
        """`day=2024-01-01/` needs no look inside when the position is past that day."""
        project.csv("events/day=2024-01-01/a.csv", "id", "1")
        project.csv("events/day=2024-01-02/a.csv", "id", "2")
        flow = project.flow(watermark="day", hive=True)
        assert project.load(flow).position_after == "day=2024-01-02"
        project.csv("events/day=2024-01-01/late.csv", "id", "3")
        project.csv("events/day=2024-01-02/tie.csv", "id", "4")
        project.csv("events/day=2024-01-03/a.csv", "id", "5")
        step = read_step(project.plan(flow))
        assert (step["files"], step["older by name"], step["unchanged"]) == (2, 1, 2)
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2, 4, 5]

    def test_folders_that_only_look_like_partitions(self, project: Project) -> None:
        """Without hive partitioning a folder's name says nothing about the rows in it."""
        project.csv("events/day=2020-01-05/a.csv", "id,day", "1,2024-01-05")
        flow = project.flow(watermark="day", hints={"day": "date"})
        project.load(flow)
        project.csv("events/day=2020-01-06/b.csv", "id,day", "2,2024-01-06")
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2]

    def test_a_lag_reads_older_files(self, project: Project) -> None:
        """What lies within the lag is not older."""
        project.parquet("events/b.parquet", {"id": [1], "at": [10]})
        flow = project.flow(format="parquet", watermark="at", lag=5)
        project.load(flow)
        project.parquet("events/a.parquet", {"id": [2], "at": [5]})
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2]


class TestOldTimes:
    @pytest.mark.parametrize("watermark", [(), ("at",)])
    def test_a_file_moved_in_with_an_old_time_is_read(self, project: Project, watermark: tuple[str, ...]) -> None:
        """Copied with its old modification time, a file is new all the same."""
        project.csv("events/new.csv", "id,at", "1,1")
        flow = project.flow(watermark=watermark)
        project.load(flow)
        project.csv("events/old.csv", "id,at", "2,2", modified_ns=1_000_000_000)
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2]


class TestPaths:
    @pytest.mark.parametrize("table", ["events", "events.csv", "*.csv", "ev*", "[e]vents.csv"])
    def test_a_file_a_glob_and_a_name_without_its_suffix(self, project: Project, table: str) -> None:
        """A source names its files in any of these ways."""
        project.csv("events.csv", "id", "1")
        flow = project.flow("target", source=table)
        project.load(flow)
        assert project.rows(flow) == [1]

    def test_a_glob_over_folders(self, project: Project) -> None:
        """`**` reaches into folders."""
        project.csv("2024/01/a.csv", "id", "1")
        project.csv("2024/02/a.csv", "id", "2")
        flow = project.flow(source="**/a.csv")
        project.load(flow)
        assert project.rows(flow) == [1, 2]

    def test_a_missing_one_says_what_is_there(self, project: Project) -> None:
        """A name that is nearly right is shown beside those that exist."""
        project.csv("events_2024.csv", "id", "1")
        with pytest.raises(TidegateError, match=r"events_2024\.csv") as raised:
            project.plan(project.flow())
        assert raised.value.code == "TG201"
