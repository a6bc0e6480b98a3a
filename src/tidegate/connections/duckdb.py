"""DuckDB: a database in one file, of which one process writes or several read. Arrow goes in and out as it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from tidegate.connections.address import file_of, without_options
from tidegate.connections.database import BATCH_ROWS, Database, Session, TableTraits, transaction_of
from tidegate.connections.dialect import Dialect
from tidegate.connections.duckdb_types import DuckDBDialect, arrow_type
from tidegate.connections.exact import exactly, sliced
from tidegate.errors import PlaceUnavailableError, PlatformError, first_line

T = TypeVar("T")

_CONFIG: dict[str, Any] = {"python_enable_replacements": False}
"""Names in SQL are those of the database, never variables of Python."""
_ROWS = "_tidegate_rows"
_HUGE = "hugeint"
_COLUMNS = """
SELECT DISTINCT schema_name, table_name FROM (
  SELECT database_name, schema_name, table_name FROM duckdb_tables() WHERE NOT internal
  UNION ALL SELECT database_name, schema_name, view_name FROM duckdb_views() WHERE NOT internal
) WHERE database_name IN (current_database(), 'temp')
"""
_PRIMARY_KEY = """
SELECT constraint_column_names FROM duckdb_constraints()
WHERE constraint_type = 'PRIMARY KEY' AND database_name = current_database()
  AND lower(schema_name) = lower(coalesce($1, current_schema())) AND lower(table_name) = lower($2)
"""

_TYPES = """
SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = current_database()
  AND lower(schema_name) = lower(coalesce($1, current_schema())) AND lower(table_name) = lower($2)
