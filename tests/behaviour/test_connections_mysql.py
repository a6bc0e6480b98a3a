"""MySQL through its port, against a MariaDB server."""

# ruff: noqa: DTZ001 - DATETIME has no zone

from __future__ import annotations

import datetime as dt
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pymysql = pytest.importorskip("pymysql")

from tests.services import free_port  # noqa: E402
from tidegate.connections import Database, Session, database_of  # noqa: E402
from tidegate.connections.mysql_dialect import MySQLDialect  # noqa: E402
from tidegate.errors import ConfigurationError, PlaceUnavailableError, PlatformError  # noqa: E402
from tidegate.models import Connection  # noqa: E402

DATETIME = pa.timestamp("us")
UTC = pa.timestamp("us", "UTC")
AWKWARD = ["\\N", "NULL", "", "\\", "a\tb\nc\\d\re\0f", "'\"`;--", "😀", " x ", "N", "\\\\N"]


def database(url: str, **configure: Any) -> Database:
    return database_of(Connection(name="shop", format="sql", configure={"url": url, **configure}))


@pytest.fixture
def shop(mariadb_url: str) -> Database:
    """An empty database."""
    return database(mariadb_url)


@pytest.fixture
def session(shop: Database) -> Iterator[Session]:
    with shop.session() as opened:
        yield opened


@pytest.fixture
def server(mariadb_url: str) -> Iterator[Any]:
    """The server, seen by its administrator."""
    port, _, name = mariadb_url.rpartition(":")[2].partition("/")
    with closing(
        pymysql.connect(host="127.0.0.1", port=int(port), user="root", database=name, autocommit=True)
    ) as made:
        yield made.cursor()


@pytest.fixture(params=["local_infile=true", "local_infile=false"], ids=["load", "insert"])
def writer(request: pytest.FixtureRequest, mariadb_url: str) -> Iterator[Session]:
    """A session that writes through LOAD DATA, and one that may not."""
    with database(f"{mariadb_url}?{request.param}").session() as opened:
        yield opened


def read(session: Session, query: str, **how: Any) -> pa.Table:
    columns = session.describe(query)
    return pa.Table.from_batches(session.stream(query, columns=columns, **how), schema=pa.schema(list(columns.items())))


def one(session: Session, expression: str) -> tuple[pa.DataType, Any]:
    table = read(session, f"SELECT {expression} AS x")
    return table.schema.field("x").type, table["x"][0].as_py()


