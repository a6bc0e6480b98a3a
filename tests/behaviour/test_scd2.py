"""scd2: the history of each key, as versions that hold from one time until the next."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pytest

from tests.behaviour.history import history, live_files, versions
from tests.behaviour.project import Project
from tests.behaviour.test_recovery import paused
from tidegate import DataFlow

CDC = {"operation_column": "op"}


class Story:
    """Loads lines below one header, a file each, and looks at the versions."""

    def __init__(self, project: Project, header: str = "id,at,v", **options: Any) -> None:
        self.project = project
        self.flow = history(project, **options)
        self._header = header
        self._loads = 0

    def load(self, *lines: str) -> Any:
        """Load one file."""
        self.project.csv(f"events/{self._loads}.csv", self._header, *lines)
        self._loads += 1
        return self.project.load(self.flow)

    def versions(self, *columns: str) -> list[tuple[Any, ...]]:
        """Return the versions: columns, from, to."""
        return versions(self.project, self.flow, *(columns or ("id", "v")))

    def system(self) -> dict[tuple[Any, Any], tuple[Any, Any, Any]]:
        """Return when and by which run each version was created and changed."""
        frame = self.project.frame(self.flow, system=True)
        columns = ("id", "__valid_from", "__created_at", "__updated_at", "__dataflow_run_id")
        return {row[:2]: row[2:] for row in frame.select(columns).rows()}


class TestVersions:
    def test_a_change_closes_a_version_and_opens_one(self, project: Project) -> None:
        """Where one ends the next begins; the end is not part of it."""
        story = Story(project)
        story.load("1,1,a", "2,1,a")
        report = story.load("1,5,b", "3,5,a")
        assert report.rows_updated == 1
        assert story.versions() == [(1, "a", 1, 5), (1, "b", 5, None), (2, "a", 1, None), (3, "a", 5, None)]

    def test_the_same_snapshot_twice_makes_no_version(self, project: Project) -> None:
        """Neither delivered again, nor with later times: one current row a key, and not a file more (defect 1)."""
        story = Story(project)
        story.load("1,1,a", "2,1,b")
        files = live_files(story.flow)
        story.load("1,1,a", "2,1,b")
        story.load("1,9,a", "2,9,b")
        assert story.versions() == [(1, "a", 1, None), (2, "b", 1, None)]
        assert live_files(story.flow) == files

    def test_a_late_row_splits_the_version_it_falls_into(self, project: Project) -> None:
        """It becomes no second current row (defect 2)."""
        story = Story(project)
        story.load("1,1,a")
        story.load("1,9,c")
        story.load("1,5,b")
        assert story.versions() == [(1, "a", 1, 5), (1, "b", 5, 9), (1, "c", 9, None)]

    def test_a_row_before_all_others(self, project: Project) -> None:
        """It holds until the first of them."""
        story = Story(project)
        story.load("1,5,b")
        story.load("1,1,a")
        assert story.versions() == [(1, "a", 1, 5), (1, "b", 5, None)]

    def test_an_earlier_begin_of_the_same(self, project: Project) -> None:
        """Neighbours that say the same are one version, from the earlier time on."""
        story = Story(project)
        story.load("1,5,a")
        story.load("1,2,a")
        assert story.versions() == [(1, "a", 2, None)]

    def test_several_changes_of_a_key_in_one_batch(self, project: Project) -> None:
        """In the first load as in a later one, in whatever order; what repeats the one before is none."""
        story = Story(project)
        story.load("1,3,b", "1,1,a", "1,2,a", "2,1,x")
        assert story.versions() == [(1, "a", 1, 3), (1, "b", 3, None), (2, "x", 1, None)]
        story.load("1,7,d", "1,5,c", "1,2,e", "3,2,y", "3,1,x")
        assert story.versions() == [
            *[(1, "a", 1, 2), (1, "e", 2, 3), (1, "b", 3, 5), (1, "c", 5, 7), (1, "d", 7, None)],
            *[(2, "x", 1, None), (3, "x", 1, 2), (3, "y", 2, None)],
        ]

    def test_a_correction_replaces_the_version_that_begins_with_it(self, project: Project) -> None:
        """At exactly its begin; the version was created when it was."""
        story = Story(project)
        story.load("1,1,a")
        story.load("1,5,b")
        created = story.system()[1, 5][0]
        story.load("1,5,B")
        assert story.versions() == [(1, "a", 1, 5), (1, "B", 5, None)]
        after = story.system()[1, 5]
        assert (after[0], after[1] > created) == (created, True)

    def test_a_correction_that_makes_neighbours_equal(self, project: Project) -> None:
        """Then they are one version, and the first of them is open again, unchanged in all else."""
        story = Story(project)
        story.load("1,1,a")
        story.load("1,5,b")
        before = story.system()
        story.load("1,5,a")
        assert story.versions() == [(1, "a", 1, None)]
        after = story.system()
        assert after.keys() == {(1, 1)}
        assert after[1, 1][0] == before[1, 1][0]
        assert after[1, 1][1] > before[1, 1][1]
        assert after[1, 1][2] != before[1, 1][2]

    def test_closing_changes_nothing_but_the_end(self, project: Project) -> None:
        """A closed version keeps when it was created; versions beside it in the file keep all."""
        story = Story(project)
        story.load("1,1,a", "2,1,a")
        before = story.system()
        story.load("1,5,b")
        after = story.system()
        assert after[1, 1][0] == before[1, 1][0]
        assert after[1, 1][1] > before[1, 1][1]
        assert after[2, 1] == before[2, 1]

    @pytest.mark.parametrize("share", [2, 7])
    def test_keys_may_be_taken_in_shares(self, project: Project, monkeypatch: pytest.MonkeyPatch, share: int) -> None:
        """However many versions there are, few are in memory at a time."""
        monkeypatch.setattr("tidegate.destinations.load_strategies.scd2._EVENTS_AT_ONCE", share)
        story = Story(project)
        story.load(*(f"{key},1,a" for key in range(20)))
        story.load(*(f"{key},{2 + key % 2},{'ab'[key % 3 == 0]}" for key in range(20)))
        expected = [
            *((key, "a", 1, 2 + key % 2 if key % 3 == 0 else None) for key in range(20)),
            *((key, "b", 2 + key % 2, None) for key in range(0, 20, 3)),
        ]
        assert story.versions() == sorted(expected, key=lambda row: (row[0], row[2]))


class TestDeletes:
    def story(self, project: Project, **options: Any) -> Story:
        """Return a story with an operation column."""
        return Story(project, "id,at,v,op", cdc=CDC, **options)

    def test_a_delete_closes_and_a_later_row_opens(self, project: Project) -> None:
        """In between there is no version; the operation is no column of the table."""
        story = self.story(project)
        story.load("1,1,a,I", "2,1,a,I")
        story.load("1,5,,D")
        assert story.versions() == [(1, "a", 1, 5), (2, "a", 1, None)]
        story.load("1,7,a,I")
        assert story.versions() == [(1, "a", 1, 5), (1, "a", 7, None), (2, "a", 1, None)]
        assert not {"op", "__tidegate_is_delete"} & set(project.frame(story.flow).columns)

    def test_a_delete_in_the_first_load(self, project: Project) -> None:
        """Of a key that was not there it leaves nothing."""
        story = self.story(project)
        story.load("1,1,a,I", "1,4,,D", "2,3,,D", "3,1,a,I", "3,2,b,U")
        assert story.versions() == [(1, "a", 1, 4), (3, "a", 1, 2), (3, "b", 2, None)]

    def test_a_late_delete_leaves_a_gap(self, project: Project) -> None:
        """Until the next row of its key."""
        story = self.story(project)
        story.load("1,1,a,I", "1,9,b,U")
        story.load("1,5,,D")
        assert story.versions() == [(1, "a", 1, 5), (1, "b", 9, None)]

    def test_a_late_row_in_a_gap(self, project: Project) -> None:
        """It holds until the next version, or to the end that was known."""
        story = self.story(project)
        story.load("1,1,a,I", "1,5,,D", "1,9,b,U")
        story.load("1,7,c,U")
        story.load("1,3,d,U")
        assert story.versions() == [(1, "a", 1, 3), (1, "d", 3, 5), (1, "c", 7, 9), (1, "b", 9, None)]

    def test_a_delete_at_the_begin_of_a_version_takes_its_place(self, project: Project) -> None:
        """And the last version of a key may go."""
        story = self.story(project)
        story.load("1,1,a,I", "1,5,b,U", "2,1,a,I")
        story.load("1,5,,D", "2,1,,D")
        assert story.versions() == [(1, "a", 1, 5)]

    def test_a_row_at_the_end_of_a_version_follows_it(self, project: Project) -> None:
        """A key that is deleted and comes back at one time was never gone."""
        story = self.story(project)
        story.load("1,1,a,I", "1,5,,D")
        story.load("1,5,a,I")
        assert story.versions() == [(1, "a", 1, None)]

    def test_deletes_by_the_time_of_the_load(self, project: Project) -> None:
        """Without an effective column."""
        story = self.story(project, effective=None)
        story.load("1,1,a,I", "2,1,a,I")
        story.load("1,1,,D")
        ((_, _, _, end), (*_, still)) = story.versions()
        assert (end is not None, still) == (True, None)


class TestTimeOfTheLoad:
    def test_versions_hold_from_load_to_load(self, project: Project) -> None:
        """All versions of a load begin at one instant, and those that it ends end there."""
        story = Story(project, "id,v", effective=None)
        story.load("1,a", "2,a")
        story.load("1,b", "2,a", "3,c")
        (first, second, other, third) = story.versions()
        assert first[:2] == (1, "a")
        assert first[3] == second[2] == third[2]
        assert (second[3], other[3], third[3]) == (None, None, None)
        assert first[2] == other[2] < second[2]
        assert project.frame(story.flow).schema["__valid_from"] == pl.Datetime("us", "UTC")

    def test_an_older_row_is_no_news(self, project: Project) -> None:
        """Where columns order the rows, one that comes late does not become the current version."""
        story = Story(project, effective=None, latest_data_columns=["at"])
        story.load("1,5,new")
        story.load("1,3,old")
        assert story.versions("v")[0][0] == "new"
        assert len(story.versions()) == 1


class TestContent:
    def test_moments_are_no_content(self, project: Project) -> None:
        """A watermark, an effective time or a sequence that moves on alone makes no version."""
        story = Story(
            project,
            "id,at,seen,seq,v,op",
            watermark="seen",
            cdc={"operation_column": "op", "sequence_by": ["seq"]},
        )
        story.load("1,1,1,1,a,I")
        story.load("1,2,2,2,a,U")
        assert story.versions() == [(1, "a", 1, None)]

    def test_only_compare_columns_count_where_they_are_declared(self, project: Project) -> None:
        """A change of another column is seen with the next version."""
        story = Story(project, "id,at,v,w", settings={"merge_options": {"compare_columns": ["v"]}})
        story.load("1,1,a,x")
        story.load("1,2,a,y")
        assert story.versions("v", "w") == [("a", "x", 1, None)]
        story.load("1,3,b,y")
        assert story.versions("v", "w") == [("a", "x", 1, 3), ("b", "y", 3, None)]

    def test_a_compare_column_that_is_not_there(self, project: Project) -> None:
        """It is named."""
        project.csv("events.csv", "id,at,v", "1,1,a", "1,2,b")
        error = project.fail(history(project, settings={"merge_options": {"compare_columns": ["vv"]}}))
        assert error.code == "TG413"

    def test_null_is_a_value(self, project: Project) -> None:
        """To NULL and back are changes; NULL in another column is another content."""
        story = Story(project, "id,at,v,w", hints={"v": "string", "w": "string"})
        story.load("1,1,a,")
        story.load("1,2,,a")
        story.load("1,3,a,")
        assert story.versions("v", "w") == [("a", None, 1, 2), (None, "a", 2, 3), ("a", None, 3, None)]

    def test_a_computed_partition_is_no_content(self, project: Project) -> None:
        """It follows from other columns: an unchanged row in another month makes no version."""
        story = Story(
            project,
            partitions=[{"column": "month", "expression": "month(at)"}],
            hints={"at": "date"},
        )
        story.load("1,2024-01-31,a")
        story.load("1,2024-02-01,a")
        assert story.versions("id", "month") == [(1, 1, date(2024, 1, 31), None)]

    def test_a_new_column(self, project: Project) -> None:
        """Its values are a change of the rows that have one, and none of the others."""
        flow = history(project)
        project.csv("events/a.csv", "id,at,v", "1,1,a", "2,1,a")
        project.load(flow)
        project.csv("events/b.csv", "id,at,v,w", "1,2,a,", "2,2,a,x")
        project.load(flow)
        assert versions(project, flow, "id", "w") == [(1, None, 1, None), (2, None, 1, 2), (2, "x", 2, None)]

    def test_a_column_that_the_batch_lacks_is_as_it_was(self, project: Project) -> None:
        """It is taken from the version before; that it is not there is no change."""
        story = Story(project, "id,at,v,w")
        story.load("1,1,a,x", "1,5,b,y", "2,5,a,x")
        other = history(project, source="others", name="other", drop_columns=["w"])
        project.csv("others.csv", "id,at,v,w", "1,3,c,?", "1,7,d,?", "1,6,b,?", "2,1,e,?", "3,1,f,?")
        project.load(other)
        assert story.versions("id", "v", "w") == [
            *[(1, "a", "x", 1, 3), (1, "c", "x", 3, 5), (1, "b", "y", 5, 7), (1, "d", "y", 7, None)],
            *[(2, "e", "x", 1, 5), (2, "a", "x", 5, None), (3, "f", None, 1, None)],
        ]


class TestOfOneTime:
    @pytest.mark.parametrize("loaded_before", [False, True])
    def test_two_rows_of_one_key_at_one_time(self, project: Project, loaded_before: bool) -> None:  # noqa: FBT001
        """Which of them counts would be chance: refused on the first load and on later ones."""
        story = Story(project)
        if loaded_before:
            story.load("1,1,a")
        project.csv("events/9.csv", "id,at,v", "1,2,a", "1,2,b")
        error = project.fail(story.flow)
        assert error.code == "TG410"
        assert "id=1, __valid_from=2" in error.message
        assert "sequence_by" in str(error.hint)

    def test_unless_the_changes_have_a_sequence(self, project: Project) -> None:
        """The greatest counts, also where an earlier one comes later."""
        story = Story(project, "id,at,seq,v,op", cdc={"operation_column": "op", "sequence_by": ["seq"]})
        story.load("1,1,2,b,U", "1,1,1,a,I")
        assert story.versions("v", "seq") == [("b", 2, 1, None)]
        story.load("1,1,1,z,U", "2,1,1,a,I")
        assert story.versions("v", "seq") == [("b", 2, 1, None), ("a", 1, 1, None)]
        story.load("1,1,3,c,U", "2,1,0,,D")
        assert story.versions("v", "seq") == [("c", 3, 1, None), ("a", 1, 1, None)]

    @pytest.mark.parametrize("value", [None, float("nan"), float("inf"), float("-inf")])
    @pytest.mark.parametrize("loaded_before", [False, True])
    def test_a_row_without_a_time(self, project: Project, value: float | None, loaded_before: bool) -> None:  # noqa: FBT001
        """There is no place for it in a history: refused, and nothing is changed."""
        flow = history(project, format="parquet", hints={"at": "double"})
        if loaded_before:
            project.parquet("events/a.parquet", {"id": [1], "at": [1.0], "v": ["a"]})
            project.load(flow)
        project.parquet("events/b.parquet", {"id": [1, 2], "at": [2.0, value], "v": ["b", "b"]})
        error = project.fail(flow)
        assert (error.code, "at" in error.message, "at IS NOT NULL" in str(error.hint)) == ("TG417", True, True)


class TestEffectiveColumn:
    @pytest.mark.parametrize(
        ("times", "expected"),
        [
            ([1, 2, 3], pl.Int64),
            ([1.0, 1.25, 1.5], pl.Float64),
            ([Decimal("1.1"), Decimal("1.2"), Decimal("1.3")], pl.Decimal(5, 2)),
            ([date(1969, 1, 1), date(2024, 2, 29), date(9999, 12, 31)], pl.Date),
            ([datetime(2024, 1, 1, 0, 0, 0, value) for value in (1, 2, 3)], pl.Datetime("us")),  # noqa: DTZ001
            ([datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in (1, 2, 3)], pl.Datetime("us", "UTC")),
            (["2024-01-01", "2024-01-02", "2024-W1"], pl.String),
        ],
    )
    def test_of_every_type(self, project: Project, times: list[Any], expected: pl.DataType) -> None:
        """`__valid_from` and `__valid_to` have its type; late rows find their place."""
        flow = history(project, format="parquet")
        for number in (0, 2, 1):
            frame = pl.DataFrame({"id": [1], "at": [times[number]], "v": [number]}, schema_overrides={"at": expected})
            project.parquet(f"events/{number}.parquet", frame)
            project.load(flow)
        first, second, third = times
        assert versions(project, flow, "v") == [(0, first, second), (1, second, third), (2, third, None)]
        schema = project.frame(flow).schema
        assert schema["__valid_from"] == schema["__valid_to"] == expected

    def test_another_type_than_that_of_the_table(self, project: Project) -> None:
        """It is refused by name."""
        project.csv("events.csv", "id,at,day,v", "1,1,2024-01-01,a")
        project.load(history(project))
        error = project.fail(history(project, effective="day", name="other"))
        assert (error.code, "__valid_from" in error.message) == ("TG403", True)

    def test_that_is_renamed_or_dropped(self, project: Project) -> None:
        """`__valid_from` keeps its values."""
        project.csv("events.csv", "id,at,v", "1,1,a", "1,2,b")
        renamed = history(project, "renamed", source="events", rename_columns={"at": "changed"})
        dropped = history(project, "dropped", source="events", drop_columns=["at"])
        for flow in (renamed, dropped):
            project.load(flow)
            assert versions(project, flow, "v") == [("a", 1, 2), ("b", 2, None)]
            assert "at" not in project.frame(flow).columns
        project.csv("events.csv", "id,at,v", "1,1,a", "1,2,b", "1,3,b")
        project.load(renamed)
        assert versions(project, renamed, "v", "changed") == [("a", 1, 1, 2), ("b", 2, 2, None)]

    def test_that_is_computed(self, project: Project) -> None:
        """From other columns, by `additional_columns`."""
        story = Story(
            project,
            "id,day,v",
            effective="since",
            additional_columns=[{"column": "since", "expression": "CAST(day AS DATE)"}],
            hints={"day": "string"},
            drop_columns=["day"],
        )
        story.load("1,2024-01-02,b")
        story.load("1,2024-01-01,a", "1,2024-01-05,b")
        first, second = date(2024, 1, 1), date(2024, 1, 2)
        assert story.versions("v") == [("a", first, second), ("b", second, None)]

    def test_that_does_not_exist(self, project: Project) -> None:
        """The error names it and suggests one."""
        project.csv("events.csv", "id,at,v", "1,1,a")
        error = project.fail(history(project, effective="att"))
        assert (error.code, "`at`" in str(error.hint)) == ("TG302", True)

    def test_that_is_no_time(self, project: Project) -> None:
        """True is not before or after false."""
        project.csv("events.csv", "id,at,v", "1,true,a")
        assert project.fail(history(project)).code == "TG417"


class TestKeys:
    def test_null_is_a_key(self, project: Project) -> None:
        """Of a composite key too: NULL equals NULL."""
        flow = history(project, keys=["a", "b"], hints={"a": "bigint", "b": "string"})
        for number in (1, 3, 2):
            lines = [f"{key},{number},{number}" for key in (",x", "1,", ",", "1,x")]
            project.csv(f"events/{number}.csv", "a,b,at,v", *lines)
            project.load(flow)
        keys = [(None, None), (None, "x"), (1, None), (1, "x")]
        expected = [(*key, *row) for key in keys for row in [(1, 1, 2), (2, 2, 3), (3, 3, None)]]
        assert versions(project, flow, "a", "b", "v") == expected

    def test_not_a_number_is_a_key(self, project: Project) -> None:
        """NaN equals NaN, and zero has one sign."""
        flow = history(project, format="parquet")
        for number, zero in enumerate([0.0, -0.0]):
            frame = {"id": [float("nan"), zero], "at": [number, number], "v": [number, number]}
            project.parquet(f"events/{number}.parquet", frame)
            project.load(flow)
        assert versions(project, flow, "v") == [(0, 0, 1), (1, 1, None)] * 2


class TestFiles:
    def test_only_touched_files_are_rewritten(self, project: Project) -> None:
        """Files that hold no key of the batch, or only keys that do not change, stay as they are (defect 19)."""
        story = Story(project, write_options={"max_rows_per_file": 100})
        story.load(*(f"{key},1,a" for key in range(1000)))
        before = live_files(story.flow)
        assert len(before) == 10
        story.load("150,2,b", "151,2,a", "555,2,a", "2000,1,a")
        assert len(before - live_files(story.flow)) == 1
        assert len(story.versions()) == 1002

    def test_no_file_is_rewritten_for_keys_that_are_new(self, project: Project) -> None:
        """Their versions are added."""
        story = Story(project)
        story.load("1,1,a", "5,1,a")
        before = live_files(story.flow)
        assert story.load("3,1,a").rows_updated == 0
        assert before < live_files(story.flow)

    @pytest.mark.parametrize("partitions", [["city"], ["__is_current"], ["city", "__is_current"], ["__valid_from"]])
    def test_versions_move_between_partitions(self, project: Project, partitions: list[str]) -> None:
        """Partition columns are no part of a version's identity, not even those that follow from it (defect 9)."""
        story = Story(project, "id,at,city", partitions=partitions, hints={"city": "string"})
        story.load("1,1,Oslo", "2,1,Oslo", "3,1,")
        story.load("1,5,Bergen", "3,5,Oslo")
        story.load("1,3,", "2,3,Oslo")
        assert story.versions("id", "city") == [
            *[(1, "Oslo", 1, 3), (1, None, 3, 5), (1, "Bergen", 5, None)],
            *[(2, "Oslo", 1, None), (3, None, 1, 5), (3, "Oslo", 5, None)],
        ]

    def test_a_first_load_is_written_once(self, project: Project) -> None:
        """A row a key: the batch as it is, in files of the target's size; no version is left behind by others."""
        story = Story(project, write_options={"max_rows_per_file": 2})
        story.load("1,1,a", "2,1,a", "3,1,a")
        root = Path(str(story.flow.destination.path))
        assert {file.name for file in root.glob("*.parquet")} == live_files(story.flow)

    def test_a_first_load_of_many_versions_leaves_no_other_file(self, project: Project) -> None:
        """What was written before it was known that keys repeat is removed."""
        story = Story(project)
        story.load("1,1,a", "1,2,b")
        root = Path(str(story.flow.destination.path))
        assert {file.name for file in root.glob("*.parquet")} == live_files(story.flow)


