"""Whose turn a commit is: what must hold of a snapshot before a load is committed on it, and what then travels along.

A load of a dataflow follows the load before it, by sequence number. The windows of its replays have a sequence of their
own, and come in any order; each commit says which windows of which replays are in the table by now. So none gets in
twice, whoever tries and whatever has become of the state store.

A dataflow that appends must not load a row both ways. Its loads read from some place of the watermark on (the *floor*
of its position), its replays have read windows; each looks at the other at every commit, on the snapshot it is made on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol

from tidegate.destinations.commit import Replayed
from tidegate.destinations.table import UNDONE
from tidegate.errors import (
    CommitConflictError,
    ConfigurationError,
    DestinationError,
    SourceError,
    WatermarkError,
)
from tidegate.expressions.data_type import describe_type
from tidegate.sources.base import ColumnWindow
from tidegate.sources.window_bounds import bounds_beside
from tidegate.state.watermark import reaches
from tidegate.timegrid import WindowSet

if TYPE_CHECKING:
    from tidegate.destinations.commit import Commit
    from tidegate.destinations.table import BaseTable, Snapshot
    from tidegate.state.watermark import Value

OWN_PREFIX = "tidegate:"
"""What the ids of commits begin with that are no dataflow's own loads: those of replays and of maintenance."""
_REPLAY_PREFIX = f"{OWN_PREFIX}replay:"
FORGOTTEN = "forgotten"
"""Stands, instead of a replay's id, for replays whose windows the log no longer tells: any window may meet theirs."""


def replay_chain(dataflow_id: str) -> str:
    """Return the id under which the replays of a dataflow commit."""
    return f"{_REPLAY_PREFIX}{dataflow_id}"


def replay_scope(dataflow_id: str, replay_id: str) -> str:
    """Return under which name the ledger knows the windows of one replay."""
    return f"{replay_chain(dataflow_id)}:{replay_id}"


def is_of_dataflow(chain: str) -> bool:
    """Tell whether commits under an id are a dataflow's own loads."""
    return not chain.startswith(OWN_PREFIX)


def replays_in(
    table: BaseTable, snapshot: Snapshot, dataflow_id: str, *, must_know: bool = True
) -> Mapping[str, Replayed]:
    """Return by replay id the windows of a dataflow's replays that are in the table.

    Args:
        table: The destination.
        snapshot: The table as it is.
        dataflow_id: The dataflow.
        must_know: Whether it is an error that the log no longer tells; else windows come again, and what was in stays
            in doubt: :data:`FORGOTTEN` says so, in the commits that follow too.

    Raises:
        DestinationError: the table's log no longer tells (TG408).
    """
    chain = replay_chain(dataflow_id)
    if snapshot.version is None or not snapshot.sequences(chain):
        return {}
    try:
        commit = table.last_commit(chain)
    except DestinationError as error:
        if error.details.get(UNDONE):
            return {}
        if error.code == "TG408" and not must_know:
            return {FORGOTTEN: Replayed(column="", windows=WindowSet())}
        if error.code != "TG408":
            raise
        msg = f"the log of {table.place} no longer tells which windows replays have put into it"
        hint = "`tidegate replay --restart --replace` loads a range anew, whatever is in"
        raise DestinationError(msg, code="TG408", where=table.place, hint=hint) from error
    return commit.replays if commit else {}