class TestTypes:
    @pytest.mark.parametrize(
        ("column", "value", "dtype", "expected"),
        [
            ("bigint unsigned", "18446744073709551615", pa.uint64(), 2**64 - 1),
            ("bigint", "-9223372036854775808", pa.int64(), -(2**63)),
            ("int unsigned", "4294967295", pa.uint32(), 2**32 - 1),
            ("mediumint", "-8388608", pa.int32(), -8388608),
            ("smallint", "-5", pa.int16(), -5),
            ("tinyint", "-128", pa.int8(), -128),
            ("tinyint unsigned", "255", pa.uint8(), 255),
            ("boolean", "TRUE", pa.bool_(), True),
            ("bit(1)", "b'1'", pa.bool_(), True),
            ("bit(12)", "b'100000000001'", pa.uint64(), 2049),
            ("bit(64)", "~0", pa.uint64(), 2**64 - 1),
            ("year", "2155", pa.int16(), 2155),
            ("decimal(38,10)", "-1234567890123456789012345678.0123456789", pa.decimal128(38, 10), None),
            ("decimal(65,30)", "12345678901234567890123456789012345.123456789012345678901234567890", pa.string(), None),
            ("decimal(5,0)", "99999", pa.decimal128(5, 0), Decimal(99999)),
            ("decimal(2,2) unsigned", "0.25", pa.decimal128(2, 2), Decimal("0.25")),
            ("float", "16777217e-3", pa.float32(), 16777.216796875),
            ("double", "0.1", pa.float64(), 0.1),
            ("date", "'9999-12-31'", pa.date32(), dt.date(9999, 12, 31)),
            ("date", "'0001-01-01'", pa.date32(), dt.date(1, 1, 1)),
            ("datetime(6)", "'2024-02-29 23:59:59.999999'", DATETIME, dt.datetime(2024, 2, 29, 23, 59, 59, 999999)),
            ("datetime", "'1000-01-01 00:00:00'", DATETIME, dt.datetime(1000, 1, 1)),
            ("timestamp(3) NULL", "'2024-02-29 12:00:00.123'", UTC, dt.datetime(2024, 2, 29, 12, 0, 0, 123000, dt.UTC)),
            ("time(6)", "'23:59:59.000001'", pa.time64("us"), dt.time(23, 59, 59, 1)),
            ("time", "'00:00:00'", pa.time64("us"), dt.time(0)),
            ("time", "'12:00:01'", pa.time64("us"), dt.time(12, 0, 1)),
            ("json", """'{"a": [1, null]}'""", pa.string(), '{"a": [1, null]}'),
            ("enum('klein','groß')", "'groß'", pa.string(), "groß"),
            ("set('a','b')", "'b,a'", pa.string(), "a,b"),
            ("varchar(20) character set latin1", "'Ärger'", pa.string(), "Ärger"),
            ("varchar(20)", "'😀 0\\\\'", pa.string(), "😀 0\\"),
            ("char(5)", "''", pa.string(), ""),
            ("binary(3)", "x'00ff0a'", pa.binary(), b"\x00\xff\n"),
            ("longblob", "repeat(x'ff', 70000)", pa.binary(), b"\xff" * 70_000),
            ("longtext", "repeat('ö', 300)", pa.string(), "ö" * 300),
            ("uuid", "'123e4567-e89b-12d3-a456-426655440000'", pa.string(), "123e4567-e89b-12d3-a456-426655440000"),
            ("inet6", "'::1'", pa.string(), "::1"),
        ],
    )  # fmt: skip
    def test_each_is_read_exactly(self, session: Session, column: str, value: str, dtype: Any, expected: Any) -> None:
        session.execute(f"CREATE TABLE t (x {column} DEFAULT NULL, n INT)")
        session.execute(f"INSERT INTO t VALUES ({value}, 1), (NULL, 2), ({value}, NULL)")
        assert session.columns(None, "t") == {"x": dtype, "n": pa.int32()}
        table = read(session, "SELECT x, n FROM t")
        found = expected if expected is not None else (value if dtype == pa.string() else Decimal(value))
        assert table["x"].to_pylist() == [found, None, found]
        assert table["n"].to_pylist() == [1, 2, None]

    def test_expressions_have_types_too(self, session: Session) -> None:
        assert one(session, "1.50 + 1") == (pa.decimal128(4, 2), Decimal("2.50"))
        assert one(session, "NULL") == (pa.string(), None)
        assert one(session, "CAST('10:00' AS TIME)")[1] == dt.time(10)
        assert one(session, "CURRENT_TIMESTAMP(6)")[0] == pa.timestamp("us")

    def test_timestamps_are_those_of_utc_wherever_the_server_is(self, session: Session, server: Any) -> None:
        """The server of these tests is five hours ahead."""
        session.execute("CREATE TABLE t (at TIMESTAMP NULL)")
        server.execute("INSERT INTO t VALUES ('2024-01-01 05:00:00')")
        assert session.fetch("SELECT at FROM t") == [(dt.datetime(2024, 1, 1, tzinfo=dt.UTC),)]

    @pytest.mark.parametrize(
        ("column", "value", "shown"),
        [
            ("date", "'0000-00-00'", "0000-00-00"),
            ("datetime", "'2024-00-10 00:00:00'", "2024-00-10"),
            ("time", "'-838:59:59'", "-838:59"),
            ("time", "'24:00:00'", "24:00"),
            ("boolean", "2", "2"),
        ],
    )
    def test_what_is_no_value_of_the_type_names_its_column(
        self, session: Session, server: Any, column: str, value: str, shown: str
    ) -> None:
        session.execute(f"CREATE TABLE t (id INT, odd {column})")
        server.execute("SET sql_mode = ''")
        server.execute(f"INSERT INTO t VALUES (1, NULL), (2, {value})")
        with pytest.raises(PlatformError) as caught:
            read(session, "SELECT * FROM t")
        assert caught.value.code == "TG725"
        assert "'odd'" in caught.value.message
        assert shown in caught.value.message
        assert "query" in (caught.value.hint or "")
        assert session.fetch("SELECT count(*) FROM t") == [(2,)], "the session goes on"


