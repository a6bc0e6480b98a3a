"""Replays of each load type, over columns of each type, and beside other loads."""

# ruff: noqa: DTZ001 - sources without zones have wall times

from __future__ import annotations

import itertools
import os
import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.behaviour.history import history, versions
from tests.behaviour.project import Project
from tests.behaviour.replaying import days, failure, replay, replayed, windows_of
from tidegate import DataFlow, create_driver
from tidegate.destinations.turns import InSequence
from tidegate.errors import ConfigurationError, WatermarkError
from tidegate.models import ReplayConfig
from tidegate.reporting.events import UnitProgress

TABLES = ("delta", "iceberg")


@pytest.fixture(params=TABLES)
def tables(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A project with Delta, and with Iceberg tables."""
    return Project(tmp_path, request.param)


def refused(project: Project, flow: DataFlow, **config: Any) -> str | None:
    """Return the code with which a replay is refused, before anything is changed."""
    before = project.everything(flow)
    with pytest.raises((ConfigurationError, WatermarkError)) as caught:
        replay(project, flow, **config)
    assert project.everything(flow) == before
    return caught.value.code


class TestAppend:
    def test_rows_that_a_load_has_appended_are_not_appended_again(self, any_project: Project) -> None:
        """They would be in the table twice (TG509)."""
        any_project.parquet("events/1.parquet", days("2025-01-01", "2025-03-31"))
        flow = any_project.flow(format="parquet", watermark="at")
        any_project.load(flow)
        assert refused(any_project, flow) == "TG509"

    def test_yes_appends_again(self, tables: Project) -> None:
        """Who has removed them says so."""
        tables.parquet("events/1.parquet", days("2025-01-01", "2025-01-31"))
        flow = tables.flow(format="parquet", watermark="at")
        tables.load(flow)
        replayed(tables, flow, append_again=True)
        assert tables.rows(flow, "id") == sorted([*range(1, 32), *range(1, 32)])

    def test_two_replays_that_overlap_are_refused_and_two_that_touch_are_not(self, tables: Project) -> None:
        """The ranges tell."""
        tables.parquet("events/1.parquet", days("2025-01-01", "2025-06-30"))
        flow = tables.flow(format="parquet", watermark="at")
        replayed(tables, flow)
        replayed(tables, flow, start="2025-04-01", end="2025-06-01")
        assert refused(tables, flow, start="2025-05-31", end="2025-07-01") == "TG509"
        assert tables.rows(flow, "id") == list(range(1, 152))

    def test_replays_over_two_columns_may_meet_in_any_row(self, project: Project) -> None:
        """January by one column and February by another have rows in common (TG509)."""
        frame = days("2025-01-01", "2025-06-30").with_columns(other=pl.col("at") + timedelta(days=10))
        project.parquet("events/1.parquet", frame)
        flow = project.flow(format="parquet", watermark="at")
        replayed(project, flow, end="2025-02-01")
        assert refused(project, flow, start="2025-02-01", end="2025-03-01", chunk_column="other") == "TG509"

    def test_a_replay_does_not_go_on_over_what_another_has_loaded_since(self, tables: Project) -> None:
        """Begun, broken off after January; another replay takes February to May; the first must not double it."""
        tables.parquet("events/1.parquet", days("2025-01-01", "2025-06-30"))
        flow = tables.flow(format="parquet", watermark="at")
        stopped(tables, flow, after=1)
        replayed(tables, flow, start="2025-02-01", end="2025-06-01")
        assert refused(tables, flow) == "TG509"
        assert tables.rows(flow, "id") == list(range(1, 152))

    def test_a_replay_that_has_loaded_nothing_does_not_go_on_over_a_load(self, tables: Project) -> None:
        """Begun and broken off at once; a load takes all there is; the replay must not double it."""
        tables.parquet("events/1.parquet", days("2025-01-01", "2025-03-31"))
        flow = tables.flow(format="parquet", watermark="at")
        stopped(tables, flow, after=0)
        tables.load(flow)
        assert refused(tables, flow) == "TG509"
        assert tables.rows(flow, "id") == list(range(1, 91))

    def test_a_replay_is_no_load_of_a_dataflow_whose_id_begins_alike(self, project: Project) -> None:
        """`orders` and `orders:web` write one table; the replay of one is not the other's."""
        project.parquet("events/1.parquet", days("2025-01-01", "2025-01-31"))
        project.parquet("more/1.parquet", days("2025-01-01", "2025-01-31", start_id=100))
        web = project.flow(format="parquet", watermark="at", name="web", dataflow_id="orders:web")
        shop = project.flow(source="more", format="parquet", watermark="at", name="shop", dataflow_id="orders")
        replayed(project, web)
        project.load(shop)
        assert project.rows(web, "id") == [*range(1, 32), *range(100, 131)]


class TestReplacing:
    def test_replace_makes_each_window_equal_to_the_source(self, tables: Project) -> None:
        """Corrected rows take the place of old ones, rows that are gone go; the rest of the table stays."""
        tables.parquet("events/1.parquet", days("2024-12-01", "2025-05-01"))
        flow = tables.flow(format="parquet", watermark="at")
        tables.load(flow)
        tables.parquet("events/1.parquet", days("2024-12-01", "2025-05-01", start_id=1000).gather_every(2))
        replayed(tables, flow, replace=True)
        rows = dict(tables.rows(flow, "at", "id"))
        inside = {at: id_ for at, id_ in rows.items() if datetime(2025, 1, 1) <= at < datetime(2025, 4, 1)}
        source = days("2024-12-01", "2025-05-01", start_id=1000).gather_every(2)
        expected = source.filter(pl.col("at").is_between(datetime(2025, 1, 1), datetime(2025, 4, 1), closed="left"))
        assert inside == dict(zip(expected["at"], expected["id"], strict=True))
        assert sorted(id_ for at, id_ in rows.items() if at not in inside) == [*range(1, 32), *range(122, 153)]

    def test_rows_that_the_next_load_reads_are_not_put_in_before_it(self, tables: Project) -> None:
        """New rows past the position would come with the window, and once more with the load (TG509)."""
        tables.parquet("events/1.parquet", days("2025-01-01", "2025-02-10"))
        flow = tables.flow(format="parquet", watermark="at")
        tables.load(flow)
        tables.parquet("events/2.parquet", days("2025-02-11", "2025-03-31", start_id=42))
        assert refused(tables, flow, replace=True) == "TG509"
        replayed(tables, flow, end="2025-02-10", replace=True)
        tables.load(flow)
        assert tables.rows(flow, "id") == list(range(1, 91))

    def test_a_lag_moves_the_end_of_what_can_be_replaced(self, project: Project) -> None:
        """A late row within the lag would come with the window, and once more with the load."""
        project.parquet("events/1.parquet", days("2025-01-01", "2025-02-10"))
        flow = project.flow(format="parquet", watermark="at", lag="5d")
        project.load(flow)
        project.parquet("events/2.parquet", days("2025-02-11", "2025-02-20", start_id=42))
        project.load(flow)
        project.parquet("events/3.parquet", {"id": [99], "at": [datetime(2025, 2, 18)]})
        assert refused(project, flow, end="2025-02-19", replace=True) == "TG509"
        replayed(project, flow, end="2025-02-10", replace=True)
        project.load(flow)
        assert project.rows(flow, "id") == [*range(1, 52), 99]

    def test_a_window_that_loads_replace_too_ends_before_they_start(self, tables: Project) -> None:
        """Beside a load that commits newer rows of the window, the replay would put older ones in their place."""
        tables.parquet("events/1.parquet", days("2025-01-01", "2025-02-10"))
        flow = tables.flow(format="parquet", watermark="at", settings={"replace_by_watermark": True})
        tables.load(flow)
        assert refused(tables, flow) == "TG509"
        replayed(tables, flow, end="2025-02-01")
        assert tables.rows(flow, "id") == list(range(1, 42))

    def test_rows_are_found_in_the_table_by_their_window_or_not_at_all(self, tables: Project) -> None:
        """A column that a transform changes does not tell which rows of the table lie in the window."""
        tables.parquet("events/1.parquet", days("2025-01-01", "2025-03-31"))
        changed = [{"column": "at", "expression": "at + INTERVAL '1' YEAR"}]
        flow = tables.flow(format="parquet", watermark="at", load_type="overwrite", additional_columns=changed)
        tables.load(flow)
        error = failure(replay(tables, flow))
        assert error.code is not None
        assert tables.rows(flow, "id") == list(range(1, 91))

    def test_a_window_is_found_under_the_columns_new_name(self, tables: Project) -> None:
        """`SoldAt` is `sold_at` in the table."""
        before = days("2024-12-01", "2025-05-01", at="SoldAt")
        tables.parquet("events/1.parquet", before)
        flow = tables.flow(format="parquet", watermark="SoldAt", load_type="overwrite")
        tables.load(flow, column_name_mode="snake")
        tables.parquet("events/1.parquet", before.with_columns(pl.col("id") + 1000))
        with create_driver(root=tables.root) as driver:
            asked = ReplayConfig(start="2025-01-01", end="2025-04-01", chunk_interval={"months": 1})
            assert driver.run_replay([flow], asked, "snake").failed == 0
        assert tables.rows(flow, "id") == [*range(1, 32), *range(122, 153), *range(1032, 1122)]

    def test_rows_of_another_dataflow_are_not_replaced(self, tables: Project) -> None:
        """Two dataflows append to one table: replacing a window for one would take the other's rows (TG631)."""
        tables.parquet("web/1.parquet", days("2025-01-01", "2025-03-31"))
        tables.parquet("shop/1.parquet", days("2025-01-01", "2025-03-31", start_id=500))
        web, shop = (tables.flow(source=name, format="parquet", watermark="at", name=name) for name in ("web", "shop"))
        for flow in (web, shop):
            tables.load(flow)
        assert refused(tables, web, end="2025-03-01", replace=True) == "TG631"

    @pytest.mark.parametrize(
        "options",
        [
            {"load_type": "overwrite"},
            {"load_type": "full_load"},
            {"settings": {"replace_by_watermark": True}},
            {
                "load_type": "overwrite",
                "partitions": ["part"],
                "write_options": {"partition_overwrite_mode": "dynamic"},
            },
        ],
        ids=["overwrite", "full_load", "replace_by_watermark", "partitions"],
    )
    def test_load_types_that_replace_replace_the_window_and_nothing_else(
        self, tables: Project, options: dict[str, Any]
    ) -> None:
        """What lies outside stays as it is in the table, whatever the source says now."""
        before = days("2024-12-01", "2025-05-01").with_columns(part=pl.col("id") % 3)
        tables.parquet("events/1.parquet", before)
        flow = tables.flow(format="parquet", watermark="at", **options)
        tables.load(flow)
        tables.parquet("events/1.parquet", before.with_columns(pl.col("id") + 1000).filter(pl.col("part") != 0))
        replayed(tables, flow)
        inside = pl.col("at").is_between(datetime(2025, 1, 1), datetime(2025, 4, 1), closed="left")
        changed = before.with_columns(pl.col("id") + 1000).filter(pl.col("part") != 0, inside)
        assert tables.rows(flow, "id") == sorted([*before.filter(~inside)["id"], *changed["id"]])

    def test_a_snapshot_is_refused(self, tables: Project) -> None:
        """What a window lacks would count as deleted (TG631)."""
        tables.parquet("events/1.parquet", days("2025-01-01", "2025-03-31"))
        assert (
            refused(tables, tables.flow(format="parquet", watermark="at", load_type="snapshot", keys=["id"])) == "TG631"
        )

    @pytest.mark.parametrize("options", [{"load_type": "overwrite"}, {}], ids=["overwrite", "replace"])
    @pytest.mark.parametrize("to", ["parquet", "csv", "jsonl"])
    def test_plain_files_cannot_replace_rows(self, tmp_path: Path, to: str, options: dict[str, str]) -> None:
        """They append, and no more (TG631)."""
        project = Project(tmp_path, to)
        project.parquet("events/1.parquet", days("2025-01-01", "2025-03-31"))
        flow = project.flow(format="parquet", watermark="at", **options)
        assert refused(project, flow, replace=not options) == "TG631"

    def test_an_empty_window_empties_it(self, tables: Project) -> None:
        """The source has nothing there any more, not even a file."""
        tables.parquet("events/1.parquet", days("2025-01-01", "2025-01-31"))
        tables.parquet("events/2.parquet", days("2025-02-01", "2025-02-28", start_id=32))
        flow = tables.flow(format="parquet", watermark="at", load_type="overwrite")
        tables.load(flow)
        (tables.source_root / "events" / "1.parquet").unlink()
        replayed(tables, flow)
        assert tables.rows(flow, "id") == list(range(32, 60))

    def test_rows_without_a_value_lie_in_no_window(self, tables: Project) -> None:
        """They are neither loaded by a replay, nor replaced by one."""
        with_null = pl.concat(
            [days("2025-01-01", "2025-01-31"), pl.DataFrame({"id": [99], "at": [None]})], how="vertical_relaxed"
        )
        tables.parquet("events/1.parquet", with_null)
        appended = tables.flow("appended", source="events", format="parquet", watermark="at")
        replayed(tables, appended)
        assert tables.rows(appended, "id") == list(range(1, 32))
        replaced = tables.flow("replaced", source="events", format="parquet", watermark="at", load_type="overwrite")
        tables.load(replaced)
        replayed(tables, replaced)
        assert tables.rows(replaced, "id") == [*range(1, 32), 99]


class TestMerging:
    @pytest.fixture
    def changes(self, tables: Project) -> Project:
        """Three months of changes of few keys, several in each month."""
        chance = random.Random(7)
        first = datetime(2025, 1, 1)
        rows = [
            {"id": chance.randrange(9), "at": first + timedelta(minutes=chance.randrange(90 * 24 * 60)), "v": number}
            for number in range(60)
        ]
        unique = list({(row["id"], row["at"]): row for row in rows}.values())
        for number, part in enumerate(_parts(unique, 20)):
            tables.parquet(f"events/{number}.parquet", pl.DataFrame(list(part)))
        return tables

    @pytest.mark.parametrize("load_type", ["merge_upsert", "merge_overwrite"])
    def test_windows_come_to_what_one_load_comes_to(self, changes: Project, load_type: str) -> None:
        """The newest row of each key, as an oracle of three lines has it."""
        flow = changes.flow(
            format="parquet", watermark="at", load_type=load_type, keys=["id"], deduplicate_columns=["id"]
        )
        replayed(changes, flow, by={"days": 5})
        source = pl.read_parquet(changes.source_root / "events").sort("at").group_by("id").last()
        assert changes.rows(flow, "id", "v") == sorted(source.select("id", "v").rows())

    @pytest.mark.parametrize("config", [{"direction": "backward"}, {"parallel": 3}], ids=["backward", "parallel"])
    def test_an_upsert_by_time_may_come_in_any_order(self, changes: Project, config: dict[str, Any]) -> None:
        """No row goes back in time, also onto a table that has newer rows already."""
        flow = changes.flow(
            format="parquet", watermark="at", load_type="merge_upsert", keys=["id"], deduplicate_columns=["id"]
        )
        changes.load(flow)
        replayed(changes, flow, by={"days": 5}, **config)
        source = pl.read_parquet(changes.source_root / "events").sort("at").group_by("id").last()
        assert changes.rows(flow, "id", "v") == sorted(source.select("id", "v").rows())

    @pytest.mark.parametrize("load_type", ["merge_overwrite", "merge_delete"])
    @pytest.mark.parametrize("config", [{"direction": "backward"}, {"parallel": 3}], ids=["backward", "parallel"])
    def test_what_must_come_in_order_is_refused_in_any_other(
        self, project: Project, load_type: str, config: dict[str, Any]
    ) -> None:
        """The last window would win (TG634)."""
        project.parquet("events/1.parquet", days("2025-01-01", "2025-01-31").with_columns(op=pl.lit("U")))
        cdc = {"operation_column": "op"} if load_type == "merge_delete" else None
        flow = project.flow(format="parquet", watermark="at", load_type=load_type, keys=["id"], cdc=cdc)
        assert refused(project, flow, **config) == "TG634"

    @pytest.mark.parametrize("config", [{"direction": "backward"}, {"parallel": 3}], ids=["backward", "parallel"])
    def test_an_upsert_that_nothing_orders_comes_in_order(self, project: Project, config: dict[str, Any]) -> None:
        """Without a column that tells which row is the later one, the last window would win (TG634)."""
        project.parquet("events/1.parquet", days("2025-01-01", "2025-01-31"))
        flow = project.flow(format="parquet", load_type="merge_upsert", keys=["id"])
        assert refused(project, flow, chunk_column="at", **config) == "TG634"

    def test_deletes_come_to_what_one_load_comes_to(self, tables: Project) -> None:
        """A key that was deleted and came back is there, one that was deleted last is not."""
        story = [
            (1, 5, "I"),
            (2, 6, "I"),
            (3, 7, "I"),
            (1, 40, "D"),
            (2, 41, "D"),
            (2, 70, "I"),
            (3, 71, "D"),
            (4, 72, "I"),
        ]
        first = datetime(2025, 1, 1)
        rows = [{"id": key, "at": first + timedelta(days=day), "op": op} for key, day, op in story]
        tables.parquet("events/1.parquet", pl.DataFrame(rows))
        flow = tables.flow(
            format="parquet", watermark="at", load_type="merge_delete", keys=["id"], cdc={"operation_column": "op"}
        )
        replayed(tables, flow)
        assert tables.rows(flow, "id") == [2, 4]

    @pytest.mark.parametrize("direction", ["forward", "backward"])
    def test_a_history_is_the_same_in_any_order(self, tables: Project, direction: str) -> None:
        """Late versions fall where they belong."""
        lines = [f"{key},{at},{at % 3}" for key in (1, 2) for at in range(1, 40, 3)]
        tables.csv("events/1.csv", "id,at,v", *lines)
        whole, cut = (history(tables, name, source="events", watermark="at") for name in ("whole", "cut"))
        tables.load(whole)
        replayed(tables, cut, start=0, end=50, by={"step": 7}, direction=direction)
        assert versions(tables, cut, "id", "v") == versions(tables, whole, "id", "v")


class TestColumnTypes:
    @pytest.mark.parametrize(
        ("values", "start", "end", "by"),
        [
            ([date(2025, 1, day) for day in (1, 2, 3, 4)], "2025-01-02", "2025-01-04", {"days": 1}),
            ([datetime(2025, 1, day) for day in (1, 2, 3, 4)], "2025-01-02", "2025-01-04", {"hours": 24}),
            ([1, 2, 3, 4], 2, 4, {"step": 1}),
            ([Decimal("1.99"), Decimal("2.00"), Decimal("3.99"), Decimal("4.00")], 2, 4, {"step": 1}),
            ([1.5, 2.0, 3.5, 4.0], 2, 4, {"step": 1}),
        ],
        ids=["date", "timestamp", "int", "decimal", "float"],
    )
    def test_a_column_of_any_type_with_an_order(
        self, tables: Project, values: list[Any], start: Any, end: Any, by: dict[str, int]
    ) -> None:
        """The second and third row lie in the range."""
        tables.parquet("events/1.parquet", pl.DataFrame({"id": [1, 2, 3, 4], "at": values}))
        if isinstance(values[0], datetime):
            start, end = f"{start}T00:00", f"{end}T00:00"
        flow = tables.flow(format="parquet", watermark="at")
        replayed(tables, flow, start=start, end=end, by=by)
        assert tables.rows(flow, "id") == [2, 3]

    @pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt8, pl.Int16, pl.Int32, pl.UInt64], ids=str)
    def test_bounds_may_lie_beyond_the_type(self, project: Project, dtype: Any) -> None:
        """A range of a million over a column of bytes."""
        project.parquet(
            "events/1.parquet", pl.DataFrame({"id": [1, 2], "n": [0, 100]}, schema={"id": pl.Int64, "n": dtype})
        )
        flow = project.flow(format="parquet", watermark="n")
        replayed(project, flow, start=-(10**9), end=10**10, by={"step": 10**9})
        assert project.rows(flow, "id") == [1, 2]

    @pytest.mark.parametrize("unit", ["ms", "us", "ns"])
    @pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
    def test_times_of_any_unit_and_zone(self, project: Project, unit: Any, zone: str | None) -> None:
        """A window without a zone is UTC where the column has one."""
        moments = [
            datetime(2025, 1, 31, 23, 59, 59),
            datetime(2025, 2, 1),
            datetime(2025, 2, 28, 23, 59),
            datetime(2025, 3, 1),
        ]
        at = pl.Series("at", moments).dt.cast_time_unit(unit)
        if zone:
            at = at.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
        project.parquet("events/1.parquet", pl.DataFrame({"id": [1, 2, 3, 4]}).with_columns(at))
        flow = project.flow(format="parquet", watermark="at")
        replayed(project, flow, start="1700-01-01", end="2025-02-01", by=None)
        replayed(project, flow, start="2025-02-01", end="2025-03-01", by={"days": 1})
        assert project.rows(flow, "id") == [1, 2, 3]
        replayed(project, flow, start="2025-03-01", end="9999-01-01", by=None)
        assert project.rows(flow, "id") == [1, 2, 3, 4]

    def test_a_window_in_a_zone_does_not_fit_times_without_one(self, project: Project) -> None:
        """Which instants they are is not known (TG633)."""
        project.parquet("events/1.parquet", days("2025-01-01", "2025-01-31"))
        flow = project.flow(format="parquet", watermark="at")
        result = replay(project, flow, start="2025-01-01T00:00+01:00", end="2025-02-01T00:00+01:00")
        assert failure(result).code == "TG633"

    @pytest.mark.parametrize(
        ("start", "end", "by"), [("2025-01-01", "2025-02-01", {"months": 1}), (0, 10, {"step": 10})]
    )
    def test_text_has_no_windows(self, project: Project, start: Any, end: Any, by: dict[str, int]) -> None:
        """It is declared as a time first (TG633)."""
        project.csv("events.csv", "id,at", "1,a", "2,b")
        error = failure(replay(project, project.flow(watermark="at"), start=start, end=end, by=by))
        assert (error.code, "schema_hints" in str(error.hint)) == ("TG633", True)

    def test_a_column_that_is_not_there_gets_a_suggestion(self, project: Project) -> None:
        """TG632."""
        project.csv("events.csv", "id,updated_at", "1,2025-01-01")
        error = failure(replay(project, project.flow(watermark="updated_at"), chunk_column="update_at"))
        assert (error.code, str(error.hint)) == ("TG632", "did you mean 'updated_at'?")

    def test_text_that_a_hint_makes_a_time(self, tables: Project) -> None:
        """Windows are over the declared type."""
        tables.csv("events.csv", "id,at", "1,2025-01-31 23:59:59", "2,2025-02-01 00:00:00", "3,2025-03-01 00:00:00")
        flow = tables.flow(watermark="at", hints={"at": "timestamp"})
        replayed(tables, flow, start="2025-02-01", end="2025-03-01")
        assert tables.rows(flow, "id") == [2]

    @pytest.mark.parametrize("column", ["day", "at"])
    def test_hive_partitions(self, tables: Project, column: str) -> None:
        """A folder whose day lies outside is not read; the value in the path decides."""
        for day in range(1, 11):
            at = datetime(2025, 1, day, 12)
            tables.parquet(f"events/day=2025-01-{day:02d}/1.parquet", {"id": [day], "at": [at]})
        flow = tables.flow(format="parquet", watermark=column, hive=True)
        result = replayed(tables, flow, start="2025-01-03", end="2025-01-08", by={"days": 2})
        assert tables.rows(flow, "id") == [3, 4, 5, 6, 7]
        assert all((unit.files_skipped or 0) > 0 for unit in result.units)

    def test_statistics_leave_out_files_and_no_row(self, tables: Project) -> None:
        """Files of other months are skipped; one whose rows reach into the window is read."""
        tables.parquet("events/1.parquet", days("2025-01-01", "2025-01-31"))
        tables.parquet("events/2.parquet", days("2025-01-31", "2025-02-28", start_id=100))
        tables.parquet("events/3.parquet", days("2025-06-01", "2025-06-28", start_id=200))
        flow = tables.flow(format="parquet", watermark="at")
        result = replayed(tables, flow, end="2025-02-01")
        assert [(unit.files_read, unit.files_skipped) for unit in result.units] == [(2, 1)]
        assert tables.rows(flow, "id") == [*range(1, 32), 100]

    def test_what_a_transform_makes_of_the_column_does_not_move_its_rows(self, tables: Project) -> None:
        """The window is over the source's values."""
        tables.parquet("events/1.parquet", days("2025-01-01", "2025-03-31"))
        columns = [{"column": "at", "expression": "at + INTERVAL '1' YEAR"}]
        flow = tables.flow(format="parquet", watermark="at", additional_columns=columns)
        replayed(tables, flow, end="2025-02-01")
        assert tables.rows(flow, "id") == list(range(1, 32))


