"""What a review of sources and positions found: rows are known again by what they are at the source."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import psycopg
import pyarrow as pa
import pytest

from tests.behaviour.project import Project
from tests.behaviour.replaying import replayed
from tidegate import Connection, DataFlow, Source
from tidegate.connections.duckdb_types import DuckDBDialect
from tidegate.engines import meter as meters
from tidegate.engines.polars import PolarsEngine
from tidegate.engines.row_hash import row_hashes
from tidegate.orchestration.positions import at_values, move
from tidegate.platforms.local import LOCAL
from tidegate.sources.database import DatabaseSource
from tidegate.sources.database_partitions import Partitions
from tidegate.sources.pushdown import single_statement

Sql = Callable[..., list[Any]]
TABLE = "id INTEGER, at INTEGER, note TEXT"


@pytest.fixture
def sql(project: Project) -> Sql:
    """Runs statements in the source's database, and returns the rows of the last one."""

    def run(*statements: str) -> list[Any]:
        found: list[Any] = []
        with sqlite3.connect(project.root / "shop.db") as connection:
            for statement in statements:
                found = connection.execute(statement).fetchall()
        connection.close()
        return found

    return run


def from_shop(project: Project, flow: DataFlow, connection: Connection | None = None, **source: Any) -> DataFlow:
    """Let a flow read from the database."""
    place = {"database_type": "sqlite", "database": str(project.root / "shop.db")}
    shop = connection or Connection(name="shop", format="sql", configure=place)
    kept = {name: getattr(flow.source, name) for name in ("watermark_columns", "watermark_lag", "filter_expression")}
    return flow.model_copy(update={"source": Source(connection=shop, **kept, **(source or {"table": "events"}))})


def set_to(project: Project, flow: DataFlow, values: Mapping[str, str]) -> None:
    """Set the position, as `state set --yes` does."""
    store = project.store()
    move(flow, at_values(flow, values), store=store, platform=LOCAL, origin="set", may_double=True)
    store.close()


class TestRulesAndHints:
    @pytest.mark.parametrize(
        "changed",
        [
            pytest.param({"value_rules": [{"operation": "trim", "columns": ["note"]}]}, id="a rule"),
            pytest.param({"hints": {"v": {"data_type": "bigint", "default_value": 7}}}, id="a default"),
        ],
    )
    def test_a_change_between_appends_doubles_no_row(self, project: Project, sql: Sql, changed: dict[str, Any]) -> None:
        """Rows at the boundary are known by their values as they were read; and again once the change is undone."""
        sql(
            f"CREATE TABLE events ({TABLE}, v INTEGER)",
            "INSERT INTO events VALUES (1, 10, 'a ', 1), (2, 20, 'b ', NULL)",
        )
        plain = from_shop(project, project.flow(watermark="at"))
        project.load(plain)
        for number, options in enumerate([changed, {}], start=3):
            sql(f"INSERT INTO events VALUES ({number}, 20, 'c ', NULL)")
            project.load(from_shop(project, project.flow(watermark="at", **options)))
        assert project.rows(plain, "id") == [1, 2, 3, 4]

    def test_neither_in_files(self, project: Project) -> None:
        """The same for a file that grows."""
        project.csv("events.csv", "id,at,note", "1,10,a ", "2,20,b ")
        project.load(project.flow(watermark="at"))
        project.more("events.csv", "3,20,c ")
        trimmed = project.flow(watermark="at", value_rules=[{"operation": "trim", "columns": ["note"]}])
        project.load(trimmed)
        assert project.rows(trimmed, "id", "note") == [(1, "a "), (2, "b "), (3, "c")]

    def test_another_default_in_files(self, project: Project) -> None:
        """What takes the place of NULL is no part of the row."""
        project.csv("events.csv", "id,at,v", "1,10,", "2,20,")
        for row, default in (("3,20,", 7), ("4,20,1.50", 8)):
            flow = project.flow(watermark="at", hints={"v": {"data_type": "decimal(5,2)", "default_value": default}})
            project.load(flow)
            project.more("events.csv", row)
        project.load(flow)
        assert project.rows(flow, "id", "v") == [(1, 7), (2, 7), (3, 8), (4, Decimal("1.5"))]

    def test_files_that_are_read_together_are_no_matter(self, project: Project) -> None:
        """A column without values in one file is read as it is declared."""
        flow = project.flow(watermark="at", hints={"b": "bigint", "at": "bigint"})
        project.csv("events/0.csv", "id,at,b", "1,5,0")
        project.load(flow)
        project.more("events/0.csv", "2,5,")
        project.csv("events/1.csv", "id,at,b", "3,5,")
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2, 3]

    def test_another_zone_of_times_without_one(self, project: Project) -> None:
        """What the times are taken for is no part of the row."""
        noon = datetime(2026, 1, 5, 12)  # noqa: DTZ001
        project.parquet("events.parquet", {"id": [1, 2], "at": [1, 2], "seen": [noon, noon]})
        project.load(project.flow(format="parquet", watermark="at", configure={"convert_timestamp_ntz": True}))
        project.parquet("events.parquet", {"id": [1, 2, 3], "at": [1, 2, 2], "seen": [noon] * 3})
        zone = {"convert_timestamp_ntz": True, "timestamp_timezone": "Europe/Oslo"}
        flow = project.flow(format="parquet", watermark="at", configure=zone)
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2, 3]

    def test_the_table_has_none_of_it(self, project: Project) -> None:
        """What the meter needs is not written."""
        project.csv("events.csv", "id,at,note", "1,10,a ")
        flow = project.flow(watermark="at", value_rules=[{"operation": "trim", "columns": ["note"]}])
        project.load(flow)
        assert project.frame(flow).columns == ["id", "at", "note"]


