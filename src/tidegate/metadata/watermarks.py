"""Watermarks beside the metadata, as other systems keep them: where a flow begins, and a mirror of where it stands.

The state store, and before it the destinations, say where a dataflow stands. What is kept beside the metadata decides
in one case only: for a dataflow that neither of them knows.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, cast

from tidegate.errors import TidegateError, WatermarkError
from tidegate.metadata.provider import BaseMetadataProvider
from tidegate.models import DataFlow
from tidegate.state import FlowState, Position, StateStore
from tidegate.state.store import Lease
from tidegate.state.watermark import Value, render_value

_logger = logging.getLogger(__name__)

_MIRRORED_BY = "__mirrored_by__"
"""What a watermark has beside its columns when it is our mirror, which never says where to begin."""


def with_watermarks(store: StateStore, metadata: BaseMetadataProvider) -> StateStore:
    """Return a store that takes first positions from the watermarks kept beside the metadata, and mirrors to them.

    A store whose metadata keep none is returned as it is.
    """
    return cast("StateStore", _Mirrored(store, metadata)) if metadata.keeps_watermarks else store


class _Mirrored:
    """A state store; all that is not about positions is left to the one within."""

    def __init__(self, store: StateStore, metadata: BaseMetadataProvider) -> None:
        self._store = store
        self._metadata = metadata

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def read(self, dataflow_id: str) -> FlowState | None:
        """Return the state of a dataflow: as stored, else as another system left it.

        Raises:
            WatermarkError: What was left is not a watermark (TG504), or not one that a load can go on from (TG147).
            MetadataError: The place of the watermarks cannot be used: no reason to begin anew.
        """
        known = self._store.read(dataflow_id)
        if known is not None:
            return known
        flow = self._flow(dataflow_id)
        left = self._metadata.read_watermark(dataflow_id) if flow else None
        if flow is None or not left or _MIRRORED_BY in left:
            return None
        return FlowState(dataflow_id=dataflow_id, name=flow.name, position=_first(flow, left), origin="imported")

    def write(self, lease: Lease, state: FlowState) -> None:
        """Store the state, then mirror its watermark as well as can be: no load fails for it.

        Before the first commit nothing but the watermark of the other system says where to begin: it stays.
        """
        self._store.write(lease, state)
        if state.position.watermark and state.sequence:
            mirrored = {**state.position.watermark, _MIRRORED_BY: "tidegate"}
            try:
                self._metadata.write_watermark(state.dataflow_id, mirrored)
            except TidegateError as error:
                _logger.warning("the watermark of dataflow %s was not mirrored: %s", state.name, error.message)

    def _flow(self, dataflow_id: str) -> DataFlow | None:
        flows = self._metadata.get_dataflows(active_only=False, attach_schema_hints=False)
        return next((flow for flow in flows if flow.dataflow_id == dataflow_id), None)


def _first(flow: DataFlow, left: Mapping[str, Value]) -> Position:
    """Return the position of a dataflow whose earlier loads another system made, reading what is past the watermark.

    Where a key tells rows, the rows at the watermark are read again. An append would double them: it begins after.
    """
    columns = {column.lower(): column for column in flow.source.watermark_columns}
    reached = {columns[name.lower()]: value for name, value in left.items() if name.lower() in columns}
    if missing := [column for column in flow.source.watermark_columns if column not in reached]:
        message = f"the watermark kept beside the metadata says nothing of {missing[0]}, which dataflow {flow.name} has"
        hint = f"`tidegate state set {flow.name} {missing[0]}=VALUE` tells where it begins"
        raise WatermarkError(message, code="TG147", hint=hint)
    if not flow.destination.appends:
        return Position(watermark=reached)
    return Position(watermark={column: _after(flow, column, value) for column, value in reached.items()})


def _after(flow: DataFlow, column: str, value: Value) -> Value:
    """Return the least value past `value`; which text comes next, every database decides for itself."""
    match value:
        case bool():
            pass
        case int():
            return value + 1
        case datetime():
            return value + timedelta(microseconds=1)
        case date():
            return value + timedelta(days=1)
        case _:
            pass
    message = (
        f"dataflow {flow.name} appends, and it is not known which value comes after {render_value(value)}, "
        f"which {column} reached"
    )
    hint = f"`tidegate state set {flow.name} {column}=VALUE` tells where it begins: no row at VALUE may be loaded yet"
    raise WatermarkError(message, code="TG147", hint=hint)
