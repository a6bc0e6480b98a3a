"""Connections to databases: what goes in comes out, in each of them, whatever it is."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import uuid
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.behaviour.databases import connected, keep, read, writing
from tidegate.connections import Database
from tidegate.errors import PlaceUnavailableError, PlatformError

KINDS = ("postgresql", "sqlite", "duckdb")


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "postgresql":
        return connected(url=request.getfixturevalue("postgres_url"))
    return connected(database_type=request.param, database=str(tmp_path / f"shop.{request.param}"))


def as_kept(rows: pa.Table, database: Database) -> pa.Table:
    """The rows in the types as which the database gives them back."""
    fields = [(field.name, database.dialect.storable(field.type)) for field in rows.schema]
    return rows.cast(pa.schema(fields))


def assert_equal(found: pa.Table, expected: pa.Table) -> None:
    assert found.schema.types == expected.schema.types
    assert found.column_names == expected.column_names
    assert pl.DataFrame(found).equals(pl.DataFrame(expected)), (found, expected)  # NaN is NaN there


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
DAYS = st.dates()
INSTANTS = st.datetimes()


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    most = 10**precision - 1
    return st.integers(-most, most).map(lambda digits: Decimal(digits).scaleb(-scale, _WIDE))


_WIDE = Context(prec=60)

VALUES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    *[
        (dtype, st.integers(-(2 ** (dtype.bit_width - 1)), 2 ** (dtype.bit_width - 1) - 1))
        for dtype in (pa.int8(), pa.int16(), pa.int32(), pa.int64())
    ],
    *[(dtype, st.integers(0, 2**dtype.bit_width - 1)) for dtype in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())],
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    *[
        (pa.decimal128(p, s), decimals(p, s))
        for p, s in ((1, 0), (9, 2), (15, 15), (16, 0), (20, 5), (38, 0), (38, 38))
    ],
    (pa.string(), TEXTS),
    (pa.large_string(), TEXTS),
    (pa.string_view(), TEXTS),
    (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["a", "", "é"])),
    (pa.binary(), st.binary(max_size=12)),
    (pa.large_binary(), st.binary(max_size=12)),
    (pa.date32(), DAYS),
    (pa.time64("us"), st.times()),
    (pa.timestamp("us"), INSTANTS),
    (pa.timestamp("ms"), INSTANTS.map(lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000))),
    (pa.timestamp("us", "UTC"), INSTANTS.map(lambda time: time.replace(tzinfo=dt.UTC))),
    (pa.timestamp("us", "Asia/Tokyo"), INSTANTS.map(lambda time: time.replace(tzinfo=dt.UTC))),
    (pa.null(), st.none()),
]
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=10)


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Tables of some storable types, with NULLs, in one or several batches; also of no rows."""
    picked = draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=6))
    names = [f"{draw(NAMES)}_{index}" for index in range(len(picked))]
    count = draw(st.integers(0, 8))
    columns = [
        pa.array(draw(st.lists(st.none() | values, min_size=count, max_size=count)), dtype) for dtype, values in picked
    ]
    return pa.table(columns, names)