class TestColumnsThatChange:
    def test_one_that_is_gone(self, project: Project, sql: Sql) -> None:
        """An append that would double rows is refused; doing what it says loads each row once."""
        sql(f"CREATE TABLE events ({TABLE})", "INSERT INTO events VALUES (1, 10, 'a'), (2, 20, 'b')")
        flow = from_shop(project, project.flow(watermark="at"))
        project.load(flow)
        sql("ALTER TABLE events DROP COLUMN note", "INSERT INTO events VALUES (3, 20)")
        error = project.fail(flow)
        assert (error.code, "note is gone" in error.message) == ("TG227", True)
        assert "state set FLOW at=20 --yes" in str(error.hint)
        deltalake.DeltaTable(str(flow.destination.path)).delete("at >= 20")
        set_to(project, flow, {"at": "20"})
        project.load(flow)
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2, 3]

    def test_without_rows_at_the_boundary_it_is_no_matter(self, project: Project, sql: Sql) -> None:
        """Rows past the position are new, whatever their columns."""
        sql(f"CREATE TABLE events ({TABLE})", "INSERT INTO events VALUES (1, 10, 'a')")
        flow = from_shop(project, project.flow(watermark="at"))
        project.load(flow)
        sql("ALTER TABLE events DROP COLUMN note", "DELETE FROM events", "INSERT INTO events VALUES (2, 20)")
        project.load(flow)
        sql("INSERT INTO events VALUES (3, 20)")
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2, 3]

    def test_one_that_was_always_null_is_no_matter(self, project: Project, sql: Sql) -> None:
        """NULL is what a missing column is."""
        sql(f"CREATE TABLE events ({TABLE})", "INSERT INTO events VALUES (1, 10, NULL)")
        flow = from_shop(project, project.flow(watermark="at"))
        project.load(flow)
        sql("ALTER TABLE events DROP COLUMN note", "INSERT INTO events VALUES (2, 10)")
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2]

    @pytest.mark.parametrize(("before", "after"), [("decimal(10,0)", "decimal(10,2)"), ("integer", "bigint")])
    def test_a_number_with_more_digits(self, project: Project, sql: Sql, before: str, after: str) -> None:
        """1 and 1.00 are one value."""
        assert len({*row_hashes(pl.DataFrame({"n": [100]}), ["n"]), *row_hashes(_decimals("100.00"), ["n"])}) == 1
        for dtype, extra in ((before, ""), (after, ", (3, 20, 5)")):
            sql(
                "DROP TABLE IF EXISTS events",
                f"CREATE TABLE events (id INTEGER, at INTEGER, n {dtype})",
                f"INSERT INTO events VALUES (1, 10, 1), (2, 20, 100){extra}",
            )
            flow = from_shop(project, project.flow(watermark="at"))
            project.load(flow)
        assert project.rows(flow, "id") == [1, 2, 3]

    def test_another_type(self, project: Project, sql: Sql) -> None:
        """Equal values of it look different: refused."""
        sql("CREATE TABLE events (id INTEGER, at INTEGER, n INTEGER)", "INSERT INTO events VALUES (1, 10, 1)")
        flow = from_shop(project, project.flow(watermark="at", drop_columns=["n"]))
        project.load(flow)
        sql("DROP TABLE events", "CREATE TABLE events (id INTEGER, at INTEGER, n REAL)")
        sql("INSERT INTO events VALUES (1, 10, 1), (2, 10, 2)")
        error = project.fail(flow)
        assert (error.code, "n was a number and is a float" in error.message) == ("TG227", True)

    def test_another_spelling(self, project: Project, sql: Sql) -> None:
        """It is the same column."""
        sql(f"CREATE TABLE events ({TABLE})", "INSERT INTO events VALUES (1, 10, 'a')")
        flow = from_shop(project, project.flow(watermark="at"))
        project.load(flow)
        sql("ALTER TABLE events RENAME COLUMN note TO nOTE", "INSERT INTO events VALUES (2, 10, 'b')")
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2]

    def test_files(self, project: Project) -> None:
        """A new file may lack a column; one that is read again may not, as its rows are in the table already."""
        flow = project.flow(watermark="at")
        project.csv("events/a.csv", "id,at,note", "1,10,a", "2,20,b")
        project.load(flow)
        project.csv("events/b.csv", "id,at", "3,20")
        project.load(flow)
        project.csv("events/a.csv", "id,at", "1,10", "2,20")
        assert project.fail(flow).code == "TG227"
        assert project.rows(flow, "id") == [1, 2, 3]