class TestOneCommit:
    def test_a_reader_never_sees_a_hole(self, project: Project) -> None:
        """Each load is one version of the table, in which each key has one current row (defect 3)."""
        story = Story(project)
        story.load(*(f"{key},1,a" for key in range(10)))
        story.load(*(f"{key},5,b" for key in range(0, 10, 2)))
        story.load(*(f"{key},3,c" for key in range(10)))
        table = deltalake.DeltaTable(str(story.flow.destination.path))
        assert table.version() == 2
        for version in range(3):
            table.load_as_version(version)
            current = pl.DataFrame(pl.from_arrow(table.to_pyarrow_table())).filter("__is_current")
            assert sorted(current["id"]) == list(range(10))

    def test_a_load_that_changes_nothing_still_keeps_its_position(self, project: Project) -> None:
        """Its commit has no file; the next run goes on after it."""
        story = Story(project)
        story.load("1,1,a")
        story.load("1,2,a")
        log = Path(str(story.flow.destination.path), "_delta_log", f"{1:020d}.json").read_text()
        assert not [entry for entry in map(json.loads, log.splitlines()) if {"add", "remove"} & entry.keys()]
        assert project.load(story.flow).detail == "nothing new"

    @pytest.mark.parametrize("first", [False, True])
    def test_another_load_comes_first(self, project: Project, first: bool) -> None:  # noqa: FBT001
        """What was found against the older version of the table is found again against the newer one."""
        options = {"load_type": "scd2", "keys": ["id"], "settings": {"scd2_effective_column": "at"}}
        flow = project.flow(**options)
        expected = [(1, "b", 3, 5), (1, "c", 5, None), (2, "b", 3, None), (3, "c", 5, None)]
        if not first:
            project.csv("events/0.csv", "id,at,v", "1,1,a", "2,1,a")
            project.load(flow)
            expected = sorted([*expected, (1, "a", 1, 3), (2, "a", 1, 3)], key=lambda row: (row[0], row[2]))
        project.csv("events/1.csv", "id,at,v", "1,3,b", "2,3,b")
        project.csv("others.csv", "id,at,v", "1,5,c", "3,5,c")
        with paused(project, table="events", **options) as process:
            project.load(project.flow("events", source="others", name="other", **options))
            assert process.go_on()["status"] == "succeeded"
        assert versions(project, flow, "id", "v") == expected
        if project.destination_format == "delta":
            assert len(deltalake.DeltaTable(str(flow.destination.path)).history()) == (2 if first else 3)


