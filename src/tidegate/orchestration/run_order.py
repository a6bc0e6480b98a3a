"""The order of a run: which dataflow waits for which, and of what there is a limited number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from typing import TYPE_CHECKING

from tidegate.metadata.dependencies import Dependency, dependencies, refuse_cycle
from tidegate.orchestration.schedule import Task

if TYPE_CHECKING:
    from tidegate.models import DataFlow

_NAMED = 5
"""Dataflows that a message names."""


def tasks_of(flows: Sequence[DataFlow]) -> list[Task[DataFlow]]:
    """Return the dataflows as tasks that wait for each other.

    A dataflow waits for those that it needs, for those before it in its group, and for all of the stages before its
    own. Stages come in the order in which they first appear, unless a dataflow of an earlier one needs one of a later.

    Raises:
        MetadataError: dataflows wait for each other (TG131).
    """
    edges = dependencies(flows)
    refuse_cycle(flows, edges)
    names = {flow.dataflow_id: flow.name for flow in flows}
    needs: dict[str, dict[str, str]] = {identity: {} for identity in names}
    after: dict[str, set[str]] = {identity: set() for identity in names}
    for edge in edges:
        if edge.is_needed:
            needs[edge.downstream][edge.upstream] = names[edge.upstream]
        else:
            after[edge.downstream].add(edge.upstream)
    barriers: list[Task[DataFlow]] = []
    ranks = stage_ranks(flows, edges)
    barrier: frozenset[str] = frozenset()
    for rank in ranks:
        members = [flow.dataflow_id for flow in flows if flow.stage in rank]
        for identity in members:
            after[identity] |= barrier
        barriers.append(Task(key=f"end of stage {', '.join(rank)}", after=frozenset(members)))
        barrier = frozenset({barriers[-1].key})
    tasks = [
        Task(
            key=flow.dataflow_id,
            item=flow,
            after=frozenset(after[flow.dataflow_id]),
            needs=needs[flow.dataflow_id],
            uses=frozenset(_connections(flow)),
        )
        for flow in flows
    ]
    return [*tasks, *barriers]


def stage_ranks(flows: Sequence[DataFlow], edges: Iterable[Dependency]) -> list[tuple[str, ...]]:
    """Return the stages in their order; stages that need each other stand together, with no barrier between them."""
    stages = list(dict.fromkeys(flow.stage for flow in flows if flow.stage))
    pairs = _stage_pairs(flows, edges)
    together: dict[str, tuple[str, ...]] = {stage: (stage,) for stage in stages}
    while True:
        graph: dict[tuple[str, ...], set[tuple[str, ...]]] = {together[stage]: set() for stage in stages}
        for before, after in pairs:
            if together[before] != together[after]:
                graph[together[after]].add(together[before])
        sorter = TopologicalSorter(graph)
        try:
            sorter.prepare()
        except CycleError as error:
            merged = {stage for rank in error.args[1] for stage in rank}
            rank = tuple(stage for stage in stages if stage in merged)
            together |= dict.fromkeys(rank, rank)
        else:
            return _in_order(sorter, [together[stage] for stage in stages])


def _stage_pairs(flows: Sequence[DataFlow], edges: Iterable[Dependency]) -> set[tuple[str, str]]:
    """Return which stage runs before which; dataflows without a stage hand on what they wait for."""
    stage_of = {flow.dataflow_id: flow.stage for flow in flows}
    before: dict[str, set[str]] = {identity: set() for identity in stage_of}
    for edge in edges:
        before[edge.downstream].add(edge.upstream)
    stages_before: dict[str, set[str]] = {}
    pairs: set[tuple[str, str]] = set()
    for identity in TopologicalSorter(before).static_order():
        stage = stage_of[identity]
        found = {one for upstream in before[identity] for one in stages_before[upstream]}
        pairs |= {(earlier, stage) for earlier in found if stage}
        stages_before[identity] = {stage} if stage else found
    return pairs


def levels_of(flows: Sequence[DataFlow], edges: Iterable[Dependency]) -> dict[str, int]:
    """Return per dataflow how many of these must run before it, one after the other. There is no cycle in them."""
    before: dict[str, set[str]] = {flow.dataflow_id: set() for flow in flows}
    for edge in edges:
        if edge.upstream in before and edge.downstream in before:
            before[edge.downstream].add(edge.upstream)
    levels: dict[str, int] = {}
    for identity in TopologicalSorter(before).static_order():
        levels[identity] = max((levels[upstream] + 1 for upstream in before[identity]), default=0)
    return levels


def limits_of(flows: Iterable[DataFlow]) -> dict[str, int]:
    """Return how many dataflows may use a connection at the same time, for those that say so."""
    connections = [end.connection for flow in flows for end in (flow.source, flow.destination) if end.connection]
    return {
        connection.name: connection.settings.max_concurrency
        for connection in connections
        if connection.settings.max_concurrency is not None
    }


def missing_upstreams(mine: Sequence[DataFlow], flows: Sequence[DataFlow]) -> Mapping[str, list[str]]:
    """Return by name the dataflows of this job that need dataflows of other jobs, with the names of those."""
    names = {flow.dataflow_id: flow.name for flow in flows}
    here = {flow.dataflow_id for flow in mine}
    missing: dict[str, list[str]] = {}
    for edge in dependencies(flows):
        if edge.is_needed and edge.downstream in here and edge.upstream not in here:
            missing.setdefault(names[edge.downstream], []).append(names[edge.upstream])
    return missing


def said_of_missing(missing: Mapping[str, Sequence[str]]) -> str:
    """Return, as people read it, what :func:`missing_upstreams` found.

    >>> said_of_missing({"orders": ["shops"], "returns": ["orders", "shops"]})
    '2 dataflows do not wait for what another job runs: orders needs shops; returns needs orders, shops'
    """
    named = [f"{name} needs {', '.join(upstream)}" for name, upstream in islice(missing.items(), _NAMED)]
    more = f"; and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
    who = "1 dataflow does" if len(missing) == 1 else f"{len(missing):,} dataflows do"
    return f"{who} not wait for what another job runs: {'; '.join(named)}{more}"


def _in_order(
    sorter: TopologicalSorter[tuple[str, ...]], appearance: Sequence[tuple[str, ...]]
) -> list[tuple[str, ...]]:
    """Return all ranks so that each follows those that it needs, else as they appear."""
    order: list[tuple[str, ...]] = []
    ready: list[tuple[str, ...]] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=appearance.index)
        order.append(ready.pop(0))
        sorter.done(order[-1])
    return order


def _connections(flow: DataFlow) -> set[str]:
    return {end.connection.name for end in (flow.source, flow.destination) if end.connection}
