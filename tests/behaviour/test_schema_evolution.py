"""What evolves a schema: types of every kind, races, deaths, and what other readers make of it."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import deltalake
import duckdb
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.behaviour.project import Project, data_files, iceberg_table, tree
from tests.behaviour.test_recovery import paused
from tidegate import DataFlow
from tidegate.destinations import evolution
from tidegate.destinations.evolution import Evolution
from tidegate.destinations.files import FileTable

TABLES = ("delta", "iceberg")
TYPED = (*TABLES, "parquet")


def made(project: Project, name: str, columns: dict[str, Any] | pl.DataFrame, **options: Any) -> DataFlow:
    """Write the file of a flow into table `t`, and return the flow."""
    project.parquet(f"{name}.parquet", columns)
    return project.flow("t", source=name, name=name, format="parquet", **options)


def column_type(flow: DataFlow, column: str) -> pa.DataType:
    """Return a column's type as the table format has it."""
    if flow.destination.connection.format == "delta":  # type: ignore[union-attr]
        return pa.schema(deltalake.DeltaTable(str(flow.destination.path)).schema()).field(column).type
    return iceberg_table(flow).schema().as_arrow().field(column).type


def series(dtype: Any, *values: Any) -> pl.Series:
    """Return values of a type."""
    return pl.Series(values, dtype=dtype)


POINT = pl.Struct({"x": pl.Int32})
WIDE_POINT = pl.Struct({"x": pl.Int64, "y": pl.String})


