"""Maintenance: small files become few, garbage goes, and rows, positions and loads are none the worse for it."""

import json
import os
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import deltalake
import polars as pl
import pyarrow as pa
import pytest
from deltalake.transaction import AddAction

from tests.behaviour.project import Project, data_files, iceberg_table, tree
from tidegate import create_driver
from tidegate.destinations.compaction import compact
from tidegate.destinations.iceberg_history import TableHistory
from tidegate.destinations.iceberg_maintenance import _expirable
from tidegate.destinations.table import StaleSnapshotError
from tidegate.engines.polars import PolarsEngine
from tidegate.errors import DestinationError, MetadataError
from tidegate.orchestration.maintenance import LEASE_PREFIX, dedupe_by_destination
from tidegate.orchestration.planner import table_of
from tidegate.platforms.local import LocalPlatform
from tidegate.reporting import Notice, RunFinished, RunStarted, UnitFinished, UnitStarted

ENGINE = PolarsEngine()
REGIONS = ("a b", "ø%ü", "x=1:2", "", "q/?#&+")
TEN_DAYS = timedelta(days=10).total_seconds()


@pytest.fixture(params=["delta", "iceberg"])
def lake(tmp_path, request):
    """A project whose destinations are Delta, then Iceberg tables."""
    return Project(tmp_path, request.param)


def loaded(project, *, loads=5, partitions=(), load_type="append", **options):
    """Load as many times, five rows each, and return the flow."""
    keys = [] if load_type == "append" else ["id"]
    flow = project.flow(load_type=load_type, keys=keys, partitions=partitions, watermark="number", **options)
    for number in range(loads):
        rows = (f"{number + index},{region},{number}" for index, region in enumerate(REGIONS))
        project.csv(f"events/{number}.csv", "id,region,number", *rows)
        project.load(flow)
    return flow


def upkeep_of(flow):
    return table_of(flow, LocalPlatform()).upkeep()


def maintain(project, *flows, sinks=(), do_compact=True, do_cleanup=True, **config):
    with create_driver(root=project.root, sinks=sinks, **config) as driver:
        return driver.run_maintenance(dataflows=list(flows), do_compact=do_compact, do_cleanup=do_cleanup)


def only(result):
    (unit,) = result.units
    assert unit.error is None, unit.error
    return unit


def files_of(flow):
    return table_of(flow, LocalPlatform()).snapshot().files()


def on_disk(project, flow):
    return {str(path) for path in data_files(project.data_root(flow.destination.table), "parquet")}


def age(path):
    moment = time.time() - TEN_DAYS
    os.utime(path, (moment, moment))
    return path


def outrun(upkeep, monkeypatch, first):
    """Let something else happen right before the first commit of a compaction."""
    commit = upkeep.commit
    calls = []

    def outrun_commit(snapshot, change):
        calls.append(change)
        if len(calls) == 1:
            first()
        commit(snapshot, change)

    monkeypatch.setattr(upkeep, "commit", outrun_commit)
    return calls


