"""Which of several jobs runs which dataflow."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from tidegate.errors import ConfigurationError
from tidegate.metadata.dependencies import dependencies, in_groups
from tidegate.models.destination import physical_key

if TYPE_CHECKING:
    from tidegate.models import DataFlow


class JobDistributor:
    """Distributes dataflows over jobs, the same way on every machine.

    A dataflow with a group goes to job ``group_number % job_num``, so that a group stays together; one without to the
    job that a stable hash of its id names. Groups whose numbers are all multiples of `job_num` then meet in one job:
    `balanced` shares dataflows out evenly instead, and keeps together what depends on each other, shares a group or
    writes one destination. All jobs must be given the same dataflows.

    Args:
        job_num: Number of jobs.
        job_index: Which of them this is, from 0.
        distribution: `hash` or `balanced`.

    Raises:
        ConfigurationError: the index is not below the number.
    """

    def __init__(
        self, job_num: int = 1, job_index: int = 0, *, distribution: Literal["hash", "balanced"] = "hash"
    ) -> None:
        if not 0 <= job_index < job_num:
            msg = f"job_index {job_index} is not one of the {job_num} jobs"
            raise ConfigurationError(msg, hint=f"job_index counts from 0 to {job_num - 1}")
        self.job_num = job_num
        self.job_index = job_index
        self.distribution = distribution

    def should_process(self, dataflow: DataFlow) -> bool:
        """Tell whether this job runs the dataflow, by the rule that looks at one dataflow alone: `hash`."""
        number = _stable_hash(dataflow.dataflow_id) if dataflow.group_number is None else dataflow.group_number
        return number % self.job_num == self.job_index

    def filter_dataflows(self, dataflows: Iterable[DataFlow], active_only: bool = True) -> list[DataFlow]:  # noqa: FBT001, FBT002 - the seed's signature
        """Return the dataflows of this job, in their order."""
        flows = [flow for flow in dataflows if flow.is_active or not active_only]
        if self.distribution == "hash":
            return [flow for flow in flows if self.should_process(flow)]
        mine = self._balanced(flows)
        return [flow for flow in flows if flow.dataflow_id in mine]

    def group_dataflows(self, dataflows: Sequence[DataFlow]) -> dict[int | None, list[DataFlow]]:
        """Return the dataflows by group number, each group by execution order; those without a group under None."""
        return in_groups(dataflows)

    def get_grouped_dataflows(self, dataflows: Sequence[DataFlow]) -> dict[int, list[DataFlow]]:
        """Return only the dataflows that have a group."""
        return {number: flows for number, flows in self.group_dataflows(dataflows).items() if number is not None}

    def get_independent_dataflows(self, dataflows: Sequence[DataFlow]) -> list[DataFlow]:
        """Return the dataflows that have no group."""
        return [flow for flow in dataflows if flow.group_number is None]

    def _balanced(self, flows: Sequence[DataFlow]) -> set[str]:
        """Return the ids of this job: what belongs together, the largest first, to the job with the least so far."""
        parts = sorted(_belonging_together(flows), key=lambda part: (-len(part), part))
        loads = [0] * self.job_num
        mine: set[str] = set()
        for part in parts:
            job = loads.index(min(loads))
            loads[job] += len(part)
            mine |= set(part) if job == self.job_index else set()
        return mine


def _belonging_together(flows: Sequence[DataFlow]) -> list[list[str]]:
    """Return the ids in sets that depend on each other, share a group, or write one destination; each sorted."""
    part_of = {flow.dataflow_id: [flow.dataflow_id] for flow in flows}
    writers = defaultdict(list)
    for flow in flows:
        destination = flow.destination
        if key := physical_key(destination.connection, destination.schema_name, destination.table):
            writers[key].append(flow.dataflow_id)
    pairs = [(edge.upstream, edge.downstream) for edge in dependencies(flows)]
    pairs += [(first, other) for first, *others in writers.values() for other in others]
    for one, other in pairs:
        if part_of[one] is not part_of[other]:
            smaller, larger = sorted((part_of[one], part_of[other]), key=len)
            larger += smaller
            part_of |= dict.fromkeys(smaller, larger)
    return [sorted(part) for part in {id(part): part for part in part_of.values()}.values()]


def _stable_hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
