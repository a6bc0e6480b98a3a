"""Delta and Iceberg tables as sources: one version of them, what is new in it, and the changes of a Delta table."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table
from pyiceberg.types import StringType

from tests.behaviour.project import Project
from tests.behaviour.test_object_stores import s3_bucket
from tidegate import DataFlow, ReplayConfig, create_driver
from tidegate.errors import ConfigurationError, SourceError
from tidegate.platforms.local import LOCAL
from tidegate.sources.delta_files import ListedFile, listed_files, may_hold
from tidegate.sources.rows import RowRequest

FEED = {"delta.enableChangeDataFeed": "true"}
CHANGES = {"operation_column": "_change_type", "delete_values": ["delete"]}


def moment(day: int, **parts: int) -> datetime:
    """Return a day of January."""
    return datetime(2026, 1, day, tzinfo=UTC) + timedelta(**parts)


def rows(*days: int, first: int = 1) -> pa.Table:
    """Return rows of these days, with ids from `first` on."""
    ids = pa.array(range(first, first + len(days)), pa.int64())
    return pa.table({"Id": ids, "at": pa.array([moment(day) for day in days], pa.timestamp("us", "UTC"))})


class Delta:
    """A Delta table that another writer writes."""

    format = "delta"

    def __init__(self, project: Project, name: str = "orders") -> None:
        self.path = project.source_root / name

    def append(self, table: pa.Table, **options: Any) -> None:
        write_deltalake(self.path, table, mode="append", schema_mode="merge", **options)

    @property
    def table(self) -> DeltaTable:
        return DeltaTable(self.path)


class Iceberg:
    """An Iceberg table likewise."""

    format = "iceberg"

    def __init__(self, project: Project, name: str = "orders") -> None:
        self._name = name
        root = project.source_root
        self._catalog = SqlCatalog("default", uri=f"sqlite:///{root}/catalog.db", warehouse=str(root))
        self._catalog.create_namespace_if_not_exists("default")
        self._location = f"{root}/{name}"

    def append(self, table: pa.Table) -> None:
        known = self._catalog.create_table_if_not_exists(("default", self._name), table.schema, self._location)
        with known.update_schema() as change:
            change.union_by_name(table.schema)
        known.append(table)

    @property
    def table(self) -> Table:
        return self._catalog.load_table(("default", self._name))

    def close(self) -> None:
        self._catalog.close()


@pytest.fixture(params=[Delta, Iceberg])
def lake(request: pytest.FixtureRequest, project: Project) -> Iterator[Any]:
    """A table to read, of each format."""
    table = request.param(project)
    yield table
    if isinstance(table, Iceberg):
        table.close()


def reading(project: Project, lake: Any, **options: Any) -> DataFlow:
    """Declare a flow that reads the table."""
    return project.flow(source="orders", format=lake.format, **options)


class TestWhatIsNew:
    def test_ties_are_neither_lost_nor_doubled(self, project: Project, lake: Any) -> None:
        lake.append(rows(1, 2))
        flow = reading(project, lake, watermark="at")
        assert project.load(flow).rows_out == 2
        lake.append(rows(2, 3, first=3))
        assert project.load(flow).rows_out == 2
        assert project.load(flow).rows_out == 0
        assert project.rows(flow, "id") == [1, 2, 3, 4]

    def test_rows_without_a_watermark_load_once(self, project: Project, lake: Any) -> None:
        lake.append(rows(1))
        flow = reading(project, lake, watermark="at")
        project.load(flow)
        lake.append(pa.table({"Id": [2], "at": pa.array([None], pa.timestamp("us", "UTC"))}))
        assert project.load(flow).rows_out == 1
        assert project.load(flow).rows_out == 0
        assert project.rows(flow, "id") == [1, 2]

    def test_no_rows_make_an_empty_table(self, project: Project, lake: Any) -> None:
        lake.append(rows())
        flow = reading(project, lake, watermark="at")
        assert project.load(flow).rows_out == 0
        assert project.frame(flow).columns == ["id", "at"]
        lake.append(rows(1))
        assert project.load(flow).rows_out == 1

    def test_new_columns_come_between_loads(self, project: Project, lake: Any) -> None:
        lake.append(rows(1))
        flow = reading(project, lake, watermark="at", load_type="merge_upsert", keys="id")
        project.load(flow)
        lake.append(rows(2, first=2).append_column("Name", pa.array(["b"])))
        project.load(flow)
        assert project.rows(flow, "id", "name") == [(1, None), (2, "b")]

    def test_without_a_watermark_a_snapshot_finds_what_is_gone(self, project: Project, lake: Any) -> None:
        lake.append(rows(1, 2))
        flow = reading(project, lake, load_type="snapshot", keys="id")
        project.load(flow)
        lake.table.delete("Id = 1" if lake.format == "iceberg" else '"Id" = 1')
        project.load(flow)
        assert project.rows(flow, "id") == [2]

    def test_windows_are_replayed(self, project: Project, lake: Any) -> None:
        lake.append(rows(*range(1, 9)))
        flow = reading(project, lake, watermark="at", load_type="merge_upsert", keys="id")
        with create_driver(root=project.root) as driver:
            replay = ReplayConfig(start=moment(2), end=moment(5), chunk_interval={"days": 1})
            assert driver.run_replay([flow], replay).exit_code == 0
        assert project.rows(flow, "id") == [2, 3, 4]

    def test_an_older_version_is_read(self, project: Project, lake: Any) -> None:
        lake.append(rows(1))
        option = (
            {"versionAsOf": 0} if lake.format == "delta" else {"snapshot-id": lake.table.current_snapshot().snapshot_id}
        )
        lake.append(rows(2, first=2).append_column("Name", pa.array(["b"])))
        flow = reading(project, lake, read_options=option)
        project.load(flow)
        assert project.rows(flow) == [(moment(1), 1)]
        now = reading(project, lake, table="now", read_options={"timestamp": datetime.now(UTC).isoformat()})
        project.load(now)
        assert project.rows(now, "id") == [1, 2]

    def test_a_version_that_is_not_there_is_said(self, project: Project, lake: Any) -> None:
        lake.append(rows(1))
        for options in ({"version" if lake.format == "delta" else "snapshot_id": 9}, {"timestamp": "2001-01-01"}):
            assert project.fail(reading(project, lake, read_options=options)).code == "TG218"

    def test_files_that_are_gone_are_said(self, project: Project, lake: Any) -> None:
        lake.append(rows(1))
        for file in (project.source_root / "orders").rglob("*.parquet"):
            file.unlink()
        error = project.fail(reading(project, lake))
        assert (error.code, "gone" in error.message) == ("TG218", True)

    def test_a_table_that_is_not_there_is_said(self, project: Project, lake: Any) -> None:
        lake.append(rows(1))
        with pytest.raises(SourceError) as caught:
            project.plan(project.flow(source="ordres", format=lake.format))
        assert caught.value.code == "TG201"

    def test_types_come_as_they_are(self, project: Project, lake: Any) -> None:
        table = pa.table(
            {
                "day": [date(2026, 1, 1)],
                "amount": pa.array([1], pa.decimal128(10, 2)),
                "naive": pa.array([datetime(2026, 1, 1)], pa.timestamp("us")),  # noqa: DTZ001 - it has no zone
                "parts": [[{"x": 1}]],
                "raw": [b"x"],
                "flag": [True],
            }
        )
        lake.append(table)
        flow = reading(project, lake)
        project.load(flow)
        assert project.frame(flow).rows() == pl.DataFrame(pl.from_arrow(table)).rows()


class TestDelta:
    def test_files_that_are_older_are_not_read(self, project: Project) -> None:
        lake = Delta(project)
        for day in range(1, 6):
            lake.append(rows(day, first=day))
        files = list(listed_files(lake.table, str(lake.path), LOCAL))
        request = RowRequest(columns={}, starts={"at": moment(4)})
        assert sum(may_hold(file, request) for file in files) == 2
        request = RowRequest(columns={}, window=("at", moment(2), moment(4)))
        assert sum(may_hold(file, request) for file in files) <= 3

    def test_partition_columns_have_their_types_and_leave_files_out(self, project: Project) -> None:
        lake = Delta(project)
        table = pa.table({"id": [1, 2, 3], "Day": [date(2026, 1, 1), date(2026, 1, 2), None]})
        lake.append(table, partition_by=["Day"])
        flow = project.flow(source="orders", format="delta", watermark="Day")
        project.load(flow)
        assert project.rows(flow, "id", "day") == [(1, date(2026, 1, 1)), (2, date(2026, 1, 2)), (3, None)]
        request = RowRequest(columns={}, starts={"Day": date(2026, 1, 2)})
        kept = [
            file.partition["Day"] for file in listed_files(lake.table, str(lake.path), LOCAL) if may_hold(file, request)
        ]
        assert sorted(map(str, kept)) == ["2026-01-02", "None"]

    def test_rows_that_vectors_delete_are_left_out(self, project: Project) -> None:
        lake = Delta(project)
        lake.append(rows(1, 2, 3, 4), configuration={"delta.enableDeletionVectors": "true"})
        delete_by_vector(lake.path, [1, 3])
        flow = project.flow(source="orders", format="delta", watermark="at")
        project.load(flow)
        assert project.rows(flow, "id") == [1, 3]
        lake.append(rows(3, 5, first=5))
        assert project.load(flow).rows_out == 2

    def test_mapped_columns_have_their_own_names(self, project: Project) -> None:
        path = mapped_table(project.source_root / "orders", {"Order Id": [1, 2], "Name": ["a", "b"]})
        flow = project.flow(source="orders", format="delta", watermark="Order Id")
        project.load(flow)
        assert project.rows(flow) == [("a", 1), ("b", 2)]
        changes = project.flow(
            "changes", source=path.name, format="delta", watermark="_commit_version", read_options={"change_feed": True,
            "starting_version": 0},
        )  # fmt: skip
        error = project.fail(changes)
        assert (error.code, "olumn mapping" in error.message) == ("TG220", True)

    def test_a_version_is_that_of_the_plan(self, project: Project) -> None:
        lake = Delta(project)
        lake.append(rows(1))
        step = project.plan(project.flow(source="orders", format="delta"))["steps"][0]
        assert step["text"].endswith("orders at version 0")

    @pytest.mark.parametrize(
        "options", [{"version": 1, "timestamp": "2026-01-01"}, {"version": 1, "change_feed": True}]
    )
    def test_options_that_exclude_each_other(self, project: Project, options: dict[str, Any]) -> None:
        Delta(project).append(rows(1))
        with pytest.raises(ConfigurationError) as caught:
            project.plan(project.flow(source="orders", format="delta", read_options=options))
        assert caught.value.code == "TG116"


VALUES = st.none() | st.integers(-5, 5)


class TestLeavingFilesOut:
    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=5),
        st.dictionaries(st.sampled_from(["a", "b"]), VALUES, min_size=1),
    )
    def test_no_row_that_may_be_new_is_in_a_file_left_out(
        self, values: list[tuple[int | None, int | None]], starts: Mapping[str, int | None]
    ) -> None:
        columns = {"a": [row[0] for row in values], "b": [row[1] for row in values]}
        known = {name: [value for value in column if value is not None] for name, column in columns.items()}
        file = ListedFile(
            path="f",
            partition={},
            platform=LOCAL,
            rows=len(values),
            nulls={name: column.count(None) for name, column in columns.items()},
            lower={name: min(column) for name, column in known.items() if column},
            upper={name: max(column) for name, column in known.items() if column},
        )
        new = [row for row in ({"a": a, "b": b} for a, b in values) if is_new(row, starts)]
        assert may_hold(file, RowRequest(columns={}, starts=starts)) or not new


def is_new(row: Mapping[str, int | None], starts: Mapping[str, int | None]) -> bool:
    """Tell whether a row is past the starts, as the meter has it."""
    seen = {column: row[column] for column in starts}
    reached = (
        value is not None and (starts[column] is None or value >= starts[column]) for column, value in seen.items()
    )
    return any(reached) or all(value is None for value in seen.values())


class TestChanges:
    @pytest.fixture
    def lake(self, project: Project) -> Delta:
        lake = Delta(project)
        lake.append(rows(1, 2, 3), configuration=FEED)
        return lake

    def flow(self, project: Project, *, load_type: str = "merge_delete", **options: Any) -> DataFlow:
        feed = {"readChangeFeed": True, **options.pop("read_options", {})}
        if load_type != "append":
            options = {"cdc": CHANGES, "keys": "id", **options}
        return project.flow(
            source="orders",
            format="delta",
            watermark="_commit_version",
            load_type=load_type,
            read_options=feed,
            **options,
        )

    def test_a_copy_follows_every_change(self, project: Project, lake: Delta) -> None:
        flow = self.flow(project)
        assert project.load(flow).rows_out == 3
        lake.table.delete('"Id" = 1')
        lake.table.update(updates={"at": "cast('2027-01-01T00:00:00Z' as timestamp)"}, predicate='"Id" = 2')
        lake.append(rows(9, first=4))
        project.load(flow)
        assert project.rows(flow, "id", "at") == [(2, datetime(2027, 1, 1, tzinfo=UTC)), (3, moment(3)), (4, moment(9))]
        plan = project.plan(flow)
        assert plan["idle"]
        assert plan["steps"][0]["text"].startswith("no commit after version 3")

    def test_an_overwrite_replaces_the_rows_it_deletes(self, project: Project, lake: Delta) -> None:
        flow = self.flow(project)
        project.load(flow)
        write_deltalake(lake.path, rows(7, 8, first=2), mode="overwrite")
        project.load(flow)
        assert project.rows(flow, "id", "at") == [(2, moment(7)), (3, moment(8))]

    def test_a_version_that_changes_no_row_moves_the_position(self, project: Project, lake: Delta) -> None:
        lake.append(rows(4, first=4))
        flow = self.flow(project)
        project.load(flow)
        lake.table.optimize.compact()
        assert lake.table.version() == 2
        assert not project.plan(flow)["idle"]
        assert project.load(flow).rows_in == 0
        assert project.plan(flow)["idle"]

    def test_all_changes_are_appended_once(self, project: Project, lake: Delta) -> None:
        flow = self.flow(project, load_type="append", read_options={"startingVersion": 0})
        assert project.load(flow).rows_out == 3
        lake.table.update(updates={"at": "cast('2027-01-01T00:00:00Z' as timestamp)"}, predicate='"Id" = 2')
        assert project.load(flow).rows_out == 2
        assert project.load(flow).rows_out == 0
        found = project.frame(flow)["change_type"]
        assert sorted(found) == ["insert"] * 3 + ["update_postimage", "update_preimage"]

    def test_histories_close_what_is_deleted(self, project: Project, lake: Delta) -> None:
        flow = self.flow(
            project,
            load_type="scd2",
            read_options={"starting_version": 0},
            settings={"scd2_effective_column": "_commit_timestamp"},
            drop_columns=["_commit_version"],
        )
        project.load(flow)
        lake.table.delete('"Id" = 1')
        lake.table.update(updates={"at": "cast('2027-01-01T00:00:00Z' as timestamp)"}, predicate='"Id" = 2')
        project.load(flow)
        found = (
            project.frame(flow).group_by("id").agg(versions=pl.len(), current=pl.col("__is_current").sum()).sort("id")
        )
        assert found.rows() == [(1, 1, 0), (2, 2, 1), (3, 1, 1)]

    def test_vectors_delete_rows_of_the_feed(self, project: Project) -> None:
        lake = Delta(project, "orders")
        lake.append(rows(1, 2, 3, 4), configuration={**FEED, "delta.enableDeletionVectors": "true"})
        flow = self.flow(project)
        project.load(flow)
        delete_by_vector(lake.path, [1, 3])
        project.load(flow)
        assert project.rows(flow, "id") == [1, 3]

    def test_versions_are_replayed(self, project: Project, lake: Delta) -> None:
        for first in (4, 5, 6):
            lake.append(rows(1, first=first))
        flow = self.flow(project, read_options={"starting_version": 0})
        with create_driver(root=project.root) as driver:
            replay = ReplayConfig(start=1, end=3, chunk_interval={"step": 1})
            assert driver.run_replay([flow], replay).exit_code == 0
        assert project.rows(flow, "id") == [4, 5]

    def test_a_load_goes_on_where_a_first_load_in_windows_ended(self, project: Project, lake: Delta) -> None:
        for first in (4, 5, 6):
            lake.append(rows(1, first=first))
        flow = self.flow(project, load_type="append", read_options={"starting_version": 0})
        with create_driver(root=project.root) as driver:
            replay = ReplayConfig(start=0, end=2, chunk_interval={"step": 1}, save_watermark=True)
            assert driver.run_replay([flow], replay).exit_code == 0
        assert project.rows(flow, "id") == [1, 2, 3, 4]
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2, 3, 4, 5, 6]

    def test_changes_that_were_not_recorded_are_not_made_up(self, project: Project) -> None:
        lake = Delta(project)
        lake.append(rows(1))
        lake.table.delete('"Id" = 1')
        lake.table.alter.set_table_properties(FEED)
        for version in (0, 1):
            assert project.fail(self.flow(project, read_options={"starting_version": version})).code == "TG219"
        flow = self.flow(project, read_options={"starting_version": 2})
        lake.append(rows(2, first=2))
        project.load(flow)
        assert project.rows(flow, "id") == [2]

    def test_changes_that_the_log_has_forgotten_are_missed(self, project: Project, lake: Delta) -> None:
        flow = self.flow(project)
        project.load(flow)
        for first in (4, 5, 6):
            lake.append(rows(1, first=first))
        lake.table.create_checkpoint()
        for version in (0, 1, 2):
            (lake.path / "_delta_log" / f"{version:020d}.json").unlink()
        assert project.fail(flow).code == "TG218"

    def test_a_table_that_was_made_anew_is_noticed(self, project: Project, lake: Delta) -> None:
        import shutil

        lake.append(rows(4, first=4))
        flow = self.flow(project)
        project.load(flow)
        shutil.rmtree(lake.path)
        lake.append(rows(1), configuration=FEED)
        with pytest.raises(SourceError, match="made anew") as caught:
            project.plan(flow)
        assert caught.value.code == "TG218"

    def test_the_watermark_must_be_the_version(self, project: Project, lake: Delta) -> None:
        flow = project.flow(source="orders", format="delta", watermark="at", read_options={"change_feed": "true"})
        with pytest.raises(ConfigurationError) as caught:
            project.plan(flow)
        assert (caught.value.code, caught.value.hint) == ("TG219", "source.watermark_columns: [_commit_version]")


class TestIceberg:
    @pytest.fixture
    def lake(self, project: Project) -> Iterator[Iceberg]:
        lake = Iceberg(project)
        lake.append(rows(1))
        yield lake
        lake.close()

    def test_branches_and_tags_are_read(self, project: Project, lake: Iceberg) -> None:
        first = lake.table.current_snapshot().snapshot_id
        lake.table.manage_snapshots().create_tag(first, "january").create_branch(first, "audit").commit()
        lake.append(rows(2, first=2))
        for kind, name in (("tag", "january"), ("branch", "audit")):
            flow = project.flow(kind, source="orders", format="iceberg", read_options={kind: name})
            project.load(flow)
            assert project.rows(flow, "id") == [1]
        assert (
            project.fail(project.flow(source="orders", format="iceberg", read_options={"tag": "audit"})).code == "TG218"
        )

    def test_columns_are_found_by_their_ids(self, project: Project, lake: Iceberg) -> None:
        with lake.table.update_schema() as change:
            change.rename_column("Id", "Number").add_column("Note", StringType())
        flow = project.flow(source="orders", format="iceberg")
        project.load(flow)
        assert project.rows(flow) == [(moment(1), None, 1)]

    def test_a_declared_catalog_is_found(self, project: Project, lake: Iceberg) -> None:
        flow = project.flow(source="orders", format="iceberg")
        root = project.source_root
        connection = flow.source.connection.model_copy(  # type: ignore[union-attr]
            update={"catalog": "prod", "configure": {
                "catalog_type": "sql",
                "catalog_properties": {"uri": f"sqlite:///{root}/catalog.db", "warehouse": str(root)},
            }}
        )  # fmt: skip
        flow = flow.model_copy(update={"source": flow.source.model_copy(update={"connection": connection})})
        error = project.fail(flow)  # the catalog's name is part of what SQL catalogs keep
        assert (error.code, error.where) == ("TG201", "prod.default.orders")


class TestInAStore:
    def test_delta_tables_are_read_changed_and_queried(self, project: Project, moto_url: str) -> None:
        bucket = s3_bucket(moto_url)
        path, options = f"{bucket.url}/in/orders", dict(bucket.options)
        write_deltalake(path, rows(1, 2), configuration=FEED, storage_options=options)
        new = project.flow("new", watermark="at")
        changes = project.flow(
            "changes",
            watermark="_commit_version",
            load_type="merge_delete",
            keys="id",
            cdc=CHANGES,
            read_options={"change_feed": True},
        )
        query = project.flow("query", watermark="at")
        connection = bucket.connection("shop", "delta", "in")
        flows = [
            flow.model_copy(update={"source": flow.source.model_copy(update={"connection": connection, **update})})
            for flow, update in (
                (new, {"table": "orders"}),
                (changes, {"table": "orders"}),
                (query, {"table": None, "query": "SELECT * FROM orders"}),
            )
        ]
        for flow in flows:
            project.load(flow)
        write_deltalake(path, rows(2, 3, first=3), mode="append", storage_options=options)
        for flow in flows:
            assert project.load(flow).rows_out == 2
            assert project.rows(flow, "id") == [1, 2, 3, 4]


def delete_by_vector(path: Path, places: Sequence[int]) -> None:
    """Delete rows of a table's only file by a deletion vector (Delta protocol, "Deletion Vector Format")."""
    log = sorted((path / "_delta_log").glob("*.json"))
    (add,) = (json.loads(line)["add"] for file in log for line in file.read_text().splitlines() if '"add"' in line[:8])
    header = struct.pack("<II", 12346, 1) + struct.pack("<HH", 0, len(places) - 1) + struct.pack("<I", 16)
    bitmap = header + b"".join(struct.pack("<H", place) for place in places)
    data = struct.pack("<Iq", 1681511377, 1) + struct.pack("<I", 0) + bitmap
    vector = {
        "storageType": "i",
        "pathOrInlineDv": z85(data),
        "sizeInBytes": len(data),
        "cardinality": len(places),
    }
    removed = {name: add[name] for name in ("path", "size", "partitionValues", "dataChange")}
    actions = [
        {"commitInfo": {"timestamp": 1_800_000_000_000, "operation": "DELETE"}},
        {"remove": {**removed, "deletionTimestamp": 1_800_000_000_000}},
        {"add": {**add, "deletionVector": vector}},
    ]
    text = "\n".join(map(json.dumps, actions))
    (path / "_delta_log" / f"{len(log):020d}.json").write_text(text)


