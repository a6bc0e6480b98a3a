"""Rows that go into PostgreSQL through COPY: in binary where the table's types are just those of the rows."""

from __future__ import annotations

import datetime as dt
from decimal import Context, Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.behaviour.databases import connected, keep, read
from tidegate.connections import Database
from tidegate.connections.postgresql_binary import takes_binary
from tidegate.errors import PlatformError

DECIMALS = [(1, 0), (1, 1), (4, 4), (5, 2), (12, 2), (18, 0), (18, 7), (18, 18), (19, 3), (28, 13), (38, 0), (38, 10)]
DECIMALS += [(37, 36), (38, 37), (38, 38)]


@pytest.fixture
def database(postgres_url: str) -> Database:
    return connected(url=postgres_url)


def numbers(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    """Of all lengths, as those in which groups of four digits are zero."""
    greatest = 10**precision - 1
    digits = st.integers(0, precision).flatmap(lambda count: st.integers(0, 10**count - 1))
    either = st.one_of(digits, st.integers(0, precision - 1).map(lambda zeros: 10**zeros), st.just(greatest))
    exact = Context(prec=precision)
    return st.tuples(either, st.booleans()).map(
        lambda found: exact.scaleb(Decimal(-found[0] if found[1] else found[0]), -scale)
    )


class TestBinary:
    """What PostgreSQL reads is what was written, whatever the value."""

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(rows=st.lists(st.tuples(*(st.none() | numbers(*digits) for digits in DECIMALS)), min_size=1, max_size=10))
    def test_a_decimal_is_the_number_that_it_is_as_text(
        self, database: Database, rows: list[tuple[Decimal | None, ...]]
    ) -> None:
        columns = zip(zip(*rows, strict=True), DECIMALS, strict=True)
        kept = pa.table({f"c{digits}": pa.array(column, pa.decimal128(*digits)) for column, digits in columns})
        names = [database.dialect.quoted(name) for name in kept.column_names]
        with database.session() as session:
            session.begin()
            table = keep(session, database, kept.append_column("place", pa.array(range(len(rows)))))
            texts = ", ".join(f"{name}::text" for name in names)
            found = session.fetch(f"SELECT {texts} FROM {table} ORDER BY place")
        scales = [scale for _, scale in DECIMALS]
        assert found == [
            tuple(value if value is None else f"{value:.{scale}f}" for value, scale in zip(row, scales, strict=True))
            for row in rows
        ]

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        rows=st.lists(
            st.tuples(
                st.none() | st.booleans(),
                st.none() | st.integers(-(2**15), 2**15 - 1),
                st.none() | st.integers(-(2**63), 2**63 - 1),
                st.none() | st.floats(width=32, allow_nan=False),
                st.none() | st.floats(allow_nan=False),
                st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
                st.none() | st.binary(),
                st.none() | st.dates(),
                st.none() | st.times(),
                st.none() | st.datetimes(),
                st.none() | st.datetimes(timezones=st.just(dt.UTC)),
            ),
            min_size=1,
            max_size=20,
        )
    )
    def test_every_value_comes_back(self, database: Database, rows: list[tuple[Any, ...]]) -> None:
        types = [pa.bool_(), pa.int16(), pa.int64(), pa.float32(), pa.float64(), pa.string(), pa.binary()]
        types += [pa.date32(), pa.time64("us"), pa.timestamp("us"), pa.timestamp("us", "UTC")]
        columns = zip(zip(*rows, strict=True), types, strict=True)
        kept = pa.table({f"c{index}": pa.array(column, dtype) for index, (column, dtype) in enumerate(columns)})
        kept = kept.append_column("place", pa.array(range(len(rows))))
        with database.session() as session:
            session.begin()
            table = keep(session, database, kept)
            found = read(session, f"SELECT * FROM {table} ORDER BY place")
        assert repr(found.to_pylist()) == repr(kept.to_pylist())  # zero has two signs

    def test_long_rows_go_in_pieces(self, database: Database) -> None:
        rows = pa.table({"place": range(40), "text": [str(place % 10) * 1_000_000 for place in range(40)]})
        with database.session() as session:
            table = keep(session, database, rows)
            assert read(session, f"SELECT * FROM {table} ORDER BY place").equals(rows)

    def test_a_slice_of_rows_is_only_that(self, database: Database) -> None:
        rows = pa.record_batch({"number": list(range(100)), "text": [None, "a", "", "bc"] * 25}).slice(37, 5)
        with database.session() as session:
            session.execute("CREATE TABLE sliced (number bigint, text text)")
            assert session.insert("sliced", dict(zip(rows.schema.names, rows.schema.types, strict=True)), [rows]) == 5
            assert session.fetch("SELECT * FROM sliced") == list(zip(*rows.to_pydict().values(), strict=True))


