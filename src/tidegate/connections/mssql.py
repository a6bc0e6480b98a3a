"""SQL Server and Azure SQL: reads as Arrow, and rows written as arrays of parameters.

Everything goes over the session's own connection. The driver's bulk copy would open another one, whose rows would not
be part of the transaction.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from typing import Any, TypeVar

import mssql_python
import pyarrow as pa
import pyarrow.compute as pc

from tidegate.connections.address import Address, address_of
from tidegate.connections.database import BATCH_ROWS, Database, Session, TableTraits
from tidegate.connections.dialect import Dialect
from tidegate.connections.exact import exactly, sliced
from tidegate.connections.failures import Failure
from tidegate.connections.mssql_dialect import SQLServerDialect, arrow_type, with_named_parameters
from tidegate.connections.mssql_errors import translated
from tidegate.connections.mssql_parameters import declared, sent, size
from tidegate.errors import PlatformError

T = TypeVar("T")

_PORT = 1433
_ERRORS = (mssql_python.Error, mssql_python.ConnectionStringParseError, RuntimeError)
_SETTINGS = "SET XACT_ABORT ON; SET ARITHABORT ON; SET DATEFORMAT ymd"
"""An error undoes the whole transaction, as everywhere else; a computed value is right or an error."""
_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL SNAPSHOT"
_INSERT_ROWS = 1_000
_ACCESS_TOKEN = 1256
"""SQL_COPT_SS_ACCESS_TOKEN."""
_ENTRA = {
    "service_principal": "ActiveDirectoryServicePrincipal",
    "managed_identity": "ActiveDirectoryMSI",
}
_DESCRIBE = """
SELECT name, system_type_name, error_message FROM sys.dm_exec_describe_first_result_set(?, ?, 0)
WHERE is_hidden = 0 OR error_message IS NOT NULL ORDER BY column_ordinal
"""
_EXISTS = """
SELECT table_schema FROM information_schema.tables WHERE table_schema = COALESCE(?, SCHEMA_NAME()) AND table_name = ?
"""
_SPELLING = """
SELECT table_name FROM information_schema.tables WHERE table_schema = COALESCE(?, SCHEMA_NAME()) AND table_name = ?
"""
_PRIMARY_KEY = """
SELECT k.column_name FROM information_schema.table_constraints AS c JOIN information_schema.key_column_usage AS k
ON k.constraint_schema = c.constraint_schema AND k.constraint_name = c.constraint_name AND k.table_name = c.table_name
WHERE c.constraint_type = 'PRIMARY KEY' AND c.table_schema = COALESCE(?, SCHEMA_NAME()) AND c.table_name = ?
ORDER BY k.ordinal_position
"""
_TRAITS = """
SELECT CONCAT(o.object_id, ' ', CONVERT(varchar(30), o.create_date, 126)), o.type, c.name, TYPE_NAME(c.system_type_id),
  c.scale, c.collation_name, c.is_nullable
