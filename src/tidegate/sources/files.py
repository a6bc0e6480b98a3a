"""Files as a source: a file, a folder or a glob of csv, json, jsonl, parquet, avro or excel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from tidegate.engines.base import (
    FILE_INFO_COLUMNS,
    FILE_MODIFICATION_TIME,
    FILE_NAME,
    FILE_PATH,
    FileFormat,
    FileScan,
)
from tidegate.engines.hive_paths import partition_values
from tidegate.engines.meter import Cursor
from tidegate.errors import ConfigurationError, SourceError
from tidegate.expressions.data_type import describe_type, parse_data_type
from tidegate.models.options import READ_OPTIONS, checked_options
from tidegate.sources.as_read import declared_types_of, doubt_about, hinted_types, keeps_names, with_declared_values
from tidegate.sources.base import BaseSource, OpenRead, ReadPlan
from tidegate.sources.date_folders import dated_listing, newest_folder
from tidegate.sources.file_columns import TYPED_FORMATS, Columns, check_columns, group_files, resolve_types
from tidegate.sources.file_listing import (
    Selection,
    is_unchanged,
    list_files,
    seen_as,
    select_files,
    select_in_window,
    source_root,
)
from tidegate.sources.file_plan import FileReadPlan, late_notes, refuse_doubling, text_notes
from tidegate.sources.look_back import look_back_of, unmoved_notes
from tidegate.sources.partitions import known_partition_value, partition_type
from tidegate.sources.watermark_columns import check_watermark, row_watermark
from tidegate.state import Position

if TYPE_CHECKING:
    from tidegate.engines.base import BaseEngine
    from tidegate.engines.meter import Reading
    from tidegate.sources.base import ColumnWindow, ReadScope
    from tidegate.state.watermark import Value

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFileRead(OpenRead):
    """An open read of files; keeps the scan and its engine, to find the place of a failure."""

    scan: FileScan
    engine: BaseEngine


class FileSource(BaseSource):
    """Reads files. Each file is read once, unless it changes; rows are told apart by the watermark columns."""

    @property
    def place(self) -> str:
        """The file, folder or glob."""
        return self.flow.source.path or ""

    def plan(self, position: Position, *, scope: ReadScope, window: ColumnWindow | None = None) -> FileReadPlan:
        """List the files, and leave out those that show nothing new."""
        path = self.flow.source.path
        if path is None:
            msg = f"connection {self.flow.source.connection_name!r} has no base_path"
            raise ConfigurationError(msg, code="TG119", hint="add configure.base_path to the connection")
        file_format = cast("FileFormat", self.flow.source.connection.format)  # type: ignore[union-attr]
        root = source_root(self.platform, path)
        has_partitions = self.flow.source.connection.settings.use_hive_partitioning  # type: ignore[union-attr]
        dated = dated_listing(self.flow.source, position, self.platform) if scope == "new" and window is None else None
        files = list_files(self.platform, path, file_format, dated)
        cursor = self._cursor(position, position.columns)
        starts: dict[str, Value] = {}
        everything = scope == "all" or window is not None
        again = scope == "window" and window is None and not is_unchanged(files, position, root)
        about: dict[str, Any] = {
            "has_partitions": has_partitions, "platform": self.platform, "hinted": hinted_types(self.flow)
        }  # fmt: skip
        if window and not keeps_names(self.flow, window.column):
            selection = Selection(read=tuple(files))
        elif window:
            selection = select_in_window(files, window, root, file_format, **about)
            if scope == "window" and not selection.read:  # no row is left in the window: any file says so
                selection = Selection(read=tuple(files[-1:]))
        elif everything:
            selection = Selection(read=tuple(files))
        else:
            starts = {column: start for column in cursor.columns if (start := cursor.start(column)) is not None}
            is_plain = all(keeps_names(self.flow, column) for column in cursor.columns)
            all_starts = starts if is_plain and len(starts) == len(cursor.columns) else {}
            known = replace(position, seen_files={}) if again else position
            selection = select_files(files, known, all_starts, root, file_format, **about)
            if again and not selection.read:  # no row is left in the window: any file says so
                selection = Selection(read=tuple(files[-1:]))
            if self.flow.destination.strategy == "append":
                refuse_doubling(selection, cursor, position)
        if not files and (everything or not position):
            hint = "put a file there, or correct the path; hidden files (`_`, `.`) are not read"
            raise SourceError(f"no {file_format} files at {path}", {"file": path}, code="TG201", hint=hint)
        return FileReadPlan(
            place=path,
            position=Position() if everything else position,
            starts=starts,
            nothing_new=None if selection.read else "nothing in the window" if window else "nothing new",
            notes=(
                *late_notes(selection, appends=self.flow.destination.appends),
                *(dated.notes() if dated else ()),
                *text_notes(cursor.columns, position, file_format),
                *unmoved_notes(cursor),
            ),
            root=root,
            format=file_format,
            selection=selection,
            replaces_seen=tuple(files) if again else (),
            older_folders=dated.older if dated else None,
            inspects_all=bool(selection.read) and self._inspects_all(file_format),
        )

    def open(self, plan: ReadPlan, engine: BaseEngine) -> OpenFileRead:
        """Look at the files' columns, settle the types, and return the frame."""
        assert isinstance(plan, FileReadPlan)  # noqa: S101 - a source opens its own plans
        options = self._options(plan.format)
        hinted = (hint.column_name for hint in self.flow.transform.schema_hints if hint.is_active)
        settled = {column.lower() for column in (*plan.position.columns, *hinted)}
        paths = [file.path for file in plan.selection.read]
        columns_of = self.platform.map(
            lambda path: engine.inspect(path, plan.format, options, settled, self.platform), paths
        )
        inspected = dict(zip(paths, columns_of, strict=True))
        known = {
            column: parse_data_type(text)
            for column, text in plan.position.columns.items()
            if column not in FILE_INFO_COLUMNS
        }
        per_file, per_file_types = self._per_file(plan, options, known)
        known_in_files = {column: dtype for column, dtype in known.items() if column not in per_file}
        policy = self.flow.destination.settings.schema_policy
        lacking = check_columns(inspected, known_in_files, policy)
        types = resolve_types(inspected, known_in_files, self._declared(inspected), exact=plan.format in TYPED_FORMATS)
        groups = group_files(inspected, self._as_shaped(types), plan.format, options, self.platform)
        scan = FileScan(
            groups=groups, columns={**_read_types(groups, types, self.flow), **per_file_types}, per_file=per_file
        )
        columns = {**types, **per_file_types}
        watermark_columns = row_watermark(self.flow, columns)
        check_watermark(watermark_columns, self._converted(columns), plan.position.watermark, plan.place)
        frame = engine.scan(scan)
        as_read = engine.schema(frame)
        hashed = {column: dtype for column, dtype in columns.items() if column != FILE_MODIFICATION_TIME}
        cursor = replace(
            self._cursor(plan.position, columns),
            hashed_columns=tuple(hashed),
            types=declared_types_of(self.flow, as_read, hashed),
        )
        gone = _gone(plan, cursor, inspected, per_file)
        if cursor.must_remember and gone is not None:
            cursor = replace(cursor, doubt=doubt_about(cursor.seen, cursor.types, gone))
        return OpenFileRead(
            frame=with_declared_values(frame, self.flow, as_read, engine) if cursor.columns else frame,
            columns=columns,
            cursor=cursor,
            notes=(f"the source lacks {', '.join(lacking)}",) if lacking else (),
            scan=scan,
            engine=engine,
        )

    def finish(self, plan: ReadPlan, opened: OpenRead, reading: Reading) -> Position:
        """Check that the files are as they were listed, and return the position after them."""
        assert isinstance(plan, FileReadPlan)  # noqa: S101 - a source finishes its own plans
        selection = plan.selection
        now = self.platform.map(self.platform.file, (file.path for file in selection.read))
        for file, there in zip(selection.read, now, strict=True):
            if there != file:
                msg = f"the file changed while it was read: {file.path}"
                hint = "run again; write files elsewhere and move them into place once they are complete"
                raise SourceError(msg, {"file": file.path}, code="TG207", where=file.path, hint=hint)
        watermark = dict(reading.watermark)
        if FILE_MODIFICATION_TIME in self.flow.source.watermark_columns and selection.read:
            newest = max(file.modified_ns for file in selection.read)
            times = [_time(newest), plan.position.watermark.get(FILE_MODIFICATION_TIME)]
            watermark[FILE_MODIFICATION_TIME] = max(time for time in times if isinstance(time, datetime))
        seen_before = {} if plan.replaces_seen else plan.position.seen_files
        return replace(
            plan.position,
            watermark=watermark,
            seen_rows=reading.seen,
            cursor_columns=opened.cursor.columns,
            seen_files={
                **seen_before,
                **dict(seen_as(file, plan.root) for file in (*plan.replaces_seen, *selection.read)),
            },
            date_folder=newest_folder(self.flow.source, plan.position, selection.read, plan.root),
            columns={**plan.position.columns, **{name: describe_type(dtype) for name, dtype in opened.columns.items()}},
        )

    def explain(
        self, error: Exception, plan: ReadPlan, opened: OpenRead, *, narrowed: Mapping[str, pa.DataType]
    ) -> Exception:
        """Find the file and the row that a failure comes from."""
        assert isinstance(opened, OpenFileRead)  # noqa: S101 - a source explains its own reads
        return opened.engine.locate(error, opened.scan, opened.columns, self.flow, narrowed=narrowed)

    def _as_shaped(self, types: Columns) -> Columns:
        """Return the types to read text in: where value rules come before a conversion, what is written counts."""
        hinted = {hint.column_name.lower() for hint in self.flow.transform.schema_hints if hint.is_active}
        shaped = hinted & self.flow.transform.shaped_columns
        return {column: pa.string() if column.lower() in shaped else dtype for column, dtype in types.items()}

    def _converted(self, columns: Columns) -> Columns:
        """Return the types in which watermarks compare: after naive timestamps were given their zone."""
        if not self.flow.transform.settings.convert_timestamp_ntz:
            return columns
        return {
            name: pa.timestamp("us", "UTC") if pa.types.is_timestamp(dtype) else dtype
            for name, dtype in columns.items()
        }

    def _cursor(self, position: Position, columns: Iterable[str]) -> Cursor:
        """Return from where rows are read; without columns when files alone tell what is new."""
        watermark_columns = row_watermark(self.flow, columns)
        return Cursor(
            columns=watermark_columns,
            watermark=position.watermark,
            lag=self.flow.source.watermark_lag,
            look_back=look_back_of(self.flow.source),
            seen=position.seen_rows,
            must_remember=self.flow.destination.appends,
        )

    def _options(self, file_format: str) -> dict[str, Any]:
        return checked_options(READ_OPTIONS, file_format, self.flow.source.read_options)

    def _declared(self, inspected: Mapping[str, Columns]) -> Columns:
        """Return the types that schema hints declare, under the files' spelling of the columns."""
        spelling = {column.lower(): column for columns in inspected.values() for column in columns}
        system = self.flow.source.connection.settings.schema_hint_type_system if self.flow.source.connection else None
        return {
            spelling[hint.column_name.lower()]: parse_data_type(
                hint.data_type, type_system=system, precision=hint.precision, scale=hint.scale
            )
            for hint in self.flow.transform.schema_hints
            if hint.is_active and hint.column_name.lower() in spelling
        }

    def _per_file(
        self, plan: FileReadPlan, options: Mapping[str, Any], known: Columns
    ) -> tuple[dict[str, dict[str, Any]], Columns]:
        """Return the columns that come from a file's place, by column and file path, and their types."""
        files = plan.selection.read
        values: dict[str, dict[str, Any]] = {}
        types: Columns = {}
        if self.flow.source.connection and self.flow.source.connection.settings.use_hive_partitioning:
            found = {file.path: partition_values(file.path.removeprefix(plan.root)) for file in files}
            for column in dict.fromkeys(name for partition in found.values() for name in partition):
                texts = {path: partition.get(column) for path, partition in found.items()}
                types[column] = known.get(column) or partition_type(texts.values())
                values[column] = {
                    path: known_partition_value(column, text, types[column], path) for path, text in texts.items()
                }
        if options.get("include_file_info") or set(self.flow.source.watermark_columns) & set(FILE_INFO_COLUMNS):
            values |= {
                FILE_NAME: {file.path: PurePath(file.path).name for file in files},
                FILE_PATH: {file.path: file.path for file in files},
                FILE_MODIFICATION_TIME: {file.path: _time(file.modified_ns) for file in files},
            }
            types |= {FILE_NAME: pa.string(), FILE_PATH: pa.string(), FILE_MODIFICATION_TIME: pa.timestamp("us", "UTC")}
        return values, types

    def _inspects_all(self, file_format: FileFormat) -> bool:
        length = self._options(file_format).get("infer_schema_length", 1 if file_format == "csv" else None)
        return file_format not in TYPED_FORMATS and length is None


