"""Iceberg tables: what other readers see of them, and that races, rollbacks and crashes lose and double nothing."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitStateUnknownException
from pyiceberg.manifest import ManifestFile
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.transforms import BucketTransform
from pyiceberg.types import LongType, NestedField, StringType

from tests.behaviour.project import Project, iceberg_table
from tidegate import DataFlow
from tidegate.destinations.iceberg import IcebergTable
from tidegate.destinations.iceberg_history import COMMIT_KEY, FLOW_PREFIX
from tidegate.orchestration.rebuild import rebuild
from tidegate.platforms.local import LocalPlatform

HOME = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose destinations are Iceberg tables."""
    return Project(tmp_path, "iceberg")


@contextlib.contextmanager
def catalog_of(project: Project) -> Iterator[Catalog]:
    """The project's own catalog, as another program opens it."""
    project.destination_root.mkdir(exist_ok=True)
    catalog = SqlCatalog(
        "default", uri=f"sqlite:///{project.destination_root}/catalog.db", warehouse=str(project.destination_root)
    )
    catalog.create_namespace_if_not_exists("default")
    try:
        yield catalog
    finally:
        catalog.close()


def made(project: Project, schema: Schema, name: str = "events", **options: Any) -> Table:
    """Create a table with another writer."""
    with catalog_of(project) as catalog:
        location = f"{project.destination_root}/{name}"
        return catalog.create_table(("default", name), schema, location=location, **options)


def rolled_back(flow: DataFlow, steps: int = 1) -> None:
    """Take the table back by some snapshots."""
    table = iceberg_table(flow)
    snapshot = table.current_snapshot()
    for _ in range(steps):
        assert snapshot is not None
        assert snapshot.parent_snapshot_id is not None
        snapshot = table.snapshot_by_id(snapshot.parent_snapshot_id)
    assert snapshot is not None
    table.manage_snapshots().rollback_to_snapshot(snapshot.snapshot_id).commit()


def rebuilt(project: Project, flow: DataFlow) -> str:
    """Rebuild the flow's position from its table, and return the outcome."""
    store = project.store()
    try:
        (result,) = rebuild([flow], store=store, platform=LocalPlatform())
        assert result.error is None
        return result.outcome
    finally:
        store.close()


MANIFEST_FIELDS = (
    "manifest_path", "manifest_length", "partition_spec_id", "sequence_number", "min_sequence_number",
    "added_snapshot_id", "added_files_count", "existing_files_count", "deleted_files_count", "added_rows_count",
    "existing_rows_count", "deleted_rows_count", "partitions", "key_metadata",
)  # fmt: skip
SIMPLE = Schema(NestedField(1, "id", LongType(), required=False), NestedField(2, "name", StringType(), required=False))


