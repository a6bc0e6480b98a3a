"""What was fetched, remembered for a while."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Memory(Generic[T]):
    """Values by key, each fetched once for a while. Safe to use from many threads: they share one fetch.

    A failed fetch is not remembered.

    Args:
        seconds: How long a value is remembered; 0 fetches each time.
    """

    def __init__(self, seconds: float = math.inf) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._slots: dict[Hashable, _Slot[T]] = {}

    def get(self, key: Hashable, fetch: Callable[[], T]) -> T:
        """Return the value of `key`, fetched now if it is not remembered."""
        if self._seconds <= 0:
            return fetch()
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
        with slot.lock:
            if not slot.values or time.monotonic() >= slot.expires_at:
                slot.values = [fetch()]
                slot.expires_at = time.monotonic() + self._seconds
            return slot.values[0]

    def forget(self, key: Hashable) -> None:
        """Fetch this one anew on the next call."""
        with self._lock:
            self._slots.pop(key, None)

    def clear(self) -> None:
        """Forget everything; what is being fetched right now is not remembered either."""
        with self._lock:
            self._slots = {}


class _Slot(Generic[T]):
    """One value's place: a list of none or one."""

    __slots__ = ("expires_at", "lock", "values")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.values: list[T] = []
        self.expires_at = 0.0
