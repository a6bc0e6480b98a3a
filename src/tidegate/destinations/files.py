"""Plain files as a destination: a folder of parquet, csv or jsonl files with a small log of its own.

Files are written to a hidden folder. The commit is one record, created if absent under the next version number: from
then on the load is in. Then its files are moved into place, and replaced ones removed. A process that dies between
record and move leaves that to whoever opens the folder next. Readers of plain files see whole files only, but may see
some of a load's files before others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from tidegate.destinations.commit import Commit
from tidegate.destinations.table import BaseTable, Change, DataFile, Snapshot, StaleSnapshotError
from tidegate.destinations.table_types import fits
from tidegate.engines.base import FileFormat, FileTarget
from tidegate.engines.hive_paths import partition_values
from tidegate.errors import DestinationError, MetadataError, TidegateError
from tidegate.expressions.data_type import describe_type, parse_data_type
from tidegate.models.options import WRITE_OPTIONS, checked_options

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform

_HIDDEN = "_tidegate"
_STAGED = ".staged"
"""End of the names of files that are not committed: a reader's pattern `**/*.parquet` looks into hidden folders too."""
_NESTED_HINT = "csv files hold plain values; use jsonl or parquet, or compute plain columns: additional_columns"


class FileTable(BaseTable):
    """A folder of files."""

    load_types: ClassVar[frozenset[str]] = frozenset({"append", "overwrite", "full_load"})

    def __init__(self, flow: DataFlow, platform: BasePlatform) -> None:
        super().__init__(flow, platform)
        path = flow.destination.path
        connection = flow.destination.connection
        assert path is not None and connection is not None, "checked with the metadata"  # noqa: S101, PT018
        self._path = path
        self._format = cast("FileFormat", connection.format)
        self._log = f"{path}/{_HIDDEN}/log"
        self._staged = f"{path}/{_HIDDEN}/staged"

    @property
    def place(self) -> str:
        """The folder."""
        return self._path

    def recover(self) -> None:
        """Put the files of the newest load into place, if its process died before it did."""
        if record := self._newest():
            self._publish(record)

    def snapshot(self) -> Snapshot:
        """Return the folder as its log has it."""
        names = self._foreign_names()
        record = self._newest()  # after the look: files of a first load appear once its record is there
        if record is None:
            self._refuse_foreign_files(names)
            return Snapshot(version=None)
        flows: Mapping[str, Any] = record["flows"]
        return Snapshot(
            version=record["version"],
            columns={column: parse_data_type(text) for column, text in record["columns"].items()},
            partition_by=tuple(record["partition_by"]),
            sequences=lambda flow: flows[flow]["sequence"] if flow in flows else 0,
            files=lambda: self._files(record),
            handle=record,
        )

    def last_commit(self, dataflow_id: str) -> Commit | None:
        """Return the flow's last commit."""
        record = self._newest()
        if record is None or dataflow_id not in record["flows"]:
            return None
        return Commit.from_data(self._record(record["flows"][dataflow_id]["version"])["commit"])

    def commits(self) -> list[Commit]:
        """Return the last commit of every flow."""
        record = self._newest()
        flows = record["flows"] if record else {}
        return [Commit.from_data(self._record(flow["version"])["commit"]) for flow in flows.values()]

    def target(self, prefix: str, partition_by: tuple[str, ...], *, scratch: str) -> FileTarget:
        """Write to the hidden folder of this load."""
        options = checked_options(WRITE_OPTIONS, self._format, self.flow.destination.write_options)
        return FileTarget(
            folder=f"{self._staged}/{prefix}",
            suffix=_STAGED,
            prefix=prefix,
            format=self._format,
            partition_by=partition_by,
            compression=options.get("compression"),
            max_rows_per_file=options.get("max_rows_per_file"),
            target_file_size=options.get("target_file_size"),
            platform=self.platform,
        )

    def storable(self, column: str, dtype: pa.DataType) -> pa.DataType:
        """Return the type as it is, if the files can hold it and the log can keep it."""
        import pyarrow as pa

        if self._format == "csv" and pa.types.is_nested(dtype):
            msg = f"column {column!r} is {describe_type(dtype)}, which csv files cannot hold"
            raise DestinationError(msg, {"column": column}, code="TG403", where=self._path, hint=_NESTED_HINT)
        if self._format != "parquet" and _has_bytes(dtype):
            msg = f"column {column!r} is {describe_type(dtype)}, and {self._format} files hold text"
            hint = "load into parquet, leave the column out (drop_columns), or keep a digest of it (hash_columns)"
            raise DestinationError(msg, {"column": column}, code="TG403", where=self._path, hint=hint)
        if not _can_be_recorded(dtype):
            msg = f"column {column!r} is {describe_type(dtype)}, which the log of the folder cannot keep"
            hint = f"declare another type: schema_hints: [{{column_name: {column}, data_type: string}}]"
            raise DestinationError(msg, {"column": column}, code="TG403", where=self._path, hint=hint)
        return dtype

    def widening(self, column: str, dtype: pa.DataType, into: pa.DataType) -> Literal["in place", "rewrite"] | None:
        """Rewrite parquet; the files of text formats have no types."""
        return "rewrite" if self._format == "parquet" else "in place"

    def commit(self, snapshot: Snapshot, change: Change, commit: Commit) -> int:
        """Create the next record of the log, then put the files into place."""
        if snapshot.handle:
            self._publish(snapshot.handle)  # its process may have died since this load last called recover()
        version = 0 if snapshot.version is None else snapshot.version + 1
        before = snapshot.handle or {"flows": {}, "columns": {}}
        columns = {name: describe_type(dtype) for name, dtype in change.columns.items()}
        folder = f"{self._staged}/{commit.load_id}"
        record = {
            "version": version,
            "commit": commit.to_data(),
            "flows": {**before["flows"], commit.dataflow_id: {"sequence": commit.sequence, "version": version}},
            "columns": columns if change.replaces_all else {**before["columns"], **columns},
            "partition_by": list(change.partition_by),
            "replaces_all": change.replaces_all,
            "staged": commit.load_id,
            "added": [file.path.removeprefix(f"{folder}/").removesuffix(_STAGED) for file in change.added],
            "removed": [file.path.removeprefix(f"{self._path}/") for file in change.removed],
        }
        self.platform.make_folder(folder)  # as long as it is there the load is not in place, even one without files
        is_created = self.platform.put_if_absent(self._record_path(version), json.dumps(record).encode())
        # a store that was asked again, because its answer was lost, finds what it created itself
        if not is_created and self._record(version)["staged"] != commit.load_id:
            raise StaleSnapshotError
        self._publish(record)
        with suppress(OSError, TidegateError):  # the load is in
            self._sweep(commit)
        return version

    def _sweep(self, commit: Commit) -> None:
        """Remove what killed attempts at this or earlier loads of the flow left: they can never be committed now."""
        flow, _, load = commit.load_id.removeprefix("tg-").partition("-")
        for name in self.platform.names_in(self._staged):
            owner, _, rest = name.removeprefix("tg-").partition("-")
            if owner == flow and rest[:8] <= load[:8]:
                self.platform.remove(f"{self._staged}/{name}")

    def _publish(self, record: Mapping[str, Any]) -> None:
        """Move a committed load's files into place and remove replaced ones. May run twice, and side by side."""
        folder = f"{self._staged}/{record['staged']}"
        if not self.platform.is_folder(folder):
            return
        for name in record["added"]:
            if self.platform.file(f"{folder}/{name}{_STAGED}"):
                self._move(f"{folder}/{name}{_STAGED}", f"{self._path}/{name}")
        for name in record["removed"]:
            self.platform.remove(f"{self._path}/{name}")
        self.platform.remove(folder)

    def _move(self, source: str, target: str) -> None:
        try:
            self.platform.move(source, target)
        except Exception:
            if not self.platform.file(target):  # else another process was quicker
                raise

    def _files(self, newest: Mapping[str, Any]) -> list[DataFile]:
        """Return the files of all loads since the last that replaced everything, in place or not yet."""
        names: list[str] = []
        removed: set[str] = set()
        for record in self._records(newest):
            names.extend(name for name in record["added"] if name not in removed)
            removed.update(record["removed"])
            if record["replaces_all"]:
                break
        return [self._data_file(name) for name in names]

    def _data_file(self, name: str) -> DataFile:
        path = f"{self._path}/{name}"
        file = self.platform.file(path)
        return DataFile(
            path=path,
            rows=None,
            size=file.size if file else 0,
            partition=partition_values(name),
            platform=self.platform,
        )

    def _records(self, newest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        yield newest
        for version in range(newest["version"] - 1, -1, -1):
            yield self._record(version)

    def _newest(self) -> dict[str, Any] | None:
        names = [name for name in self.platform.names_in(self._log) if name.endswith(".json")]
        return self._record(int(names[-1].removesuffix(".json"))) if names else None

    def _record(self, version: int) -> dict[str, Any]:
        path = self._record_path(version)
        try:
            record: dict[str, Any] = json.loads(self.platform.read(path))
        except json.JSONDecodeError as error:
            msg = f"the commit record is damaged: {error.msg}"
            hint = "restore it from a backup; without it the state of the folder is unknown"
            raise DestinationError(msg, code="TG411", where=path, hint=hint) from error
        return record

    def _record_path(self, version: int) -> str:
        return f"{self._log}/{version:020d}.json"

    def _foreign_names(self) -> list[str]:
        if self.platform.names_in(self._log) or not self.platform.is_folder(self._path):
            return []
        return [name for name in self.platform.names_in(self._path) if name != _HIDDEN]

    def _refuse_foreign_files(self, names: list[str]) -> None:
        if self.platform.file(self._path):
            msg = f"there is a file where the folder of this table should be: {self._path}"
            raise DestinationError(msg, code="TG402", where=self._path, hint="use another table name, or move it away")
        if names:
            msg = f"{self._path} holds files that Tidegate did not write"
            hint = f"it holds {', '.join(names[:5])}; use another table name, or move them away"
            raise DestinationError(msg, code="TG402", where=self._path, hint=hint)


def _has_bytes(dtype: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_nested(dtype):
        return any(_has_bytes(dtype.field(place).type) for place in range(dtype.num_fields))
    return bool(pa.types.is_binary(dtype) or pa.types.is_large_binary(dtype) or pa.types.is_binary_view(dtype))


def _can_be_recorded(dtype: pa.DataType) -> bool:
    """Tell whether the type's name in a record is read back as a type that holds its values."""
    try:
        return fits(dtype, parse_data_type(describe_type(dtype)))
    except MetadataError:
        return False
