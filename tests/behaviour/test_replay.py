"""Replays: a range of history is loaded in windows, each of them once, and the position stays where it is."""

# ruff: noqa: DTZ001 - sources without zones have wall times

from __future__ import annotations

import os
import time
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import deltalake
import polars as pl
import pytest

from tests.behaviour.project import Project
from tests.behaviour.replaying import (
    covered,
    days,
    failure,
    replay,
    replayed,
    restore,
    windows_of,
)
from tidegate import DataFlow, create_driver
from tidegate.errors import ConfigurationError, DestinationError, WatermarkError
from tidegate.models import ReplayConfig
from tidegate.orchestration.positions import at_values, move
from tidegate.platforms import platform_registry
from tidegate.reporting.events import UnitStarted
from tidegate.state import Position

QUARTER = ("2025-01-01", "2025-04-01")
TABLES = ("delta", "iceberg")


@pytest.fixture(params=TABLES)
def tables(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A project with Delta, and with Iceberg tables."""
    return Project(tmp_path, request.param)


def quarter(project: Project, **options: Any) -> DataFlow:
    """Return a flow over one row a day, from December 2024 to May 2025; ids count from 1."""
    project.parquet("events/1.parquet", days("2024-12-01", "2025-05-31"))
    return project.flow(format="parquet", watermark="at", **options)


def ids(first: str, last: str) -> list[int]:
    """Return the ids of these days in `quarter`."""
    began = date(2024, 12, 1)
    return list(range((date.fromisoformat(first) - began).days + 1, (date.fromisoformat(last) - began).days + 2))


IN_QUARTER = ids("2025-01-01", "2025-03-31")


class TestTheRange:
    def test_three_months_are_three_chunks(self, tables: Project) -> None:
        """Each month is one commit and one report, whose operation is `replay`; what lies outside is not loaded."""
        flow = quarter(tables)
        result = replayed(tables, flow)
        months = [("2025-01-01", "2025-02-01"), ("2025-02-01", "2025-03-01"), ("2025-03-01", "2025-04-01")]
        assert [unit.window for unit in result.units] == months
        assert {unit.operation for unit in result.units} == {"replay"}
        assert [unit.rows_out for unit in result.units] == [31, 28, 31]
        assert (result.total, result.succeeded, result.failed, result.skipped) == (3, 3, 0, 0)
        assert tables.rows(flow, "id") == IN_QUARTER
        assert set(windows_of(flow).values()) == {1}

    def test_the_start_belongs_to_it_and_the_end_does_not(self, tables: Project) -> None:
        """A row at an edge lies in the window that begins there."""
        edges = [datetime(2025, 1, 1), datetime(2025, 2, 1), datetime(2025, 2, 1) - timedelta(microseconds=1)]
        outside = [datetime(2025, 4, 1), datetime(2025, 1, 1) - timedelta(microseconds=1)]
        tables.parquet("events/1.parquet", {"id": [1, 2, 3, 8, 9], "at": [*edges, *outside]})
        flow = tables.flow(format="parquet", watermark="at")
        result = replayed(tables, flow)
        assert [unit.rows_out for unit in result.units] == [2, 1, 0]
        assert tables.rows(flow, "id") == [1, 2, 3]

    def test_without_an_interval_it_is_one_window(self, project: Project) -> None:
        """A single shot."""
        flow = quarter(project)
        assert replayed(project, flow, by=None).total == 1
        assert project.rows(flow, "id") == IN_QUARTER

    def test_the_filter_of_the_source_is_kept(self, project: Project) -> None:
        """Window and filter both hold."""
        flow = quarter(project, source_filter="id % 2 = 0")
        replayed(project, flow)
        assert project.rows(flow, "id") == [number for number in IN_QUARTER if number % 2 == 0]

    def test_another_column_can_be_cut_by(self, project: Project) -> None:
        """`chunk_column`, whatever its case, instead of the first watermark column."""
        frame = days("2024-12-01", "2025-05-31").with_columns(day=pl.col("at").dt.date() - timedelta(days=31))
        project.parquet("events/1.parquet", frame)
        flow = project.flow(format="parquet", watermark="at")
        replayed(project, flow, chunk_column="DAY")
        assert project.rows(flow, "id") == [number + 31 for number in IN_QUARTER]

    def test_integers_are_cut_by_a_step(self, tables: Project) -> None:
        """Rows 0 to 100 in batches of 30; the last one is shorter."""
        tables.csv("events.csv", "id,n", *(f"{number},{number}" for number in range(-10, 150)))
        flow = tables.flow(watermark="n")
        result = replayed(tables, flow, start=0, end=100, by={"step": 30})
        assert [unit.rows_out for unit in result.units] == [30, 30, 30, 10]
        assert tables.rows(flow, "id") == list(range(100))

    @pytest.mark.parametrize(
        ("by", "windows"),
        [({"weeks": 1}, 14), ({"days": 1}, 90), ({"days": 7}, 14), ({"hours": 36}, 60), ({"years": 1}, 1)],
        ids=str,
    )
    def test_whatever_the_windows_are_the_rows_are_the_same(
        self, project: Project, by: dict[str, int], windows: int
    ) -> None:
        """Windows tile the range."""
        flow = quarter(project)
        assert replayed(project, flow, start="2025-01-01T00:00", end="2025-04-01T00:00", by=by).total == windows
        assert project.rows(flow, "id") == IN_QUARTER

    @pytest.mark.parametrize("calendar", ["weekdays", "2W", "MS", "first_day_of_month"])
    def test_a_calendar_cuts_too(self, project: Project, calendar: str) -> None:
        """The same rows, in windows between the calendar's points."""
        flow = quarter(project)
        replayed(project, flow, calendar=calendar)
        assert project.rows(flow, "id") == IN_QUARTER

    def test_backward_the_newest_window_comes_first(self, tables: Project) -> None:
        """The same rows in the other order."""
        flow = quarter(tables)
        result = replayed(tables, flow, direction="backward")
        assert [unit.window[0] for unit in result.units if unit.window] == ["2025-03-01", "2025-02-01", "2025-01-01"]
        assert tables.rows(flow, "id") == IN_QUARTER

    @pytest.mark.parametrize("parallel", [1, 3])
    def test_windows_at_the_same_time_come_to_the_same_table(self, tables: Project, parallel: int) -> None:
        """Threads of one process share the windows."""
        flow = quarter(tables)
        replayed(tables, flow, by={"weeks": 1}, parallel=parallel)
        assert tables.rows(flow, "id") == IN_QUARTER
        assert set(windows_of(flow).values()) == {1}
        assert covered(flow) == ["2025-01-01--2025-04-01"]

    @pytest.mark.parametrize("day", ["2025-03-30", "2025-10-26"])
    def test_a_day_on_which_clocks_change_is_whole(self, project: Project, day: str) -> None:
        """23 and 25 hours: each row of the zone's days is loaded once, hour by hour and in windows of 6 hours."""
        zone = ZoneInfo("Europe/Berlin")
        start = datetime.fromisoformat(day).replace(tzinfo=zone)
        end = (start + timedelta(days=1)).replace(tzinfo=zone)
        first = start.astimezone(ZoneInfo("UTC")) - timedelta(hours=3)
        moments = [first + timedelta(minutes=30 * number) for number in range(70)]
        project.parquet("events/1.parquet", {"id": list(range(70)), "at": moments})
        expected = [
            number for number, moment in enumerate(moments) if start.timestamp() <= moment.timestamp() < end.timestamp()
        ]
        for table, by in (("a", {"hours": 1}), ("b", {"hours": 6}), ("c", {"days": 1})):
            flow = project.flow(table, source="events", format="parquet", watermark="at")
            replayed(project, flow, start=start, end=end, by=by)
            assert project.rows(flow, "id") == expected

    def test_empty_windows_are_done_without_a_commit(self, tables: Project) -> None:
        """A long run of them leaves nothing but their marks in the ledger, and is not read again."""
        tables.parquet("events/1.parquet", {"id": [1, 2], "at": [datetime(2025, 1, 1), datetime(2025, 3, 31)]})
        flow = tables.flow(format="parquet", watermark="at")
        result = replayed(tables, flow, by={"days": 1})
        assert (result.total, sum(unit.rows_out or 0 for unit in result.units)) == (90, 2)
        assert sum(windows_of(flow).values()) == 2
        again = replayed(tables, flow, by={"days": 1})
        assert (again.total, again.skipped, len(again.units)) == (90, 90, 0)

    def test_a_range_without_any_row_makes_no_table(self, project: Project) -> None:
        """There is nothing to commit."""
        flow = quarter(project)
        assert replayed(project, flow, start="2030-01-01", end="2030-03-01").succeeded == 2
        assert not Path(str(flow.destination.path)).exists()

    @pytest.mark.parametrize(
        ("start", "end", "code"),
        [("2025-04-01", "2025-01-01", "TG627"), ("soon", "2025-01-01", "TG623"), ("2025-01-01", 7, "TG624")],
    )
    def test_a_range_that_is_none_is_refused(self, project: Project, start: str, end: Any, code: str) -> None:
        """Before anything is read."""
        with pytest.raises(ConfigurationError) as caught:
            replay(project, quarter(project), start=start, end=end)
        assert caught.value.code == code


class TestThePosition:
    def test_it_stays_where_it_is(self, tables: Project) -> None:
        """A merge that has loaded is replayed: position and sequence are as before."""
        flow = quarter(tables, load_type="merge_upsert", keys=["id"])
        tables.load(flow)
        before = tables.position(flow)
        replayed(tables, flow)
        assert tables.position(flow) == before
        tables.parquet("events/2.parquet", days("2025-06-01", "2025-06-02", start_id=900))
        assert tables.load(flow).rows_out == 2
        assert tables.rows(flow, "id") == [*range(1, 183), 900, 901]

    def test_save_watermark_moves_it_to_the_end_of_each_window(self, tables: Project) -> None:
        """And the next load goes on from there, without a row lost or doubled."""
        flow = quarter(tables)
        result = replayed(tables, flow, save_watermark=True)
        assert result.succeeded == 3
        state = tables.position(flow)
        assert state is not None
        assert (state.sequence, state.position.watermark) == (3, {"at": datetime(2025, 4, 1)})
        tables.load(flow)
        assert tables.rows(flow, "id") == ids("2025-01-01", "2025-05-31")

    def test_save_watermark_skips_what_is_done(self, project: Project) -> None:
        """After a death in the middle: here the first two months were all there was."""
        flow = quarter(project)
        replayed(project, flow, end="2025-03-01", save_watermark=True)
        result = replayed(project, flow, save_watermark=True)
        assert (result.total, result.skipped, result.succeeded) == (3, 2, 1)
        assert project.rows(flow, "id") == IN_QUARTER

    def test_save_watermark_needs_no_state_store_to_go_on(self, tables: Project) -> None:
        """The position travels with the commits."""
        flow = quarter(tables)
        replayed(tables, flow, end="2025-03-01", save_watermark=True)
        tables.forget_state()
        assert replayed(tables, flow, save_watermark=True).skipped == 2
        assert tables.rows(flow, "id") == IN_QUARTER

    def test_save_watermark_and_a_lag_double_nothing(self, project: Project) -> None:
        """Rows in the tail were not remembered one by one: an append does not read them again."""
        flow = quarter(project, lag="5d")
        replayed(project, flow, save_watermark=True)
        project.load(flow)
        assert project.rows(flow, "id") == ids("2025-01-01", "2025-05-31")

    def test_save_watermark_goes_on_from_a_position_that_was_set(self, project: Project) -> None:
        """Windows before it count as done."""
        flow = quarter(project)
        replayed(project, flow, end="2025-02-01", save_watermark=True)
        with create_driver(root=project.root) as driver:
            state = driver.state.read(flow.dataflow_id)
            assert state is not None
            lease = driver.state.acquire(flow.dataflow_id)
            from dataclasses import replace

            driver.state.write(lease, replace(state, position=Position(watermark={"at": datetime(2025, 3, 1)})))
            driver.state.release(lease)
        result = replayed(project, flow, save_watermark=True)
        assert (result.skipped, result.succeeded) == (2, 1)

    def test_save_watermark_refuses_a_position_inside_a_window(self, project: Project) -> None:
        """A load has moved it: part of the window would be doubled (TG636)."""
        project.parquet("events/1.parquet", days("2025-01-01", "2025-01-15"))
        flow = project.flow(format="parquet", watermark="at")
        project.load(flow)
        assert failure(replay(project, flow, save_watermark=True)).code == "TG636"

    @pytest.mark.parametrize(
        "options",
        [{"direction": "backward"}, {"parallel": 2}, {"chunk_column": "id"}],
        ids=lambda each: next(iter(each)),
    )
    def test_save_watermark_only_moves_forward(self, project: Project, options: dict[str, Any]) -> None:
        """What would be no position is refused (TG635)."""
        with pytest.raises(ConfigurationError) as caught:
            replay(project, quarter(project), save_watermark=True, **options)
        assert caught.value.code == "TG635"

    @pytest.mark.parametrize("time", ["", "T00:00", "T00:00+02:00"])
    def test_save_watermark_does_not_move_it_into_the_future(self, project: Project, time: str) -> None:
        """What arrives until then would never be loaded (TG635)."""
        with pytest.raises(ConfigurationError) as caught:
            replay(
                project,
                quarter(project),
                start=f"2025-01-01{time}",
                end=f"2999-01-01{time}",
                by=None,
                save_watermark=True,
            )
        assert caught.value.code == "TG635"

    def test_save_watermark_refuses_what_a_replay_has_appended(self, project: Project) -> None:
        """The two know nothing of each other's windows: rows would be doubled (TG509)."""
        flow = quarter(project)
        replayed(project, flow)
        with pytest.raises(WatermarkError) as caught:
            replay(project, flow, save_watermark=True)
        assert caught.value.code == "TG509"
        assert project.rows(flow, "id") == IN_QUARTER

    def test_a_replay_refuses_what_save_watermark_has_appended(self, project: Project) -> None:
        """The other way round."""
        flow = quarter(project)
        replayed(project, flow, save_watermark=True)
        with pytest.raises(WatermarkError) as caught:
            replay(project, flow)
        assert caught.value.code == "TG509"

    def test_a_first_load_after_a_replay_is_refused_until_the_position_is_set(self, tables: Project) -> None:
        """From the start it would double the range (TG509); from the end of the range it goes on."""
        flow = quarter(tables)
        replayed(tables, flow)
        error = tables.fail(flow)
        assert error.code == "TG509"
        assert "at:timestamp" in str(error.hint)
        assert "=2025-04-01" in str(error.hint)

    def test_replays_over_days_and_over_times_do_not_confuse_the_first_load(self, project: Project) -> None:
        """Bounds of two kinds do not compare; the load is still refused in words."""
        flow = quarter(project)
        replayed(project, flow)
        replayed(project, flow, start="2025-04-01T00:00", end="2025-05-01T00:00", append_again=True)
        assert project.fail(flow).code == "TG509"


class TestGoingOn:
    def test_what_is_done_is_not_done_again(self, tables: Project) -> None:
        """The same replay once more: three windows, none of them loaded."""
        flow = quarter(tables)
        replayed(tables, flow)
        version = sum(windows_of(flow).values())
        result = replayed(tables, flow)
        assert (result.total, result.skipped, result.units) == (3, 3, [])
        assert sum(windows_of(flow).values()) == version
        assert tables.rows(flow, "id") == IN_QUARTER

    @pytest.mark.parametrize("load_type", ["append", "merge_upsert"])
    def test_the_table_alone_tells_what_is_done(self, tables: Project, load_type: str) -> None:
        """The state store is deleted in the middle: no window is committed twice (defect 28)."""
        keys = ["id"] if load_type == "merge_upsert" else []
        flow = quarter(tables, load_type=load_type, keys=keys)
        interrupted(tables, flow, after=2)
        tables.forget_state()
        result = replayed(tables, flow)
        assert (result.total, result.skipped, result.succeeded) == (3, 2, 1)
        assert tables.rows(flow, "id") == IN_QUARTER
        assert set(windows_of(flow).values()) == {1}

    def test_plain_files_tell_it_too(self, any_project: Project) -> None:
        """A folder's log carries the windows."""
        flow = quarter(any_project)
        interrupted(any_project, flow, after=2)
        any_project.forget_state()
        assert replayed(any_project, flow).skipped == 2
        assert any_project.rows(flow, "id") == IN_QUARTER

    def test_a_failed_window_stops_only_its_dataflow(self, project: Project) -> None:
        """The windows before it stay, those after it are not begun, the other dataflow is replayed whole."""
        good = quarter(project)
        project.csv("bad.csv", "id,at", "1,2025-01-05T00:00:00", "2,2025-02-05T00:00:00", "x,2025-02-06T00:00:00")
        hints = {"id": "bigint", "at": "timestamp"}
        bad = project.flow(
            "bad", source="bad.csv", watermark="at", hints=hints, source_filter="at < '2025-02-01' or id > 0"
        )
        result = replay(project, good, bad)
        assert project.rows(good, "id") == IN_QUARTER
        assert result.succeeded >= 3
        assert result.failed == 1
        assert result.exit_code == 1
        failed = [unit for unit in result.units if unit.status == "failed"]
        assert [unit.dataflow_id for unit in failed] == [bad.dataflow_id]
        project.csv("bad.csv", "id,at", "1,2025-01-05T00:00:00", "2,2025-02-05T00:00:00", "3,2025-02-06T00:00:00")
        replayed(project, good, bad)
        assert project.rows(bad, "id") == [1, 2, 3]
        assert project.rows(good, "id") == IN_QUARTER

    @pytest.mark.parametrize(("first", "second"), [({"weeks": 1}, {"months": 1}), ({"months": 1}, {"weeks": 1})])
    @pytest.mark.parametrize("lost", [False, True])
    def test_windows_of_another_size_go_on(
        self, tables: Project, first: dict[str, int], second: dict[str, int], *, lost: bool
    ) -> None:
        """Only what is missing of a window is loaded: nothing is lost where windows overlap, and nothing doubled."""
        flow = quarter(tables)
        interrupted(tables, flow, after=2, by=first)
        if lost:
            tables.forget_state()
        replayed(tables, flow, by=second)
        assert tables.rows(flow, "id") == IN_QUARTER
        assert replayed(tables, flow, by={"days": 1}).skipped == 90

    def test_a_restart_loads_all_of_it_again(self, tables: Project) -> None:
        """For a merge that is harmless."""
        flow = quarter(tables, load_type="merge_upsert", keys=["id"])
        replayed(tables, flow)
        assert replayed(tables, flow, resume=False).succeeded == 3
        assert tables.rows(flow, "id") == IN_QUARTER

    def test_a_restart_that_was_broken_off_goes_on_even_without_its_state(self, tables: Project) -> None:
        """The newest replay of the range counts, not the first one, which is complete."""
        flow = quarter(tables, load_type="merge_upsert", keys=["id"])
        replayed(tables, flow)
        interrupted(tables, flow, after=1, resume=False)
        tables.forget_state()
        result = replayed(tables, flow)
        assert (result.skipped, result.succeeded) == (1, 2)

    def test_a_range_can_be_replayed_more_than_ten_times(self, project: Project) -> None:
        """The tenth replay does not take the first one's name for its own."""
        flow = quarter(project, load_type="merge_upsert", keys=["id"])
        for _ in range(11):
            assert replayed(project, flow, by=None, resume=False).succeeded == 1

    def test_a_changed_dataflow_is_another_replay(self, project: Project) -> None:
        """What was loaded by other rules does not count as done."""
        options: dict[str, Any] = {"load_type": "merge_upsert", "keys": ["id"]}
        replayed(project, quarter(project, **options))
        flow = quarter(project, **options, additional_columns=[{"column": "twice", "expression": "id * 2"}])
        assert replayed(project, flow).succeeded == 3
        assert project.rows(flow, "twice") == [2 * number for number in IN_QUARTER]

    def test_a_table_that_was_restored_is_noticed(self, project: Project) -> None:
        """The ledger says done, the table does not (TG506); a restart loads the range."""
        flow = quarter(project)
        interrupted(project, flow, after=2)
        restore(flow, 0)
        assert failure(replay(project, flow)).code == "TG506"
        assert project.rows(flow, "id") == ids("2025-01-01", "2025-01-31")

    def test_a_restored_table_without_its_state_gets_what_it_lacks(self, project: Project) -> None:
        """The table alone tells: February and March are gone, and come again."""
        flow = quarter(project)
        replayed(project, flow)
        restore(flow, 0)
        project.forget_state()
        result = replayed(project, flow)
        assert (result.skipped, result.succeeded) == (1, 2)
        assert project.rows(flow, "id") == IN_QUARTER

    def test_a_table_that_was_restored_to_before_the_replay_can_be_replayed_anew(self, project: Project) -> None:
        """Also when the state store is lost: its sequence is still in the log, its windows are not."""
        flow = quarter(project, load_type="merge_upsert", keys=["id"])
        other = project.flow(
            "events", source="other", format="parquet", load_type="merge_upsert", keys=["id"], name="o"
        )
        project.parquet("other/1.parquet", days("2020-01-01", "2020-01-02", start_id=5000))
        project.load(other)
        replayed(project, flow)
        restore(flow, 0)
        project.forget_state()
        assert replayed(project, flow, resume=False).succeeded == 3
        assert project.rows(flow, "id") == [*IN_QUARTER, 5000, 5001]


def interrupted(project: Project, flow: DataFlow, *, after: int, by: Any = None, **config: Any) -> None:
    """Replay the quarter, and cancel before window number `after`, from 0."""
    seen: list[str] = []

    class Cancel:
        def handle(self, event: object, /) -> None:
            if isinstance(event, UnitStarted):
                seen.append(event.name)
                if len(seen) > after:
                    driver.cancel()

        def close(self) -> None:
            """Nothing is open."""

    settings_ = ReplayConfig(start=QUARTER[0], end=QUARTER[1], chunk_interval=by or {"months": 1}, **config)
    with create_driver(root=project.root, sinks=[Cancel()]) as driver:
        result = driver.run_replay([flow], settings_)
    assert result.succeeded == after


class TestALogThatWasCleanedUp:
    """Delta keeps the records of commits for a time only (30 days): the sequence numbers stay, the windows go."""

    def forget_log(self, flow: DataFlow) -> None:
        """Write a checkpoint, and let the log before it be old enough to go."""
        table = deltalake.DeltaTable(str(flow.destination.path))
        table.create_write_transaction([], mode="append", schema=table.schema(), partition_by=[])  # a commit of others
        table = deltalake.DeltaTable(str(flow.destination.path))
        table.create_checkpoint()
        old = time.time() - 40 * 86400
        for entry in Path(str(flow.destination.path), "_delta_log").glob("*.json"):
            os.utime(entry, (old, old))
        table = deltalake.DeltaTable(str(flow.destination.path))
        table.cleanup_metadata()

    def test_loads_go_on_that_have_seen_the_replay(self, project: Project) -> None:
        """They have looked at its windows before."""
        flow = quarter(project)
        replayed(project, flow)
        there = at_values(flow, {"at:timestamp_ntz": "2025-04-01"})
        with closing(project.store()) as store:
            move(flow, there, store=store, platform=platform_registry.get_or_create("local"), origin="set")
        project.parquet("events/2.parquet", days("2026-04-01", "2026-04-30", start_id=1000))
        project.load(flow)
        self.forget_log(flow)
        project.parquet("events/3.parquet", days("2026-05-01", "2026-05-31", start_id=2000))
        project.load(flow)
        found = project.rows(flow, "id")
        assert len(found) == len(set(found))
        assert {*IN_QUARTER, *range(1000, 1030), *range(2000, 2031)} <= set(found)

    def test_what_was_forgotten_stays_in_doubt(self, project: Project) -> None:
        """A range that is replaced says nothing of the others: they may be in, and are not appended again (TG509)."""
        flow = quarter(project)
        replayed(project, flow)
        self.forget_log(flow)
        replayed(project, flow, start="2025-02-01", end="2025-03-01", replace=True)
        with pytest.raises(WatermarkError) as caught:
            replay(project, flow, start="2025-03-01", end="2025-04-01")
        assert caught.value.code == "TG509"
        assert project.rows(flow, "id") == IN_QUARTER

    def test_nothing_is_appended_that_may_be_in(self, project: Project) -> None:
        """The windows are not known any more: neither a first load nor a replay may guess (TG408)."""
        flow, other = quarter(project), project.flow("other", source="events", format="parquet", watermark="at")
        replayed(project, flow)
        self.forget_log(flow)
        error = project.fail(flow)
        assert (error.code, "--restart --replace" in str(error.hint)) == ("TG408", True)
        with pytest.raises(DestinationError) as caught:
            replay(project, flow, resume=False)
        assert caught.value.code == "TG408"
        assert replayed(project, flow, resume=False, replace=True).succeeded == 3
        assert project.rows(flow, "id") == IN_QUARTER
        assert project.load(other).rows_out
