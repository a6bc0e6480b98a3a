"""The state store: positions and leases, changed by compare-and-swap.

The store is a cache of what the destinations say (`tidegate state rebuild` restores it from them), and the place
where processes agree who runs a dataflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from tidegate.state.position import Position

Origin = Literal["commit", "read", "recovered", "rebuilt", "set", "rewound"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowState:
    """Where one dataflow stands: its position, and the sequence number of the commit that brought it there."""

    dataflow_id: str
    name: str
    sequence: int = 0
    position: Position = field(default_factory=Position)
    version: int | None = None
    """Version of the destination when this was stored."""
    origin: Origin = "commit"
    run_id: str | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to run one dataflow until `expires_at`. A takeover raises the epoch, which fences the old owner."""

    dataflow_id: str
    owner: str
    epoch: int
    expires_at: datetime


class StateStore(Protocol):
    """What every state store does. All methods are safe to call from several threads and processes.

    Every method raises :class:`~tidegate.errors.WatermarkError` (TG501) when the store cannot be read.
    """

    def read(self, dataflow_id: str) -> FlowState | None:
        """Return the state of the dataflow, or None when it never loaded."""

    def states(self) -> Sequence[FlowState]:
        """Return all states, by name."""

    def acquire(self, dataflow_id: str) -> Lease:
        """Take the lease of the dataflow.

        Raises:
            LeaseHeldError: a living owner holds it (TG502).
        """

    def renew(self, leases: Sequence[Lease]) -> None:
        """Prolong the leases that are still held; those that were taken over stay lost."""

    def release(self, lease: Lease) -> None:
        """Let the lease go, if it is still held."""

    def holds(self, lease: Lease) -> bool:
        """Tell whether the lease is still this owner's."""

    def write(self, lease: Lease, state: FlowState) -> None:
        """Store the state, on condition that the lease is still held.

        Raises:
            WatermarkError: the lease was taken over (TG503).
        """

    def finish(self, lease: Lease | None, report: dict[str, Any]) -> None:
        """Record what happened to a unit of work, and release the lease, in one step."""

    def last_reports(self) -> dict[str, dict[str, Any]]:
        """Return the newest unit report of every dataflow, by dataflow id."""

    def close(self) -> None:
        """Close all connections. The store cannot be used afterwards."""
