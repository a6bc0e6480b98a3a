"""The state store: positions, leases, and the ledger of work, changed by compare-and-swap.

The store is a cache of what the destinations say (`tidegate state rebuild` restores positions from them), the place
where processes agree who works on what, and the record of what was done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from tidegate.state.position import Position

Origin = Literal["commit", "read", "recovered", "rebuilt", "set", "rewound", "imported"]

UnitMark = Literal[
    "planned", "checkpoint", "exists", "database", "written", "upserted", "failed", "retried", "cancelled"
]
"""What the ledger says of a unit of work."""

DONE: tuple[UnitMark, ...] = ("checkpoint", "exists", "database", "written", "upserted")
"""Marks of units that are not to be done again."""


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
    """The right to work on one thing until `expires_at`. A takeover raises the epoch, which fences the old owner."""

    key: str
    """What it is for: a dataflow id, the key of a unit of work, or any other text."""
    owner: str
    epoch: int
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRecord:
    """What the ledger says of one unit of work."""

    key: str
    scope: str
    """What it belongs to, for instance a replay: units are counted and listed by scope."""
    status: UnitMark
    run_id: str | None = None
    detail: str | None = None
    at: datetime | None = None
    """When it was marked; the store's clock when not given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A range of history that is loaded again, unit by unit."""

    replay_id: str
    dataflow_id: str
    spec: Mapping[str, Any]
    """What was asked for, as JSON data."""
    status: Literal["running", "done"] = "running"
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run: what was called, when, and what came of it."""

    run_id: str
    command: str
    started_at: datetime
    ended_at: datetime | None = None
    job_id: str | None = None
    job_num: int = 1
    job_index: int = 0
    flows: tuple[str, ...] = ()
    summary: Mapping[str, Any] | None = None
    """What came of it, as JSON data; None until it has ended."""


class PositionStore(Protocol):
    """Where dataflows stand, and the leases of those that work on them."""

    def read(self, dataflow_id: str) -> FlowState | None:
        """Return the state of the dataflow, or None when it never loaded."""

    def states(self) -> Sequence[FlowState]:
        """Return all states, by name."""

    def write(self, lease: Lease, state: FlowState) -> None:
        """Store the state, on condition that the lease is still held.

        Raises:
            WatermarkError: the lease was taken over (TG503).
        """

    def acquire(self, key: str) -> Lease:
        """Take the lease of this key; a dead owner's, or an expired one, is taken over with a higher epoch.

        So is one that was taken through this store object and let go, when the store could not be told of it: nobody
        works under it. Threads that share the object keep each other out as processes do.

        Raises:
            LeaseHeldError: a living owner holds it (TG502).
        """

    def renew(self, leases: Sequence[Lease]) -> None:
        """Prolong the leases that are still held; those that were taken over stay lost."""

    def release(self, lease: Lease) -> None:
        """Let the lease go, if it is still held."""

    def holds(self, lease: Lease) -> bool:
        """Tell whether the lease is still this owner's."""

    def live_owners(self, prefix: str) -> list[str]:
        """Return, as people read them, the owners of leases whose key starts with `prefix`.

        Leases that expired, and owners that are seen to be dead, are left out.
        """


class LedgerStore(Protocol):
    """Which units of work are done, and which replays they belong to."""

    def claim(self, key: str, scope: str) -> Lease | None:
        """Take the lease of a unit that is not done; None when the ledger says it is. A new unit becomes `planned`.

        Raises:
            LeaseHeldError: a living owner works on it (TG502).
        """

    def mark(self, record: UnitRecord, lease: Lease | None = None) -> None:
        """Store what is now true of a unit; with a lease, on condition that it is held, and release that in one step.

        Raises:
            WatermarkError: the lease was taken over (TG503).
        """

    def done(self, keys: Iterable[str]) -> set[str]:
        """Return those of the keys whose units are done."""

    def should_skip(self, key: str) -> bool:
        """Tell whether the unit is done."""

    def unit(self, key: str) -> UnitRecord | None:
        """Return what the ledger says of a unit; None when it says nothing."""

    def units(
        self, scope: str, *, statuses: Iterable[UnitMark] | None = None, after: str | None = None, limit: int = 1000
    ) -> Sequence[UnitRecord]:
        """Return one page of the units of a scope, by key.

        Args:
            scope: Whose units.
            statuses: Only units marked so; all when None.
            after: The last key of the page before; the first page when None.
            limit: The most units to return.
        """

    def counts(self, scope: str) -> dict[str, int]:
        """Return how many units of a scope have each mark."""

    def begin_replay(self, replay: Replay) -> Replay:
        """Store a replay if there is none of its id, and return the one that is stored."""

    def end_replay(self, replay_id: str) -> None:
        """Say that a replay is done.

        Raises:
            WatermarkError: there is no such replay (TG512).
        """

    def replays(self, dataflow_id: str) -> Sequence[Replay]:
        """Return the replays of a dataflow, the newest first."""


class RunStore(Protocol):
    """What was run, and what happened to each unit of it."""

    def finish(self, lease: Lease | None, report: dict[str, Any], record: UnitRecord | None = None) -> None:
        """Record what happened to a unit of work, mark it in the ledger, and release the lease, in one step.

        The report is kept in any case. When the lease was taken over, the ledger stays as it is: the unit is now
        another owner's.
        """

    def last_reports(self) -> dict[str, dict[str, Any]]:
        """Return the newest unit report of every dataflow, by dataflow id."""

    def reports(self, run_id: str) -> list[dict[str, Any]]:
        """Return the unit reports of a run, in the order in which they were recorded."""

    def begin_run(self, record: RunRecord) -> None:
        """Record that a run begins. A run of this id that is recorded already stays as it is."""

    def end_run(self, run_id: str, ended_at: datetime, summary: Mapping[str, Any] | None = None) -> None:
        """Record that a run has ended, and what came of it.

        Raises:
            WatermarkError: there is no such run (TG510).
        """

    def runs(self, *, limit: int = 20, job_id: str | None = None) -> Sequence[RunRecord]:
        """Return runs, the newest first; only those of a job when one is given."""

    def run(self, run_id: str) -> RunRecord:
        """Return a run by its id, or by the beginning of it.

        Raises:
            WatermarkError: no run is called so, or several are (TG510).
        """


class StateStore(PositionStore, LedgerStore, RunStore, Protocol):
    """What every state store does. All methods are safe to call from several threads and processes.

    Every method raises :class:`~tidegate.errors.WatermarkError` (TG501) when the store cannot be used. What changes
    the store is one transaction: it happened, or it did not. Reading creates nothing.
    """

    def close(self) -> None:
        """Close all connections. The store cannot be used afterwards."""