class TestCompaction:
    """Small files are put together, in one commit."""

    @pytest.mark.parametrize("load_type", ["append", "merge_upsert"])
    def test_small_files_become_one(self, lake, load_type):
        flow = loaded(lake, load_type=load_type)
        rows = lake.frame(flow, system=True).sort(pl.all())
        done = compact(upkeep_of(flow), ENGINE)
        assert (done.files_before, done.files_after) == (5, 1)
        assert len(files_of(flow)) == 1
        assert lake.frame(flow, system=True).sort(pl.all()).equals(rows)

    def test_partitions_stay_apart_whatever_their_values_are(self, lake):
        flow = loaded(lake, partitions=["region"])
        before = lake.rows(flow)
        partitions = {file.partition["region"] for file in files_of(flow)}
        assert compact(upkeep_of(flow), ENGINE).files_after == len(REGIONS)
        assert Counter(file.partition["region"] for file in files_of(flow)) == dict.fromkeys(partitions, 1)
        assert lake.rows(flow) == before
        upkeep_of(flow).clean_up(0, dry_run=False)
        assert on_disk(lake, flow) == {file.path for file in files_of(flow)}
        assert lake.rows(flow) == before

    def test_there_is_nothing_to_do_twice(self, lake):
        flow = loaded(lake, loads=3)
        compact(upkeep_of(flow), ENGINE)
        version = table_of(flow, LocalPlatform()).snapshot().version
        assert compact(upkeep_of(flow), ENGINE).files_before == 0
        assert table_of(flow, LocalPlatform()).snapshot().version == version

    def test_files_of_half_the_target_size_stay(self, lake):
        flow = loaded(lake, loads=3, write_options={"target_file_size": 4})
        assert compact(upkeep_of(flow), ENGINE).files_before == 0

    def test_no_file_gets_more_rows_than_allowed(self, lake):
        flow = loaded(lake, loads=5, write_options={"max_rows_per_file": 11})
        compact(upkeep_of(flow), ENGINE)
        assert sorted(file.rows for file in files_of(flow)) == [5, 10, 10]

    def test_older_files_may_lack_columns(self, lake):
        flow = loaded(lake, loads=2, settings={"schema_policy": "evolve"})
        lake.csv("events/9.csv", "id,region,number,extra", "100,new,9,text")
        lake.load(flow)
        rows = lake.rows(flow)
        assert compact(upkeep_of(flow), ENGINE).files_before == 3
        assert lake.rows(flow) == rows
        assert lake.rows(flow, "extra") == [None] * 10 + ["text"]

    def test_positions_are_untouched(self, lake):
        flow = loaded(lake)
        table = table_of(flow, LocalPlatform())
        commit, commits = table.last_commit(flow.dataflow_id), table.commits()
        compact(table.upkeep(), ENGINE)
        assert table.last_commit(flow.dataflow_id) == commit
        assert table.commits() == commits
        assert table.snapshot().sequences(flow.dataflow_id) == 5

    def test_the_next_load_goes_on_from_there(self, lake):
        flow = loaded(lake)
        only(maintain(lake, flow, retention_hours=0))
        lake.csv("events/9.csv", "id,region,number", "1,again,4", "9,new,9")
        unit = lake.load(flow)
        assert (unit.sequence, unit.rows_out) == (6, 2)
        assert len(lake.rows(flow)) == 27

    def test_a_lost_state_store_is_rebuilt_from_the_table(self, lake):
        flow = loaded(lake)
        position = lake.position(flow)
        only(maintain(lake, flow, retention_hours=0))
        lake.forget_state()
        assert lake.load(flow).rows_out == 0
        assert lake.position(flow).position == position.position
        assert lake.position(flow).sequence == 5

    def test_a_load_that_comes_first_wins(self, lake, monkeypatch):
        """The files that it did not touch are not written a second time."""
        flow = loaded(lake, partitions=["region"])
        upkeep = upkeep_of(flow)
        lake.csv("events/9.csv", "id,region,number", "9,a b,9")
        calls = outrun(upkeep, monkeypatch, lambda: lake.load(flow))
        compact(upkeep, ENGINE)
        assert len(calls) == 2
        assert [file.path for file in calls[0].added] == [file.path for file in calls[1].added]
        assert len(lake.rows(flow)) == 26
        assert len(files_of(flow)) == len(REGIONS) + 1

    def test_files_that_a_load_replaced_are_left_out(self, lake, monkeypatch):
        flow = loaded(lake, partitions=["region"])
        merge = lake.merge(name="merge", source="other", partitions=["region"])
        lake.csv("other/1.csv", "id,region,number", "0,a b,9", "50,a b,9")
        upkeep = upkeep_of(flow)
        calls = outrun(upkeep, monkeypatch, lambda: lake.load(merge))
        compact(upkeep, ENGINE)
        assert (len(calls[0].added), len(calls[1].added)) == (len(REGIONS), len(REGIONS) - 1)
        assert lake.rows(flow, "id", "number")[0] == (0, 9)
        assert len(lake.rows(flow)) == 26
        left = {file.path for file in calls[0].added} - {file.path for file in calls[1].added}
        assert not any(Path(path).exists() for path in left)

    def test_of_two_from_one_snapshot_one_gets_in(self, lake, monkeypatch):
        flow = loaded(lake)
        rows = lake.rows(flow)
        slow = upkeep_of(flow)
        calls = outrun(slow, monkeypatch, lambda: compact(upkeep_of(flow), ENGINE))
        assert compact(slow, ENGINE).files_before == 0
        assert len(calls) == 1
        assert lake.rows(flow) == rows
        assert on_disk(lake, flow) >= {file.path for file in files_of(flow)}
        assert not any(Path(file.path).exists() for file in calls[0].added)

    def test_a_stale_snapshot_is_refused(self, lake, monkeypatch):
        flow = loaded(lake)
        upkeep = upkeep_of(flow)
        taken = []
        monkeypatch.setattr(upkeep, "commit", lambda snapshot, change: taken.append((snapshot, change)))
        compact(upkeep, ENGINE)
        compact(upkeep_of(flow), ENGINE)
        rows = lake.rows(flow)
        monkeypatch.undo()
        with pytest.raises(StaleSnapshotError):
            upkeep.commit(*taken[0])
        assert lake.rows(flow) == rows

    def test_a_lost_answer_is_found_by_looking(self, lake, monkeypatch):
        """The commit is in, and nobody said so: its files must stay."""
        flow = loaded(lake)
        rows = lake.rows(flow)
        upkeep = upkeep_of(flow)
        commit = upkeep.commit

        def lose_the_answer(snapshot, change):
            commit(snapshot, change)
            raise StaleSnapshotError

        monkeypatch.setattr(upkeep, "commit", lose_the_answer)
        assert compact(upkeep, ENGINE).files_before == 5
        assert lake.rows(flow) == rows
        assert len(files_of(flow)) == 1

    def test_a_failed_commit_leaves_the_table(self, lake, monkeypatch):
        flow = loaded(lake)
        rows = lake.rows(flow)
        upkeep = upkeep_of(flow)

        def fail(*_):
            raise DestinationError("no answer")

        monkeypatch.setattr(upkeep, "commit", fail)
        with pytest.raises(DestinationError, match="no answer"):
            compact(upkeep, ENGINE)
        assert lake.rows(flow) == rows