class TestReading:
    def test_many_rows_come_in_batches_in_order(self, session: Session) -> None:
        session.execute("CREATE TABLE t AS SELECT seq AS id, concat('row ', seq) AS name FROM seq_1_to_200000")
        columns = session.columns(None, "t")
        assert columns is not None
        batches = list(session.stream("SELECT * FROM t ORDER BY id", columns=columns, batch_rows=30_000))
        assert [len(batch) for batch in batches] == [30_000] * 6 + [20_000]
        table = pa.Table.from_batches(batches)
        assert table["id"].to_pylist() == list(range(1, 200_001))
        assert table["name"][199_999].as_py() == "row 200000"

    def test_rows_longer_than_a_packet_are_whole(self, session: Session) -> None:
        """A packet has at most 16 MiB: longer rows come in several, one of them maybe empty."""
        for length in (2**24 - 1, 2**24 - 16, 2**24 + 5, 10_000_000, 2 * (2**24 - 1), 40_000_000):
            query = f"SELECT 1 AS a, repeat('x', {length}) AS b UNION ALL SELECT 2, 'end'"
            found = read(session, query)
            assert found["a"].to_pylist() == [1, 2]
            assert [len(text) for text in found["b"].to_pylist()] == [length, 3]
        exact = 2**24 - 1 - len(b"\0\0") - 4  # the payload of one packet, to the byte
        for length in range(exact - 3, exact + 4):
            assert len(session.fetch(f"SELECT repeat('x', {length}) AS b")[0][0]) == length

    def test_parameters_are_values_of_every_type(self, session: Session) -> None:
        values: list[Any] = [
            None, True, -5, 2**63, 10**30, 1.5, Decimal("-0.010"), "it's 'quoted' ? %s \\ 😀", b"\x00'\xff",
            dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 1, 2, 3, 4), dt.time(1, 2, 3, 4), "x" * 70_000, "",
        ]  # fmt: skip
        query = f"SELECT {', '.join(f'? AS c{n}' for n in range(len(values)))}"
        (row,) = session.fetch(query, values)
        assert list(row) == [None, 1, *values[2:]]
        zoned = dt.datetime(2024, 1, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=5)))
        assert session.fetch("SELECT ? = '2024-01-01 07:00:00' AS x", [zoned]) == [(1,)]

    def test_a_missing_parameter_is_an_error(self, session: Session) -> None:
        with pytest.raises(PlatformError, match="1 parameters"):
            session.fetch("SELECT ? AS x")

    def test_a_stream_sees_what_its_transaction_changed(self, session: Session) -> None:
        session.execute("CREATE TABLE t (id INT)")
        session.begin()
        session.execute("INSERT INTO t VALUES (?)", [7])
        assert read(session, "SELECT id FROM t")["id"].to_pylist() == [7]
        session.rollback()
        assert session.fetch("SELECT id FROM t") == []

    def test_a_stream_that_is_left_does_not_disturb_what_follows(self, session: Session) -> None:
        session.execute("CREATE TABLE t AS SELECT seq AS id FROM seq_1_to_100000")
        stream = session.stream("SELECT id FROM t", columns={"id": pa.uint64()}, batch_rows=10)
        assert len(next(stream)) == 10
        stream.close()
        assert session.fetch("SELECT count(*) AS n FROM t") == [(100_000,)]

    def test_a_snapshot_does_not_see_what_comes_later(self, shop: Database, session: Session) -> None:
        session.execute("CREATE TABLE t (id INT)")
        session.execute("INSERT INTO t VALUES (1)")
        with shop.session(snapshot=True, read_only=True) as reader:
            session.execute("INSERT INTO t VALUES (2)")
            assert reader.fetch("SELECT max(id) AS m FROM t") == [(1,)]
            assert read(reader, "SELECT id FROM t")["id"].to_pylist() == [1]
            with pytest.raises(PlatformError, match="READ ONLY"):
                reader.execute("INSERT INTO t VALUES (3)")

    def test_a_query_with_two_columns_of_one_name_is_refused(self, session: Session) -> None:
        with pytest.raises(PlatformError, match="two columns 'a'") as caught:
            session.describe("SELECT 1 AS a, 2 AS a")
        assert caught.value.code == "TG724"

    def test_a_query_that_changed_meanwhile_is_refused(self, session: Session) -> None:
        with pytest.raises(PlatformError, match="other columns"):
            list(session.stream("SELECT 1 AS b", columns={"a": pa.int32()}))

    def test_text_is_compared_by_code_points_on_demand(self, shop: Database, session: Session) -> None:
        session.execute("CREATE TABLE t (x VARCHAR(9) CHARACTER SET latin1)")
        session.execute("INSERT INTO t VALUES ('a'), ('B'), ('ä'), ('A '), ('A')")
        ordered = shop.dialect.in_code_point_order("x")
        found = [text for (text,) in session.fetch(f"SELECT x FROM t ORDER BY {ordered}")]
        assert found == ["A", "A ", "B", "a", "ä"]
        bound = shop.dialect.in_code_point_order("?")
        assert session.fetch(f"SELECT x FROM t WHERE {ordered} > {bound}", ["a"]) == [("ä",)]