"""
_PAUSE_SECONDS = 0.02


class DuckDBDatabase(Database):
    """A DuckDB file. A session that may write makes it when it is not there."""

    kind = "duckdb"
    dialect: Dialect = DuckDBDialect()

    @cached_property
    def path(self) -> str:
        """Where the file is."""
        return file_of(self.connection)

    def place(self) -> str:
        """Return the path, without options."""
        return without_options(self.path)

    def exists(self) -> bool:
        """Tell whether the file is there."""
        return Path(self.path).exists()

    @contextmanager
    def session(self, *, snapshot: bool | str = False, read_only: bool = False) -> Iterator[Session]:
        """Open a session. One that only reads joins what this process has open, for writing too."""
        with closing(self._connected(read_only=read_only)) as connection:
            session = DuckDBSession(connection, self)
            session.execute("SET TimeZone = 'UTC'")
            if snapshot:
                session.begin()
                session.fetch(_COLUMNS)  # a transaction sees nothing before its first read
            yield session

    def _connected(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        if read_only and not Path(self.path).exists():  # DuckDB would say that it cannot make one
            msg, hint = f"there is no database {self.place()}", "is `database` of the connection spelled as on disk?"
            raise PlatformError(msg, code="TG721", where=self.place(), hint=hint)
        end = time.monotonic() + self.connection.settings.timeout
        while True:
            try:
                return self._opened(read_only=read_only)
            except duckdb.Error as error:
                if not _in_this_process(error):
                    raise _not_connected(error, self.place()) from None
                if time.monotonic() > end:
                    hint = "this process reads it: let the dataflow that writes depend on the one that reads"
                    msg = f"the database is in use: {first_line(error)}"
                    raise PlaceUnavailableError(msg, code="TG722", where=self.place(), hint=hint) from None
            time.sleep(_PAUSE_SECONDS)

    def _opened(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        try:
            return duckdb.connect(self.path, read_only=read_only, config=_CONFIG)
        except duckdb.ConnectionException:  # this process has it open in the other way
            if not read_only:
                raise
        return duckdb.connect(self.path, config=_CONFIG)


class DuckDBSession(Session):
    """A connection to a DuckDB file."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, database: DuckDBDatabase) -> None:
        self._connection = connection
        self._database = database
        self._place = database.place()
        self._has_begun = False

    # -- what there is --------------------------------------------------------------------------------------------

    def columns(self, schema: str | None, table: str) -> dict[str, pa.DataType] | None:
        """Return the columns of a table or view. Case does not matter."""
        names = {(found.lower(), name.lower()) for found, name in self.fetch(_COLUMNS)}
        own = self.fetch("SELECT current_schema()")[0][0]
        places = {schema.lower()} if schema else {own.lower(), "main"}
        if not any((place, table.lower()) in names for place in places):
            return None
        return self.describe(f"SELECT * FROM {self._database.dialect.quoted(schema, table)}")

    def describe(self, sql: str, parameters: Sequence[Any] = ()) -> dict[str, pa.DataType]:
        """Return the columns of a query."""
        return {name: dtype for name, (_, dtype) in self._described(sql, parameters).items()}

    def primary_key(self, schema: str | None, table: str) -> tuple[str, ...]:
        """Return the columns of the primary key."""
        found = self.fetch(_PRIMARY_KEY, [schema, table])
        return tuple(found[0][0]) if found else ()

    def traits(self, schema: str | None, table: str) -> TableTraits:
        """Return what else there is to know. No identity: a table's number changes when the file is opened."""
        steps = {"TIMESTAMP_S": 1_000_000, "TIMESTAMP_MS": 1_000}
        return TableTraits(
            time_steps={name: steps[dtype] for name, dtype in self.fetch(_TYPES, [schema, table]) if dtype in steps}
        )

    def spelling(self, schema: str | None, table: str) -> str:
        """Return the name of a table as the catalogue has it."""
        wanted = f"{schema or self.fetch('SELECT current_schema()')[0][0]}.{table}".lower()
        found = (name for place, name in self.fetch(_COLUMNS) if f"{place}.{name}".lower() == wanted)
        return next(found, table)

    def tables(self, schema: str | None = None) -> list[tuple[str | None, str]]:
        """Return all tables and views."""
        found = sorted((found, name) for found, name in self.fetch(_COLUMNS))
        return [(place, name) for place, name in found if schema is None or place.lower() == schema.lower()]

    def _described(self, sql: str, parameters: Sequence[Any]) -> dict[str, tuple[str, pa.DataType]]:
        """Return each column's expression in a query over the query, and its type."""
        statements = self._attempt(lambda: self._connection.extract_statements(sql))
        if [statement.type.name for statement in statements] != ["SELECT"]:  # DuckDB would run anything else at once
            msg, hint = "it is no query, or several", "write one SELECT"
            raise PlatformError(msg, code="TG724", where=self._place, hint=hint)
        relation = self._attempt(lambda: self._connection.sql(_bare(sql), params=list(parameters)))
        found: dict[str, tuple[str, pa.DataType]] = {}
        for name, dtype in zip(relation.columns, relation.types, strict=True):
            if name in found:
                msg = f"the query has two columns {name!r}"
                raise PlatformError(msg, code="TG724", where=self._place, hint="give one of them another name with AS")
            quoted, arrow = self._database.dialect.quoted(name), arrow_type(dtype)
            if arrow is not None:
                found[name] = (quoted, arrow)
            elif dtype.id == _HUGE:  # what a sum of integers is
                found[name] = (f"CAST({quoted} AS DECIMAL(38, 0)) AS {quoted}", pa.decimal128(38, 0))
            else:
                found[name] = (f"CAST({quoted} AS VARCHAR) AS {quoted}", pa.string())
        return found

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
        found = self._described(sql, parameters)
        if list(found) != list(columns):
            msg = f"the query has other columns than when it was described: {', '.join(found)}"
            raise PlatformError(msg, code="TG724", where=self._place, hint="run again")
        query = f"SELECT {', '.join(selected for selected, _ in found.values())} FROM (\n{_bare(sql)}\n) AS q"
        before = 0
        with closing(self._reader(query, parameters, batch_rows)) as reader:
            while (batch := self._attempt(lambda: next(reader, None))) is not None:
                yield from sliced(exactly(batch, columns, self._place, rows_before=before), batch_rows)
                before += batch.num_rows

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a small query."""
        return self._attempt(lambda: self._connection.execute(sql, list(parameters)).fetchall())

    def _reader(self, query: str, parameters: Sequence[Any], batch_rows: int) -> pa.RecordBatchReader:
        sql = self._connection.sql
        return self._attempt(lambda: sql(query, params=list(parameters)).to_arrow_reader(batch_rows))

    # -- writing --------------------------------------------------------------------------------------------------

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Carry out a statement."""
        answer = self.fetch(sql, parameters)
        counted = len(answer) == 1 and len(answer[0]) == 1 and isinstance(answer[0][0], int)
        return answer[0][0] if counted else 0

    def begin(self) -> None:
        """Begin a transaction; in a session with a snapshot it has begun already."""
        if not self._has_begun:
            self.execute("BEGIN TRANSACTION")
        self._has_begun = True

    def commit(self) -> None:
        """Commit. A commit that fails has not happened."""
        self._has_begun = False
        self.execute("COMMIT")

    def rollback(self) -> None:
        """Undo the transaction."""
        self._has_begun = False
        with suppress(duckdb.Error):  # there is none
            self._connection.execute("ROLLBACK")

    def insert(self, table: str, columns: Mapping[str, pa.DataType], batches: Iterable[pa.RecordBatch]) -> int:
        """Append rows from Arrow."""
        dialect, rows = self._database.dialect, 0
        types = {name: dialect.storable(dtype) for name, dtype in columns.items()}
        names = ", ".join(map(dialect.quoted, columns))
        with transaction_of(self, is_open=self._has_begun):
            for batch in batches:
                exact = exactly(batch, types, self._place, rows_before=rows)
                self._connection.register(_ROWS, exact)
                try:
                    self.execute(f"INSERT INTO {table} ({names}) SELECT * FROM {_ROWS}")
                finally:
                    self._connection.unregister(_ROWS)
                rows += batch.num_rows
        return rows

    def _attempt(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise _translated(error, self._place) from error


def _bare(sql: str) -> str:
    return sql.strip().rstrip(";")


def _in_this_process(error: duckdb.Error) -> bool:
    """Tell whether another thread has the file open in the other way, or is just opening or closing it."""
    return isinstance(error, duckdb.ConnectionException) or "Unique file handle conflict" in str(error)


def _not_connected(error: duckdb.Error, place: str) -> PlatformError:
    if isinstance(error, duckdb.IOException) and "lock" in str(error):
        msg = f"the database is in use: {first_line(error)}"
        hint = "one process writes to a DuckDB file, or several read it: close it there, and run again"
        return PlaceUnavailableError(msg, {"place": place}, code="TG722", where=place, hint=hint)
    hint = "is there a DuckDB file, of a version this one reads, and may this user read and write it?"
    msg = f"the database cannot be opened: {first_line(error)}"
    return PlatformError(msg, {"place": place}, code="TG721", where=place, hint=hint)


def _translated(error: Exception, place: str) -> PlatformError:
    cause, details = first_line(error), {"place": place}
    if isinstance(error, duckdb.TransactionException):
        msg = f"the database undid the transaction because of another one: {cause}"
        return PlaceUnavailableError(msg, details, code="TG722", where=place, hint="nothing was changed; run again")
    return PlatformError(f"the database refused a statement: {cause}", details, code="TG724", where=place)
