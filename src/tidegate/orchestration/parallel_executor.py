"""Runs dataflows in threads: groups in order, everything else at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

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
        started = time.perf_counter()
        reports: dict[str, UnitReport] = {}

        def run_chain(chain: Sequence[DataFlow]) -> None:
            for flow in chain:
                if self._stop.is_set():
                    return
                report = process_fn(flow)
                reports[flow.dataflow_id] = report
                if report.status == "failed" and self.stop_on_error:
                    self._stop.set()
                if callback is not None:
                    callback(report)

        workers = min(self.max_workers or 32, max(len(chains), 1))
        with ThreadPoolExecutor(workers, thread_name_prefix="tidegate") as pool:
            futures = [pool.submit(run_chain, chain) for chain in chains]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                self._stop.set()
                raise
        in_order = [reports[flow.dataflow_id] for chain in chains for flow in chain if flow.dataflow_id in reports]
        return ExecutionResult.from_units(in_order, duration_seconds=time.perf_counter() - started)
