"""MySQL and MariaDB: prepared statements in binary, and rows written through LOAD DATA where the server lets us.

A stream goes over the session's own connection: it sees its transaction, its temporary tables and its snapshot.
"""

from __future__ import annotations

import itertools
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from functools import cached_property
from typing import Any

import pyarrow as pa
from pymysql import err
from pymysql.constants import CLIENT

from tidegate.connections.address import Address, address_of
from tidegate.connections.database import BATCH_ROWS, Database, Session, TableTraits
from tidegate.connections.dialect import Dialect
from tidegate.connections.exact import exactly
from tidegate.connections.failures import Failure
from tidegate.connections.mysql_dialect import MySQLDialect
from tidegate.connections.mysql_errors import translated
from tidegate.connections.mysql_rows import decoded
from tidegate.connections.mysql_text import LINES, lines, literals
from tidegate.connections.mysql_types import Field
from tidegate.connections.mysql_wire import Done, Result, Wire
from tidegate.errors import ConfigurationError, PlatformError

_PORT = 3306
_SETTINGS = (
    "SET time_zone = '+00:00', "
    "sql_mode = CONCAT_WS(',', NULLIF(@@sql_mode, ''), 'STRICT_ALL_TABLES', 'NO_AUTO_VALUE_ON_ZERO'), "
    "net_write_timeout = 86400, wait_timeout = 86400"
)
"""No value is changed to fit, a zero stays one, and a stream may wait for whoever takes its rows."""
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 60_000}
"""A server that vanished is noticed within a minute."""
_NO_LOAD = frozenset({1148, 3948, 4166})
"""LOAD DATA LOCAL is not allowed, in the numbers of MySQL and MariaDB."""
_NO_TABLE = frozenset({1146, 1049, 1109})
_INSERT_BYTES = 1 << 20
_FLAGS = frozenset({"local_infile", "ssl_disabled", "ssl_verify_cert", "ssl_verify_identity"})
_OPTIONS = frozenset({"ssl_ca", "ssl_cert", "ssl_key", "unix_socket"}) | _FLAGS
_PRIMARY_KEY = """
SELECT column_name FROM information_schema.key_column_usage
WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? AND constraint_name = 'PRIMARY'
ORDER BY ordinal_position
"""
_TABLES = """
SELECT table_schema, table_name FROM information_schema.tables
WHERE table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')
AND table_type IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED')
AND table_schema = COALESCE(?, DATABASE(), table_schema)
"""

_ENGINE = """
SELECT t.engine FROM information_schema.tables AS t JOIN information_schema.engines AS e ON e.engine = t.engine
WHERE COALESCE(e.transactions, 'NO') <> 'YES' AND table_schema = COALESCE(?, DATABASE()) AND table_name = ?
"""
_TIME_STEPS = """
SELECT column_name, datetime_precision FROM information_schema.columns
WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? AND datetime_precision < 6 AND data_type <> 'date'
"""
_AFTER_TYPE = re.compile(r"\s*\w+(\([^)]*\))?( unsigned)?( zerofill)?( /\*.*?\*/)?(?P<attributes>.*?),?$")


class MySQLDatabase(Database):
    """A MySQL or MariaDB database."""

    kind = "mysql"
    dialect: Dialect = MySQLDialect()

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
        wire = self._connected()
        try:
            session = MySQLSession(wire, self)
            session.set_up(snapshot=bool(snapshot), read_only=read_only)
            yield session
        finally:
            with suppress(err.Error):  # it is closed already when it broke
                wire.close()

    def _connected(self) -> Wire:
        address = self.address
        wire = Wire(
            host=address.host,
            port=address.port,
            database=address.database,
            user=address.username,
            password=(address.password or "").encode(),
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=max(1, int(self.connection.settings.timeout)),
            client_flag=CLIENT.FOUND_ROWS,  # an UPDATE counts the rows that it found, as everywhere else
            defer_connect=True,
            program_name="tidegate",
            **{"local_infile": True, **self._options()},
        )
        wire.refuse_files()
        try:
            wire.connect()
            wire.execute(_SETTINGS)
        except (err.MySQLError, OSError, RuntimeError) as error:
            raise translated(error, self.place(), connecting=True) from None
        wire.keep_alive({getattr(socket, name): value for name, value in _KEEPALIVE.items() if hasattr(socket, name)})
        return wire

    def _options(self) -> dict[str, Any]:
        options: Mapping[str, str] = self.address.options
        if unknown := sorted(options.keys() - _OPTIONS):
            msg = f"the url of connection {self.connection.name!r} has an option {unknown[0]!r}"
            raise ConfigurationError(msg, code="TG726", hint=f"one of {', '.join(sorted(_OPTIONS))}")
        return {name: value.lower() in {"true", "1"} if name in _FLAGS else value for name, value in options.items()}


