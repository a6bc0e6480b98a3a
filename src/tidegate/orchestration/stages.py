"""The stages of a load: plain data that the planner makes and two visitors read.

The explainer says what a stage will do, the runner does it. Both read the same list, so they cannot drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidegate.destinations.table import BaseTable, Snapshot
    from tidegate.models import DataFlow
    from tidegate.orchestration.work_unit import WorkUnit
    from tidegate.sources import BaseSource, ReadPlan
    from tidegate.sources.base import ColumnWindow
    from tidegate.state import FlowState


@dataclass(frozen=True, slots=True, kw_only=True)
class Recover:
    """Take over the position that the destination says was committed: an earlier run died before it was stored."""

    state: FlowState


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Do nothing: the source holds nothing new."""

    plan: ReadPlan
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Open the source."""

    plan: ReadPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepSourceRows:
    """Keep the rows that meet the source's own condition."""

    expression: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepWindow:
    """Keep the rows whose value lies in the window."""

    window: ColumnWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """Let through the rows past the position, and find the new one on the way."""

    columns: tuple[str, ...]
    start: dict[str, Any]
    recognises: bool
    """Whether rows that an earlier load took are left out; a keyed load may take them again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """Run one transformer."""

    plugin: str
    name: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """Run all of the above once, and write the rows where no reader sees them."""

    strategy: str
    place: str
    detail: str
    creates: bool
    partition_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitLoad:
    """Make the rows visible, with sequence and position, in one step; then store the position."""

    sequence: int
    window: ColumnWindow | None = None
    """The window of a replay that moves the position to the window's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitWindow:
    """Make the rows visible, and that the window is in, in one step. The dataflow's position stays where it is."""

    window: ColumnWindow


Stage = Recover | Idle | Read | KeepSourceRows | KeepWindow | Meter | Transform | Write | CommitLoad | CommitWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPlan:
    """What one unit of work will do: its stages, and what they work on."""

    unit: WorkUnit
    state: FlowState
    """Where the flow stands, after recovery."""
    source: BaseSource
    table: BaseTable
    snapshot: Snapshot
    stages: tuple[Stage, ...]
    notes: tuple[str, ...] = ()

    @property
    def flow(self) -> DataFlow:
        """The dataflow."""
        return self.unit.flow

    @property
    def takes_over(self) -> str | None:
        """Where a load begins that goes on from what another system did; None for all others."""
        begins = f"begins at {self.state.position.render()}, as kept beside the metadata"
        return begins if self.state.origin == "imported" else None