class TestTablesOfOthers:
    def table(self, project: Project, flow: DataFlow, *rows: tuple[Any, ...]) -> None:
        """Write a history by other means: id, v, from, to."""
        schema = {"id": pl.Int64, "v": pl.String, "__valid_from": pl.Int64, "__valid_to": pl.Int64}
        frame = pl.DataFrame(list(rows), schema=schema, orient="row")
        frame = frame.with_columns(pl.col("__valid_to").is_null().alias("__is_current"), at="__valid_from")
        deltalake.write_deltalake(str(flow.destination.path), frame)
        project.csv("events.csv", "id,at,v", "1,5,new")

    def test_a_history_is_continued(self, project: Project) -> None:
        """Whoever began it: only the system columns of its versions are unknown."""
        flow = history(project)
        self.table(project, flow, (1, "a", 1, 2), (1, "b", 2, None), (2, "a", 1, None))
        project.load(flow)
        assert versions(project, flow, "id", "v") == [
            *[(1, "a", 1, 2), (1, "b", 2, 5), (1, "new", 5, None), (2, "a", 1, None)]
        ]

    @pytest.mark.parametrize(
        ("there", "expected"),
        [
            ([("a", 1, None), ("a", 1, None)], [("a", 1, 5), ("new", 5, None)]),
            ([("a", 1, 3), ("b", 1, None)], [("b", 1, 5), ("new", 5, None)]),
            ([("a", 5, None), ("a", 5, None)], [("new", 5, None)]),
            ([("a", 9, None), ("a", 9, None)], [("new", 5, 9), ("a", 9, None)]),
            ([("a", 1, None), ("a", 2, None)], [("a", 1, 5), ("new", 5, None)]),
            ([("a", 1, 9), ("b", 2, 3)], [("a", 1, 2), ("b", 2, 3), ("new", 5, None)]),
            ([("a", 1, 3), ("b", 3, 3)], [("a", 1, 3), ("new", 5, None)]),
            ([("a", 3, 3), ("b", 3, None)], [("b", 3, 5), ("new", 5, None)]),
            ([("a", None, 3), ("b", 3, None)], [("a", None, 3), ("b", 3, 5), ("new", 5, None)]),
            ([("new", 1, None), ("new", 1, None)], [("new", 1, None)]),
            ([("a", 1, 2), ("a", 1, 2), ("new", 2, None)], [("a", 1, 2), ("new", 2, None)]),
        ],
    )
    def test_versions_that_contradict_each_other(
        self, project: Project, there: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]
    ) -> None:
        """Two that begin together, that overlap, or hold at no time: once their key changes, they tell one story."""
        flow = history(project)
        self.table(project, flow, *((1, *row) for row in there), *((2, *row) for row in there))
        project.load(flow)
        key = lambda row: (row[1] is not None, row[1], row[0])  # noqa: E731
        frame = project.frame(flow).select("id", "v", "__valid_from", "__valid_to")
        assert sorted(frame.filter(id=1).drop("id").rows(), key=key) == sorted(expected, key=key)
        assert sorted(frame.filter(id=2).drop("id").rows(), key=str) == sorted(there, key=str)

    def test_a_table_that_is_no_history(self, project: Project) -> None:
        """Rows that do not say from when to when they hold are not made into versions."""
        project.csv("events.csv", "id,at,v", "1,1,a")
        project.load(project.merge())
        error = project.fail(history(project, name="other"))
        assert (error.code, "__valid_from" in error.message) == ("TG418", True)


def test_the_plan_says_what_becomes_of_the_rows(project: Project) -> None:
    """Keys and effective column, by name."""
    project.csv("events.csv", "id,at,v", "1,1,a")
    plan = json.dumps(project.plan(history(project)))
    assert "versions by id, each from at to the next" in plan
    assert "versions by id, each from its load to the next" in json.dumps(
        project.plan(history(project, effective=None))
    )
