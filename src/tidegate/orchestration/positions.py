"""Moving positions by hand: set and rewind.

Every move is made under the dataflow's lease, and starts from where the destination says the dataflow stands: a
position that was stored against an older sequence would be overruled by the next run's recovery.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tidegate.destinations import strategy_registry
from tidegate.errors import MetadataError, TidegateError, WatermarkError
from tidegate.orchestration.planner import table_of
from tidegate.state import FlowState, Position, StateStore
from tidegate.state.position import SeenRows
from tidegate.state.typed_text import parse_value
from tidegate.state.watermark import render_value

if TYPE_CHECKING:
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform
    from tidegate.state.store import Lease, Origin
    from tidegate.state.watermark import Value

Target = Callable[[Position], Position]
"""Where a position is moved to, given where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A dataflow whose position was moved."""

    flow: DataFlow
    before: FlowState
    after: FlowState


def flow_called(name: str, flows: Sequence[DataFlow]) -> DataFlow:
    """Return the dataflow of this name or id.

    Raises:
        MetadataError: there is none (TG115); the hint names the closest one.
    """
    for flow in flows:
        if name in {flow.name, flow.dataflow_id}:
            return flow
    names = [flow.name for flow in flows]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    known = f"dataflows: {', '.join(names)}" if names else "the metadata declares no dataflows"
    hint = f"did you mean {near[0]!r}? {known}" if near else known
    raise MetadataError(f"unknown dataflow {name!r}", {"known": names}, code="TG115", hint=hint)


# -- where a position is moved to --------------------------------------------------------------------------------


def at_values(flow: DataFlow, texts: Mapping[str, str]) -> Target:
    """Return the target that `COLUMN=VALUE` texts name; other watermark columns stay where they are.

    What was remembered of rows and files belongs to the old place, and is forgotten. A column whose type is not
    known yet, before the first load, is written with it: `updated_at:timestamp`.

    Args:
        flow: The dataflow.
        texts: Column → value as text.

    Raises:
        WatermarkError: a column is not a watermark column of the dataflow, or a value does not fit (TG508); raised
            by the target, once it knows the column's type.
    """

    def target(position: Position) -> Position:
        values: dict[str, Value] = {}
        for key, text in texts.items():
            column, _, given_type = key.partition(":")
            column = _watermark_column(flow, column)
            values[column] = parse_value(column, text, _type_of(flow, column, given_type, position))
        moved = {**position.watermark, **values}
        return replace(position, watermark=moved, seen_rows=SeenRows(), seen_files={}, replays_seen=0)

    return target


def back_to(flow: DataFlow, texts: Mapping[str, str]) -> Target:
    """Return the target of :func:`at_values`, for a way back alone.

    Raises:
        WatermarkError: as :func:`at_values`; raised by the target also for a value past the position (TG508).
    """
    there = at_values(flow, texts)

    def target(position: Position) -> Position:
        moved = there(position)
        for column, reached in position.watermark.items():
            if _is_past(moved.watermark[column], reached):
                msg = f"{render_value(moved.watermark[column])} is past the position, {column}={render_value(reached)}"
                raise WatermarkError(msg, code="TG508", hint="`tidegate state set` moves a position forward")
        return moved

    return target


def at_start(position: Position) -> Position:
    """Return the position of a dataflow that has read nothing; the types of its columns stay known."""
    return Position(columns=position.columns)


def only_watermark_column(flow: DataFlow) -> str:
    """Return the watermark column, for a value that is given without one.

    Raises:
        WatermarkError: there is none, or more than one (TG508).
    """
    columns = flow.source.watermark_columns
    if len(columns) == 1:
        return columns[0]
    if not columns:
        raise _no_watermark(flow)
    hint = f"say which: {' or '.join(f'{column}=VALUE' for column in columns)}"
    raise WatermarkError(f"dataflow {flow.name!r} has {len(columns)} watermark columns", code="TG508", hint=hint)


# -- moving -------------------------------------------------------------------------------------------------------


def move(  # noqa: D417 - the two nouns speak for themselves
    flow: DataFlow,
    target: Target,
    *,
    store: StateStore,
    platform: BasePlatform,
    origin: Origin,
    may_double: bool = False,
) -> Move:
    """Move the position of a dataflow, keeping its sequence.

    Args:
        target: Where to.
        store: Where positions are kept.
        platform: Where the destination lives.
        origin: What the store shall say of the new position: `set` or `rewound`.
        may_double: Whether an append may load rows again that its table has already.

    Raises:
        LeaseHeldError: a run of the dataflow is under way.
        WatermarkError: a value does not fit (TG508), or rows would be doubled (TG509).
    """
    with leased(store, flow) as lease:
        before = standing(flow, store, platform)
        after = replace(before, position=target(before.position), origin=origin)
        if not may_double and doubles(flow, before, after.position):
            raise _would_double(flow, before)
        store.write(lease, after)
    return Move(flow=flow, before=before, after=after)


def standing(flow: DataFlow, store: StateStore, platform: BasePlatform) -> FlowState:
    """Return where the dataflow stands: as stored, or as the destination has it where that says something else."""
    known = None
    with ignoring_damage():
        known = store.read(flow.dataflow_id)
    known = known or FlowState(dataflow_id=flow.dataflow_id, name=flow.name)
    table = table_of(flow, platform)
    snapshot = table.snapshot()
    sequence = snapshot.sequences(flow.dataflow_id)
    known = replace(known, version=snapshot.version)
    if sequence == known.sequence:
        return replace(known, name=flow.name)
    commit = None
    with suppress(TidegateError):  # the log may have lost it (TG408); the sequence is what counts
        commit = table.last_commit(flow.dataflow_id)
    position = commit.position if commit else known.position if sequence else Position()
    return replace(known, name=flow.name, sequence=sequence, position=position)


def doubles(flow: DataFlow, before: FlowState, position: Position) -> bool:
    """Tell whether a load from this position would append rows that the table has already.

    True also for a position at the very value reached: the rows that tie with it are no longer recognised.
    """
    if not flow.destination.appends or not before.sequence:
        return False
    reached = before.position.watermark
    if not reached or not position.watermark:
        return bool(before.position)
    return not all(_is_past(value, reached.get(column)) for column, value in position.watermark.items())


def skips(before: FlowState, after: FlowState) -> bool:
    """Tell whether a move went forward: what lies between will not be loaded."""
    reached = before.position.watermark
    return any(_is_past(value, reached.get(column)) for column, value in after.position.watermark.items())


# -- the parts ----------------------------------------------------------------------------------------------------


@contextmanager
def leased(store: StateStore, flow: DataFlow) -> Iterator[Lease]:
    """Hold the lease of a dataflow for the length of a block."""
    lease = store.acquire(flow.dataflow_id)
    try:
        yield lease
    finally:
        with suppress(TidegateError):
            store.release(lease)


@contextmanager
def ignoring_damage() -> Iterator[None]:
    """Take a damaged position for none: it is about to be replaced."""
    try:
        yield
    except WatermarkError as error:
        if error.code != "TG504":
            raise


def _watermark_column(flow: DataFlow, name: str) -> str:
    columns = flow.source.watermark_columns
    for column in columns:
        if column.lower() == name.strip().lower():
            return column
    if not columns:
        raise _no_watermark(flow)
    hint = f"its watermark columns: {', '.join(columns)}"
    raise WatermarkError(f"{name!r} is not a watermark column of dataflow {flow.name!r}", code="TG508", hint=hint)


def _type_of(flow: DataFlow, column: str, given: str, position: Position) -> str:
    hints = {hint.column_name.lower(): hint.data_type for hint in flow.transform.schema_hints if hint.is_active}
    known = position.columns.get(column) or given or hints.get(column.lower())
    if known:
        return known
    msg = f"the type of {column} is not known before the first load of dataflow {flow.name!r}"
    raise WatermarkError(msg, code="TG508", hint=f"say it: {column}:timestamp=VALUE, or bigint, date, string, ...")


def _no_watermark(flow: DataFlow) -> WatermarkError:
    if strategy_registry.load(flow.destination.strategy).reads == "all":
        hint = f"a load of type {flow.destination.load_type} reads everything, every time"
    else:
        hint = "its position is the files that it has read; `tidegate state rewind` reads all of them again"
    return WatermarkError(f"dataflow {flow.name!r} has no watermark columns", code="TG508", hint=hint)


def _is_past(value: Value, reached: Value | None) -> bool:
    try:
        return reached is None or value > reached  # type: ignore[operator]
    except TypeError:
        return False


def _would_double(flow: DataFlow, before: FlowState) -> WatermarkError:
    reached = ", ".join(f"{column}={render_value(value)}" for column, value in before.position.watermark.items())
    msg = (
        f"dataflow {flow.name!r} appends: rows {f'up to {reached}' if reached else 'of files already read'} that the "
        "next run reads again would be in the table twice"
    )
    hint = "remove them from the table first, then repeat this with --yes; merge_upsert would replace them"
    return WatermarkError(msg, code="TG509", where=flow.destination.path, hint=hint)
