"""What an Iceberg table knows of the loads that wrote it: sequences, positions, and which of them still count.

Each commit leaves its record twice. The table property `tidegate.flow.<dataflow id>` holds the flow's newest commit,
which outlives expired snapshots and the snapshots of other writers. The snapshot's summary holds it too, so that after
a rollback the newest commit that still counts is found. The summary also holds the snapshot's *line*: the sequence
numbers of its ancestors (Iceberg specification, "Sequence Numbers"), so that one which was undone is told from one
whose snapshot merely expired, as long as some snapshot of ours that followed is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tidegate.destinations.commit import Commit
from tidegate.errors import DestinationError
from tidegate.state import Position

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot

COMMIT_KEY = "tidegate.commit"
LINE_KEY = "tidegate.line"
FLOW_PREFIX = "tidegate.flow."

_VERSION = "version"
"""Key, in a flow's property, of the sequence number of the snapshot that the commit made."""
_LARGEST_IN_SUMMARY = 16 * 1024
"""Bytes. Every later metadata file repeats the summaries: a longer position is only in the flow's property."""
_ONLY_THESE = ("dataflow_id", "sequence", "load_id", "run_id")
_MOST_RANGES = 64

Ranges = list[tuple[int, int]]
"""Closed ranges of sequence numbers, in order."""


