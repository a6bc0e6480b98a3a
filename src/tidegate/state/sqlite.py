"""The state store in one SQLite file, the default: `.tidegate/state.db` beside the metadata."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tidegate.errors import WatermarkError
from tidegate.state.database import IdleConnections, T, Work
from tidegate.state.lease import LEASE_SECONDS
from tidegate.state.schema import FORMAT_VERSION, statements
from tidegate.state.sql_store import SqlStateStore

_WAIT_SECONDS = 30.0
"""How long a statement waits for other processes."""
_WORDS = {"text": "TEXT", "integer": "INTEGER", "identity": "INTEGER PRIMARY KEY", "keyed": " WITHOUT ROWID"}


def state_path_of(root: Path, profile: str | None) -> Path:
    """Return where the state store of a project is: each profile, being an environment, has one of its own."""
    return path_for_profile(root.absolute() / ".tidegate" / "state.db", profile)


def path_for_profile(path: Path, profile: str | None) -> Path:
    """Return where the state of a profile is, when that of no profile is at `path`."""
    return path.parent / "profiles" / profile / path.name if profile else path


class SQLiteStateStore(SqlStateStore):
    """A state store in a SQLite file.

    Args:
        path: The file; it and its folder are created when first written. An older format is brought up to date when
            it is first opened.
        lease_seconds: How long a lease lives without renewal, by this machine's clock.

    Raises:
        WatermarkError: the file is not a state store (TG501, TG513), or of a newer version (TG505).
    """

    def __init__(self, path: Path, *, lease_seconds: float = LEASE_SECONDS) -> None:
        super().__init__(SQLiteDatabase(path), lease_seconds=lease_seconds)
        self.path = path


class SQLiteDatabase:
    """A SQLite file in WAL mode.

    `synchronous=NORMAL` survives the death of a process at any moment. A power cut may take the newest writes with
    it, which is harmless: the destinations hold the truth.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connections = IdleConnections(self._opened, sqlite3.Connection.close)
        self._opening = threading.Lock()

    @property
    def place(self) -> str:
        """The file."""
        return str(self.path)

    def exists(self) -> bool:
        """Tell whether there is a file."""
        return self.path.exists()

    def read(self, work: Work[T]) -> T:
        """Return what `work` finds."""
        with self._connected() as connection:
            return work(_Session(connection))

    def write(self, work: Work[T]) -> T:
        """Carry out `work` in one transaction, creating the file when it is not there."""
        with self._connected() as connection, _transaction(connection):
            return work(_Session(connection))

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._connections.take()
            try:
                yield connection
            finally:
                self._put_back(connection)
        except (sqlite3.DatabaseError, OSError) as error:
            msg = f"the state store {self.path} cannot be used: {error}"
            hint = "`tidegate state rebuild` sets it aside and reads the positions from the destinations"
            raise WatermarkError(msg, {"file": str(self.path)}, code="TG501", hint=hint) from error

    def _put_back(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction:  # it could not be rolled back
            connection.close()
        else:
            self._connections.put_back(connection)

    def _opened(self) -> sqlite3.Connection:
        with self._opening:  # two threads that create the file would wait for each other's locks
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self.path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.row_factory = sqlite3.Row
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA synchronous = NORMAL")
        with _transaction(connection, "BEGIN"):
            version = self._format(connection)
        if version == FORMAT_VERSION:
            return
        _switch_to_wal(connection)
        with _transaction(connection):
            version = self._format(connection)  # again: another process may have done it meanwhile
            if version != FORMAT_VERSION:
                for statement in statements(version, **_WORDS):
                    connection.execute(statement.replace("ON main.", "ON "))
                connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")

    def _format(self, connection: sqlite3.Connection) -> int:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > FORMAT_VERSION:
            known = f"(state format {version}, this one knows {FORMAT_VERSION})"
            msg = f"{self.path} was written by a newer Tidegate {known}"
            raise WatermarkError(msg, code="TG505", hint="upgrade this installation of Tidegate")
        if version == 0 and connection.execute("SELECT name FROM main.sqlite_master").fetchone():
            msg = f"{self.path} is a database of something else, and no state store"
            raise WatermarkError(msg, {"file": str(self.path)}, code="TG513", hint="give the state a file of its own")
        return version


class _Session:
    """Statements on a connection of SQLite."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[Any] = ()) -> Any:
        return self._connection.execute(sql, values).fetchone()

    locked = row  # a transaction that writes is alone in the file

    def change(self, sql: str, values: Sequence[Any] = ()) -> int:
        return self._connection.execute(sql, values).rowcount

    def now(self) -> datetime:
        return datetime.now(UTC)


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Wait for others who create the file at the same time: for this one statement SQLite's own timeout does not."""
    give_up = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.005)
        else:
            return