def _gone(
    plan: FileReadPlan, cursor: Cursor, inspected: Mapping[str, Columns], per_file: Mapping[str, Any]
) -> tuple[str, ...] | None:
    """Return the columns that files which are read again lack, and rows were remembered by; None for no such file.

    A field that JSON lacks is NULL, whether all of a file lacks it or one row.
    """
    again = [
        inspected[file.path] for file in (*plan.selection.changed, *plan.selection.moved) if file.path in inspected
    ]
    if not again:
        return None
    there = [{column.lower() for column in (*columns, *per_file)} for columns in again]
    is_sparse = plan.format in {"json", "jsonl"}
    return tuple(
        column for column in cursor.seen.columns if not is_sparse and any(column.lower() not in one for one in there)
    )


def _read_types(groups: tuple[Any, ...], types: Columns, flow: Any) -> Columns:
    """Return the types in which columns leave the scan: as read where a later step converts, else as settled."""
    hinted = {hint.column_name.lower() for hint in flow.transform.schema_hints if hint.is_active}
    read: Columns = {}
    for group in groups:
        for column, dtype in group.columns.items():
            if column.lower() in hinted:
                read[column] = dtype if read.get(column, dtype) == dtype else pa.string()
            else:
                read[column] = types[column]
    return read


def _time(nanoseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