class TestReaders:
    def test_a_renamed_column_keeps_its_values(self, project: Project) -> None:
        """Files carry the columns' ids: a rename by another program changes no file, and loses no value."""
        project.csv("events.csv", "id,name", "1,a", "2,b")
        flow = project.flow()
        project.load(flow)
        with iceberg_table(flow).update_schema() as update:
            update.rename_column("name", "title")
        assert project.rows(flow, "id", "title") == [(1, "a"), (2, "b")]

    def test_nested_columns_are_known_by_id_too(self, project: Project) -> None:
        """Fields of structs and elements of lists have ids of their own, and renamed they are the same."""
        project.parquet(
            "events.parquet",
            pl.DataFrame({"id": [1, 2], "who": [{"first": "a", "ages": [1, 2]}, None], "tags": [[["x"], []], None]}),
        )
        flow = project.flow(format="parquet")
        project.load(flow)
        with iceberg_table(flow).update_schema() as update:
            update.rename_column(("who", "first"), "given")
        assert project.rows(flow, "id", "who", "tags") == [
            (1, {"given": "a", "ages": [1, 2]}, [["x"], []]),
            (2, None, None),
        ]

    def test_all_types_come_back(self, project: Project) -> None:
        """Each type is the Iceberg one that holds it, read by another reader with the same values."""
        columns = {
            "b": pl.Series([True, None]),
            "i8": pl.Series([-1, None], dtype=pl.Int8),
            "u32": pl.Series([2**32 - 1, None], dtype=pl.UInt32),
            "u64": pl.Series([2**64 - 1, None], dtype=pl.UInt64),
            "f32": pl.Series([0.5, None], dtype=pl.Float32),
            "f64": pl.Series([float("inf"), None]),
            "d9": pl.Series([Decimal("-12.34"), None], dtype=pl.Decimal(9, 2)),
            "d18": pl.Series([Decimal("12.3456"), None], dtype=pl.Decimal(18, 4)),
            "d38": pl.Series([Decimal(10) ** 37, None], dtype=pl.Decimal(38, 0)),
            "day": pl.Series([date(1969, 12, 31), None]),
            "t": pl.Series([time(23, 59, 59, 999999), None]),
            "ts": pl.Series([datetime(1969, 12, 31, 23, 59, 59, 1), None]),  # noqa: DTZ001 - without a zone
            "tz": pl.Series([datetime(2024, 3, 31, 1, tzinfo=UTC), None]),
            "s": pl.Series(["é" * 100, None]),
            "bin": pl.Series([b"\x00\xff", None]),
            "l": pl.Series([[1, None], None]),
        }
        project.parquet("events.parquet", pl.DataFrame(columns))
        flow = project.flow(format="parquet")
        project.load(flow)
        found = project.frame(flow)
        assert found.rows(named=True)[0] == {name: column[0] for name, column in columns.items()} | {"l": [1, None]}
        assert found.rows()[1] == (None,) * len(columns)
        kinds = {field.name: str(field.field_type) for field in iceberg_table(flow).schema().fields}
        assert [kinds[name] for name in ("i8", "u32", "u64", "t", "ts", "tz")] == [
            "int", "long", "decimal(20, 0)", "time", "timestamp", "timestamptz",
        ]  # fmt: skip

    def test_times_of_day_are_merged(self, project: Project) -> None:
        """Times are kept in microseconds, as Iceberg has them, also in files that are read and written anew."""
        project.parquet("a.parquet", pl.DataFrame({"id": [1, 2], "t": [time(1, 2, 3, 456789), time(2)]}))
        project.load(project.merge(source="a.parquet", format="parquet", name="a"))
        project.parquet("b.parquet", pl.DataFrame({"id": [2], "t": [time(3)]}))
        flow = project.merge(source="b.parquet", format="parquet", name="b")
        project.load(flow)
        assert project.rows(flow, "id", "t") == [(1, time(1, 2, 3, 456789)), (2, time(3))]

    def test_scans_find_the_rows_that_bounds_speak_of(self, project: Project) -> None:
        """Bounds and partitions in the metadata are right: a filter of another reader finds each row."""
        values = {
            "id": [1, 2, 3, 4],
            "city": ["Ås", "b" * 40, None, "z" * 16 + "\U0010ffff" * 8],
            "amount": [Decimal("-1.50"), Decimal("99999.99"), None, Decimal("0.00")],
            "at": [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3, 4)],
            "x": [float("nan"), 1.5, None, -0.0],
        }
        project.parquet("events.parquet", pl.DataFrame(values))
        flow = project.flow(format="parquet", partitions=["city"])
        project.load(flow)
        table = iceberg_table(flow)
        for condition, expected in {
            "amount == -1.50": [1],
            "amount > 99999.98": [2],
            f"city == '{'b' * 40}'": [2],
            "city is null": [3],
            f"city > '{'z' * 16}'": [1, 4],
            "at >= '2024-01-03T00:00:00+00:00'": [3, 4],
            "x == 0.0": [4],
            "x is nan": [1],
        }.items():
            assert sorted(table.scan(condition).to_arrow()["id"].to_pylist()) == expected, condition

    def test_partitions_of_all_types(self, project: Project) -> None:
        """Partition values are in the metadata in the columns' own types; floats are refused elsewhere."""
        columns = {
            "id": [1, 2],
            "a": [True, None],
            "b": [Decimal("1.50"), None],
            "c": [date(2024, 2, 29), None],
            "d": [datetime(2024, 2, 29, 12, 0, 0, 5, tzinfo=UTC), None],
            "straße_1": ["x", None],
            "e": [time(1, 2, 3), None],
        }
        project.parquet("events.parquet", pl.DataFrame(columns))
        partitions = [name for name in columns if name != "id"]
        project.load(project.merge(format="parquet", partitions=partitions))
        project.parquet("b.parquet", pl.DataFrame(columns).with_columns(id=pl.Series([1, 7])))
        flow = project.merge(source="b.parquet", format="parquet", partitions=partitions, name="b")
        project.load(flow)
        found = project.frame(flow).sort("id")
        assert found["id"].to_list() == [1, 2, 7]
        assert found.rows()[0][1:] == tuple(column[0] for name, column in columns.items() if name != "id")
        (first, *_) = iceberg_table(flow).inspect.partitions().sort_by("record_count").to_pylist()
        assert set(first["partition"]) == set(found.columns[1:])


