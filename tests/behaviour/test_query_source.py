"""SQL over the tables of a connection, and SQL in files."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyiceberg.catalog.sql import SqlCatalog

from tests.behaviour.project import Project
from tidegate import DataFlow, ReplayConfig, create_driver
from tidegate.errors import SourceError
from tidegate.metadata import check, open_metadata
from tidegate.metadata.dependencies import dependencies


def query(project: Project, sql: str, **options: Any) -> DataFlow:
    """Declare a flow that reads a query."""
    flow = project.flow(**options)
    return flow.model_copy(update={"source": flow.source.model_copy(update={"table": None, "query": sql})})


def at(day: int) -> datetime:
    """Return a day of January."""
    return datetime(2026, 1, day, tzinfo=UTC)


class TestTables:
    def test_files_have_the_types_that_their_source_reads(self, project: Project) -> None:
        project.csv("customers.csv", "id,name,since", "1,ada,2026-01-01", "2,bob,2026-01-02")
        project.csv("sales/orders/1.csv", "id,amount", "1,2.5", "1,3")
        project.csv("sales/orders/2.csv", "id,amount", "2,4")
        sql = """
            SELECT name, since, sum(amount) AS total  -- a remark at the end
            FROM sales.orders JOIN "customers.csv" USING (id) GROUP BY ALL -- and another"""
        flow = query(project, sql)
        project.load(flow)
        assert project.rows(flow, "name", "total") == [("ada", 5.5), ("bob", 4.0)]
        alone = project.flow("alone", source="customers.csv")
        project.load(alone)
        assert project.frame(flow)["since"].dtype == project.frame(alone)["since"].dtype

    def test_parquet_files_are_joined_with_themselves(self, project: Project) -> None:
        project.parquet("numbers.parquet", {"n": [1, 2, 3]})
        flow = query(project, 'SELECT a.n, b.n AS m FROM "numbers.parquet" a, "numbers.parquet" b', format="parquet")
        assert project.load(flow).rows_out == 9

    def test_partitions_of_folders_are_columns(self, project: Project) -> None:
        project.parquet("n/year=2025/a.parquet", {"n": [1]})
        project.parquet("n/year=2026/a.parquet", {"n": [2]})
        flow = query(project, "SELECT year, n FROM n WHERE year > 2025", format="parquet", hive=True)
        project.load(flow)
        assert project.rows(flow, "n", "year") == [(2, 2026)]

    @pytest.mark.parametrize("partitions", [[], ["p"]])
    def test_delta_tables_are_read_at_one_version(self, project: Project, partitions: list[str]) -> None:
        path = project.source_root / "sales" / "orders"
        table = pa.table({"Id": [1, 2], "p": ["x", "y"]})
        write_deltalake(path, table, partition_by=partitions)
        DeltaTable(path).delete('"Id" = 1')
        sql = 'SELECT a."Id", a.p, count(*) AS n FROM sales.orders a JOIN "sales"."orders" b ON true GROUP BY ALL'
        flow = query(project, sql, format="delta")
        project.load(flow)
        assert project.rows(flow, "id", "p", "n") == [(2, "y", 1)]

    def test_iceberg_tables_are_scanned_as_often_as_they_are_named(self, project: Project) -> None:
        catalog = SqlCatalog("default", uri=f"sqlite:///{project.source_root}/catalog.db", warehouse="/nowhere")
        catalog.create_namespace("default")
        table = pa.table({"id": [1, 2]})
        location = f"{project.source_root}/orders"
        catalog.create_table(("default", "orders"), table.schema, location=location).append(table)
        catalog.close()
        flow = query(project, "SELECT a.id FROM orders a JOIN orders b ON a.id <> b.id", format="iceberg")
        project.load(flow)
        assert project.rows(flow) == [1, 2]

    def test_common_table_expressions_are_no_tables(self, project: Project) -> None:
        project.csv("o.csv", "id", "1", "2")
        flow = query(project, 'WITH recent AS (SELECT * FROM "o.csv" WHERE id > 1) SELECT * FROM recent')
        project.load(flow)
        assert project.rows(flow) == [2]

    def test_an_empty_table_has_its_columns(self, project: Project) -> None:
        project.csv("o.csv", "id", "1")
        project.csv("none.csv", "id,name")
        flow = query(project, 'SELECT o.id, n.name FROM "o.csv" o LEFT JOIN "none.csv" n ON o.id = n.id::BIGINT')
        project.load(flow)
        assert project.rows(flow, "id", "name") == [(1, None)]

    def test_a_plan_names_the_tables(self, project: Project) -> None:
        project.csv("o.csv", "id", "1")
        assert "tables of the query: o.csv" in project.plan(query(project, 'SELECT * FROM "o.csv"'))["notes"]

    def test_rows_that_are_kept_meanwhile_are_kept_with_the_run(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not in the system's folder, which may be memory; and the plan says so."""
        monkeypatch.setattr("tempfile.tempdir", "/nowhere")
        project.csv("o.csv", "id", "1")
        flow = query(project, 'SELECT * FROM "o.csv"')
        assert "keeps all rows on disk first: o.csv" in project.plan(flow)["notes"]
        assert project.load(flow).rows_out == 1

    def test_parquet_files_are_read_where_they_are(self, project: Project) -> None:
        project.parquet("n.parquet", {"n": [1]})
        notes = project.plan(query(project, 'SELECT n FROM "n.parquet"', format="parquet"))["notes"]
        assert not [note for note in notes if "on disk" in note]


