"""SQLite: a database in one file, of this machine."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from tidegate.connections.address import file_of
from tidegate.connections.database import BATCH_ROWS, Database, Session, TableTraits, transaction_of
from tidegate.connections.dialect import Dialect
from tidegate.connections.exact import exactly, next_rows
from tidegate.connections.parameters import with_parameters
from tidegate.connections.sqlite_values import (
    PIECES,
    SQLiteDialect,
    array_of,
    decimal_in_order,
    declared_type,
    found_type,
    parameter,
    time_in_order,
    values_of,
)
from tidegate.errors import PlaceUnavailableError, PlatformError, first_line

_DESCRIBED = '"temp"."tidegate_described"'
_DOUBLED = re.compile(r"(.*):\d+")
"""A view's second column of one name."""
_ROWS_LOOKED_AT = 1000
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_REFUSED = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH})
_PRIMARY_CODE = 0xFF
_TABLES = """
SELECT 'main', name FROM "main".sqlite_schema
WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name
"""

_SPELLING = """SELECT name FROM "main".sqlite_schema WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE"""


class SQLiteDatabase(Database):
    """A SQLite file. A session that may write makes it when it is not there."""

    kind = "sqlite"
    dialect: Dialect = SQLiteDialect()

    @cached_property
    def path(self) -> str:
        """Where the file is."""
        return file_of(self.connection)

    def place(self) -> str:
        """Return the path."""
        return self.path

    def exists(self) -> bool:
        """Tell whether the file is there."""
        return Path(self.path).exists()

    @contextmanager
    def session(self, *, snapshot: bool | str = False, read_only: bool = False) -> Iterator[Session]:
        """Open a session."""
        uri = f"{Path(self.path).absolute().as_uri()}?mode={'rw' if read_only else 'rwc'}"
        seconds = self.connection.settings.timeout
        try:
            connection = sqlite3.connect(
                uri, uri=True, timeout=seconds, isolation_level=None, check_same_thread=False, cached_statements=16
            )
        except sqlite3.Error as error:
            raise _translated(error, self.path) from None
        with closing(connection):
            session = SQLiteSession(connection, self)
            session.set_up(snapshot=bool(snapshot), read_only=read_only)
            yield session