FROM sys.objects AS o JOIN sys.columns AS c ON c.object_id = o.object_id
WHERE o.object_id = OBJECT_ID(COALESCE(QUOTENAME(?) + '.', '') + QUOTENAME(?))
"""
_STEPS = {"smalldatetime": 60_000_000, "datetime": 10_000}
"""Types → microseconds of what they keep exactly."""
_OF_DIGITS = frozenset({"time", "datetime2", "datetimeoffset"})
_TABLES = """
SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema = COALESCE(?, table_schema)
"""

mssql_python.pooling(enabled=False)  # a session that is closed is gone, with its temporary tables


class SQLServerDatabase(Database):
    """A database of SQL Server, or of Azure SQL."""

    kind = "mssql"
    dialect: Dialect = SQLServerDialect()

    @cached_property
    def address(self) -> Address:
        """Where it is."""
        return address_of(self.connection, port=_PORT)

    def place(self) -> str:
        """Return host:port/database."""
        return self.address.place

    @contextmanager
    def session(self, *, snapshot: bool | str = False, read_only: bool = False) -> Iterator[Session]:
        """Open a session. A snapshot needs a database that allows snapshot isolation."""
        try:
            connection = self._connected(read_only=read_only)
        except _ERRORS as error:
            raise translated(error, self.place(), connecting=True) from None
        try:
            session = SQLServerSession(connection, self)
            session.set_up(snapshot=bool(snapshot))
            yield session
        finally:
            with suppress(*_ERRORS):  # it is closed already when it broke
                connection.close()

    def _connected(self, *, read_only: bool) -> mssql_python.Connection:
        address, settings = self.address, self.connection.settings
        words = {
            "Server": f"tcp:{address.host},{address.port}",
            "Database": address.database,
            "ConnectRetryCount": "0",  # a connection that was made anew in silence would have lost its transaction
            "KeepAlive": "30",
        }
        attributes: dict[int, int | str | bytes] = {}
        if settings.auth_type == "access_token":
            token = (settings.token or "").encode("utf-16-le")
            attributes[_ACCESS_TOKEN] = struct.pack("<i", len(token)) + token
        else:
            user = settings.client_id or address.username
            secret = settings.client_secret or address.password
            words |= {"UID": user or "", "PWD": secret or ""} if user or secret else {}
        if settings.auth_type in _ENTRA:
            words["Authentication"] = _ENTRA[settings.auth_type]
        if read_only:
            words["ApplicationIntent"] = "ReadOnly"
        written = ";".join(f"{name}={_braced(value)}" for name, value in {**words, **address.options}.items())
        timeout = max(1, int(settings.timeout))
        return mssql_python.connect(written, autocommit=True, attrs_before=attributes or None, timeout=timeout)


class SQLServerSession(Session):
    """A connection to SQL Server."""

    def __init__(self, connection: mssql_python.Connection, database: SQLServerDatabase) -> None:
        self._connection = connection
        self._dialect = database.dialect
        self._place = database.place()
        self._has_snapshot = False

    def set_up(self, *, snapshot: bool) -> None:
        """Bring the session into the state that it is asked for."""
        self.execute(_SETTINGS)
        if snapshot:
            self.execute(_SNAPSHOT)
            self.execute("BEGIN TRANSACTION")
            self._has_snapshot = True

    # -- what there is --------------------------------------------------------------------------------------------

    def columns(self, schema: str | None, table: str) -> dict[str, pa.DataType] | None:
        """Return the columns of a table or view."""
        found = self.fetch(_EXISTS, [schema, table])
        if not found:
            return None
        return self.describe(f"SELECT * FROM {self._dialect.quoted(found[0][0], table)}")

    def describe(self, sql: str, parameters: Sequence[Any] = ()) -> dict[str, pa.DataType]:
        """Return the columns of a query, as the server describes it; a temporary table is not known to it."""
        words = ", ".join(f"@P{number} {declared(value)}" for number, value in enumerate(parameters, 1))
        found = self.fetch(_DESCRIBE, [with_named_parameters(sql), words or None])
        if not found or found[0][2] is not None:
            raise Failure.STATEMENT.at(self._place, found[0][2] if found else "it is no query: it gives no rows")
        columns = {name: arrow_type(words) for name, words, _ in found}
        if len(columns) < len(found) or None in columns:
            names = [name for name, _, _ in found]
            odd = next((name for name in names if name is None or names.count(name) > 1), None)
            msg = f"the query has two columns {odd!r}" if odd else "the query has a column without a name"
            raise PlatformError(msg, code="TG724", where=self._place, hint="give it a name of its own with AS")
        return columns

    def primary_key(self, schema: str | None, table: str) -> tuple[str, ...]:
        """Return the columns of the primary key."""
        return tuple(name for (name,) in self.fetch(_PRIMARY_KEY, [schema, table]))

    def traits(self, schema: str | None, table: str) -> TableTraits:
        """Return what else there is to know."""
        found = self.fetch(_TRAITS, [schema, table])
        steps = {name: _step(kind, scale) for _, _, name, kind, scale, *_ in found}
        loose = (name for _, _, name, _, _, collation, _ in found if collation and "_BIN2" not in collation)
        is_table = bool(found) and found[0][1].strip() == "U"
        return TableTraits(
            identity=found[0][0] if is_table else None,
            time_steps={name: step for name, step in steps.items() if step > 1},
            loose_texts=frozenset(loose),
        )

    def spelling(self, schema: str | None, table: str) -> str:
        """Return the name of a table as the catalogue has it."""
        found = self.fetch(_SPELLING, [schema, table])
        return found[0][0] if found else table

    def column_attributes(self, schema: str | None, table: str, column: str) -> str:
        """Return whether a column may be NULL."""
        nullable = {name: is_nullable for _, _, name, *_, is_nullable in self.fetch(_TRAITS, [schema, table])}
        return "NULL" if nullable.get(column, True) else "NOT NULL"

    def tables(self, schema: str | None = None) -> list[tuple[str | None, str]]:
        """Return all tables and views, in the order of code points."""
        return sorted((found, name) for found, name in self.fetch(_TABLES, [schema]))

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
        rows = 0
        with closing(self._batches(sql, parameters, batch_rows)) as batches:
            for batch in batches:
                if batch.schema.names != list(columns):
                    names = ", ".join(batch.schema.names)
                    msg = f"the query has other columns than when it was described: {names}"
                    raise PlatformError(msg, code="TG724", where=self._place, hint="run again")
                if batch.num_rows:
                    yield exactly(_in_microseconds(batch), columns, self._place, rows_before=rows)
                rows += batch.num_rows

    def _batches(self, sql: str, parameters: Sequence[Any], batch_rows: int) -> Generator[pa.RecordBatch]:
        """Yield batches; the first one is empty, so that the columns are known."""
        with self._cursor(sql, parameters) as cursor:
            yield self._carried_out(lambda: cursor.arrow_batch(0))
            while (batch := self._carried_out(lambda: cursor.arrow_batch(batch_rows))).num_rows:
                yield batch

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a small query."""
        with self._cursor(sql, parameters) as cursor:
            return [tuple(row) for row in self._carried_out(cursor.fetchall)]

    # -- writing --------------------------------------------------------------------------------------------------

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Carry out a statement."""
        with self._cursor(sql, parameters) as cursor:
            return max(cursor.rowcount, 0)

    def begin(self) -> None:
        """Begin a transaction; in a session with a snapshot it has begun already."""
        if not self._has_snapshot:
            self.execute("BEGIN TRANSACTION")

    def commit(self) -> None:
        """Commit."""
        self._has_snapshot = False
        try:
            with closing(self._connection.cursor()) as cursor:
                cursor.execute("COMMIT TRANSACTION")
        except _ERRORS as error:
            raise translated(error, self._place, committing=True) from error

    def rollback(self) -> None:
        """Undo the transaction; an error may have done so already."""
        self._has_snapshot = False
        with suppress(*_ERRORS), closing(self._connection.cursor()) as cursor:
            cursor.execute("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")

    def insert(self, table: str, columns: Mapping[str, pa.DataType], batches: Iterable[pa.RecordBatch]) -> int:
        """Append rows as arrays of parameters."""
        types = {name: self._dialect.storable(dtype) for name, dtype in columns.items()}
        names = ", ".join(self._dialect.quoted(name) for name in columns)
        sql = f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' for _ in columns)})"
        rows = 0
        with closing(self._connection.cursor()) as cursor:
            for batch in batches:
                for part in sliced(exactly(batch, types, self._place, rows_before=rows), _INSERT_ROWS):
                    values = list(zip(*map(sent, part.columns), strict=True))
                    self._carried_out(lambda values=values: self._insert(cursor, sql, types, values))  # type: ignore[misc]
                rows += batch.num_rows
        return rows

    def _insert(
        self, cursor: mssql_python.Cursor, sql: str, types: Mapping[str, pa.DataType], values: list[tuple[Any, ...]]
    ) -> None:
        cursor.setinputsizes([size(dtype, index, values) for index, dtype in enumerate(types.values())])
        cursor.executemany(sql, values)

    # -- the driver -----------------------------------------------------------------------------------------------

    @contextmanager
    def _cursor(self, sql: str, parameters: Sequence[Any]) -> Iterator[mssql_python.Cursor]:
        with closing(self._carried_out(self._connection.cursor)) as cursor:
            self._carried_out(lambda: cursor.execute(sql, list(parameters)) if parameters else cursor.execute(sql))
            yield cursor

    def _carried_out(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except _ERRORS as error:
            raise translated(error, self._place) from error


def _step(kind: str, scale: int) -> int:
    """Return the microseconds of the least step of a type; 1 for what is no time, or is as fine."""
    return _STEPS.get(kind) or int(10 ** max(6 - scale, 0) if kind in _OF_DIGITS else 1)


def _braced(value: str) -> str:
    """Return a value of a connection string, whatever it holds."""
    return "{" + value.replace("}", "}}") + "}"


def _in_microseconds(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Cut times to microseconds: a datetime2 has seven digits unless told otherwise, and no table format keeps them."""
    cut = [
        pc.floor_temporal(array, unit="microsecond") if pa.types.is_timestamp(array.type) else array for array in batch
    ]
    return pa.record_batch(cut, names=batch.schema.names)
