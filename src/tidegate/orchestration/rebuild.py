"""Rebuilding positions from what the destinations say: each commit carries the position that it reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from tidegate.destinations.turns import is_of_dataflow
from tidegate.errors import TidegateError
from tidegate.orchestration.planner import table_of
from tidegate.orchestration.positions import ignoring_damage, leased
from tidegate.state import FlowState, Position, StateStore

if TYPE_CHECKING:
    from tidegate.destinations import Commit
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform
    from tidegate.state.store import Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a rebuild found for one dataflow.

    Attributes:
        name: The dataflow.
        outcome: `restored` when the store now says something else, `unchanged`, `never loaded`, or `failed`.
        before: What the store said; None when it said nothing, or could not be read.
        after: What it says now.
        error: Why it failed: the destination cannot be read, or a run holds the lease.
    """

    name: str
    outcome: Literal["restored", "unchanged", "never loaded", "failed"]
    before: FlowState | None = None
    after: FlowState | None = None
    error: TidegateError | None = None


def rebuild(flows: Sequence[DataFlow], *, store: StateStore, platform: BasePlatform) -> Iterator[Rebuilt]:
    """Store for each dataflow the position of its last commit, as its destination has it.

    A position that was set or rewound since its last commit goes back to that commit.
    """
    for flow in flows:
        try:
            with leased(store, flow) as lease:
                yield _rebuilt(flow, lease, store, platform)
        except TidegateError as error:
            yield Rebuilt(name=flow.name, outcome="failed", error=error)


def undeclared_commits(flows: Sequence[DataFlow], platform: BasePlatform) -> list[Commit]:
    """Return the commits of dataflows that are not among these, in the destinations of these."""
    declared = {flow.dataflow_id for flow in flows}
    found: dict[str, Commit] = {}
    for flow in flows:
        with suppress(TidegateError):
            for commit in table_of(flow, platform).commits():
                if commit.dataflow_id not in declared and is_of_dataflow(commit.dataflow_id):
                    found.setdefault(commit.dataflow_id, commit)
    return list(found.values())


def _rebuilt(flow: DataFlow, lease: Lease, store: StateStore, platform: BasePlatform) -> Rebuilt:
    before = None
    with ignoring_damage():
        before = store.read(flow.dataflow_id)
    table = table_of(flow, platform)
    commit, version = table.last_commit(flow.dataflow_id), table.snapshot().version
    if commit is None and (before is None or not (before.sequence or before.position)):
        return Rebuilt(name=flow.name, outcome="never loaded", before=before)
    after = FlowState(
        dataflow_id=flow.dataflow_id,
        name=flow.name,
        sequence=commit.sequence if commit else 0,
        position=commit.position if commit else Position(),
        version=version,
        run_id=commit.run_id if commit else None,
        origin="rebuilt",
    )
    if before and (before.sequence, before.position) == (after.sequence, after.position):
        store.write(lease, replace(before, version=version))
        return Rebuilt(name=flow.name, outcome="unchanged", before=before, after=before)
    store.write(lease, after)
    return Rebuilt(name=flow.name, outcome="restored", before=before, after=after)
