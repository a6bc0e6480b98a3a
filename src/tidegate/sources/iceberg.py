"""Iceberg tables as a source: one snapshot of a table, read file by file, with rows that were deleted left out."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyiceberg import expressions
from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow
from pyiceberg.types import (
    DateType,
    DecimalType,
    IntegerType,
    LongType,
    StringType,
    TimestampType,
    TimestamptzType,
)

from tidegate.connections.exact import exactly
from tidegate.connections.iceberg import TableInCatalog
from tidegate.errors import ConfigurationError, DestinationError, SourceError, TidegateError, first_line
from tidegate.models.options import READ_OPTIONS, checked_options
from tidegate.sources.arrow_columns import plain_columns
from tidegate.sources.rows import Columns, RowReadPlan, RowRequest, RowSource

if TYPE_CHECKING:
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.schema import Schema
    from pyiceberg.table import DataScan, Table

    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform
    from tidegate.sources.base import ColumnWindow, ReadScope
    from tidegate.state import Position

_TERMS: Any = expressions  # their constructors take names, which their types do not say
_ORDERED = (IntegerType, LongType, DecimalType, DateType, TimestampType, TimestamptzType, StringType)
"""Types whose values Iceberg compares as all engines do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IcebergReadPlan(RowReadPlan):
    """What a read of an Iceberg table will do."""

    snapshot: int | None
    """None for a table without rows."""

    def describe(self) -> dict[str, Any]:
        """Return what the plan prints, as label → value."""
        about = RowReadPlan.describe(self)
        at = f" at snapshot {self.snapshot}" if self.snapshot else ""
        return {**about, "read": f"{self.place}{at}", "snapshot": self.snapshot}


