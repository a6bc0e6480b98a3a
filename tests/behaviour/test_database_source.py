"""Databases as sources: what is read is what is there, once, whatever happens meanwhile and however values compare."""

from __future__ import annotations

import datetime as dt
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.behaviour.databases import connected, keep, writing
from tests.behaviour.project import Project
from tidegate import Connection, DataFlow, Source
from tidegate.connections import Database

Sql = Callable[..., list[Any]]


@pytest.fixture
def sql(postgres_url: str) -> Iterator[Sql]:
    """Runs a statement as another client does, and returns its rows."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:

        def run(statement: str) -> list[Any]:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

        yield run


def reading(project: Project, connection: Connection, flow: DataFlow, **source: Any) -> DataFlow:
    """Let a flow read from a database."""
    watermark = flow.source.watermark_columns
    found = Source(connection=connection, watermark_columns=watermark, watermark_lag=flow.source.watermark_lag,
                   filter_expression=flow.source.filter_expression, **(source or {"table": "events"}))  # fmt: skip
    return flow.model_copy(update={"source": found})


@pytest.fixture
def shop(postgres_url: str) -> Connection:
    return Connection(name="shop", format="sql", configure={"url": postgres_url})


class TestSnapshots:
    def test_several_connections_read_one_snapshot(self, project: Project, sql: Sql, shop: Connection) -> None:
        """Rows that move between the parts while they are read are there once: the sum of all is what it always is."""
        sql("CREATE TABLE events AS SELECT i AS id, i AS place, 1 AS amount FROM generate_series(1, 20000) AS i")
        flow = reading(
            project, shop, project.flow(load_type="overwrite"), table="events",
            configure={"read_options": {"partition_column": "place", "partition_count": 4}},
        )  # fmt: skip
        ended = threading.Event()

        def shuffle() -> None:
            while not ended.is_set():
                sql("UPDATE events SET place = 20001 - place, amount = amount + 1 WHERE id % 3 = 0")
                sql("UPDATE events SET amount = 1")

        thread = threading.Thread(target=shuffle)
        thread.start()
        try:
            for _ in range(3):
                project.load(flow)
                rows = project.frame(flow)
                assert rows.height == rows["id"].n_unique() == 20_000
                changed = rows.filter(rows["amount"] != 1)["id"]
                assert changed.len() in {0, 6666}
        finally:
            ended.set()
            thread.join()

    @pytest.mark.parametrize("values", ["NULL::int", "7", "CASE WHEN i % 2 = 0 THEN NULL ELSE i END", "i / 100", "-i"])
    def test_parts_of_any_values(self, project: Project, sql: Sql, shop: Connection, values: str) -> None:
        """All NULL, all the same, some NULL, repeated, negative: each row is in one part."""
        sql(f"CREATE TABLE events AS SELECT i AS id, {values} AS place FROM generate_series(1, 1000) AS i")
        options = {"read_options": {"partition_column": "place", "partition_count": 7}}
        flow = reading(project, shop, project.flow(), table="events", configure=options)
        project.load(flow)
        assert project.rows(flow, "id") == list(range(1, 1001))

    @pytest.mark.parametrize(
        "values",
        ["date '2024-01-01' + i", "timestamp '2024-01-01' + i * interval '1h'",
         "timestamptz '2024-01-01' + i * interval '1h'", "i::numeric(20,4) / 8"],
    )  # fmt: skip
    def test_parts_of_times_and_decimals(self, project: Project, sql: Sql, shop: Connection, values: str) -> None:
        sql(f"CREATE TABLE events AS SELECT i AS id, {values} AS place FROM generate_series(1, 500) AS i")
        options = {"read_options": {"partition_column": "place", "partition_count": 5}}
        flow = reading(project, shop, project.flow(), table="events", configure=options)
        project.load(flow)
        assert project.rows(flow, "id") == list(range(1, 501))

    def test_a_server_that_ends_in_mid_read(self, project: Project, sql: Sql, shop: Connection) -> None:
        """The load fails as one that may pass, leaves nothing, and the next one has all rows once."""
        sql("CREATE TABLE events AS SELECT i AS id, repeat('x', 500) AS v FROM generate_series(1, 200000) AS i")
        flow = reading(project, shop, project.flow(watermark="id"), table="events")
        ended = threading.Event()

        def disturb() -> None:
            while not ended.wait(0.05):
                if sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'active' AND "
                    "pid <> pg_backend_pid() AND datname = current_database() AND query LIKE '%COPY%'"
                ):
                    ended.set()

        thread = threading.Thread(target=disturb)
        thread.start()
        (unit,) = project.run(flow).units
        ended.set()
        thread.join()
        if unit.status == "failed":
            assert unit.error is not None
            assert unit.error.code == "TG720", unit.error
        project.run(flow)
        assert project.frame(flow).height == 200_000


class TestPlaces:
    def test_a_view(self, project: Project, sql: Sql, shop: Connection) -> None:
        sql("CREATE TABLE base AS SELECT i AS id, 'x' || i AS v FROM generate_series(1, 5) AS i")
        sql("CREATE VIEW events AS SELECT id, v FROM base WHERE id > 2")
        flow = reading(project, shop, project.flow(watermark="id"))
        project.load(flow)
        sql("INSERT INTO base VALUES (6, 'y'), (5, 'again')")
        assert project.load(flow).rows_out == 2
        assert project.rows(flow, "id") == [3, 4, 5, 5, 6]

    def test_a_materialized_view_a_partitioned_table_and_a_schema(
        self, project: Project, sql: Sql, shop: Connection
    ) -> None:
        sql("CREATE MATERIALIZED VIEW events AS SELECT 1 AS id")
        sql("CREATE TABLE parts (id int, at date) PARTITION BY RANGE (at)")
        sql("CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')")
        sql("INSERT INTO parts VALUES (2, '2024-05-05')")
        sql('CREATE SCHEMA "Odd One"')
        sql('CREATE TABLE "Odd One"."Select" ("From" int)')
        sql('INSERT INTO "Odd One"."Select" VALUES (3)')
        for place, expected in (
            ({"table": "events"}, [1]),
            ({"table": "parts"}, [2]),
            ({"schema_name": "Odd One", "table": "Select"}, [3]),
        ):
            flow = reading(project, shop, project.flow(f"t{expected[0]}"), **place)
            project.load(flow)
            assert project.frame(flow).to_series(0).to_list() == expected

    def test_what_is_not_there_and_what_may_not_be_read(
        self, project: Project, sql: Sql, shop: Connection, postgres_url: str
    ) -> None:
        sql("CREATE TABLE event (id int)")
        error = project.fail(reading(project, shop, project.flow()))
        assert (error.code, "'event'" in str(error.hint)) == ("TG201", True)
        sql("CREATE ROLE blind LOGIN")
        try:
            blind = Connection(name="b", format="sql", configure={"url": postgres_url.replace("postgres@", "blind@")})
            error = project.fail(reading(project, blind, project.flow(), table="event"))
            assert (error.code, "grant" in str(error.hint)) == ("TG724", True)
        finally:
            sql("DROP ROLE blind")


class TestWatermarks:
    @pytest.mark.parametrize(
        ("dtype", "marks"),
        [
            ("text", ["'B'", "'Z'", "'a'", "'é'", "'日'"]),
            ('text COLLATE "und-x-icu"', ["'B'", "'Z'", "'_'", "'a'", "'é'"]),
            ("timestamptz", [f"'2024-03-31 0{hour}:30+0{zone}'" for hour, zone in ((0, 2), (0, 1), (2, 2), (2, 1))]),
            ("timestamp", ["'0001-01-01'", "'1582-10-10'", "'1800-01-01'", "'9999-12-31 23:59:59.999999'"]),
            ("date", ["'0001-01-01'", "'1800-01-01'", "'9999-12-31'"]),
            ("numeric(38,0)", ["-10", "9", "10", "9" * 37, "9" * 38]),
            ("numeric(38,10)", ["-1.5", "9.0000000001", "10", "9" * 28]),
            ("bigint", ["-9223372036854775808", "-1", "0", "9223372036854775807"]),
        ],
        ids=str,
    )  # fmt: skip
    def test_rows_of_any_order_are_loaded_once(
        self, project: Project, sql: Sql, shop: Connection, dtype: str, marks: list[str]
    ) -> None:
        """As they come, with ties, whatever the collation and the zone of the session."""
        sql(f"CREATE TABLE events (id int, at {dtype})")
        sql("INSERT INTO events VALUES (0, NULL)")
        flow = reading(project, shop, project.flow(watermark="at"))
        expected = [0]
        for number, mark in enumerate(marks, 1):
            sql(f"INSERT INTO events VALUES ({number}, {mark})")
            project.load(flow)
            sql(f"INSERT INTO events VALUES ({number + 100}, {mark})")
            assert project.load(flow).rows_out == 1
            assert project.load(flow).rows_out == 0
            expected += [number, number + 100]
        assert project.rows(flow, "id") == sorted(expected)

    def test_late_rows_within_the_lag(self, project: Project, sql: Sql, shop: Connection) -> None:
        sql("CREATE TABLE events (id int, at timestamptz)")
        flow = reading(project, shop, project.flow(watermark="at", lag="1h"))
        sql("INSERT INTO events VALUES (1, '2024-01-01 12:00Z'), (2, '2024-01-01 10:00Z')")
        project.load(flow)
        sql("INSERT INTO events VALUES (3, '2024-01-01 11:30Z'), (4, '2024-01-01 10:30Z'), (5, NULL)")
        project.load(flow)
        assert project.load(flow).rows_out == 0
        assert project.rows(flow, "id") == [1, 2, 3, 5]

    def test_no_rows(self, project: Project, sql: Sql, shop: Connection) -> None:
        sql("CREATE TABLE events (id int, at timestamptz)")
        flow = reading(project, shop, project.flow(watermark="at"))
        project.load(flow)
        sql("INSERT INTO events VALUES (1, now())")
        assert project.load(flow).rows_out == 1


class TestValues:
    @pytest.mark.parametrize(
        ("dtype", "value"),
        [("date", "'infinity'"), ("timestamp", "'-infinity'"), ("date", "'4714-11-24 BC'"), ("date", "'10000-01-01'")],
    )
    def test_times_that_there_are_none_of(
        self, project: Project, sql: Sql, shop: Connection, dtype: str, value: str
    ) -> None:
        """An error that names the column, and nothing is lost or made up."""
        sql(f"CREATE TABLE events (id int, at {dtype})")
        sql(f"INSERT INTO events VALUES (1, {value})")
        error = project.fail(reading(project, shop, project.flow()))
        assert (error.code, "'at'" in error.message) == ("TG725", True)

    def test_values_at_the_ends(self, project: Project, sql: Sql, shop: Connection) -> None:
        digits = "1234567890" * 4
        sql(
            f"CREATE TABLE events AS SELECT {digits}::numeric AS a, {digits}::numeric(40,0) AS b, "
            f"'NaN'::float8 AS c, '-Infinity'::float8 AS d, date '9999-12-31' AS e, repeat('ü', 5000000) AS f, "
            f"timestamptz '1800-01-01 00:00:00+00' AS g, ''::text AS h, '{{1,2}}'::int[] AS i, interval '1 day' AS j"
        )
        flow = reading(project, shop, project.flow())
        project.load(flow)
        (row,) = project.frame(flow).rows(named=True)
        assert (row["a"], row["b"], row["d"], row["e"]) == (digits, digits, -float("inf"), dt.date(9999, 12, 31))
        assert row["c"] != row["c"]  # NaN
        assert (len(row["f"]), row["g"], row["h"]) == (5_000_000, dt.datetime(1800, 1, 1, tzinfo=dt.UTC), "")
        assert (row["i"], row["j"]) == ("{1,2}", "P1D")


# ---- what a database leaves out is what the engine would have

COLUMNS = {
    "i": pa.int64(),
    "d": pa.decimal128(9, 2),
    "s": pa.string(),
    "t": pa.timestamp("us"),
    "z": pa.timestamp("us", "UTC"),
    "day": pa.date32(),
    "f": pa.float64(),
    "b": pa.bool_(),
}
LITERALS = {
    "i": ["0", "-1", "3", "2.5"],
    "d": ["0", "1.50", "-2", "99999.999"],
    "s": ["'a'", "'A'", "''", "'é'", "'a '", "'%'", "'it''s'"],
    "t": ["TIMESTAMP '2024-01-01 00:00:00'", "TIMESTAMP '1800-01-01 12:00:00.000001'"],
    "z": ["TIMESTAMP '2024-01-01 00:00:00'"],
    "day": ["DATE '2024-01-01'", "DATE '1969-12-31'"],
    "f": ["0", "1.5", "-0.0"],
    "b": ["TRUE", "FALSE"],
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "i": st.sampled_from([0, -1, 3, 2, 2**62]),
    "d": st.sampled_from([Decimal("0.00"), Decimal("1.50"), Decimal("-2.00"), Decimal("9999999.99")]),
    "s": st.sampled_from(["a", "A", "", "é", "a ", "%", "it's", "b", "日"]),
    "t": st.sampled_from(["2024-01-01", "1800-01-01 12:00:00.000001", "9999-12-31"]).map(dt.datetime.fromisoformat),
    "z": st.sampled_from([dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime(2023, 12, 31, 23, tzinfo=dt.UTC)]),
    "day": st.sampled_from([dt.date(2024, 1, 1), dt.date(1969, 12, 31), dt.date(9999, 12, 31)]),
    "f": st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf")]),
    "b": st.booleans(),
}  # fmt: skip
rows = st.lists(st.tuples(*(st.none() | values for values in VALUES.values())), min_size=1, max_size=12)


@st.composite
def conditions(draw: st.DrawFn, depth: int = 2) -> str:
    """Conditions that a filter may have."""
    if depth and draw(st.booleans()):
        inner = [draw(conditions(depth - 1)) for _ in range(2)]
        return draw(st.sampled_from([f"({inner[0]}) AND ({inner[1]})", f"({inner[0]}) OR ({inner[1]})",
                                     f"NOT ({inner[0]})"]))  # fmt: skip
    column = draw(st.sampled_from([*COLUMNS]))
    values = [draw(st.sampled_from(LITERALS[column])) for _ in range(3)]
    sign = draw(st.sampled_from(["=", "<>", "<", "<=", ">", ">="]))
    forms = [f"{column} {sign} {values[0]}", f"{column} IS NULL", f"{column} IS NOT NULL",
             f"{column} IN ({values[0]}, {values[1]})", f"{column} NOT IN ({values[0]}, {values[1]})",
             f"{column} BETWEEN {values[0]} AND {values[1]}", f"{values[0]} {sign} {column}"]  # fmt: skip
    if column == "s":
        forms += ["s LIKE 'a%'", "LOWER(s) = 'a'"]
    return draw(st.sampled_from(forms))


class TestPushdown:
    @pytest.fixture(params=["sqlite", "postgresql", "duckdb"])
    def database(self, request: pytest.FixtureRequest, tmp_path: Path) -> Database:
        if request.param == "postgresql":
            return connected(url=request.getfixturevalue("postgres_url"))
        return connected(database_type=request.param, database=str(tmp_path / f"shop.{request.param}"))

    @given(found=rows, condition=conditions())
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    def test_a_database_leaves_out_what_the_engine_would(
        self, database: Database, tmp_path: Path, found: list[tuple[Any, ...]], condition: str
    ) -> None:
        """The same rows, whether the database looks at the condition or only the engine does."""
        table = pa.table(
            {"id": range(len(found)), **{name: pa.array([row[place] for row in found], dtype)
                                         for place, (name, dtype) in enumerate(COLUMNS.items())}})  # fmt: skip
        with writing(database) as session:
            name = database.dialect.quoted("events")
            session.execute(f"DROP TABLE IF EXISTS {name}")
            keep(session, database, table, "events")
        results = []
        for pushed in (True, False):
            root = tmp_path / str(random.getrandbits(64))
            project = Project(root)
            flow = project.flow(load_type="overwrite", source_filter=condition)
            flow = reading(project, database.connection, flow)
            with _pushdown(on=pushed):
                (unit,) = project.run(flow).units
            code = unit.error.code if unit.error else None
            results.append(code or (project.rows(flow, "id") if (root / "out").exists() else []))
        assert results[0] == results[1], condition


@contextmanager
def _pushdown(*, on: bool) -> Iterator[None]:
    from tidegate.sources.pushdown import Conditions

    with pytest.MonkeyPatch.context() as patches:
        if not on:
            patches.setattr(Conditions, "add_expression", lambda *_: None)
        yield
