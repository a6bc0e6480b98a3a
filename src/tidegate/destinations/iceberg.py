"""Iceberg tables: data files written by the engine with the table's field ids, committed with PyIceberg.

Sequence and position are in the flow's table property and in the snapshot's summary. They are written with the data,
the schema and the removal of replaced files, in one new version of the table's metadata, on condition that the table's
current snapshot is the one that was read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, ClassVar, Literal

from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NoSuchTableError,
    RESTError,
    TableAlreadyExistsError,
)

from tidegate.connections.iceberg import (
    TableInCatalog,
    foreign_names,
    is_collision,
    is_database_error,
    local_path,
)
from tidegate.destinations.commit import Commit
from tidegate.destinations.iceberg_history import TableHistory
from tidegate.destinations.iceberg_rules import (
    ADDING_STRATEGIES,
    broken_rules,
    broken_rules_of_files,
    broken_rules_of_rows,
    data_folder,
)
from tidegate.destinations.iceberg_schema import (
    arrow_columns,
    change_schema,
    field_ids,
    new_partitions,
    new_schema,
)
from tidegate.destinations.iceberg_transaction import (
    NEW_TABLE_PROPERTIES,
    TableVersion,
    commit_first,
    commit_next,
    transaction_on,
)
from tidegate.destinations.table import BaseTable, Change, Snapshot, StaleSnapshotError
from tidegate.destinations.table_types import iceberg_type, iceberg_united
from tidegate.engines.base import FieldId, FileTarget
from tidegate.errors import DestinationError, TidegateError, first_line
from tidegate.models.options import WRITE_OPTIONS, checked_options

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile as ListedFile
    from pyiceberg.table import Table

    from tidegate.destinations.maintenance import Upkeep
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform

_TARGET_FILE_SIZE = 512 * 1024 * 1024
"""Rough size in memory; about a quarter of it on disk."""
_WAITS_SECONDS = (0.1, 0.5, 1.0, 2.0)
"""How long a commit whose answer was lost is given to appear."""


class IcebergTable(BaseTable):
    """An Iceberg table in a catalog."""

    has_empty_partitions: ClassVar[bool] = True
    partitions_by_floats: ClassVar[bool] = False  # PyIceberg's manifests keep doubles as floats of 32 bits

    def __init__(self, flow: DataFlow, platform: BasePlatform) -> None:
        super().__init__(flow, platform)
        destination = flow.destination
        assert destination.connection is not None, "checked with the metadata"  # noqa: S101
        self._where = TableInCatalog(destination.connection, destination.schema_name, destination.table, platform)
        self._table: Table | None = None
        """As it was last read: what is written next is written for it."""
        self._new_folder: str | None = None

    @property
    def place(self) -> str:
        """The table's folder; in a declared catalog its name."""
        return self._where.place

    def snapshot(self, *, rewrites: bool = False) -> Snapshot:
        """Return the table as it is now.

        Args:
            rewrites: Whether rows of the table are read and written anew, also where the load type does not do so.
        """
        self._table = table = self._load()
        reads_rows = rewrites or self._reads_rows
        if table is None:
            self._refuse_foreign_files()
            return Snapshot(version=None)
        self._refuse(broken_rules(table))
        if reads_rows:
            self._refuse(broken_rules_of_rows(table))
        history = TableHistory(table.metadata, self.place)
        allow = self._refuse_unreadable if reads_rows else lambda _: None
        there = TableVersion(table=table, history=history, allow=allow)
        return Snapshot(
            version=history.version,
            columns=arrow_columns(table.schema()),
            partition_by=_partition_columns(table),
            sequences=history.sequence,
            files=there.files,
            handle=there,
        )

    def last_commit(self, dataflow_id: str) -> Commit | None:
        """Return the flow's newest commit on the way to the current snapshot."""
        table = self._load()
        return TableHistory(table.metadata, self.place).last_commit(dataflow_id) if table else None

    def restored_since(self, version: int, snapshot: Snapshot) -> bool:
        """Tell whether the current snapshot does not go back to the one with this sequence number."""
        return snapshot.version is not None and not snapshot.handle.history.contains(version)

    def commits(self) -> list[Commit]:
        """Return the last commit of every flow that wrote the table."""
        table = self._load()
        if table is None:
            return []
        history = TableHistory(table.metadata, self.place)
        found: list[Commit] = []
        for flow in history.flows():
            with suppress(DestinationError):  # undone, and its position is not kept
                found.extend(filter(None, [history.last_commit(flow)]))
        return found

    def target(self, prefix: str, partition_by: tuple[str, ...], *, scratch: str) -> FileTarget:
        """Write Parquet files where the table has its own; no metadata know them yet."""
        options = checked_options(WRITE_OPTIONS, "iceberg", self.flow.destination.write_options)
        return FileTarget(
            folder=self._data_folder(),
            prefix=prefix,
            partition_by=partition_by,
            compression=options.get("compression"),
            max_rows_per_file=options.get("max_rows_per_file"),
            target_file_size=options.get("target_file_size", _TARGET_FILE_SIZE),
            keeps_partition_columns=True,
            field_ids=self._field_ids,
        )

    def storable(self, column: str, dtype: pa.DataType) -> pa.DataType:
        """Return the type in which the table takes a column."""
        return iceberg_type(column, dtype, self.place)

    def widening(self, column: str, dtype: pa.DataType, into: pa.DataType) -> Literal["in place", "rewrite"] | None:
        """Let a column grow where Iceberg lets it, else rewrite it; partition values stay as they are."""
        if self._table is not None and column in _partition_columns(self._table):
            return None
        return "in place" if iceberg_united(into, dtype) == into else "rewrite"

    def commit(self, snapshot: Snapshot, change: Change, commit: Commit) -> int:
        """Write one new version of the table's metadata: schema, files, the flow's sequence and its position."""
        with self.conflicts(commit):
            if snapshot.version is None:
                self._where.make_namespace()  # a batch without rows has written no file that would have made it
            with self._where.opened():
                if snapshot.version is not None:
                    return commit_next(snapshot.handle, change, commit)
                schema = new_schema(change.columns)
                partitions = new_partitions(schema, change.partition_by)
                transaction = self._where.creation(schema, partitions, dict(NEW_TABLE_PROPERTIES))
                return commit_first(transaction, change, commit)

    def upkeep(self) -> Upkeep:
        """Return how Iceberg tables are maintained."""
        from tidegate.destinations.iceberg_maintenance import IcebergUpkeep

        return IcebergUpkeep(self, self._where)

    @property
    def _reads_rows(self) -> bool:
        """Whether this load reads rows of the table, to write them anew."""
        return self.flow.destination.strategy not in ADDING_STRATEGIES

    def _data_folder(self) -> str:
        if self._table is not None:
            return local_path(data_folder(self._table)) or ""  # checked with the snapshot
        if self._new_folder is None:
            with self._readable():
                location = self._where.new_location()
            folder = local_path(location)
            if folder is None:
                self._refuse({f"location {location}": "declare configure.base_path on a file system of this machine"})
            self._new_folder = f"{folder}/data"
        return self._new_folder

    def _field_ids(self, columns: Mapping[str, pa.DataType]) -> Mapping[str, FieldId]:
        """Return the ids that the table has, or will give, to the columns of files that are written now."""
        if self._table is None:
            return field_ids(new_schema(columns))
        return field_ids(change_schema(transaction_on(self._table), columns, replace=True))

    def _load(self) -> Table | None:
        with self._readable():
            return self._where.load()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Say in our words why the table cannot be read."""
        try:
            yield
        except TidegateError:
            raise
        except FileNotFoundError as error:
            msg = f"the catalog knows {self.place}, but its metadata are gone: {first_line(error)}"
            hint = "restore its folder, or drop the table from the catalog"
            raise DestinationError(msg, code="TG401", where=self.place, hint=hint) from error
        except Exception as error:
            msg = f"the Iceberg table cannot be opened: {first_line(error)}"
            hint = "is it a table, and readable?"
            raise DestinationError(msg, code="TG401", where=self.place, hint=hint) from error

    def _refuse_foreign_files(self) -> None:
        """Refuse a folder with other things in it than what a first load left that died before its commit."""
        folder = local_path(self._where.folder or "")
        if folder is None:
            return
        if self.platform.file(folder):
            msg = f"there is a file where the folder of this table should be: {folder}"
            raise DestinationError(msg, code="TG402", where=folder, hint="use another table name, or move it away")
        foreign = foreign_names(folder, self.platform)
        if foreign and self._load() is None:  # not created by another load between the two looks
            msg = f"{folder} is a folder with other things in it, and no table of catalog {self._where.catalog_name!r}"
            hint = f"it holds {', '.join(foreign[:5])}; use another table name, or move them away"
            raise DestinationError(msg, code="TG402", where=folder, hint=hint)

    def _refuse_unreadable(self, files: list[ListedFile]) -> None:
        if self._table is not None:
            self._refuse(broken_rules_of_files(self._table, files))

    def _refuse(self, broken: Mapping[str, str]) -> None:
        """Refuse a table that we would write or read wrongly."""
        if broken:
            msg = f"the table uses Iceberg features that Tidegate does not keep: {', '.join(sorted(broken))}"
            hint = "; ".join(sorted(set(broken.values())))
            raise DestinationError(msg, {"features": sorted(broken)}, code="TG407", where=self.place, hint=hint)

    @contextmanager
    def conflicts(self, commit: Commit | None) -> Iterator[None]:
        """Tell a commit that came too late from one that the table does not take: only the first may be repeated.

        Args:
            commit: What is committed; None for what keeps the rows, which is not repeated when its answer was lost.
        """
        try:
            yield
        except TidegateError:
            raise
        except (CommitFailedException, TableAlreadyExistsError, NoSuchTableError) as error:
            raise StaleSnapshotError from error
        except Exception as error:
            if is_collision(error):
                raise StaleSnapshotError from error
            if commit and (isinstance(error, RESTError) or is_database_error(error) or _is_of_network(error)):
                self._wait_for(commit)
            if commit and (isinstance(error, CommitStateUnknownException) or _is_of_network(error)):
                raise StaleSnapshotError from error  # whether it got in is found by reading
            msg = f"the commit failed: {first_line(error)}"
            hint = "nothing was changed; run again" if commit else "no row was changed; run again"
            raise DestinationError(msg, code="TG401", where=self.place, hint=hint) from error

    def _wait_for(self, commit: Commit) -> None:
        """Give a commit whose answer was lost the time to appear."""
        for seconds in _WAITS_SECONDS:
            with suppress(TidegateError):
                there = self.last_commit(commit.dataflow_id)
                if there is not None and there.load_id == commit.load_id:
                    return
            time.sleep(seconds)


def _partition_columns(table: Table) -> tuple[str, ...]:
    columns = {field.field_id: field.name for field in table.schema().fields}
    return tuple(columns[part.source_id] for part in table.spec().fields if part.source_id in columns)


def _is_of_network(error: Exception) -> bool:
    return type(error).__module__.startswith("requests")
