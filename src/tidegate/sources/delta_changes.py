"""The change feed of a Delta table: what its versions inserted, updated and deleted, as rows.

A first load without a starting version is the table itself, as inserts of the version that is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from tidegate.errors import SourceError

if TYPE_CHECKING:
    import deltalake

    from tidegate.sources.rows import Columns, RowRequest
    from tidegate.state.watermark import Value

CHANGE_TYPE = "_change_type"
COMMIT_VERSION = "_commit_version"
COMMIT_TIMESTAMP = "_commit_timestamp"

_COLUMNS = {CHANGE_TYPE: pa.string(), COMMIT_VERSION: pa.int64(), COMMIT_TIMESTAMP: pa.timestamp("us", "UTC")}
_ENABLED = "delta.enableChangeDataFeed"
_DELETES = f"{CHANGE_TYPE} = 'delete'"
_ADDS = f"{CHANGE_TYPE} IN ('insert', 'update_postimage')"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeFeed:
    """Reads changes of one table."""

    starting_version: int | None
    """Where the first load begins; None for the table itself."""
    applies_changes: bool
    """Whether the rows are applied by key: then deletes come before what takes their place, and no row before an
    update comes at all."""
    opened: Callable[[int], deltalake.DeltaTable]
    """Returns the table at a version."""
    committed_at: Callable[[int], datetime]
    """Returns when a version was committed."""
    place: str

    def first_version(self, starts: Mapping[str, Value | None]) -> int | None:
        """Return from which version on changes are read; None for the table itself.

        The position is the first version that was not read, as the end of a window is.
        """
        reached = starts.get(COMMIT_VERSION)
        if reached is None:
            return self.starting_version
        assert isinstance(reached, int)  # noqa: S101 - compared with the column's type
        return reached

    def with_its_columns(self, columns: Columns) -> Columns:
        """Return the columns of the table with those that tell the change."""
        return {**columns, **_COLUMNS}

    def streams(self, table: deltalake.DeltaTable, request: RowRequest) -> Iterator[Any]:
        """Yield readers of changes up to the version of `table`.

        Raises:
            SourceError: changes were not recorded (TG219), or are no longer in the log (TG218).
        """
        first, last = self.first_version(request.starts), table.version()
        if request.window and request.window[0] == COMMIT_VERSION:
            _, lower, upper = request.window
            assert isinstance(lower, int)  # noqa: S101 - as above
            assert isinstance(upper, int)  # noqa: S101 - as above
            first, last = max(lower, first or 0), min(last, upper - 1)
        if first is None:
            yield _as_inserts(table, list(request.columns), self.committed_at(last))
            return
        if first > last:
            return
        self._refuse_unrecorded(first)
        for predicate in (_DELETES, _ADDS) if self.applies_changes else (None,):
            yield _with_utc(table.load_cdf(starting_version=first, ending_version=last, predicate=predicate))

    def _refuse_unrecorded(self, version: int) -> None:
        """Refuse a first version before changes were recorded: delta-rs looks only where that was turned on."""
        configuration = self.opened(version).metadata().configuration
        if str(configuration.get(_ENABLED)).lower() != "true":
            msg = f"version {version} of the table does not record changes"
            hint = (
                f"ALTER TABLE ... SET TBLPROPERTIES ({_ENABLED} = true), and read from a later version: "
                "starting_version, or without it from the table itself"
            )
            raise SourceError(msg, {"version": version}, code="TG219", where=self.place, hint=hint)


def _with_utc(changes: Any) -> pa.RecordBatchReader:
    """Return the changes with commit times in UTC, which delta-rs gives without a zone."""
    reader = pa.RecordBatchReader.from_stream(changes)
    place = reader.schema.get_field_index(COMMIT_TIMESTAMP)
    schema = reader.schema.set(place, pa.field(COMMIT_TIMESTAMP, _COLUMNS[COMMIT_TIMESTAMP]))

    def converted() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            times = pc.assume_timezone(batch.column(place), "UTC").cast(_COLUMNS[COMMIT_TIMESTAMP])
            yield pa.record_batch([*batch.columns[:place], times, *batch.columns[place + 1 :]], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, converted())


def _as_inserts(table: deltalake.DeltaTable, columns: list[str], committed_at: datetime) -> pa.RecordBatchReader:
    """Return the rows of the table as inserts of its version."""
    told = {CHANGE_TYPE: "insert", COMMIT_VERSION: table.version(), COMMIT_TIMESTAMP: committed_at}
    scalars = {name: pa.scalar(value, _COLUMNS[name]) for name, value in told.items()}
    reader = pa.RecordBatchReader.from_stream(table.scan(columns=[name for name in columns if name not in told]))
    schema = pa.schema([*reader.schema, *((name, dtype) for name, dtype in _COLUMNS.items())])

    def told_batches() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            constants = (pa.repeat(scalars[name], batch.num_rows) for name in _COLUMNS)
            yield pa.record_batch([*batch.columns, *constants], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, told_batches())
