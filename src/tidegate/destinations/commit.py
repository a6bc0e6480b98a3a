"""The commit: the one atomic change that a load makes, and the loop that makes it.

A commit carries the flow's sequence number and new position with the data, in one step of the destination, on
condition that the destination is at the version that was read. So a load that died before its commit left nothing,
one that died after it is recognised by its sequence number, and of two that race only one gets in.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from tidegate.destinations.table import StaleSnapshotError
from tidegate.errors import CommitConflictError, TidegateError, WatermarkError
from tidegate.state import Position
from tidegate.timegrid import WindowSet

if TYPE_CHECKING:
    from tidegate.destinations.evolution import Evolution
    from tidegate.destinations.strategy import LoadStrategy
    from tidegate.destinations.table import BaseTable, Change, Snapshot
    from tidegate.destinations.turns import Turn

MOST_ATTEMPTS = 30
"""How often a commit is tried against other writers before the load fails, having changed nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What one replay has put into a table: the windows, over a column of the source."""

    column: str
    windows: WindowSet

    def to_data(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {"column": self.column, "windows": self.windows.to_data()}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_data` wrote."""
        return cls(column=data["column"], windows=WindowSet.from_data(data["windows"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What travels with the data: who committed, as which load of its flow, and where the flow then stands."""

    dataflow_id: str
    name: str
    sequence: int
    run_id: str
    load_id: str
    """Identifies this attempt; tells a commit of ours whose answer was lost from another's."""
    load_type: str
    source: str
    """What was read, as people write it: another source of the same name must not take its position for its own."""
    position: Position
    window: tuple[str, str] | None = None
    replays: Mapping[str, Replayed] = field(default_factory=dict)
    """For a window of a replay: what the dataflow's replays have put into the table, this window included."""

    def to_data(self) -> dict[str, Any]:
        """Return the commit as JSON data."""
        return {
            "dataflow_id": self.dataflow_id,
            "name": self.name,
            "sequence": self.sequence,
            "run_id": self.run_id,
            "load_id": self.load_id,
            "load_type": self.load_type,
            "source": self.source,
            "position": self.position.to_data(),
            "window": list(self.window) if self.window else None,
            **({"replays": {key: one.to_data() for key, one in self.replays.items()}} if self.replays else {}),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Return the commit that :meth:`to_data` wrote."""
        window = data["window"]
        return cls(
            **{
                name: data[name]
                for name in ("dataflow_id", "name", "sequence", "run_id", "load_id", "load_type", "source")
            },
            position=Position.from_data(data["position"]),
            window=(window[0], window[1]) if window else None,
            replays={key: Replayed.from_data(one) for key, one in data.get("replays", {}).items()},
        )


def commit_change(
    table: BaseTable,
    strategy: LoadStrategy,
    turn: Turn,
    first: Snapshot,
    evolution: Evolution,
    *,
    guard: Callable[[], None] = lambda: None,
) -> tuple[Change, int]:
    """Commit what a strategy has written; start over against the new snapshot when another commit came first.

    An ambiguous failure (did it commit?) is resolved by reading the sequence, never by guessing.

    Args:
        table: The destination.
        strategy: It has written its rows.
        turn: Whether it may be committed, and what travels with it.
        first: The snapshot that the load started from.
        evolution: It has settled the batch's columns against that snapshot.
        guard: Called right before each attempt; what it raises ends the load, which has then changed nothing.

    Returns:
        The change that was committed, and the version of the table that has it.

    Raises:
        CommitConflictError: the flow itself was committed by another process (TG405), or other writers did not let
            this load in (TG404). Nothing of this load is visible.
        WatermarkError: the table was replaced or restored while the load was under way (TG506).
    """
    snapshot = first
    for attempt in range(MOST_ATTEMPTS):
        if attempt:
            time.sleep(random.uniform(0, min(0.01 * 2**attempt, 1.0)))  # noqa: S311 - jitter
            table.recover()
            snapshot = table.snapshot()
        commit = turn.at(table, snapshot)
        if attempt:
            _refuse_restored(table, first, snapshot, commit)
        try:
            change = evolution.change(strategy, snapshot)
        except StaleSnapshotError:
            continue
        _refuse_other_layout(table, snapshot, change)
        guard()
        strategy.may_be_committed = True
        try:
            version = table.commit(snapshot, change, commit)
        except StaleSnapshotError:
            pass
        except TidegateError:
            if table.snapshot().sequences(commit.dataflow_id) < commit.sequence:
                strategy.may_be_committed = False
                raise
        else:
            return change, version
        there = table.last_commit(commit.dataflow_id)
        if there is not None and turn.is_done_by(there):
            return change, table.snapshot().version or 0
        strategy.may_be_committed = there is not None and turn.may_be_done_by(there)
    msg = f"other writers of {table.place} came first {MOST_ATTEMPTS} times; nothing was changed"
    raise CommitConflictError(msg, {"destination": table.place}, hint="run again, or write to it less often")


def _refuse_other_layout(table: BaseTable, snapshot: Snapshot, change: Change) -> None:
    """Refuse to add files whose partitions are not the table's, which another commit may just have set."""
    if snapshot.version is not None and change.partition_by != snapshot.partition_by:
        partitions = ", ".join(snapshot.partition_by) or "no column"
        msg = f"{table.place} was created, partitioned by {partitions}, while this load was under way"
        raise CommitConflictError(msg, where=table.place, hint="run again; nothing was changed")


def _refuse_restored(table: BaseTable, first: Snapshot, snapshot: Snapshot, commit: Commit) -> None:
    """Refuse to commit on a table that was taken back: this load goes on from a position that is undone."""
    if first.version is None or not table.restored_since(first.version, snapshot):
        return
    msg = f"{table.place} was taken back to an older state while load {commit.sequence} was under way"
    hint = f"`tidegate state rebuild --flow {commit.name}` takes the table's word; then run again"
    raise WatermarkError(msg, code="TG506", where=table.place, hint=hint)
