"""PostgreSQL: statements and inserts through psycopg, reads through ADBC, which is four times as fast.

A read goes over a second connection that joins the session's snapshot. Within :meth:`~PostgreSQLSession.begin` it goes
over the session's own, so that it sees what the transaction has changed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from itertools import chain
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql.dbapi
import psycopg
import pyarrow as pa
from psycopg.conninfo import make_conninfo
from psycopg.pq import ExecStatus

from tidegate.connections.address import Address, address_of
from tidegate.connections.database import BATCH_ROWS, Database, Session, TableTraits
from tidegate.connections.dialect import Dialect
from tidegate.connections.exact import BATCH_BYTES, exactly, next_rows, sliced
from tidegate.connections.parameters import with_parameters
from tidegate.connections.postgresql_binary import HEADER, TRAILER, as_binary, takes_binary
from tidegate.connections.postgresql_copy import ahead, as_csv, require_text
from tidegate.connections.postgresql_dialect import (
    NATIVE,
    NUMERIC,
    PIECES,
    PRIMARY_KEY,
    TABLES,
    TRAITS,
    PostgreSQLDialect,
    arrow_type,
)
from tidegate.connections.postgresql_errors import in_doubt, not_connected, translated
from tidegate.errors import PlatformError

_PORT = 5432
_DEFAULTS = {
    "application_name": "tidegate",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    "client_encoding": "UTF8",
}
"""What the URL does not say. A server that vanished is noticed within a minute."""
_SETTINGS = """
SELECT set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO', false),
  set_config('IntervalStyle', 'iso_8601', false), set_config('bytea_output', 'hex', false),
  set_config('extra_float_digits', '1', false), set_config('standard_conforming_strings', 'on', false)