class TestRoundedWatermarks:
    """A hint changes values: what the source compares is not what the load compares."""

    @pytest.mark.parametrize("dtype", ["double", "decimal(10,2)"])
    def test_in_a_database(self, project: Project, sql: Sql, dtype: str) -> None:
        sql(f"CREATE TABLE events (id INTEGER, at {dtype})", "INSERT INTO events VALUES (1, 9.0), (2, 9.96)")
        flow = from_shop(project, project.flow(watermark="at", hints={"at": "decimal(10,1)"}))
        project.load(flow)
        sql("INSERT INTO events VALUES (3, 9.97)")
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2, 3]

    def test_in_files(self, project: Project) -> None:
        flow = project.flow(format="parquet", watermark="at", hints={"at": "decimal(10,1)"})
        for number, value in enumerate(["9.96", "9.97"]):
            project.parquet(f"events/{number}.parquet", {"id": [number], "at": [Decimal(value)]})
            project.load(flow)
        assert project.rows(flow, "id") == [0, 1]

    @pytest.mark.parametrize("source", ["database", "files"])
    def test_in_a_replay(self, project: Project, sql: Sql, source: str) -> None:
        """A row is in the window of its value in the table."""
        flow = project.merge(format="parquet", watermark="at", hints={"at": "decimal(10,1)"})
        if source == "files":
            for number, value in enumerate(["8.00", "9.96", "11.20"]):
                project.parquet(f"events/{number}.parquet", {"id": [number], "at": [Decimal(value)]})
        else:
            sql("CREATE TABLE events (id INTEGER, at decimal(10,2))")
            sql("INSERT INTO events VALUES (0, 8), (1, 9.96), (2, 11.2)")
            flow = from_shop(project, flow)
        replayed(project, flow, start=8, end=12, by={"step": 1})
        assert project.rows(flow, "id") == [0, 1, 2]

    def test_a_default_lies_in_a_window(self, project: Project, sql: Sql) -> None:
        """A row without a value has the default, in the window too."""
        sql("CREATE TABLE events (id INTEGER, at INTEGER)", "INSERT INTO events VALUES (0, 8), (1, NULL)")
        hints = {"at": {"data_type": "bigint", "default_value": 9}}
        flow = from_shop(project, project.merge(watermark="at", hints=hints))
        replayed(project, flow, start=8, end=12, by={"step": 1})
        assert project.rows(flow, "id") == [0, 1]