class TestDeltaLog:
    """What other readers find in the log of a Delta table."""

    def test_it_is_no_change_of_data(self, project):
        flow = loaded(project)
        compact(upkeep_of(flow), ENGINE)
        entry = project.destination_root / "events" / "_delta_log" / f"{5:020}.json"
        actions = [json.loads(line) for line in entry.read_text().splitlines()]
        assert actions[0]["commitInfo"]["operation"] == "OPTIMIZE"
        assert sorted(next(iter(action)) for action in actions) == ["add", "commitInfo"] + ["remove"] * 5
        assert not any(action[kind]["dataChange"] for action in actions for kind in ("add", "remove") if kind in action)

    def test_a_table_that_is_only_appended_to_is_compacted(self, project):
        flow = loaded(project)
        path = str(project.destination_root / "events")
        deltalake.DeltaTable(path).alter.set_table_properties({"delta.appendOnly": "true"})
        assert compact(upkeep_of(flow), ENGINE).files_after == 1
        assert len(project.rows(flow)) == 25

    def test_readers_of_changes_see_none(self, project):
        flow = loaded(project, loads=1)
        path = str(project.destination_root / "events")
        deltalake.DeltaTable(path).alter.set_table_properties({"delta.enableChangeDataFeed": "true"})
        begin = deltalake.DeltaTable(path).version()
        for number in range(2):
            project.csv(f"events/9{number}.csv", "id,region,number", f"{number},new,{number + 9}")
            project.load(flow)
        compact(upkeep_of(flow), ENGINE)
        changes = pa.table(deltalake.DeltaTable(path).load_cdf(begin).read_all())
        assert sorted(changes["number"].to_pylist()) == [9, 10]

    def test_a_checkpoint_keeps_what_it_says(self, project):
        flow = loaded(project)
        rows = project.rows(flow)
        only(maintain(project, flow, retention_hours=0))
        deltalake.DeltaTable(str(project.destination_root / "events")).create_checkpoint()
        assert project.rows(flow) == rows
        assert project.load(flow).rows_out == 0

    def test_files_of_other_writers_are_taken_in(self, project):
        flow = loaded(project, loads=2)
        path = str(project.destination_root / "events")
        foreign = pa.table({"id": [77], "region": ["foreign"], "number": [1]})
        deltalake.write_deltalake(path, foreign, mode="append", schema_mode="merge")
        assert compact(upkeep_of(flow), ENGINE).files_before == 3
        assert project.rows(flow, "region").count("foreign") == 1

    def test_a_file_that_does_not_hold_what_the_log_says_stops_it(self, project):
        flow = loaded(project, loads=2)
        path = project.destination_root / "events"
        pl.DataFrame({"id": [7]}).write_parquet(path / "foreign.parquet")
        table = deltalake.DeltaTable(str(path))
        lie = AddAction("foreign.parquet", 900, {}, 0, data_change=True, stats='{"numRecords": 3}')
        table.create_write_transaction([lie], "append", table.schema())
        before = tree(path)
        with pytest.raises(DestinationError, match="13 rows were to be rewritten, and 11 were found") as caught:
            compact(upkeep_of(flow), ENGINE)
        assert caught.value.code == "TG421"
        assert tree(path) == before


