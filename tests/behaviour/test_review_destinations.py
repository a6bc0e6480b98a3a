"""What a review found wrong with destinations, each as the shortest load that shows it."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pyarrow as pa
import pytest
from deltalake.exceptions import DeltaError

from tests.behaviour.project import DATABASES, Project
from tidegate import DataFlow
from tidegate.destinations import commit as commits
from tidegate.destinations.delta import DeltaTable
from tidegate.destinations.table import StaleSnapshotError
from tidegate.destinations.table_types import fits
from tidegate.errors import DestinationError
from tidegate.orchestration import runner
from tidegate.platforms.local import LocalPlatform


def made(flow: DataFlow, columns: dict[str, Any] | pa.Table, **options: Any) -> deltalake.DeltaTable:
    """Create the flow's table with another writer."""
    path = str(flow.destination.path)
    deltalake.write_deltalake(path, columns if isinstance(columns, pa.Table) else pa.table(columns), **options)
    return deltalake.DeltaTable(path)


def opened(flow: DataFlow) -> deltalake.DeltaTable:
    """Open the flow's table."""
    return deltalake.DeltaTable(str(flow.destination.path))


class TestOthersInBetween:
    def test_a_commit_between_new_columns_and_rows(self, project: Project, once_before: Any) -> None:
        """A load that adds columns starts over when another commits before its rows do."""
        project.csv("a.csv", "id,x", "1,a", "2,b")
        one = project.merge("t", source="a.csv", name="one")
        project.load(one)
        project.csv("a.csv", "id,x,y", "1,A,Y")
        project.csv("b.csv", "id,x", "1,B", "3,B")
        other = project.merge("t", source="b.csv", name="other")
        once_before(DeltaTable, "commit", lambda: project.load(other))
        project.load(one)
        assert project.rows(one, "id", "x", "y") == [(1, "A", "Y"), (2, "b", None), (3, "B", None)]

    @pytest.mark.parametrize("first", [(), ("k",)])
    def test_a_table_created_with_other_partitions(
        self, project: Project, once_before: Any, first: tuple[str, ...]
    ) -> None:
        """Files laid out for other partitions never get in: nothing would say what their values are."""
        project.csv("a.csv", "id,k", "1,p")
        project.csv("b.csv", "id,k", "2,q")
        one = project.flow("t", source="a.csv", name="one", partitions=() if first else ["k"])
        other = project.flow("t", source="b.csv", name="other", partitions=first)
        once_before(DeltaTable, "commit", lambda: project.load(other))
        (unit,) = project.run(one).units
        assert unit.status == "failed"
        assert unit.error is not None
        assert unit.error.code == "TG404"
        assert project.rows(one, "id", "k") == [(2, "q")]

    def test_a_table_replaced_during_a_load(self, project: Project, once_before: Any) -> None:
        """A load whose predecessors are gone from the table must not commit as if they were there."""
        project.csv("t/a.csv", "id", "1")
        flow = project.flow("t")
        project.load(flow)
        project.csv("t/b.csv", "id", "2")

        def replace_table() -> None:
            shutil.rmtree(str(flow.destination.path))
            made(flow, {"id": [9]})

        once_before(runner, "commit_change", replace_table)
        once_before(DeltaTable, "commit", _raise_stale)
        (unit,) = project.run(flow).units
        assert unit.status == "failed"
        assert unit.error is not None
        assert unit.error.code == "TG506"
        assert project.frame(flow)["id"].to_list() == [9]

    def test_a_table_that_takes_no_such_commit(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the table refuses for good fails at once, with the reason, instead of being tried again."""
        project.csv("a.csv", "id,x", "1,a")
        flow = project.merge("t", source="a.csv")
        project.load(flow)
        project.csv("a.csv", "id,x", "1,b")
        tries: list[object] = []

        def refuse(*_: object, **__: object) -> None:
            tries.append(1)
            message = "this table takes no such commit"
            raise DeltaError(message)

        monkeypatch.setattr(deltalake.DeltaTable, "create_write_transaction", refuse)
        error = project.fail(flow)
        assert (error.code, len(tries)) == ("TG401", 1)
        assert "takes no such commit" in error.message

    def test_an_append_only_table(self, project: Project) -> None:
        """Is refused by every load that removes rows, before it reads one; rows are still added."""
        project.csv("a.csv", "id,x", "1,a")
        project.load(project.flow("t", source="a.csv"))
        opened(project.flow("t")).alter.set_table_properties({"delta.appendOnly": "true"})
        error = project.fail(project.merge("t", source="a.csv", name="merge"))
        assert (error.code, "delta.appendOnly" in error.message) == ("TG407", True)
        project.csv("b.csv", "id,x", "2,b")
        project.load(project.flow("t", source="b.csv", name="more"))
        assert project.rows(project.flow("t"), "id") == [1, 2]

    def test_a_table_that_is_restored_while_a_load_is_under_way(self, project: Project, once_before: Any) -> None:
        """The load goes on from a position that is undone then: it is refused, and changes nothing."""
        flow = project.flow("t")
        for number in range(2):
            project.csv(f"t/{number}.csv", "id", str(number))
            project.load(flow)
        project.csv("t/2.csv", "id", "2")

        def restore() -> None:
            opened(flow).restore(0)

        once_before(DeltaTable, "commit", restore)
        (unit,) = project.run(flow).units
        assert unit.error is not None
        assert unit.error.code == "TG506"
        assert project.rows(flow, "id") == [0]

    def test_the_guard_stands_before_every_attempt(
        self, project: Project, once_before: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A load that may no longer commit does not, at whatever attempt that shows."""
        project.csv("a.csv", "id", "1")
        flow = project.flow("t", source="a.csv")
        looks: list[object] = []

        def guard() -> None:
            looks.append(True)
            if len(looks) == 2:
                raise InterruptedError

        original = commits.commit_change
        monkeypatch.setattr(runner, "commit_change", lambda *args, **_: original(*args, guard=guard))
        once_before(DeltaTable, "commit", _raise_stale)
        (unit,) = project.run(flow).units
        assert (unit.status, len(looks)) == ("failed", 2)
        assert not deltalake.DeltaTable.is_deltatable(str(flow.destination.path))


def _raise_stale() -> None:
    raise StaleSnapshotError


class TestStatistics:
    @pytest.mark.parametrize("compact", [True, False])
    @pytest.mark.parametrize(
        ("hint", "values"),
        [
            ("timestamp", [datetime(2024, 1, day, 0, 0, 0, 123456, tzinfo=UTC) for day in (1, 2, 3)]),
            ("timestamp", [datetime(1924, 1, day, 0, 0, 0, 123456, tzinfo=UTC) for day in (1, 2, 3)]),
            ("timestamp_ntz", [datetime(2024, 1, day, 0, 0, 0, 999999) for day in (1, 2, 3)]),  # noqa: DTZ001
            ("decimal(20,2)", [Decimal(f"{whole}.89") for whole in (12345678901234567, 2, 3)]),
            ("decimal(20,2)", [Decimal(f"{2**52 + step}.49") for step in (1, 2, 3)]),
            ("string", ["z" * 31 + "é" * 40, "z" * 100, "z" * 101]),
            ("double", [0.1 + 0.2, 1e300 / 3, -1 / 3]),
        ],
    )
    def test_keys_after_a_compaction(self, project: Project, hint: str, values: list[Any], *, compact: bool) -> None:
        """Statistics that another writer cut short do not hide the row that is to be replaced."""
        flow = project.merge("t", keys="k", format="parquet", hints={"k": hint})
        if compact:
            for number, value in enumerate(values):
                project.parquet(f"t/{number}.parquet", {"k": [value], "v": [1]})
                project.load(flow)
            assert opened(flow).optimize.compact()["numFilesAdded"] == 1
        else:
            project.parquet("t/0.parquet", {"k": values, "v": [1] * 3})
            project.load(flow)
            rows = opened(flow).to_pyarrow_table()
            deltalake.write_deltalake(str(flow.destination.path), rows, mode="overwrite")
        for number, value in enumerate(sorted(values, reverse=True)):
            project.parquet(f"t/again{number}.parquet", {"k": [value], "v": [2]})
            assert project.load(flow).rows_updated == 1
        assert project.rows(flow, "v") == [2, 2, 2]


class TestNeverBack:
    def test_an_older_row_of_a_later_load(self, project: Project) -> None:
        """A row that comes late does not replace a later one; many loads come to what one comes to."""
        flow = project.merge("t", watermark="at", lag=10)
        project.csv("t/a.csv", "id,at,v", "1,100,new", "2,100,new")
        project.load(flow)
        project.csv("t/b.csv", "id,at,v", "1,95,old", "2,105,newer", "3,95,first")
        assert project.load(flow).rows_updated == 1
        together = project.merge("u", source="t", watermark="at")
        project.load(together)
        assert project.rows(flow, "id", "v") == [(1, "new"), (2, "newer"), (3, "first")]
        assert project.rows(together, "id", "v") == project.rows(flow, "id", "v")

    def test_null_never_wins_over_a_value(self, project: Project) -> None:
        """A row without the order column replaces no row that has it, but one that lacks it too."""
        flow = project.merge("t", watermark="at", hints={"at": "bigint"})
        project.csv("t/a.csv", "id,at,v", "1,100,new", "2,,none")
        project.load(flow)
        project.csv("t/b.csv", "id,at,v", "1,,null", "2,,again")
        project.load(flow)
        assert project.rows(flow, "id", "v") == [(1, "new"), (2, "again")]

    def test_columns_are_compared_one_after_the_other(self, project: Project) -> None:
        """The second decides where the first is equal, under the names that the table has for them; ties are taken."""
        flow = project.merge("t", latest_data_columns=["Day", "Step"], rename_columns={"Step": "part"})
        project.csv("t/a.csv", "id,Day,Step,v", *(f"{key},2,2,old" for key in range(1, 6)))
        project.load(flow)
        project.csv("t/b.csv", "id,Day,Step,v", "1,1,9,new", "2,2,1,new", "3,2,2,new", "4,2,3,new", "5,3,0,new")
        assert project.load(flow).rows_updated == 3
        assert project.rows(flow, "v") == ["new", "new", "new", "old", "old"]

    def test_a_load_of_nothing_but_older_rows(self, project: Project) -> None:
        """Files without a row that is replaced are not rewritten, and the position moves all the same."""
        flow = project.merge("t", latest_data_columns=["at"])
        project.csv("t/a.csv", "id,at", "1,5", "2,5")
        project.load(flow)
        before = opened(flow).file_uris()
        project.csv("t/b.csv", "id,at", "1,4", "2,4")
        unit = project.load(flow)
        assert (unit.rows_updated, unit.sequence, opened(flow).file_uris()) == (0, 2, before)
        assert project.load(flow).rows_in == 0

    def test_columns_that_the_batch_lacks_are_kept(self, project: Project) -> None:
        """What older rows are left out of does not change what replaced ones keep."""
        project.csv("a.csv", "id,at,old", "1,1,x", "2,5,y")
        flow = project.merge("t", source="a.csv", latest_data_columns=["at"])
        project.load(flow)
        project.csv("b.csv", "id,at,v", "1,2,n", "2,2,n", "3,2,n")
        other = project.merge("t", source="b.csv", name="other", latest_data_columns=["at"])
        assert project.load(other).rows_updated == 1
        assert project.rows(flow, "id", "at", "old", "v") == [(1, 2, "x", "n"), (2, 5, "y", None), (3, 2, None, "n")]

    def test_an_order_that_is_computed_anew(self, project: Project) -> None:
        """A column that a later step overwrites says nothing about which row is the later one."""
        flow = project.merge(
            "t", latest_data_columns=["at"], additional_columns=[{"column": "at", "expression": "0 - at"}]
        )
        project.csv("t/a.csv", "id,at", "1,5")
        project.load(flow)
        project.csv("t/b.csv", "id,at", "1,6")
        project.load(flow)
        assert project.rows(flow, "at") == [-6]


class TestPartitions:
    def test_empty_text_is_null(self, project: Project) -> None:
        """A partition column keeps empty text as NULL, so a key of it meets itself again."""
        flow = project.merge("t", source="a.parquet", format="parquet", keys="k", partitions=["k"])
        for number in range(2):
            project.parquet("a.parquet", {"k": ["", "b"], "v": [number, number]})
            project.load(flow)
            assert project.rows(flow, "k", "v") == [(None, number), ("b", number)]

    def test_empty_text_and_null_are_one_key(self, project: Project) -> None:
        """Two rows that the table keeps under one key are refused."""
        project.parquet("a.parquet", {"k": ["", None], "v": [1, 2]})
        flow = project.merge("t", source="a.parquet", format="parquet", keys="k", partitions=["k"])
        assert project.fail(flow).code == "TG410"

    @pytest.mark.parametrize("load_type", ["append", "overwrite"])
    def test_empty_text_of_other_loads(self, project: Project, load_type: str) -> None:
        """Whatever the load type, the log says NULL, and the file lies where NULL lies."""
        project.parquet("a.parquet", {"k": ["", None], "v": [1, 2]})
        flow = project.flow("t", source="a.parquet", format="parquet", partitions=["k"], load_type=load_type)
        project.load(flow)
        assert [Path(uri).parent.name for uri in opened(flow).file_uris()] == ["k=__HIVE_DEFAULT_PARTITION__"]

    @pytest.mark.never(DATABASES, reason="rows of a database lie in no folders")
    def test_binary(self, any_project: Project) -> None:
        """Bytes have no text that a path could hold."""
        any_project.parquet("a.parquet", {"k": [b"x"], "v": [1]})
        flow = any_project.flow("t", source="a.parquet", format="parquet", partitions=["k"])
        assert any_project.fail(flow).code == "TG403"


class TestKeys:
    def test_keys_that_the_table_rounds(self, project: Project) -> None:
        """Keys that become one only by the table's type are noticed, though the dedupe saw two."""
        project.parquet(
            "a.parquet", pl.DataFrame({"k": pl.Series([1, 2]).cast(pl.Datetime("ns")), "at": [1, 2], "v": ["a", "b"]})
        )
        flow = project.merge("t", source="a.parquet", format="parquet", keys="k", watermark="at")
        assert project.fail(flow).code == "TG410"

    @pytest.mark.parametrize(("missing", "transform"), [("k", {"keys": "k"}), ("at", {"latest_data_columns": ["at"]})])
    def test_columns_that_decide_are_never_left_out(
        self, project: Project, missing: str, transform: dict[str, Any]
    ) -> None:
        """A missing column may be ignored where it is wanted, not where rows are told apart by it."""
        project.csv("a.csv", "id,t", "1,1", "1,2")
        flow = project.merge(
            "t",
            source="a.csv",
            additional_columns=[{"column": missing, "expression": "t * 10"}],
            configure={"missing_column_policy": "ignore"},
            **({"watermark": "t"} | transform),
        )
        error = project.fail(flow)
        assert (error.code, f"'{missing}'" in error.message) == ("TG302", True)


class TestRules:
    @pytest.mark.parametrize(
        ("field", "rule"),
        [
            ({"nullable": False}, "not null"),
            ({"metadata": {"delta.invariants": '{"expression":{"expression":"id > 0"}}'}}, "delta.invariants"),
            ({"metadata": {"delta.generationExpression": "1 + 1"}}, "delta.generationExpression"),
            ({"metadata": {"delta.identity.start": 1}}, "delta.identity.start"),
        ],
    )
    def test_rules_for_values(self, project: Project, field: dict[str, Any], rule: str) -> None:
        """A table that demands something of its values is refused before anything is written."""
        flow = project.flow("t", source="a.csv")
        made(flow, {"id": [1]})
        log = Path(str(flow.destination.path), "_delta_log", f"{0:020d}.json")
        entries = [json.loads(line) for line in log.read_text().splitlines()]
        for entry in entries:
            if "metaData" in entry:
                schema = json.loads(entry["metaData"]["schemaString"])
                schema["fields"][0] |= field
                entry["metaData"]["schemaString"] = json.dumps(schema)
        log.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        project.csv("a.csv", "id", "2")
        error = project.fail(flow)
        assert (error.code, rule in error.message) == ("TG407", True)

    def test_a_change_feed(self, project: Project) -> None:
        """A merge would tell the change feed of rows that it only moves; an append may go in."""
        flow = project.merge("t", source="a.csv")
        made(flow, {"id": [1]}, configuration={"delta.enableChangeDataFeed": "true"})
        project.csv("a.csv", "id", "2")
        assert project.fail(flow).code == "TG407"
        project.load(project.flow("t", source="a.csv", name="other"))
        assert project.rows(flow, "id") == [1, 2]


class TestTypes:
    @pytest.mark.parametrize(
        ("dtype", "into", "expected"),
        [
            (pa.uint64(), pa.int64(), False),
            (pa.uint32(), pa.int64(), True),
            (pa.int8(), pa.uint8(), False),
            (pa.int8(), pa.uint64(), False),
            (pa.uint8(), pa.uint8(), True),
            (pa.uint64(), pa.decimal128(19, 0), False),
            (pa.uint64(), pa.decimal128(20, 0), True),
            (pa.int64(), pa.decimal128(19, 0), True),
        ],
    )
    def test_signs(self, dtype: pa.DataType, into: pa.DataType, *, expected: bool) -> None:
        """A type fits into another when all its values do, negative and great ones too."""
        assert fits(dtype, into) is expected

    def test_types_that_a_folder_cannot_remember(self, tmp_path: Path) -> None:
        """A type that the log cannot name is refused by the first load, not by all later ones."""
        project = Project(tmp_path, "parquet")
        project.parquet("a.parquet", pl.DataFrame({"k": pl.Series([5]).cast(pl.Duration("us"))}))
        assert project.fail(project.flow("t", source="a.parquet", format="parquet")).code == "TG403"

    @pytest.mark.parametrize("destination", ["parquet", "iceberg"])
    def test_times_of_day_are_loaded_again_and_again(self, tmp_path: Path, destination: str) -> None:
        """The position names their type, so that the second load reads it back."""
        project = Project(tmp_path, destination)
        flow = project.flow(format="parquet")
        for number in range(2):
            rows = pl.DataFrame({"k": [number], "t": [time(8, number, 0, 5)]})
            project.parquet(f"events/{number}.parquet", rows)
            project.load(flow)
        assert project.rows(flow, "k", "t") == [(0, time(8, 0, 0, 5)), (1, time(8, 1, 0, 5))]


class TestCleanUp:
    def test_what_cannot_be_removed_does_not_fail_a_load(
        self, project: Project, once_before: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When the rows are in, the load has succeeded, whatever becomes of its scratch files."""
        flow = project.merge("t")
        project.csv("t/a.csv", "id,v", "1,a")
        project.load(flow)
        project.csv("t/b.csv", "id,v", "1,b")
        remove, committed = LocalPlatform.remove, []

        def broken(platform: LocalPlatform, path: str) -> None:
            if committed:
                raise DestinationError("it is in use", where=path)
            remove(platform, path)

        commit = DeltaTable.commit
        monkeypatch.setattr(DeltaTable, "commit", lambda *args: (commit(*args), committed.append(1))[0])
        monkeypatch.setattr(LocalPlatform, "remove", broken)
        once_before(DeltaTable, "commit", lambda: (committed.append(1), _raise_stale()))
        project.load(flow)
        assert project.rows(flow, "id", "v") == [(1, "b")]
