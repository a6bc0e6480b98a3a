"""Tables as others have made them, and what a load must see of them before it writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pyarrow as pa
import pymysql
import pytest

from tests.behaviour.project import Project
from tidegate.connections import database_of
from tidegate.connections.mysql import MySQLSession
from tidegate.destinations.commit import Commit
from tidegate.destinations.table import Change, StaleSnapshotError
from tidegate.errors import PlaceUnavailableError
from tidegate.orchestration.planner import table_of
from tidegate.platforms.local import LOCAL
from tidegate.state import Position

Sql = Callable[..., list[Any]]


@pytest.fixture
def in_mariadb(tmp_path: Path, mariadb_url: str) -> Project:
    """A project whose destinations are in MariaDB."""
    return Project(tmp_path, "mariadb", url=mariadb_url)


@pytest.fixture
def mariadb(mariadb_url: str) -> Iterator[Sql]:
    """Runs statements as another client does, and returns the rows of the last one."""
    url = urlsplit(mariadb_url)
    with pymysql.connect(
        host="127.0.0.1", port=url.port or 0, user="root", database=url.path[1:], autocommit=True
    ) as connection:

        def run(*statements: str) -> list[Any]:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

        yield run


@pytest.fixture
def in_postgresql(tmp_path: Path, postgres_url: str) -> Project:
    """A project whose destinations are in PostgreSQL."""
    return Project(tmp_path, "postgresql", url=postgres_url)


@pytest.fixture
def postgresql(postgres_url: str) -> Iterator[Sql]:
    """Runs statements as another client does, and returns the rows of the last one."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:

        def run(*statements: str) -> list[Any]:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

        yield run


def fails_once(monkeypatch: pytest.MonkeyPatch, session: type, method: str, start: str) -> None:
    """Let the connection break, once, before a statement that starts so."""
    original = getattr(session, method)
    done: list[bool] = []

    def broken(self: Any, statement: str, *arguments: Any, **options: Any) -> Any:
        if statement.startswith(start) and not done:
            done.append(True)
            msg = "the connection broke"
            raise PlaceUnavailableError(msg, code="TG720")
        return original(self, statement, *arguments, **options)

    monkeypatch.setattr(session, method, broken)


@contextmanager
def project_file(project: Project) -> Iterator[sqlite3.Connection]:
    """The SQLite file that a project loads into."""
    place = database_of(project.flow().destination.connection).place()  # type: ignore[arg-type]
    with closing(sqlite3.connect(place)) as shop, shop:
        yield shop


def a_commit(flow: Any, sequence: int = 1) -> Commit:
    return Commit(
        dataflow_id=flow.dataflow_id,
        name=flow.name,
        sequence=sequence,
        run_id="r",
        load_id="l",
        load_type="append",
        source="s",
        position=Position(),
    )