class TestIcebergSnapshots:
    """What other readers find in the metadata of an Iceberg table."""

    @pytest.fixture
    def flow(self, tmp_path):
        self.project = Project(tmp_path, "iceberg")
        return loaded(self.project, loads=12)

    def test_it_is_a_replacement_of_files(self, flow):
        compact(upkeep_of(flow), ENGINE)
        summary = iceberg_table(flow).current_snapshot().summary
        assert summary.operation.value == "replace"
        assert summary["total-records"] == "60"
        assert summary["total-data-files"] == "1"
        assert "tidegate.commit" not in summary.additional_properties

    def test_manifests_are_merged_too(self, flow):
        table = iceberg_table(flow)
        assert len(table.current_snapshot().manifests(table.io)) == 12
        compact(upkeep_of(flow), ENGINE)
        table = iceberg_table(flow)
        assert len(table.current_snapshot().manifests(table.io)) == 1

    def test_many_manifests_alone_are_worth_a_commit(self, tmp_path):
        project = Project(tmp_path / "large", "iceberg")
        flow = loaded(project, loads=12, write_options={"target_file_size": 4})
        rows = project.rows(flow)
        assert compact(upkeep_of(flow), ENGINE).has_merged_metadata
        table = iceberg_table(flow)
        assert len(table.current_snapshot().manifests(table.io)) == 1
        assert project.rows(flow) == rows
        assert not compact(upkeep_of(flow), ENGINE).has_merged_metadata

    def test_a_rollback_is_still_noticed_when_snapshots_have_expired(self, flow):
        first = iceberg_table(flow).metadata.snapshots[-2].snapshot_id
        iceberg_table(flow).manage_snapshots().set_current_snapshot(snapshot_id=first).commit()
        upkeep_of(flow).clean_up(0, dry_run=False)
        assert self.project.run(flow).units[0].error.code == "TG506"

    def test_the_version_that_was_current_when_the_retention_began_stays(self, flow):
        metadata = iceberg_table(flow).metadata
        ids = [snapshot.snapshot_id for snapshot in metadata.snapshots]
        between = metadata.snapshots[4].timestamp_ms
        expired = {snapshot.snapshot_id for snapshot in _expirable(metadata, between, "")}
        assert expired == set(ids[:4])

    def test_a_tag_keeps_its_snapshot(self, flow):
        table = iceberg_table(flow)
        oldest = table.metadata.snapshots[0].snapshot_id
        table.manage_snapshots().create_tag(oldest, "first").commit()
        upkeep_of(flow).clean_up(0, dry_run=False)
        assert iceberg_table(flow).scan(snapshot_id=oldest).to_arrow().num_rows == 5

    def test_what_only_a_summary_says_stays(self, flow):
        """The record of a flow whose property was removed."""
        with iceberg_table(flow).transaction() as transaction:
            transaction.remove_properties(f"tidegate.flow.{flow.dataflow_id}")
        compact(upkeep_of(flow), ENGINE)
        upkeep_of(flow).clean_up(0, dry_run=False)
        assert table_of(flow, LocalPlatform()).last_commit(flow.dataflow_id).sequence == 12
        assert len(iceberg_table(flow).metadata.snapshots) == 2

    def test_the_line_goes_on(self, flow):
        compact(upkeep_of(flow), ENGINE)
        upkeep_of(flow).clean_up(0, dry_run=False)
        history = TableHistory(iceberg_table(flow).metadata, "")
        assert all(history.contains(version) for version in range(14))
        assert not history.contains(14)

    def test_the_line_is_known_below_snapshots_of_other_writers(self, flow):
        """What was undone before them must not count again once snapshots have expired."""
        third = iceberg_table(flow).metadata.snapshots[2].snapshot_id
        iceberg_table(flow).manage_snapshots().set_current_snapshot(snapshot_id=third).commit()
        table = iceberg_table(flow)
        table.append(table.scan().to_arrow())
        upkeep_of(flow).clean_up(0, dry_run=False)
        history = TableHistory(iceberg_table(flow).metadata, "")
        assert [version for version in range(1, 14) if history.contains(version)] == [1, 2, 3, 13]

    def test_a_table_whose_files_may_be_others_is_left_alone(self, flow):
        with iceberg_table(flow).transaction() as transaction:
            transaction.set_properties({"gc.enabled": "false"})
        unit = only(maintain(self.project, flow, retention_hours=0))
        assert unit.detail == "12 files -> 1, nothing removed: gc.enabled is false"
        assert len(iceberg_table(flow).metadata.snapshots) == 13

    def test_folders_that_tables_may_share_are_not_searched(self, flow):
        shared = self.project.root / "shared"
        shared.mkdir()
        with iceberg_table(flow).transaction() as transaction:
            transaction.set_properties({"write.data.path": str(shared)})
        other = shared / "tg-other.parquet"
        other.write_bytes(b"of another table")
        age(other)
        upkeep_of(flow).clean_up(0, dry_run=False)
        assert other.exists()