class TestRoundTrip:
    """What is inserted is what is read."""

    @given(rows=tables())
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_any_rows_of_storable_types_come_back_equal(self, database: Database, rows: pa.Table) -> None:
        """Read within the transaction, and again after the commit: two ways for PostgreSQL."""
        table = f"t_{uuid.uuid4().hex}"
        with database.session() as session:
            session.begin()
            name = keep(session, database, rows, table)
            within = read(session, f"SELECT * FROM {name}")
            session.commit()
            after = read(session, f"SELECT * FROM {name}")
            columns = session.columns(None, table)
            session.execute(f"DROP TABLE {name}")
        expected = as_kept(rows, database)
        assert columns == dict(zip(expected.column_names, expected.schema.types, strict=True))
        assert_equal(within, expected)
        assert_equal(after, expected)

    @pytest.mark.parametrize(
        "text",
        ["", "NULL", "\\N", "\\.", "a\nb", "a\r\nb", '"', "'", "\\", ",", "NaN", " ", "1", "日本 🦀", "x" * 10_000_000],
    )
    def test_texts_are_texts(self, database: Database, text: str) -> None:
        """What means something else to a CSV reader, or is long; and NULL beside it."""
        rows = pa.table({"text": [text, None, text], "raw": [text.encode(), None, b"\0\xff"]})
        with writing(database) as session:
            name = keep(session, database, rows)
            assert_equal(read(session, f"SELECT * FROM {name}"), rows)

    def test_many_rows_come_in_small_batches(self, database: Database) -> None:
        """A read never holds more than a batch of them."""
        rows = pa.table({"id": range(300_000), "text": [f"row {row}" for row in range(300_000)]})
        with writing(database) as session:
            name = keep(session, database, rows)
            within = list(session.stream(f"SELECT * FROM {name}", columns=session.columns(None, "orders") or {}))
        with database.session(snapshot=True, read_only=True) as session:
            columns = session.columns(None, "orders") or {}
            after = list(session.stream(f"SELECT * FROM {name}", columns=columns, batch_rows=10_000))
        assert max(batch.num_rows for batch in after) <= 10_000
        assert_equal(pa.Table.from_batches(within).sort_by("id"), rows)
        assert_equal(pa.Table.from_batches(after).sort_by("id"), rows)

    def test_a_value_finer_than_the_database_is_refused(self, database: Database) -> None:
        """Rounding it would make another value of it."""
        rows = pa.table({"at": pa.array([1_500], pa.time64("ns"))})
        with pytest.raises(PlatformError, match=r"column 'at' has .* in row 1") as caught, writing(database) as session:
            keep(session, database, rows)
        assert caught.value.code == "TG725"

    def test_rows_come_all_or_none(self, database: Database) -> None:
        """Also outside of a transaction, and when the last one of many is refused."""
        rows = pa.table({"at": pa.array([0] * 100_000 + [1], pa.time64("ns"))})
        with database.session() as session:
            name = keep(session, database, rows.slice(0, 0))
            with pytest.raises(PlatformError, match="in row 100001"):
                session.insert(name, {"at": pa.time64("ns")}, rows.to_batches(10_000))
            assert session.fetch(f"SELECT count(*) FROM {name}") == [(0,)]

    def test_what_cannot_be_kept_is_told(self, database: Database) -> None:
        """By the dialect, before a row is written."""
        assert database.dialect.storable(pa.duration("us")) is None
        assert database.dialect.storable(pa.map_(pa.string(), pa.string())) is None


