"""What a replay may not do: cut by nothing, come in the wrong order, and double, lose or replace rows of others."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

from tidegate.destinations import strategy_registry
from tidegate.destinations.turns import ends_before, refuse_loaded, refuse_others, refuse_replayed
from tidegate.engines.meter import Cursor
from tidegate.errors import ConfigurationError, WatermarkError
from tidegate.orchestration.planner import table_of
from tidegate.sources.base import ColumnWindow
from tidegate.sources.look_back import look_back_of
from tidegate.state import Position
from tidegate.timegrid import parse_bound

if TYPE_CHECKING:
    from tidegate.destinations import BaseTable
    from tidegate.destinations.table import Snapshot
    from tidegate.destinations.turns import Meets
    from tidegate.models import DataFlow, ReplayConfig
    from tidegate.orchestration.replay import FlowReplay
    from tidegate.platforms import BasePlatform
    from tidegate.state import StateStore
    from tidegate.timegrid import Bound


def column_of(flow: DataFlow, config: ReplayConfig) -> str:
    """Return the column that a range is over.

    Raises:
        ConfigurationError: there is none (TG630), or value rules change it (TG309).
    """
    if config.chunk_column or flow.source.watermark_columns:
        column = config.chunk_column or flow.source.watermark_columns[0]
        if column.lower() in flow.transform.shaped_columns:
            msg = f"dataflow {flow.name!r} has a value rule that changes {column!r}, which the range is over"
            raise ConfigurationError(msg, code="TG309", hint="name another column: --column (chunk_column)")
        return column
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
        ConfigurationError: the position is in other columns, would not move forward, or lie in the future (TG635).
    """
    wrong = None
    if [name.lower() for name in flow.source.watermark_columns] != [column.lower()]:
        wrong = f"the position of dataflow {flow.name!r} is not in {column} alone"
    elif config.direction != "forward" or config.parallel > 1:
        wrong = "a position only moves forward, window by window"
    elif _is_ahead(parse_bound(config.end)):
        wrong = f"the range ends in the future: rows that arrive until {config.end} would never be loaded"
    if wrong:
        hint = "replay without save_watermark: the ledger knows what is done, and the position stays"
        raise ConfigurationError(wrong, code="TG635", hint=hint)


def meets_of(flow: DataFlow, config: ReplayConfig, strategy: str) -> Meets:
    """Return whose rows in the table a window must not meet: what each of its commits looks at."""
    if config.append_again:
        return "nothing"
    if strategy == "append":
        return "own loads"
    replaces_all_anyway = strategy_registry.load(flow.destination.strategy).reads == "all"
    return "other dataflows" if strategy == "replace_window" and not replaces_all_anyway else "nothing"


def refuse_meeting(flow_replay: FlowReplay, *, state: StateStore, platform: BasePlatform) -> None:
    """Refuse early what the commits of the windows would refuse, and to replace what loads are about to read.

    Raises:
        ConfigurationError: the table has rows of other dataflows (TG631).
        WatermarkError: rows would be doubled, or lost (TG509).
    """
    flow, meets = flow_replay.flow, flow_replay.must_not_meet
    table = table_of(flow, platform)
    snapshot = table.snapshot()
    if flow_replay.replay is None and flow.destination.appends:  # its windows are loads, which read from their start on
        starts = {flow_replay.column: flow_replay.range.lower}
        refuse_replayed(table, snapshot, flow.dataflow_id, flow.name, starts)
    if snapshot.version is None or meets == "nothing" or flow_replay.replay is None:
        return
    if meets == "own loads":
        for part in flow_replay.covered.missing(flow_replay.range):
            over = ColumnWindow(column=flow_replay.column, window=part)
            refuse_loaded(
                table,
                snapshot,
                dataflow_id=flow.dataflow_id,
                name=flow.name,
                over=over,
                others=flow_replay.others,
            )
        return
    refuse_others(table, flow.dataflow_id, flow.name)
    position = _position(flow, table, snapshot, state)
    columns = ", ".join(flow.source.watermark_columns)
    if position and columns.lower() != flow_replay.column.lower():
        msg = (
            f"loads of dataflow {flow.name!r} read by {columns or 'files'}: a range of {flow_replay.column} may hold "
            "rows that they have yet to read, and would double"
        )
        hint = "give a range of the watermark column; --yes replaces, once no load has rows left to read"
        raise WatermarkError(msg, code="TG509", where=table.place, hint=hint)
    if position and not _ends_before(flow_replay, position):
        msg = (
            f"the range reaches past the position of dataflow {flow.name!r}, {position.render()}: its next loads would "
            "double rows of the range, or lose some"
        )
        lag = " less watermark_lag" if flow.source.watermark_lag else ""
        hint = f"end the range at the position{lag} at the latest; --yes replaces, once no load has rows left to read"
        raise WatermarkError(msg, code="TG509", where=table.place, hint=hint)


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
        look_back=look_back_of(flow.source),
        seen=position.seen_rows,
        must_remember=flow.destination.appends,
    )
    (start,) = map(cursor.start, cursor.columns) if cursor.columns else (None,)
    if start is None:
        return False
    return ends_before(ColumnWindow(column=flow_replay.column, window=flow_replay.range), {flow_replay.column: start})


def _orders_rows(flow: DataFlow, column: str) -> bool:
    """Tell whether the table has the window's column as it is at the source, and merges by it."""
    name, transform = column.lower(), flow.transform
    changed = {added.column.lower() for added in transform.additional_columns}
    changed |= {old.lower() for old in (*transform.rename_columns, *transform.drop_columns)}
    selected = {kept.lower() for kept in transform.select_columns}
    order = flow.latest_data_columns
    return bool(order) and order[0].lower() == name and name not in changed and (not selected or name in selected)


def _is_ahead(end: Bound) -> bool:
    """Tell whether a bound lies in the future; a time without a zone is taken for UTC, a number for none."""
    if not isinstance(end, date):
        return False
    moment = end if isinstance(end, datetime) else datetime.combine(end, time.min)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) > datetime.now(UTC)