class MySQLSession(Session):
    """A connection to MySQL or MariaDB."""

    def __init__(self, wire: Wire, database: MySQLDatabase) -> None:
        self._wire = wire
        self._dialect = database.dialect
        self._place = database.place()
        self._has_snapshot = False

    def set_up(self, *, snapshot: bool, read_only: bool) -> None:
        """Bring the session into the state that it is asked for."""
        if read_only:
            self.execute("SET SESSION TRANSACTION READ ONLY")
        if snapshot:
            self.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            self.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            self._has_snapshot = True

    # -- what there is --------------------------------------------------------------------------------------------

    def columns(self, schema: str | None, table: str) -> dict[str, pa.DataType] | None:
        """Return the columns of a table or view."""
        query = f"SELECT * FROM {self._dialect.quoted(schema, table)}"
        try:
            return self._described(self._wire.describe(query))
        except err.MySQLError as error:
            if error.args[:1] and error.args[0] in _NO_TABLE:
                return None
            raise self._error(error) from error

    def describe(self, sql: str, parameters: Sequence[Any] = ()) -> dict[str, pa.DataType]:
        """Return the columns of a query, as the server describes it."""
        return self._described(self._carried_out(lambda: self._wire.describe(sql)))

    def primary_key(self, schema: str | None, table: str) -> tuple[str, ...]:
        """Return the columns of the primary key."""
        return tuple(name for (name,) in self.fetch(_PRIMARY_KEY, [schema, table]))

    def traits(self, schema: str | None, table: str) -> TableTraits:
        """Return what else there is to know. A table has no identity: its number changes with each ALTER."""
        engines = self.fetch(_ENGINE, [schema, table])
        steps = self.fetch(_TIME_STEPS, [schema, table])
        return TableTraits(
            time_steps={name: 10 ** (6 - int(digits)) for name, digits in steps},
            engine_without_transactions=engines[0][0] if engines else None,
        )

    def column_attributes(self, schema: str | None, table: str, column: str) -> str:
        """Return NOT NULL, default, AUTO_INCREMENT and comment of a column, as the server writes them."""
        [(_, statement, *_)] = self.fetch(f"SHOW CREATE TABLE {self._dialect.quoted(schema, table)}")
        in_ansi = '"{}"'.format(column.replace('"', '""'))
        starts = tuple(f"  {name} " for name in (self._dialect.quoted(column), in_ansi, column))
        for line in statement.splitlines():
            start = next(filter(line.startswith, starts), None)
            if start and (found := _AFTER_TYPE.match(line, len(start))):
                return found["attributes"].strip()
        msg = f"the attributes of column {column!r} of {table} cannot be read"
        raise PlatformError(msg, code="TG724", where=self._place, hint="widen it yourself: ALTER TABLE … MODIFY")

    def tables(self, schema: str | None = None) -> list[tuple[str | None, str]]:
        """Return all tables and views, in the order of code points."""
        return sorted((found, name) for found, name in self.fetch(_TABLES, [schema]))

    def _described(self, fields: Sequence[Field]) -> dict[str, pa.DataType]:
        columns = {field.name: field.arrow for field in fields}
        if len(columns) < len(fields):
            names = [field.name for field in fields]
            doubled = next(name for name in names if names.count(name) > 1)
            msg = f"the query has two columns {doubled!r}"
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
        """Yield the rows of a query. What is not read of it when the session goes on is passed over."""
        result = self._selected(sql, parameters)
        names = [field.name for field in result.fields]
        if names != list(columns):
            msg = f"the query has other columns than when it was described: {', '.join(names)}"
            raise PlatformError(msg, code="TG724", where=self._place, hint="run again")
        rows = 0
        for batch in self._batches(result, batch_rows):
            yield exactly(batch, columns, self._place, rows_before=rows)
            rows += batch.num_rows

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a small query."""
        result = self._selected(sql, parameters)
        read = [Decimal if field.is_long_decimal else None for field in result.fields]
        return [
            row
            for batch in self._batches(result, BATCH_ROWS)
            for row in zip(*map(_values, batch.columns, read), strict=True)
        ]

    def _selected(self, sql: str, parameters: Sequence[Any]) -> Result:
        result = self._carried_out(lambda: self._wire.select(sql, parameters))
        if not isinstance(result, Result):
            msg = "the statement is no query: it gives no rows"
            raise PlatformError(msg, code="TG724", where=self._place)
        return result

    def _batches(self, result: Result, batch_rows: int) -> Iterator[pa.RecordBatch]:
        rows = result.rows(batch_rows)
        while (packets := self._carried_out(lambda: next(rows, None))) is not None:
            yield decoded(packets, result.fields, self._place)

    # -- writing --------------------------------------------------------------------------------------------------

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Carry out a statement."""
        done: Done = self._carried_out(lambda: self._wire.execute(sql, parameters))
        return done.rows

    def begin(self) -> None:
        """Begin a transaction; in a session with a snapshot it has begun already."""
        if not self._has_snapshot:
            self.execute("START TRANSACTION")

    def commit(self) -> None:
        """Commit."""
        self._has_snapshot = False
        try:
            self._wire.execute("COMMIT")
        except err.MySQLError as error:
            raise translated(error, self._place, committing=True) from error

    def rollback(self) -> None:
        """Undo the transaction."""
        self._has_snapshot = False
        with suppress(err.Error):  # a broken connection has rolled back
            self._wire.execute("ROLLBACK")

    def insert(self, table: str, columns: Mapping[str, pa.DataType], batches: Iterable[pa.RecordBatch]) -> int:
        """Append rows through LOAD DATA; through INSERT where the server does not allow that."""
        types = {name: self._dialect.storable(dtype) for name, dtype in columns.items()}
        rows = 0

        def counted() -> Iterator[pa.RecordBatch]:
            nonlocal rows
            for batch in batches:
                kept = exactly(batch, types, self._place, rows_before=rows)
                rows += kept.num_rows
                yield kept

        try:
            self._load(table, types, counted())
        except err.MySQLError as error:
            if error.args[0] not in _NO_LOAD:
                raise self._error(error) from error
            self._insert(table, types, counted())
        return rows

    def _load(self, table: str, types: Mapping[str, pa.DataType], batches: Iterator[pa.RecordBatch]) -> None:
        """Load rows. LOCAL makes a warning of every error: each one counts."""
        names = {name: self._dialect.quoted(name) for name in types}
        read = [f"@c{n}" if pa.types.is_binary(types[name]) else names[name] for n, name in enumerate(names)]
        sets = [f"{names[name]} = UNHEX(@c{n})" for n, name in enumerate(names) if pa.types.is_binary(types[name])]
        done = self._wire.load(
            f"LOAD DATA LOCAL INFILE 'rows' INTO TABLE {table} CHARACTER SET utf8mb4 {LINES} ({', '.join(read)})"
            + (f" SET {', '.join(sets)}" if sets else ""),
            map(lines, batches),
        )
        if done.warnings:
            number, text = self._wire.first_warning()
            raise Failure.VALUE.at(self._place, text, number=number)

    def _insert(self, table: str, types: Mapping[str, pa.DataType], batches: Iterator[pa.RecordBatch]) -> None:
        names = ", ".join(self._dialect.quoted(name) for name in types)
        for values in itertools.chain.from_iterable(literals(batch, _INSERT_BYTES) for batch in batches):
            self.execute(f"INSERT INTO {table} ({names}) VALUES {values}")

    # -- the driver -----------------------------------------------------------------------------------------------

    def _carried_out(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except err.MySQLError as error:
            raise self._error(error) from error

    def _error(self, error: Exception) -> PlatformError:
        return translated(error, self._place)


def _values(array: pa.Array, read: Callable[[str], Any] | None) -> list[Any]:
    values: list[Any] = array.to_pylist()
    return [value if value is None else read(value) for value in values] if read else values
