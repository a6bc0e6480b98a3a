"""``tidegate plan --graph``: which dataflow waits for which, and why."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tidegate.cli.options import listed, metadata_of
from tidegate.cli.terminal import styled, tell, tell_json

if TYPE_CHECKING:
    from tidegate.metadata.dependencies import Dependency
    from tidegate.models import DataFlow


def show_graph(options: Namespace) -> int:
    """Write the dataflows in the order in which they may run, each with those that it waits for."""
    from tidegate.metadata.dependencies import dependencies, refuse_cycle
    from tidegate.orchestration.run_order import levels_of, stage_ranks
    from tidegate.reporting.figures import plural

    flows = metadata_of(options).get_dataflows(listed(options.stage), names=listed(options.flow))
    edges = dependencies(flows)
    refuse_cycle(flows, edges)
    names = {flow.dataflow_id: flow.name for flow in flows}
    if options.output == "json":
        tell_json(
            {
                "flows": [{"name": flow.name, "dataflow_id": flow.dataflow_id, "stage": flow.stage} for flow in flows],
                "edges": [
                    {
                        "upstream": names[edge.upstream],
                        "downstream": names[edge.downstream],
                        "reason": edge.reason,
                        "needed": edge.is_needed,
                    }
                    for edge in edges
                ],
                "stages": [list(rank) for rank in stage_ranks(flows, edges)],
            }
        )
        return 0
    ranks = [(f"stage {' and '.join(rank)}", rank) for rank in stage_ranks(flows, edges)]
    for title, stages in [("without a stage", (None,)), *ranks]:
        members = [flow for flow in flows if flow.stage in stages]
        if members:
            tell(styled(title, "bold"))
            for line in _lines(members, edges, names, levels_of(members, edges)):
                tell(line)
            tell()
    waiting = sum(edge.is_needed for edge in edges)
    tell(f"{plural(len(flows), 'flow')}, {waiting:,} {'dependency' if waiting == 1 else 'dependencies'}")
    return 0


def _lines(
    members: Sequence[DataFlow], edges: Sequence[Dependency], names: dict[str, str], levels: dict[str, int]
) -> Iterator[str]:
    waits_for: dict[str, list[Dependency]] = {}
    for edge in edges:
        waits_for.setdefault(edge.downstream, []).append(edge)
    width = max(len(flow.name) + 3 * levels[flow.dataflow_id] for flow in members)
    for flow in sorted(members, key=lambda flow: levels[flow.dataflow_id]):
        level = levels[flow.dataflow_id]
        needed = waits_for.get(flow.dataflow_id, [])
        branch = "   " * (level - 1) + "└─ " if level else ""
        text = f"  {branch}{flow.name}"
        waits = ", ".join(f"{names[edge.upstream]} ({edge.reason})" for edge in needed)
        yield f"{text.ljust(width + 4)}after {waits}" if waits else text
