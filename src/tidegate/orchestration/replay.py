"""Replays: a range of a dataflow's history as windows, each of which is loaded once.

A replay commits under an id of its own, so that the dataflow's position stays where it is. Which windows are in is part
of each commit, in the destination; the ledger of the state store says who works on which, and which held no rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidegate.destinations.turns import covered_by, replay_chain
from tidegate.orchestration.planner import table_of
from tidegate.orchestration.replay_rules import (
    column_of,
    refuse_beside_others,
    refuse_doubling,
    refuse_replacing_others,
    refuse_rewriting_files,
    refuse_to_move,
    strategy_of,
)
from tidegate.orchestration.work_unit import WorkUnit, config_hash
from tidegate.sources.base import ColumnWindow
from tidegate.state import Replay
from tidegate.timegrid import Window, WindowSet, chunks, encode_bound, parse_bound, windows

if TYPE_CHECKING:
    from tidegate.destinations.commit import Snapshot
    from tidegate.models import DataFlow, ReplayConfig
    from tidegate.platforms import BasePlatform
    from tidegate.state import StateStore


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

    @property
    def range(self) -> Window:
        """All windows as one."""
        return range_of(self.config)

    @property
    def chain(self) -> str:
        """The id under which it commits; empty where it commits as the dataflow itself."""
        return replay_chain(self.flow.dataflow_id, self.replay.replay_id) if self.replay else ""

    def windows(self) -> Iterator[Window]:
        """Yield all windows, in their order."""
        config = self.config
        if config.calendar:
            return windows(config.start, config.end, config.calendar, config.direction)
        interval = {str(unit): count for unit, count in (config.chunk_interval or {}).items()} or None
        return chunks(config.start, config.end, interval, config.direction)

    def unit(self, window: Window) -> WorkUnit:
        """Return a window as a unit of work."""
        over = ColumnWindow(column=self.column, window=window)
        return WorkUnit(flow=self.flow, operation="replay", window=over, chain=self.chain, strategy=self.strategy)


def prepare(flow: DataFlow, config: ReplayConfig, *, state: StateStore, platform: BasePlatform) -> FlowReplay:
    """Return the replay of a dataflow: a new one, or with `resume` the last one of the same range, done or not.

    Raises:
        ConfigurationError: the range cannot be cut (TG620 to TG627), or the dataflow not be loaded in windows (TG630,
            TG631, TG634, TG635).
    """
    range_of(config)
    column = column_of(flow, config)
    strategy = strategy_of(flow, config, column)
    table = table_of(flow, platform)
    refuse_rewriting_files(flow, table, strategy)
    replay, covered = None, WindowSet()
    if config.save_watermark:
        refuse_to_move(flow, config, column)
    else:
        snapshot = table.snapshot()
        replay = _chosen(flow, config, column, state=state, snapshot=snapshot)
        covered = covered_by(table, snapshot, replay_chain(flow.dataflow_id, replay.replay_id))
    return FlowReplay(flow=flow, config=config, column=column, strategy=strategy, replay=replay, covered=covered)


def begin(flow_replay: FlowReplay, *, state: StateStore, platform: BasePlatform) -> None:
    """Record that a replay begins, or goes on, unless it would double or lose rows.

    The caller holds a lease below the replay's id.

    Raises:
        ConfigurationError: rows of other dataflows would be replaced (TG631).
        WatermarkError: rows would be doubled, or lost (TG509).
        LeaseHeldError: a living process may double them: another replay, or a first load (TG502).
    """
    refuse_beside_others(flow_replay, state)
    if not flow_replay.config.append_again:
        refuse_doubling(flow_replay, state=state, platform=platform)
        refuse_replacing_others(flow_replay, state=state, platform=platform)
    if flow_replay.replay is not None:
        state.begin_replay(flow_replay.replay)


def range_of(config: ReplayConfig) -> Window:
    """Return the range of a replay as one window.

    Raises:
        ConfigurationError: its bounds make none (TG623, TG624, TG627).
    """
    return Window(lower=parse_bound(config.start), upper=parse_bound(config.end))


def earlier(flow: DataFlow, config: ReplayConfig, *, state: StateStore) -> Replay | None:
    """Return the last replay of this range, unless a living process is at it, or none was recorded."""
    known = [] if config.save_watermark else _known(flow, config, column_of(flow, config), state)
    if not known or state.live_owners(replay_chain(flow.dataflow_id, known[0].replay_id)):
        return None
    return known[0]


# -- which replay ------------------------------------------------------------------------------------------------


def _chosen(
    flow: DataFlow,
    config: ReplayConfig,
    column: str,
    *,
    state: StateStore,
    snapshot: Snapshot,
) -> Replay:
    """Return the replay to go on with, or the next one of this range.

    Replays of one range count up, so that one whose record was lost with the state store is found in the table again.
    """
    known = _known(flow, config, column, state)
    if known and config.resume:
        return known[0]
    spec, number = _spec(flow, config, column), len(known) + 1
    while snapshot.sequences(replay_chain(flow.dataflow_id, _id(spec, number))):  # also where a restore has undone it
        number += 1
    if config.resume and number > 1:
        number -= 1
    return Replay(replay_id=_id(spec, number), dataflow_id=flow.dataflow_id, spec=spec)


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


def _id(spec: dict[str, Any], number: int) -> str:
    text = json.dumps(spec, sort_keys=True)
    return f"{hashlib.sha256(text.encode()).hexdigest()[:12]}-{number}"
