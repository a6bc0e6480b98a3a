"""Python functions as a source: what `fn(engine, source, watermark_start, watermark_end)` returns is what is read.

The function is called once, when its rows are needed. Rows that it yields bit by bit are never held all at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import narwhals as nw

from tidegate.connections.exact import exactly
from tidegate.engines.base import ColumnCast
from tidegate.errors import ConfigurationError, SourceError
from tidegate.sources.arrow_columns import plain_columns
from tidegate.sources.function_calls import callable_as, failures_of, function_called
from tidegate.sources.function_rows import FunctionRows, rows_of
from tidegate.sources.rows import Columns, OpenRowRead, RowReadPlan, RowRequest, RowSource

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.engines.base import BaseEngine, Frame
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform
    from tidegate.sources.base import ColumnWindow, ReadPlan, ReadScope
    from tidegate.state import Position
    from tidegate.state.watermark import Value

_KEEPS_DICTS = "rows that it returns as dicts are kept on disk first"


class FunctionSource(RowSource):
    """Reads what a Python function returns."""

    def __init__(self, flow: DataFlow, platform: BasePlatform) -> None:
        super().__init__(flow, platform)
        if not flow.source.python_function:
            msg = f"the source of {flow.name!r} names no function"
            hint = "source.python_function: package.module.function"
            raise ConfigurationError(msg, code="TG103", hint=hint)
        self._name = flow.source.python_function
        self._rows: FunctionRows
        self._engine: BaseEngine

    @property
    def place(self) -> str:
        """The function's dotted name."""
        return self._name

    def plan(self, position: Position, *, scope: ReadScope, window: ColumnWindow | None = None) -> RowReadPlan:
        """Fix from where rows are read; the function is found, and not called."""
        callable_as(function_called(self._name), self._name)
        plan = super().plan(position, scope=scope, window=window)
        return replace(plan, place=self.place, notes=(*plan.notes, _KEEPS_DICTS))

    def open(self, plan: ReadPlan, engine: BaseEngine) -> OpenRowRead:
        """Call the function, settle the columns, and return the rows as a frame."""
        assert isinstance(plan, RowReadPlan)  # noqa: S101 - a source opens its own plans
        start: dict[str, Value] | None = dict(plan.starts) or None
        end: dict[str, Value] | None = None
        if plan.window:
            bounds = plan.window.window
            start, end = {plan.window.column: bounds.lower}, {plan.window.column: bounds.upper}
        function = function_called(self._name)
        call = callable_as(function, self._name)
        with failures_of(self._name):
            result = call(engine, self.flow.source, start, end)
            self._rows = rows_of(result, self._name, self.scratch)
        self._engine = engine
        return super().open(plan, engine)

    def columns(self, known: Columns) -> Columns:
        """Return the columns of what was returned; those of earlier loads when there is not a single row to tell."""
        if self._rows.lazy is not None:
            with failures_of(self._name):
                return self._engine.schema(nw.from_native(self._rows.lazy))
        if self._rows.schema is not None:
            return plain_columns(self._rows.schema, known)
        if known:
            return known
        msg = f"{self._name} returned no rows, and so nothing is known of their columns"
        hint = "return an Arrow table or a frame, which has columns without rows, or run again once there are rows"
        raise SourceError(msg, code="TG224", where=self.place, hint=hint)

    def frame(self, request: RowRequest, engine: BaseEngine) -> Frame:
        """Return the rows; a lazy frame of the engine stays one."""
        if self._rows.lazy is None or engine.name != "polars":
            return super().frame(request, engine)
        casts = {column: ColumnCast(type=dtype) for column, dtype in request.columns.items()}
        return engine.cast(nw.from_native(self._rows.lazy), casts)

    def batches(self, request: RowRequest) -> Iterator[pa.RecordBatch]:
        """Yield the rows as they come."""
        with failures_of(self._name):
            for batch in self._rows.batches():
                yield exactly(self._in_order(batch, request), request.columns, self.place)

    def _in_order(self, batch: pa.RecordBatch, request: RowRequest) -> Any:
        names = list(request.columns)
        if set(batch.schema.names) != set(names):
            msg = f"{self._name} yields rows of different columns: {', '.join(batch.schema.names)}"
            raise SourceError(msg, code="TG224", where=self.place, hint=f"the first ones had: {', '.join(names)}")
        return batch.select(names)