class TestCleanup:
    """Files go that no reader can need."""

    def test_within_the_retention_nothing_goes(self, lake):
        flow = loaded(lake, load_type="merge_upsert")
        compact(upkeep_of(flow), ENGINE)
        before = tree(lake.destination_root)
        assert upkeep_of(flow).clean_up(1, dry_run=False).files == 0
        assert tree(lake.destination_root) == before

    @pytest.mark.parametrize("load_type", ["append", "merge_upsert", "overwrite"])
    def test_after_it_only_what_the_table_needs_is_left(self, lake, load_type):
        flow = loaded(lake, load_type=load_type)
        rows = lake.rows(flow)
        compact(upkeep_of(flow), ENGINE)
        cleaned = upkeep_of(flow).clean_up(0, dry_run=False)
        assert cleaned.files >= 4
        assert on_disk(lake, flow) == {file.path for file in files_of(flow)}
        assert lake.rows(flow) == rows

    def test_what_is_said_is_what_is_freed(self, lake):
        flow = loaded(lake, load_type="merge_upsert")
        size = sum(path.stat().st_size for path in lake.destination_root.rglob("*") if path.is_file())
        said = upkeep_of(flow).clean_up(0, dry_run=True)
        cleaned = upkeep_of(flow).clean_up(0, dry_run=False)
        left = sum(path.stat().st_size for path in lake.destination_root.rglob("*") if path.is_file())
        assert said == cleaned
        written = 0 if lake.destination_format == "delta" else left  # Iceberg writes a new metadata file
        assert size - left <= cleaned.bytes <= size - left + written

    def test_files_of_a_killed_load_go_after_a_day_at_least(self, lake):
        flow = loaded(lake, partitions=["region"])
        folder = lake.data_root()
        old = [age(path) for path in self._left_behind(folder, "old")]
        young = self._left_behind(folder, "young")
        cleaned = upkeep_of(flow).clean_up(0, dry_run=False)
        assert cleaned.files == len(old) + cleaned.snapshots  # an expired snapshot of Iceberg has a list of its own
        assert not any(path.exists() for path in old)
        assert all(path.exists() for path in young)

    def _left_behind(self, folder, name):
        paths = [folder / f"tg-{name}.parquet", folder / "region=a b" / f"tg-{name}-1.parquet"]
        for path in paths:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"rows that were never committed")
        return paths

    def test_files_of_others_stay(self, lake):
        flow = loaded(lake, loads=1)
        foreign = lake.data_root() / "notes.parquet"
        foreign.write_bytes(b"not ours")
        age(foreign)
        upkeep_of(flow).clean_up(0, dry_run=False)
        assert foreign.exists()

    def test_old_files_of_the_table_stay(self, lake):
        flow = loaded(lake, load_type="merge_upsert")
        compact(upkeep_of(flow), ENGINE)
        rows = lake.rows(flow)
        for path in lake.destination_root.rglob("*"):
            age(path)
        before = on_disk(lake, flow)
        upkeep_of(flow).clean_up(48, dry_run=False)
        assert on_disk(lake, flow) == before
        upkeep_of(flow).clean_up(0, dry_run=False)
        assert lake.rows(flow) == rows
        assert lake.load(flow).rows_out == 0

    def test_metadata_that_were_never_committed_go(self, tmp_path):
        project = Project(tmp_path, "iceberg")
        flow = loaded(project, loads=2)
        folder = project.destination_root / "events" / "metadata"
        left = [folder / name for name in ("snap-1-0-x.avro", "x-m0.avro", "00009-x.metadata.json")]
        for path in left:
            path.write_bytes(b"never committed")
            age(path)
        upkeep_of(flow).clean_up(168, dry_run=False)
        assert not any(path.exists() for path in left)
        assert len(project.rows(flow)) == 10

    def test_drafts_of_log_entries_go(self, project):
        flow = loaded(project, loads=1)
        draft = project.destination_root / "events" / "_delta_log" / f"{9:020}.json.0123.draft"
        draft.write_bytes(b"half an entry")
        assert upkeep_of(flow).clean_up(0, dry_run=False).files == 0
        age(draft)
        assert upkeep_of(flow).clean_up(0, dry_run=False).files == 1


