"""SQL Server through its port, against a server of our own that speaks its protocol over another database.

What is proven: logins, statements, parameters, rows, errors and transactions on the wire. What is not: that SQL Server
itself takes the statements; those are compared as text.
"""

# ruff: noqa: DTZ001 - datetime2 has no zone

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

mssql_python = pytest.importorskip("mssql_python")

from tests.services import UnavailableError, free_port, unavailable  # noqa: E402
from tests.tds_server import TdsServer, tds_server  # noqa: E402
from tidegate.connections import Database, Session, database_of  # noqa: E402
from tidegate.connections.mssql_dialect import SQLServerDialect, arrow_type  # noqa: E402
from tidegate.errors import PlaceUnavailableError, PlatformError  # noqa: E402
from tidegate.models import Connection  # noqa: E402

UTC = pa.timestamp("us", "UTC")


def database(url: str, **configure: Any) -> Database:
    return database_of(Connection(name="shop", format="sql", configure={"url": url, **configure}))


def url_of(server: TdsServer, name: str = "shop", password: str = "right") -> str:
    return f"mssql://sa:{password}@127.0.0.1:{server.port}/{name}?Encrypt=no"


@pytest.fixture(scope="session")
def driver() -> None:
    """The driver's own libraries, which need some of the system's."""
    try:
        mssql_python.connect(f"Server=127.0.0.1,{free_port()};UID=x;PWD=x;Encrypt=no", timeout=1)
    except mssql_python.Error as error:
        if "Failed to load the driver" in str(error):
            unavailable("SQL Server's driver", UnavailableError("libltdl is missing; tools/install_services.sh has it"))


@pytest.fixture
def server(driver: None) -> Iterator[TdsServer]:
    with tds_server() as running:
        yield running


@pytest.fixture
def shop(server: TdsServer) -> Database:
    return database(url_of(server))


@pytest.fixture
def session(shop: Database) -> Iterator[Session]:
    with shop.session() as opened:
        yield opened


def read(session: Session, query: str, **how: Any) -> pa.Table:
    columns = session.describe(query)
    batches = session.stream(query, columns=columns, **how)
    return pa.Table.from_batches(batches, schema=pa.schema(list(columns.items())))


COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "flag": (pa.bool_(), st.booleans()),
    "i8": (pa.int8(), st.integers(-128, 127)),
    "i32": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "i64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "u64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "f32": (pa.float32(), st.floats(width=32, allow_nan=False, allow_infinity=False)),
    "f64": (pa.float64(), st.floats(allow_nan=False, allow_infinity=False)),
    "money": (pa.decimal128(38, 9), st.decimals(-(10**28), 10**28, places=9)),
    "day": (pa.date32(), st.dates()),
    "at": (pa.timestamp("us"), st.datetimes()),
    "zoned": (UTC, st.datetimes(timezones=st.just(dt.UTC))),
    "clock": (pa.time64("us"), st.times()),
    "word": (pa.string(), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)),
    "raw": (pa.binary(), st.binary(max_size=30)),
}
ROW = st.fixed_dictionaries({name: st.none() | values for name, (_, values) in COLUMNS.items()})
SCHEMA = pa.schema([(name, dtype) for name, (dtype, _) in COLUMNS.items()])


def fill(session: Session, table: pa.Table) -> pa.Table:
    """Write a table, and return what is read again."""
    dialect = SQLServerDialect()
    types = {field.name: field.type for field in table.schema}
    session.execute("DROP TABLE IF EXISTS t")
    session.execute(dialect.create_table("[t]", types))
    assert session.insert("[t]", types, table.to_batches(max_chunksize=3_000)) == table.num_rows
    storable = {name: dialect.storable(dtype) for name, dtype in types.items()}
    assert session.columns(None, "t") == storable
    found = session.stream("SELECT * FROM t", columns=storable)
    return pa.Table.from_batches(found, schema=pa.schema(list(storable.items())))


def as_stored(table: pa.Table) -> pa.Table:
    dialect = SQLServerDialect()
    return table.cast(pa.schema([(field.name, dialect.storable(field.type)) for field in table.schema]))