class TableHistory:
    """The history of a table at one version of its metadata."""

    def __init__(self, metadata: TableMetadata, place: str) -> None:
        self._metadata = metadata
        self._place = place

    @property
    def version(self) -> int:
        """The sequence number of the current snapshot; 0 while there is none."""
        snapshot = self._metadata.current_snapshot()
        return snapshot.sequence_number or 0 if snapshot else 0

    def sequence(self, dataflow_id: str) -> int:
        """Return the sequence number of the flow's last commit, also of one that was undone; 0 without any."""
        stored = self._stored(dataflow_id)
        return int(stored["sequence"]) if stored else 0

    def contains(self, version: int) -> bool:
        """Tell whether the current snapshot goes back to `version`: that was not undone, though it may have expired."""
        if version == 0:
            return True
        return _holds(self._line(), version)

    def last_commit(self, dataflow_id: str) -> Commit | None:
        """Return the flow's newest commit that still counts, under the sequence number of its newest of all.

        Raises:
            DestinationError: that commit's position is no longer there (TG408).
        """
        stored = self._stored(dataflow_id)
        if stored is None:
            return None
        sequence = int(stored["sequence"])
        if "position" in stored and self.contains(stored.get(_VERSION, 0)):
            return Commit.from_data(stored)
        counting = next(self._commits_of(dataflow_id), None)
        if counting is not None and "position" in counting:
            return replace(Commit.from_data(counting), sequence=sequence)
        if counting is None and "position" in stored and (sequence == 1 or self._is_whole()):
            return replace(Commit.from_data(stored), position=Position(), replays={})  # no load is left
        msg = f"commit {sequence} of this dataflow was undone in {self._place}, and the position before it is not kept"
        hint = "tell where it stands: `tidegate state set FLOW COLUMN=VALUE`"
        raise DestinationError(msg, code="TG408", where=self._place, hint=hint)

    def flows(self) -> list[str]:
        """Return the ids of all dataflows that wrote the table."""
        stored = [name.removeprefix(FLOW_PREFIX) for name in self._metadata.properties if name.startswith(FLOW_PREFIX)]
        return sorted({*stored, *(commit["dataflow_id"] for commit in _commits(self._ancestors()))})

    def summary(self, commit: Commit, version: int) -> dict[str, str]:
        """Return what the summary of the next snapshot says of a commit.

        Args:
            commit: What the snapshot commits.
            version: The snapshot's sequence number.
        """
        data = commit.to_data()
        text = json.dumps(data)
        if len(text.encode()) > _LARGEST_IN_SUMMARY:
            text = json.dumps({name: data[name] for name in _ONLY_THESE})
        return {COMMIT_KEY: text, **self.line_summary(version)}

    def line_summary(self, version: int) -> dict[str, str]:
        """Return what the summary of the next snapshot, with this sequence number, says of its line."""
        line = _joined([*self._line(), (version, version)])
        if surplus := line[:-_MOST_RANGES]:
            line = [(surplus[0][0], line[-_MOST_RANGES][1]), *line[1 - _MOST_RANGES :]]
        return {LINE_KEY: ",".join(f"{first}-{last}" for first, last in line)}

    def needed(self) -> set[int]:
        """Return the ids of snapshots that must not expire, because only their summaries say what is asked here.

        These are the current one and its ancestors up to the newest with a record of the line, and the newest commits
        of dataflows whose property was removed.
        """
        needed: set[int] = set()
        for snapshot in self._reachable():
            needed.add(snapshot.snapshot_id)
            if LINE_KEY in _summary(snapshot):
                break
        without_property = {flow for flow in self.flows() if f"{FLOW_PREFIX}{flow}" not in self._metadata.properties}
        for snapshot in self._ancestors():
            for commit in _commits([snapshot]):
                if commit["dataflow_id"] in without_property:
                    without_property.discard(commit["dataflow_id"])
                    needed.add(snapshot.snapshot_id)
        return needed

    def _stored(self, dataflow_id: str) -> dict[str, Any] | None:
        """Return the flow's newest commit; from the summaries where its property was removed."""
        text = self._metadata.properties.get(f"{FLOW_PREFIX}{dataflow_id}")
        stored: dict[str, Any] | None = json.loads(text) if text else next(self._commits_of(dataflow_id), None)
        return stored

    def _commits_of(self, dataflow_id: str) -> Iterator[dict[str, Any]]:
        return (commit for commit in _commits(self._ancestors()) if commit["dataflow_id"] == dataflow_id)

    def _ancestors(self) -> list[Snapshot]:
        """Return the current snapshot and its ancestors, newest first, as far as they are kept."""
        near, line = self._reachable(), self._line()
        ids = {snapshot.snapshot_id for snapshot in near}
        kept = (snapshot for snapshot in self._metadata.snapshots if snapshot.snapshot_id not in ids)
        far = [snapshot for snapshot in kept if _holds(line, snapshot.sequence_number or 0)]
        return [*near, *sorted(far, key=lambda snapshot: -(snapshot.sequence_number or 0))]

    def _reachable(self) -> list[Snapshot]:
        """Return the ancestors up to the first that has expired; PyIceberg cuts the way to those before it."""
        by_id = {snapshot.snapshot_id: snapshot for snapshot in self._metadata.snapshots}
        reachable: list[Snapshot] = []
        snapshot = self._metadata.current_snapshot()
        while snapshot is not None:
            reachable.append(snapshot)
            parent = snapshot.parent_snapshot_id
            snapshot = None if parent is None else by_id.get(parent)
        return reachable

    def _is_whole(self) -> bool:
        """Tell whether no ancestor of the current snapshot has expired."""
        reachable = self._reachable()
        return not reachable or reachable[-1].sequence_number == 1

    def _line(self) -> Ranges:
        """Return the sequence numbers of all ancestors, also of expired ones; without a record all earlier ones."""
        numbers: Ranges = []
        for snapshot in self._reachable():
            if record := _summary(snapshot).get(LINE_KEY):
                return _joined([*_ranges(record), *numbers])
            numbers.append((snapshot.sequence_number or 0, snapshot.sequence_number or 0))
        return _joined([(1, numbers[-1][0]), *numbers]) if numbers else []


def property_of(commit: Commit, version: int) -> dict[str, str]:
    """Return the table property that holds a commit.

    Args:
        commit: The flow's newest.
        version: Sequence number of the snapshot that it makes.
    """
    return {f"{FLOW_PREFIX}{commit.dataflow_id}": json.dumps({**commit.to_data(), _VERSION: version})}


def _commits(snapshots: Iterable[Snapshot]) -> Iterator[dict[str, Any]]:
    for snapshot in snapshots:
        if text := _summary(snapshot).get(COMMIT_KEY):
            yield json.loads(text)


def _summary(snapshot: Snapshot) -> Mapping[str, str]:
    return snapshot.summary.additional_properties if snapshot.summary else {}


def _ranges(text: str) -> Ranges:
    pairs = (part.split("-") for part in text.split(","))
    return [(int(first), int(last)) for first, last in pairs]


def _holds(ranges: Ranges, number: int) -> bool:
    return any(first <= number <= last for first, last in ranges)


def _joined(ranges: Ranges) -> Ranges:
    """Return ranges in order, with neighbours joined.

    >>> _joined([(5, 5), (1, 3), (4, 4), (8, 9)])
    [(1, 5), (8, 9)]
    """
    joined: Ranges = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined
