"""The state store in PostgreSQL, which several machines share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from tidegate.errors import StateUnavailableError, WatermarkError, first_line
from tidegate.state.database import IdleConnections, T, Work
from tidegate.state.lease import LEASE_SECONDS
from tidegate.state.schema import FORMAT_VERSION, statements
from tidegate.state.sql_store import SqlStateStore

Connection = psycopg.Connection[dict[str, Any]]

_WORDS = {
    "text": 'TEXT COLLATE "C"',  # in the order of code points, as in SQLite, so that pages of keys are the same
    "integer": "BIGINT",
    "identity": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "keyed": "",
}
_DEFAULTS = {
    "application_name": "tidegate",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""What the URL does not say. A server that vanished is noticed within a lease's life."""
_SETTINGS = (
    "SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = '20s'; SET client_min_messages = warning"
)
"""Nobody waits for ever for a process that stopped in the middle of a transaction."""
_NOW = """SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') AS now"""
_FIND_FORMAT = """
SELECT 1 FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = %s AND relname = 'state_format'
"""
"""Of the catalog's rows: `to_regclass` may answer from a cache, and not see what another process has just made."""
_UNDONE = frozenset({"40001", "40P01"})
"""SQLSTATE of a transaction that the server undid because of another: serialization failure, deadlock."""
_LONGEST_NAME = 63
"""Bytes of an identifier. PostgreSQL cuts longer ones short, and so takes two for one."""


class PostgreSQLStateStore(SqlStateStore):
    """A state store in a PostgreSQL database.

    Its tables are in a schema of their own: `tidegate`, or what the URL says with ``?schema=``; that of a profile has
    the name of the profile behind it, as in `tidegate_prod`. They are created when first written.

    Args:
        url: ``postgresql://user@host:port/database``, with any parameter of libpq.
        profile: The environment, whose state is kept apart from that of others.
        lease_seconds: How long a lease lives without renewal, by the server's clock.

    Raises:
        WatermarkError: it is no such URL (TG511).
    """

    def __init__(self, url: str, *, profile: str | None = None, lease_seconds: float = LEASE_SECONDS) -> None:
        super().__init__(PostgreSQLDatabase(url, profile), lease_seconds=lease_seconds)


