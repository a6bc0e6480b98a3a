"""Which dataflow must run before which: as declared, and as their sources and destinations say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TYPE_CHECKING

from tidegate.errors import MetadataError
from tidegate.models.destination import physical_key

if TYPE_CHECKING:
    from tidegate.models import DataFlow, Source

BREAK_THE_CYCLE = "remove a depends_on, or write to another table than one that an earlier dataflow reads"

_GLOB = re.compile(r"[*?\[]")
_DATA_FILES = {"delta": "parquet", "iceberg": "parquet"}
"""The files that a table consists of, where its format is not that of its files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One dataflow runs after another; and where it needs it, not at all when that one failed."""

    upstream: str
    """Id of the dataflow that runs first."""
    downstream: str
    reason: str
    """`declared`, what the downstream reads of what the upstream writes, or the order within a group."""
    is_needed: bool = True
    """Whether the downstream is skipped when the upstream fails; the order of a group is an order, and no more."""
    is_inferred: bool = False
    """Whether nobody has declared it: it gives way where it contradicts what was."""


def dependencies(flows: Sequence[DataFlow]) -> list[Dependency]:
    """Return the dependencies among these dataflows, each pair once; those that are declared come first.

    Where they would wait for each other by what is inferred, that gives way: see :func:`contradicted`.

    A source that reads what another dataflow writes depends on it: the same path or one inside the other with the
    same kind of files, or the same table, also when a SQL query names it. The dataflows of a group run one after the
    other, by `execution_order`. What `depends_on` names beyond these dataflows is not part of the run, and not waited
    for.
    """
    return settled(flows)[0]


def settled(flows: Sequence[DataFlow]) -> tuple[list[Dependency], list[Dependency]]:
    """Return the dependencies among these dataflows, and what is inferred and contradicts what is declared.

    That is not waited for. In a circle a dataflow that comes earlier, by the order of stages and of declaration, reads
    what a later one has written the last time.
    """
    edges = _all(flows)
    first = {stage: number for number, stage in reversed(list(enumerate(flow.stage for flow in flows)))}
    order = {flow.dataflow_id: (first[flow.stage], number) for number, flow in enumerate(flows)}
    left_out: list[Dependency] = []
    while cycle := find_cycle(flows, edges):
        inferred = [edge for edge in cycle if edge.is_inferred]
        if not inferred:
            break
        backward = [edge for edge in inferred if order[edge.upstream] > order[edge.downstream]]
        gives_way = backward or inferred
        left_out += gives_way
        edges = [edge for edge in edges if edge not in gives_way]
    return edges, left_out


def contradicted(flows: Sequence[DataFlow]) -> list[Dependency]:
    """Return what is inferred and contradicts what is declared, and is not waited for: see :func:`settled`."""
    return settled(flows)[1]


def _all(flows: Sequence[DataFlow]) -> list[Dependency]:
    found: dict[tuple[str, str], Dependency] = {}
    for dependency in (*_declared(flows), *_inferred(flows), *_in_groups(flows)):
        if not (dependency.is_inferred and dependency.upstream == dependency.downstream):  # it reads what it wrote
            found.setdefault((dependency.upstream, dependency.downstream), dependency)
    return list(found.values())


def refuse_cycle(flows: Sequence[DataFlow], edges: Iterable[Dependency]) -> None:
    """Refuse dataflows that wait for each other.

    Raises:
        MetadataError: there is a cycle (TG131); the message shows it with the reason of each step.
    """
    if cycle := find_cycle(flows, edges):
        raise MetadataError(said_of_cycle(flows, cycle), code="TG131", hint=BREAK_THE_CYCLE)


def find_cycle(flows: Iterable[DataFlow], edges: Iterable[Dependency]) -> list[Dependency]:
    """Return dependencies that form a cycle, in their order; none when there is no cycle."""
    by_ends = {(edge.upstream, edge.downstream): edge for edge in edges}
    graph: dict[str, set[str]] = {flow.dataflow_id: set() for flow in flows}
    for upstream, downstream in by_ends:
        graph[downstream].add(upstream)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        nodes: list[str] = error.args[1]
        return [by_ends[step] for step in pairwise(nodes)]
    return []


def said_of_cycle(flows: Iterable[DataFlow], cycle: Sequence[Dependency]) -> str:
    """Return a cycle as people read it: `a → b (reads path) → a (declared)`."""
    names = {flow.dataflow_id: flow.name for flow in flows}
    steps = [names[cycle[0].upstream], *(f"{names[edge.downstream]} ({edge.reason})" for edge in cycle)]
    what = "dataflows wait for each other" if len(cycle) > 1 else "a dataflow waits for itself"
    return f"{what}: {' → '.join(steps)}"


def _declared(flows: Sequence[DataFlow]) -> Iterator[Dependency]:
    ids = {name: flow.dataflow_id for flow in flows for name in (flow.dataflow_id, flow.name)}
    for flow in flows:
        for name in flow.depends_on:
            if name in ids:
                yield Dependency(upstream=ids[name], downstream=flow.dataflow_id, reason="declared")


def _inferred(flows: Sequence[DataFlow]) -> Iterator[Dependency]:
    writers: dict[str, list[DataFlow]] = {}
    for flow in flows:
        key = physical_key(flow.destination.connection, flow.destination.schema_name, flow.destination.table)
        if key is not None:
            writers.setdefault(key, []).append(flow)
    folders = _Folders(flows)
    for flow in flows:
        read = [(table, f"reads {table.removeprefix('path:')}") for table in _tables_read(flow.source)]
        upstream = [(writer, reason) for table, reason in read for writer in writers.get(table, ())]
        upstream += [(writer, f"reads {writer.destination.path}") for writer in folders.read_by(flow.source)]
        for writer, reason in upstream:
            yield Dependency(upstream=writer.dataflow_id, downstream=flow.dataflow_id, reason=reason, is_inferred=True)


def _in_groups(flows: Sequence[DataFlow]) -> Iterator[Dependency]:
    for number, group in in_groups(flows).items():
        if number is not None:
            for before, after in pairwise(group):
                reason = f"execution_order in group {number}"
                yield Dependency(
                    upstream=before.dataflow_id, downstream=after.dataflow_id, reason=reason, is_needed=False
                )


def in_groups(flows: Iterable[DataFlow]) -> dict[int | None, list[DataFlow]]:
    """Return the dataflows by group number, each group by execution order; those without a group under None."""
    groups: dict[int | None, list[DataFlow]] = {}
    for flow in flows:
        groups.setdefault(flow.group_number, []).append(flow)
    return {
        number: members if number is None else sorted(members, key=lambda flow: flow.execution_order or 0)
        for number, members in groups.items()
    }


def _tables_read(source: Source) -> list[str]:
    """Return the keys of the tables that a source reads, but for one that it finds by its path."""
    named = [(source.schema_name, source.table)] if source.table and source.path is None else []
    if source.query:
        from tidegate.expressions.queries import tables_of

        database_type = source.connection.settings.database_type if source.connection else None
        named += [(schema or source.schema_name, table) for schema, table in tables_of(source.query, database_type)]
    keys = (physical_key(source.connection, schema, table) for schema, table in named)
    return [key for key in keys if key is not None]


class _Folders:
    """The folders that dataflows write, to be found by a path inside or around them."""

    def __init__(self, flows: Iterable[DataFlow]) -> None:
        self._writers: dict[str, list[DataFlow]] = {}
        self._above: dict[str, list[DataFlow]] = {}
        for flow in flows:
            if path := flow.destination.path:
                folder = _plain(path)
                self._writers.setdefault(folder, []).append(flow)
                for parent in _parents(folder):
                    self._above.setdefault(parent, []).append(flow)

    def read_by(self, source: Source) -> list[DataFlow]:
        """Return the dataflows that write files which the source reads."""
        if source.path is None or source.connection is None:
            return []
        place = _plain(source.path)
        inside = [flow for parent in (place, *_parents(place)) for flow in self._writers.get(parent, ())]
        around = self._above.get(place, []) if source.connection.connection_type == "file" else []
        return [flow for flow in (*inside, *around) if _files(flow.destination.connection) == _files(source.connection)]


def _plain(path: str) -> str:
    """Return the folder that a path or a glob surely lies in, without what has no meaning."""
    if sign := _GLOB.search(path):
        path = path[: sign.start()].rpartition("/")[0]
    return "/".join(part for part in path.split("/") if part not in {"", "."})


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]


def _files(connection: object) -> str | None:
    kind = getattr(connection, "format", None)
    return _DATA_FILES.get(kind, kind) if kind else None