class TestZones:
    def test_times_of_another_zone(self, project: Project, sql: Sql) -> None:
        """The database leaves out what lies a day before, and no row that is new."""
        sql("CREATE TABLE events (id INTEGER, at TIMESTAMP)")
        sql("INSERT INTO events VALUES (1, '2026-07-01 10:00:00'), (2, '2026-07-10 10:00:00')")
        zone = {"convert_timestamp_ntz": True, "timestamp_timezone": "America/Los_Angeles"}
        flow = from_shop(project, project.flow(watermark="at", configure=zone))
        project.load(flow)
        sql("INSERT INTO events VALUES (3, '2026-07-10 10:00:00'), (4, '2026-07-10 10:00:01')")
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2, 3, 4]
        state = project.position(flow)
        assert state is not None
        assert state.position.watermark == {"at": datetime(2026, 7, 10, 17, 0, 1, tzinfo=UTC)}
        source = DatabaseSource(flow, LOCAL)
        opened = source.open(source.plan(state.position, scope="new"), PolarsEngine())
        assert opened.request.starts == {"at": datetime(2026, 7, 9, 17, 0, 1)}  # noqa: DTZ001

    def test_windows_of_another_zone(self, project: Project, sql: Sql) -> None:
        """A window is over instants, whatever the database's clock says."""
        sql("CREATE TABLE events (id INTEGER, at TIMESTAMP)")
        sql("INSERT INTO events VALUES (1, '2026-07-01 20:00:00'), (2, '2026-07-01 12:00:00')")
        zone = {"convert_timestamp_ntz": True, "timestamp_timezone": "America/Los_Angeles"}
        flow = from_shop(project, project.merge(watermark="at", configure=zone))
        replayed(project, flow, start="2026-07-02", end="2026-07-03", by={"days": 1})
        assert project.rows(flow, "id") == [1]


class TestAnotherTable:
    def feed(self, project: Project, load_type: str = "append") -> DataFlow:
        lake = Connection(name="s", format="delta", configure={"base_path": str(project.source_root)})
        flow = project.flow(load_type=load_type, keys=["id"] if load_type != "append" else [])
        options = {"read_options": {"change_feed": True}}
        return from_shop(
            project, flow.model_copy(update={"source": flow.source.model_copy(
                update={"watermark_columns": ("_commit_version",)})}), lake, table="t", configure=options,
        )  # fmt: skip

    def written(self, project: Project, *ids: int, **options: Any) -> Path:
        path = project.source_root / "t"
        configuration = {"delta.enableChangeDataFeed": "true"}
        deltalake.write_deltalake(str(path), pa.table({"id": ids}), configuration=configuration, **options)
        return path

    def test_a_table_made_anew_with_more_versions(self, project: Project) -> None:
        """Its first versions would be missed: refused, and a rewind, or a position that is set, goes on."""
        path, flow = self.written(project, 1, 2), self.feed(project)
        project.load(flow)
        shutil.rmtree(path)
        for number in range(3):
            self.written(project, 10 + number, mode="append")
        error = project.fail(flow)
        assert (error.code, "made anew" in error.message) == ("TG218", True)
        set_to(project, flow, {"_commit_version": "0"})
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2, 10, 11, 12]

    def test_a_table_that_is_overwritten_is_the_same(self, project: Project) -> None:
        """A version that replaces all rows is one of its versions."""
        flow = self.feed(project)
        self.written(project, 1, 2)
        project.load(flow)
        self.written(project, 3, mode="overwrite", schema_mode="overwrite")
        project.load(flow)
        found = project.rows(flow, "id", "change_type")
        assert (3, "insert") in found
        assert len(found) == 5


class TestPushdown:
    def test_a_late_infinity_in_a_database(self, project: Project, sql: Sql) -> None:
        """It is no watermark: the row is new, as it is in a file."""
        sql("CREATE TABLE events (id INTEGER, at REAL)", "INSERT INTO events VALUES (1, 10.0)")
        flow = from_shop(project, project.flow(watermark="at"))
        project.load(flow)
        sql("INSERT INTO events VALUES (2, -9e999), (3, 9e999)")
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2, 3]

    @pytest.mark.parametrize("condition", ["c <> 'ab'", "c > 'ab'", "c = 'ab'", "c = 'ab   '"])
    def test_text_that_is_padded(self, project: Project, postgres_url: str, condition: str) -> None:
        """PostgreSQL compares char(n) without the blanks that it gives back: the engine decides."""
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("CREATE TABLE events (id int, c char(5))")
            connection.execute("INSERT INTO events VALUES (1, 'ab'), (2, 'b')")
        shop = Connection(name="shop", format="sql", configure={"url": postgres_url})
        flow = from_shop(project, project.flow(load_type="overwrite", source_filter=condition), shop)
        expected = {"c <> 'ab'": [1, 2], "c > 'ab'": [1, 2], "c = 'ab'": [], "c = 'ab   '": [1]}
        project.load(flow)
        assert project.rows(flow, "id") == expected[condition]

    @pytest.mark.parametrize(
        "ending", ["", ";", "; -- all of them", " -- all; of them", ";\n/* a; b */ ;\n", ";;", "; -- ü\n"]
    )
    def test_a_query_may_end_as_it_likes(self, project: Project, sql: Sql, ending: str) -> None:
        """A semicolon and a comment are none of it; those in a text are."""
        sql("CREATE TABLE events (id INTEGER, at INTEGER)", "INSERT INTO events VALUES (1, 10)")
        query = f"SELECT id, at, 'ü; -- x' AS note FROM events{ending}"
        flow = from_shop(project, project.flow(watermark="at"), query=query)
        project.load(flow)
        sql("INSERT INTO events VALUES (2, 20)")
        project.load(flow)
        assert project.rows(flow, "id", "note") == [(1, "ü; -- x"), (2, "ü; -- x")]
        assert single_statement(query, "sqlite").endswith("events") or " -- all; of" in ending