class TestSchema:
    def test_columns_grow_without_a_rewrite(self, project: Project) -> None:
        """int into long, float into double, a decimal into more digits: old files stay, and all values are there."""
        project.parquet(
            "a.parquet",
            pl.DataFrame(
                {"i": [1], "f": [0.5], "d": [Decimal("1.50")]},
                schema={"i": pl.Int32, "f": pl.Float32, "d": pl.Decimal(5, 2)},
            ),
        )
        flow = project.flow(source="a.parquet", format="parquet", name="a")
        project.load(flow)
        files = set(project.data_root().rglob("*.parquet"))
        project.parquet(
            "b.parquet",
            pl.DataFrame(
                {"i": [2**40], "f": [0.1], "d": [Decimal("123456.75")]},
                schema={"i": pl.Int64, "f": pl.Float64, "d": pl.Decimal(12, 2)},
            ),
        )
        project.load(project.flow(source="b.parquet", format="parquet", name="b"))
        assert project.rows(flow) == [(Decimal("1.50"), 0.5, 1), (Decimal("123456.75"), 0.1, 2**40)]
        assert files < set(project.data_root().rglob("*.parquet"))
        project.parquet("c.parquet", pl.DataFrame({"i": [1, 7], "f": [0.75, 0.0]}))
        project.load(project.merge(keys="i", source="c.parquet", format="parquet", name="c"))
        assert project.rows(flow, "i", "f") == [(1, 0.75), (7, 0.0), (2**40, 0.1)]

    def test_an_overwrite_replaces_the_schema_in_one_commit(self, project: Project) -> None:
        """Columns go, come and change their type with the rows; an older snapshot is read as it was."""
        project.csv("a.csv", "id,gone,n", "1,x,1")
        flow = project.flow(source="a.csv", load_type="overwrite")
        project.load(flow)
        first = iceberg_table(flow).current_snapshot()
        project.csv("a.csv", "id,n,new", "1,one,y", "2,two,z")
        project.load(flow)
        assert project.rows(flow, "id", "n", "new") == [(1, "one", "y"), (2, "two", "z")]
        table = iceberg_table(flow)
        assert len(table.snapshots()) == 2
        assert first is not None
        before = table.scan(snapshot_id=first.snapshot_id).to_arrow().to_pylist()
        assert [(row["id"], row["gone"], row["n"]) for row in before] == [(1, "x", 1)]
        assert "gone" not in project.frame(flow).columns

    def test_a_column_that_comes_back_is_a_new_one(self, project: Project) -> None:
        """After an overwrite without it, a column of the same name has another id, and merges read the right one."""
        flow = project.flow(source="a.csv", load_type="overwrite", name="one")
        for header, row in (("id,n", "1,1"), ("id", "1"), ("id,n", "1,5")):
            project.csv("a.csv", header, row)
            project.load(flow)
        project.csv("b.csv", "id", "2")
        project.load(project.merge(source="b.csv", name="two"))
        assert project.rows(flow, "id", "n") == [(1, 5), (2, None)]


