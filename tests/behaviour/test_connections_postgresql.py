"""PostgreSQL: its types, its failures, its snapshots."""

from __future__ import annotations

import datetime as dt
import resource
import threading
import time
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from tests.behaviour.databases import connected, keep, read
from tidegate.connections import Database
from tidegate.errors import PlaceUnavailableError, PlatformError


@pytest.fixture
def database(postgres_url: str) -> Database:
    return connected(url=postgres_url)


def end_session(url: str, pid: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s)", [pid])
        while connection.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone():
            time.sleep(0.01)


class TestTypes:
    """Each type, with values that drivers get wrong."""

    @pytest.mark.parametrize(
        ("expression", "dtype", "value"),
        [
            ("1::int2", pa.int16(), 1),
            ("9223372036854775807", pa.int64(), 2**63 - 1),
            ("1.1::float4", pa.float32(), pa.scalar(1.1, pa.float32()).as_py()),
            ("1.50::numeric(10, 2)", pa.decimal128(10, 2), Decimal("1.50")),
            ("'-0.0001'::numeric(38, 4)", pa.decimal128(38, 4), Decimal("-0.0001")),
            ("123000::numeric(3, -3)", pa.decimal128(6, 0), Decimal(123000)),
            ("0.00012::numeric(2, 5)", pa.decimal128(5, 5), Decimal("0.00012")),
            ("1.50::numeric", pa.string(), "1.50"),
            ("'1e40'::numeric(50, 2)", pa.string(), "1" + "0" * 40 + ".00"),
            ("'NaN'::numeric", pa.string(), "NaN"),
            ("'a'::char(3)", pa.string(), "a  "),
            ("'x'::name", pa.string(), "x"),
            (r"'\x00ff'::bytea", pa.binary(), b"\0\xff"),
            ("date '0001-01-01'", pa.date32(), dt.date(1, 1, 1)),
            ("date '9999-12-31'", pa.date32(), dt.date(9999, 12, 31)),
            (
                "timestamp '1582-10-10 00:00:00.000001'",
                pa.timestamp("us"),
                dt.datetime.fromisoformat("1582-10-10T00:00:00.000001"),
            ),
            (
                "timestamptz '2024-01-01 01:00:00+05:30'",
                pa.timestamp("us", "UTC"),
                dt.datetime(2023, 12, 31, 19, 30, tzinfo=dt.UTC),
            ),
            ("time '23:59:59.999999'", pa.time64("us"), dt.time(23, 59, 59, 999_999)),
            ("timetz '01:00:00+02'", pa.string(), "01:00:00+02"),
            ("interval '1 month 2 days 3 hours'", pa.string(), "P1M2DT3H"),
            ("""'{"a": 1}'::json""", pa.string(), '{"a": 1}'),
            ("""'{"a":1}'::jsonb""", pa.string(), '{"a": 1}'),
            ("'00000000-0000-0000-0000-00000000000a'::uuid", pa.string(), "00000000-0000-0000-0000-00000000000a"),
            ("'10.0.0.1/8'::inet", pa.string(), "10.0.0.1/8"),
            ("'<a/>'::xml", pa.string(), "<a/>"),
            ("12.3::money", pa.string(), "$12.30"),
            ("array[array[1, 2], array[3, NULL]]", pa.string(), "{{1,2},{3,NULL}}"),
            ("B'101'", pa.string(), "101"),
            ("4294967295::oid", pa.string(), "4294967295"),
            ("int4range(1, 5)", pa.string(), "[1,5)"),
            ("ROW(1, 'a')", pa.string(), "(1,a)"),
            ("NULL", pa.string(), None),
        ],
        ids=str,
    )
    def test_a_value_is_read_as_it_is(self, database: Database, expression: str, dtype: Any, value: Any) -> None:
        """Through both ways of reading."""
        sql = f"SELECT {expression} AS x"
        with database.session() as session:
            fast = read(session, sql)
            session.begin()
            within = read(session, sql)
        assert (fast.schema.types, fast.to_pydict()) == ([dtype], {"x": [value]})
        assert within.equals(fast)

    def test_enums_and_domains_are_read(self, database: Database) -> None:
        """A domain as its base type."""
        with database.session() as session:
            session.execute("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN price AS numeric(10, 2)")
            found = read(session, "SELECT 'ok'::mood AS m, 1.5::price AS p")
        assert found.to_pydict() == {"m": ["ok"], "p": [Decimal("1.50")]}
        assert found.schema.types == [pa.string(), pa.decimal128(10, 2)]

    @pytest.mark.parametrize(
        "expression",
        [
            "date 'infinity'",
            "date '-infinity'",
            "date '0044-03-15 BC'",
            "date '10000-01-01'",
            "timestamp 'infinity'",
            "timestamp '-infinity'",
            "timestamptz '0044-03-15 00:00:00 BC'",
            "timestamptz '200000-01-01 00:00:00'",
            "time '24:00'",
            "'NaN'::numeric(10, 2)",
        ],
    )
    def test_a_value_that_arrow_does_not_have_is_told(self, database: Database, expression: str) -> None:
        """It becomes neither NULL nor another value, and a cast in the query reads it."""
        dtype = expression.rpartition("::")[2] if "::" in expression else expression.partition(" ")[0]
        sql = f"SELECT x::{dtype} AS x FROM (SELECT NULL AS x UNION ALL SELECT {expression}) AS t"
        with database.session() as session:
            with pytest.raises(PlatformError, match=r"column 'x' has .*row 2") as caught:
                read(session, sql)
            assert caught.value.code == "TG725"
            assert "CAST" in str(caught.value.hint)
            assert read(session, f"SELECT ({expression})::text AS x").num_rows == 1
            session.begin()
            with pytest.raises(PlatformError) as caught:
                read(session, sql)
            assert (caught.value.code, caught.value.transient) == ("TG725", False)

    def test_a_numeric_without_precision_is_a_decimal_when_that_is_asked_for(self, database: Database) -> None:
        """Exactly, or not at all."""
        with database.session() as session:
            wanted = {"x": pa.decimal128(10, 2)}
            (batch,) = session.stream("SELECT 1.5::numeric AS x", columns=wanted)
            assert batch.to_pydict() == {"x": [Decimal("1.50")]}
            with pytest.raises(PlatformError, match=r"column 'x' has '1\.555' in row 1"):
                list(session.stream("SELECT 1.555::numeric AS x", columns=wanted))

    def test_the_order_of_names_is_that_of_the_catalogue(self, database: Database) -> None:
        """Partitions belong to their table, and schemas are apart."""
        with database.session() as session:
            session.execute("CREATE TABLE p (d date) PARTITION BY RANGE (d)")
            session.execute("CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')")
            session.execute('CREATE SCHEMA "Sales"; CREATE TABLE "Sales"."Orders" (id int); CREATE TABLE b (id int)')
            assert session.tables() == [("Sales", "Orders"), ("public", "b"), ("public", "p")]
            assert session.columns("Sales", "Orders") == {"id": pa.int32()}
            assert session.columns(None, "Orders") is None


