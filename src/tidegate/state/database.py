"""The small port between the state store's SQL and the database that runs it.

The SQL is written once, in what SQLite and PostgreSQL have in common: a table is named ``main.<table>``, a value stands
as ``?``. Times are ISO 8601 text in UTC, structured values JSON text: the same in every database.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from tidegate.errors import WatermarkError

T = TypeVar("T")
C = TypeVar("C")


class Session(Protocol):
    """One transaction, or one read."""

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return what a query finds; each row is indexed by the names of its columns."""

    def row(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """Return the first row that a query finds, or None."""

    def locked(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """Return the row as :meth:`row` does; nobody else changes it until this transaction ends."""

    def change(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Carry out a statement, and return how many rows it changed."""

    def now(self) -> datetime:
        """Return the time, in UTC, of the clock by which leases expire."""


Work = Callable[[Session], T]
"""What is done in a session. It may be called twice, when its first transaction certainly did not commit."""


class Database(Protocol):
    """A database that holds the state of one project in one environment.

    Every method raises :class:`~tidegate.errors.WatermarkError`, TG501 when the database cannot be used.
    """

    @property
    def place(self) -> str:
        """The database as messages name it, without credentials."""

    def exists(self) -> bool:
        """Tell whether there is state yet. Creates nothing."""

    def read(self, work: Work[T]) -> T:
        """Return what `work` finds."""

    def write(self, work: Work[T]) -> T:
        """Carry out `work` in one transaction, creating the tables when they are not there."""

    def close(self) -> None:
        """Close all connections."""


def from_json(text: str, what: str) -> Any:
    """Return the value that a JSON text holds.

    Raises:
        WatermarkError: it is no JSON (TG504). It is never taken for nothing.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        msg = f"the stored {what} is damaged: {error}"
        hint = "`tidegate state rebuild` reads positions from the destinations"
        raise WatermarkError(msg, code="TG504", hint=hint) from error


class IdleConnections(Generic[C]):
    """Connections that no thread uses just now, so that each thread has one of its own and none outlives its use.

    Args:
        open_one: Opens a connection.
        close_one: Closes it.
    """

    def __init__(self, open_one: Callable[[], C], close_one: Callable[[C], None]) -> None:
        self._open = open_one
        self._close = close_one
        self._lock = threading.Lock()
        self._idle: list[C] = []
        self._closed = False
        self._process = os.getpid()
        self._inherited: list[C] = []

    def take(self) -> C:
        """Return a connection, for this thread alone."""
        with self._lock:
            if self._process != os.getpid():  # forked: these are the parent's, and not even to be closed here
                self._inherited += self._idle
                self._idle, self._process = [], os.getpid()
            if self._idle:
                return self._idle.pop()
        return self._open()

    def put_back(self, connection: C) -> None:
        """Keep a sound connection for the next use."""
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        self._close(connection)

    def clear(self) -> None:
        """Close those that are idle now."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            self._close(connection)

    def close(self) -> None:
        """Close all of them, and those that are in use when they come back."""
        self._closed = True
        self.clear()
