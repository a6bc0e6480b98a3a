"""Runs tasks in a bounded number of threads: each when those before it have ended, and what it uses is free."""

from __future__ import annotations

import heapq
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Generic, Literal, TypeVar

Item = TypeVar("Item")
Ending = Literal["succeeded", "failed", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Generic[Item]):
    """Something to do, and what it waits for. Without an item it only stands for the end of those before it."""

    key: str
    item: Item | None = None
    after: frozenset[str] = frozenset()
    """Keys of tasks that must have ended, one way or another."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """Key of each task that must have succeeded → its name, for the reason why this one is skipped."""
    uses: frozenset[str] = frozenset()
    """What it uses of which there is a limited number."""


class Schedule(Generic[Item]):
    """One run over tasks.

    Args:
        tasks: What to do; of those that are ready, the first in this order starts first. There is no cycle in them.
        max_workers: Tasks that run at the same time.
        limits: What is used → how many tasks may use it at the same time.
        stop_on_error: Start nothing new after the first failure.
        stop: When set, nothing new is started.
    """

    def __init__(
        self,
        tasks: Sequence[Task[Item]],
        *,
        max_workers: int,
        limits: Mapping[str, int] | None = None,
        stop_on_error: bool = False,
        stop: threading.Event | None = None,
    ) -> None:
        self._tasks = {task.key: task for task in tasks}
        self._in_order = tuple(tasks)
        self._order = {task.key: number for number, task in enumerate(tasks)}
        self._max_workers = max_workers
        self._limits = limits or {}
        self._stop_on_error = stop_on_error
        self._stop = stop or threading.Event()
        self._endings: dict[str, Ending] = {}
        self._waits_for: dict[str, int] = {}
        self._followers: dict[str, list[str]] = {}
        self._ready: list[int] = []
        self._held_back: dict[str, list[int]] = {}
        """Tasks that were ready, by what they have to wait for that was in use."""
        self._in_use: Counter[str] = Counter()
        for task in tasks:
            before = [key for key in {*task.after, *task.needs} if key in self._tasks]
            self._waits_for[task.key] = len(before)
            for key in before:
                self._followers.setdefault(key, []).append(task.key)

    def run(self, process: Callable[[Task[Item]], Ending], skip: Callable[[Task[Item], str], None]) -> None:
        """Run every task, or skip it.

        An interrupt lets what runs end, starts nothing new, and is raised then.

        Args:
            process: Does it, in a thread of its own; must not raise.
            skip: Told in this thread of a task that is not run, and why. Not called for those that a stop left over.
        """
        ended: SimpleQueue[tuple[str, Ending | BaseException]] = SimpleQueue()

        def work(task: Task[Item]) -> None:
            try:
                ended.put((task.key, process(task)))
            except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
                ended.put((task.key, error))

        for key in self._tasks:
            if not self._waits_for[key]:
                self._becomes_ready(key)
        running = 0
        with ThreadPoolExecutor(self._max_workers, thread_name_prefix="tidegate") as pool:
            try:
                while True:
                    while (task := self._next(running, skip)) is not None:
                        running += 1
                        self._in_use.update(task.uses & self._limits.keys())
                        pool.submit(work, task)
                    if not running:
                        self._refuse_to_leave_out()
                        return
                    key, ending = ended.get()
                    running -= 1
                    self._in_use.subtract(self._tasks[key].uses & self._limits.keys())
                    if isinstance(ending, BaseException):
                        raise ending
                    self._ends(key, ending)
            except BaseException:
                self._stop.set()
                raise

    def _next(self, running: int, skip: Callable[[Task[Item], str], None]) -> Task[Item] | None:
        """Return the first task that can start now; skip those before it that cannot start at all."""
        while (queue := self._first_queue()) and not self._stop.is_set():
            task = self._in_order[queue[0]]
            reason = self._reason_to_skip(task)
            if task.item is not None and not reason and running >= self._max_workers:
                return None
            number = heapq.heappop(queue)
            if task.item is None:
                self._ends(task.key, "succeeded")
            elif reason:
                self._ends(task.key, "skipped")
                skip(task, reason)
            elif busy := self._busy(task.uses):
                heapq.heappush(self._held_back.setdefault(busy[0], []), number)
            else:
                return task
        return None

    def _first_queue(self) -> list[int]:
        """Return the queue that the first task is in which nothing known holds back."""
        free = [queue for used, queue in self._held_back.items() if queue and not self._busy([used])]
        return min((queue for queue in (self._ready, *free) if queue), default=[])

    def _busy(self, uses: Iterable[str]) -> list[str]:
        return [used for used in uses if used in self._limits and self._in_use[used] >= self._limits[used]]

    def _refuse_to_leave_out(self) -> None:
        left = self._tasks.keys() - self._endings.keys()
        if left and not self._stop.is_set():
            raise RuntimeError(f"tasks wait for each other: {', '.join(sorted(left))}")

    def _reason_to_skip(self, task: Task[Item]) -> str | None:
        for key, name in task.needs.items():
            if (ending := self._endings.get(key, "succeeded")) != "succeeded":
                return f"upstream {name} {'failed' if ending == 'failed' else 'was skipped'}"
        return None

    def _ends(self, key: str, ending: Ending) -> None:
        self._endings[key] = ending
        if ending == "failed" and self._stop_on_error:
            self._stop.set()
        for follower in self._followers.get(key, ()):
            self._waits_for[follower] -= 1
            if not self._waits_for[follower]:
                self._becomes_ready(follower)

    def _becomes_ready(self, key: str) -> None:
        heapq.heappush(self._ready, self._order[key])


def chained(keys: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return per key what it comes after, for keys that run one after the other."""
    keys = list(keys)
    return {key: frozenset(keys[index - 1 : index]) for index, key in enumerate(keys)}