class TestWhatIsNew:
    def test_ties_are_neither_lost_nor_doubled(self, project: Project) -> None:
        path = project.source_root / "orders"
        write_deltalake(path, pa.table({"id": [1, 2], "at": [at(1), at(2)]}))
        flow = query(project, 'SELECT id, "at", id * 2 AS twice FROM orders', format="delta", watermark="at")
        project.load(flow)
        write_deltalake(path, pa.table({"id": [3, 4], "at": [at(2), at(3)]}), mode="append")
        assert project.load(flow).rows_out == 2
        assert project.rows(flow, "id", "twice") == [(1, 2), (2, 4), (3, 6), (4, 8)]
        assert project.load(flow).rows_out == 0

    def test_windows_are_replayed(self, project: Project) -> None:
        project.csv("o.csv", "id,name", *(f"{number},x" for number in range(10)))
        flow = query(project, 'SELECT * FROM "o.csv"', watermark="id", load_type="merge_upsert", keys="id")
        with create_driver(root=project.root) as driver:
            result = driver.run_replay([flow], ReplayConfig(start=2, end=6, chunk_interval={"step": 2}))
        assert result.exit_code == 0
        assert project.rows(flow, "id") == [2, 3, 4, 5]

    def test_new_columns_evolve_the_table(self, project: Project) -> None:
        path = project.source_root / "orders"
        write_deltalake(path, pa.table({"id": [1]}))
        flow = query(project, "SELECT * FROM orders", format="delta", load_type="merge_upsert", keys="id")
        project.load(flow)
        write_deltalake(path, pa.table({"id": [2], "name": ["b"]}), mode="append", schema_mode="merge")
        project.load(flow)
        assert project.rows(flow, "id", "name") == [(1, None), (2, "b")]

    def test_more_rows_than_the_query_holds_are_sorted_on_disk(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tidegate.sources.query_tables._MEMORY", "64MiB")
        rows = 1_500_000
        project.parquet("n.parquet", pl.DataFrame({"n": range(rows)}).with_columns(t=pl.col("n").cast(str) + "-" * 40))
        flow = query(project, 'SELECT n, t FROM "n.parquet" ORDER BY t DESC', format="parquet", to="parquet")
        assert project.load(flow).rows_out == rows


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("sql", "code", "said"),
        [
            ("SELECT * FROM nothing", "TG201", "the query names nothing"),
            ('SELECT wrong FROM "o.csv"', "TG724", "wrong"),
            ("SELECT * FROM read_csv('{root}/secret.csv')", "TG724", "disabled by configuration"),
            ("SELECT 1; SELECT 2", "TG724", "no query, or several"),
            ('SELECT id, id FROM "o.csv"', "TG724", "two columns"),
        ],
    )
    def test_the_cause_is_said(self, project: Project, sql: str, code: str, said: str) -> None:
        project.csv("o.csv", "id", "1")
        (project.root / "secret.csv").write_text("a\n1\n")
        error = project.fail(query(project, sql.replace("{root}", str(project.root))))
        assert error.code == code
        assert said in error.message

    def test_a_table_that_is_missing_fails_the_plan(self, project: Project) -> None:
        with pytest.raises(SourceError, match=r"the query names sales\.orders"):
            project.plan(query(project, "SELECT * FROM sales.orders", format="delta"))


class TestSqlFiles:
    METADATA = """
        connections:
          - {name: files, format: csv, configure: {base_path: in}}
          - {name: lake, format: delta, configure: {base_path: lake}}
        dataflows:
          - name: raw
            source: {connection: files, table: orders.csv}
            destination: {connection: lake, table: orders}
          - name: daily
            source: {connection: lake, query: queries/daily.sql}
            destination: {connection: lake, table: daily}
        """

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "tidegate.yaml").write_text(textwrap.dedent(self.METADATA))
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "orders.csv").write_text("id,amount\n1,2\n1,3\n")
        (tmp_path / "queries").mkdir()
        (tmp_path / "queries" / "daily.sql").write_text("SELECT id, sum(amount) AS total\nFROM orders GROUP BY id;\n")
        return tmp_path

    def test_the_text_is_read_with_the_metadata(self, folder: Path) -> None:
        raw, daily = open_metadata(folder).get_dataflows()
        assert str(daily.source.query).startswith("SELECT id, sum")
        (edge,) = dependencies([raw, daily])
        assert (edge.upstream, edge.downstream) == (raw.dataflow_id, daily.dataflow_id)

    def test_the_query_runs_after_what_it_reads(self, folder: Path) -> None:
        with create_driver(metadata_provider=folder) as driver:
            assert driver.run().exit_code == 0
        assert pl.read_delta(str(folder / "lake" / "daily"))["total"].to_list() == [5]

    def test_a_missing_file_is_said_with_its_place(self, folder: Path) -> None:
        (folder / "queries" / "daily.sql").unlink()
        (finding,) = check(folder)
        assert finding.code == "TG226"
        assert finding.where.line == 10
        assert str(folder / "queries" / "daily.sql") in str(finding.hint)