class TestParts:
    @pytest.mark.parametrize(
        ("least", "greatest"),
        [
            ("0", "1e37"),
            ("-1e37", "1e37"),
            ("0.000000000000000001", "12345678901234567890.1"),
            ("1", "NaN"),
            ("-Infinity", "1"),
        ],
    )
    def test_of_long_decimals(self, least: str, greatest: str) -> None:
        """However many digits they have, the ranges follow each other."""
        parts = Partitions(
            column="n", dtype=pa.decimal128(38, 0), count=7, rows="t", dialect=DuckDBDialect(), place="t"
        ).bounds(_Bounds(Decimal(least), Decimal(greatest)))  # type: ignore[arg-type]
        assert (parts[0][0], parts[-1][1]) == (None, None)
        cuts = [lower for lower, _ in parts[1:]]
        assert [upper for _, upper in parts[:-1]] == cuts == sorted(cuts)


class TestKeyedLoads:
    def test_one_that_looks_back_remembers_no_rows(self, project: Project) -> None:
        """Nothing of it reads them: its commits stay small."""
        project.csv("events.csv", "id,at", *(f"{number},{number}" for number in range(100)))
        flow = project.merge(watermark="at", lag=1000)
        project.load(flow)
        project.more("events.csv", "100,100")
        project.load(flow)
        assert _remembered(project, flow) == 0

    def test_an_append_after_it_doubles_nothing(self, project: Project, sql: Sql) -> None:
        """It cannot know the rows at the boundary, and says so; past it, it goes on."""
        sql(f"CREATE TABLE events ({TABLE})", "INSERT INTO events VALUES (1, 10, 'a')")
        project.load(from_shop(project, project.merge(watermark="at", lag=5)))
        append = from_shop(project, project.flow(watermark="at", lag=5))
        error = project.fail(append)
        assert (error.code, "another load_type" in error.message) == ("TG227", True)
        sql("DELETE FROM events", "INSERT INTO events VALUES (2, 30, 'b')")
        project.load(append)
        sql("INSERT INTO events VALUES (3, 30, 'c')")
        project.load(append)
        assert project.rows(append, "id") == [1, 2, 3]

    def test_neither_after_one_that_forgot(self, project: Project, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
        """Too many rows at the boundary, with a watermark or without one, are as if there had been a lag."""
        monkeypatch.setattr(meters, "MOST_REMEMBERED_KEYED_ROWS", 2)
        sql(f"CREATE TABLE events ({TABLE})")
        sql("INSERT INTO events VALUES (1, NULL, 'a'), (2, NULL, 'a'), (3, NULL, 'a'), (4, 1, 'a')")
        project.load(from_shop(project, project.merge(watermark="at")))
        sql("INSERT INTO events VALUES (5, 2, 'a')")
        sql("DELETE FROM events WHERE id = 4")
        append = from_shop(project, project.flow(watermark="at"))
        assert project.fail(append).code == "TG227"

    def test_files_that_are_not_read_again_are_no_matter(self, project: Project) -> None:
        """An append goes on with new files."""
        project.csv("events/0.csv", "id,at", "0,10")
        project.load(project.merge(watermark="at", lag=5))
        append = project.flow(watermark="at", lag=5)
        for number in (1, 2):
            project.csv(f"events/{number}.csv", "id,at", f"{number},10")
            project.load(append)
        assert project.rows(append, "id") == [0, 1, 2]


class _Bounds:
    """A session that knows the least and the greatest value: a stand-in, as no server here has numbers so long."""

    def __init__(self, *found: Decimal) -> None:
        self._found = found

    def fetch(self, _sql: str) -> list[tuple[Decimal, ...]]:
        """Return both."""
        return [self._found]


def _decimals(*texts: str) -> pl.DataFrame:
    return pl.DataFrame({"n": [Decimal(text) for text in texts]})


def _remembered(project: Project, flow: DataFlow) -> int:
    state = project.position(flow)
    assert state is not None
    return state.position.seen_rows.hashes().total()
