"""The planner: what a dataflow would do now, found without changing anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tidegate.destinations import BaseTable, strategy_registry, table_registry
from tidegate.destinations.turns import refuse_replayed, replay_chain
from tidegate.errors import ConfigurationError, WatermarkError
from tidegate.models.load_rules import load_faults
from tidegate.orchestration.stages import (
    CommitLoad,
    CommitWindow,
    Idle,
    KeepSourceRows,
    KeepWindow,
    Meter,
    Read,
    Recover,
    Stage,
    Transform,
    UnitPlan,
    Write,
)
from tidegate.orchestration.work_unit import WorkUnit
from tidegate.platforms import platform_of
from tidegate.sources import BaseSource, source_registry
from tidegate.sources.kinds import is_query_over_tables, refuse_other_functions
from tidegate.state import FlowState, Position, StateStore
from tidegate.transformers import BaseTransformer, transformer_registry
from tidegate.transformers.base import METER_ORDER

if TYPE_CHECKING:
    from tidegate.destinations.table import Snapshot
    from tidegate.models import Connection, DataFlow
    from tidegate.platforms import BasePlatform
    from tidegate.sources import ReadPlan
    from tidegate.sources.base import ReadScope


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """Plans dataflows against the present state of their source, destination and position."""

    state: StateStore
    platform: BasePlatform
    allowed_functions: tuple[str, ...] = ()
    """Beginnings of the names of Python functions that may be called; empty for all."""

    def plan(self, unit: DataFlow | WorkUnit, *, recover: bool = False) -> UnitPlan:
        """Return what a unit of work would do now.

        Args:
            unit: The unit; a dataflow stands for a load of what is new.
            recover: Let the destination finish first what a process that died after its commit had begun.

        Raises:
            TidegateError: source, destination or state are not fit for a load.
        """
        unit = unit if isinstance(unit, WorkUnit) else WorkUnit(flow=unit)
        flow = unit.flow
        table = table_of(flow, self.platform)
        _refuse_impossible(flow, table)
        if recover:
            table.recover()
        snapshot = table.snapshot()
        source = self._source(flow)
        current, stages = self._standing(unit, source, table, snapshot)
        strategy = strategy_registry.load(unit.load_strategy)
        scope: ReadScope = strategy.reads
        if unit.window:
            scope = "window" if strategy.replaces_windows else "all"
        read = source.plan(current.position, scope=scope, window=unit.window)
        has_replayed = snapshot.sequences(replay_chain(flow.dataflow_id)) != current.position.replays_seen
        if has_replayed and flow.destination.appends and not unit.window and not read.nothing_new:
            refuse_replayed(table, snapshot, flow.dataflow_id, flow.name, read.starts)
        if read.nothing_new and (snapshot.version is not None or unit.window):
            stages.append(Idle(plan=read, reason=read.nothing_new))
        else:
            stages += _load_stages(unit, read, table, snapshot, current)
        return UnitPlan(
            unit=unit,
            state=current,
            source=source,
            table=table,
            snapshot=snapshot,
            stages=tuple(stages),
            notes=read.notes,
        )

    def standing(self, flow: DataFlow) -> Position:
        """Return the position of a dataflow: that of its last commit, where the state store does not know it yet.

        Raises:
            TidegateError: destination or state are not fit for a load.
        """
        table = table_of(flow, self.platform)
        state, _ = self._standing(WorkUnit(flow=flow), self._source(flow), table, table.snapshot())
        return state.position

    def _source(self, flow: DataFlow) -> BaseSource:
        refuse_other_functions(flow.source, self.allowed_functions)
        kind = "query" if is_query_over_tables(flow.source) else _format(flow.source.connection, "source")
        return source_registry.load(kind)(flow, platform_of(flow.source.connection, self.platform))

    def _standing(
        self, unit: WorkUnit, source: BaseSource, table: BaseTable, snapshot: Snapshot
    ) -> tuple[FlowState, list[Stage]]:
        """Return where the unit starts from, and what has to be recovered before it does."""
        flow = unit.flow
        if unit.replay_id:  # it moves no position, and needs none
            return FlowState(dataflow_id=unit.chain_id, name=flow.name), []
        known = self.state.read(flow.dataflow_id) or FlowState(dataflow_id=flow.dataflow_id, name=flow.name)
        current = _recovered(replace(known, name=flow.name), table, snapshot, source.place)
        return current, [] if current is known or current.origin != "recovered" else [Recover(state=current)]


def table_of(flow: DataFlow, platform: BasePlatform) -> BaseTable:
    """Return the physical destination of a dataflow; `platform` is that of paths of this machine."""
    connection = flow.destination.connection
    return table_registry.load(_format(connection, "destination"))(flow, platform_of(connection, platform))


def transformers_of(flow: DataFlow) -> list[tuple[str, type[BaseTransformer], str]]:
    """Return the transformers that do something for this dataflow, in their order: plugin name, class, description."""
    plugins = ((name, transformer_registry.load(name)) for name in transformer_registry.list_plugins())
    active = [(name, plugin, detail) for name, plugin in plugins if (detail := plugin.describe(flow)) is not None]
    return sorted(active, key=lambda step: (step[1].order, step[0]))


def _refuse_impossible(flow: DataFlow, table: BaseTable) -> None:
    """Refuse what `check` refuses too, for dataflows that do not come from checked metadata."""
    load_type = flow.destination.load_type
    for fault in load_faults(flow):
        raise ConfigurationError(fault.message, code=fault.code, where=table.place, hint=fault.hint)
    if load_type not in table.load_types:
        msg = f"load_type {load_type!r} is impossible with a destination of this format"
        hint = f"possible are {', '.join(sorted(table.load_types))}"
        raise ConfigurationError(msg, code="TG107", where=table.place, hint=hint)


def _load_stages(
    unit: WorkUnit, read: ReadPlan, table: BaseTable, snapshot: Snapshot, current: FlowState
) -> list[Stage]:
    flow = unit.flow
    steps = [
        (plugin.order, Transform(plugin=name, name=plugin.name, detail=detail))
        for name, plugin, detail in transformers_of(flow)
    ]
    strategy = unit.load_strategy
    metered = Meter(
        columns=() if unit.window else flow.source.watermark_columns,
        start={} if unit.window else dict(read.starts),
        recognises=strategy == "append" and unit.window is None,
    )
    condition = flow.source.filter_expression
    return [
        Read(plan=read),
        *(step for order, step in steps if order < METER_ORDER),
        *([KeepSourceRows(expression=condition)] if condition else []),
        *([KeepWindow(window=unit.window)] if unit.window else []),
        metered,
        *(step for order, step in steps if order >= METER_ORDER),
        Write(
            strategy=strategy,
            place=table.place,
            detail=strategy_registry.load(strategy).describe(flow),
            creates=snapshot.version is None,
            partition_by=snapshot.partition_by or tuple(part.column for part in flow.destination.partitions),
        ),
        CommitWindow(window=unit.window)
        if unit.window and unit.replay_id
        else CommitLoad(sequence=current.sequence + 1, window=unit.window),
    ]


def _recovered(known: FlowState, table: BaseTable, snapshot: Snapshot, source: str) -> FlowState:
    """Return the state, taken from the destination when that is ahead.

    Raises:
        WatermarkError: the destination is behind: it was restored, or made anew (TG506); or its newest commit is that
            of another dataflow with the same id (TG412).
    """
    committed = snapshot.sequences(known.dataflow_id)
    if known.version is not None and committed and table.restored_since(known.version, snapshot):
        raise _behind(table, known, "was taken back to an older version since the last load of this dataflow")
    if committed == known.sequence:
        return known
    if committed < known.sequence:
        if snapshot.version is None:
            raise _behind(table, known, f"does not exist, but the state store knows {known.sequence} loads into it")
        loads = f"{committed or 'no'} load{'s' if committed > 1 else ''} of this dataflow"
        raise _behind(
            table, known, f"knows {loads}, the state store {known.sequence}: it was replaced or restored since"
        )
    commit = table.last_commit(known.dataflow_id)
    if commit is None:
        msg = f"commit {committed} of this dataflow was not found in {table.place}"
        hint = "`tidegate state set FLOW COLUMN=VALUE` tells where it stands"
        raise WatermarkError(msg, code="TG408", where=table.place, hint=hint)
    if commit.source != source:
        msg = f"load {committed} of this dataflow in {table.place} was read from {commit.source}, not from {source}"
        hint = (
            "give the dataflow a dataflow_id of its own if another one has its name; "
            f"`tidegate state rebuild --flow {known.name}` goes on from there if its source was moved"
        )
        raise WatermarkError(msg, code="TG412", where=table.place, hint=hint)
    return replace(
        known,
        sequence=committed,
        position=commit.position,
        version=snapshot.version,
        run_id=commit.run_id,
        origin="recovered",
    )


def _behind(table: BaseTable, known: FlowState, what: str) -> WatermarkError:
    hint = (
        f"`tidegate state rebuild --flow {known.name}` takes the destination's word, and rows load again from there; "
        "a destination of another environment needs a profile of its own, one that was given another name its old rows"
    )
    return WatermarkError(f"the destination {table.place} {what}", code="TG506", where=table.place, hint=hint)


def _format(connection: Connection | None, side: str) -> str:
    if connection is None or connection.format is None:
        msg = f"the {side} has no connection with a format"
        raise ConfigurationError(msg, hint="load dataflows through a metadata provider, or give `connection=`")
    return connection.format