class PostgreSQLDatabase:
    """A schema of a PostgreSQL database.

    A connection that broke is opened again, and a transaction that certainly did not commit is tried once more.
    """

    def __init__(self, url: str, profile: str | None) -> None:
        url, schema = _without_schema(url)
        try:
            self._parameters: dict[str, Any] = {**_DEFAULTS, **conninfo_to_dict(url)}
        except psycopg.Error as error:
            msg = f"{url!r} is no place for state: {first_line(error)}"
            raise WatermarkError(msg, code="TG511", hint="for instance postgresql://user@host:5432/database") from None
        self.schema = schema_for_profile(schema, profile)
        self._ready = False
        self._connections: IdleConnections[Connection] = IdleConnections(self._opened, psycopg.Connection.close)
        self._in_dialect = lru_cache(maxsize=None)(self._translated)

    @property
    def place(self) -> str:
        """The server, database and schema."""
        server = self._parameters.get("host") or self._parameters.get("hostaddr") or "localhost"
        port, name = self._parameters.get("port", "5432"), self._parameters.get("dbname", "")
        return f"postgresql://{server}:{port}/{name} (schema {self.schema})"

    def exists(self) -> bool:
        """Tell whether the tables are there."""
        self._ready = self._ready or self._repeatable(lambda connection: self._format(connection) is not None)
        return self._ready

    def read(self, work: Work[T]) -> T:
        """Return what `work` finds."""
        return self._repeatable(lambda connection: work(_Session(connection, self._in_dialect)))

    def write(self, work: Work[T]) -> T:
        """Carry out `work` in one transaction, creating the tables when they are not there."""
        if not self.exists():
            self._transaction(self._create)
            self._ready = True
        return self._transaction(lambda connection: work(_Session(connection, self._in_dialect)))

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()

    # -- transactions ---------------------------------------------------------------------------------------------

    def _transaction(self, use: Callable[[Connection], T]) -> T:
        def transaction(connection: Connection) -> T:
            connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE")
            try:
                result = use(connection)
            except BaseException:
                with suppress(psycopg.Error):  # a broken connection has rolled back
                    connection.execute("ROLLBACK")
                raise
            try:
                connection.execute("COMMIT")
            except psycopg.Error as error:
                if connection.closed:
                    raise self._in_doubt(error) from error
                raise
            return result

        return self._repeatable(transaction)

    def _repeatable(self, use: Callable[[Connection], T]) -> T:
        """Use a connection, and once more with a new one when it broke: whatever was begun has been undone."""
        try:
            connection = self._connections.take()
            try:
                return use(connection)
            except psycopg.Error as error:
                if not (connection.closed or error.sqlstate in _UNDONE):
                    raise
            finally:
                self._put_back(connection)
            self._connections.clear()  # they most likely broke, too
            connection = self._connections.take()
            try:
                return use(connection)
            finally:
                self._put_back(connection)
        except psycopg.Error as error:
            raise self._unusable(error) from error

    def _put_back(self, connection: Connection) -> None:
        if connection.info.transaction_status == TransactionStatus.IDLE:
            self._connections.put_back(connection)
        else:  # broken, or interrupted in the middle of something
            connection.close()

    def _opened(self) -> Connection:
        connection = psycopg.connect(
            **self._parameters,
            autocommit=True,
            prepare_threshold=None,  # poolers between us and the server may not know prepared statements
            row_factory=dict_row,
        )
        try:
            connection.execute(_SETTINGS)
        except BaseException:
            connection.close()
            raise
        return connection

    # -- the schema -----------------------------------------------------------------------------------------------

    def _create(self, connection: Connection) -> None:
        connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"tidegate {self.schema}"])
        if self._format(connection) is not None:  # another process was faster
            return
        if not connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [self.schema]).fetchone():
            connection.execute(f"CREATE SCHEMA {self._name}".encode())
        session = _Session(connection, self._in_dialect)
        for statement in statements(0, **_WORDS):
            session.change(statement)
        session.change("CREATE TABLE main.state_format (version BIGINT NOT NULL)")
        session.change("INSERT INTO main.state_format (version) VALUES (?)", [FORMAT_VERSION])

    def _format(self, connection: Connection) -> int | None:
        if not connection.execute(_FIND_FORMAT, [self.schema]).fetchone():
            return None
        session = _Session(connection, self._in_dialect)
        version: int = session.row("SELECT max(version) AS version FROM main.state_format")["version"]
        if version > FORMAT_VERSION:
            known = f"(state format {version}, this one knows {FORMAT_VERSION})"
            msg = f"{self.place} was written by a newer Tidegate {known}"
            raise WatermarkError(msg, code="TG505", hint="upgrade this installation of Tidegate")
        return version

    @property
    def _name(self) -> str:
        return '"' + self.schema.replace('"', '""') + '"'

    def _translated(self, sql: str) -> bytes:
        name = self._name.replace("%", "%%")
        return sql.replace("%", "%%").replace("?", "%s").replace("main.", f"{name}.").encode()

    # -- errors ---------------------------------------------------------------------------------------------------

    def _unusable(self, error: psycopg.Error) -> WatermarkError:
        msg = f"the state store {self.place} cannot be used: {first_line(error)}"
        hint = "is the server up, and does the URL say the right host, database, user and password?"
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            hint = f"grant its user the right to create a schema in the database, or all rights in schema {self.schema}"
        elif error.sqlstate:
            hint = "see the message; nothing was changed"
        is_ours = error.sqlstate or isinstance(error, psycopg.ProgrammingError)
        kind = WatermarkError if is_ours else StateUnavailableError
        return kind(msg, {"place": self.place}, code="TG501", hint=hint)

    def _in_doubt(self, error: psycopg.Error) -> WatermarkError:
        msg = f"the connection to the state store {self.place} broke during a commit: {first_line(error)}"
        hint = "run again: what the destinations have is not loaded twice, and a lease that is left ends by itself"
        return WatermarkError(msg, {"place": self.place}, code="TG514", hint=hint)


class _Session:
    """Statements on a connection of PostgreSQL."""

    def __init__(self, connection: Connection, in_dialect: Callable[[str], bytes]) -> None:
        self._connection = connection
        self._in_dialect = in_dialect

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        return list(self._connection.execute(self._in_dialect(sql), values))

    def row(self, sql: str, values: Sequence[Any] = ()) -> Any:
        return self._connection.execute(self._in_dialect(sql), values).fetchone()

    def locked(self, sql: str, values: Sequence[Any] = ()) -> Any:
        return self.row(f"{sql} FOR UPDATE", values)

    def change(self, sql: str, values: Sequence[Any] = ()) -> int:
        return self._connection.execute(self._in_dialect(sql), values).rowcount

    def now(self) -> datetime:
        return datetime.fromisoformat(self.row(_NOW)["now"]).replace(tzinfo=UTC)


def schema_for_profile(schema: str, profile: str | None) -> str:
    """Return the name of the schema that holds the state of a profile: never that of another one.

    >>> schema_for_profile("tidegate", "prod"), schema_for_profile("tidegate", None)
    ('tidegate_prod', 'tidegate')
    """
    name = f"{schema}_{profile}" if profile else schema
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    digest = hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
    return f"{name.encode()[: _LONGEST_NAME - len(digest) - 1].decode(errors='ignore')}_{digest}"


def _without_schema(url: str) -> tuple[str, str]:
    """Take the parameter `schema` out of a URL: it is ours, and not libpq's."""
    base, _, query = url.partition("?")
    parameters = [parameter for parameter in query.split("&") if parameter]
    schemas = [unquote(parameter.partition("=")[2]) for parameter in parameters if parameter.startswith("schema=")]
    rest = "&".join(parameter for parameter in parameters if not parameter.startswith("schema="))
    return (f"{base}?{rest}" if rest else base), (schemas or ["tidegate"])[-1] or "tidegate"