class SQLiteSession(Session):
    """A connection to a SQLite file."""

    def __init__(self, connection: sqlite3.Connection, database: SQLiteDatabase) -> None:
        self._connection = connection
        self._database = database
        self._place = database.path
        self._read_only = False

    def set_up(self, *, snapshot: bool, read_only: bool) -> None:
        """Bring the session into the state that it is asked for."""
        self._connection.create_function("tidegate_time", 1, time_in_order, deterministic=True)
        self._connection.create_function("tidegate_decimal", 2, decimal_in_order, deterministic=True)
        self.fetch("SELECT count(*) FROM sqlite_schema")  # is it a database?
        if read_only:
            self._connection.execute("PRAGMA query_only = 1")
            self._read_only = True
        if snapshot:
            self.execute("BEGIN")
            self.fetch("SELECT count(*) FROM sqlite_schema")  # a transaction sees nothing before its first read

    # -- what there is --------------------------------------------------------------------------------------------

    def columns(self, schema: str | None, table: str) -> dict[str, pa.DataType] | None:
        """Return the columns of a table or view. Case does not matter."""
        name, places = self._database.dialect.quoted(schema, table), "pragma_table_xinfo(?1, ?2)"
        if not self.fetch(f"SELECT 1 FROM {places} LIMIT 1", [table, schema or "main"]):
            return None
        return self.describe(f"SELECT * FROM {name}")

    def describe(self, sql: str, parameters: Sequence[Any] = ()) -> dict[str, pa.DataType]:
        """Return the columns of a query, by their declared types.

        An expression has none: it is what the first thousand rows hold. A CAST does not tell either; a value that
        is of another kind later is an error, and never lost.
        """
        declared = self._declared(sql, parameters)
        unknown = [name for name, dtype in declared.items() if dtype is None]
        if unknown:
            names = ", ".join(map(self._database.dialect.quoted, unknown))
            rows = self.fetch(
                f"SELECT {names} FROM (\n{_bare(sql)}\n) LIMIT {_ROWS_LOOKED_AT}",
                parameters,
            )
            for place, name in enumerate(unknown):
                declared[name] = found_type(row[place] for row in rows)
        return declared

    def primary_key(self, schema: str | None, table: str) -> tuple[str, ...]:
        """Return the columns of the primary key."""
        sql = "SELECT name FROM pragma_table_info(?1, ?2) WHERE pk ORDER BY pk"
        return tuple(name for (name,) in self.fetch(sql, [table, schema or "main"]))

    def traits(self, schema: str | None, table: str) -> TableTraits:
        """Return that each text may be compared loosely: SQLite does not tell collations. Tables have no identity."""
        columns = self.columns(schema, table) or {}
        return TableTraits(loose_texts=frozenset(name for name, dtype in columns.items() if pa.types.is_string(dtype)))

    def spelling(self, schema: str | None, table: str) -> str:
        """Return the name of a table as the schema has it."""
        found = self.fetch(_SPELLING, [table])
        return found[0][0] if found else table

    def tables(self, schema: str | None = None) -> list[tuple[str | None, str]]:
        """Return all tables and views; the one schema is `main`."""
        return [] if schema not in {None, "main"} else [(found, name) for found, name in self.fetch(_TABLES)]

    def _declared(self, sql: str, parameters: Sequence[Any]) -> dict[str, pa.DataType | None]:
        """Return the declared types of a query's columns: SQLite tells them of a view."""
        view = with_parameters(_bare(sql), ["NULL"] * len(parameters), PIECES)
        self._connection.execute("PRAGMA query_only = 0")
        try:
            self.execute(f"CREATE TEMPORARY VIEW tidegate_described AS {view}")
            try:
                found = self.fetch("SELECT name, type FROM pragma_table_info('tidegate_described', 'temp')")
            finally:
                self.execute(f"DROP VIEW {_DESCRIBED}")
        finally:
            self._connection.execute(f"PRAGMA query_only = {int(self._read_only)}")
        names = {name for name, _ in found}
        for name in names:
            if (again := _DOUBLED.fullmatch(name)) and again[1] in names:
                msg = f"the query has two columns {again[1]!r}"
                raise PlatformError(msg, code="TG724", where=self._place, hint="give one of them another name with AS")
        return {name: declared_type(declared) for name, declared in found}

    # -- reading --------------------------------------------------------------------------------------------------

    def stream(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        *,
        columns: Mapping[str, pa.DataType],
        batch_rows: int = BATCH_ROWS,
    ) -> Generator[pa.RecordBatch]:
        """Yield the rows of a query."""
        with self._cursor(sql, parameters) as cursor:
            found = [column[0] for column in cursor.description]
            if found != list(columns):
                msg = f"the query has other columns than when it was described: {', '.join(found)}"
                raise PlatformError(msg, code="TG724", where=self._place, hint="run again")
            wanted, before = next_rows(0, 0, batch_rows), 0
            while rows := cursor.fetchmany(wanted):
                arrays = [
                    array_of(values, name, dtype, self._place, before)
                    for values, (name, dtype) in zip(zip(*rows, strict=True), columns.items(), strict=True)
                ]
                batch = exactly(pa.record_batch(arrays, names=list(columns)), columns, self._place, rows_before=before)
                yield batch
                before += len(rows)
                wanted = next_rows(len(rows), batch.nbytes, batch_rows)

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
        """Begin a transaction, which is the only one that writes; in a session with a snapshot it has begun already."""
        if not self._connection.in_transaction:
            self.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Commit. A commit that fails has not happened."""
        self.execute("COMMIT")

    def rollback(self) -> None:
        """Undo the transaction."""
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def insert(self, table: str, columns: Mapping[str, pa.DataType], batches: Iterable[pa.RecordBatch]) -> int:
        """Append rows."""
        dialect, rows = self._database.dialect, 0
        types = {name: dialect.storable(dtype) for name, dtype in columns.items()}
        names = ", ".join(map(dialect.quoted, columns))
        sql = f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(types))})"
        with transaction_of(self, is_open=self._connection.in_transaction):
            for batch in batches:
                values = [values_of(array) for array in exactly(batch, types, self._place, rows_before=rows).columns]
                try:
                    self._connection.executemany(sql, zip(*values, strict=True))
                except sqlite3.Error as error:
                    raise _translated(error, self._place) from error
                rows += batch.num_rows
        return rows

    # -- the driver -----------------------------------------------------------------------------------------------

    @contextmanager
    def _cursor(self, sql: str, parameters: Sequence[Any]) -> Iterator[sqlite3.Cursor]:
        try:
            with closing(self._connection.execute(sql, [parameter(value) for value in parameters])) as cursor:
                yield cursor
        except sqlite3.Error as error:
            raise _translated(error, self._place) from error


def _bare(sql: str) -> str:
    return sql.strip().rstrip(";")


def _translated(error: sqlite3.Error, place: str) -> PlatformError:
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
    cause, details = first_line(error), {"place": place}
    if code in _BUSY:
        hint = "another connection writes to it; run again"
        return PlaceUnavailableError(f"the database is busy: {cause}", details, code="TG722", where=place, hint=hint)
    if code in _REFUSED:
        hint = "is there a SQLite file, and may this user read and write it and its folder?"
        return PlatformError(f"the database cannot be opened: {cause}", details, code="TG721", where=place, hint=hint)
    return PlatformError(f"the database refused a statement: {cause}", details, code="TG724", where=place)
