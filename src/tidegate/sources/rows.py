"""Sources whose rows come as Arrow record batches: databases, APIs, functions, tables.

What is common to them is here: where a read starts, which rows it recognises, and where it ends. A kind says what its
columns are, and yields batches of rows.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tidegate.engines.meter import Cursor
from tidegate.errors import SourceError
from tidegate.expressions.data_type import describe_type, parse_data_type
from tidegate.sources.as_read import (
    declared_types_of,
    doubt_about,
    keeps_values,
    types_of,
    wall_time,
    with_declared_values,
    with_values_as_read,
    zone_slack,
)
from tidegate.sources.base import BaseSource, OpenRead, ReadPlan
from tidegate.sources.look_back import look_back_of
from tidegate.sources.watermark_columns import check_watermark, is_value_of, row_watermark
from tidegate.sources.window_bounds import bounds_in
from tidegate.state import Position

if TYPE_CHECKING:
    from tidegate.engines.base import BaseEngine, Frame
    from tidegate.engines.meter import Reading
    from tidegate.sources.base import ColumnWindow, ReadScope
    from tidegate.state.watermark import Value

Columns = Mapping[str, pa.DataType]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowReadPlan(ReadPlan):
    """What a read of rows will do."""

    window: ColumnWindow | None = None

    def describe(self) -> dict[str, Any]:
        """Return what the plan prints, as label → value."""
        return {**ReadPlan.describe(self), **({"window": str(self.window.window)} if self.window else {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRequest:
    """The rows that a read needs. A source may leave out what surely is none of them; all that it yields is looked at.

    Columns are called as in the source. Values have the types of their columns: what cannot be compared there is left
    out of `starts` and `window`.
    """

    columns: Columns
    """All columns, in order, with the types in which batches come."""
    starts: Mapping[str, Value | None] = field(default_factory=dict)
    """Watermark column → value from which rows may be new, None for any that is not NULL. A row is new when one of
    these columns says so, or all of them are NULL. Empty for all rows."""
    window: tuple[str, Value, Value] | None = None
    """Column, lower and upper bound: rows whose value does not lie in `[lower, upper)` are not needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRowRead(OpenRead):
    """An open read of rows."""

    request: RowRequest


