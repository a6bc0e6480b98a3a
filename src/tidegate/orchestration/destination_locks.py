"""Writers of one destination take turns, in the order in which they come."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class DestinationLocks:
    """One queue for each physical destination: loads of one process that write it commit in the order of arrival."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[threading.Event]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def of(self, place: str) -> Iterator[None]:
        """Wait for those that came before, and let the next one in afterwards."""
        turn = threading.Event()
        with self._lock:
            queue = self._queues.setdefault(place, deque())
            queue.append(turn)
            if queue[0] is turn:
                turn.set()
        try:
            turn.wait()
            yield
        finally:
            with self._lock:
                queue.remove(turn)
                if queue:
                    queue[0].set()
