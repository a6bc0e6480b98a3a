"""What a table is to a load: snapshots of its files, changes to them, and the one step that makes a change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from tidegate.errors import DestinationError
from tidegate.models.destination import LoadType
from tidegate.platforms.local import LOCAL
from tidegate.registry import PluginRegistry

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.destinations.commit import Commit
    from tidegate.destinations.maintenance import Upkeep
    from tidegate.destinations.selection import Selection
    from tidegate.engines.base import FileTarget, WrittenFile
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform


UNDONE = "undone"
"""Detail of the error TG408: whether the commit is not lost, but was undone with all before it."""


class StaleSnapshotError(Exception):
    """The table moved on since its snapshot was read. Internal to the commit loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A file of a table, as a snapshot lists it. Bounds are those of statistics, None where unknown."""

    path: str
    """Absolute."""
    rows: int | None
    size: int
    partition: Mapping[str, str | None] = field(default_factory=dict)
    lower: Mapping[str, Any] = field(default_factory=dict)
    upper: Mapping[str, Any] = field(default_factory=dict)
    nulls: Mapping[str, int] = field(default_factory=dict)
    """Column → how many values are NULL, where known."""
    reference: str = ""
    """The table format's own name of the file."""
    platform: BasePlatform = LOCAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A table at one version. `version` is None when it does not exist yet."""

    version: int | None
    columns: Mapping[str, pa.DataType] = field(default_factory=dict)
    partition_by: tuple[str, ...] = ()
    sequences: Callable[[str], int] = lambda _: 0
    """Dataflow id → sequence number of its last commit, 0 when it never committed."""
    files: Callable[[], list[DataFile]] = list
    """All files of this version."""
    handle: Any = None
    """What the table itself needs to commit on this version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """What a load does to the rows of a table, in this order."""

    removed: Selection | None = None
    """Rows that go first."""
    merged: tuple[WrittenFile, ...] = ()
    """Rows that each take the place of the row with the same identity, or are added where there is none."""
    identity: tuple[str, ...] = ()
    """Columns that tell a merged row from all others; NULL equals NULL."""
    added: tuple[WrittenFile, ...] = ()
    """Rows that are added."""
    kept: tuple[WrittenFile, ...] = ()
    """Rows that were removed with others, and stay: all columns of the table."""
    columns: Mapping[str, pa.DataType] = field(default_factory=dict)
    """Columns of merged and added rows besides those of the load, which these rows have values for too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a load adds to and removes from a snapshot."""

    added: tuple[WrittenFile, ...] = ()
    removed: tuple[DataFile, ...] = ()
    columns: Mapping[str, pa.DataType] = field(default_factory=dict)
    """Columns of the rows that are added."""
    partition_by: tuple[str, ...] = ()
    replaces_all: bool = False
    rows: RowChange | None = None
    """What becomes of rows, for tables whose rows are changed in place; None for rows that are only added."""
    rows_updated: int | None = None
    rows_deleted: int | None = None


class BaseTable(ABC):
    """One table or folder that loads commit to: the physical destination of a dataflow.

    Attributes:
        load_types: What can be done to such a table.
        has_empty_partitions: Whether empty text is a partition value of its own; else it is kept as NULL.
        partitions_by_floats: Whether a float can be a partition value.
        keeps_rows: Whether rows are changed in place, by a :class:`RowChange`; else files take the place of files.
    """

    load_types: ClassVar[frozenset[str]] = frozenset(get_args(LoadType))
    has_empty_partitions: ClassVar[bool] = False
    partitions_by_floats: ClassVar[bool] = True
    keeps_rows: ClassVar[bool] = False

    def __init__(self, flow: DataFlow, platform: BasePlatform) -> None:
        self.flow = flow
        self.platform = platform

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the table is, as people write it."""

    def recover(self) -> None:  # noqa: B027 - most tables have nothing to do
        """Finish what a process began that died after its commit. Nothing, for tables whose commit is all there is."""

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """Return the table as it is now. Changes nothing.

        Raises:
            DestinationError: there is something else at its place (TG402), or it cannot be read.
        """

    def restored_since(self, version: int, snapshot: Snapshot) -> bool:
        """Tell whether the table was taken back to an older state after `version`; its sequences may not show it."""
        return False

    @abstractmethod
    def last_commit(self, dataflow_id: str) -> Commit | None:
        """Return the flow's last commit that still counts, with its position; None when it never committed.

        Its sequence is that of the table, also when a newer commit of the flow was undone by a restore.
        """

    @abstractmethod
    def commits(self) -> list[Commit]:
        """Return the last commit of every flow that wrote this table."""

    @abstractmethod
    def target(self, prefix: str, partition_by: tuple[str, ...], *, scratch: str) -> FileTarget:
        """Return where and how new rows are written, invisible to readers until they are committed.

        Args:
            prefix: Begin of the files' names, unique to the load.
            partition_by: Partition columns.
            scratch: A local folder of the load, for tables that are no files.
        """

    def candidates(self, snapshot: Snapshot, selection: Selection, *, scratch: str) -> list[DataFile]:
        """Return the files that may hold the selected rows.

        Args:
            snapshot: The table; its columns are those that the files will be read with.
            selection: The rows.
            scratch: A local folder of the load, for tables that are no files: they put the rows there.
        """
        return [file for file in snapshot.files() if selection.may_be_in(file)]

    @abstractmethod
    def storable(self, column: str, dtype: pa.DataType) -> pa.DataType:
        """Return the type of this format that holds all values of `dtype`.

        Raises:
            DestinationError: there is none (TG403).
        """

    @abstractmethod
    def widening(self, column: str, dtype: pa.DataType, into: pa.DataType) -> Literal["in place", "rewrite"] | None:
        """Tell how a column of the table becomes wider: by its metadata alone, or by writing all files anew.

        Args:
            column: The column.
            dtype: Its type in the table.
            into: A storable type that holds all values of `dtype`.

        Returns:
            None when it cannot become so.
        """

    @abstractmethod
    def commit(self, snapshot: Snapshot, change: Change, commit: Commit) -> int:
        """Make the change in one atomic step, and return the new version.

        Raises:
            StaleSnapshotError: the table is no longer at the snapshot's version; nothing was changed.
        """

    def upkeep(self) -> Upkeep | None:
        """Return how the table is maintained; None where there is nothing to do."""
        return None


def incompatible(column: str, found: str, expected: str, place: str) -> DestinationError:
    """Return the error for a column whose type the table does not take."""
    msg = f"column {column!r} is {found}, but {expected} in the table"
    hint = f"convert it (schema_hints: [{{column_name: {column}, data_type: {expected}}}]), or load into a new table"
    return DestinationError(msg, {"column": column}, code="TG403", where=place, hint=hint)


table_registry: PluginRegistry[BaseTable] = PluginRegistry("tidegate.destinations", BaseTable)
table_registry.register_lazy("delta", "tidegate.destinations.delta:DeltaTable")
table_registry.register_lazy("iceberg", "tidegate.destinations.iceberg:IcebergTable")
table_registry.register_lazy("sql", "tidegate.destinations.database:DatabaseTable")
table_registry.register_lazy("mongodb", "tidegate.destinations.mongodb:MongoTable [mongodb]")
for _format in ("parquet", "csv", "jsonl"):
    table_registry.register_lazy(_format, "tidegate.destinations.files:FileTable")
