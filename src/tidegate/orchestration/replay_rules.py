"""What a replay may not do: cut by nothing, come in the wrong order, and double, lose or replace rows of others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from tidegate.destinations import strategy_registry
from tidegate.destinations.turns import OWN_PREFIX, is_of_dataflow, is_replay_of, replay_chain
from tidegate.engines.meter import Cursor
from tidegate.errors import ConfigurationError, LeaseHeldError, TidegateError, WatermarkError
from tidegate.expressions.data_type import parse_data_type
from tidegate.orchestration.planner import table_of
from tidegate.sources.base import ColumnWindow
from tidegate.sources.window_bounds import bounds_in
from tidegate.state import Position
from tidegate.state.watermark import reaches

if TYPE_CHECKING:
    from tidegate.destinations import BaseTable
    from tidegate.destinations.commit import Commit, Snapshot
    from tidegate.models import DataFlow, ReplayConfig
    from tidegate.orchestration.replay import FlowReplay
    from tidegate.platforms import BasePlatform
    from tidegate.state import StateStore
    from tidegate.timegrid import Window, WindowSet


def column_of(flow: DataFlow, config: ReplayConfig) -> str:
    """Return the column that a range is over.

    Raises:
        ConfigurationError: there is none (TG630).
    """
    if config.chunk_column or flow.source.watermark_columns:
        return config.chunk_column or flow.source.watermark_columns[0]
    msg = f"dataflow {flow.name!r} has no watermark column to cut a range by"
    hint = "name the column that the range is over: `--column event_date` (ReplayConfig.chunk_column)"
    raise ConfigurationError(msg, code="TG630", hint=hint)


def strategy_of(flow: DataFlow, config: ReplayConfig, column: str) -> str:
    """Return the load strategy of a window.

    Raises:
        ConfigurationError: no window can be loaded for itself (TG631), or not in this order (TG634).
    """
    strategy = flow.destination.strategy
    replays = strategy_registry.load(strategy).replays
    if replays is None:
        msg = f"dataflow {flow.name!r} is a {strategy}: rows that a window lacks would count as deleted"
        raise ConfigurationError(msg, code="TG631", hint="run it: a load reads all of the source anyway")
    if replays == "replacing" or (config.replace and strategy == "append"):
        return "replace_window"
    is_ordered = config.parallel == 1 and config.direction == "forward"
    if not is_ordered and (replays == "in order" or (replays == "by time" and not _orders_rows(flow, column))):
        msg = f"windows of dataflow {flow.name!r} must come in the order of time: its {strategy} keeps what came last"
        hint = "replay it forward, with --parallel 1"
        if replays == "by time":
            hint += f", or let {column} say which row is the later one: transform.latest_data_columns"
        raise ConfigurationError(msg, code="TG634", hint=hint)
    return strategy


def refuse_rewriting_files(flow: DataFlow, table: BaseTable, strategy: str) -> None:
    """Refuse to replace rows where files are all there is.

    Raises:
        ConfigurationError: the destination is one of plain files (TG631).
    """
    if strategy == "replace_window" and "merge_upsert" not in table.load_types:
        msg = f"windows of dataflow {flow.name!r} would replace rows, which a destination of plain files cannot"
        raise ConfigurationError(msg, code="TG631", where=table.place, hint="load into a Delta or Iceberg table")


def refuse_to_move(flow: DataFlow, config: ReplayConfig, column: str) -> None:
    """Refuse to save as the dataflow's position what would not be one.

    Raises:
        ConfigurationError: the position is in other columns, or would not move forward (TG635).
    """
    wrong = None
    if [name.lower() for name in flow.source.watermark_columns] != [column.lower()]:
        wrong = f"the position of dataflow {flow.name!r} is not in {column} alone"
    elif config.direction != "forward" or config.parallel > 1:
        wrong = "a position only moves forward, window by window"
    if wrong:
        hint = "replay without save_watermark: the ledger knows what is done, and the position stays"
        raise ConfigurationError(wrong, code="TG635", hint=hint)


def refuse_beside_others(flow_replay: FlowReplay, state: StateStore) -> None:
    """Refuse to load windows beside another replay, or beside a load that may be the dataflow's first.

    Raises:
        LeaseHeldError: a living process is at it (TG502).
    """
    flow, chain = flow_replay.flow, flow_replay.chain
    for other in state.replays(flow.dataflow_id):
        other_chain = replay_chain(flow.dataflow_id, other.replay_id)
        if other_chain != chain and (owners := state.live_owners(f"{other_chain}|")):
            msg = f"another replay of dataflow {flow.name!r} is under way: {owners[0]}"
            raise LeaseHeldError(msg, hint="wait for it; or join it, with the same range and --resume")
    stored = state.read(flow.dataflow_id)
    if flow.destination.strategy == "append" and not (stored and stored.position):
        for owner in state.live_owners(flow.dataflow_id):
            msg = f"a first load of dataflow {flow.name!r} is under way: {owner}"
            raise LeaseHeldError(msg, hint="wait for it; appended beside it, rows would be in the table twice")


def refuse_doubling(flow_replay: FlowReplay, *, state: StateStore, platform: BasePlatform) -> None:
    """Refuse to append what loads or other replays may have put into the table.

    Raises:
        WatermarkError: rows would be in it twice (TG509).
    """
    flow = flow_replay.flow
    if flow_replay.strategy != "append" or _has_gone_on_alone(flow_replay, state):
        return
    table = table_of(flow, platform)
    snapshot = table.snapshot()
    if snapshot.version is None:
        return
    stored = state.read(flow.dataflow_id)
    # windows that are in keep a first load from starting, so that later loads began after the range
    may_meet = bool(flow_replay.chain) and not flow_replay.covered
    has_loaded = may_meet and bool(snapshot.sequences(flow.dataflow_id) or (stored and stored.sequence))
    if has_loaded or any(_may_meet(flow_replay, commit, state) for commit in table.commits()):
        what = "has loaded rows" if has_loaded else "has replayed windows that may hold rows of this range"
        msg = f"dataflow {flow.name!r} {what} into {table.place} already: appended again, they would be in it twice"
        hint = "--replace replaces the rows of each window; --yes appends, once you have removed them"
        raise WatermarkError(msg, code="TG509", where=table.place, hint=hint)


def refuse_replacing_others(flow_replay: FlowReplay, *, state: StateStore, platform: BasePlatform) -> None:
    """Refuse to replace rows that other dataflows have loaded, or that this one's own loads are about to.

    Raises:
        ConfigurationError: the table has rows of other dataflows (TG631).
        WatermarkError: the range reaches past the position: loads would double rows, or lose them (TG509).
    """
    flow = flow_replay.flow
    if flow_replay.strategy != "replace_window" or strategy_registry.load(flow.destination.strategy).reads == "all":
        return
    table = table_of(flow, platform)
    snapshot = table.snapshot()
    if snapshot.version is None:
        return
    others = [] if _has_gone_on_alone(flow_replay, state) else [*_others(flow, table)]
    if others:
        msg = f"windows of dataflow {flow.name!r} would replace rows of dataflow {others[0].name!r} too"
        raise ConfigurationError(msg, code="TG631", where=table.place, hint="--yes replaces the rows of both")
    position = _position(flow, table, snapshot, state)
    if position and not _ends_before(flow_replay, position):
        msg = (
            f"the range reaches past the position of dataflow {flow.name!r}, {position.render()}: its next loads would "
            "double rows of the range, or lose some"
        )
        lag = " less watermark_lag" if flow.source.watermark_lag else ""
        hint = f"end the range at the position{lag} at the latest; --yes replaces, once no load has rows left to read"
        raise WatermarkError(msg, code="TG509", where=table.place, hint=hint)


def _has_gone_on_alone(flow_replay: FlowReplay, state: StateStore) -> bool:
    """Tell whether the replay has windows in the table already, and is the only one that is known of its dataflow."""
    replay = flow_replay.replay
    if replay is None or replay.created_at is None or not flow_replay.covered:
        return False
    return all(known.replay_id == replay.replay_id for known in state.replays(replay.dataflow_id))


def _may_meet(flow_replay: FlowReplay, commit: Commit, state: StateStore) -> bool:
    """Tell whether another replay of the dataflow may have rows of the windows that are left."""
    flow, chain = flow_replay.flow, commit.dataflow_id
    if chain == flow_replay.chain or not commit.covered or not is_replay_of(flow.dataflow_id, chain):
        return False
    columns = [
        str(replay.spec.get("column", "")).lower()
        for replay in state.replays(flow.dataflow_id)
        if replay_chain(flow.dataflow_id, replay.replay_id) == chain
    ]
    if columns != [flow_replay.column.lower()]:  # rows of one range of a column lie anywhere in another column
        return True
    return any(_may_overlap(commit.covered, part) for part in flow_replay.covered.missing(flow_replay.range))


def _may_overlap(covered: WindowSet, part: Window) -> bool:
    with suppress(ConfigurationError):
        return covered.overlaps(part)
    return True  # ranges of two kinds, days and times, say nothing of each other


def _others(flow: DataFlow, table: BaseTable) -> Iterator[Commit]:
    """Yield the last commits of other dataflows, and of their replays."""
    for commit in table.commits():
        is_own = commit.dataflow_id == flow.dataflow_id or is_replay_of(flow.dataflow_id, commit.dataflow_id)
        is_load = is_of_dataflow(commit.dataflow_id) or commit.dataflow_id.startswith(f"{OWN_PREFIX}replay:")
        if is_load and not is_own:
            yield commit


def _position(flow: DataFlow, table: BaseTable, snapshot: Snapshot, state: StateStore) -> Position:
    """Return where the dataflow's next load starts, or an earlier place."""
    if stored := state.read(flow.dataflow_id):
        return stored.position
    commit = table.last_commit(flow.dataflow_id) if snapshot.sequences(flow.dataflow_id) else None
    return commit.position if commit else Position()


