"""Streams that are filled in threads, and read one after the other."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")

_AHEAD = 2
"""Items that a stream holds ready, at most: pages, which may be large."""
_TICK_SECONDS = 0.2


def in_order(streams: Iterable[Callable[[], Iterator[T]]], workers: int) -> Iterator[T]:
    """Yield what the streams yield, stream after stream, while up to `workers` of them run.

    An error of a stream is raised when its turn comes. Streams that are no longer wanted end at their next item.
    """
    waiting = iter(streams)
    if workers == 1:
        for stream in waiting:
            yield from stream()
        return
    stop = threading.Event()
    running = deque(_Filling(stream, stop) for stream in islice(waiting, workers))
    try:
        while running:
            yield from running[0].items()
            running.popleft()
            running.extend(_Filling(stream, stop) for stream in islice(waiting, 1))
    finally:
        stop.set()


class _Filling(Generic[T]):
    """A stream that runs in a thread of its own, a few items ahead."""

    def __init__(self, stream: Callable[[], Iterator[T]], stop: threading.Event) -> None:
        self._stream = stream
        self._stop = stop
        self._items: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(_AHEAD)
        threading.Thread(target=self._fill, daemon=True).start()

    def items(self) -> Iterator[T]:
        """Yield what the stream yields."""
        while (item := self._items.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]

    def _fill(self) -> None:
        try:
            for item in self._stream():
                if not self._put((item,)):
                    return
            self._put(None)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that reads
            self._put(error)

    def _put(self, item: tuple[T] | BaseException | None) -> bool:
        while not self._stop.is_set():
            try:
                self._items.put(item, timeout=_TICK_SECONDS)
            except queue.Full:
                continue
            return True
        return False
