"""Oracle, through python-oracledb in its thin mode, which needs no client library.

Not run against a server yet: what is tested is the SQL that is written, and which types are read.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from typing import Any, TypeVar

import oracledb
import pyarrow as pa

from tidegate.connections.address import Address, address_of
from tidegate.connections.database import BATCH_ROWS, Database, Session
from tidegate.connections.dialect import Dialect
from tidegate.connections.exact import exactly, sliced
from tidegate.connections.failures import Failure
from tidegate.connections.oracle_dialect import OracleDialect, arrow_type
from tidegate.errors import PlatformError, first_line

T = TypeVar("T")

_PORT = 1521
_SETTINGS = "ALTER SESSION SET TIME_ZONE = 'UTC' NLS_NUMERIC_CHARACTERS = '.,'"
_INSERT_ROWS = 5_000
_LOST = frozenset({28, 1012, 1033, 1034, 1089, 2396, 3113, 3114, 3135, 12153, 12170, 12514, 12528, 12537, 12541, 12547})
_LOST_BY_DRIVER = frozenset({"DPY-1001", "DPY-4011", "DPY-4024", "DPY-6005"})
"""Not connected, connection closed, timeout, cannot connect."""
_REFUSED = frozenset({1005, 1017, 1045, 12505, 12506, 28000, 28001})
_UNDONE = frozenset({54, 60, 8177})
_VALUES = frozenset({1400, 1401, 1426, 1438, 1722, 1830, 1841, 1847, 1861, 12899})
_OWNER = "COALESCE(:1, SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA'))"
_EXISTS = f"SELECT 1 FROM all_objects WHERE object_type IN ('TABLE', 'VIEW') AND owner = {_OWNER} AND object_name = :2"
_PRIMARY_KEY = f"""
SELECT k.column_name FROM all_constraints c JOIN all_cons_columns k
ON k.owner = c.owner AND k.constraint_name = c.constraint_name
WHERE c.constraint_type = 'P' AND c.owner = {_OWNER} AND c.table_name = :2 ORDER BY k.position
"""
_TABLES = """
SELECT o.owner, o.object_name FROM all_objects o JOIN all_users u ON u.username = o.owner
WHERE o.object_type IN ('TABLE', 'VIEW') AND u.oracle_maintained = 'N' AND o.owner = COALESCE(:1, o.owner)
"""


class OracleDatabase(Database):
    """A database of Oracle; its name is that of the service."""

    kind = "oracle"
    dialect: Dialect = OracleDialect()

    @cached_property
    def address(self) -> Address:
        """Where it is."""
        return address_of(self.connection, port=_PORT)

    def place(self) -> str:
        """Return host:port/service."""
        return self.address.place

    @contextmanager
    def session(self, *, snapshot: bool | str = False, read_only: bool = False) -> Iterator[Session]:
        """Open a session."""
        address = self.address
        try:
            connection = oracledb.connect(
                user=address.username,
                password=address.password,
                host=address.host,
                port=address.port,
                service_name=address.database,
                tcp_connect_timeout=self.connection.settings.timeout,
                expire_time=1,
                **address.options,
            )
        except (oracledb.Error, OSError, TypeError) as error:
            raise translated(error, self.place(), connecting=True) from None
        try:
            session = OracleSession(connection, self)
            session.set_up(snapshot=bool(snapshot), read_only=read_only)
            yield session
        finally:
            with suppress(oracledb.Error):  # it is closed already when it broke
                connection.close()


class OracleSession(Session):
    """A connection to Oracle."""

    def __init__(self, connection: oracledb.Connection, database: OracleDatabase) -> None:
        self._connection = connection
        self._dialect = database.dialect
        self._place = database.place()
        self._has_snapshot = False

    def set_up(self, *, snapshot: bool, read_only: bool) -> None:
        """Bring the session into the state that it is asked for."""
        self._connection.autocommit = True
        self._connection.outputtypehandler = _as_text
        self.execute(_SETTINGS)
        if snapshot:
            self.begin()
            self.execute(f"SET TRANSACTION {'READ ONLY' if read_only else 'ISOLATION LEVEL SERIALIZABLE'}")
            self._has_snapshot = True

    # -- what there is --------------------------------------------------------------------------------------------

    def columns(self, schema: str | None, table: str) -> dict[str, pa.DataType] | None:
        """Return the columns of a table or view; one that is not there as spelled is looked for in capitals."""
        for name in dict.fromkeys((table, table.upper())):
            if self.fetch(_EXISTS, [schema, name]):
                return self.describe(f"SELECT * FROM {self._dialect.quoted(schema, name)}")
        return None

    def describe(self, sql: str, parameters: Sequence[Any] = ()) -> dict[str, pa.DataType]:
        """Return the columns of a query, as the server parses it."""
        with self._opened() as cursor:
            self._carried_out(lambda: cursor.parse(sql))
            found = cursor.description or []
        if not found:
            raise Failure.STATEMENT.at(self._place, "it is no query: it gives no rows")
        names = [column.name for column in found]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            msg = f"the query has two columns {doubled[0]!r}"
            raise PlatformError(msg, code="TG724", where=self._place, hint="give one of them another name with AS")
        return {column.name: arrow_type(column.type_code.name, column.precision, column.scale) for column in found}

    def primary_key(self, schema: str | None, table: str) -> tuple[str, ...]:
        """Return the columns of the primary key."""
        return tuple(name for (name,) in self.fetch(_PRIMARY_KEY, [schema, table]))

    def tables(self, schema: str | None = None) -> list[tuple[str | None, str]]:
        """Return all tables and views, in the order of code points."""
        return sorted((owner, name) for owner, name in self.fetch(_TABLES, [schema]))

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
        if list(self.describe(sql, parameters)) != list(columns):
            msg = "the query has other columns than when it was described"
            raise PlatformError(msg, code="TG724", where=self._place, hint="run again")
        rows = 0
        with closing(self._rows(in_utc(self._dialect, sql, columns), parameters, batch_rows)) as batches:
            for values in batches:
                arrays = [
                    pa.array(column, pa.timestamp("us") if pa.types.is_timestamp(dtype) else None)
                    for column, dtype in zip(zip(*values, strict=True), columns.values(), strict=True)
                ]
                batch = pa.record_batch(arrays, names=list(columns))
                yield exactly(batch, columns, self._place, rows_before=rows)
                rows += len(values)

    def _rows(self, sql: str, parameters: Sequence[Any], batch_rows: int) -> Generator[list[tuple[Any, ...]]]:
        with self._opened() as cursor:
            cursor.arraysize = cursor.prefetchrows = min(batch_rows, 10_000)
            self._carried_out(lambda: cursor.execute(sql, list(parameters)))
            while values := self._carried_out(lambda: cursor.fetchmany(batch_rows)):
                yield values

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a small query; numbers as decimals."""
        with self._opened() as cursor:
            cursor.outputtypehandler = _as_decimal
            self._carried_out(lambda: cursor.execute(sql, list(parameters)))
            return self._carried_out(cursor.fetchall)

    # -- writing --------------------------------------------------------------------------------------------------

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Carry out a statement."""
        with self._opened() as cursor:
            self._carried_out(lambda: cursor.execute(sql, list(parameters)))
            return max(int(cursor.rowcount), 0)

    def begin(self) -> None:
        """Begin a transaction; in a session with a snapshot it has begun already."""
        self._connection.autocommit = False

    def commit(self) -> None:
        """Commit."""
        try:
            self._connection.commit()
        except oracledb.Error as error:
            raise translated(error, self._place, committing=True) from error
        finally:
            self._connection.autocommit, self._has_snapshot = True, False

    def rollback(self) -> None:
        """Undo the transaction."""
        with suppress(oracledb.Error):  # a broken connection has rolled back
            self._connection.rollback()
        self._connection.autocommit, self._has_snapshot = True, False

    def insert(self, table: str, columns: Mapping[str, pa.DataType], batches: Iterable[pa.RecordBatch]) -> int:
        """Append rows as arrays of parameters."""
        names = ", ".join(self._dialect.quoted(name) for name in columns)
        marks = ", ".join(self._dialect.placeholder(index) for index in range(len(columns)))
        sql = f"INSERT INTO {table} ({names}) VALUES ({marks})"
        types = {name: self._dialect.storable(dtype) for name, dtype in columns.items()}
        rows = 0
        with self._opened() as cursor:
            cursor.setinputsizes(*(_INPUT.get(dtype) for dtype in types.values()))
            for batch in batches:
                for part in sliced(exactly(batch, types, self._place, rows_before=rows), _INSERT_ROWS):
                    values = list(zip(*(array.to_pylist() for array in part.columns), strict=True))
                    self._carried_out(lambda values=values: cursor.executemany(sql, values))  # type: ignore[misc]
                rows += batch.num_rows
        return rows

    # -- the driver -----------------------------------------------------------------------------------------------

    @contextmanager
    def _opened(self) -> Iterator[oracledb.Cursor]:
        with closing(self._carried_out(self._connection.cursor)) as cursor:
            yield cursor

    def _carried_out(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except oracledb.Error as error:
            raise translated(error, self._place) from error


_INPUT = {
    pa.string(): oracledb.DB_TYPE_CLOB,
    pa.binary(): oracledb.DB_TYPE_BLOB,
    pa.float32(): oracledb.DB_TYPE_BINARY_FLOAT,
    pa.float64(): oracledb.DB_TYPE_BINARY_DOUBLE,
    pa.timestamp("us"): oracledb.DB_TYPE_TIMESTAMP,
    pa.timestamp("us", "UTC"): oracledb.DB_TYPE_TIMESTAMP_TZ,
}


def in_utc(dialect: Dialect, sql: str, columns: Mapping[str, pa.DataType]) -> str:
    """Return a query whose zoned columns are times of UTC: the driver leaves their zone out."""
    if pa.timestamp("us", "UTC") not in columns.values():
        return sql
    names = {name: dialect.quoted(name) for name in columns}
    selected = ", ".join(
        f"SYS_EXTRACT_UTC({names[name]}) AS {names[name]}" if dtype == pa.timestamp("us", "UTC") else names[name]
        for name, dtype in columns.items()
    )
    return f"SELECT {selected} FROM (\n{sql}\n)"


def translated(error: Exception, place: str, *, connecting: bool = False, committing: bool = False) -> PlatformError:
    """Return the error for a statement or a connection that failed."""
    about = error.args[0] if error.args else None
    number = int(getattr(about, "code", 0) or 0)
    name = getattr(about, "full_code", "")
    lost = number in _LOST or name in _LOST_BY_DRIVER or isinstance(error, OSError)
    kind = Failure.STATEMENT
    if number in _UNDONE:
        kind = Failure.UNDONE
    elif lost and number not in _REFUSED:
        kind = Failure.IN_DOUBT if committing else Failure.UNAVAILABLE
    elif connecting or number in _REFUSED:
        kind = Failure.REFUSED
    elif number in _VALUES:
        kind = Failure.VALUE
    return kind.at(place, first_line(error), number=name or None)


def _as_text(cursor: Any, metadata: Any) -> Any:
    """Fetch numbers as text, and long values with their row: nothing is rounded, or fetched one by one."""
    lobs = {oracledb.DB_TYPE_CLOB: oracledb.DB_TYPE_LONG, oracledb.DB_TYPE_BLOB: oracledb.DB_TYPE_LONG_RAW}
    if metadata.type_code is oracledb.DB_TYPE_NUMBER:
        return cursor.var(oracledb.DB_TYPE_VARCHAR, size=130, arraysize=cursor.arraysize)
    if metadata.type_code in lobs:
        return cursor.var(lobs[metadata.type_code], arraysize=cursor.arraysize)
    return None


def _as_decimal(cursor: Any, metadata: Any) -> Any:
    from decimal import Decimal

    if metadata.type_code is oracledb.DB_TYPE_NUMBER:
        return cursor.var(Decimal, arraysize=cursor.arraysize)
    return _as_text(cursor, metadata)
