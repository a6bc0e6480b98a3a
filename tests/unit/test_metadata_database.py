"""Metadata in the tables of SQLite, PostgreSQL and MariaDB, and the watermarks beside them."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from tests.unit.metadata_content import written
from tidegate import create_driver
from tidegate.errors import ConfigurationError, MetadataError, WatermarkError
from tidegate.metadata import check, open_metadata
from tidegate.metadata.convert import convert
from tidegate.metadata.database import DatabaseMetadata
from tidegate.metadata.database_session import Location
from tidegate.orchestration.stages import UnitPlan
from tidegate.reporting import UnitReport

PROJECT = """
connections:
  - {name: landing, connection_id: c-1, format: csv, configure: {base_path: landing}}
  - {name: lake, connection_id: c-2, format: delta, configure: {base_path: lake}}
dataflows:
  - name: zebras
    dataflow_id: d-2
    source: {connection_name: landing, table: zebras, watermark_columns: [id]}
    destination: {connection_name: lake, table: zebras, load_type: merge_upsert, merge_keys: [id]}
  - name: ants
    dataflow_id: d-1
    source: {connection_name: landing, table: ants}
    destination: {connection_name: lake, table: ants}
schema_hints:
  - {connection_name: landing, table_name: ants, hints: [{column_name: a, data_type: int}]}
