"""merge_upsert on Delta: identity is the merge keys, and only what is touched is rewritten."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pytest

from tests.behaviour.project import Project
from tidegate import DataFlow


def live_files(flow: DataFlow) -> set[str]:
    """Return the names of the files that make up the table."""
    return {Path(uri).name for uri in deltalake.DeltaTable(str(flow.destination.path)).file_uris()}


class TestIdentity:
    def test_a_row_that_changes_its_partition_is_one_row(self, project: Project) -> None:
        """Partition columns are no part of a row's identity (defect 9)."""
        project.csv("events/a.csv", "id,city", "1,Oslo", "2,Oslo")
        flow = project.merge(partitions=["city"])
        project.load(flow)
        project.csv("events/b.csv", "id,city", "1,Bergen")
        assert project.load(flow).rows_updated == 1
        assert project.rows(flow, "id", "city") == [(1, "Bergen"), (2, "Oslo")]

    def test_to_and_from_the_null_partition(self, project: Project) -> None:
        """NULL is a partition like another."""
        flow = project.merge(partitions=["city"], hints={"city": "string"})
        for number, city in enumerate(["Oslo", "", "Bergen"]):
            project.csv(f"events/{number}.csv", "id,city", f"1,{city}")
            project.load(flow)
            assert project.rows(flow, "city") == [city or None]

    def test_null_keys_match_each_other(self, project: Project) -> None:
        """A NULL in a key is a value like others: updated, not inserted again each run (defect 12)."""
        flow = project.merge(keys=["a", "b"], hints={"a": "bigint", "b": "string"})
        for number in range(3):
            project.csv(f"events/{number}.csv", "a,b,v", f",x,{number}", f"1,,{number}", f",,{number}", f"1,x,{number}")
            project.load(flow)
        assert project.rows(flow, "a", "b", "v") == [(None, None, 2), (None, "x", 2), (1, None, 2), (1, "x", 2)]

    def test_a_key_twice_in_a_batch_is_an_error(self, project: Project) -> None:
        """Which of two rows is right would be chance: refused on the first load and on later ones (defect 12)."""
        flow = project.merge()
        project.csv("events/a.csv", "id,v", "1,a", "1,b")
        error = project.fail(flow)
        assert (error.code, "id=1" in error.message) == ("TG410", True)
        project.csv("events/a.csv", "id,v", "1,a")
        project.load(flow)
        project.csv("events/b.csv", "id,v", "2,a", "2,a")
        assert project.fail(flow).code == "TG410"
        assert project.rows(flow, "id") == [1]

    def test_null_twice_in_a_batch_is_an_error(self, project: Project) -> None:
        """Two rows without a key have one key."""
        project.csv("events.csv", "id,v", ",a", ",b")
        assert project.fail(project.merge(hints={"id": "bigint"})).code == "TG410"

    def test_a_key_that_is_computed_after_the_dedupe(self, project: Project) -> None:
        """Keys that become equal only by a later step are still noticed."""
        project.csv("events.csv", "id,v", "A,1", "a,2")
        flow = project.merge(
            latest_data_columns=["v"], additional_columns=[{"column": "id", "expression": "lower(id)"}]
        )
        assert project.fail(flow).code == "TG410"

    def test_unless_dedupe_says_which_wins(self, project: Project) -> None:
        """With an order declared, the greatest wins."""
        project.csv("events.csv", "id,v,at", "1,new,2", "1,old,1")
        flow = project.merge(latest_data_columns=["at"])
        project.load(flow)
        assert project.rows(flow, "v") == ["new"]

    def test_a_key_that_is_not_there(self, project: Project) -> None:
        """A merge key that the source lacks is an error that suggests one."""
        project.csv("events.csv", "order_id,v", "1,a")
        error = project.fail(project.merge(keys=["orderid"]))
        assert (error.code, "order_id" in str(error.hint)) == ("TG302", True)

    @pytest.mark.parametrize(
        ("hint", "values"),
        [
            ("decimal(38,10)", [Decimal("1.5"), Decimal("12345678901234567890.0000000001")]),
            ("timestamp", [datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)]),
            ("date", [date(1600, 1, 1), date(9999, 12, 31)]),
            ("double", [0.1, 1e300]),
            ("string", ["z" * 100, "z" * 101]),
            ("boolean", [True, False]),
            ("binary", [b"\x00", b"\xff"]),
        ],
    )
    def test_keys_of_every_type(self, project: Project, hint: str, values: list[Any]) -> None:
        """Whatever the type, a key meets itself again, through statistics and through partitions."""
        project.parquet("events/a.parquet", {"k": values, "v": [1, 1]})
        flow = project.merge(keys="k", format="parquet", hints={"k": hint}, write_options={"max_rows_per_file": 1})
        project.load(flow)
        for number, value in enumerate(values):
            project.parquet(f"events/b{number}.parquet", {"k": [value], "v": [2]})
            assert project.load(flow).rows_updated == 1
        assert project.rows(flow, "v") == [2, 2]

    def test_not_a_number_is_one_key(self, project: Project) -> None:
        """NaN equals NaN as a key, though no statistics show it."""
        project.parquet("events/a.parquet", {"k": [1.0, float("nan"), 2.0], "v": [1, 1, 1]})
        flow = project.merge(keys="k", format="parquet")
        project.load(flow)
        project.parquet("events/b.parquet", {"k": [float("nan"), 50.0], "v": [2, 2]})
        project.load(flow)
        assert sorted(project.frame(flow)["v"]) == [1, 1, 2, 2]