class TestColumnsOfOtherTypes:
    """A table that was there has types of its own: PostgreSQL makes them of text."""

    def test_binary_is_only_for_the_very_same_type(self) -> None:
        assert takes_binary({"a": pa.int64(), "b": pa.decimal128(5, 2), "c": pa.string()}, [20, 1700, 1043])
        assert not takes_binary({"a": pa.timestamp("us")}, [20])  # eight bytes, and another value
        assert not takes_binary({"a": pa.timestamp("us")}, [1184])
        assert not takes_binary({"a": pa.int64()}, [1700])
        assert not takes_binary({"a": pa.string()}, [2950])

    def test_values_are_converted(self, database: Database) -> None:
        rows = pa.record_batch(
            {
                "small": pa.array([1], pa.int64()),
                "number": pa.array([2], pa.int64()),
                "id": ["00000000-0000-0000-0000-00000000000a"],
                "document": ['{"a": 1}'],
            }
        )
        with database.session() as session:
            session.execute("CREATE TABLE own (small smallint, number numeric(10, 2), id uuid, document jsonb)")
            session.insert("own", dict(zip(rows.schema.names, rows.schema.types, strict=True)), [rows])
            found = session.fetch("SELECT small::text, number::text, id::text, document::text FROM own")
        assert found == [("1", "2.00", "00000000-0000-0000-0000-00000000000a", '{"a": 1}')]

    def test_a_domain_checks_its_values(self, database: Database) -> None:
        with database.session() as session:
            session.execute("CREATE DOMAIN positive AS bigint CHECK (VALUE > 0)")
            session.execute("CREATE TABLE checked (number positive)")
            insert = lambda value: session.insert(  # noqa: E731
                "checked", {"number": pa.int64()}, [pa.record_batch({"number": pa.array([value], pa.int64())})]
            )
            insert(1)
            with pytest.raises(PlatformError, match="positive"):
                insert(-1)
            assert session.fetch("SELECT * FROM checked") == [(1,)]

    @pytest.mark.parametrize(
        ("column", "value", "complaint"),
        [
            ("varchar(5)", pa.scalar("abcdef"), "too long"),
            ("numeric(4, 2)", pa.scalar(Decimal("123.45"), pa.decimal128(5, 2)), "overflow"),
        ],
    )
    def test_a_value_that_the_column_does_not_hold_is_refused(
        self, database: Database, column: str, value: pa.Scalar, complaint: str
    ) -> None:
        with database.session() as session:
            session.execute("DROP TABLE IF EXISTS narrow")
            session.execute(f"CREATE TABLE narrow (value {column})")
            with pytest.raises(PlatformError, match=complaint) as caught:
                session.insert("narrow", {"value": value.type}, [pa.record_batch({"value": pa.array([value])})])
            assert caught.value.code == "TG725"
            assert session.fetch("SELECT * FROM narrow") == []

    def test_the_right_to_insert_is_enough(self, database: Database, postgres_url: str) -> None:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("CREATE ROLE copy_writer")
            connection.execute("CREATE TABLE inbox (text text)")
            connection.execute("GRANT INSERT ON inbox TO copy_writer")
        with database.session() as session:
            session.execute("SET ROLE copy_writer")
            assert session.insert("inbox", {"text": pa.string()}, [pa.record_batch({"text": ["a"]})]) == 1
            session.execute("RESET ROLE")
            session.execute("DROP OWNED BY copy_writer")
            session.execute("DROP ROLE copy_writer")  # roles are the server's, and outlive the database