class TestRaces:
    @pytest.mark.parametrize("load_type", ["append", "merge_upsert", "overwrite"])
    @pytest.mark.parametrize("header", ["id,x", "id,x,mine"])
    @pytest.mark.parametrize("other_header", ["id,x", "id,x,theirs,more"])
    def test_another_writer_between_read_and_commit(
        self, project: Project, once_before: Any, load_type: str, header: str, other_header: str
    ) -> None:
        """The commit is on condition of the snapshot that was read; with new columns on both sides too."""
        project.csv("a/1.csv", "id,x", "1,a", "2,a")
        keys = ["id"] if load_type == "merge_upsert" else []
        one = project.flow(source="a", name="one", load_type=load_type, keys=keys)
        project.load(one)
        if load_type == "overwrite":
            (project.source_root / "a/1.csv").unlink()
        project.csv("a/2.csv", header, ",".join(["1", "A", "m"][: header.count(",") + 1]))
        project.csv("b.csv", other_header, ",".join(["3", "B", "t", "t2"][: other_header.count(",") + 1]))
        other = project.flow(source="b.csv", name="other")
        once_before(IcebergTable, "commit", lambda: project.load(other))
        assert project.load(one).rows_out == 1
        mine = "m" if "mine" in header else None
        theirs = "t" if "theirs" in other_header else None
        expected = {
            "append": [(1, "A", mine, None), (1, "a", None, None), (2, "a", None, None), (3, "B", None, theirs)],
            "merge_upsert": [(1, "A", mine, None), (2, "a", None, None), (3, "B", None, theirs)],
            "overwrite": [(1, "A", mine, None)],
        }[load_type]
        found = project.frame(one)
        missing = [pl.lit(None).alias(name) for name in ("mine", "theirs") if name not in found.columns]
        rows = found.with_columns(missing).select("id", "x", "mine", "theirs").sort("id", "x").rows()
        assert rows == expected

    def test_the_condition_is_the_snapshot_that_was_read(self, project: Project, monkeypatch: Any) -> None:
        """PyIceberg does not repeat a lost race by itself: each attempt is made against a snapshot that was read."""
        project.csv("a/1.csv", "id", "1")
        project.csv("b.csv", "id", "2")
        one, other = project.flow(source="a", name="one"), project.flow(source="b.csv", name="other")
        project.load(one)
        project.csv("a/2.csv", "id", "3")
        original, seen = SqlCatalog.commit_table, []

        def commit_table(self: Any, table: Table, requirements: Any, updates: Any) -> Any:
            seen.append(requirements)
            if len(seen) == 1:
                project.load(other)
            return original(self, table, requirements, updates)

        monkeypatch.setattr(SqlCatalog, "commit_table", commit_table)
        project.load(one)
        assert project.rows(one) == [1, 2, 3]
        expected = [next(item.snapshot_id for item in each if item.type == "assert-ref-snapshot-id") for each in seen]
        line = [snapshot.snapshot_id for snapshot in iceberg_table(one).snapshots()]
        assert expected == [line[0], line[0], line[1]]  # ours in vain, theirs, ours

    @pytest.mark.parametrize("load_type", ["append", "merge_upsert"])
    def test_two_create_the_table(self, project: Project, once_before: Any, load_type: str) -> None:
        """Who comes second adds its rows, though it had given the columns other ids."""
        project.csv("a.csv", "id,x,y", "1,a,b")
        project.csv("b.csv", "y,id,z", "c,2,d")
        keys = ["id"] if load_type == "merge_upsert" else []
        one = project.flow(source="a.csv", name="one", load_type=load_type, keys=keys)
        other = project.flow(source="b.csv", name="other", load_type=load_type, keys=keys)
        once_before(IcebergTable, "commit", lambda: project.load(other))
        project.load(one)
        assert project.rows(one, "id", "x", "y", "z") == [(1, "a", "b", None), (2, None, "c", "d")]

    @pytest.mark.parametrize("landed", [True, False])
    @pytest.mark.parametrize("loaded_before", [True, False])
    def test_a_commit_whose_answer_is_lost(
        self,
        project: Project,
        monkeypatch: Any,
        landed: bool,  # noqa: FBT001
        loaded_before: bool,  # noqa: FBT001
    ) -> None:
        """Whether it got in is read from the table, never guessed."""
        project.csv("events/a.csv", "id", "1")
        flow = project.flow()
        if loaded_before:
            project.load(flow)
            project.csv("events/b.csv", "id", "2")
        original, calls = SqlCatalog.commit_table, []

        def commit_table(*args: Any) -> Any:
            calls.append(args)
            if len(calls) > 1:
                return original(*args)
            if landed:
                original(*args)
            raise CommitStateUnknownException

        monkeypatch.setattr("tidegate.destinations.iceberg._WAITS_SECONDS", (0.01,))
        monkeypatch.setattr(SqlCatalog, "commit_table", commit_table)
        project.load(flow)
        assert project.rows(flow) == ([1, 2] if loaded_before else [1])
        assert len(calls) == (1 if landed else 2)

    def test_a_rollback_while_a_load_is_under_way(self, project: Project, once_before: Any) -> None:
        """The load started after rows that are gone: it must not commit as if they were there."""
        flow = project.flow()
        for name in ("a", "b"):
            project.csv(f"events/{name}.csv", "id", str(ord(name)))
            project.load(flow)
        project.csv("events/c.csv", "id", "3")
        once_before(IcebergTable, "commit", lambda: rolled_back(flow))
        (unit,) = project.run(flow).units
        assert unit.error is not None
        assert unit.error.code == "TG506"
        assert project.rows(flow) == [ord("a")]