def _ends_before(flow_replay: FlowReplay, position: Position) -> bool:
    """Tell whether the range ends where loads start to read, or before."""
    flow = flow_replay.flow
    if [name.lower() for name in flow.source.watermark_columns] != [flow_replay.column.lower()]:
        return False
    cursor = Cursor(
        columns=tuple(position.watermark),
        watermark=position.watermark,
        lag=flow.source.watermark_lag,
        seen=position.seen_rows,
        must_remember=flow.destination.strategy == "append",
    )
    types = {name.lower(): text for name, text in position.columns.items()}
    for column in cursor.columns:
        start, dtype = cursor.start(column), types.get(column.lower())
        if column.lower() != flow_replay.column.lower() or start is None or dtype is None:
            return False
        try:
            _, upper = bounds_in(ColumnWindow(column=column, window=flow_replay.range), parse_data_type(dtype))
        except TidegateError:
            return False
        if not reaches(start, upper):
            return False
    return bool(cursor.columns)


def _orders_rows(flow: DataFlow, column: str) -> bool:
    """Tell whether the table has the window's column as it is at the source, and merges by it."""
    name, transform = column.lower(), flow.transform
    changed = {added.column.lower() for added in transform.additional_columns}
    changed |= {old.lower() for old in (*transform.rename_columns, *transform.drop_columns)}
    selected = {kept.lower() for kept in transform.select_columns}
    order = flow.latest_data_columns
    return bool(order) and order[0].lower() == name and name not in changed and (not selected or name in selected)