class TestTypes:
    @pytest.mark.parametrize("load_type", ["append", "merge_upsert"])
    @pytest.mark.parametrize("to", TYPED)
    @pytest.mark.parametrize(
        ("narrow", "wide"),
        [
            pytest.param(series(pl.Int32, 1), series(pl.Int64, 2**40), id="int to bigint"),
            pytest.param(series(pl.Float32, 0.5), series(pl.Float64, 0.1), id="float to double"),
            pytest.param(series(pl.Int32, 1), series(pl.Float64, 0.1), id="int to double"),
            pytest.param(series(pl.Int32, 1), series(pl.Decimal(20, 2), Decimal("1.25")), id="int to decimal"),
            pytest.param(
                series(pl.Decimal(10, 2), Decimal("1.25")),
                series(pl.Decimal(14, 2), Decimal("123456789012.25")),
                id="more digits",
            ),
            pytest.param(
                series(pl.Decimal(10, 2), Decimal("12345678.25")),
                series(pl.Decimal(10, 4), Decimal("1.2525")),
                id="more digits after the point",
            ),
            pytest.param(series(POINT, {"x": 1}), series(WIDE_POINT, {"x": 2**40, "y": "b"}), id="struct"),
            pytest.param(series(pl.List(pl.Int32), [1, 2]), series(pl.List(pl.Int64), [2**40]), id="list"),
            pytest.param(
                series(pl.List(POINT), [{"x": 1}]),
                series(pl.List(WIDE_POINT), [{"x": 2, "y": "b"}]),
                id="list of structs",
            ),
        ],
    )
    def test_a_wider_type_of_each_kind(
        self, tmp_path: Path, to: str, load_type: str, narrow: pl.Series, wide: pl.Series
    ) -> None:
        """Old and new values are what they were, in one type."""
        if to == "parquet" and load_type == "merge_upsert":
            load_type = "overwrite"
        project = Project(tmp_path, to)
        options: dict[str, Any] = {"load_type": load_type, "keys": ["id"] if load_type == "merge_upsert" else []}
        first = made(project, "first", pl.DataFrame({"id": [1], "v": narrow}), **options)
        project.load(first)
        project.load(made(project, "second", pl.DataFrame({"id": [2], "v": wide}), **options))
        frame = project.frame(first).sort("id")
        expected = pl.DataFrame({"id": [1], "v": narrow}), pl.DataFrame({"id": [2], "v": wide})
        rows = expected[1:] if load_type == "overwrite" else expected
        assert frame.select("id", "v").rows() == [_filled(row) for part in rows for row in part.rows()]

    @pytest.mark.parametrize("to", [*TYPED, "jsonl"])
    def test_ignore_drops_new_fields_of_structs(self, tmp_path: Path, to: str) -> None:
        """A field that the table's struct lacks is a column that is left out; the others are converted strictly."""
        project = Project(tmp_path, to)
        first = made(project, "first", pl.DataFrame({"id": [1], "v": series(POINT, {"x": 1})}))
        project.load(first)
        ignoring: dict[str, Any] = {"settings": {"schema_policy": "ignore"}}
        second = pl.DataFrame({"id": [2, 3], "v": series(WIDE_POINT, {"x": 2, "y": "b"}, None)})
        report = project.load(made(project, "second", second, **ignoring))
        assert "left out column v.y" in str(report.detail)
        assert project.rows(first, "id", "v")[:2] == [(1, {"x": 1}), (2, {"x": 2})]
        third = pl.DataFrame({"id": [3], "v": series(WIDE_POINT, {"x": 2**40, "y": "b"})})
        error = project.fail(made(project, "third", third, **ignoring))
        assert (error.code, "column 'v': a value is not struct<x: int>" in error.message) == ("TG415", True)

    @pytest.mark.parametrize(
        ("there", "found", "where"),
        [
            pytest.param(series(pl.Float32, 0.5, 1), series(pl.Float64, 0.25, 0.1), "row 2, column v", id="float"),
            pytest.param(
                series(pl.Decimal(10, 2), Decimal(1), Decimal(2)),
                series(pl.Decimal(12, 4), Decimal("1.25"), Decimal("1.2525")),
                "row 2, column v",
                id="decimal",
            ),
            pytest.param(series(pl.Int32, 1, 2), series(pl.Float64, 1.0, 1.5), "row 2, column v", id="int"),
        ],
    )
    def test_ignore_rounds_nothing(self, project: Project, there: pl.Series, found: pl.Series, where: str) -> None:
        """A value is taken as it is, or the load fails and says where it is."""
        first = made(project, "first", pl.DataFrame({"id": [1, 2], "v": there}))
        project.load(first)
        ignoring: dict[str, Any] = {"settings": {"schema_policy": "ignore"}}
        error = project.fail(made(project, "second", pl.DataFrame({"id": [3, 4], "v": found}), **ignoring))
        assert (error.code, str(error.where).endswith(where)) == ("TG206", True)
        project.load(made(project, "second", pl.DataFrame({"id": [3], "v": found[:1]}), **ignoring))
        assert project.rows(first, "id", "v")[-1] == (3, found[0])

    def test_ignore_names_a_computed_column_too(self, project: Project) -> None:
        """A value that no column of the source holds is named by column and destination."""
        project.load(
            made(project, "first", {"id": pl.Series([1], dtype=pl.Int32), "v": pl.Series([1], dtype=pl.Int32)})
        )
        computed = {"additional_columns": [{"column": "v", "expression": "CAST(id AS BIGINT) * 3000000000"}]}
        flow = made(
            project,
            "second",
            {"id": pl.Series([2], dtype=pl.Int32)},
            settings={"schema_policy": "ignore"},
            **computed,
        )
        error = project.fail(flow)
        assert (error.code, "column 'v': a value is not int" in error.message) == ("TG415", True)

    def test_a_renamed_column_is_found_in_the_source(self, project: Project) -> None:
        """The place is that of the source, under its own name."""
        project.load(made(project, "first", {"id": pl.Series([1], dtype=pl.Int32)}))
        renamed: dict[str, Any] = {"rename_columns": {"Key": "id"}, "settings": {"schema_policy": "ignore"}}
        error = project.fail(made(project, "second", {"Key": [2**40]}, **renamed))
        assert (error.code, str(error.where).endswith("second.parquet, row 1, column Key")) == ("TG206", True)

    def test_a_csv_source(self, project: Project) -> None:
        """Numbers of text files are checked against the table in the same way."""
        project.load(made(project, "first", {"id": pl.Series([1], dtype=pl.Int32)}))
        project.csv("second.csv", "id", "2", str(2**40))
        flow = project.flow("t", source="second", name="second", settings={"schema_policy": "ignore"})
        error = project.fail(flow)
        assert (error.code, str(error.where).endswith("second.csv, row 2, column id")) == ("TG206", True)

    @pytest.mark.parametrize("load_type", ["append", "overwrite"])
    def test_times_without_a_zone_in_an_old_delta_table(self, project: Project, load_type: str) -> None:
        """They need a newer protocol of the table, which the same commit brings; what it implied stays."""
        path = project.destination_root / "t"
        path.parent.mkdir(parents=True)
        deltalake.write_deltalake(
            str(path), pa.table({"id": [1]}), configuration={"delta.enableChangeDataFeed": "true"}
        )
        flow = made(project, "first", {"id": [2], "at": [datetime(2024, 1, 1)]}, load_type=load_type)  # noqa: DTZ001
        project.load(flow)
        table = deltalake.DeltaTable(str(path))
        assert table.version() == 1
        assert set(table.protocol().writer_features or ()) >= {"timestampNtz", "changeDataFeed", "appendOnly"}
        assert (2, datetime(2024, 1, 1)) in project.rows(flow, "id", "at")  # noqa: DTZ001
        project.load(made(project, "second", {"id": [3], "at": [datetime(2024, 1, 2)]}, load_type=load_type))  # noqa: DTZ001

    def test_what_a_delta_table_says_of_its_columns_stays(self, project: Project) -> None:
        """Comments of columns, and the table's name, survive a new column and a wider one."""
        flow = made(project, "first", {"id": pl.Series([1], dtype=pl.Int32)})
        project.load(flow)
        table = deltalake.DeltaTable(str(flow.destination.path))
        table.alter.set_column_metadata("id", {"comment": "the key"})
        table.alter.set_table_name("points")
        project.load(made(project, "second", {"id": [2**40], "v": [1]}))
        table = deltalake.DeltaTable(str(flow.destination.path))
        assert table.schema().fields[0].metadata == {"comment": "the key"}
        assert table.metadata().name == "points"

    def test_a_merge_key_is_not_left_out(self, project: Project) -> None:
        """Without it there is nothing to merge by: refused before anything is written."""
        project.load(made(project, "first", {"id": [1]}))
        ignoring: dict[str, Any] = {"load_type": "merge_upsert", "keys": ["k"], "settings": {"schema_policy": "ignore"}}
        assert project.fail(made(project, "second", {"id": [2], "k": [1]}, **ignoring)).code == "TG302"

    @pytest.mark.parametrize("to", TABLES)
    def test_spelling_is_no_difference(self, tmp_path: Path, to: str) -> None:
        """`City` is the table's `city`, under `fail` too."""
        project = Project(tmp_path, to)
        project.load(made(project, "first", {"id": [1], "city": ["Oslo"]}))
        flow = made(project, "second", {"ID": [2], "City": ["Bergen"]}, settings={"schema_policy": "fail"})
        project.load(flow)
        assert project.rows(flow, "id", "city") == [(1, "Oslo"), (2, "Bergen")]


