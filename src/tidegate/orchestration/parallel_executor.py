"""Runs dataflows in threads: groups in order, everything else at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from tidegate.orchestration.schedule import Ending, Schedule, Task, chained
from tidegate.reporting import ExecutionResult, UnitReport

if TYPE_CHECKING:
    from tidegate.models import DataFlow

Process = Callable[["DataFlow"], UnitReport]
Callback = Callable[[UnitReport], None]


class ParallelExecutor:
    """Runs dataflows in a bounded number of threads.

    Args:
        max_workers: Dataflows that run at the same time; the number of dataflows when not given, at most 32.
        stop_on_error: Start nothing new after the first failure; what was not started is not in the result.
    """

    def __init__(self, max_workers: int | None = None, stop_on_error: bool = False) -> None:  # noqa: FBT001, FBT002 - the seed's signature
        self.max_workers = max_workers
        self.stop_on_error = stop_on_error
        self._stop = threading.Event()

    def stop(self) -> None:
        """Start nothing new. What runs is finished."""
        self._stop.set()

    def execute(
        self, dataflows: Sequence[DataFlow], process_fn: Process, callback: Callback | None = None
    ) -> ExecutionResult:
        """Run dataflows at the same time, and return what happened to each."""
        return self._run([[flow] for flow in dataflows], process_fn, callback)

    def execute_sequential(
        self, dataflows: Sequence[DataFlow], process_fn: Process, callback: Callback | None = None
    ) -> ExecutionResult:
        """Run dataflows one after the other."""
        return self._run([list(dataflows)], process_fn, callback)

    def execute_with_groups(
        self,
        groups: Mapping[int | None, Sequence[DataFlow]],
        process_fn: Process,
        callback: Callback | None = None,
    ) -> ExecutionResult:
        """Run each numbered group in its order, groups and ungrouped dataflows at the same time."""
        chains = [
            chain
            for number, flows in groups.items()
            for chain in ([[flow] for flow in flows] if number is None else [list(flows)])
        ]
        return self._run(chains, process_fn, callback)

    def _run(
        self, chains: Sequence[Sequence[DataFlow]], process_fn: Process, callback: Callback | None
    ) -> ExecutionResult:
        tasks = []
        for number, chain in enumerate(chains):
            keys = [f"{number}.{index}" for index, _ in enumerate(chain)]
            after = chained(keys)
            tasks += [Task(key=key, item=flow, after=after[key]) for key, flow in zip(keys, chain, strict=True)]
        return self.execute_tasks(tasks, process_fn, callback)

    def execute_tasks(
        self,
        tasks: Sequence[Task[DataFlow]],
        process_fn: Process,
        callback: Callback | None = None,
        *,
        skipped_fn: Callable[[DataFlow, str], UnitReport] | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> ExecutionResult:
        """Run dataflows that wait for each other.

        Args:
            tasks: The dataflows, each with what it waits for and uses.
            process_fn: Runs one.
            callback: Told of each one that has ended.
            skipped_fn: Returns the report of one that is skipped, for a reason.
            limits: What is used → how many may use it at the same time.
        """
        started = time.perf_counter()
        reports: dict[str, UnitReport] = {}

        def ended(task: Task[DataFlow], report: UnitReport) -> Ending:
            reports[task.key] = report
            if callback is not None:
                callback(report)
            return report.status

        def process(task: Task[DataFlow]) -> Ending:
            assert task.item is not None  # noqa: S101 - a task without one is not processed
            return ended(task, process_fn(task.item))

        def skip(task: Task[DataFlow], reason: str) -> None:
            if skipped_fn is not None and task.item is not None:
                ended(task, skipped_fn(task.item, reason))

        schedule = Schedule(
            tasks,
            max_workers=min(self.max_workers or 32, max(len(tasks), 1)),
            limits=limits,
            stop_on_error=self.stop_on_error,
            stop=self._stop,
        )
        schedule.run(process, skip)
        in_order = [reports[task.key] for task in tasks if task.key in reports]
        return ExecutionResult.from_units(in_order, duration_seconds=time.perf_counter() - started)