class _Listener:
    def __init__(self):
        self.events = []

    def handle(self, event, /):
        self.events.append(event)

    def close(self):
        pass


class TestRun:
    """`Driver.run_maintenance`."""

    def test_it_says_what_it_saved(self, lake):
        flow = loaded(lake)
        unit = only(maintain(lake, flow))
        assert (unit.operation, unit.status, unit.detail) == ("maintenance", "succeeded", "5 files -> 1")
        assert (unit.files_read, unit.files_removed, unit.bytes_freed) == (5, 0, 0)
        unit = only(maintain(lake, flow, retention_hours=0))
        assert unit.files_removed >= 5
        assert unit.bytes_freed > 0
        assert unit.detail.endswith(" freed")
        assert only(maintain(lake, flow, retention_hours=0)).detail == "nothing to do"

    def test_a_dry_run_says_the_same_and_changes_nothing(self, lake):
        flow = loaded(lake, load_type="merge_upsert")
        before = tree(lake.root)
        unit = only(maintain(lake, flow, dry_run=True, retention_hours=0))
        assert unit.status == "skipped"
        assert unit.detail.startswith("dry run: 5 files -> 1, ")
        assert tree(lake.root) == before
        assert unit.files_removed == only(maintain(lake, flow, do_compact=False, retention_hours=0)).files_removed

    def test_each_part_can_be_left_out(self, lake):
        flow = loaded(lake)
        assert only(maintain(lake, flow, do_compact=False)).detail == "nothing to do"
        assert only(maintain(lake, flow, do_cleanup=False, retention_hours=0)).files_removed == 0

    def test_a_table_is_maintained_once(self, lake):
        flow = loaded(lake)
        other = lake.flow(name="another", source="events")
        result = maintain(lake, flow, other)
        assert [unit.dataflow_id for unit in result.units] == [min(flow.dataflow_id, other.dataflow_id)]

    def test_a_table_that_is_not_there_yet_is_skipped(self, lake):
        unit = only(maintain(lake, lake.flow()))
        assert (unit.status, unit.detail) == ("skipped", "there is no table yet")

    def test_a_living_maintainer_is_left_alone(self, lake):
        flow = loaded(lake)
        store = lake.store()
        store.acquire(f"{LEASE_PREFIX}{flow.destination.destination_key}")
        unit = only(maintain(lake, flow))
        store.close()
        assert unit.status == "skipped"
        assert unit.detail.startswith("maintained by another process: ")
        assert len(files_of(flow)) == 5

    def test_the_lease_is_let_go(self, lake):
        flow = loaded(lake)
        maintain(lake, flow)
        store = lake.store()
        store.release(store.acquire(f"{LEASE_PREFIX}{flow.destination.destination_key}"))
        store.close()

    def test_a_table_that_cannot_be_maintained_does_not_stop_the_others(self, lake):
        good = loaded(lake)
        bad = lake.flow("broken", name="bad")
        folder = lake.destination_root / "broken"
        folder.mkdir()
        (folder / "notes.txt").write_text("no table")
        result = maintain(lake, good, bad)
        by_name = {unit.name: unit for unit in result.units}
        assert by_name["bad"].error.code == "TG402"
        assert by_name[good.name].status == "succeeded"
        assert result.exit_code == 1

    def test_the_last_load_stays_the_last_load(self, lake):
        flow = loaded(lake)
        maintain(lake, flow)
        store = lake.store()
        report = store.last_reports()[flow.dataflow_id]
        store.close()
        assert report["operation"] == "load"

    def test_it_is_kept_as_a_run(self, lake):
        flow = loaded(lake)
        result = maintain(lake, flow)
        store = lake.store()
        (record,) = [record for record in store.runs() if record.command == "maintain"]
        (report,) = store.reports(result.run_id)
        store.close()
        assert (record.run_id, record.flows) == (result.run_id, (flow.name,))
        assert (report["operation"], report["detail"]) == ("maintenance", "5 files -> 1")

    def test_it_tells_what_it_does(self, lake):
        flow = loaded(lake)
        listener = _Listener()
        maintain(lake, flow, sinks=[listener])
        assert [type(event) for event in listener.events] == [RunStarted, UnitStarted, UnitFinished, RunFinished]

    def test_nothing_eligible_is_said(self, lake):
        listener = _Listener()
        result = maintain(lake, lake.flow(to="csv"), sinks=[listener])
        assert (result.total, result.exit_code) == (0, 0)
        (notice,) = [event for event in listener.events if isinstance(event, Notice)]
        assert "nothing to maintain" in notice.message


