"""Delta tables: data files written by the engine, committed with delta-rs.

The sequence is the `txn` action of the flow (Delta protocol, "Transaction Identifiers"); the position travels in the
commit's own information. Both are written with the data, in one log entry, on condition of the version that was read.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

import deltalake
import pyarrow as pa
from deltalake import CommitProperties, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from tidegate.destinations.commit import Commit
from tidegate.destinations.delta_log import log_entry
from tidegate.destinations.delta_rules import broken_rules
from tidegate.destinations.statistics import delta_statistics, safe_lower, safe_upper
from tidegate.destinations.table import UNDONE, BaseTable, Change, DataFile, Snapshot, StaleSnapshotError
from tidegate.destinations.table_types import delta_type
from tidegate.engines.base import FileTarget
from tidegate.errors import DestinationError, first_line
from tidegate.models.options import WRITE_OPTIONS, checked_options
from tidegate.platforms.store_failures import is_of_store, store_failure

if TYPE_CHECKING:
    from tidegate.destinations.maintenance import Upkeep
    from tidegate.engines.base import WrittenFile
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform

COMMIT_KEY = "tidegate"
"""Key of our record in the commit information."""

_RESTORE = "RESTORE"
_TARGET_FILE_SIZE = 512 * 1024 * 1024
"""Rough size in memory; about a quarter of it on disk."""


class DeltaTable(BaseTable):
    """A Delta table in a folder."""

    def __init__(self, flow: DataFlow, platform: BasePlatform) -> None:
        super().__init__(flow, platform)
        path = flow.destination.path
        assert path is not None, "checked with the metadata"  # noqa: S101
        self._path = path

    @property
    def place(self) -> str:
        """The table's folder."""
        return self._path

    def snapshot(self) -> Snapshot:
        """Return the table as it is now."""
        table = self._open()
        if table is None:
            return Snapshot(version=None)
        columns = {field.name: _plain(field.type) for field in pa.schema(table.schema()).remove_metadata()}
        return Snapshot(
            version=table.version(),
            columns=columns,
            partition_by=tuple(table.metadata().partition_columns),
            sequences=lambda flow: table.transaction_version(flow) or 0,
            files=lambda: list(_files(table, self._path, self.platform)),
            handle=table,
        )

    def last_commit(self, dataflow_id: str) -> Commit | None:
        """Look for the flow's newest commit in the log."""
        table = self._open()
        if table is None or not (sequence := table.transaction_version(dataflow_id)):
            return None
        for commit in _commits(table):
            if commit.dataflow_id == dataflow_id:
                return replace(commit, sequence=sequence)
        is_undone = any(entry.get(COMMIT_KEY, {}).get("dataflow_id") == dataflow_id for entry in table.history())
        msg = f"commit {sequence} of this dataflow is no longer in the log of {self._path}, and with it its position"
        hint = "tell where it stands: `tidegate state set FLOW COLUMN=VALUE`"
        raise DestinationError(msg, {UNDONE: is_undone}, code="TG408", where=self._path, hint=hint)

    def restored_since(self, version: int, snapshot: Snapshot) -> bool:
        """Look for a RESTORE in the log after `version`."""
        if snapshot.version is None or snapshot.version == version:
            return False
        if snapshot.version < version:
            return True
        table: deltalake.DeltaTable = snapshot.handle
        return any(entry.get("operation") == _RESTORE for entry in table.history(snapshot.version - version))

    def commits(self) -> list[Commit]:
        """Return the last commit of every flow in the log."""
        table = self._open()
        newest: dict[str, Commit] = {}
        for commit in _commits(table) if table else ():
            newest.setdefault(commit.dataflow_id, commit)
        return list(newest.values())

    def target(self, prefix: str, partition_by: tuple[str, ...], *, scratch: str) -> FileTarget:
        """Write Parquet files beside those of the table; the log does not know them yet."""
        options = checked_options(WRITE_OPTIONS, "delta", self.flow.destination.write_options)
        return FileTarget(
            folder=self._path,
            prefix=prefix,
            partition_by=partition_by,
            compression=options.get("compression"),
            max_rows_per_file=options.get("max_rows_per_file"),
            target_file_size=options.get("target_file_size", _TARGET_FILE_SIZE),
            platform=self.platform,
        )

    def storable(self, column: str, dtype: pa.DataType) -> pa.DataType:
        """Return the type in which the table takes a column; Delta has no unsigned numbers and no nanoseconds."""
        return delta_type(column, dtype, self._path)

    def widening(self, column: str, dtype: pa.DataType, into: pa.DataType) -> Literal["in place", "rewrite"] | None:
        """Rewrite: few readers know a table whose files are narrower than its schema (feature `typeWidening`)."""
        return "rewrite"

    def commit(self, snapshot: Snapshot, change: Change, commit: Commit) -> int:
        """Write one log entry: adds, removes, the flow's sequence and its position."""
        properties = CommitProperties(
            custom_metadata={COMMIT_KEY: commit.to_data()},
            max_commit_retries=0,
            app_transactions=[Transaction(commit.dataflow_id, commit.sequence, int(time.time() * 1000))],
        )
        adds = self.platform.map(lambda file: addition(file, self._path), change.added)
        if snapshot.version is None:
            with self._conflicts(None):
                create_table_with_add_actions(
                    self._path,
                    _schema(change.columns),
                    adds,
                    mode="error",
                    partition_by=list(change.partition_by),
                    storage_options=self._storage,
                    commit_properties=properties,
                )
            return 0
        columns = dict(change.columns) if change.replaces_all else {**snapshot.columns, **change.columns}
        if list(columns.items()) != list(snapshot.columns.items()):
            return self._commit_with_schema(snapshot, columns, adds, change, commit)
        with self._conflicts(snapshot.version):
            snapshot.handle.create_write_transaction(
                [*adds, *(_remove(file) for file in change.removed if not change.replaces_all)],
                mode="overwrite" if change.replaces_all else "append",
                schema=_schema(columns),
                partition_by=list(change.partition_by),
                commit_properties=properties,
            )
        return snapshot.version + 1

    def upkeep(self) -> Upkeep:
        """Return how Delta tables are maintained."""
        from tidegate.destinations.delta_maintenance import DeltaUpkeep

        return DeltaUpkeep(self)

    def _commit_with_schema(
        self,
        snapshot: Snapshot,
        columns: Mapping[str, pa.DataType],
        adds: list[AddAction],
        change: Change,
        commit: Commit,
    ) -> int:
        """Write the log entry that changes the schema too; it is the next version, or it is not written."""
        table: deltalake.DeltaTable = snapshot.handle
        about = {
            "operation": "WRITE",
            "operationParameters": {
                "mode": "Overwrite" if change.replaces_all else "Append",
                "partitionBy": json.dumps(list(change.partition_by)),
            },
            "engineInfo": "tidegate",
            COMMIT_KEY: commit.to_data(),
        }
        removed = snapshot.files() if change.replaces_all else change.removed
        flow = (commit.dataflow_id, commit.sequence)
        entry = log_entry(table, columns, adds, removed, about=about, transaction=flow)
        version = table.version() + 1
        if not self.platform.put_if_absent(f"{self._path}/_delta_log/{version:020d}.json", entry):
            raise StaleSnapshotError
        return version

    def _open(self, *, again: bool = True) -> deltalake.DeltaTable | None:
        if self.platform.file(self._path):
            msg = f"there is a file where the folder of this table should be: {self._path}"
            raise DestinationError(msg, code="TG402", where=self._path, hint="use another table name, or move it away")
        if not self.platform.is_folder(self._path):
            return None
        try:
            table = deltalake.DeltaTable(self._path, storage_options=self._storage)
        except TableNotFoundError:
            foreign = self._foreign_files()
            if again and any(name.startswith("_delta_log/") for name in foreign):
                return self._open(again=False)  # another load created it between the two looks
            if foreign:
                msg = f"{self._path} is a folder with other things in it, not a Delta table"
                hint = f"it holds {', '.join(foreign[:5])}; use another table name, or move them away"
                raise DestinationError(msg, code="TG402", where=self._path, hint=hint) from None
            return None
        except (DeltaError, OSError) as error:
            if is_of_store(error):
                raise store_failure(error, self._path, action="read") from error
            msg = f"the Delta table cannot be opened: {first_line(error)}"
            raise DestinationError(msg, code="TG401", where=self._path, hint="is it a table, and readable?") from error
        self._refuse_unknown_features(table)
        return table

    def _foreign_files(self) -> list[str]:
        """Return what lies in the folder, but for what a first load left that died before its commit."""
        log = (f"_delta_log/{name}" for name in self.platform.names_in(f"{self._path}/_delta_log"))
        data = (_below(file.path, self._path) for file in self.platform.files_below(self._path))
        return [
            *(name for name in log if name.endswith((".json", ".parquet"))),
            *(name for name in data if not is_ours(name.rpartition("/")[2])),
        ]

    def _refuse_unknown_features(self, table: deltalake.DeltaTable) -> None:
        """Refuse a table whose rules we would break by writing files ourselves."""
        unknown = broken_rules(table, self.flow.destination.strategy)
        if unknown:
            msg = f"the table uses Delta features that Tidegate does not write: {', '.join(sorted(unknown))}"
            hint = "load into a table without them, or remove them (deletion vectors: REORG TABLE ... APPLY (PURGE))"
            raise DestinationError(msg, {"features": sorted(unknown)}, code="TG407", where=self._path, hint=hint)

    @contextmanager
    def _conflicts(self, version: int | None) -> Iterator[None]:
        """Tell a commit that came too late from one that the table does not take: only the first may be repeated."""
        try:
            yield
        except (DeltaError, OSError) as error:
            if self._moved_on(version, error):
                raise StaleSnapshotError from error
            if is_of_store(error):
                raise store_failure(error, self._path, action="write") from error
            msg = f"the commit failed: {first_line(error)}"
            raise DestinationError(
                msg, code="TG401", where=self._path, hint="nothing was changed; run again"
            ) from error

    def _moved_on(self, version: int | None, error: Exception) -> bool:
        """Tell whether another commit followed `version`; None is the table before its first."""
        if version is None:
            was_first = isinstance(error, CommitFailedError) or "already exists" in str(error)
            return was_first and deltalake.DeltaTable.is_deltatable(self._path, self._storage)
        if not isinstance(error, CommitFailedError):
            return False
        return deltalake.DeltaTable(self._path, storage_options=self._storage).version() != version

    @property
    def _storage(self) -> dict[str, str] | None:
        return dict(self.platform.storage_options) or None