class TestBesideOtherLoads:
    def test_dataflows_replayed_into_one_table_do_not_disturb_each_other(self, tables: Project) -> None:
        """Windows of both, several at a time, against one table that is not there yet."""
        tables.parquet("web/1.parquet", days("2025-01-01", "2025-03-31"))
        tables.parquet("shop/1.parquet", days("2025-01-01", "2025-03-31", start_id=500))
        web, shop = (tables.flow(source=name, format="parquet", watermark="at", name=name) for name in ("web", "shop"))
        result = replayed(tables, web, shop, by={"weeks": 2}, parallel=3)
        assert tables.rows(web, "id") == [*range(1, 91), *range(500, 590)]
        assert result.total == sum(windows_of(web).values()) + sum(windows_of(shop).values())
        assert set(windows_of(web).values()) == set(windows_of(shop).values()) == {1}

    def test_a_load_goes_on_beside_a_replay(self, tables: Project) -> None:
        """Both commit to one table: rows of both, each once, and the position is the load's."""
        tables.parquet("events/1.parquet", days("2025-01-01", "2025-03-31"))
        flow = tables.flow(format="parquet", watermark="at", load_type="merge_upsert", keys=["id"])
        tables.load(flow)
        tables.parquet("events/2.parquet", days("2025-04-01", "2025-04-30", start_id=91))
        with held_up(tables, flow) as go_on:
            assert tables.load(flow).rows_out == 30
            before = tables.position(flow)
            go_on()
        assert tables.rows(flow, "id") == list(range(1, 121))
        assert tables.position(flow) == before

    def test_a_first_load_beside_a_replay_doubles_nothing(self, tables: Project) -> None:
        """One of them comes first; the other sees it at its own commit, and is refused (TG509)."""
        tables.parquet("events/1.parquet", days("2025-01-01", "2025-03-31"))
        flow = tables.flow(format="parquet", watermark="at")
        with held_up(tables, flow) as go_on:
            assert tables.load(flow).rows_out == 90
            go_on()
        assert tables.rows(flow, "id") == list(range(1, 91))
        assert windows_of(flow) == {}

    def test_a_load_that_began_before_a_replay_doubles_nothing(
        self, tables: Project, once_before: Callable[..., None]
    ) -> None:
        """The replay commits while the load is about to: the load is refused (TG509)."""
        tables.parquet("events/1.parquet", days("2025-01-01", "2025-03-31"))
        flow = tables.flow(format="parquet", watermark="at")
        once_before(InSequence, "at", lambda: replayed(tables, flow))
        (unit,) = tables.run(flow).units
        assert unit.error is not None
        assert unit.error.code == "TG509"
        assert tables.rows(flow, "id") == list(range(1, 91))

    def test_replays_of_ranges_that_overlap_double_nothing(self, project: Project) -> None:
        """Of one dataflow, at the same time: a window that meets one of the other replay is refused (TG509)."""
        project.parquet("events/1.parquet", days("2025-01-01", "2025-04-30"))
        flow = project.flow(format="parquet", watermark="at")
        # what waits may hold the threads of the engine that the other needs: it gives up soon
        with held_up(project, flow, parallel=2, patience=2) as go_on:
            replay(project, flow, start="2025-02-01", end="2025-05-01", parallel=2)
            go_on()
        found = project.rows(flow, "id")
        assert found == sorted(set(found))

    def test_a_paused_replay_that_was_taken_over_does_not_double_its_window(self, tables: Project) -> None:
        """Its lease ended while it slept; another process took the window over, and committed it."""
        tables.parquet("events/1.parquet", days("2025-01-01", "2025-03-31"))
        flow = tables.flow(format="parquet", watermark="at")
        with held_up(tables, flow, parallel=2) as go_on:
            tables.forget_state()  # nobody's lease is known any more
            replayed(tables, flow, parallel=2)
            go_on()
        assert tables.rows(flow, "id") == list(range(1, 91))
        assert set(windows_of(flow).values()) == {1}

    def test_files_of_another_window_may_vanish_while_there_is_no_table_yet(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Windows at the same time, of which one holds no rows: its file goes while the other looks at the folder."""
        project.parquet("events/1.parquet", days("2025-01-01", "2025-03-31"))
        flow = project.flow(format="parquet", watermark="at")
        passing = Path(str(flow.destination.path), "tg-of-another-window.parquet")
        passing.parent.mkdir(parents=True)
        passing.write_bytes(b"PAR1")
        is_file = os.path.isfile

        def vanishing(path: Any) -> bool:
            there = is_file(path)
            if str(path) == str(passing):
                passing.unlink(missing_ok=True)
            return there

        monkeypatch.setattr(os.path, "isfile", vanishing)
        assert replay(project, flow).failed == 0

    def test_a_paused_replay_does_not_go_on_beside_another_range(self, project: Project) -> None:
        """All its leases ended while it slept; a replay of another range, which overlaps, was begun and ended."""
        project.parquet("events/1.parquet", days("2025-01-01", "2025-04-30"))
        flow = project.flow(format="parquet", watermark="at")
        with held_up(project, flow) as go_on:
            with closing(sqlite3.connect(project.state_path)) as state:
                state.execute("UPDATE leases SET expires_at = '2020-01-01T00:00:00+00:00'")
                state.commit()
            replayed(project, flow, start="2025-02-01", end="2025-05-01")
            go_on()
        found = project.rows(flow, "id")
        assert len(found) == len(set(found))


@contextmanager
def held_up(project: Project, flow: DataFlow, *, patience: float = 60, **config: Any) -> Iterator[Any]:
    """Replay the quarter in a thread that waits before its first commit until it may go on, or the block ends."""
    ready, go_on = threading.Event(), threading.Event()

    class Wait:
        def handle(self, event: object, /) -> None:
            if isinstance(event, UnitProgress) and event.phase == "committing":
                ready.set()
                go_on.wait(patience)

        def close(self) -> None:
            """Nothing is open."""

    def work() -> None:
        asked = ReplayConfig(start="2025-01-01", end="2025-04-01", chunk_interval={"months": 1}, **config)
        with create_driver(root=project.root, sinks=[Wait()]) as driver:
            driver.run_replay([flow], asked)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert ready.wait(60)

        def end() -> None:
            go_on.set()
            thread.join(60)

        yield end
    finally:
        go_on.set()
        thread.join(60)


def stopped(project: Project, flow: DataFlow, *, after: int) -> None:
    """Replay the quarter until so many windows are committed, and cancel the next before its commit."""
    committed = itertools.count()

    class Cancel:
        def handle(self, event: object, /) -> None:
            if isinstance(event, UnitProgress) and event.phase == "committing" and next(committed) == after:
                driver.cancel()

        def close(self) -> None:
            """Nothing is open."""

    asked = ReplayConfig(start="2025-01-01", end="2025-04-01", chunk_interval={"months": 1})
    with create_driver(root=project.root, sinks=[Cancel()]) as driver:
        assert driver.run_replay([flow], asked).succeeded == after


class TestProperty:
    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        rows=st.lists(st.integers(-5, 65) | st.none(), max_size=30),
        cuts=st.lists(st.integers(1, 25), min_size=1, max_size=4),
        kills=st.lists(st.integers(0, 4), max_size=3),
        forget=st.lists(st.booleans(), min_size=4, max_size=4),
        backward=st.booleans(),
        parallel=st.integers(1, 3),
    )
    def test_any_cuts_deaths_and_orders_come_to_one_load_of_the_range(
        self, tmp_path_factory: pytest.TempPathFactory, *, rows: list[int | None], cuts: list[int], kills: list[int],
        forget: list[bool], backward: bool, parallel: int,
    ) -> None:  # fmt: skip
        """Windows of any size, broken off anywhere, with the state store or without: each row of the range once."""
        project = Project(tmp_path_factory.mktemp("property"))
        frame = pl.DataFrame({"id": range(len(rows)), "n": rows}, schema={"id": pl.Int64, "n": pl.Int64})
        for number in range(3):
            project.parquet(f"events/{number}.parquet", frame.filter(pl.col("id") % 3 == number))
        flow = project.flow(format="parquet", watermark="n")
        project.parquet("first.parquet", pl.DataFrame({"id": [999], "n": [0]}))
        project.load(project.flow(source="first", format="parquet", name="first"))
        options: dict[str, Any] = {"direction": "backward" if backward else "forward", "parallel": parallel}
        for number, kill in enumerate(kills):
            _broken_off(project, flow, after=kill, by=cuts[number % len(cuts)], **options)
            if forget[number]:
                project.forget_state()
        replayed(project, flow, start=0, end=60, by={"step": cuts[-1]}, **options)
        expected = frame.filter(pl.col("n").is_between(0, 60, closed="left"))["id"].to_list()
        assert project.rows(flow, "id") == [*expected, 999]


def _broken_off(project: Project, flow: DataFlow, *, after: int, by: int, **config: Any) -> None:
    committed = itertools.count()

    class Cancel:
        def handle(self, event: object, /) -> None:
            if isinstance(event, UnitProgress) and event.phase == "planning" and next(committed) >= after:
                driver.cancel()

        def close(self) -> None:
            """Nothing is open."""

    asked = ReplayConfig(start=0, end=60, chunk_interval={"step": by}, **config)
    with create_driver(root=project.root, sinks=[Cancel()]) as driver:
        driver.run_replay([flow], asked)


def _parts(rows: list[Any], size: int) -> Iterator[list[Any]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))