"""
"""So that text written by a server is the same however it is set up."""

_PADDED = 1042
"""Oid of `bpchar`, which is char(n)."""
_MICROSECONDS = 6
"""Digits of a second."""


class PostgreSQLDatabase(Database):
    """A PostgreSQL database, or one that speaks as it does."""

    kind = "postgresql"
    dialect: Dialect = PostgreSQLDialect()

    @cached_property
    def address(self) -> Address:
        """Where it is."""
        return address_of(self.connection, port=_PORT)

    def place(self) -> str:
        """Return host:port/database."""
        return self.address.place

    @contextmanager
    def session(self, *, snapshot: bool | str = False, read_only: bool = False) -> Iterator[Session]:
        """Open a session."""
        place = self.place()
        try:
            connection = psycopg.connect(self.conninfo, autocommit=True, prepare_threshold=None)
        except psycopg.Error as error:
            raise not_connected(error, place) from None
        with closing(connection):
            session = PostgreSQLSession(connection, self, has_snapshot=bool(snapshot))
            session.set_up(snapshot=snapshot, read_only=read_only)
            yield session

    @cached_property
    def conninfo(self) -> str:
        """What libpq connects by. It holds the password."""
        address = self.address
        ours: dict[str, Any] = {
            **_DEFAULTS,
            "connect_timeout": max(2, int(self.connection.settings.timeout)),
            "host": address.host,
            "port": address.port,
            "dbname": address.database,
            "user": address.username,
            "password": address.password,
        }
        try:
            return make_conninfo("", **{**ours, **address.options})
        except psycopg.Error as error:
            raise not_connected(error, self.place()) from None


class PostgreSQLSession(Session):
    """A connection to PostgreSQL."""

    def __init__(self, connection: psycopg.Connection, database: PostgreSQLDatabase, *, has_snapshot: bool) -> None:
        self._connection = connection
        self._database = database
        self._place = database.place()
        self._has_snapshot = has_snapshot
        self._has_begun = False
        self._read_only = False

    def set_up(self, *, snapshot: bool | str, read_only: bool) -> None:
        """Bring the session into the state that it is asked for."""
        self.execute(_SETTINGS)
        self._read_only = read_only
        if read_only:
            self.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        if snapshot:
            self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        if isinstance(snapshot, str):
            self.execute("SET TRANSACTION SNAPSHOT $1", [snapshot])
        elif snapshot:
            self.fetch("SELECT 1")  # a transaction sees nothing before its first statement

    # -- what there is --------------------------------------------------------------------------------------------

    def columns(self, schema: str | None, table: str) -> dict[str, pa.DataType] | None:
        """Return the columns of a table or view; names are those of the catalogue, in their case."""
        name = self._database.dialect.quoted(schema, table)
        if self.fetch("SELECT to_regclass($1)::oid", [name]) == [(None,)]:
            return None
        return self.describe(f"SELECT * FROM {name}")

    def describe(self, sql: str, parameters: Sequence[Any] = ()) -> dict[str, pa.DataType]:
        """Return the columns of a query, as the server describes it."""
        return {name: arrow_type(oid, modifier) for name, oid, modifier in self._described(sql, parameters)}

    def long_numbers(self, sql: str) -> frozenset[str]:
        """Return the columns that are numeric and read as text."""
        numeric = (column for column in self._described(sql, ()) if column[1] == NUMERIC)
        return frozenset(name for name, oid, modifier in numeric if pa.types.is_string(arrow_type(oid, modifier)))

    def padded_texts(self, sql: str) -> frozenset[str]:
        """Return the columns that are char(n)."""
        return frozenset(name for name, oid, _ in self._described(sql, ()) if oid == _PADDED)

    def primary_key(self, schema: str | None, table: str) -> tuple[str, ...]:
        """Return the columns of the primary key."""
        found = self.fetch(PRIMARY_KEY, [self._database.dialect.quoted(schema, table)])
        return tuple(name for (name,) in found)

    def traits(self, schema: str | None, table: str) -> TableTraits:
        """Return what else there is to know. A view may be made anew over the same rows: it has no identity."""
        found = self.fetch(TRAITS, [self._database.dialect.quoted(schema, table)])
        return TableTraits(
            identity=found[0][0] if found and found[0][1] in {"r", "p"} else None,
            time_steps={name: 10 ** (6 - digits) for _, _, name, digits, _ in found if 0 <= digits < _MICROSECONDS},
            loose_texts=frozenset(name for _, _, name, _, is_loose in found if is_loose),
        )

    def tables(self, schema: str | None = None) -> list[tuple[str | None, str]]:
        """Return all tables and views, in the order of code points; partitions belong to their table."""
        return [(found, name) for found, name in self.fetch(TABLES, [schema])]

    def _described(self, sql: str, parameters: Sequence[Any]) -> list[tuple[str, int, int]]:
        """Return name, oid and type modifier of each column."""
        server, written = self._connection.pgconn, self._written(sql, parameters).encode()
        try:
            for answer in (server.prepare(b"", written), described := server.describe_prepared(b"")):
                if answer.status == ExecStatus.FATAL_ERROR:
                    raise self._error(psycopg.errors.error_from_result(answer))
        except psycopg.OperationalError as error:
            raise self._error(error) from error
        columns = [
            ((described.fname(index) or b"").decode(), described.ftype(index), described.fmod(index))
            for index in range(described.nfields)
        ]
        names = [name for name, _, _ in columns]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            msg = f"the query has two columns {doubled[0]!r}"
            raise PlatformError(msg, code="TG724", where=self._place, hint="give one of them another name with AS")
        return columns

    # -- reading --------------------------------------------------------------------------------------------------

    def stream(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        *,
        columns: Mapping[str, pa.DataType],
        batch_rows: int = BATCH_ROWS,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a query."""
        found = self._described(sql, parameters)
        if [name for name, _, _ in found] != list(columns):
            msg = f"the query has other columns than when it was described: {', '.join(name for name, _, _ in found)}"
            raise PlatformError(msg, code="TG724", where=self._place, hint="run again")
        quoted = self._database.dialect.quoted
        selected = ", ".join(quoted(name) + ("" if oid in NATIVE else "::text") for name, oid, _ in found)
        written = self._written(sql, parameters).strip().rstrip(";")
        query = f"SELECT {selected} FROM (\n{written}\n) AS q"
        raw = pa.schema([(name, NATIVE.get(oid, pa.string())) for name, oid, _ in found])
        rows = 0
        read = self._read_here(query, raw, batch_rows) if self._has_begun else self._read_fast(query)
        with closing(read):
            for batch in read:
                yield from sliced(exactly(batch, columns, self._place, rows_before=rows), batch_rows)
                rows += batch.num_rows

    def _read_fast(self, query: str) -> Generator[pa.RecordBatch]:
        snapshot = self.export_snapshot()
        try:
            with (
                closing(adbc_driver_postgresql.dbapi.connect(self._database.conninfo, autocommit=True)) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute(_SETTINGS)
                mode = "READ ONLY" if self._read_only else "READ WRITE"
                cursor.execute(f"BEGIN ISOLATION LEVEL REPEATABLE READ {mode}")
                if snapshot:
                    cursor.execute(self._written("SET TRANSACTION SNAPSHOT $1", [snapshot]))
                cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": BATCH_BYTES})
                cursor.execute(query)
                with cursor.fetch_record_batch() as reader:
                    yield from reader
        except (adbc_driver_manager.Error, OSError, pa.ArrowException) as error:
            raise translated(error, self._place, broken=True) from error

    def _read_here(self, query: str, schema: pa.Schema, batch_rows: int) -> Generator[pa.RecordBatch]:
        try:
            with self._connection.cursor("tidegate_read", binary=True) as cursor:
                cursor.execute(query.encode())
                wanted = next_rows(0, 0, batch_rows)
                while rows := cursor.fetchmany(wanted):
                    values = zip(zip(*rows, strict=True), schema.types, strict=True)
                    batch = pa.record_batch([pa.array(column, dtype) for column, dtype in values], schema=schema)
                    yield batch
                    wanted = next_rows(len(rows), batch.nbytes, batch_rows)
        except psycopg.Error as error:
            raise self._error(error) from error

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a small query."""
        with self._cursor(sql, parameters) as cursor:
            return cursor.fetchall()

    # -- writing --------------------------------------------------------------------------------------------------

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Carry out a statement."""
        with self._cursor(sql, parameters) as cursor:
            return max(cursor.rowcount, 0)

    def begin(self) -> None:
        """Begin a transaction; in a session with a snapshot it has begun already."""
        if not self._has_snapshot:  # all statements see the same rows: of others' none comes between two of them
            self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        self._has_begun = True

    def commit(self) -> None:
        """Commit."""
        try:
            self._connection.execute("COMMIT")
        except psycopg.Error as error:
            if self._connection.closed:
                raise in_doubt(error, self._place) from error
            raise self._error(error) from error
        finally:
            self._has_begun = self._has_snapshot = False

    def rollback(self) -> None:
        """Undo the transaction."""
        with suppress(psycopg.Error):  # a broken connection has rolled back
            self._connection.execute("ROLLBACK")
        self._has_begun = self._has_snapshot = False

    def insert(self, table: str, columns: Mapping[str, pa.DataType], batches: Iterable[pa.RecordBatch]) -> int:
        """Append rows through COPY: in binary where the columns have just these types, else as text."""
        dialect, rows = self._database.dialect, 0
        types = {name: dialect.storable(dtype) for name, dtype in columns.items()}
        names = ", ".join(dialect.quoted(name) for name in columns)
        found = self._described(f"SELECT {names} FROM {table}", ())
        is_binary = takes_binary(types, [oid for _, oid, _ in found])
        sql = f"COPY {table} ({names}) FROM STDIN (FORMAT {'binary' if is_binary else 'csv'})"

        def encoded(batch: pa.RecordBatch) -> list[memoryview]:
            nonlocal rows
            exact = exactly(batch, types, self._place, rows_before=rows)
            require_text(exact, self._place, rows_before=rows)
            rows += batch.num_rows
            return list(as_binary(exact)) if is_binary else [as_csv(exact)]

        try:
            with (
                self._connection.cursor() as cursor,
                cursor.copy(sql.encode()) as copy,
                closing(ahead(encoded, batches)) as pieces,
            ):
                copy.write(HEADER if is_binary else b"")
                for piece in chain.from_iterable(pieces):
                    copy.write(piece)
                copy.write(TRAILER if is_binary else b"")
        except psycopg.Error as error:
            raise translated(error, self._place, broken=self._connection.closed, inserting=True) from error
        return rows

    # -- snapshots ------------------------------------------------------------------------------------------------

    def export_snapshot(self) -> str | None:
        """Return the name of the session's snapshot."""
        return self._snapshot if self._has_snapshot else None

    @cached_property
    def _snapshot(self) -> str:
        return str(self.fetch("SELECT pg_export_snapshot()")[0][0])

    # -- the driver -----------------------------------------------------------------------------------------------

    @contextmanager
    def _cursor(self, sql: str, parameters: Sequence[Any]) -> Iterator[psycopg.Cursor[Any]]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(self._written(sql, parameters).encode())
                yield cursor
        except psycopg.Error as error:
            raise self._error(error) from error

    def _written(self, sql: str, parameters: Sequence[Any]) -> str:
        literals = (psycopg.sql.Literal(value).as_string(self._connection) for value in parameters)
        return with_parameters(sql, list(literals), PIECES)

    def _error(self, error: psycopg.Error) -> PlatformError:
        return translated(error, self._place, broken=self._connection.closed)