def z85(data: bytes) -> str:
    """Return bytes in Base85 as ZeroMQ writes it."""
    letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    data += b"\0" * (-len(data) % 4)
    numbers = [int.from_bytes(data[place : place + 4], "big") for place in range(0, len(data), 4)]
    return "".join(letters[number // 85**power % 85] for number in numbers for power in range(4, -1, -1))


def mapped_table(path: Path, columns: Mapping[str, list[Any]]) -> Path:
    """Make a table whose files call its columns otherwise (Delta protocol, "Column Mapping")."""
    (path / "_delta_log").mkdir(parents=True)
    physical = pa.table({f"col-{number}": values for number, values in enumerate(columns.values())})
    parquet.write_table(physical, path / "f.parquet")
    fields = [
        {
            "name": name,
            "type": "long" if isinstance(values[0], int) else "string",
            "nullable": True,
            "metadata": {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": f"col-{number}"},
        }
        for number, (name, values) in enumerate(columns.items())
    ]
    actions = [
        {"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}},
        {
            "metaData": {
                "id": "0b0f2c3a-0000-4000-8000-000000000000",
                "format": {"provider": "parquet", "options": {}},
                "schemaString": json.dumps({"type": "struct", "fields": fields}),
                "partitionColumns": [],
                "configuration": {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "9", **FEED},
                "createdTime": 1,
            }
        },
        {
            "add": {
                "path": "f.parquet",
                "partitionValues": {},
                "size": (path / "f.parquet").stat().st_size,
                "modificationTime": 1,
                "dataChange": True,
            }
        },
    ]
    (path / "_delta_log" / f"{0:020d}.json").write_text("\n".join(map(json.dumps, actions)))
    return path