def addition(file: WrittenFile, root: str, *, data_change: bool = True) -> AddAction:
    """Return the action that adds a file; without `data_change` its rows are in the table already."""
    return AddAction(
        path=_below(file.path, root),
        size=file.size,
        partition_values=dict(file.partition),
        modification_time=int(time.time() * 1000),
        data_change=data_change,
        stats=delta_statistics(file),
    )


def _below(path: str, root: str) -> str:
    """Return the path of a file as the log has it."""
    return path.removeprefix(f"{root}/") if "://" in root else os.path.relpath(path, root)


def _files(table: deltalake.DeltaTable, root: str, platform: BasePlatform) -> Iterator[DataFile]:
    for row in pa.table(table.get_add_actions()).to_pylist():
        path = unquote(row["path"])
        yield DataFile(
            path=f"{root}/{path}" if "://" in root else str(Path(root, path)),
            rows=row["num_records"],
            size=row["size_bytes"],
            partition={key: _text(value) or None for key, value in (row.get("partition") or {}).items()},
            lower={column: safe_lower(bound) for column, bound in (row.get("min") or {}).items()},
            upper={column: safe_upper(bound) for column, bound in (row.get("max") or {}).items()},
            nulls={column: count for column, count in (row.get("null_count") or {}).items() if isinstance(count, int)},
            reference=path,
            platform=platform,
        )