class TestTransactions:
    """All or nothing."""

    def test_a_rollback_undoes_rows_and_tables(self, database: Database) -> None:
        """DDL is part of the transaction."""
        with database.session() as session:
            session.begin()
            keep(session, database, pa.table({"id": [1]}))
            session.rollback()
            assert session.columns(None, "orders") is None

    def test_what_is_not_committed_is_not_there(self, database: Database) -> None:
        """A session that ends in the middle has done nothing."""
        with database.session() as session:
            keep(session, database, pa.table({"id": [1]}))
        with database.session() as session:
            session.begin()
            session.execute('INSERT INTO "orders" VALUES (2)')
        with database.session() as session:
            assert session.fetch('SELECT "id" FROM "orders"') == [(1,)]

    def test_a_temporary_table_joins(self, database: Database) -> None:
        """Rows to change are brought in, and matched NULL-safely."""
        dialect, columns = database.dialect, {"id": pa.int64(), "name": pa.string()}
        with writing(database) as session:
            name = keep(session, database, pa.table({"id": [1, 2, None, 4], "name": ["a", "b", "c", "d"]}))
            session.execute(dialect.temporary_table("changes", columns, keys=["id"]))
            there = dialect.temporary_name("changes")
            session.insert(there, columns, pa.table({"id": [2, None], "name": ["B", "C"]}).to_batches())
            on = dialect.same('t."id"', 's."id"')
            assert session.execute(dialect.update_from(name, there, on, {"name": 's."name"'})) == 2
            assert sorted(session.fetch(f'SELECT "name" FROM {name}')) == [("B",), ("C",), ("a",), ("d",)]
            assert session.execute(dialect.delete_from(name, there, on)) == 2
            assert sorted(session.fetch(f'SELECT "name" FROM {name}')) == [("a",), ("d",)]

    def test_a_filled_temporary_table_is_searched(self, tmp_path: Path) -> None:
        """SQLite would go through all of it for each row of the table: hours, where both are large."""
        database = connected(database_type="sqlite", database=str(tmp_path / "shop.db"))
        dialect, columns = database.dialect, {"id": pa.int64(), "at": pa.string()}
        with writing(database) as session:
            name = keep(session, database, pa.table({"id": [1, 2], "at": ["a", "b"]}))
            session.execute(dialect.temporary_table("changes", columns, keys=["id", "at"]))
            there = dialect.temporary_name("changes")
            for statement in dialect.after_filling(there, ["id", "at"]):
                session.execute(statement)
            matched = f'SELECT 1 FROM {there} s WHERE t."id" = s."id" AND t."at" = s."at"'
            steps = session.fetch(f"EXPLAIN QUERY PLAN SELECT * FROM {name} t WHERE EXISTS ({matched})")
            assert not [what for *_, what in steps if what.startswith("SCAN s")]

    def test_a_column_is_added(self, database: Database) -> None:
        """With NULL in the rows there are."""
        with writing(database) as session:
            name = keep(session, database, pa.table({"id": [1]}))
            session.execute(database.dialect.add_column(name, "price", pa.decimal128(9, 2)))
            assert (session.columns(None, "orders") or {})["price"] == pa.decimal128(9, 2)
            for statement in database.dialect.widen(name, "price", pa.decimal128(12, 2)) or ():
                session.execute(statement)
                assert (session.columns(None, "orders") or {})["price"] == pa.decimal128(12, 2)
            assert session.fetch(f'SELECT "price" FROM {name}') == [(None,)]

    def test_a_snapshot_stays(self, database: Database) -> None:
        """What others commit meanwhile is not seen; two reads see the same."""
        with database.session() as session:
            name = keep(session, database, pa.table({"id": [1]}))
            if database.kind == "sqlite":
                session.fetch("PRAGMA journal_mode = WAL")
        with database.session() as writer, database.session(snapshot=True, read_only=True) as reader:
            writer.execute(f"INSERT INTO {name} VALUES (2)")
            assert read(reader, f"SELECT * FROM {name}").num_rows == 1
            assert reader.fetch(f"SELECT count(*) FROM {name}") == [(1,)]
            assert read(writer, f"SELECT * FROM {name}").num_rows == 2

    def test_a_session_that_only_reads_changes_nothing(self, database: Database) -> None:
        """Not even when it is asked to."""
        with database.session() as session:
            name = keep(session, database, pa.table({"id": [1]}))
        with database.session(read_only=True) as session:
            with pytest.raises(PlatformError) as caught:
                session.execute(f"DELETE FROM {name}")
            assert caught.value.code == "TG724"
            assert session.fetch(f"SELECT * FROM {name}") == [(1,)]