"""


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/m.db"
    return str(request.getfixturevalue("postgres_url" if request.param == "postgresql" else "mariadb_url"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return written(PROJECT, tmp_path / "origin")


@pytest.fixture
def filled(url: str, project: Path) -> str:
    """The URL of a workspace that has a project."""
    convert(project, f"{url}?workspace=w")
    return f"{url}?workspace=w"


@pytest.fixture
def sql(url: str) -> Iterator[Any]:
    """Run a statement on the database."""
    engine = sa.create_engine(Location.of(url).url, poolclass=sa.NullPool)

    def run(statement: str) -> list[Any]:
        with engine.begin() as connection:
            result = connection.execute(sa.text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []

    return run


class TestReading:
    def test_the_order_is_that_of_the_declarations(self, filled: str) -> None:
        assert [flow.name for flow in open_metadata(filled).load().dataflows] == ["zebras", "ants"]

    def test_rows_that_are_marked_as_deleted_are_not_there(self, filled: str, sql: Any) -> None:
        sql("UPDATE dc_framework_dataflows SET deleted_at = CURRENT_TIMESTAMP WHERE name = 'zebras'")
        assert [flow.name for flow in open_metadata(filled).load().dataflows] == ["ants"]

    def test_workspaces_are_apart(self, filled: str, url: str, tmp_path: Path) -> None:
        other = written(PROJECT.replace("zebras", "bears"), tmp_path / "other")
        convert(other, f"{url}?workspace=v")
        assert [flow.name for flow in open_metadata(filled).load().dataflows] == ["zebras", "ants"]
        assert [flow.workspace_id for flow in open_metadata(f"{url}?workspace=v").load().dataflows] == ["v", "v"]

    def test_a_finding_says_table_row_and_column(self, filled: str, sql: Any) -> None:
        sql("""UPDATE dc_framework_dataflows SET source = '{"connection_name": "lending", "table": "t"}'
            WHERE dataflow_id = 'd-1'""")
        sql("UPDATE dc_framework_schema_hints SET data_type = 'bigit'")
        places = {finding.code: str(finding.where) for finding in check(filled)}
        assert places["TG104"] == "dc_framework_dataflows[dataflow_id=d-1].source"
        assert "dc_framework_schema_hints[table_name=ants, column_name=a].data_type" in places.values()

    def test_tables_of_others_are_read_by_the_columns_they_have(self, url: str, sql: Any) -> None:
        """Flat columns, connections by id, and no columns of ours."""
        sql("CREATE TABLE dc_framework_connections (workspace_id TEXT, connection_id TEXT, name TEXT, format TEXT,"
            " configure TEXT, deleted_at TIMESTAMP)")  # fmt: skip
        sql("CREATE TABLE dc_framework_dataflows (workspace_id TEXT, dataflow_id TEXT, name TEXT,"
            " source_connection_id TEXT, source_table TEXT, source_watermark_columns TEXT,"
            " destination_connection_id TEXT, destination_table TEXT, is_active INTEGER, created_by TEXT)")  # fmt: skip
        for name, kind in (("landing", "csv"), ("lake", "delta")):
            sql(f"INSERT INTO dc_framework_connections VALUES ('w', '{name}-id', '{name}', '{kind}',"
                f" '{{\"base_path\": \"/{name}\"}}', NULL)")  # fmt: skip
        sql("INSERT INTO dc_framework_dataflows VALUES ('w', 'd', 'orders', 'landing-id', 'orders', '[\"a\", \"b\"]',"
            " 'lake-id', 'orders', 1, 'somebody')")  # fmt: skip
        (flow,) = open_metadata(f"{url}?workspace=w").load().dataflows
        assert (flow.source.path, flow.destination.path) == ("/landing/orders", "/lake/orders")
        assert flow.source.watermark_columns == ("a", "b")
        assert flow.is_active is True


class TestWriting:
    def test_what_is_not_declared_any_more_is_marked_and_comes_back(self, filled: str, project: Path, sql: Any) -> None:
        project.write_text(
            PROJECT.replace("name: zebras", "name: zebras\n    is_active: false").partition("  - name: ants")[0]
        )
        convert(project, filled, replace=True)
        assert [flow.name for flow in open_metadata(filled).load().dataflows] == ["zebras"]
        marked = sql("SELECT name, deleted_at IS NOT NULL FROM dc_framework_dataflows ORDER BY name")
        assert [(name, bool(gone)) for name, gone in marked] == [("ants", True), ("zebras", False)]
        project.write_text(PROJECT)
        convert(project, filled, replace=True)
        flows = open_metadata(filled).load().dataflows
        assert [(flow.name, flow.is_active) for flow in flows] == [("zebras", True), ("ants", True)]

    def test_a_write_that_fails_changes_nothing(self, filled: str, project: Path, sql: Any) -> None:
        project.write_text(PROJECT.replace("zebras", "bears"))
        sql("DROP TABLE dc_framework_settings")
        sql("CREATE TABLE dc_framework_settings (workspace_id TEXT)")  # the last table that is written
        with pytest.raises(MetadataError, match=r"dc_framework_settings .* has no column name"):
            convert(project, filled, replace=True)
        sql("DROP TABLE dc_framework_settings")
        assert [flow.name for flow in open_metadata(filled).load().dataflows] == ["zebras", "ants"]

    def test_tables_are_created_once(self, url: str) -> None:
        metadata = DatabaseMetadata(url)
        metadata.create_tables()
        metadata.create_tables()
        with pytest.raises(MetadataError) as caught:
            metadata.read()
        assert (caught.value.code, caught.value.hint) == ("TG141", "the tables are empty")


class TestRefusals:
    def test_an_unknown_workspace_names_those_that_there_are(self, filled: str, url: str) -> None:
        with pytest.raises(MetadataError, match="no metadata in workspace 'x'") as caught:
            open_metadata(f"{url}?workspace=x").load()
        assert caught.value.hint == "workspaces: w; ?workspace=NAME"

    def test_reading_creates_no_database(self, tmp_path: Path) -> None:
        with pytest.raises(MetadataError) as caught:
            open_metadata(f"sqlite:///{tmp_path}/none.db").load()
        assert caught.value.code == "TG140"
        assert list(tmp_path.iterdir()) == []

    def test_a_database_without_the_tables_is_said(self, url: str, sql: Any) -> None:
        sql("CREATE TABLE something (a INTEGER)")
        with pytest.raises(MetadataError, match="has no table dc_framework_connections"):
            open_metadata(url).load()

    def test_a_server_that_is_away_is_said_without_the_password(self) -> None:
        with pytest.raises(MetadataError) as caught:
            open_metadata("postgresql://etl:hunter2x@127.0.0.1:1/m").load()
        assert caught.value.code == "TG140"
        assert "hunter2x" not in caught.value.render()

    def test_a_driver_that_is_missing_is_named(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            open_metadata("mysql+oursql://etl@host/m").load()
        assert caught.value.code == "TG612"

    def test_what_is_no_url_is_said(self) -> None:
        with pytest.raises(MetadataError) as caught:
            open_metadata("postgresql://host:port/m")
        assert caught.value.code == "TG144"


class TestWatermarks:
    VALUES = (
        {"updated_at": datetime(2026, 4, 3, 9, 15, tzinfo=UTC)},
        {"day": date(2026, 4, 3), "at": time(9, 15)},
        {"amount": Decimal("12.50"), "id": 7, "key": b"\0\1", "name": "x", "rate": 0.5},
    )

    @pytest.mark.parametrize("watermark", VALUES)
    def test_they_keep_their_type(self, filled: str, watermark: dict[str, Any]) -> None:
        metadata = DatabaseMetadata(filled)
        assert metadata.read_watermark("d-1") is None
        metadata.write_watermark("d-1", watermark)
        assert metadata.read_watermark("d-1") == watermark

    def test_the_one_before_is_kept(self, filled: str, sql: Any) -> None:
        metadata = DatabaseMetadata(filled)
        for number in (1, 2, 2, 3):
            metadata.write_watermark("d-1", {"id": number})
        assert sql("SELECT current_value, previous_value, version FROM dc_framework_watermarks") == [
            ('{"id": 3}', '{"id": 2}', 3)
        ]

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"a": null}', '{"a": {"__date__": "soon"}}'])
    def test_bad_text_is_an_error_and_never_a_first_run(self, filled: str, sql: Any, text: str) -> None:
        metadata = DatabaseMetadata(filled)
        metadata.write_watermark("d-1", {"id": 1})
        sql(f"UPDATE dc_framework_watermarks SET current_value = '{text}'")
        with pytest.raises(WatermarkError) as caught:
            metadata.read_watermark("d-1")
        assert caught.value.code == "TG504"

    def test_writers_at_once_lose_no_version(self, filled: str, sql: Any) -> None:
        """Each replaces the one that it read."""
        failed: list[MetadataError] = []

        def write(start: int) -> None:
            for number in range(start, start + 5):
                try:
                    DatabaseMetadata(filled).write_watermark("d-1", {"id": number})
                except MetadataError as error:
                    failed.append(error)

        threads = [threading.Thread(target=write, args=[start]) for start in (100, 200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert sql("SELECT version FROM dc_framework_watermarks") == [(10,)]


class TestTakingOver:
    """A flow that another system has loaded until now."""

    @pytest.fixture
    def place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "landing").mkdir()
        (tmp_path / "landing/zebras").write_text("id,name\n1,a\n2,b\n3,c\n4,d\n")
        (tmp_path / "landing/ants").write_text("a\n1\n")
        return tmp_path

    def _loaded(self, load_type: str, place: Path, watermark: dict[str, Any]) -> UnitReport:
        """Load once, where another system left this watermark."""
        text = PROJECT.replace("merge_upsert", load_type)
        if load_type == "append":
            text = text.replace(", merge_keys: [id]", "")
        url = f"sqlite:///{place}/m.db?workspace=w"
        convert(written(text, place / "project"), url)
        DatabaseMetadata(url).write_watermark("d-2", watermark)
        with create_driver(metadata_provider=url) as driver:
            (unit,) = driver.run(names=["zebras"]).units
        return unit

    def _ids(self, place: Path) -> list[int]:
        return sorted(pl.read_delta(str(place / "lake/zebras"))["id"].to_list())

    def test_a_merge_reads_the_rows_at_the_watermark_again(self, place: Path) -> None:
        self._loaded("merge_upsert", place, {"id": 2})
        assert self._ids(place) == [2, 3, 4]

    def test_an_append_begins_after_the_watermark(self, place: Path) -> None:
        """The rows at it are in the table."""
        self._loaded("append", place, {"ID": 2})
        assert self._ids(place) == [3, 4]

    def test_where_it_stands_is_mirrored(self, place: Path) -> None:
        self._loaded("append", place, {"id": 2})
        metadata = DatabaseMetadata(f"sqlite:///{place}/m.db?workspace=w")
        assert metadata.read_watermark("d-2") == {"id": 4, "__mirrored_by__": "tidegate"}

    def test_the_mirror_decides_nothing_once_the_flow_has_loaded(self, place: Path) -> None:
        self._loaded("append", place, {"id": 2})
        url = f"sqlite:///{place}/m.db?workspace=w"
        DatabaseMetadata(url).write_watermark("d-2", {"id": 0})
        (place / ".tidegate/state.db").unlink()
        with create_driver(metadata_provider=url) as driver:
            (unit,) = driver.run(names=["zebras"]).units
        assert (unit.status, unit.rows_out) == ("succeeded", 0)

    def test_starting_over_begins_at_the_start(self, place: Path) -> None:
        """What was mirrored is no other system's watermark."""
        self._loaded("append", place, {"id": 2})
        url = f"sqlite:///{place}/m.db?workspace=w"
        shutil.rmtree(place / "lake")
        (place / ".tidegate/state.db").unlink()
        with create_driver(metadata_provider=url) as driver:
            driver.run(names=["zebras"])
        assert self._ids(place) == [1, 2, 3, 4]

    def test_what_another_system_left_stands_until_the_first_commit(self, place: Path) -> None:
        """A load that finds no rows makes none; when the state is lost then, it alone says where to begin."""
        pl.DataFrame({"id": [3, 4], "name": ["c", "d"]}).write_delta(str(place / "lake/zebras"))
        unit = self._loaded("append", place, {"id": 4})
        assert (unit.status, unit.rows_out) == ("succeeded", 0)
        assert DatabaseMetadata(f"sqlite:///{place}/m.db?workspace=w").read_watermark("d-2") == {"id": 4}

    def test_plan_and_report_say_where_it_begins(self, place: Path) -> None:
        url = f"sqlite:///{place}/m.db?workspace=w"
        convert(written(PROJECT, place / "project"), url)
        DatabaseMetadata(url).write_watermark("d-2", {"id": 2})
        with create_driver(metadata_provider=url) as driver:
            ((_, plan),) = driver.plan(names=["zebras"])
            (unit,) = driver.run(names=["zebras"]).units
            ((_, later),) = driver.plan(names=["zebras"])
        said = "begins at id=2, as kept beside the metadata"
        assert isinstance(plan, UnitPlan)
        assert isinstance(later, UnitPlan)
        assert plan.takes_over == said
        assert said in (unit.detail or "")
        assert later.takes_over is None

    @pytest.mark.parametrize("value", [Decimal("2.5"), "a", b"\0"])
    def test_a_watermark_without_a_next_value_is_refused(self, place: Path, value: Any) -> None:
        """Which text comes after another is not the same in all databases."""
        unit = self._loaded("append", place, {"id": value})
        assert unit.error is not None
        assert unit.error.code == "TG147"

    def test_a_load_does_not_fail_for_the_mirror(self, place: Path, caplog: pytest.LogCaptureFixture) -> None:
        """The commit is made; the next load mirrors what it reaches."""
        url = f"sqlite:///{place}/m.db?workspace=w"
        convert(written(PROJECT, place / "project"), url)
        metadata = DatabaseMetadata(url)
        metadata.write_watermark("d-2", {"id": 2})
        with closing(sqlite3.connect(place / "m.db")) as database:
            database.execute("CREATE TRIGGER t BEFORE UPDATE ON dc_framework_watermarks BEGIN SELECT no_such(); END")
        with create_driver(metadata_provider=url) as driver:
            (unit,) = driver.run(names=["zebras"]).units
        assert (unit.status, self._ids(place)) == ("succeeded", [2, 3, 4])
        assert metadata.read_watermark("d-2") == {"id": 2}
        assert "was not mirrored" in caplog.text