class RowSource(BaseSource):
    """Reads rows in batches; what is new is told by the watermark columns."""

    @abstractmethod
    def columns(self, known: Columns) -> Columns:
        """Return the columns of the rows with their types, in order.

        Args:
            known: Those of earlier loads, for sources whose rows do not tell their types.

        Raises:
            SourceError: there is nothing at the place, or it cannot be read.
        """

    @abstractmethod
    def batches(self, request: RowRequest) -> Iterator[pa.RecordBatch]:
        """Yield the rows, in exactly the requested columns and types, never all of them in memory.

        Raises:
            TidegateError: the read failed; its rows do not count.
        """

    def frame(self, request: RowRequest, engine: BaseEngine) -> Frame:
        """Return the rows as a frame; sources that an engine can read by itself say how."""
        return engine.scan_batches(lambda: self.batches(request), request.columns)

    def plan(self, position: Position, *, scope: ReadScope, window: ColumnWindow | None = None) -> RowReadPlan:
        """Fix from where rows are read."""
        everything = scope == "all" or window is not None
        cursor = self._cursor(position, position.columns)
        starts = {} if everything else _starts(cursor)
        appends = self.flow.destination.appends and not cursor.columns and not window
        return RowReadPlan(
            place=self.place,
            position=replace(position, watermark={}, seen_rows=Position().seen_rows) if everything else position,
            starts={column: start for column, start in starts.items() if start is not None},
            window=window,
            notes=("without watermark_columns every run reads and appends all rows",) if appends else (),
        )

    def open(self, plan: ReadPlan, engine: BaseEngine) -> OpenRowRead:
        """Settle the columns, and return the rows as a frame."""
        assert isinstance(plan, RowReadPlan)  # noqa: S101 - a source opens its own plans
        known = {column: parse_data_type(text) for column, text in plan.position.columns.items()}
        columns = self.columns(known)
        watermark_columns = row_watermark(self.flow, columns)
        # the watermark has the type that it has after the conversions, the column may have another one here
        check_watermark(watermark_columns, self._converted(columns, known), plan.position.watermark, plan.place)
        cursor = self._cursor(plan.position, columns)
        request = RowRequest(
            columns=columns,
            starts=self._comparable(_starts(cursor), columns),
            window=self._bounds(plan.window, columns),
        )
        frame = self.frame(request, engine)
        if cursor.columns and plan.window is None:
            as_read = engine.schema(frame)
            if types_of(as_read) == types_of(columns):
                frame, types = with_values_as_read(frame, self.flow, as_read), types_of(columns)
            else:  # documents, whose types are those of the rows that there are
                frame = with_declared_values(frame, self.flow, as_read, engine)
                types = declared_types_of(self.flow, as_read, columns)
            cursor = replace(cursor, hashed_columns=tuple(columns), types=types)
            cursor = replace(cursor, doubt=_doubt(cursor) if cursor.must_remember else "")
        lacking = [column for column in known if column not in columns]
        return OpenRowRead(
            frame=frame,
            columns=columns,
            cursor=cursor,
            notes=(f"the source lacks {', '.join(lacking)}",) if lacking else (),
            request=request,
        )

    def finish(self, plan: ReadPlan, opened: OpenRead, reading: Reading) -> Position:
        """Return the position after the read."""
        return replace(
            plan.position,
            watermark=dict(reading.watermark),
            seen_rows=reading.seen,
            cursor_columns=opened.cursor.columns,
            columns={**plan.position.columns, **{name: describe_type(dtype) for name, dtype in opened.columns.items()}},
        )

    def _cursor(self, position: Position, columns: Mapping[str, Any]) -> Cursor:
        return Cursor(
            columns=row_watermark(self.flow, columns),
            watermark=position.watermark,
            lag=self.flow.source.watermark_lag,
            look_back=look_back_of(self.flow.source),
            seen=position.seen_rows,
            must_remember=self.flow.destination.appends,
        )

    def _converted(self, columns: Columns, known: Columns) -> Columns:
        """Return the types in which watermarks compare: hinted columns are converted before they are compared."""
        hinted = {hint.column_name.lower() for hint in self.flow.transform.schema_hints if hint.is_active}
        converted = {
            name: known[name] if name in known and name.lower() in hinted else dtype for name, dtype in columns.items()
        }
        if not self.flow.transform.settings.convert_timestamp_ntz:
            return converted
        zoned = pa.timestamp("us", "UTC")
        return {name: zoned if pa.types.is_timestamp(dtype) else dtype for name, dtype in converted.items()}

    def _comparable(self, starts: Mapping[str, Value | None], columns: Columns) -> Mapping[str, Value | None]:
        """Return the starts as values of their columns; none at all when one of them cannot be compared there."""
        values: dict[str, Value | None] = {}
        slack = zone_slack(self.flow)
        for column, start in starts.items():
            dtype = columns[column]
            try:
                value = wall_time(start, dtype, slack and -slack)
            except OverflowError:
                return {}
            if not keeps_values(self.flow, column, dtype) or (value is not None and not is_value_of(value, dtype)):
                return {}
            values[column] = value
        return values if any(value is not None for value in values.values()) else {}

    def _bounds(self, window: ColumnWindow | None, columns: Columns) -> tuple[str, Value, Value] | None:
        """Return the window as values of its column, if they compare as it comes; the window is kept later anyhow."""
        column = {name.lower(): name for name in columns}.get(window.column.lower()) if window else None
        if window is None or column is None or not keeps_values(self.flow, column, columns[column]):
            return None
        slack, dtype = zone_slack(self.flow), columns[column]
        try:
            lower, upper = bounds_in(window, self._converted(columns, {})[column])
            return column, wall_time(lower, dtype, slack and -slack), wall_time(upper, dtype, slack)
        except (SourceError, OverflowError):
            return None


def _starts(cursor: Cursor) -> dict[str, Value | None]:
    return {column: cursor.start(column) for column in cursor.columns}


def _doubt(cursor: Cursor) -> str:
    present = {column.lower() for column in cursor.hashed_columns}
    gone = [column for column in cursor.seen.columns if column.lower() not in present]
    return doubt_about(cursor.seen, cursor.types, gone)