class TestQueries:
    """Queries with parameters, and what they give."""

    @pytest.mark.parametrize(
        "value",
        [None, True, 7, -7, 1.5, Decimal("1.50"), "it's $1 ?1 \\ --", b"\0'\xff", dt.date(2024, 2, 29)],
        ids=repr,
    )
    def test_a_parameter_is_a_value(self, database: Database, value: Any) -> None:
        """And no SQL."""
        rows = pa.table({"value": [value], "other": ["x"]})
        with writing(database) as session:
            name = keep(session, database, rows)
            same = database.dialect.same('"value"', database.dialect.placeholder(0))
            sql = f'SELECT "other", \'$1 ?1\' AS "text" FROM {name} WHERE {same} -- $1 ?1'
            assert session.fetch(sql, [value]) == [("x", "$1 ?1")]
            assert read(session, sql, [value]).to_pydict() == {"other": ["x"], "text": ["$1 ?1"]}

    @pytest.mark.parametrize(
        ("dtype", "values"),
        [
            (pa.int64(), [-10, -1, 0, 2, 10]),
            (pa.string(), ["", "B", "a", "aa", "b", "é", "日"]),
            (pa.decimal128(9, 2), [Decimal("-10.00"), Decimal("-1.50"), Decimal(0), Decimal("2.25"), Decimal("10.10")]),
            (pa.decimal128(30, 2), [Decimal(f"{text}.25") for text in (-(10**25), -3, 2, 10, 10**25, 10**25 + 1)]),
            (pa.date32(), [dt.date(1, 1, 1), dt.date(1969, 12, 31), dt.date(9999, 12, 31)]),
            (
                pa.timestamp("us"),
                [dt.datetime.fromisoformat(day) for day in ("0999-01-01", "2024-01-01", "2024-01-01T00:00:00.000001")],
            ),
            (
                pa.timestamp("us", "UTC"),
                [dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=dt.UTC)],
            ),
        ],
        ids=str,
    )
    def test_bounds_are_in_the_order_of_values(self, database: Database, dtype: pa.DataType, values: list[Any]) -> None:
        """Whatever the collation, and however a value is kept: a watermark neither loses rows nor doubles them."""
        dialect = database.dialect
        with writing(database) as session:
            name = keep(session, database, pa.table({"at": pa.array(values, dtype)}))
            column, bound = dialect.ordered('"at"', dtype), dialect.ordered(dialect.placeholder(0), dtype)
            for place, value in enumerate(values):
                found = read(session, f'SELECT "at" FROM {name} WHERE {column} >= {bound}', [value])
                assert sorted(found["at"].to_pylist()) == values[place:]
                found = read(session, f'SELECT "at" FROM {name} WHERE {column} < {bound}', [value])
                assert sorted(found["at"].to_pylist()) == values[:place]

    def test_two_columns_of_one_name_are_refused(self, database: Database) -> None:
        """One of them would be lost."""
        with database.session() as session, pytest.raises(PlatformError, match="two columns 'a'") as caught:
            session.describe("SELECT 1 AS a, 2 AS a")
        assert caught.value.code == "TG724"

    def test_only_queries_are_described(self, database: Database) -> None:
        """Describing runs nothing."""
        with database.session() as session:
            name = keep(session, database, pa.table({"id": [1]}))
            with pytest.raises(PlatformError):
                read(session, f"DELETE FROM {name}")
            assert session.fetch(f"SELECT * FROM {name}") == [(1,)]

    def test_a_query_may_end_like_one_of_a_file(self, database: Database) -> None:
        """With a semicolon, or a comment."""
        with database.session() as session:
            assert read(session, "SELECT 1 AS a;\n").to_pydict() == {"a": [1]}
            assert read(session, "SELECT 1 AS a -- one").to_pydict() == {"a": [1]}

    def test_a_read_is_left_in_the_middle(self, database: Database) -> None:
        """And the session goes on."""
        with database.session() as session:
            name = keep(session, database, pa.table({"id": range(200_000)}))
            rows = session.stream(f"SELECT * FROM {name}", columns={"id": pa.int64()}, batch_rows=100)
            assert next(rows).num_rows == 100
            rows.close()  # type: ignore[attr-defined]
            assert session.fetch("SELECT 1") == [(1,)]

    def test_columns_that_changed_are_refused(self, database: Database) -> None:
        """Since the query was described."""
        with database.session() as session, pytest.raises(PlatformError, match="other columns") as caught:
            list(session.stream("SELECT 1 AS b", columns={"a": pa.int64()}))
        assert caught.value.code == "TG724"


