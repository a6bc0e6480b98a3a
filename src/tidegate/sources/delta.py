"""Delta tables as a source: one version of a table, or the changes that its versions made.

All of a read sees one version, fixed when the read is planned. Plain Parquet files are read by the engine itself, those
that surely hold nothing new left out; a table with deletion vectors or mapped columns is read by delta-rs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import deltalake
import pyarrow as pa
from deltalake.exceptions import DeltaError, TableNotFoundError

from tidegate.connections.exact import exactly
from tidegate.errors import ConfigurationError, SourceError, TidegateError, first_line
from tidegate.models.options import READ_OPTIONS, checked_options
from tidegate.platforms.store_failures import is_of_store, store_failure
from tidegate.sources.arrow_columns import plain_columns
from tidegate.sources.delta_changes import COMMIT_VERSION, ChangeFeed
from tidegate.sources.delta_files import has_plain_files, listed_files, may_hold, predicate_of
from tidegate.sources.rows import Columns, OpenRowRead, RowReadPlan, RowRequest, RowSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidegate.engines.base import BaseEngine, Frame
    from tidegate.engines.meter import Reading
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform
    from tidegate.sources.base import ColumnWindow, OpenRead, ReadPlan, ReadScope
    from tidegate.state import Position

_GONE = ("not found", "No such file", "NotFound", "does not exist")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaReadPlan(RowReadPlan):
    """What a read of a Delta table will do."""

    version: int
    changes_from: str | None = None
    """From which version on changes are read; None where the table itself is."""

    def describe(self) -> dict[str, Any]:
        """Return what the plan prints, as label → value."""
        what = f"changes of {self.place} from {self.changes_from} to" if self.changes_from else f"{self.place} at"
        return {**RowReadPlan.describe(self), "read": f"{what} version {self.version}", "version": self.version}


class DeltaSource(RowSource):
    """Reads a Delta table."""

    def __init__(self, flow: DataFlow, platform: BasePlatform) -> None:
        super().__init__(flow, platform)
        self._options = checked_options(READ_OPTIONS, "delta", flow.source.read_options)
        if flow.source.path is None:
            msg = f"connection {flow.source.connection_name!r} has no base_path"
            raise ConfigurationError(msg, code="TG119", hint="add configure.base_path to the connection")
        self._path = flow.source.path
        self._table: deltalake.DeltaTable
        """The version that is read."""

    @property
    def place(self) -> str:
        """The table's folder."""
        return self._path

    def plan(self, position: Position, *, scope: ReadScope, window: ColumnWindow | None = None) -> DeltaReadPlan:
        """Fix the version, and from where its rows, or its changes, are read."""
        self._refuse_contradictions()
        self._table = self._open()
        version = self._table.version()
        rows = super().plan(position, scope=scope, window=window)
        fields = {name: getattr(rows, name) for name in RowReadPlan.__dataclass_fields__}
        plan = DeltaReadPlan(**fields, version=version)
        if self._feed is None:
            return plan
        reached = rows.starts.get(COMMIT_VERSION)
        if isinstance(reached, int):
            self._refuse_other_table(reached - 1, rows.position.seen_rows.table)
        first = self._feed.first_version(rows.starts)
        nothing_new = scope == "new" and window is None and first is not None and first > version
        left_out = ("rows as they were before updates (update_preimage) are left out",) if self.flow.source.cdc else ()
        return replace(
            plan,
            changes_from=None if nothing_new else "the table itself" if first is None else f"version {first}",
            nothing_new=f"no commit after version {version}" if nothing_new else None,
            notes=(*plan.notes, *left_out),
        )

    def open(self, plan: ReadPlan, engine: BaseEngine) -> OpenRowRead:
        """Settle the columns, and return the rows as a frame."""
        opened = super().open(plan, engine)
        if self._feed is None or opened.cursor.goes_back:
            return opened
        # a version never gets further rows: none has to be remembered to tell it from those to come
        return replace(opened, cursor=replace(opened.cursor, hashed_columns=()))

    def columns(self, known: Columns) -> Columns:
        """Return the columns of the version."""
        columns = plain_columns(pa.schema(self._table.schema()), known)
        return columns if self._feed is None else self._feed.with_its_columns(columns)

    def frame(self, request: RowRequest, engine: BaseEngine) -> Frame:
        """Return the rows, from the files themselves where these are all there is to know."""
        if self._feed or not has_plain_files(self._table):
            return super().frame(request, engine)
        files = [file for file in listed_files(self._table, self._path, self.platform) if may_hold(file, request)]
        return engine.read_table(files, request.columns)

    def batches(self, request: RowRequest) -> Iterator[pa.RecordBatch]:
        """Yield the rows as delta-rs reads them."""
        with self._failures():
            reader = (
                [self._table.scan(columns=list(request.columns), predicate=predicate_of(request))]
                if self._feed is None
                else self._feed.streams(self._table, request)
            )
            for stream in reader:
                for batch in pa.RecordBatchReader.from_stream(stream):
                    yield exactly(batch.select(list(request.columns)), request.columns, self.place)

    def dataset(self) -> Any:
        """Return the version as a PyArrow dataset, which is read by parts; None where delta-rs has none of it."""
        if self._feed or not has_plain_files(self._table):
            return None
        try:
            return self._table.to_pyarrow_dataset()
        except DeltaError:
            return None

    def finish(self, plan: ReadPlan, opened: OpenRead, reading: Reading) -> Position:
        """Return the position after the read; changes are read up to the version, whether or not it has any."""
        assert isinstance(plan, DeltaReadPlan)  # noqa: S101 - a source finishes its own plans
        position = super().finish(plan, opened, reading)
        if self._feed is None or plan.window:
            return position
        return replace(
            position,
            watermark={**position.watermark, COMMIT_VERSION: plan.version + 1},
            seen_rows=replace(position.seen_rows, table=str(self._table.metadata().id)),
        )

    def explain(
        self, error: Exception, plan: ReadPlan, opened: OpenRead, *, narrowed: Mapping[str, pa.DataType]
    ) -> Exception:
        """Say that files of the version are gone."""
        is_missing = error.code == "TG201" if isinstance(error, TidegateError) else _says_gone(error)
        return self._gone(error) if is_missing else error

    @cached_property
    def _feed(self) -> ChangeFeed | None:
        """What reads changes, when they are asked for."""
        source = self.flow.source
        if not self._options.get("change_feed"):
            return None
        return ChangeFeed(
            starting_version=self._options.get("starting_version"),
            applies_changes=source.cdc is not None,
            opened=self._open,
            committed_at=self._committed_at,
            place=self.place,
        )

    def _refuse_contradictions(self) -> None:
        """Refuse options that exclude each other, and a change feed that would begin anew with every load."""
        options = self._options
        travels = [name for name in ("version", "timestamp") if name in options]
        changes = [name for name in ("change_feed", "starting_version") if options.get(name) not in (None, False)]
        if len(travels) + bool(changes) > 1:
            together = " and ".join([*travels, *changes[:1]])
            msg = f"read_options {together} exclude each other"
            raise ConfigurationError(msg, code="TG116", where=self.place, hint="keep one of them")
        if changes == ["starting_version"]:
            msg = "read option starting_version is one of the change feed"
            raise ConfigurationError(msg, code="TG219", where=self.place, hint="add change_feed: true")
        if changes and tuple(self.flow.source.watermark_columns) != (COMMIT_VERSION,):
            msg = f"a change feed goes on where it stood by its {COMMIT_VERSION}, which is not the watermark column"
            hint = f"source.watermark_columns: [{COMMIT_VERSION}]"
            raise ConfigurationError(msg, code="TG219", where=self.place, hint=hint)

    def _refuse_other_table(self, last: int, table_id: str) -> None:
        """Refuse a table that is not the one whose changes were read up to a version: versions of it would be missed.

        An id that changed since then is no matter, as that of a table that was replaced in a version of its own.
        """
        version = self._table.version()
        read = f"changes were read up to version {last}"
        hint = "`tidegate state rewind` starts over with the table as it is; load_type snapshot removes what is gone"
        if last > version:
            msg = f"{read}, but the table is at version {version}: it was made anew"
            raise SourceError(msg, code="TG218", where=self.place, hint=hint)
        if table_id in {"", str(self._table.metadata().id)}:
            return
        if str(self._open(last).metadata().id) != table_id:
            msg = f"{read} of another table, which was here before: this one was made anew"
            raise SourceError(msg, code="TG218", where=self.place, hint=hint)

    def _open(self, version: int | None = None) -> deltalake.DeltaTable:
        """Return the table at a version; without one, at that of the options, or the newest."""
        version = self._options.get("version") if version is None else version
        moment = self._options.get("timestamp")
        with self._failures(version if version is not None else moment):
            if not deltalake.DeltaTable.is_deltatable(self._path, self._storage):
                raise self._no_table()
            table = deltalake.DeltaTable(self._path, version=version, storage_options=self._storage)
            if moment is not None:
                self._refuse_before_first(table, moment)
                table.load_as_version(moment)
            return table

    def _committed_at(self, version: int) -> datetime:
        """Return when a version was committed (Delta protocol, "In-Commit Timestamps")."""
        path = f"{self._path.rstrip('/')}/_delta_log/{version:020d}.json"
        for line in self.platform.read(path).splitlines():
            about = json.loads(line).get("commitInfo") or {}
            if milliseconds := about.get("inCommitTimestamp") or about.get("timestamp"):
                return datetime.fromtimestamp(milliseconds / 1000, UTC)
        file = self.platform.file(path)
        return datetime.fromtimestamp((file.modified_ns if file else 0) / 1e9, UTC)

    def _refuse_before_first(self, table: deltalake.DeltaTable, moment: Any) -> None:
        """Refuse a moment before the oldest version that the log still has: delta-rs would give that."""
        *_, oldest = table.history()
        if oldest["timestamp"] > moment.timestamp() * 1000:
            msg = f"the table's log has nothing as old as {moment.isoformat()}"
            hint = f"its oldest version is {oldest['version']}"
            raise SourceError(msg, code="TG218", where=self.place, hint=hint)

    @contextmanager
    def _failures(self, wanted: Any = None) -> Iterator[None]:
        """Say in our words why the table cannot be read."""
        try:
            yield
        except TidegateError:
            raise
        except (DeltaError, pa.ArrowException, OSError, ValueError) as error:
            if is_of_store(error):
                raise store_failure(error, self._path, action="read") from error
            if wanted is not None and isinstance(error, DeltaError):
                msg = f"the table has no version {wanted}: {first_line(error)}"
                hint = "its log may have been cleaned up, or it was made anew; `read_options` say which version is read"
                raise SourceError(msg, {"version": str(wanted)}, code="TG218", where=self.place, hint=hint) from error
            if _says_gone(error) and not isinstance(error, TableNotFoundError):
                raise self._gone(error) from error
            msg = f"the Delta table cannot be read: {first_line(error)}"
            hint = "is it a table, readable, and without features that delta-rs does not know?"
            raise SourceError(msg, code="TG220", where=self.place, hint=hint) from error

    def _gone(self, error: Exception) -> SourceError:
        msg = f"files of version {self._table.version()} are gone: {first_line(error)}"
        hint = "they were vacuumed: run again for the newest version, or keep older ones longer"
        return SourceError(msg, code="TG218", where=self.place, hint=hint)

    def _no_table(self) -> SourceError:
        names = [name for name in self.platform.names_in(self._path) if not name.startswith((".", "_"))]
        msg = f"there is no Delta table at {self._path}"
        hint = f"the folder holds {', '.join(names[:5])}" if names else "correct base_path, schema_name or table"
        return SourceError(msg, code="TG201", where=self.place, hint=hint)

    @property
    def _storage(self) -> dict[str, str] | None:
        return dict(self.platform.storage_options) or None


def _says_gone(error: Exception) -> bool:
    return any(word in str(error) for word in _GONE)
