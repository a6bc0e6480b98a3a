"""Which of several jobs runs which dataflow."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tidegate.errors import ConfigurationError

if TYPE_CHECKING:
    from tidegate.models import DataFlow


class JobDistributor:
    """Distributes dataflows over jobs, the same way on every machine.

    A dataflow with a group goes to job ``group_number % job_num``, so that a group stays together; one without to the
    job that a stable hash of its id names.

    Args:
        job_num: Number of jobs.
        job_index: Which of them this is, from 0.

    Raises:
        ConfigurationError: the index is not below the number.
    """

    def __init__(self, job_num: int = 1, job_index: int = 0) -> None:
        if not 0 <= job_index < job_num:
            msg = f"job_index {job_index} is not one of the {job_num} jobs"
            raise ConfigurationError(msg, hint=f"job_index counts from 0 to {job_num - 1}")
        self.job_num = job_num
        self.job_index = job_index

    def should_process(self, dataflow: DataFlow) -> bool:
        """Tell whether this job runs the dataflow."""
        number = _stable_hash(dataflow.dataflow_id) if dataflow.group_number is None else dataflow.group_number
        return number % self.job_num == self.job_index

    def filter_dataflows(self, dataflows: Iterable[DataFlow], active_only: bool = True) -> list[DataFlow]:  # noqa: FBT001, FBT002 - the seed's signature
        """Return the dataflows of this job, in their order."""
        return [flow for flow in dataflows if (flow.is_active or not active_only) and self.should_process(flow)]

    def group_dataflows(self, dataflows: Sequence[DataFlow]) -> dict[int | None, list[DataFlow]]:
        """Return the dataflows by group number, each group by execution order; those without a group under None."""
        groups: dict[int | None, list[DataFlow]] = {}
        for flow in dataflows:
            groups.setdefault(flow.group_number, []).append(flow)
        return {
            number: flows if number is None else sorted(flows, key=lambda flow: flow.execution_order or 0)
            for number, flows in groups.items()
        }

    def get_grouped_dataflows(self, dataflows: Sequence[DataFlow]) -> dict[int, list[DataFlow]]:
        """Return only the dataflows that have a group."""
        return {number: flows for number, flows in self.group_dataflows(dataflows).items() if number is not None}

    def get_independent_dataflows(self, dataflows: Sequence[DataFlow]) -> list[DataFlow]:
        """Return the dataflows that have no group."""
        return [flow for flow in dataflows if flow.group_number is None]


def _stable_hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
