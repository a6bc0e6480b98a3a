"""Sources that keep all rows before the first one is used.

So the columns and their types are those of all rows, a read that breaks off loads nothing, and memory holds a part of
the rows at a time.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

import pyarrow as pa

from tidegate.expressions.data_type import parse_data_type
from tidegate.sources.rows import Columns, OpenRowRead, RowReadPlan, RowRequest, RowSource
from tidegate.sources.spool import KEEPS_ALL, Part, Spool

if TYPE_CHECKING:
    from tidegate.engines.base import BaseEngine, Frame
    from tidegate.engines.meter import Reading
    from tidegate.errors import SourceError
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform
    from tidegate.sources.base import ColumnWindow, OpenRead, ReadPlan, ReadScope
    from tidegate.state import Position

Shape = TypeVar("Shape")
"""What is known of the type of a column's values."""


class KeptRowSource(RowSource, Generic[Part, Shape]):
    """Keeps rows in parts, as they come. A kind says how they are fetched, and what is in them."""

    def __init__(self, flow: DataFlow, platform: BasePlatform) -> None:
        super().__init__(flow, platform)
        self._kept: Spool[Part] | None = None
        self._shapes: dict[str, Shape] = {}
        self._as_read: Columns = {}

    @abstractmethod
    def parts(self, plan: RowReadPlan) -> Iterator[Part]:
        """Fetch the rows, and yield them in parts that fit into memory."""

    @abstractmethod
    def shapes_with(self, part: Part, before: Mapping[str, Shape]) -> dict[str, Shape]:
        """Return the columns of a part, in the order in which they come, after those of the parts before it.

        Raises:
            SourceError: values of one column have no type in common.
        """

    @abstractmethod
    def settled_type(self, found: Shape | None, known: pa.DataType | None, column: str) -> pa.DataType:
        """Return the type of a column.

        Args:
            found: Its shape; None when no row has the column.
            known: Its type in earlier loads; None when there are none, or a declared type is what counts.
            column: Its name.

        Raises:
            SourceError: the two have nothing in common.
        """

    @abstractmethod
    def converted(self, parts: Iterable[Part], columns: Columns) -> Iterator[pa.RecordBatch]:
        """Yield parts as batches of exactly these columns.

        Raises:
            SourceError: a value is none of its column's type.
        """

    @abstractmethod
    def nothing_known(self) -> SourceError:
        """Return the error that there are no rows, and so nothing is known of their columns."""

    def plan(self, position: Position, *, scope: ReadScope, window: ColumnWindow | None = None) -> RowReadPlan:
        """Fix from where rows are read."""
        plan = super().plan(position, scope=scope, window=window)
        return replace(plan, notes=(*plan.notes, KEEPS_ALL))

    def open(self, plan: ReadPlan, engine: BaseEngine) -> OpenRowRead:
        """Fetch all rows, settle the columns, and return the rows as a frame."""
        assert isinstance(plan, RowReadPlan)  # noqa: S101 - a source opens its own plans
        self.keep(plan)
        return super().open(plan, engine)

    def keep(self, plan: RowReadPlan) -> None:
        """Fetch all rows, in place of what was kept before."""
        self.release()
        self._kept = kept = Spool[Part](self.scratch)
        for part in self.parts(plan):
            self._shapes = self.shapes_with(part, self._shapes)
            kept.add(part)
            self.check()

    def release(self) -> None:
        """Forget all rows."""
        if self._kept is not None:
            self._kept.close()
        self._kept, self._shapes = None, {}

    def columns(self, known: Columns) -> Columns:
        """Return the columns of earlier loads, then those that are new: rows may leave out what is NULL."""
        names = dict.fromkeys((*known, *self._shapes))
        lower = {name.lower() for name in names}
        names |= dict.fromkeys(name for name in self.declared if name.lower() not in lower)
        if not names:
            raise self.nothing_known()
        types = {name.lower(): dtype for name, dtype in self.declared.items()}
        self._as_read = {
            name: self.settled_type(self._shapes.get(name), None if name.lower() in types else known.get(name), name)
            for name in names
        }
        return {name: types.get(name.lower(), dtype) for name, dtype in self._as_read.items()}

    def frame(self, request: RowRequest, engine: BaseEngine) -> Frame:
        """Return the rows as they are read; a later step converts those columns whose types are declared."""
        return engine.scan_batches(lambda: self.batches(request), self._as_read)

    def batches(self, request: RowRequest) -> Iterator[pa.RecordBatch]:
        """Yield the rows, part by part."""
        return self.converted(self._kept or (), self._as_read)

    def finish(self, plan: ReadPlan, opened: OpenRead, reading: Reading) -> Position:
        """Return the position after the read."""
        self.release()
        return super().finish(plan, opened, reading)

    @cached_property
    def declared(self) -> Columns:
        """The types that schema hints declare, by the names that they use."""
        connection = self.flow.source.connection
        system = connection.settings.schema_hint_type_system if connection else None
        return {
            hint.column_name: parse_data_type(
                hint.data_type, type_system=system, precision=hint.precision, scale=hint.scale
            )
            for hint in self.flow.transform.schema_hints
            if hint.is_active
        }

    @cached_property
    def read_as_text(self) -> frozenset[str]:
        """Columns whose values keep all that they are, as text, up to their conversion; in lower case."""
        return frozenset(
            name.lower()
            for name, dtype in self.declared.items()
            if pa.types.is_decimal(dtype) or pa.types.is_string(dtype)
        )