class Turn(Protocol):
    """The right of one load to be committed."""

    @property
    def commit(self) -> Commit:
        """What travels with the data, as far as it does not depend on the snapshot."""

    def at(self, table: BaseTable, snapshot: Snapshot) -> Commit:
        """Return what travels with a commit on this snapshot.

        Raises:
            CommitConflictError: another process has committed it (TG405).
            WatermarkError: the table was replaced or restored (TG506), or rows would be in it twice (TG509).
            ConfigurationError: rows of other dataflows would be replaced (TG631).
        """

    def is_done_by(self, there: Commit) -> bool:
        """Tell whether the newest commit under this id is that of this very attempt."""
        return there.load_id == self.commit.load_id

    def may_be_done_by(self, there: Commit) -> bool:
        """Tell whether this attempt may be in, though the newest commit under this id is another's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InSequence(Turn):
    """The turn of a dataflow's own load: right after the load before it."""

    commit: Commit
    appends_from: Mapping[str, Value] | None = None
    """For a load that appends: watermark column → value from which it has read; empty from the start."""
    replays_seen: int = 0
    """How many commits of replays an earlier load has looked at, which read from the same place or before."""

    def at(self, table: BaseTable, snapshot: Snapshot) -> Commit:
        """Refuse to commit on anything but the load before this one, and what a replay has loaded."""
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
        if self.appends_from is not None and snapshot.sequences(replay_chain(commit.dataflow_id)) != self.replays_seen:
            refuse_replayed(table, snapshot, commit.dataflow_id, commit.name, self.appends_from)
        return commit

    def may_be_done_by(self, there: Commit) -> bool:
        """Tell that it is not: each number is committed once."""
        return False