class TestReading:
    """Large reads, and snapshots."""

    @pytest.mark.slow
    def test_memory_stays_bounded(self, database: Database) -> None:
        """Five million rows are no more than fifty thousand."""
        sql = (
            "SELECT g AS id, repeat('x', 200) || g AS t, g * 1.5::numeric(12, 2) AS n FROM generate_series(1, {}) AS g"
        )
        with database.session(snapshot=True, read_only=True) as session:
            columns = session.describe(sql.format(1))
            sum(batch.num_rows for batch in session.stream(sql.format(200_000), columns=columns))
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            assert sum(batch.num_rows for batch in session.stream(sql.format(5_000_000), columns=columns)) == 5_000_000
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024

    def test_other_sessions_join_a_snapshot(self, database: Database) -> None:
        """Parts of a table that are read at once are parts of one table."""
        with database.session() as writer:
            name = keep(writer, database, pa.table({"id": [1]}))
            with database.session(snapshot=True, read_only=True) as first:
                token = first.export_snapshot()
                assert token is not None
                writer.execute(f"INSERT INTO {name} VALUES (2)")
                with database.session(snapshot=token, read_only=True) as second:
                    assert read(second, f"SELECT * FROM {name}").to_pydict() == {"id": [1]}
                    assert second.fetch(f"SELECT count(*) FROM {name}") == [(1,)]
            assert writer.export_snapshot() is None

    def test_a_server_that_writes_otherwise_is_read_the_same(self, database: Database, postgres_url: str) -> None:
        """Its zone, its styles of dates and intervals."""
        name = postgres_url.rpartition("/")[2]
        with database.session() as session:
            for setting in ("TimeZone = 'Asia/Tokyo'", "DateStyle = 'German'", "IntervalStyle = 'sql_standard'"):
                session.execute(f'ALTER DATABASE "{name}" SET {setting}')
        with database.session() as session:
            sql = (
                "SELECT '2024-01-01 00:00:00+00'::timestamptz AS t, interval '1 day' AS i, "
                "ARRAY[date '2024-01-02'] AS a"
            )
            assert read(session, sql).to_pydict() == {
                "t": [dt.datetime(2024, 1, 1, tzinfo=dt.UTC)],
                "i": ["P1D"],
                "a": ["{2024-01-02}"],
            }


class TestFailures:
    """What goes wrong, in our words, and whether to try again."""

    def failure(self, url: str) -> PlatformError:
        with pytest.raises(PlatformError) as caught, connected(url=url).session():
            pass
        return caught.value

    def test_a_server_that_is_not_there_may_come(self) -> None:
        """A retry makes sense."""
        error = self.failure("postgresql://me:topsecret@127.0.0.1:1/shop")
        assert (error.code, error.transient, error.where) == ("TG720", True, "127.0.0.1:1/shop")
        assert "topsecret" not in error.render()

    def test_a_database_that_is_not_there_does_not_come(self, postgres_url: str) -> None:
        """Nor does a user, or TLS where there is none."""
        server = postgres_url.rpartition("/")[0]
        for url in (
            f"{server}/nowhere",
            postgres_url.replace("postgres@", "nobody@"),
            f"{postgres_url}?sslmode=require",
        ):
            error = self.failure(url)
            assert (error.code, error.transient) == ("TG721", False), error.message

    def test_an_option_that_libpq_does_not_know_is_told(self, postgres_url: str) -> None:
        """By its name."""
        error = self.failure(f"{postgres_url}?ssl_mode=require")
        assert error.code == "TG721"
        assert "ssl_mode" in error.message

    def test_a_right_that_is_missing_is_told(self, database: Database) -> None:
        """With what to do."""
        with database.session() as session:
            session.execute("CREATE TABLE t (id int); CREATE ROLE reader_of_nothing")
            try:
                session.execute("SET ROLE reader_of_nothing")
                with pytest.raises(PlatformError, match="permission denied for table t") as caught:
                    session.fetch("SELECT * FROM t")
                assert (caught.value.code, caught.value.transient) == ("TG724", False)
                assert "grant" in str(caught.value.hint)
            finally:
                session.execute("RESET ROLE; DROP ROLE reader_of_nothing")

    def test_a_server_that_ends_in_the_middle_of_a_read_is_told(self, database: Database, postgres_url: str) -> None:
        """Never as the end of the rows."""
        with database.session() as session:
            rows = session.stream("SELECT g FROM generate_series(1, 5000000) AS g", columns={"g": pa.int32()})
            next(rows)
            with psycopg.connect(postgres_url, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE query LIKE 'COPY%' AND datname = current_database()"
                )
            with pytest.raises(PlaceUnavailableError) as caught:
                list(rows)
        assert caught.value.code == "TG720"

    def test_a_commit_that_nobody_answers_is_in_doubt(self, database: Database, postgres_url: str) -> None:
        """The destination then looks for its own commit."""
        with database.session() as session:
            session.begin()
            keep(session, database, pa.table({"id": [1]}))
            end_session(postgres_url, session.fetch("SELECT pg_backend_pid()")[0][0])
            with pytest.raises(PlaceUnavailableError) as caught:
                session.commit()
            session.rollback()
        assert caught.value.code == "TG723"

    def test_a_statement_on_a_broken_connection_is_tried_again(self, database: Database, postgres_url: str) -> None:
        """By whoever runs the load."""
        with database.session() as session:
            end_session(postgres_url, session.fetch("SELECT pg_backend_pid()")[0][0])
            with pytest.raises(PlaceUnavailableError) as caught:
                session.fetch("SELECT 1")
        assert caught.value.code == "TG720"

    def test_transactions_that_exclude_each_other_are_tried_again(self, database: Database) -> None:
        """The one that lost has changed nothing."""
        with database.session() as first, database.session(snapshot=True) as second:
            first.execute("CREATE TABLE t (id int, n int); INSERT INTO t VALUES (1, 0)")
            second.rollback()
            second.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            second.fetch("SELECT * FROM t")
            first.execute("UPDATE t SET n = 1")
            with pytest.raises(PlaceUnavailableError, match="could not serialize") as caught:
                second.execute("UPDATE t SET n = 2")
        assert caught.value.code == "TG722"

    def test_a_deadlock_is_tried_again(self, database: Database) -> None:
        """One of the two goes on."""
        codes: list[str] = []
        with database.session() as session:
            session.execute("CREATE TABLE t (id int, n int); INSERT INTO t VALUES (1, 0), (2, 0)")
        both = threading.Barrier(2)

        def change(first: int, then: int) -> None:
            with database.session() as session:
                session.begin()
                session.execute("SET LOCAL deadlock_timeout = '50ms'; UPDATE t SET n = 1 WHERE id = " + str(first))
                both.wait()
                try:
                    session.execute("UPDATE t SET n = 1 WHERE id = $1", [then])
                    session.commit()
                except PlatformError as error:
                    codes.append(error.code)

        threads = [threading.Thread(target=change, args=order) for order in ((1, 2), (2, 1))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert codes == ["TG722"]

    def test_a_text_that_postgresql_does_not_have_is_told(self, database: Database) -> None:
        """A zero byte; with its column."""
        with (
            database.session() as session,
            pytest.raises(PlatformError, match=r"column 'note' has .* in row 1") as caught,
        ):
            keep(session, database, pa.table({"note": ["a\0b"]}))
        assert caught.value.code == "TG725"