class TestRows:
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(rows=st.lists(ROW, max_size=6))
    def test_what_is_inserted_is_read_again(self, session: Session, rows: list[dict[str, Any]]) -> None:
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
        assert fill(session, table) == as_stored(table)

    def test_large_values_and_many_rows(self, session: Session) -> None:
        large = pa.table({"a": ["x" * 1_000_000, None, "ö😀" * 3_000], "b": [b"\xff" * 500_000, b"", None]})
        assert fill(session, large) == large
        many = pa.table({"a": range(5_000), "b": [f"row {n}" for n in range(5_000)]})
        assert fill(session, many) == many

    def test_a_stream_comes_in_batches(self, session: Session) -> None:
        session.execute("CREATE TABLE t (n bigint)")
        session.insert("t", {"n": pa.int64()}, [pa.record_batch([pa.array(range(2_500))], names=["n"])])
        batches = list(session.stream("SELECT n FROM t ORDER BY n", columns={"n": pa.int64()}, batch_rows=1_000))
        assert [len(batch) for batch in batches] == [1_000, 1_000, 500]
        assert pa.Table.from_batches(batches)["n"].to_pylist() == list(range(2_500))

    def test_parameters_are_values_of_every_type(self, session: Session) -> None:
        values: list[Any] = [
            True, -5, 2**62, 1.5, Decimal("-0.010"), "it's 'quoted' ? 😀", b"\x00'\xff", dt.date(2024, 2, 29),
            dt.datetime(2024, 2, 29, 1, 2, 3, 4), dt.time(1, 2, 3), "x" * 9_000, "",
        ]  # fmt: skip
        query = f"SELECT {', '.join(f'? AS c{n}' for n in range(len(values)))}"
        assert session.fetch(query, values) == [tuple(values)]
        zoned = dt.datetime(2024, 1, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=5)))
        assert session.fetch("SELECT ? AS a, ? AS b", [None, zoned]) == [(None, zoned)]

    def test_a_query_is_described_and_not_run(self, session: Session, server: TdsServer) -> None:
        session.execute("CREATE TABLE t (a int, [b c] decimal(10,2))")
        assert server.statements
        assert session.describe("SELECT a, [b c], '?' AS d FROM t WHERE a > ?", [5]) == {
            "a": pa.int32(),
            "b c": pa.decimal128(10, 2),
            "d": pa.string(),
        }
        assert len(server.statements) == 1
        for wrong in ("SELECT nothing FROM t", "DELETE FROM t"):
            with pytest.raises(PlatformError) as caught:
                session.describe(wrong)
            assert caught.value.code == "TG724"

    def test_a_query_that_changed_meanwhile_is_refused(self, session: Session) -> None:
        with pytest.raises(PlatformError, match="other columns"):
            list(session.stream("SELECT 1 AS b", columns={"a": pa.int32()}))

    def test_a_value_that_its_type_does_not_have_names_its_column(self, session: Session) -> None:
        with pytest.raises(PlatformError, match="'a'") as caught:
            list(session.stream("SELECT 300 AS a", columns={"a": pa.int8()}))
        assert caught.value.code == "TG725"

    def test_tables_and_keys(self, session: Session) -> None:
        session.execute("CREATE TABLE [odd ]] name] (b int, a int, PRIMARY KEY (b, a))")
        assert session.tables() == [("main", "odd ] name")]
        assert session.primary_key(None, "odd ] name") == ("b", "a")
        assert session.columns("main", "odd ] name") == {"b": pa.int32(), "a": pa.int32()}
        assert session.columns(None, "nothing") is None


class TestTransactions:
    def test_one_with_temporary_table_update_delete(self, shop: Database, session: Session) -> None:
        dialect = shop.dialect
        types = {"k": pa.string(), "n": pa.int64()}
        session.execute(dialect.create_table(dialect.quoted("my table"), types, keys=["k"]))
        rows = pa.record_batch([pa.array(["a", None, "A"]), pa.array([1, 2, 3])], names=["k", "n"])
        session.insert(dialect.quoted("my table"), types, [rows])
        session.begin()
        session.execute(dialect.temporary_table("new", types, keys=["k"]))
        new = dialect.temporary_name("new")
        session.insert(new, types, [pa.record_batch([pa.array([None, "a"]), pa.array([20, 10])], names=["k", "n"])])
        on = dialect.same("t.k", "s.k")
        assert session.execute(dialect.update_from(dialect.quoted("my table"), new, on, {"n": "s.n"})) == 2
        with shop.session() as other:
            assert other.fetch("SELECT n FROM [my table] ORDER BY n") == [(1,), (2,), (3,)], "not visible yet"
        session.commit()
        assert session.fetch("SELECT k, n FROM [my table] ORDER BY n") == [("A", 3), ("a", 10), (None, 20)]
        assert session.execute(dialect.delete_from(dialect.quoted("my table"), new, on)) == 2

    def test_a_rollback_undoes(self, session: Session) -> None:
        session.execute("CREATE TABLE t (a int)")
        session.begin()
        session.insert("t", {"a": pa.int32()}, [pa.record_batch([pa.array([1], pa.int32())], names=["a"])])
        session.rollback()
        assert session.fetch("SELECT a FROM t") == []

    def test_a_snapshot_is_one_transaction(self, shop: Database, server: TdsServer) -> None:
        with shop.session(snapshot=True, read_only=True):
            pass
        assert server.statements[-2:] == ["SET TRANSACTION ISOLATION LEVEL SNAPSHOT", "BEGIN TRANSACTION"]

    def test_a_database_without_snapshots_says_how_it_gets_them(self, shop: Database, server: TdsServer) -> None:
        said = (
            "Snapshot isolation transaction failed accessing database 'shop' because snapshot isolation is not allowed"
        )
        server.fail("BEGIN", 3952, said)
        with pytest.raises(PlatformError, match="Snapshot isolation") as caught, shop.session(snapshot=True):
            pass
        assert "ALLOW_SNAPSHOT_ISOLATION" in (caught.value.hint or "")