class TestCatalogue:
    def test_tables_keys_and_missing_ones(self, session: Session, shop: Database) -> None:
        session.execute("CREATE TABLE `odd ``name` (b INT, a VARCHAR(5), PRIMARY KEY (b, a))")
        session.execute("CREATE VIEW v AS SELECT 1 AS one")
        own = shop.place().rpartition("/")[2]
        assert session.tables(own) == [(own, "odd `name"), (own, "v")]
        assert set(session.tables(own)) <= set(session.tables())
        assert session.primary_key(None, "odd `name") == ("b", "a")
        assert session.primary_key(own, "v") == ()
        assert session.columns(own, "odd `name") == {"b": pa.int32(), "a": pa.string()}
        assert session.columns(None, "nothing") is None
        assert session.columns("nowhere", "nothing") is None


COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "flag": (pa.bool_(), st.booleans()),
    "i8": (pa.int8(), st.integers(-128, 127)),
    "i64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "u64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "f32": (pa.float32(), st.floats(width=32, allow_nan=False, allow_infinity=False)),
    "f64": (pa.float64(), st.floats(allow_nan=False, allow_infinity=False)),
    "money": (pa.decimal128(38, 9), st.decimals(-(10**28), 10**28, places=9)),
    "day": (pa.date32(), st.dates()),
    "at": (pa.timestamp("us"), st.datetimes()),
    "zoned": (UTC, st.datetimes(min_value=dt.datetime(1000, 1, 1), timezones=st.just(dt.UTC))),
    "clock": (pa.time64("us"), st.times()),
    "word": (pa.string(), st.text(st.characters(codec="utf-8"), max_size=30)),
    "raw": (pa.binary(), st.binary(max_size=30)),
}
ROW = st.fixed_dictionaries({name: st.none() | values for name, (_, values) in COLUMNS.items()})
SCHEMA = pa.schema([(name, dtype) for name, (dtype, _) in COLUMNS.items()])