class TestPartitions:
    @pytest.mark.parametrize(
        ("to", "load_type"),
        [
            *((to, load_type) for to in TABLES for load_type in ("append", "overwrite", "merge_upsert")),
            ("parquet", "append"),
            ("parquet", "overwrite"),
        ],
    )
    def test_a_partition_column_that_is_missing(self, tmp_path: Path, to: str, load_type: str) -> None:
        """Its rows go to the NULL partition; a merge lets rows stay in theirs."""
        project = Project(tmp_path, to)
        options: dict[str, Any] = {"load_type": load_type, "keys": ["id"] if load_type == "merge_upsert" else []}
        first = made(project, "first", {"id": [1, 2], "city": ["Oslo", "Oslo"]}, partitions=["city"], **options)
        project.load(first)
        project.load(made(project, "second", {"id": [2, 3]}, **options))
        expected = {
            "append": [(1, "Oslo"), (2, None), (2, "Oslo"), (3, None)],
            "overwrite": [(2, None), (3, None)],
            "merge_upsert": [(1, "Oslo"), (2, "Oslo"), (3, None)],
        }
        assert project.rows(first, "id", "city") == expected[load_type]

    @pytest.mark.parametrize("to", ["delta", "parquet"])
    def test_a_partitioned_table_is_rewritten_in_its_partitions(self, tmp_path: Path, to: str) -> None:
        """Whatever the partition values are, they stay, and files of other names take the place of the old."""
        project = Project(tmp_path, to)
        cities = ["a b/ü%=", "O'x", None, "~!@#$&()+,;:?[]{}|^`\\", "1"]
        first = made(
            project,
            "first",
            {"id": series(pl.Int32, *range(5)), "city": cities},
            partitions=["city"],
            load_type="append",
        )
        project.load(first)
        project.load(made(project, "second", {"id": [2**40], "city": ["1"]}))
        assert project.rows(first, "id", "city") == [*enumerate(cities), (2**40, "1")]

    def test_a_delta_partition_column_becomes_wider(self, project: Project) -> None:
        """Its values are text in the log: they stay what they are."""
        narrow = {"id": [1, 2], "part": series(pl.Int32, 7, None)}
        first = made(project, "first", narrow, partitions=["part"])
        project.load(first)
        project.load(made(project, "second", {"id": [3], "part": [2**40]}))
        assert project.rows(first, "id", "part") == [(1, 7), (2, None), (3, 2**40)]

    def test_an_iceberg_partition_column_does_not(self, tmp_path: Path) -> None:
        """Refused, with both types."""
        project = Project(tmp_path, "iceberg")
        narrow = {"id": [1, 2], "part": series(pl.Int32, 7, None)}
        project.load(made(project, "first", narrow, partitions=["part"]))
        error = project.fail(made(project, "second", {"id": [3], "part": [2**40]}))
        assert (error.code, "'part' is bigint, but int" in error.message) == ("TG403", True)