class TestHistory:
    def loaded(self, project: Project, *names: str, **options: Any) -> DataFlow:
        """Load one file after the other."""
        flow = project.flow(**options)
        for name in names:
            project.csv(f"events/{name}.csv", "id", name)
            project.load(flow)
        return flow

    def test_what_was_rolled_back_is_loaded_again(self, project: Project) -> None:
        """A rollback is noticed, and after a rebuild the undone rows come again, once."""
        flow = self.loaded(project, "1", "2", "3")
        rolled_back(flow, 2)
        error = project.fail(flow)
        assert (error.code, "state rebuild" in str(error.hint)) == ("TG506", True)
        assert rebuilt(project, flow) == "restored"
        project.load(flow)
        assert project.rows(flow) == [1, 2, 3]
        assert project.load(flow).detail == "nothing new"

    def test_it_is_noticed_after_other_commits_and_expiry(self, project: Project) -> None:
        """Also when another flow went on from there, and the undone snapshots are gone."""
        flow = self.loaded(project, "1", "2")
        rolled_back(flow)
        project.csv("other.csv", "id", "9")
        other = project.flow(source="other.csv", name="other")
        project.load(other)
        table = iceberg_table(flow)
        current = table.current_snapshot()
        assert current is not None
        gone = [snapshot.snapshot_id for snapshot in table.snapshots() if snapshot.snapshot_id != current.snapshot_id]
        table.maintenance.expire_snapshots().by_ids(gone).commit()
        assert project.fail(flow).code == "TG506"
        assert project.load(other).detail == "nothing new"

    def test_rolled_back_to_before_the_first_load(self, project: Project) -> None:
        """A flow none of whose rows are left begins anew."""
        project.csv("other.csv", "id", "9")
        project.load(project.flow(source="other.csv", name="other"))
        flow = self.loaded(project, "1", "2")
        rolled_back(flow, 2)
        assert project.fail(flow).code == "TG506"
        assert rebuilt(project, flow) == "restored"
        project.load(flow)
        assert project.rows(flow) == [1, 2, 9]

    def test_a_quiet_flow_outlives_expired_snapshots(self, project: Project) -> None:
        """Sequence and position are found though no snapshot of the flow is left, also without the state."""
        flow = self.loaded(project, "1", "2")
        table = iceberg_table(flow)
        table.append(pa.table({"id": pa.array([7], pa.int64())}))
        for snapshot in table.snapshots()[:-1]:
            table.maintenance.expire_snapshots().by_id(snapshot.snapshot_id).commit()
        assert project.load(flow).detail == "nothing new"
        project.forget_state()
        project.csv("events/3.csv", "id", "3")
        project.load(flow)
        assert project.rows(flow) == [1, 2, 3, 7]

    def test_properties_that_were_removed(self, project: Project) -> None:
        """Without the table's property, the snapshots still say where the flow stands."""
        flow = self.loaded(project, "1", "2")
        with iceberg_table(flow).transaction() as transaction:
            transaction.remove_properties(f"{FLOW_PREFIX}{flow.dataflow_id}")
        project.forget_state()
        project.csv("events/3.csv", "id", "3")
        project.load(flow)
        assert project.rows(flow) == [1, 2, 3]

    def test_a_long_position_is_kept_once(self, project: Project) -> None:
        """Summaries stay short, for every metadata file repeats them; a rollback then takes the position (TG408)."""
        project.csv("events/a.csv", "id,at", *(f"{number},1" for number in range(3000)))
        flow = project.flow(watermark="at")
        project.load(flow)
        project.csv("events/b.csv", "id,at", "-1,1")
        project.load(flow)
        table = iceberg_table(flow)
        (first, second) = table.snapshots()
        assert first.summary is not None
        assert second.summary is not None
        summary = json.loads(second.summary[COMMIT_KEY] or "")
        assert sorted(summary) == ["dataflow_id", "load_id", "run_id", "sequence"]
        assert len(table.properties[f"{FLOW_PREFIX}{flow.dataflow_id}"]) > 16 * 1024
        project.forget_state()
        assert project.load(flow).rows_out == 0
        rolled_back(flow)
        assert project.fail(flow).code == "TG506"
        store = project.store()
        (result,) = rebuild([flow], store=store, platform=LocalPlatform())
        store.close()
        assert result.error is not None
        assert result.error.code == "TG408"

    def test_one_commit_a_load(self, project: Project) -> None:
        """Creation, first rows and position are one version of the metadata; so is each load after it."""
        flow = self.loaded(project, "1", "2")
        table = iceberg_table(flow)
        assert len(table.snapshots()) == 2
        assert len(table.metadata.metadata_log) == 1


