"""Replays: a range of a dataflow's history as windows, each of which is loaded once.

A replay commits under an id of its own, so that the dataflow's position stays where it is. Which windows are in is part
of each commit, in the destination; the ledger of the state store says who works on which, and which held no rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from tidegate.destinations.turns import replay_scope, replays_in
from tidegate.orchestration.planner import table_of
from tidegate.orchestration.replay_rules import (
    column_of,
    meets_of,
    refuse_rewriting_files,
    refuse_to_move,
    strategy_of,
)
from tidegate.orchestration.run import NO_ROWS
from tidegate.orchestration.work_unit import WorkUnit, config_hash
from tidegate.sources.base import ColumnWindow
from tidegate.state import Replay
from tidegate.state.store import DONE
from tidegate.timegrid import Window, WindowSet, chunks, encode_bound, parse_bound, windows

if TYPE_CHECKING:
    from tidegate.destinations.commit import Replayed
    from tidegate.destinations.turns import Meets
    from tidegate.models import DataFlow, ReplayConfig
    from tidegate.platforms import BasePlatform
    from tidegate.state import StateStore
    from tidegate.timegrid import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowReplay:
    """The replay of one dataflow: what is read in which windows, and how they come into the table."""

    flow: DataFlow
    config: ReplayConfig
    column: str
    strategy: str
    """The load strategy of a window."""
    replay: Replay | None
    """Its record; None for one that moves the dataflow's own position, which then is its record."""
    covered: WindowSet
    """Windows that are in the table already."""
    others: Mapping[str, Replayed]
    """What other replays of the dataflow have put into the table, by replay id."""
    must_not_meet: Meets
    """Whose rows a window must not meet in the table."""

    @property
    def range(self) -> Window:
        """All windows as one."""
        return range_of(self.config)

    @property
    def scope(self) -> str:
        """Under which name the ledger knows its windows; empty where the position is its record."""
        return replay_scope(self.flow.dataflow_id, self.replay.replay_id) if self.replay else ""

    def windows(self) -> Iterator[Window]:
        """Yield all windows, in their order."""
        return windows_of(self.config)

    def unit(self, window: Window) -> WorkUnit:
        """Return a window as a unit of work."""
        over = ColumnWindow(column=self.column, window=window)
        return WorkUnit(
            flow=self.flow,
            operation="replay",
            window=over,
            replay_id=self.replay.replay_id if self.replay else "",
            strategy=self.strategy,
            must_not_meet=self.must_not_meet,
        )

    def empty(self, state: StateStore) -> WindowSet:
        """Return the windows that the ledger knows to hold no rows; the commits since say so too."""
        found: list[Window] = []
        after: str | None = None
        while self.scope and (page := state.units(self.scope, statuses=DONE, after=after)):
            found += [Window.parse(unit.key.rpartition("|")[2]) for unit in page if unit.detail == NO_ROWS]
            after = page[-1].key
        return WindowSet(found)


def prepare(flow: DataFlow, config: ReplayConfig, *, state: StateStore, platform: BasePlatform) -> FlowReplay:
    """Return the replay of a dataflow: a new one, or with `resume` the last one of the same range, done or not.

    Raises:
        ConfigurationError: the range cannot be cut (TG620 to TG627), or the dataflow not be loaded in windows (TG630,
            TG631, TG634, TG635).
    """
    next(windows_of(config), None)  # a range that cannot be cut is refused before anything begins
    column = column_of(flow, config)
    strategy = strategy_of(flow, config, column)
    table = table_of(flow, platform)
    refuse_rewriting_files(flow, table, strategy)
    meets = meets_of(flow, config, strategy)
    replay = None
    done: dict[str, Replayed] = {}
    if config.save_watermark:
        refuse_to_move(flow, config, column)
    else:
        done = dict(replays_in(table, table.snapshot(), flow.dataflow_id, must_know=meets == "own loads"))
        replay = _chosen(flow, config, column, state=state, done=done)
    known = done.pop(replay.replay_id, None) if replay else None
    return FlowReplay(
        flow=flow,
        config=config,
        column=column,
        strategy=strategy,
        replay=replay,
        covered=known.windows if known else WindowSet(),
        others=done,
        must_not_meet=meets,
    )


def range_of(config: ReplayConfig) -> Window:
    """Return the range of a replay as one window; beside a time, a day is its midnight.

    Raises:
        ConfigurationError: its bounds make none (TG623, TG624, TG627).
    """
    lower, upper = _bounds(config)
    return Window(lower=lower, upper=upper)


def earlier(flow: DataFlow, config: ReplayConfig, *, state: StateStore) -> Replay | None:
    """Return the last replay of this range, unless a living process is at it, or none was recorded."""
    known = [] if config.save_watermark else _known(flow, config, column_of(flow, config), state)
    if not known or state.live_owners(f"{replay_scope(flow.dataflow_id, known[0].replay_id)}|"):
        return None
    return known[0]


def windows_of(config: ReplayConfig) -> Iterator[Window]:
    """Yield the windows of a range, in their order.

    Raises:
        ConfigurationError: the range cannot be cut so (TG620 to TG627).
    """
    range_of(config)
    start, end = _bounds(config)  # in their zone, which a window does not keep
    if config.calendar:
        return windows(start, end, config.calendar, config.direction)
    interval = {str(unit): count for unit, count in (config.chunk_interval or {}).items()} or None
    return chunks(start, end, interval, config.direction)


def _bounds(config: ReplayConfig) -> tuple[Bound, Bound]:
    start, end = parse_bound(config.start), parse_bound(config.end)
    return _beside(start, end), _beside(end, start)


def _beside(bound: Bound, other: Bound) -> Bound:
    if isinstance(other, datetime) and isinstance(bound, date) and not isinstance(bound, datetime):
        return datetime.combine(bound, time.min, tzinfo=other.tzinfo)
    return bound


# -- which replay ------------------------------------------------------------------------------------------------


def _chosen(
    flow: DataFlow,
    config: ReplayConfig,
    column: str,
    *,
    state: StateStore,
    done: Collection[str],
) -> Replay:
    """Return the replay to go on with, or the next one of this range.

    Replays of one range count up, so that one whose record was lost with the state store is found in the table again.
    """
    known = _known(flow, config, column, state)
    if known and config.resume:
        return known[0]
    spec = _spec(flow, config, column)
    identity = _identity(flow, spec)
    ids = {*done, *(replay.replay_id for replay in known)}
    newest = max((int(one.rpartition("-")[2]) for one in ids if one.startswith(f"{identity}-")), default=0)
    number = newest if config.resume and newest else newest + 1
    return Replay(replay_id=f"{identity}-{number}", dataflow_id=flow.dataflow_id, spec=spec)


def _known(flow: DataFlow, config: ReplayConfig, column: str, state: StateStore) -> Sequence[Replay]:
    spec = _spec(flow, config, column)
    return [replay for replay in state.replays(flow.dataflow_id) if dict(replay.spec) == spec]


def _spec(flow: DataFlow, config: ReplayConfig, column: str) -> dict[str, Any]:
    """Return what makes two replays the same; windows of another size still are."""
    whole = range_of(config)
    return {
        "start": encode_bound(whole.lower),
        "end": encode_bound(whole.upper),
        "column": column,
        "replace": config.replace,
        "config": config_hash(flow),
    }


def _identity(flow: DataFlow, spec: dict[str, Any]) -> str:
    text = json.dumps({**spec, "dataflow": flow.dataflow_id}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