class TestOneCommit:
    @pytest.mark.parametrize("load_type", ["append", "merge_upsert"])
    def test_a_delta_log_has_one_entry(self, project: Project, load_type: str) -> None:
        """Schema, rows, sequence and position come in one entry, for new columns and for wider ones."""
        options: dict[str, Any] = {"load_type": load_type, "keys": ["id"] if load_type == "merge_upsert" else []}
        first = made(project, "first", {"id": [1, 2], "n": series(pl.Int32, 1, 2)}, **options)
        project.load(first)
        second = made(project, "second", {"id": [2, 3], "n": series(pl.Int32, 3, 4), "x": ["a", "b"]}, **options)
        project.load(second)
        third = made(project, "third", {"id": [3, 4], "n": [2**40, 5], "x": ["c", "d"]}, **options)
        project.load(third)
        log = sorted(Path(str(first.destination.path), "_delta_log").glob("*.json"))
        assert len(log) == 3
        for entry, flow in zip(log[1:], [second, third], strict=True):
            actions = [json.loads(line) for line in entry.read_text().splitlines()]
            kinds = [next(iter(action)) for action in actions]
            assert {"commitInfo", "metaData", "txn", "add"} <= set(kinds)
            assert next(action["txn"] for action in actions if "txn" in action)["appId"] == flow.dataflow_id
        history = deltalake.DeltaTable(str(first.destination.path)).history()
        assert [entry["tidegate"]["name"] for entry in history] == ["third", "second", "first"]

    def test_other_readers_of_delta(self, project: Project) -> None:
        """pyarrow, Polars and DuckDB over the files of the log read one type and the same rows."""
        first = made(project, "first", {"id": series(pl.Int32, 1, 2), "k": ["a b", None]}, partitions=["k"])
        project.load(first)
        project.load(made(project, "second", {"id": [2**40], "k": ["a b"], "x": ["new"]}))
        project.load(made(project, "third", {"id": [4], "k": ["ü"], "x": ["more"]}))
        path = str(first.destination.path)
        table = deltalake.DeltaTable(path)
        expected = [(1, "a b", None), (2, None, None), (4, "ü", "more"), (2**40, "a b", "new")]
        assert sorted(pl.read_delta(path).select("id", "k", "x").rows()) == expected
        arrow = table.to_pyarrow_dataset().to_table(columns=["id", "k", "x"])
        assert sorted(pl.DataFrame(pl.from_arrow(arrow)).rows()) == expected
        files = _files_on_disk(table, path)
        assert {parquet.read_schema(file).field("id").type for file in files} == {pa.int64()}
        ids = duckdb.sql(f"SELECT id, x FROM read_parquet({files!r}, union_by_name = true)").fetchall()
        assert sorted(ids) == [(key, x) for key, _, x in expected]

    def test_a_delta_table_after_a_checkpoint(self, project: Project) -> None:
        """The entry is understood by what condenses the log, and removed files stay removed."""
        options: dict[str, Any] = {"load_type": "merge_upsert", "keys": ["id"], "partitions": ["k"]}
        first = made(project, "first", {"id": [1, 2], "k": ["a b/ü%=", "~!'()*"]}, **options)
        project.load(first)
        project.load(made(project, "second", {"id": [1], "k": ["a b/ü%="], "x": ["new"]}, **options))
        project.load(made(project, "third", {"id": [1, 2], "k": ["a b/ü%=", "~!'()*"], "x": ["y", "z"]}, **options))
        table = deltalake.DeltaTable(str(first.destination.path))
        table.create_checkpoint()
        assert project.rows(first, "id", "k", "x") == [(1, "a b/ü%=", "y"), (2, "~!'()*", "z")]
        table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
        assert project.rows(first, "id", "k", "x") == [(1, "a b/ü%=", "y"), (2, "~!'()*", "z")]

    def test_an_append_only_table_is_not_rewritten(self, project: Project) -> None:
        """A table that keeps all its rows refuses, and no file of the attempt stays."""
        first = made(project, "first", {"id": series(pl.Int32, 1)})
        project.load(first)
        deltalake.DeltaTable(str(first.destination.path)).alter.set_table_properties({"delta.appendOnly": "true"})
        assert project.fail(made(project, "second", {"id": [2**40]})).code == "TG407"
        project.load(made(project, "third", {"id": series(pl.Int32, 3), "x": ["a"]}))
        assert project.rows(first, "id", "x") == [(1, None), (3, "a")]

    @pytest.mark.parametrize("to", ["delta", "parquet"])
    def test_no_file_is_left_over(self, tmp_path: Path, to: str) -> None:
        """What was rewritten, and then replaced by the same load, is gone again."""
        project = Project(tmp_path, to)
        options: dict[str, Any] = {
            "load_type": "overwrite",
            "write_options": {"partition_overwrite_mode": "dynamic", "max_rows_per_file": 1},
            "partitions": ["k"],
        }
        first = made(project, "first", {"id": series(pl.Int32, 1, 2, 3), "k": ["a", "a", "b"]}, **options)
        project.load(first)
        project.load(made(project, "second", {"id": [2**40], "k": ["a"]}, **options))
        assert project.rows(first, "id", "k") == [(3, "b"), (2**40, "a")]
        before_and_after = (3, 2) if to == "delta" else (0, 2)  # a Delta table keeps what its older versions need
        assert len(data_files(str(first.destination.path), "parquet")) == sum(before_and_after)