def fill(session: Session, table: pa.Table) -> pa.Table:
    """Write a table, and return what is read again."""
    dialect = MySQLDialect()
    types = {field.name: field.type for field in table.schema}
    session.execute("DROP TABLE IF EXISTS t")
    session.execute(dialect.create_table("t", types))
    assert session.insert("t", types, table.to_batches(max_chunksize=3)) == table.num_rows
    storable = {name: dialect.storable(dtype) for name, dtype in types.items()}
    found = session.stream("SELECT * FROM t", columns=storable)
    return pa.Table.from_batches(found, schema=pa.schema(list(storable.items())))


def as_stored(table: pa.Table) -> pa.Table:
    return table.cast(pa.schema([(field.name, MySQLDialect().storable(field.type)) for field in table.schema]))


class TestWriting:
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(rows=st.lists(ROW, max_size=8))
    def test_what_is_inserted_is_read_again(self, writer: Session, rows: list[dict[str, Any]]) -> None:
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
        assert fill(writer, table) == as_stored(table)

    @pytest.mark.parametrize(
        "text", ["\\N", "NULL", "", "\\", "a\tb\nc\\d\re\0f", "'\"`;--", "😀", " x ", "N", "\\\\N"]
    )
    def test_awkward_text_stays_as_it_is(self, writer: Session, text: str) -> None:
        table = pa.table({"a": [text, None], "b": pa.array([text.encode(), None], pa.binary()), "c": [1, 2]})
        assert fill(writer, table) == table

    def test_large_values_and_many_rows(self, writer: Session) -> None:
        large = pa.table({"a": ["x" * 10_000_000, None, "ö" * 1_000_000], "b": [b"\xff" * 5_000_000, b"", None]})
        assert fill(writer, large) == large
        many = pa.table({"a": range(20_000), "b": [f"row\t{n}" for n in range(20_000)]})
        assert fill(writer, many) == many

    def test_no_rows(self, writer: Session) -> None:
        assert fill(writer, SCHEMA.empty_table()).num_rows == 0

    @pytest.mark.parametrize(
        ("column", "values"),
        [
            ("SMALLINT", pa.array([1, 70_000])),
            ("VARCHAR(3)", pa.array(["abc", "abcd"])),
            ("DOUBLE", pa.array([1.0, float("nan")])),
            ("INT NOT NULL", pa.array([1, None])),
            ("DATE", pa.array(["2024-02-30"])),
        ],
    )
    def test_no_value_is_changed_to_fit(self, writer: Session, column: str, values: pa.Array) -> None:
        """LOAD DATA LOCAL would cut, clip and skip, and call it a warning."""
        writer.execute(f"CREATE TABLE t (a {column})")
        writer.begin()
        with pytest.raises(PlatformError) as caught:
            writer.insert("t", {"a": values.type}, [pa.record_batch([values], names=["a"])])
        assert caught.value.code == "TG725"
        assert re.search("column .*a['`]", caught.value.message.lower())
        writer.rollback()
        assert writer.fetch("SELECT * FROM t") == []

    def test_a_doubled_key_is_refused_and_not_skipped(self, session: Session) -> None:
        session.execute("CREATE TABLE t (a INT PRIMARY KEY)")
        with pytest.raises(PlatformError, match="Duplicate"):
            session.insert("t", {"a": pa.int64()}, [pa.record_batch([pa.array([1, 1])], names=["a"])])

    def test_rows_that_fail_on_the_way_leave_nothing(self, shop: Database, session: Session) -> None:
        """Half of the rows must never look like all of them."""
        session.execute("CREATE TABLE t (a INT)")

        def failing() -> Iterator[pa.RecordBatch]:
            yield pa.record_batch([pa.array([1, 2])], names=["a"])
            raise PlatformError("the source broke")

        session.begin()
        with pytest.raises(PlatformError, match="the source broke"):
            session.insert("t", {"a": pa.int64()}, failing())
        session.rollback()
        with shop.session() as other:
            assert other.fetch("SELECT * FROM t") == []

    def test_columns_that_are_not_given_get_their_default(self, session: Session) -> None:
        session.execute("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT, b INT DEFAULT 5)")
        session.insert("t", {"a": pa.int64()}, [pa.record_batch([pa.array([7, 8])], names=["a"])])
        assert session.fetch("SELECT * FROM t") == [(1, 7, 5), (2, 8, 5)]

    def test_a_zero_stays_a_zero_in_an_automatic_column(self, session: Session) -> None:
        session.execute("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY)")
        session.insert("t", {"id": pa.int64()}, [pa.record_batch([pa.array([0, 5])], names=["id"])])
        assert session.fetch("SELECT * FROM t ORDER BY id") == [(0,), (5,)]