class TestWhatThereIs:
    """The catalogue."""

    def test_tables_and_keys_are_found(self, database: Database) -> None:
        """Tables and views, none of the database's own."""
        with database.session() as session:
            session.execute('CREATE TABLE "Orders" ("Day" DATE, "id" INTEGER, note TEXT, PRIMARY KEY ("id", "Day"))')
            session.execute('CREATE VIEW "recent" AS SELECT "id" FROM "Orders"')
            schema = session.tables()[0][0]
            assert session.tables() == [(schema, "Orders"), (schema, "recent")]
            assert session.tables(schema) == session.tables()
            assert session.tables("nowhere") == []
            assert session.primary_key(schema, "Orders") == session.primary_key(None, "Orders") == ("id", "Day")
            assert session.primary_key(None, "recent") == ()
            assert list(session.columns(schema, "Orders") or {}) == ["Day", "id", "note"]
            assert list(session.columns(None, "recent") or {}) == ["id"]
            assert session.columns(None, "nothing") is None

    def test_a_table_that_is_not_there_ends_no_transaction(self, database: Database) -> None:
        """One may look first."""
        with writing(database) as session:
            assert session.columns(None, "orders") is None
            keep(session, database, pa.table({"id": [1]}))
        with database.session() as session:
            assert session.fetch('SELECT * FROM "orders"') == [(1,)]

    def test_a_wrong_statement_is_told_in_one_line(self, database: Database) -> None:
        """With the place."""
        with database.session() as session, pytest.raises(PlatformError) as caught:
            session.fetch('SELECT "nope" FROM "nothing"')
        assert caught.value.code == "TG724"
        assert "nothing" in caught.value.message
        assert "\n" not in caught.value.message
        assert caught.value.where == database.place()


class TestSQLite:
    """What is particular to SQLite."""

    @pytest.fixture
    def database(self, tmp_path: Path) -> Database:
        return connected(url=f"sqlite:///{tmp_path}/shop.db")

    @pytest.mark.parametrize(
        ("declared", "value"),
        [
            ("INTEGER", "'abc'"),
            ("INTEGER", "1.5"),
            ("BOOLEAN", "2"),
            ("DATE", "'31.12.2024'"),
            ("DATE", "1704067200"),
            ("TIMESTAMP", "'2024-01-01 00:00:00Z'"),
            ("TIMESTAMP", "'yesterday'"),
            ("TIME", "'25:00:00'"),
            ("DECIMAL(5,2)", "1.005"),
            ("DECIMAL(5,2)", "'abc'"),
            ("TEXT", "x'ff'"),
            ("BLOB", "'text'"),
            ("REAL", "'many'"),
        ],
    )
    def test_a_value_that_its_type_does_not_have_is_told(self, database: Database, declared: str, value: str) -> None:
        """SQLite takes any value anywhere. It is never NULL, and never another value."""
        with database.session() as session:
            session.execute(f"CREATE TABLE t (id INTEGER, odd {declared})")
            session.execute(f"INSERT INTO t VALUES (1, NULL), (2, {value})")
            with pytest.raises(PlatformError, match=r"column 'odd' has .* in row 2") as caught:
                read(session, "SELECT * FROM t")
        assert caught.value.code == "TG725"

    def test_usual_declarations_are_understood(self, database: Database) -> None:
        """As applications write them."""
        with database.session() as session:
            session.execute(
                "CREATE TABLE t (a BIGINT, b VARCHAR(20), c DATETIME, d TIMESTAMP WITH TIME ZONE, e NUMERIC(10, 2), "
                "f DOUBLE PRECISION, g bool, h, i NUMERIC)"
            )
            session.execute(
                "INSERT INTO t VALUES "
                "(1, 'x', '2024-01-01T01:02:03', '2024-01-01 01:02:03+05:30', 10.1, 2, 1, 'any', 3)"
            )
            found = read(session, "SELECT *, a + 1 AS j, count(*) OVER () AS k, max(b) OVER () AS l FROM t")
        assert found.to_pylist() == [
            {
                "a": 1,
                "b": "x",
                "c": dt.datetime.fromisoformat("2024-01-01T01:02:03"),
                "d": dt.datetime(2023, 12, 31, 19, 32, 3, tzinfo=dt.UTC),
                "e": Decimal("10.10"),
                "f": 2.0,
                "g": True,
                "h": "any",
                "i": 3,
                "j": 2,
                "k": 1,
                "l": "x",
            }
        ]

    def test_times_written_otherwise_are_in_order_too(self, database: Database) -> None:
        """Text with a T, without a fraction, in another zone."""
        with database.session() as session:
            session.execute("CREATE TABLE t (at TIMESTAMPTZ)")
            session.execute(
                "INSERT INTO t VALUES ('2024-01-01T00:00:00Z'), ('2024-01-01 01:00:00+02:00'), ('2024-01-01')"
            )
            column, bound = (database.dialect.ordered(text, pa.timestamp("us", "UTC")) for text in ("at", "?1"))
            sql = f"SELECT count(*) FROM t WHERE {column} >= {bound}"
            assert session.fetch(sql, [dt.datetime(2024, 1, 1, tzinfo=dt.UTC)]) == [(2,)]

    def test_another_writer_is_waited_for_and_then_told(self, tmp_path: Path) -> None:
        """It may be done the next time."""
        database = connected(database_type="sqlite", database=str(tmp_path / "shop.db"), timeout=0.1)
        with writing(database), database.session() as session, pytest.raises(PlaceUnavailableError) as caught:
            session.begin()
        assert caught.value.code == "TG722"

    def test_a_file_that_is_not_there_is_not_made_by_a_read(self, database: Database, tmp_path: Path) -> None:
        """A path that is spelled wrong is no empty database."""
        with pytest.raises(PlatformError) as caught, database.session(read_only=True):
            pass
        assert caught.value.code == "TG721"
        assert list(tmp_path.iterdir()) == []

    def test_a_file_of_something_else_is_refused(self, database: Database, tmp_path: Path) -> None:
        """And left as it is."""
        (tmp_path / "shop.db").write_text("id,name\n" * 1000)
        with pytest.raises(PlatformError) as caught, database.session():
            pass
        assert caught.value.code == "TG721"