class TestWhatStays:
    def test_created_at_stays_and_updated_at_moves(self, project: Project) -> None:
        """A merge keeps when a row came, and says when and by which run it changed."""
        project.csv("events/a.csv", "id", "1", "2")
        flow = project.merge()
        first = project.load(flow)
        before = project.frame(flow, system=True).sort("id")
        project.csv("events/b.csv", "id", "1", "3")
        second = project.load(flow)
        after = project.frame(flow, system=True).sort("id")
        assert after["__created_at"].to_list()[:2] == before["__created_at"].to_list()
        assert after["__updated_at"][1] == before["__updated_at"][1] < after["__updated_at"][0]
        assert after["__dataflow_run_id"].to_list() == [second.run_id, first.run_id, second.run_id]
        assert after["__updated_by"].to_list() == ["tidegate"] * 3
        assert after["__created_at"][2] == after["__updated_at"][2]

    def test_new_columns_evolve_and_missing_ones_keep_their_values(self, project: Project) -> None:
        """A new column is added; a column that the batch lacks keeps what it had (defect 13)."""
        project.csv("events/a.csv", "id,old", "1,x", "2,y")
        flow = project.merge()
        project.load(flow)
        project.csv("wide.csv", "id,new", "2,N", "3,N")
        project.load(project.merge(source="wide", name="wide"))
        assert project.rows(flow, "id", "old", "new") == [(1, "x", None), (2, "y", "N"), (3, None, "N")]

    def test_other_writers_rows_are_kept(self, project: Project) -> None:
        """Rows that another tool appended to the table are merged like ours."""
        project.csv("events/a.csv", "id,v", "1,a")
        flow = project.merge()
        project.load(flow)
        theirs = pl.DataFrame({"id": [1, 7], "v": ["theirs", "theirs"]}).to_arrow()
        deltalake.write_deltalake(str(flow.destination.path), theirs, mode="append", schema_mode="merge")
        project.csv("events/b.csv", "id,v", "1,b", "2,b")
        project.load(flow)
        assert project.rows(flow, "id", "v") == [(1, "b"), (2, "b"), (7, "theirs")]

    def test_a_table_without_tidegate_is_taken_over(self, project: Project) -> None:
        """A flow may merge into a table that others made."""
        project.csv("events.csv", "id,v", "1,a", "2,a")
        flow = project.merge()
        Path(str(flow.destination.path)).mkdir(parents=True)
        deltalake.write_deltalake(str(flow.destination.path), pl.DataFrame({"id": [2, 3], "v": ["x", "x"]}).to_arrow())
        project.load(flow)
        assert project.rows(flow, "id", "v") == [(1, "a"), (2, "a"), (3, "x")]


class TestOnlyTouchedFiles:
    def test_untouched_files_stay_in_the_table(self, project: Project) -> None:
        """A merge into one of ten files rewrites one file (defect 19)."""
        project.parquet("events/a.parquet", {"id": range(1000), "v": [0] * 1000})
        flow = project.merge(format="parquet", write_options={"max_rows_per_file": 100})
        project.load(flow)
        before = live_files(flow)
        assert len(before) == 10
        project.parquet("events/b.parquet", {"id": [555], "v": [1]})
        project.load(flow)
        assert len(before & live_files(flow)) == 9
        assert project.frame(flow)["v"].sum() == 1
        assert project.frame(flow).height == 1000

    def test_only_new_keys_rewrite_nothing(self, project: Project) -> None:
        """Rows that are all new are only added, though their keys lie between others."""
        project.parquet("events/a.parquet", {"id": range(0, 1000, 2), "v": [0] * 500})
        flow = project.merge(format="parquet", write_options={"max_rows_per_file": 100})
        project.load(flow)
        before = live_files(flow)
        project.parquet("events/b.parquet", {"id": [1, 501, 2001], "v": [1, 1, 1]})
        report = project.load(flow)
        assert (report.rows_out, report.rows_updated) == (3, 0)
        assert before < live_files(flow)

    def test_random_merges_match_a_dictionary(self, project: Project) -> None:
        """Twenty rounds over a partitioned table of many files, against a dictionary."""
        flow = project.merge(format="parquet", partitions=["part"], write_options={"max_rows_per_file": 7})
        table: dict[int, tuple[int, int]] = {}
        keys = pl.Series(range(200)).shuffle(seed=3).to_list() * 2
        for number in range(20):
            batch = {key: ((key + number) % 3, number) for key in keys[number * 17 : number * 17 + 40]}
            table.update(batch)
            project.parquet(
                f"events/{number}.parquet",
                {
                    "id": list(batch),
                    "part": [row[0] for row in batch.values()],
                    "v": [row[1] for row in batch.values()],
                },
            )
            project.load(flow)
        assert project.rows(flow, "id", "part", "v") == sorted((key, *row) for key, row in table.items())