class TestATableMadeAnew:
    """What is known of a table that is gone is not held true of the next one of its name."""

    def test_a_first_load_that_fails_after_the_table_is_made(
        self, in_mariadb: Project, mariadb: Sql, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """CREATE cannot be undone there: the empty table that stays has had no loads."""
        project, flow = in_mariadb, in_mariadb.flow(watermark="id")
        project.csv("events.csv", "id", "1", "2")
        project.load(flow)
        mariadb("DROP TABLE events")
        project.forget_state()
        fails_once(monkeypatch, MySQLSession, "insert", "`events`")
        assert project.run(flow).units[0].status == "failed"
        assert mariadb("SELECT * FROM events") == []
        project.load(flow)
        assert project.rows(flow) == [1, 2]

    def test_of_two_that_make_it_the_second_begins_again(self, in_mariadb: Project, mariadb: Sql) -> None:
        """Neither removes what the other has kept of its load."""
        project, columns = in_mariadb, {"id": pa.int64()}
        first, second = project.flow(name="a"), project.flow(name="b")
        project.csv("events.csv", "id", "1")
        project.load(first)
        mariadb("DROP TABLE events")
        project.forget_state()
        other = table_of(second, LOCAL)
        seen = other.snapshot()
        project.load(first)
        with pytest.raises(StaleSnapshotError):
            other.commit(seen, Change(columns=columns), a_commit(second))
        assert project.load(first).rows_out == 0
        assert project.rows(first) == [1]

    def test_a_table_that_others_dropped_and_made_is_noticed(self, in_postgresql: Project, postgresql: Sql) -> None:
        project, flow = in_postgresql, in_postgresql.flow(watermark="id")
        project.csv("events/1.csv", "id", "1", "2")
        project.load(flow)
        postgresql("DROP TABLE events", "CREATE TABLE events (id bigint)")
        project.csv("events/2.csv", "id", "3")
        assert project.fail(flow).code == "TG506"
        project.forget_state()
        project.load(flow)
        assert project.rows(flow) == [1, 2, 3]
        assert project.load(flow).rows_out == 0

    def test_upkeep_and_new_columns_leave_it_the_same(self, in_postgresql: Project, postgresql: Sql) -> None:
        project, flow = in_postgresql, in_postgresql.flow(watermark="id")
        project.csv("events/1.csv", "id", "1")
        project.load(flow)
        postgresql("ALTER TABLE events ADD note text, ALTER id TYPE numeric(20)")
        postgresql("VACUUM FULL events", "TRUNCATE events")
        project.csv("events/2.csv", "id", "2")
        project.load(flow)
        assert project.rows(flow, "id") == [2]

    def test_a_copy_of_all_tables_is_taken_for_them(self, in_postgresql: Project, postgresql: Sql) -> None:
        """As a restored dump: each table has another identity, also that of loads."""
        project, flow = in_postgresql, in_postgresql.flow(watermark="id")
        project.csv("events/1.csv", "id", "1")
        project.load(flow)
        for table in ("events", "_tidegate_loads"):
            postgresql(
                f"ALTER TABLE {table} RENAME TO old",
                f"CREATE TABLE {table} (LIKE old INCLUDING ALL)",
                f"INSERT INTO {table} SELECT * FROM old",
                "DROP TABLE old",
            )
        for number in (2, 3):
            project.csv(f"events/{number}.csv", "id", f"{number}")
            project.load(flow)
        assert project.rows(flow) == [1, 2, 3]

    def test_two_spellings_are_one_table(self, tmp_path: Path) -> None:
        """Its versions are counted once."""
        project = Project(tmp_path, "sqlite")
        project.csv("events.csv", "id,v", "1,a")
        for name in ("Orders", "orders", "ORDERS"):
            project.load(project.merge(name, source="events", name=name))
        with project_file(project) as shop:
            assert shop.execute(
                "SELECT table_name, sequence FROM _tidegate_loads WHERE dataflow_id = ''"
            ).fetchall() == [("Orders", 3)]


class TestChangingTheSchema:
    """Where a schema cannot be changed within a transaction, and elsewhere."""

    def test_a_stale_load_narrows_nothing(self, in_mariadb: Project, mariadb: Sql) -> None:
        """What another load has made wider keeps its digits."""
        project = in_mariadb
        mariadb("CREATE TABLE events (id int, v int)")
        stale = table_of(project.flow(name="b"), LOCAL)
        seen = stale.snapshot()
        project.csv("events.csv", "id,v", "2,2.75")
        project.load(project.flow(hints={"v": "decimal(12,2)"}, name="a"))
        columns = {"id": pa.int32(), "v": pa.int64()}
        with pytest.raises(StaleSnapshotError):
            stale.commit(seen, Change(columns=columns), a_commit(project.flow(name="b")))
        assert [str(v) for (v,) in mariadb("SELECT v FROM events")] == ["2.75"]

    def test_a_load_that_widened_and_failed(
        self, in_mariadb: Project, mariadb: Sql, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The wider column stays, also for one that read the table before: that one begins again."""
        project = in_mariadb
        mariadb("CREATE TABLE events (id int, v int)")
        stale = table_of(project.flow(name="b"), LOCAL)
        project.csv("events.csv", "id,v", "2,2.75")
        seen = stale.snapshot()
        fails_once(monkeypatch, MySQLSession, "insert", "`events`")
        assert project.run(project.flow(hints={"v": "decimal(12,2)"}, name="a")).units[0].status == "failed"
        columns = {"id": pa.int32(), "v": pa.int64()}
        with pytest.raises(StaleSnapshotError):
            stale.commit(seen, Change(columns=columns), a_commit(project.flow(name="b")))
        assert stale.snapshot().columns["v"] == pa.decimal128(12, 2)

    def test_own_columns_that_may_not_be_added(
        self, in_postgresql: Project, postgresql: Sql, postgres_url: str
    ) -> None:
        """Also where the schema is to stay: the hint says which, and how."""
        postgresql("CREATE TABLE events (id bigint)", "CREATE ROLE writer LOGIN")
        postgresql("GRANT ALL ON SCHEMA public TO writer", "GRANT ALL ON events TO writer")
        in_postgresql.url = postgres_url.replace("postgres@", "writer@")
        in_postgresql.csv("events.csv", "id", "1")
        error = in_postgresql.run(in_postgresql.flow(settings={"schema_policy": "ignore"})).units[0].error
        postgresql("DROP OWNED BY writer", "DROP ROLE writer")
        assert error is not None
        assert (error.code, 'ADD COLUMN "__created_at"' in str(error.hint)) == ("TG724", True)

    def test_a_wider_column_keeps_its_attributes(self, in_mariadb: Project, mariadb: Sql) -> None:
        mariadb(
            "CREATE TABLE events (id int NOT NULL AUTO_INCREMENT PRIMARY KEY, "
            "n smallint unsigned NOT NULL DEFAULT 7 COMMENT 'how many, it''s said', m int)"
        )
        in_mariadb.parquet("events.parquet", {"id": [1, 2], "n": [2**40, 3], "m": [None, 2**40]})
        in_mariadb.load(in_mariadb.flow(format="parquet"))
        mariadb("INSERT INTO events (m) VALUES (5)")
        assert mariadb("SELECT id, n, m FROM events ORDER BY id") == [(1, 2**40, None), (2, 3, 2**40), (3, 7, 5)]
        (_, statement) = mariadb("SHOW CREATE TABLE events")[0]
        assert "AUTO_INCREMENT" in statement
        assert "`n` bigint(20) NOT NULL DEFAULT 7 COMMENT 'how many, it''s said'" in statement

    def test_a_table_is_made_with_its_index(self, in_mariadb: Project, mariadb: Sql) -> None:
        """It is there or not, with the table; more keys than an index takes are no matter."""
        project, keys = in_mariadb, ["a", "b", "c", "d"]
        project.csv("events.csv", "a,b,c,d,v", "1,x,y,z,v")
        hints = dict.fromkeys(keys, "string")
        for number in (1, 2):
            assert project.load(project.merge(keys=keys, hints=hints)).rows_out == (1 if number == 1 else 0)
        assert [row[4] for row in mariadb("SHOW INDEX FROM events")] == ["a", "b", "c"]

    def test_a_merged_table_becomes_wider_in_duckdb(self, tmp_path: Path) -> None:
        project = Project(tmp_path, "duckdb")
        for number, dtype in enumerate(["int", "bigint"]):
            project.csv(f"events/{number}.csv", "id,v", f"{number},{2 ** (40 * number)}")
            project.load(project.merge(hints={"v": dtype}))
        assert project.rows(project.merge(), "v") == [1, 2**40]


class TestValuesThatATableChanges:
    """Texts that it takes for equal, and times that it would round."""

    def test_keys_that_differ_in_the_case_in_sqlite(self, tmp_path: Path) -> None:
        project = Project(tmp_path, "sqlite")
        with project_file(project) as shop:
            shop.execute("CREATE TABLE events (id TEXT COLLATE NOCASE, v TEXT)")
            shop.execute("INSERT INTO events VALUES ('A', 'theirs'), ('b', 'old')")
        project.csv("events.csv", "id,v", "a,ours", "b,new")
        project.load(project.merge())
        assert project.rows(project.merge(), "id", "v") == [("A", "theirs"), ("a", "ours"), ("b", "new")]

    @pytest.mark.parametrize("declared", ["text COLLATE loose", "citext"])
    def test_keys_that_differ_in_the_case_in_postgresql(
        self, in_postgresql: Project, postgresql: Sql, declared: str
    ) -> None:
        postgresql("CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
        postgresql("CREATE EXTENSION citext")
        postgresql(f"CREATE TABLE events (id {declared}, v text)")
        postgresql("INSERT INTO events VALUES ('A', 'theirs'), ('b', 'old'), (NULL, 'old')")
        project = in_postgresql
        project.csv("events.csv", "id,v", "a,ours", "b,new", ",new")
        project.load(project.merge())
        expected = [(None, "new"), ("A", "theirs"), ("a", "ours"), ("b", "new")]
        assert sorted(project.rows(project.merge(), "id", "v"), key=str) == sorted(expected, key=str)

    def test_keys_that_differ_in_the_case_in_mariadb(self, in_mariadb: Project, mariadb: Sql) -> None:
        mariadb("CREATE TABLE events (id varchar(9) COLLATE utf8mb4_general_ci, v text) CHARSET utf8mb4")
        mariadb("INSERT INTO events VALUES ('A', 'theirs'), ('b ', 'theirs'), ('c', 'old')")
        in_mariadb.csv("events.csv", "id,v", "a,ours", "b,ours", "c,new")
        in_mariadb.load(in_mariadb.merge())
        expected = [("A", "theirs"), ("a", "ours"), ("b", "ours"), ("b ", "theirs"), ("c", "new")]
        assert in_mariadb.rows(in_mariadb.merge(), "id", "v") == expected

    @pytest.mark.parametrize("load_type", ["append", "merge_upsert", "snapshot"])
    def test_a_time_that_would_be_rounded_in_mariadb(self, in_mariadb: Project, mariadb: Sql, load_type: str) -> None:
        mariadb("CREATE TABLE events (id bigint, at datetime)")
        self._refused_then_taken(in_mariadb, load_type)

    @pytest.mark.parametrize("load_type", ["append", "merge_upsert", "snapshot"])
    def test_a_time_that_would_be_rounded_in_postgresql(
        self, in_postgresql: Project, postgresql: Sql, load_type: str
    ) -> None:
        postgresql("CREATE TABLE events (id bigint, at timestamp(0))")
        self._refused_then_taken(in_postgresql, load_type)

    @pytest.mark.parametrize("load_type", ["append", "merge_upsert", "snapshot"])
    def test_a_time_that_would_be_rounded_in_duckdb(self, tmp_path: Path, load_type: str) -> None:
        project = Project(tmp_path, "duckdb")
        with database_of(project.flow().destination.connection).session() as session:  # type: ignore[arg-type]
            session.execute('CREATE TABLE events (id bigint, "at" timestamp_s)')
        self._refused_then_taken(project, load_type)

    def _refused_then_taken(self, project: Project, load_type: str) -> None:
        keys = [] if load_type == "append" else ["at"]
        flow = project.flow(load_type=load_type, hints={"at": "timestamp_ntz"}, keys=keys)
        project.csv("events.csv", "id,at", "1,2024-01-01 10:00:00", "2,2024-01-01 10:00:01.7")
        error = project.run(flow).units[0].error
        assert error is not None
        assert (error.code, "'at'" in error.message, "row 2" in error.message) == ("TG725", True, True)
        assert project.frame(flow).height == 0
        project.csv("events.csv", "id,at", "1,2024-01-01 10:00:00", "2,2024-01-01 10:00:02")
        project.load(flow)
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2]

    def test_a_row_that_stays_keeps_its_null(self, in_postgresql: Project, postgresql: Sql) -> None:
        """The default of a column is for rows that come."""
        postgresql("CREATE TABLE events (id bigint, v text, note text DEFAULT 'fine')")
        postgresql("INSERT INTO events VALUES (1, 'a', NULL), (1, 'b', NULL), (2, 'c', NULL)")
        project = in_postgresql
        project.csv("events.csv", "id,v", "1,aa", "2,c", "3,d")
        project.load(project.flow(load_type="snapshot", keys=["id"]))
        assert postgresql("SELECT id, v, note FROM events ORDER BY id")[1:] == [(2, "c", None), (3, "d", "fine")]


class TestEngines:
    @pytest.mark.parametrize("engine", ["MyISAM", "Aria"])
    def test_one_without_transactions_is_refused(self, in_mariadb: Project, mariadb: Sql, engine: str) -> None:
        """It keeps the rows of a load that failed, and the next attempt would double them."""
        mariadb(f"CREATE TABLE events (id bigint) ENGINE={engine}")
        in_mariadb.csv("events.csv", "id", "1")
        error = in_mariadb.fail(in_mariadb.flow())
        assert (error.code, engine in error.message, "InnoDB" in str(error.hint)) == ("TG402", True, True)
        assert mariadb("SELECT * FROM events") == []
        mariadb("ALTER TABLE events ENGINE=InnoDB")
        in_mariadb.load(in_mariadb.flow())
        assert mariadb("SELECT id FROM events") == [(1,)]

    def test_own_tables_have_one_with_transactions(self, in_mariadb: Project, mariadb: Sql) -> None:
        """Whatever the server's default is."""
        mariadb("SET @before = @@global.default_storage_engine", "SET GLOBAL default_storage_engine = MyISAM")
        try:
            in_mariadb.csv("events.csv", "id", "1")
            in_mariadb.load(in_mariadb.flow())
        finally:
            mariadb("SET GLOBAL default_storage_engine = @before")
        engines = "SELECT DISTINCT engine FROM information_schema.tables WHERE table_schema = DATABASE()"
        assert mariadb(engines) == [("InnoDB",)]


class TestOneDuckDBFile:
    def test_dataflows_that_run_side_by_side(self, tmp_path: Path) -> None:
        """They wait for one another, as the file is open in one way at a time."""
        project = Project(tmp_path, "duckdb")
        flows = []
        for number in range(6):
            project.csv(f"t{number}/1.csv", "id", *map(str, range(50)))
            flows.append(project.flow(f"t{number}", name=f"t{number}"))
        for _ in range(3):
            report = project.run(*flows, max_workers=4)
            assert [unit.status for unit in report.units if unit.status == "failed"] == []
        assert [len(project.rows(flow)) for flow in flows] == [50] * 6