class TestErrors:
    def test_wrong_password(self, server: TdsServer) -> None:
        with pytest.raises(PlatformError) as caught, database(url_of(server, password="wrong-secret")).session():
            pass
        assert (caught.value.code, caught.value.transient) == ("TG721", False)
        assert "wrong-secret" not in caught.value.render() + repr(caught.value.details)

    def test_unknown_database(self, server: TdsServer) -> None:
        with pytest.raises(PlatformError, match="nowhere") as caught, database(url_of(server, "nowhere")).session():
            pass
        assert caught.value.code == "TG721"

    def test_nobody_listens(self, driver: None) -> None:
        nobody = database(f"mssql://sa:x@127.0.0.1:{free_port()}/shop?Encrypt=no", timeout=2)
        with pytest.raises(PlaceUnavailableError) as caught, nobody.session():
            pass
        assert caught.value.code == "TG720"

    def test_an_unknown_option(self, server: TdsServer) -> None:
        with (
            pytest.raises(PlatformError, match="encrypd") as caught,
            database(url_of(server) + "&encrypd=no").session(),
        ):
            pass
        assert caught.value.code == "TG721"

    def test_a_statement_that_does_not_hold(self, session: Session) -> None:
        with pytest.raises(PlatformError, match="nowhere") as caught:
            session.execute("SELECT x FROM nowhere")
        assert caught.value.code == "TG724"
        assert session.fetch("SELECT 1 AS x") == [(1,)]

    @pytest.mark.parametrize(
        ("number", "text"),
        [
            (1205, "Transaction (Process ID 5) was deadlocked on lock resources and has been chosen as the victim."),
            (3960, "Snapshot isolation transaction aborted due to update conflict."),
            (1222, "Lock request time out period exceeded."),
        ],
    )
    def test_what_another_transaction_undid_is_worth_another_try(
        self, session: Session, server: TdsServer, number: int, text: str
    ) -> None:
        server.fail("DELETE", number, text)
        with pytest.raises(PlaceUnavailableError) as caught:
            session.execute("DELETE FROM t")
        assert caught.value.code == "TG722"

    def test_a_connection_that_breaks(self, session: Session, server: TdsServer) -> None:
        server.fail("DELETE", 0)
        with pytest.raises(PlaceUnavailableError) as caught:
            session.execute("DELETE FROM t")
        assert caught.value.code == "TG720"
        session.rollback()

    def test_a_commit_that_nobody_answered_is_in_doubt(self, session: Session, server: TdsServer) -> None:
        session.begin()
        server.fail("COMMIT", 0)
        with pytest.raises(PlaceUnavailableError) as caught:
            session.commit()
        assert caught.value.code == "TG723"


class TestDialect:
    def test_statements_are_those_of_sql_server(self) -> None:
        dialect = SQLServerDialect()
        assert dialect.quoted("a", "b]c") == "[a].[b]]c]"
        assert dialect.temporary_table("new", {"k": pa.string(), "n": pa.decimal128(20, 2)}, keys=["k"]) == (
            "CREATE TABLE [#new] ([k] nvarchar(255) COLLATE Latin1_General_100_BIN2, [n] decimal(20,2))"
        )
        assert dialect.update_from("[t]", "[#s]", "t.k = s.k", {"n": "s.n", "m": "1"}) == (
            "UPDATE t SET [n] = s.n, [m] = 1 FROM [t] AS t JOIN [#s] AS s ON t.k = s.k"
        )
        assert dialect.same("t.k", "s.k") == "EXISTS (SELECT t.k INTERSECT SELECT s.k)"
        assert dialect.add_column("[t]", "c", pa.timestamp("us")) == "ALTER TABLE [t] ADD [c] datetime2(6) NULL"
        assert dialect.widen("[t]", "c", pa.int64()) == ["ALTER TABLE [t] ALTER COLUMN [c] bigint NULL"]
        assert dialect.storable(pa.list_(pa.int8())) is None

    @pytest.mark.parametrize(
        ("words", "dtype"),
        [
            ("decimal(38,10)", pa.decimal128(38, 10)),
            ("money", pa.decimal128(19, 4)),
            ("tinyint", pa.int16()),
            ("datetime2(7)", pa.timestamp("us")),
            ("datetimeoffset(7)", UTC),
            ("time(3)", pa.time64("us")),
            ("float", pa.float64()),
            ("real", pa.float32()),
            ("varchar(20)", pa.string()),
            ("nvarchar(max)", pa.string()),
            ("uniqueidentifier", pa.string()),
            ("xml", pa.string()),
            ("binary(8)", pa.binary()),
            ("timestamp", pa.binary()),
        ],
    )
    def test_types_are_read_as(self, words: str, dtype: pa.DataType) -> None:
        assert arrow_type(words) == dtype