class TestDuckDB:
    """What is particular to DuckDB."""

    @pytest.fixture
    def database(self, tmp_path: Path) -> Database:
        return connected(database_type="duckdb", base_path=str(tmp_path), database="shop.duckdb")

    def test_nested_values_are_kept(self, database: Database) -> None:
        """Lists and structs, in each other."""
        rows = pa.table({"lines": [[{"sku": "a", "prices": [1.5, None]}], [], None]})
        with writing(database) as session:
            name = keep(session, database, rows)
            assert read(session, f"SELECT * FROM {name}").to_pydict() == rows.to_pydict()

    def test_types_of_its_own_are_read_exactly(self, database: Database) -> None:
        """Sums of integers are decimals, the rest is text."""
        with database.session() as session:
            found = read(
                session,
                "SELECT sum(i) AS s, uuid '00000000-0000-0000-0000-000000000001' AS u, INTERVAL 1 DAY AS i, "
                "'b'::ENUM('a', 'b') AS e, timestamptz '2024-01-01 01:00:00+01' AS t, ['a'::ENUM('a')] AS l, "
                "7::UTINYINT AS n "
                "FROM range(3) r(i)",
            )
        assert found.to_pydict() == {
            "s": [Decimal(3)],
            "u": ["00000000-0000-0000-0000-000000000001"],
            "i": ["1 day"],
            "e": ["b"],
            "t": [dt.datetime(2024, 1, 1, tzinfo=dt.UTC)],
            "l": ["[a]"],
            "n": [7],
        }

    def test_infinity_is_told(self, database: Database) -> None:
        """It is no day."""
        with database.session() as session, pytest.raises(PlatformError, match="column 'd' has in row 1") as caught:
            read(session, "SELECT DATE 'infinity' AS d")
        assert caught.value.code == "TG725"

    def test_a_file_that_another_process_writes_is_told(self, database: Database, tmp_path: Path) -> None:
        """It may be free the next time."""
        with database.session() as session:
            session.execute("CREATE TABLE t (i INTEGER)")
            code = (
                "from tidegate.connections import database_of; from tidegate.models import Connection\n"
                f"c = dict(database_type='duckdb', database={str(tmp_path / 'shop.duckdb')!r})\n"
                "try:\n  database_of(Connection(name='x', configure=c)).session(read_only=True).__enter__()\n"
                "except Exception as error: print(error.code, error.transient, error.message)"
            )
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("TG722 True the database is in use")

    def test_reads_join_a_writer_of_this_process(self, database: Database) -> None:
        """One process is one user of the file."""
        with database.session() as writer:
            writer.execute("CREATE TABLE t (i INTEGER)")
            with database.session(read_only=True) as reader:
                assert reader.fetch("SELECT count(*) FROM t") == [(0,)]