def _text(value: Any) -> str | None:
    from tidegate.engines.base import partition_text

    return partition_text(value)


def _remove(file: DataFile) -> RemoveAction:
    return RemoveAction(
        path=file.reference,
        data_change=True,
        deletion_timestamp=int(time.time() * 1000),
        size=file.size,
        partition_values=dict(file.partition),
    )


def _commits(table: deltalake.DeltaTable) -> Iterator[Commit]:
    """Yield our commits that still count, newest first; look at a few log entries before all of them.

    A commit that a RESTORE has undone does not count: its rows are gone, though its sequence stays in the log.
    """
    newest = table.version() + 1
    counts: Callable[[Mapping[str, Any]], bool] = lambda _: True  # noqa: E731 - replaced at each RESTORE
    for limit in (8, None):
        for entry in table.history(limit):
            if entry["version"] >= newest:
                continue
            newest = entry["version"]
            if not counts(entry):
                continue
            if entry.get("operation") == _RESTORE:
                counts = _restored_by(entry)
            elif COMMIT_KEY in entry:
                yield Commit.from_data(entry[COMMIT_KEY])


def _restored_by(restore: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], bool]:
    """Return the test for log entries that a RESTORE has kept, by version or by time in milliseconds."""
    parameters = restore["operationParameters"]
    if parameters.get("version") is not None:
        version = int(parameters["version"])
        return lambda entry: bool(entry["version"] <= version)
    time_ms = int(parameters["datetime"])
    return lambda entry: bool(entry["timestamp"] <= time_ms)


def _schema(columns: Mapping[str, pa.DataType]) -> Schema:
    return Schema.from_arrow(pa.schema(list(columns.items())))


def _plain(dtype: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype) else dtype


def is_ours(name: str) -> bool:
    """Tell the data files that loads write."""
    return name.startswith("tg-")