class TestChoice:
    """Which dataflows stand for which tables."""

    METADATA = """
connections:
  - {name: landing, format: csv, configure: {base_path: landing}}
  - {name: lake, format: delta, configure: {base_path: lake}}
  - {name: ice, format: iceberg, configure: {base_path: ice}}
  - {name: out, format: csv, configure: {base_path: out}}
dataflows:
  - {name: b, dataflow_id: "2", source: {connection_name: landing, table: x},
     destination: {connection_name: lake, table: Orders}}
  - {name: a, dataflow_id: "1", source: {connection_name: landing, table: y},
     destination: {connection_name: lake, table: orders}}
  - {name: c, dataflow_id: "3", source: {connection_name: landing, table: x},
     destination: {connection_name: ice, table: orders}}
  - {name: d, dataflow_id: "4", source: {connection_name: landing, table: x},
     destination: {connection_name: out, table: orders}}
  - {name: e, dataflow_id: "5", is_active: false, source: {connection_name: landing, table: x},
     destination: {connection_name: lake, table: resting}}
"""

    @pytest.fixture
    def driver(self, tmp_path):
        (tmp_path / "tidegate.yaml").write_text(self.METADATA)
        with create_driver(metadata_provider=tmp_path) as driver:
            yield driver

    def names(self, driver, *args):
        return [flow.name for flow in driver.load_maintenance_dataflows(*args)]

    def test_one_stands_for_each_table(self, driver):
        assert self.names(driver) == ["a", "c"]

    def test_inactive_ones_can_be_asked_for(self, driver):
        assert self.names(driver, None, False) == ["a", "c", "e"]

    @pytest.mark.parametrize(
        ("connection", "expected"),
        [("lake", ["a"]), ("ice,lake", ["a", "c"]), (["ice", "lake"], ["a", "c"]), ("out", []), ("landing", [])],
    )
    def test_connections_choose(self, driver, connection, expected):
        assert self.names(driver, connection) == expected

    def test_a_connection_can_be_named_by_its_id(self, driver):
        (ice,) = [found for found in driver.metadata_provider.get_connections() if found.name == "ice"]
        assert self.names(driver, ice.connection_id) == ["c"]

    def test_an_unknown_connection_is_refused(self, driver):
        with pytest.raises(MetadataError, match="unknown connection 'lak'") as caught:
            driver.run_maintenance("lak")
        assert (caught.value.code, caught.value.hint) == ("TG104", "connections: landing, lake, ice, out")

    def test_jobs_share_the_tables_and_not_the_dataflows(self, tmp_path):
        (tmp_path / "tidegate.yaml").write_text(self.METADATA)
        found = []
        for index in range(3):
            with create_driver(metadata_provider=tmp_path, job_num=3, job_index=index) as driver:
                found += self.names(driver)
        assert sorted(found) == ["a", "c"]

    def test_a_destination_that_cannot_be_told_is_left_out(self, project):
        told = []
        good = project.flow()
        bare = good.destination.connection.model_copy(update={"configure": {}})
        bare.__dict__.pop("settings", None)
        bad = good.model_copy(
            update={"name": "bad", "destination": good.destination.model_copy(update={"connection": bare})}
        )
        assert dedupe_by_destination([bad, good], told.append) == [good]
        why = "destination 'events' has no path: connection 'lake' has no base_path"
        assert told == [f"dataflow 'bad' is left out of maintenance: {why}"]