class IcebergSource(RowSource):
    """Reads an Iceberg table."""

    def __init__(self, flow: DataFlow, platform: BasePlatform) -> None:
        super().__init__(flow, platform)
        source = flow.source
        assert source.connection is not None, "checked with the metadata"  # noqa: S101
        if source.table is None:
            msg = f"the source of {flow.name!r} names no table"
            raise ConfigurationError(msg, code="TG103", hint="source.table")
        self._options = checked_options(READ_OPTIONS, "iceberg", source.read_options)
        self._where = TableInCatalog(source.connection, source.schema_name, source.table, platform)
        self._table: Table
        """The table as it is read; later commits do not change it."""
        self._snapshot: int | None

    @property
    def place(self) -> str:
        """The table's folder; in a declared catalog its name."""
        return self._where.place

    def plan(self, position: Position, *, scope: ReadScope, window: ColumnWindow | None = None) -> IcebergReadPlan:
        """Fix the snapshot, and from where its rows are read."""
        if len(self._options) > 1:
            msg = f"read_options {' and '.join(self._options)} exclude each other"
            raise ConfigurationError(msg, code="TG116", where=self.place, hint="keep one of them")
        with self._failures():
            table = self._where.load()
        if table is None:
            msg, hint = f"there is no Iceberg table {self.place}", "correct the connection, schema_name or table"
            raise SourceError(msg, code="TG201", where=self.place, hint=hint)
        self._table, self._snapshot = table, self._chosen(table)
        rows = super().plan(position, scope=scope, window=window)
        current = table.current_snapshot()
        return IcebergReadPlan(
            **{name: getattr(rows, name) for name in RowReadPlan.__dataclass_fields__},
            snapshot=self._snapshot or (current.snapshot_id if current else None),
        )

    def columns(self, known: Columns) -> Columns:
        """Return the columns of the snapshot."""
        with self._failures():
            return plain_columns(schema_to_pyarrow(self._scan().projection(), include_field_ids=False), known)

    def batches(self, request: RowRequest) -> Iterator[pa.RecordBatch]:
        """Yield the rows of one file after the other: PyIceberg itself would read all files ahead."""
        with self._failures():
            scan = self._scan()
            schema = scan.projection()
            condition = _condition(request, schema)
            scan = scan if condition is None else scan.filter(condition)
            reader = ArrowScan(scan.table_metadata, scan.io, schema, scan.row_filter)
            for task in scan.plan_files():
                for batch in reader.to_record_batches([task]):
                    selected = batch.select(list(request.columns))
                    yield exactly(_with_plain_uuids(selected), request.columns, self.place)

    def _scan(self) -> DataScan:
        return self._table.scan() if self._snapshot is None else self._table.scan(snapshot_id=self._snapshot)

    def _chosen(self, table: Table) -> int | None:
        """Return the snapshot that is asked for; None for the current one, with the table's present columns."""
        if not self._options:
            return None
        ((kind, wanted),) = self._options.items()
        match kind:
            case "snapshot_id":
                found = table.snapshot_by_id(wanted)
            case "timestamp":
                found = table.snapshot_as_of_timestamp(int(wanted.timestamp() * 1000))
            case _:
                reference = table.refs().get(wanted)
                is_kind = reference is not None and reference.snapshot_ref_type.value == kind
                found = table.snapshot_by_name(wanted) if is_kind else None
        if found is None:
            what = {"snapshot_id": f"snapshot {wanted}", "timestamp": f"snapshot as old as {wanted}"}
            msg = f"the table has no {what.get(kind, f'{kind} {wanted!r}')}"
            known = ", ".join(table.refs()) if kind in {"branch", "tag"} else f"since {_oldest(table)}"
            raise SourceError(msg, code="TG218", where=self.place, hint=f"it has {known}; older ones may have expired")
        return found.snapshot_id

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Say in our words why the table cannot be read."""
        try:
            yield
        except DestinationError as error:  # of the catalog, which most often is one to write to
            raise SourceError(error.message, code="TG220", where=error.where, hint=error.hint) from error
        except TidegateError:
            raise
        except FileNotFoundError as error:
            msg = f"files of the table are gone: {first_line(error)}"
            hint = "the snapshot expired, or files were removed: run again for the current one"
            raise SourceError(msg, code="TG218", where=self.place, hint=hint) from error
        except Exception as error:
            msg = f"the Iceberg table cannot be read: {first_line(error)}"
            hint = "is it a table, and readable?"
            if "equality deletes" in str(error):
                hint = "compact it with the engine that wrote them: rewrite_data_files"
            raise SourceError(msg, code="TG220", where=self.place, hint=hint) from error


def _condition(request: RowRequest, schema: Schema) -> BooleanExpression | None:
    """Return what rows surely have that a read needs; None where Iceberg might decide otherwise than an engine."""
    conditions: list[BooleanExpression] = []
    if request.starts and all(_is_ordered(schema, column) for column in request.starts):
        reached = [
            _TERMS.NotNull(column) if start is None else _TERMS.GreaterThanOrEqual(column, start)
            for column, start in request.starts.items()
        ]
        unknown = reduce(_TERMS.And, map(_TERMS.IsNull, request.starts))
        conditions.append(reduce(_TERMS.Or, [*reached, unknown]))
    if request.window and _is_ordered(schema, request.window[0]):
        column, lower, upper = request.window
        conditions += [_TERMS.GreaterThanOrEqual(column, lower), _TERMS.LessThan(column, upper)]
    return reduce(_TERMS.And, conditions) if conditions else None


def _is_ordered(schema: Schema, column: str) -> bool:
    return isinstance(schema.find_type(column), _ORDERED)


def _oldest(table: Table) -> str:
    times = [entry.timestamp_ms for entry in table.history()]
    return datetime.fromtimestamp(min(times) / 1000, UTC).isoformat() if times else "nothing"


def _with_plain_uuids(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch with UUIDs as text."""
    for place, field in enumerate(batch.schema):
        if isinstance(field.type, pa.UuidType):
            texts = [value and str(uuid.UUID(str(value))) for value in batch.column(place).to_pylist()]
            batch = batch.set_column(place, field.name, pa.array(texts, pa.string()))
    return batch