class TestForeignTables:
    def test_a_table_of_another_writer_is_taken_over(self, project: Project) -> None:
        """Rows of other writers are merged with ours; theirs that are not in the batch stay."""
        table = made(project, SIMPLE)
        table.append(pa.table({"id": [1, 2], "name": ["x", "y"]}))
        project.csv("events.csv", "id,name", "2,b", "3,c")
        flow = project.merge()
        project.load(flow)
        assert project.rows(flow, "id", "name") == [(1, "x"), (2, "b"), (3, "c")]

    def test_names_that_others_write_differently(self, project: Project) -> None:
        """Writers escape names with blanks inside files: what we would read as NULL is refused, until rewritten."""
        table = made(project, Schema(NestedField(1, "id", LongType()), NestedField(2, "first name", StringType())))
        table.append(pa.table({"id": [1], "first name": ["x"]}))
        project.csv("events.csv", "id", "2")
        assert project.fail(project.merge()).code == "TG407"
        flow = project.flow(load_type="append", name="appends")
        project.load(flow)
        assert project.rows(flow, "id", "first name") == [(1, "x"), (2, None)]

    def test_renamed_columns_are_not_read_by_their_names(self, project: Project) -> None:
        """A merge would read NULL from the older files: refused, until these are written anew."""
        project.csv("a.csv", "id,name", "1,a")
        first = project.merge(source="a.csv", name="first")
        project.load(first)
        table = iceberg_table(first)
        with table.update_schema() as update:
            update.rename_column("name", "title")
        project.csv("events.csv", "id,title", "2,b")
        error = project.fail(project.merge())
        assert (error.code, "older names" in error.message, "rewrite" in str(error.hint)) == ("TG407", True, True)
        table.refresh()
        table.overwrite(table.scan().to_arrow())
        project.load(project.merge())
        assert project.rows(project.merge(), "id", "title") == [(1, "a"), (2, "b")]

    @pytest.mark.parametrize(
        ("schema", "options", "what"),
        [
            (Schema(NestedField(1, "id", LongType(), required=True)), {}, "required column id"),
            (SIMPLE, {"properties": {"format-version": "1"}}, "format version 1"),
            (
                SIMPLE,
                {"partition_spec": PartitionSpec(PartitionField(1, 1000, BucketTransform(4), "id_bucket"))},
                "partitioning by bucket[4] (id_bucket)",
            ),
        ],
    )
    def test_rules_that_we_do_not_keep(
        self, project: Project, schema: Schema, options: dict[str, Any], what: str
    ) -> None:
        """Tables that we would write wrongly are refused, with what and why, before anything is read."""
        made(project, schema, **options)
        project.csv("events.csv", "id", "1")
        error = project.fail(project.flow())
        assert error.code == "TG407"
        assert what in error.message
        assert error.hint

    def test_delete_files_are_not_read_over(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        """Rows that another writer has marked as deleted would come back by a merge: refused. Additions are fine.

        PyIceberg writes no delete files: a manifest of data files stands for one of delete files.
        """
        project.csv("events.csv", "id", "1")
        flow = project.merge()
        project.load(flow)
        manifests = Snapshot.manifests

        def with_deletes(self: Snapshot, io: Any) -> list[Any]:
            found = manifests(self, io)
            marked = ManifestFile.from_args(**{name: getattr(found[0], name) for name in MANIFEST_FIELDS}, content=1)
            return [*found, marked]

        monkeypatch.setattr(Snapshot, "manifests", with_deletes)
        project.csv("events.csv", "id", "1", "2")
        error = project.fail(flow)
        assert (error.code, "delete files" in error.message) == ("TG407", True)
        project.load(project.flow(load_type="append", name="appends"))

    def test_something_else_in_the_folder(self, project: Project) -> None:
        """A table that this catalog does not know is not built over."""
        project.csv("events/a.csv", "id", "1")
        flow = project.flow()
        project.load(flow)
        project.csv("events/b.csv", "id", "2")
        project.load(flow)
        (project.destination_root / "catalog.db").unlink()
        project.forget_state()
        assert project.fail(flow).code == "TG402"

    def test_a_folder_that_is_gone(self, project: Project) -> None:
        """A table without its folder is said to be broken, not begun anew."""
        project.csv("events.csv", "id", "1")
        flow = project.flow()
        project.load(flow)
        (project.destination_root / "events").rename(project.root / "elsewhere")
        error = project.fail(flow)
        assert (error.code, "drop the table" in str(error.hint)) == ("TG401", True)


class TestManyLoads:
    def test_manifests_are_merged(self, project: Project) -> None:
        """A table that takes many small loads does not collect manifests for ever."""
        flow = project.flow()
        for number in range(8):
            project.csv(f"events/{number}.csv", "id", str(number))
            project.load(flow)
            if number == 0:
                with iceberg_table(flow).transaction() as transaction:
                    transaction.set_properties({"commit.manifest.min-count-to-merge": "3"})
        table = iceberg_table(flow)
        snapshot = table.current_snapshot()
        assert snapshot is not None
        assert len(snapshot.manifests(table.io)) <= 3
        assert project.rows(flow) == list(range(8))
        project.csv("merge.csv", "id", "3", "9")
        project.load(project.merge(source="merge.csv", name="merge"))
        assert project.rows(flow) == [*range(8), 9]


def started(project: Project, number: int, load_type: str, *options: str) -> subprocess.Popen[str]:
    """Start a process that loads a source of its own into the one table."""
    command = [sys.executable, "-m", "tests.behaviour.iceberg_process", str(project.root), str(number), load_type]
    return subprocess.Popen(
        [*command, *options],
        cwd=HOME, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


class TestProcesses:
    @pytest.mark.parametrize(("load_type", "processes"), [("append", 2), ("merge_upsert", 2), ("append", 8)])
    def test_all_at_the_same_time(self, project: Project, load_type: str, processes: int) -> None:
        """Processes that create catalog and table together, and load at the same time: each row is there once."""
        running = [started(project, number, load_type) for number in range(processes)]
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in running:
            out, error = process.communicate(timeout=240)
            assert (process.returncode, error) == (0, ""), out
        rows = project.rows(project.flow(), "id", "owner")
        if load_type == "append":
            assert rows == sorted((load * 10 + row, number) for number in range(processes) for load in range(3)
                                  for row in range(10))  # fmt: skip
        else:
            assert [row[0] for row in rows] == list(range(30))

    @pytest.mark.slow
    @pytest.mark.parametrize("load_type", ["append", "merge_upsert"])
    def test_killed_at_any_step_of_a_load(self, project: Project, load_type: str, tmp_path: Path) -> None:
        """Whatever step a process dies at, all of its rows are there or none; the next run ends it."""
        process = started(Project(tmp_path / "whole", "iceberg"), 0, load_type, "2", "0")
        out, error = process.communicate("go\n", timeout=120)
        assert process.returncode == 0, error
        steps = int(out.split()[-1])
        keys = ["id"] if load_type == "merge_upsert" else []
        flow = project.flow("events", source="0", name="load_0", load_type=load_type, keys=keys)
        killed = 0
        for step in sorted(random.Random(load_type).sample(range(1, steps), 6)):
            process = started(project, 0, load_type, "2", str(step))
            _, error = process.communicate("go\n", timeout=120)
            killed += process.returncode == -signal.SIGKILL
            assert process.returncode in {0, -signal.SIGKILL}, error
            if (project.destination_root / "catalog.db").exists():
                with catalog_of(project) as catalog:
                    is_there = catalog.table_exists(("default", "events"))
                if is_there:
                    assert project.rows(flow, "id") in (list(range(10)), list(range(20)))
        assert killed > 1
        project.load(flow, state=project.root / "state-0.db")
        assert project.rows(flow, "id") == list(range(20))
