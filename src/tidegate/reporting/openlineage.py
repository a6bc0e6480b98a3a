"""OpenLineage: tells a lineage server what is read and written, unit by unit and column by column.

openlineage-python is imported here and in `openlineage_events.py` alone; its own settings say where events go
(`OPENLINEAGE_URL`, `openlineage.yml`). A server that is slow or dead neither stops nor delays a load: events wait in a
bounded queue, and are sent from a thread of their own. One that cannot be reached is not tried again in the same run.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol

from tidegate.errors import PlaceUnavailableError
from tidegate.masking import mask
from tidegate.reporting.events import (
    Event,
    Notice,
    RunStarted,
    UnitProgress,
)
from tidegate.reporting.openlineage_events import Translation

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

_THREAD = "tidegate-openlineage"
_MOST_WAITING = 10_000
_CLOSE_SECONDS = 2.0
_NO_WAY = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH})


class Client(Protocol):
    """What sends events: an `OpenLineageClient`."""

    def emit(self, event: RunEvent) -> None:
        """Send an event."""

    def close(self, timeout: float = -1.0) -> bool:
        """Send what waits, for at most so many seconds."""


class OpenLineageSink:
    """Sends START, then COMPLETE, FAIL or ABORT, for the run and for each unit, whose parent it is.

    Args:
        client: What sends them; one as its environment and files configure it when not given.
        namespace: Namespace of the jobs; `OPENLINEAGE_NAMESPACE`, else `tidegate`, when not given.
        most_waiting: How many events may wait; what comes when so many do is lost.
        close_seconds: How long :meth:`close` lets what waits be sent.
    """

    wants_lineage = True

    def __init__(
        self,
        client: Client | None = None,
        *,
        namespace: str | None = None,
        most_waiting: int = _MOST_WAITING,
        close_seconds: float = _CLOSE_SECONDS,
    ) -> None:
        self._client = client or _configured_client()
        self._translation = Translation(namespace or os.environ.get("OPENLINEAGE_NAMESPACE") or "tidegate")
        self._most_waiting = most_waiting
        self._close_seconds = close_seconds
        self._waiting: deque[Event] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._sending = 0
        self._lost = 0
        self._is_reachable = True
        self._cause = "the server is slow"

    def handle(self, event: Event, /) -> None:
        """Let an event wait for its sending, or lose it where too many wait."""
        if isinstance(event, UnitProgress | Notice):
            return
        with self._changed:
            if len(self._waiting) >= self._most_waiting:
                self._lost += 1
                return
            self._waiting.append(event)
            self._changed.notify()
            if self._thread is None:
                _quieten()
                self._thread = threading.Thread(target=self._send_all, name=_THREAD, daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Send what waits, for a few seconds.

        Raises:
            PlaceUnavailableError: events were lost (TG641).
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread:
            self._thread.join(self._close_seconds)
        with self._changed:
            lost = self._lost + len(self._waiting) + self._sending
            self._waiting.clear()
        if lost:
            events = "1 lineage event was" if lost == 1 else f"{lost:,} lineage events were"
            hint = "the loads are in; check OPENLINEAGE_URL, or whether the lineage server is up"
            raise PlaceUnavailableError(f"{events} lost: {self._cause}", code="TG641", hint=hint)

    def _send_all(self) -> None:
        while (event := self._next()) is not None:
            if isinstance(event, RunStarted):
                self._is_reachable = True
            try:
                for told in self._translation.of(event):
                    self._send(told)
            except Exception as error:  # noqa: BLE001 - whatever the server or its library does, loads go on
                self._lose(error)
            with self._changed:
                self._sending = 0
        try:
            for told in self._translation.rest() if self._is_reachable else ():
                self._send(told)
            self._client.close(self._close_seconds)
        except Exception as error:  # noqa: BLE001 - likewise
            self._lose(error)

    def _send(self, event: RunEvent) -> None:
        if not self._is_reachable:
            raise PlaceUnavailableError(self._cause)
        self._client.emit(event)

    def _next(self) -> Event | None:
        """Return the event that is to be sent now; None when there will be none any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return None
            self._sending = 1
            return self._waiting.popleft()

    def _lose(self, error: Exception) -> None:
        with self._changed:
            self._lost += 1
            if not self._is_reachable:
                return
            if reason := _unreachable(error):
                self._is_reachable = False
                self._cause = f"the server cannot be reached: {reason}"
            else:
                self._cause = " ".join(mask(f"{type(error).__name__}: {error}").split())


def _configured_client() -> Client:
    from openlineage.client import OpenLineageClient
    from openlineage.client.transport.http import HttpTransport
    from openlineage.client.transport.http_common import DEFAULT_RETRY_CONFIG

    client = OpenLineageClient()
    if isinstance(client.transport, HttpTransport) and client.transport.config.retry == DEFAULT_RETRY_CONFIG:
        client.transport.config.retry = {**DEFAULT_RETRY_CONFIG, "connect": 0}  # refused once is enough to know
    return client


def _unreachable(error: BaseException) -> str | None:
    """Return why no connection was made to a server; None when there was one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError | socket.gaierror) or (
            isinstance(cause, OSError) and cause.errno in _NO_WAY
        ):
            return cause.strerror or type(cause).__name__
        cause = cause.__cause__ or cause.__context__
    return None


class _NotFromThisThread(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.threadName != _THREAD


def _quieten() -> None:
    """Keep what the libraries log of each attempt from the terminal: what is lost is told once, at the end."""
    for name in ("urllib3.connectionpool", "urllib3.util.retry"):
        logger = logging.getLogger(name)
        if not any(isinstance(one, _NotFromThisThread) for one in logger.filters):
            logger.addFilter(_NotFromThisThread())