class TestRewriting:
    @pytest.mark.parametrize("to", ["delta", "parquet"])
    def test_in_groups(self, tmp_path: Path, to: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A table of many files is rewritten some at a time."""
        monkeypatch.setattr(evolution, "ROWS_PER_REWRITE", 40)
        project = Project(tmp_path, to)
        groups: list[int] = []
        rewrite = Evolution._rewrite
        monkeypatch.setattr(
            Evolution,
            "_rewrite",
            lambda self, group, *rest: (groups.append(len(group)), rewrite(self, group, *rest))[1],
        )
        first = made(project, "first", {"id": series(pl.Int32, *range(100))}, write_options={"max_rows_per_file": 10})
        project.load(first)
        project.load(made(project, "second", {"id": [2**40]}))
        assert project.rows(first) == [*range(100), 2**40]
        assert groups == ([4, 4, 2] if to == "delta" else [1] * 10)

    def test_what_was_rewritten_serves_the_next_attempt(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another commit in between costs its own files, not those of the whole table again."""
        monkeypatch.setattr(evolution, "ROWS_PER_REWRITE", 10)
        first = made(project, "first", {"id": series(pl.Int32, *range(50))}, write_options={"max_rows_per_file": 10})
        project.load(first)
        other = made(project, "other", {"id": series(pl.Int32, 77)})
        seen: list[int] = []
        rewrite = Evolution._rewrite

        def counted(self: Evolution, group: Any, *rest: Any) -> None:
            rewrite(self, group, *rest)
            seen.append(len(group))
            if len(seen) == 5:
                project.load(other)

        monkeypatch.setattr(Evolution, "_rewrite", counted)
        project.load(made(project, "second", {"id": [2**40]}))
        assert len(seen) == 6
        assert project.rows(first) == [*range(50), 77, 2**40]

    def test_a_folder_that_is_replaced_meanwhile(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A folder does not keep files that others replaced: the load starts over, and loses nothing."""
        project = Project(tmp_path, "parquet")
        first = made(project, "first", {"id": series(pl.Int32, 1, 2)})
        project.load(first)
        other = made(project, "other", {"id": series(pl.Int32, 7)}, load_type="overwrite")
        rewrite, done = Evolution._rewrite, []

        def late(self: Evolution, *rest: Any) -> None:
            if not done:
                done.append(True)
                project.load(other)
            rewrite(self, *rest)

        monkeypatch.setattr(Evolution, "_rewrite", late)
        project.load(made(project, "second", {"id": [2**40]}))
        assert project.rows(first) == [7, 2**40]

    def test_a_failure_leaves_nothing(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        """A table that cannot be read in the middle is as it was, without files of the attempt."""
        monkeypatch.setattr(evolution, "ROWS_PER_REWRITE", 1)
        first = made(project, "first", {"id": series(pl.Int32, 1, 2, 3)}, write_options={"max_rows_per_file": 1})
        project.load(first)
        victim = data_files(str(first.destination.path), "parquet")[-1]
        content = victim.read_bytes()
        victim.write_bytes(content[:50])
        project.fail(made(project, "second", {"id": [2**40]}))
        victim.write_bytes(content)
        project.load(project.flow("t", source="second", name="second", format="parquet"))
        assert project.rows(first) == [1, 2, 3, 2**40]


RACES = [
    pytest.param(to, load_type, id=f"{to}-{load_type}")
    for to in (*TYPED, "jsonl")
    for load_type in ("append", "merge_upsert")
    if to in TABLES or load_type == "append"
]


@pytest.mark.parametrize(("to", "load_type"), RACES)
class TestRaces:
    @pytest.fixture
    def race(self, tmp_path: Path, to: str, load_type: str) -> Race:
        """A table with rows 1 and 2, and two loads of it."""
        return Race(Project(tmp_path, to), to, load_type)

    def test_two_loads_add_different_columns(self, race: Race) -> None:
        """Both columns are there, and every value is in its own."""
        race.slow({"id": [3], "x": ["slow"]})
        race.quick({"id": [4], "y": [44]})
        assert race.finished()["status"] == "succeeded"
        assert race.rows("id", "x", "y") == [(1, None, None), (2, None, None), (3, "slow", None), (4, None, 44)]

    def test_two_loads_add_the_same_column(self, race: Race) -> None:
        """One adds it, the other finds it there."""
        race.slow({"id": [3], "x": ["slow"]})
        race.quick({"id": [4], "x": ["quick"]})
        assert race.finished()["status"] == "succeeded"
        assert race.rows("id", "x") == [(1, None), (2, None), (3, "slow"), (4, "quick")]

    def test_two_loads_add_a_column_in_two_types(self, race: Race) -> None:
        """The second fails, having changed nothing: the file that it wrote is not the table's."""
        race.slow({"id": [3], "x": ["slow"]})
        race.quick({"id": [4], "x": [44]})
        report = race.finished()
        assert (report["status"], report["error"]["code"]) == ("failed", "TG403" if report["attempts"] > 1 else "TG404")
        assert race.rows("id", "x") == [(1, None), (2, None), (4, 44)]

    def test_a_column_is_widened_while_narrow_rows_come(self, race: Race) -> None:
        """Rows in the old type never get into the widened table: they are converted by another try."""
        race.slow({"id": [3], "n": series(pl.Int32, 3)})
        race.quick({"id": [4], "n": [2**40]})
        race.finished()
        race.again()
        assert race.rows("id", "n") == [(1, 10), (2, 20), (3, 3), (4, 2**40)]
        race.check_types(pa.int64())

    def test_narrow_rows_come_while_a_column_is_widened(self, race: Race) -> None:
        """They are widened too."""
        race.slow({"id": [3], "n": [2**40]})
        race.quick({"id": [4], "n": series(pl.Int32, 4)})
        assert race.finished()["status"] == "succeeded"
        assert race.rows("id", "n") == [(1, 10), (2, 20), (3, 2**40), (4, 4)]
        race.check_types(pa.int64())

    def test_two_loads_widen_one_column(self, race: Race) -> None:
        """To the same type: the second finds it done."""
        race.slow({"id": [3], "n": [2**40]})
        race.quick({"id": [4], "n": [2**41]})
        assert race.finished()["status"] == "succeeded"
        assert race.rows("id", "n") == [(1, 10), (2, 20), (3, 2**40), (4, 2**41)]
        race.check_types(pa.int64())

    def test_an_ignored_column_is_added_meanwhile(self, race: Race) -> None:
        """Its values are no longer to be left out: the load is not committed without them."""
        race.slow({"id": [3], "x": ["slow"]}, policy="ignore")
        race.quick({"id": [4], "x": ["quick"]})
        race.finished()
        race.again()
        assert race.rows("id", "x") == [(1, None), (2, None), (3, "slow"), (4, "quick")]

    def test_a_column_is_added_that_a_strict_load_lacks(self, race: Race) -> None:
        """`fail` holds at the commit too."""
        race.slow({"id": [3], "n": series(pl.Int32, 3)}, policy="fail")
        race.quick({"id": [4], "n": series(pl.Int32, 4), "x": ["quick"]})
        report = race.finished()
        assert report["status"] == "failed"
        assert report["error"]["code"] in {"TG404", "TG414"}
        assert race.rows("id", "x") == [(1, None), (2, None), (4, "quick")]

    def test_a_load_that_is_killed_before_its_commit(self, race: Race) -> None:
        """Neither schema nor rows have changed; the next run brings both."""
        before = race.schema()
        race.slow({"id": [3], "n": [2**40], "x": ["slow"]})
        race.kill()
        assert race.rows("id") == [1, 2]
        assert race.schema() == before
        race.again()
        assert race.rows("id", "n", "x") == [(1, 10, None), (2, 20, None), (3, 2**40, "slow")]


class Race:
    """Two loads of one table: a slow one that is held before its commit, and a quick one that overtakes it."""

    def __init__(self, project: Project, to: str, load_type: str) -> None:
        self.project = project
        self._to = to
        self._options: dict[str, Any] = {"load_type": load_type, "keys": ["id"] if load_type == "merge_upsert" else []}
        self._first = made(project, "first", {"id": [1, 2], "n": series(pl.Int32, 10, 20)}, **self._options)
        project.load(self._first)

    def slow(self, columns: dict[str, Any], policy: str | None = None) -> None:
        """Start the load that is held up."""
        self.project.parquet("slow.parquet", columns)
        settings = {"schema_policy": policy} if policy else {}
        self._slow = {**self._options, "source": "slow", "name": "slow", "format": "parquet", "settings": settings}
        self._running = paused(self.project, table="t", to=self._to, **self._slow)
        self._process = self._running.__enter__()

    def quick(self, columns: dict[str, Any]) -> None:
        """Load, start to end."""
        self.project.load(made(self.project, "quick", columns, **self._options))

    def finished(self) -> dict[str, Any]:
        """Let the slow load go on, and return its report."""
        report = self._process.go_on()
        self._running.__exit__(None, None, None)
        return report

    def kill(self) -> None:
        """End the slow load."""
        self._process.kill()
        self._running.__exit__(None, None, None)

    def again(self) -> None:
        """Run the slow load once more; nothing happens when it is in."""
        self.project.load(self.project.flow("t", **self._slow))

    def rows(self, *columns: str) -> list[Any]:
        """Return the table's rows."""
        return self.project.rows(self._first, *columns)

    def schema(self) -> Any:
        """Return what the table says of its columns."""
        path = Path(str(self._first.destination.path))
        match self._to:
            case "delta":
                return deltalake.DeltaTable(str(path)).schema().to_json()
            case "iceberg":
                return iceberg_table(self._first).schema()
            case _:
                return {name: data for name, data in tree(path).items() if not name.startswith("_tidegate/staged")}

    def check_types(self, expected: pa.DataType) -> None:
        """Compare the type of `n` in the table and, where readers need it, in all files."""
        if self._to in TABLES:
            assert column_type(self._first, "n") == expected
        if self._to == "parquet":
            files = data_files(str(self._first.destination.path), "parquet")
            assert {parquet.read_schema(file).field("n").type for file in files} == {expected}
        if self._to == "delta":
            path = str(self._first.destination.path)
            files = _files_on_disk(deltalake.DeltaTable(path), path)
            assert {parquet.read_schema(file).field("n").type for file in files} == {expected}


class TestDeathAfterTheRecord:
    def test_a_widened_folder_is_put_into_place_by_the_next_load(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A process that dies between record and move leaves the rewritten files to whoever comes next."""
        project = Project(tmp_path, "parquet")
        first = made(project, "first", {"id": series(pl.Int32, 1, 2)})
        project.load(first)
        second = made(project, "second", {"id": [2**40]})
        with monkeypatch.context() as patched:
            patched.setattr(FileTable, "_publish", lambda *_: None)
            patched.setattr(FileTable, "_sweep", lambda *_: None)
            patched.setattr("tidegate.platforms.local.LocalPlatform.remove", lambda *_: None)
            project.run(second)
        project.load(made(project, "third", {"id": series(pl.Int32, 3)}))
        assert project.rows(first) == [1, 2, 3, 2**40]
        files = data_files(str(first.destination.path), "parquet")
        assert {parquet.read_schema(file).field("id").type for file in files} == {pa.int64()}


def _filled(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a row with NULL for the field that narrow structs lack."""

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(item) for item in value]
        return {"x": value["x"], "y": value.get("y")} if isinstance(value, dict) else value

    return tuple(filled(value) for value in row)


def _files_on_disk(table: deltalake.DeltaTable, path: str) -> list[str]:
    paths = pa.table(table.get_add_actions())["path"].to_pylist()
    return [f"{path}/{unquote(name)}" for name in paths]
