"""The behaviour that is told of Delta tables, on databases: the same tests, without those that look at files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.behaviour import (
    test_change_data,
    test_load_types,
    test_merge_upsert,
    test_recovery,
    test_replacement,
    test_replay_load_types,
    test_scd2,
    test_snapshot,
)
from tests.behaviour.conftest import project_for
from tests.behaviour.project import Project


def on_databases(suite: type, *without: str) -> type:
    """Return the tests of a suite, without some."""
    return type(suite.__name__, (suite,), dict.fromkeys(without))


@pytest.fixture(params=["sqlite", "postgresql"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A project whose destinations are in a database."""
    return project_for(request, tmp_path, request.param)


@pytest.fixture
def tables(project: Project) -> Project:
    """The same."""
    return project


TestMergeIdentity = on_databases(test_merge_upsert.TestIdentity)
TestMergeWhatStays = on_databases(
    test_merge_upsert.TestWhatStays,
    "test_other_writers_rows_are_kept",  # written with delta-rs
    "test_a_table_without_tidegate_is_taken_over",
)
TestMergeOverwrite = on_databases(test_replacement.TestMergeOverwrite, "test_it_is_one_commit")
TestReplaceByWatermark = on_databases(
    test_replacement.TestReplaceByWatermark, "test_files_before_the_window_are_not_rewritten"
)
TestChanges = on_databases(test_change_data.TestChanges)
TestSoftDeletes = on_databases(test_change_data.TestSoftDeletes)
TestHardDeletes = on_databases(test_change_data.TestHardDeletes)
TestMirror = on_databases(test_snapshot.TestMirror, "test_only_files_that_differ_are_rewritten")
TestMarked = on_databases(test_snapshot.TestMarked)
TestMirrorAfterOthers = on_databases(
    test_snapshot.TestOtherWriters, "test_a_key_that_another_writer_doubled_is_one_row_again"
)
TestVersions = on_databases(test_scd2.TestVersions)
TestDeletes = on_databases(test_scd2.TestDeletes)
TestTimeOfTheLoad = on_databases(test_scd2.TestTimeOfTheLoad)
TestContent = on_databases(test_scd2.TestContent)
TestOfOneTime = on_databases(test_scd2.TestOfOneTime)
TestKeys = on_databases(test_scd2.TestKeys)
TestOneCommit = on_databases(
    test_scd2.TestOneCommit,
    "test_a_load_that_changes_nothing_still_keeps_its_position",  # looks into the log
    "test_a_reader_never_sees_a_hole",
)
TestRenaming = on_databases(test_recovery.TestRenaming)
TestTwoProcesses = on_databases(
    test_recovery.TestTwoProcesses, "test_the_same_with_plain_files", "test_a_dead_process_holds_nothing_up"
)
TestOneProcess = on_databases(test_recovery.TestOneProcess, "test_many_flows_append_to_one_table")
TestReplayOfAppend = on_databases(
    test_replay_load_types.TestAppend, "test_rows_that_a_load_has_appended_are_not_appended_again"
)
TestReplayThatReplaces = on_databases(test_replay_load_types.TestReplacing)
TestReplayThatMerges = on_databases(test_replay_load_types.TestMerging)
TestReplayBesideOtherLoads = on_databases(
    test_replay_load_types.TestBesideOtherLoads,
    "test_dataflows_replayed_into_one_table_do_not_disturb_each_other",  # these count commits in the log
    "test_a_first_load_beside_a_replay_doubles_nothing",
    "test_a_paused_replay_that_was_taken_over_does_not_double_its_window",
    "test_files_of_another_window_may_vanish_while_there_is_no_table_yet",
)


ALSO = pytest.mark.parametrize("destination_format", ["mariadb", "duckdb"])
"""The rest of the databases: that each strategy of changing rows works there too."""

TestAlsoAppend = ALSO(
    on_databases(test_load_types.TestAppend, "test_partitions_hold_special_values", "test_partitions_by_date")
)
TestAlsoMergeUpsert = ALSO(on_databases(test_load_types.TestMergeUpsert))
TestAlsoStateWasNotWritten = ALSO(
    on_databases(
        test_recovery.TestStateWasNotWritten,
        "test_a_merge_too",  # these are told of Delta alone
        "test_the_plan_says_that_it_will_recover",
        "test_recovery_looks_past_other_commits",
    )
)


@ALSO
class TestAlso:
    def test_many_flows_append_to_one_table(self, any_project: Project) -> None:
        """Eight threads: all rows are there, once."""
        test_recovery.TestOneProcess().test_many_flows_append_to_one_table(any_project, 8)

    def test_a_merge_with_null_keys(self, any_project: Project) -> None:
        """NULL equals NULL."""
        any_project.jsonl("events/a.jsonl", {"id": 1, "k": None, "v": "a"}, {"id": None, "k": None, "v": "b"})
        flow = any_project.merge(keys=["id", "k"], format="jsonl", hints={"id": "bigint", "k": "string"})
        any_project.load(flow)
        any_project.jsonl("events/b.jsonl", {"id": 1, "k": None, "v": "c"}, {"id": 1, "k": "x", "v": "d"})
        any_project.load(flow)
        assert any_project.rows(flow, "id", "k", "v") == [(None, None, "b"), (1, None, "c"), (1, "x", "d")]

    def test_a_mirror(self, any_project: Project) -> None:
        """Rows are added, changed and removed."""
        test_snapshot.TestMirror().test_rows_are_added_changed_and_deleted(any_project)

    def test_a_history(self, any_project: Project) -> None:
        """Columns that a batch lacks are as they were."""
        test_scd2.TestContent().test_a_column_that_the_batch_lacks_is_as_it_was(any_project)

    def test_a_row_is_replaced_entirely(self, any_project: Project) -> None:
        """Also in columns that the batch lacks."""
        test_replacement.TestMergeOverwrite().test_a_row_is_replaced_entirely(any_project)
