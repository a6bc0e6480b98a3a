"""merge_delete: change-data rows are applied by key, in the order of the changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.behaviour.project import Project
from tidegate import DataFlow

CDC = {"operation_column": "op", "sequence_by": ["at"]}
MODES = ("hard", "soft")


def changes(project: Project, *, mode: str = "hard", cdc: dict[str, Any] | None = None, **options: Any) -> DataFlow:
    """Declare a flow that applies change data."""
    options.setdefault("keys", ["id"])
    return project.flow(load_type="merge_delete", cdc=cdc or CDC, settings={"delete_mode": mode}, **options)


def living(project: Project, flow: DataFlow, *columns: str) -> list[Any]:
    """Return the rows that are not marked as deleted."""
    frame = project.frame(flow, system=True)
    if "__deleted_at" in frame.columns:
        frame = frame.filter(pl.col("__deleted_at").is_null())
    return sorted(frame.select(columns).rows())


@pytest.mark.parametrize("mode", MODES)
class TestChanges:
    def test_rows_are_added_replaced_and_deleted(self, project: Project, mode: str) -> None:
        """Each by the last change of its key."""
        flow = changes(project, mode=mode)
        project.csv("events/a.csv", "id,at,op,v", "1,1,I,a", "2,1,I,b", "3,1,I,c")
        project.load(flow)
        project.csv("events/b.csv", "id,at,op,v", "1,2,D,", "2,2,U,bb", "4,2,I,d")
        report = project.load(flow)
        assert (report.rows_updated, report.rows_deleted) == (1, 1)
        assert living(project, flow, "id", "v") == [(2, "bb"), (3, "c"), (4, "d")]

    def test_the_last_change_of_a_key_in_a_batch_wins(self, project: Project, mode: str) -> None:
        """By `sequence_by`, not by the order of the rows."""
        flow = changes(project, mode=mode)
        project.csv("events.csv", "id,at,op,v", "1,3,U,c", "1,1,I,a", "1,2,D,", "2,2,D,", "2,1,I,a")
        project.load(flow)
        assert living(project, flow, "id", "v") == [(1, "c")]

    def test_a_delete_in_the_first_load_leaves_no_row(self, project: Project, mode: str) -> None:
        """Also where the table does not exist yet."""
        flow = changes(project, mode=mode)
        project.csv("events.csv", "id,at,op,v", "1,1,I,a", "2,1,D,")
        project.load(flow)
        assert living(project, flow, "id", "v") == [(1, "a")]

    def test_an_older_change_that_comes_later_changes_nothing(self, project: Project, mode: str) -> None:
        """A row of the table is not taken back in time."""
        flow = changes(project, mode=mode)
        for number, line in enumerate(["1,5,U,new", "1,3,U,old", "1,4,D,"]):
            project.csv(f"events/{number}.csv", "id,at,op,v", line)
            project.load(flow)
            assert living(project, flow, "id", "v") == [(1, "new")]

    def test_a_key_comes_back(self, project: Project, mode: str) -> None:
        """After its delete, with its new values."""
        flow = changes(project, mode=mode)
        for number, line in enumerate(["1,1,I,a", "1,2,D,", "1,3,I,b"]):
            project.csv(f"events/{number}.csv", "id,at,op,v", line)
            project.load(flow)
        assert living(project, flow, "id", "v") == [(1, "b")]

    def test_null_keys_are_deleted_too(self, project: Project, mode: str) -> None:
        """NULL equals NULL."""
        flow = changes(project, mode=mode, keys=["a", "b"], hints={"a": "bigint", "b": "string"})
        project.csv("events/a.csv", "a,b,at,op", ",x,1,I", "1,,1,I", ",,1,I")
        project.load(flow)
        project.csv("events/b.csv", "a,b,at,op", ",x,2,D", ",,2,D")
        project.load(flow)
        assert living(project, flow, "a", "b") == [(1, None)]

    def test_the_operation_is_not_a_column_of_the_table(self, project: Project, mode: str) -> None:
        """It says what happened to a row, and is no part of it; nor is any mark of ours."""
        project.csv("events.csv", "id,at,op", "1,1,I")
        flow = changes(project, mode=mode)
        project.load(flow)
        assert set(project.frame(flow).columns) - {"__deleted_at"} == {"id", "at"}

    def test_deletes_pass_the_filter(self, project: Project, mode: str) -> None:
        """A delete often has its key alone, which meets no condition."""
        flow = changes(project, mode=mode, filter_expression="v <> 'x'")
        project.csv("events/a.csv", "id,at,op,v", "1,1,I,a", "2,1,I,x")
        project.load(flow)
        project.csv("events/b.csv", "id,at,op,v", "1,2,D,")
        project.load(flow)
        assert living(project, flow, "id") == []

    def test_own_delete_values_and_an_unknown_operation(self, project: Project, mode: str) -> None:
        """What is not among the delete values, NULL included, is no delete; numbers are compared as text."""
        flow = changes(project, mode=mode, cdc={**CDC, "delete_values": ["1", "3"]})
        project.csv("events.csv", "id,at,op", "1,1,1", "2,1,2", "3,1,", "4,1,3")
        project.load(flow)
        assert living(project, flow, "id") == [(2,), (3,)]

    def test_a_partitioned_table(self, project: Project, mode: str) -> None:
        """A delete whose partition column is NULL finds its row in any partition."""
        flow = changes(project, mode=mode, partitions=["city"])
        project.csv("events/a.csv", "id,at,op,city", "1,1,I,Oslo", "2,1,I,Bergen")
        project.load(flow)
        project.csv("events/b.csv", "id,at,op,city", "1,2,D,", "2,2,U,Oslo")
        project.load(flow)
        assert living(project, flow, "id", "city") == [(2, "Oslo")]

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(
            st.lists(st.tuples(st.integers(0, 4), st.sampled_from("IUD"), st.integers(0, 99)), max_size=8), max_size=4
        )
    )
    def test_many_loads_are_as_one_by_one(
        self, tmp_path_factory: Any, mode: str, loads: list[Sequence[tuple[int, str, int]]]
    ) -> None:
        """Changes in their order, in whatever batches: the table is what a dictionary would be."""
        project = Project(tmp_path_factory.mktemp("changes"))
        flow = changes(project, mode=mode, format="parquet")
        expected: dict[int, int] = {}
        clock = 0
        for number, batch in enumerate(loads):
            rows = []
            for key, operation, value in batch:
                clock += 1
                rows.append((key, clock, operation, value))
                expected.pop(key, None)
                if operation != "D":
                    expected[key] = value
            schema = {"id": pl.Int64, "at": pl.Int64, "op": pl.String, "v": pl.Int64}
            project.parquet(f"events/{number}.parquet", pl.DataFrame(rows, schema=schema, orient="row"))
            project.load(flow)
            assert living(project, flow, "id", "v") == sorted(expected.items())


class TestSoftDeletes:
    def test_a_deleted_row_keeps_its_values(self, project: Project) -> None:
        """Though the delete has none; `__deleted_at` says when it was found, and `__created_at` stays."""
        flow = changes(project, mode="soft")
        project.csv("events/a.csv", "id,at,op,v", "1,1,I,a")
        project.load(flow)
        before = project.frame(flow, system=True).row(0, named=True)
        project.csv("events/b.csv", "id,at,op,v", "1,2,D,")
        project.load(flow)
        after = project.frame(flow, system=True).row(0, named=True)
        assert (after["v"], after["at"], before["__deleted_at"]) == ("a", 2, None)
        assert after["__deleted_at"] == after["__updated_at"] > before["__updated_at"]
        assert after["__created_at"] == before["__created_at"]

    def test_a_value_that_was_null_stays_null(self, project: Project) -> None:
        """What the delete itself says of the row is not what the row was."""
        flow = changes(project, mode="soft", hints={"v": "string"})
        project.csv("events/a.csv", "id,at,op,v", "1,1,I,")
        project.load(flow)
        project.csv("events/b.csv", "id,at,op,v", "1,2,D,x")
        project.load(flow)
        assert project.frame(flow, system=True).row(0, named=True)["v"] is None

    def test_an_older_change_does_not_bring_it_back(self, project: Project) -> None:
        """The marked row remembers the order of its delete, also for a key that was never there."""
        flow = changes(project, mode="soft")
        for number, line in enumerate(["1,5,D,", "1,3,U,old"]):
            project.csv(f"events/{number}.csv", "id,at,op,v", line)
            project.load(flow)
        assert living(project, flow, "id") == []

    def test_a_second_delete_does_not_move_the_first(self, project: Project) -> None:
        """A delete that is delivered twice is one delete."""
        flow = changes(project, mode="soft")
        stamps = []
        for number, line in enumerate(["1,1,I,a", "1,2,D,", "1,2,D,"]):
            project.csv(f"events/{number}.csv", "id,at,op,v", line)
            project.load(flow)
            stamps.append(project.frame(flow, system=True)["__deleted_at"][0])
        assert stamps[0] is None
        assert stamps[1] == stamps[2] is not None


class TestHardDeletes:
    @pytest.mark.xfail(strict=True, reason="the documented limit: a hard delete leaves nothing that could tell")
    def test_an_older_change_in_a_later_load_does_not_bring_it_back(self, project: Project) -> None:
        """Soft deletes can; see above."""
        flow = changes(project)
        for number, line in enumerate(["1,1,I,a", "1,5,D,", "1,3,U,old"]):
            project.csv(f"events/{number}.csv", "id,at,op,v", line)
            project.load(flow)
        assert living(project, flow, "id") == []


class TestBadChanges:
    def test_a_missing_operation_column(self, project: Project) -> None:
        """Named, with what is there."""
        project.csv("events.csv", "id,at,oper", "1,1,I")
        error = project.fail(changes(project))
        assert (error.code, "op" in error.message) == ("TG302", True)

    def test_a_key_twice_without_an_order(self, project: Project) -> None:
        """Which change is the last would be chance."""
        project.csv("events.csv", "id,op", "1,I", "1,D")
        assert project.fail(changes(project, cdc={"operation_column": "op"})).code == "TG410"