Meets = Literal["nothing", "own loads", "other dataflows"]
"""Whose rows in the table a window must not meet: nobody's (rows are merged), those of the dataflow's own loads and
other replays (rows are appended), or those of other dataflows (rows are replaced)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InWindow(Turn):
    """The turn of one window of a replay: at any time, once."""

    commit: Commit
    dataflow_id: str
    replay_id: str
    over: ColumnWindow
    empty: WindowSet = field(default_factory=WindowSet)
    """Other windows that are done, as they hold no rows: without them what is in would be full of holes."""
    must_not_meet: Meets = "nothing"

    def at(self, table: BaseTable, snapshot: Snapshot) -> Commit:
        """Refuse a window that is in; else follow the newest commit, and say that this one is in too."""
        window, name = self.over.window, self.commit.name
        replays = replays_in(table, snapshot, self.dataflow_id, must_know=self.must_not_meet == "own loads")
        known = replays.get(self.replay_id) or Replayed(column=self.over.column, windows=WindowSet())
        if known.windows.overlaps(window):
            msg = f"{window} of dataflow {name!r} is in {table.place} already; nothing was doubled"
            hint = "another process has committed it; `tidegate replay --resume` goes on with what is left"
            raise CommitConflictError(msg, {"window": str(window)}, code="TG405", where=table.place, hint=hint)
        if self.must_not_meet == "own loads":
            others = {key: other for key, other in replays.items() if key != self.replay_id}
            refuse_loaded(table, snapshot, dataflow_id=self.dataflow_id, name=name, over=self.over, others=others)
        elif self.must_not_meet == "other dataflows":
            refuse_others(table, self.dataflow_id, name)
        done = Replayed(column=self.over.column, windows=WindowSet((*known.windows, *self.empty, window)))
        return replace(
            self.commit,
            sequence=snapshot.sequences(self.commit.dataflow_id) + 1,
            replays={**replays, self.replay_id: done},
        )

    def may_be_done_by(self, there: Commit) -> bool:
        """Tell whether the window is in: other windows may have followed this attempt, or another made it before."""
        known = there.replays.get(self.replay_id)
        return known is not None and known.windows.overlaps(self.over.window)


def refuse_loaded(
    table: BaseTable,
    snapshot: Snapshot,
    *,
    dataflow_id: str,
    name: str,
    over: ColumnWindow,
    others: Mapping[str, Replayed],
) -> None:
    """Refuse to append a window of which loads of the dataflow, or other replays of it, may have rows in the table.

    Args:
        table: The destination.
        snapshot: The table as it is.
        dataflow_id: The dataflow.
        name: What people call it.
        over: The window.
        others: Its other replays.

    Raises:
        WatermarkError: rows would be in it twice (TG509).
    """
    has_loaded = snapshot.sequences(dataflow_id) and not _ends_before_loads(table, dataflow_id, over)
    if has_loaded or any(_may_meet(other, over) for other in others.values()):
        what = "its loads have" if has_loaded else "another replay of it has"
        msg = (
            f"{over.window} of dataflow {name!r} may be in {table.place} already, {what} read there: rows would double"
        )
        hint = "--yes appends, once you have removed them"
        if "merge_upsert" in table.load_types:
            hint = f"--replace replaces the rows of each window; {hint}"
        raise WatermarkError(msg, code="TG509", where=table.place, hint=hint)


def refuse_replayed(
    table: BaseTable, snapshot: Snapshot, dataflow_id: str, name: str, starts: Mapping[str, Value]
) -> None:
    """Refuse to append what a replay has put into the table: a load reads all from its start on.

    Raises:
        WatermarkError: rows would be in it twice (TG509).
    """
    for replay in replays_in(table, snapshot, dataflow_id).values():
        if not replay.windows:
            continue
        last = max(replay.windows, key=lambda window: window.upper)
        over = ColumnWindow(column=replay.column, window=last)
        if not ends_before(over, starts):
            msg = f"a replay has loaded dataflow {name!r} up to {last.upper}: this load would put rows in twice"
            types = {column.lower(): describe_type(dtype) for column, dtype in snapshot.columns.items()}
            value = f"{replay.column}:{types.get(replay.column.lower(), 'TYPE')}={last.upper}"
            hint = f"once the replay is done, `tidegate state set {name} '{value}'` lets loads go on from there"
            raise WatermarkError(msg, {"column": replay.column}, code="TG509", where=table.place, hint=hint)


def refuse_others(table: BaseTable, dataflow_id: str, name: str) -> None:
    """Refuse to replace rows of a table that other dataflows have loaded into too.

    Raises:
        ConfigurationError: it has rows of others (TG631).
    """
    own = {dataflow_id, replay_chain(dataflow_id)}
    for commit in table.commits():
        is_load = is_of_dataflow(commit.dataflow_id) or commit.dataflow_id.startswith(_REPLAY_PREFIX)
        if is_load and commit.dataflow_id not in own:
            msg = f"windows of dataflow {name!r} would replace rows of dataflow {commit.name!r} too"
            raise ConfigurationError(msg, code="TG631", where=table.place, hint="--yes replaces the rows of both")


def _ends_before_loads(table: BaseTable, dataflow_id: str, over: ColumnWindow) -> bool:
    commit = table.last_commit(dataflow_id)
    return commit is not None and ends_before(over, commit.position.floor)


def ends_before(over: ColumnWindow, starts: Mapping[str, Value]) -> bool:
    """Tell whether a window surely ends where reads start, or before; not known for reads by several columns."""
    start = {column.lower(): value for column, value in starts.items()}.get(over.column.lower())
    if start is None or len(starts) > 1:
        return False
    try:
        _, upper = bounds_beside(over, start)
    except SourceError:
        return False
    return reaches(start, upper)


def _may_meet(other: Replayed, over: ColumnWindow) -> bool:
    if not other.column:  # forgotten
        return True
    if other.column.lower() != over.column.lower():  # rows of one range of a column lie anywhere in another column
        return bool(other.windows)
    try:
        return other.windows.overlaps(over.window)
    except ConfigurationError:  # days and moments say nothing of each other
        return True


def lowest(before: Mapping[str, Value], starts: Mapping[str, Value], *, has_loaded: bool) -> dict[str, Value]:
    """Return from where on loads have read, once one more has read from `starts`; empty for from the start."""
    if not has_loaded:
        return dict(starts)
    both: Iterable[str] = before.keys() & starts.keys()
    lower = {column: starts[column] if reaches(before[column], starts[column]) else before[column] for column in both}
    return lower if len(lower) == len(before) == len(starts) else {}