class TestStatements:
    def test_one_transaction_with_temporary_table_update_delete(self, shop: Database, session: Session) -> None:
        dialect = shop.dialect
        types = {"k": pa.string(), "n": pa.int64()}
        session.execute(dialect.create_table(dialect.quoted("my table"), types, keys=["k"]))
        rows = pa.record_batch([pa.array(["a", None, "A", "a "]), pa.array([1, 2, 3, 4])], names=["k", "n"])
        session.insert(dialect.quoted("my table"), types, [rows])
        session.begin()
        session.execute(dialect.temporary_table("new", types, keys=["k"]))
        new = dialect.temporary_name("new")
        session.insert(new, types, [pa.record_batch([pa.array([None, "a"]), pa.array([20, 10])], names=["k", "n"])])
        on = dialect.same("t.k", "s.k")
        assert session.execute(dialect.update_from(dialect.quoted("my table"), new, on, {"n": "s.n"})) == 2
        assert session.execute(dialect.update_from(dialect.quoted("my table"), new, on, {"n": "s.n"})) == 2, "found"
        with shop.session() as other:
            assert other.fetch("SELECT sum(n) AS n FROM `my table`") == [(Decimal(10),)], "not visible yet"
        session.commit()
        found = session.fetch("SELECT k, n FROM `my table` ORDER BY n")
        assert found == [("A", 3), ("a ", 4), ("a", 10), (None, 20)], "case and spaces make another key"
        assert session.execute(dialect.delete_from(dialect.quoted("my table"), new, on)) == 2

    def test_keys_meet_those_of_tables_with_another_collation(self, shop: Database, session: Session) -> None:
        dialect = shop.dialect
        session.execute("CREATE TABLE t (k VARCHAR(20) CHARACTER SET latin1, n INT)")
        session.execute("INSERT INTO t VALUES ('a', 1), ('ä', 2)")
        session.execute(dialect.temporary_table("s", {"k": pa.string()}, keys=["k"]))
        session.insert("s", {"k": pa.string()}, [pa.record_batch([pa.array(["ä"])], names=["k"])])
        assert session.execute(dialect.delete_from("t", "s", dialect.same("t.k", "s.k"))) == 1
        assert session.fetch("SELECT k FROM t") == [("a",)]

    def test_columns_are_added_and_widened(self, shop: Database, session: Session) -> None:
        session.execute("CREATE TABLE t (a INT)")
        session.execute("INSERT INTO t VALUES (1)")
        session.execute(shop.dialect.add_column("t", "b", pa.decimal128(20, 5)))
        for statement in shop.dialect.widen("t", "a", pa.int64()) or []:
            session.execute(statement)
        assert session.columns(None, "t") == {"a": pa.int64(), "b": pa.decimal128(20, 5)}
        assert session.fetch("SELECT * FROM t") == [(1, None)]


class TestErrors:
    def test_wrong_password(self, shop: Database, server: Any, mariadb_url: str) -> None:
        user = f"u{mariadb_url[-10:]}"
        server.execute(f"CREATE USER {user} IDENTIFIED BY 'right'")
        url = mariadb_url.replace("root@", "{username}:{password}@")
        refused = database(url, username=user, password="wrong-secret")
        with pytest.raises(PlatformError) as caught, refused.session():
            pass
        assert caught.value.code == "TG721"
        assert not caught.value.transient
        assert "wrong-secret" not in caught.value.render() + repr(caught.value.details)
        server.execute(f"DROP USER {user}")

    def test_unknown_database(self, mariadb_url: str) -> None:
        with pytest.raises(PlatformError) as caught, database(mariadb_url.rpartition("/")[0] + "/nix").session():
            pass
        assert caught.value.code == "TG721"

    def test_nobody_listens(self) -> None:
        with (
            pytest.raises(PlaceUnavailableError) as caught,
            database(f"mysql://root@127.0.0.1:{free_port()}/x").session(),
        ):
            pass
        assert caught.value.code == "TG720"

    def test_an_unknown_option(self, mariadb_url: str) -> None:
        with pytest.raises(ConfigurationError, match="sslca") as caught, database(f"{mariadb_url}?sslca=x").session():
            pass
        assert caught.value.code == "TG726"

    def test_a_statement_that_does_not_hold(self, session: Session) -> None:
        for attempt in (session.execute, session.fetch, session.describe):
            with pytest.raises(PlatformError) as caught:
                attempt("SELECT x FROM nowhere")
            assert caught.value.code == "TG724"
        assert session.fetch("SELECT 1 AS x") == [(1,)]

    def test_a_session_that_is_killed_in_the_middle_of_a_read(self, session: Session, server: Any) -> None:
        session.execute("CREATE TABLE t AS SELECT seq AS id, repeat('x', 500) AS b FROM seq_1_to_100000")
        ((own,),) = session.fetch("SELECT connection_id() AS id")
        stream = session.stream("SELECT * FROM t", columns=session.describe("SELECT * FROM t"), batch_rows=100)
        next(stream)
        server.execute(f"KILL {own}")
        with pytest.raises(PlaceUnavailableError) as caught:
            list(stream)
        assert caught.value.code == "TG720"
        session.rollback()
        with pytest.raises(PlaceUnavailableError):
            session.fetch("SELECT 1 AS x")

    def test_a_commit_that_nobody_answered_is_in_doubt(self, session: Session, server: Any) -> None:
        ((own,),) = session.fetch("SELECT connection_id() AS id")
        session.begin()
        server.execute(f"KILL {own}")
        with pytest.raises(PlaceUnavailableError) as caught:
            session.commit()
        assert caught.value.code == "TG723"

    def test_a_deadlock_is_worth_another_try(self, shop: Database, session: Session) -> None:
        session.execute("CREATE TABLE t (id INT PRIMARY KEY, n INT)")
        session.execute("INSERT INTO t VALUES (1, 0), (2, 0)")
        errors: list[PlatformError] = []
        both = threading.Barrier(2)

        def work(first: int, second: int) -> None:
            with shop.session() as own:
                own.begin()
                own.execute("UPDATE t SET n = n + 1 WHERE id = ?", [first])
                both.wait()
                try:
                    own.execute("UPDATE t SET n = n + 1 WHERE id = ?", [second])
                    own.commit()
                except PlatformError as error:
                    errors.append(error)

        threads = [threading.Thread(target=work, args=pair) for pair in ((1, 2), (2, 1))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [(error.code, error.transient) for error in errors] == [("TG722", True)]
        assert session.fetch("SELECT n FROM t") == [(1,), (1,)]

    def test_a_server_that_asks_for_files_gets_none(self, shop: Database, session: Session, tmp_path: Any) -> None:
        """Only `insert` answers a request for a file, and only with its rows."""
        secret = tmp_path / "secret"
        secret.write_text("secret")
        session.execute("CREATE TABLE t (a TEXT)")
        with pytest.raises(PlaceUnavailableError, match="asked for a file"):
            session.execute(f"LOAD DATA LOCAL INFILE '{secret}' INTO TABLE t")
        with shop.session() as other:
            assert other.fetch("SELECT * FROM t") == []

    def test_what_listens_may_be_no_database(self) -> None:
        def hang_up() -> None:
            with listener.accept()[0]:
                pass

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=hang_up)
            thread.start()
            url = f"mysql://root@127.0.0.1:{listener.getsockname()[1]}/x"
            with pytest.raises(PlaceUnavailableError), database(url).session():
                pass
            thread.join()
