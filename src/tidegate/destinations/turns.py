"""Whose turn a commit is: what must hold of a snapshot before a load is committed on it, and what then travels along.

A load of a dataflow follows the load before it, by sequence number. The loads of a replay follow each other in a
sequence of the replay's own, in any order of their windows; each commit says which windows are in the table by now, so
that none gets in twice whoever tries, and whatever has become of the state store.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from tidegate.errors import CommitConflictError, WatermarkError
from tidegate.timegrid import WindowSet

if TYPE_CHECKING:
    from tidegate.destinations.commit import Commit
    from tidegate.destinations.table import BaseTable, Snapshot
    from tidegate.timegrid import Window

OWN_PREFIX = "tidegate:"
"""What the ids of commits begin with that are no dataflow's own loads: those of replays and of maintenance."""


def replay_chain(dataflow_id: str, replay_id: str) -> str:
    """Return the id under which a replay of a dataflow commits."""
    return f"{OWN_PREFIX}replay:{dataflow_id}:{replay_id}"


def is_replay_of(dataflow_id: str, chain: str) -> bool:
    """Tell whether commits under an id are those of a replay of the dataflow."""
    prefix = replay_chain(dataflow_id, "")
    return chain.startswith(prefix) and ":" not in chain.removeprefix(prefix)  # an id of a dataflow may have colons


def is_of_dataflow(dataflow_id: str) -> bool:
    """Tell whether commits under this id are a dataflow's own loads."""
    return not dataflow_id.startswith(OWN_PREFIX)


class Turn(Protocol):
    """The right of one load to be committed."""

    @property
    def commit(self) -> Commit:
        """What travels with the data, as far as it does not depend on the snapshot."""

    def at(self, table: BaseTable, snapshot: Snapshot) -> Commit:
        """Return what travels with a commit on this snapshot.

        Raises:
            CommitConflictError: another process has committed it (TG405).
            WatermarkError: the table was replaced or restored (TG506).
        """

    def is_done_by(self, there: Commit) -> bool:
        """Tell whether the newest commit under this id says that this load is in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InSequence:
    """The turn of a dataflow's own load: right after the load before it."""

    commit: Commit

    def at(self, table: BaseTable, snapshot: Snapshot) -> Commit:
        """Refuse to commit on anything but the load before this one."""
        commit, there = self.commit, snapshot.sequences(self.commit.dataflow_id)
        if there < commit.sequence - 1:
            msg = (
                f"{table.place} was replaced or restored while load {commit.sequence} of dataflow {commit.name!r} was "
                f"under way: it knows {there} of its loads; nothing was changed"
            )
            hint = f"`tidegate state rebuild --flow {commit.name}` takes the table's word; then run again"
            raise WatermarkError(msg, {"sequence": there}, code="TG506", where=table.place, hint=hint)
        if there >= commit.sequence:
            load = f"load {commit.sequence} of dataflow {commit.name!r}"
            msg = f"another process committed {load} first; nothing was doubled"
            hint = "its rows are in; run again to go on from there"
            raise CommitConflictError(msg, {"sequence": commit.sequence}, code="TG405", where=table.place, hint=hint)
        return commit

    def is_done_by(self, there: Commit) -> bool:
        """Tell by the id of this very attempt."""
        return there.load_id == self.commit.load_id


@dataclass(frozen=True, slots=True, kw_only=True)
class InWindow:
    """The turn of one window of a replay: at any time, once."""

    commit: Commit
    window: Window

    def at(self, table: BaseTable, snapshot: Snapshot) -> Commit:
        """Refuse a window that is in; else follow the replay's newest commit, and say that this one is in too."""
        chain = self.commit.dataflow_id
        before = table.last_commit(chain) if snapshot.sequences(chain) else None
        covered = before.covered if before else WindowSet()
        if covered.overlaps(self.window):
            msg = f"{self.window} of dataflow {self.commit.name!r} is in {table.place} already; nothing was doubled"
            hint = "another process has committed it; `tidegate replay --resume` goes on with what is left"
            raise CommitConflictError(msg, {"window": str(self.window)}, code="TG405", where=table.place, hint=hint)
        return replace(self.commit, sequence=snapshot.sequences(chain) + 1, covered=covered.add(self.window))

    def is_done_by(self, there: Commit) -> bool:
        """Tell by the windows that are in: other windows may have followed this one."""
        return there.covered.covers(self.window)


def covered_by(table: BaseTable, snapshot: Snapshot, chain: str) -> WindowSet:
    """Return the windows of a replay that are in the table."""
    commit = table.last_commit(chain) if snapshot.version is not None and snapshot.sequences(chain) else None
    return commit.covered if commit else WindowSet()
