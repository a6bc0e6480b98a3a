"""What Tidegate asks of an engine: read files, evaluate expressions, meter a stream, write files, match keys.

A frame is lazy until it is written, wrapped by narwhals so that structural steps are written once for all engines.
Types that cross rooms are Arrow types.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol

from tidegate.platforms.local import LOCAL
from tidegate.registry import PluginRegistry

if TYPE_CHECKING:
    import narwhals as nw
    import pyarrow as pa

    from tidegate.engines.meter import Meter
    from tidegate.errors import TidegateError
    from tidegate.expressions.sql import SqlExpression
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform

    Frame = nw.LazyFrame[Any]

FileFormat = Literal["csv", "json", "jsonl", "parquet", "avro", "excel"]

FILE_NAME = "__file_name"
FILE_PATH = "__file_path"
FILE_MODIFICATION_TIME = "__file_modification_time"
FILE_INFO_COLUMNS = (FILE_NAME, FILE_PATH, FILE_MODIFICATION_TIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileGroup:
    """Files of one format with the same columns, read together."""

    format: FileFormat
    paths: tuple[str, ...]
    columns: Mapping[str, pa.DataType]
    """Columns in the files' order, with the types to read them as."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Reader options, by the names of `tidegate.models.options`."""
    platform: BasePlatform = LOCAL
    """Where the files are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileScan:
    """A read of files: groups whose union by name is the frame."""

    groups: tuple[FileGroup, ...]
    columns: Mapping[str, pa.DataType]
    """All columns of the frame, with their types."""
    per_file: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Column → file path → value, for columns that come from the file itself: partitions and file information."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnCast:
    """What one column becomes. A value that does not fit is an error, never NULL."""

    type: pa.DataType
    format: str | None = None
    """strptime format of text that becomes a date or timestamp; ISO 8601 without."""
    default: Any = None
    """Takes the place of NULL."""
    time_zone: str | None = None
    """Zone of naive times that become zoned."""
    within: pa.DataType | None = None
    """A narrower type that the values take after that; one that it cannot hold as it is, is an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """A hash of the values of columns, in this order; None stands for a column that counts as NULL."""

    algorithm: Literal["sha256", "xxhash64"]
    columns: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class FieldId:
    """The number by which a table format knows a column, whatever it is called."""

    number: int
    inner: Mapping[str, FieldId] = field(default_factory=dict)
    """Those of a struct's fields by name; that of a list's elements is called `element`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTarget:
    """Where and how files are written."""

    folder: str
    prefix: str
    """Begin of every file name; unique to this load."""
    suffix: str = ""
    """End of every file name, after that of the format."""
    format: FileFormat = "parquet"
    partition_by: tuple[str, ...] = ()
    compression: str | None = None
    max_rows_per_file: int | None = None
    target_file_size: int | None = None
    """Rough size in bytes, in memory, at which a new file is begun."""
    keeps_partition_columns: bool = False
    """Whether partition columns are in the files too, not only in their folders' names."""
    field_ids: Callable[[Mapping[str, pa.DataType]], Mapping[str, FieldId]] | None = None
    """Columns of the rows → numbers that the Parquet files give them."""
    platform: BasePlatform = LOCAL
    """Where the folder is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFile:
    """A file just written. Partition values are text, as table formats keep them; None is NULL."""

    path: str
    size: int
    rows: int | None = None
    """Rows of this file; None where the format does not tell."""
    partition: Mapping[str, str | None] = field(default_factory=dict)
    platform: BasePlatform = LOCAL


class TableFile(Protocol):
    """A Parquet file of a table, whose partition values are not in the file itself."""

    @property
    def path(self) -> str:
        """Absolute path."""

    @property
    def partition(self) -> Mapping[str, str | None]:
        """Partition column → value as text."""

    @property
    def platform(self) -> BasePlatform:
        """Where the file is."""


def partition_text(value: object) -> str | None:
    """Return a partition value as text (Delta protocol, "Partition Value Serialization")."""
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case float():
            return str(value + 0.0)  # zero has one sign
        case datetime():
            value = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
            return value.isoformat(sep=" ", timespec="microseconds" if value.microsecond else "seconds")
        case _:
            return str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a write left behind."""

    rows: int
    files: tuple[WrittenFile, ...]

    @property
    def size(self) -> int:
        """All bytes written."""
        return sum(file.size for file in self.files)


class BaseEngine(ABC):
    """An engine. One instance serves all threads of a run."""

    name: str

    @abstractmethod
    def inspect(
        self,
        path: str,
        file_format: FileFormat,
        options: Mapping[str, Any],
        settled: Collection[str] = (),
        platform: BasePlatform = LOCAL,
    ) -> dict[str, pa.DataType]:
        """Return the columns of one file with their types; inferred ones for text formats.

        Args:
            path: The file.
            file_format: Its format.
            options: Reader options.
            settled: Lower-case names of columns whose type is known already, which need no close look.
            platform: Where the file is.

        Raises:
            SourceError: the file cannot be read as this format (TG204), or holds nothing (TG202).
        """

    @abstractmethod
    def locate(
        self,
        error: Exception,
        scan: FileScan,
        types: Mapping[str, pa.DataType],
        flow: DataFlow,
        *,
        narrowed: Mapping[str, pa.DataType],
    ) -> TidegateError:
        """Return the failure of a scan with the file, row and column that it comes from, where they can be found.

        Args:
            error: What the engine raised.
            scan: The scan that failed.
            types: The types that its columns are read in.
            flow: The dataflow, for the formats that its schema hints declare.
            narrowed: Narrower types that values of some columns must fit after that.
        """

    @abstractmethod
    def translate(self, error: Exception) -> TidegateError:
        """Return a failure of the engine, or of the file system below it, as one of ours."""

    @abstractmethod
    def scan(self, scan: FileScan) -> Frame:
        """Return the union of the files, in the scan's columns and types."""

    @abstractmethod
    def scan_batches(
        self, batches: Callable[[], Iterator[pa.RecordBatch]], columns: Mapping[str, pa.DataType]
    ) -> Frame:
        """Return rows that come in batches as a frame. An error that `batches` raises leaves the frame's run as it is.

        Args:
            batches: Begins to yield the rows; called each time that the frame runs.
            columns: Their columns with the types, in order.
        """

    @abstractmethod
    def schema(self, frame: Frame) -> dict[str, pa.DataType]:
        """Return the columns of a frame with their types, in order."""

    @abstractmethod
    def cast(self, frame: Frame, casts: Mapping[str, ColumnCast]) -> Frame:
        """Return the frame with columns converted. The conversion is strict."""

    @abstractmethod
    def with_columns(self, frame: Frame, expressions: Mapping[str, SqlExpression]) -> Frame:
        """Return the frame with columns computed by expressions over its columns."""

    @abstractmethod
    def with_constants(self, frame: Frame, values: Mapping[str, str | datetime]) -> Frame:
        """Return the frame with columns that hold one value; times are aware, kept in UTC to the microsecond."""

    @abstractmethod
    def where(self, frame: Frame, condition: SqlExpression) -> Frame:
        """Return the rows that meet the condition; NULL does not."""

    @abstractmethod
    def metered(self, frame: Frame, meter: Meter) -> Frame:
        """Return the rows past the meter's position, and let the meter see each of them once."""

    @abstractmethod
    def latest(self, frame: Frame, keys: Sequence[str], order: Sequence[str], *, by_rank: bool, scratch: str) -> Frame:
        """Return per key the row with the greatest order columns; NULL never wins; of ties the last one read.

        Args:
            frame: The rows; consumed once, through a file in `scratch`.
            keys: Columns that identify a row, compared NULL-safe.
            order: Columns compared one after the other.
            by_rank: Keep all rows that tie.
            scratch: A folder for the file; its owner removes it.
        """

    @abstractmethod
    def write(self, frame: Frame, target: FileTarget) -> Written:
        """Run the frame and write its rows as files; no file for no rows."""

    @abstractmethod
    def read_table(
        self, files: Sequence[TableFile], columns: Mapping[str, pa.DataType], *, path_column: str | None = None
    ) -> Frame:
        """Return the rows of a table's Parquet files, in these columns; one that a file lacks is NULL.

        Args:
            files: The files, with their partition values.
            columns: The wanted columns with their types.
            path_column: Name of a further column that holds each row's file, if wanted.
        """

    @abstractmethod
    def key_ranges(self, frame: Frame, keys: Sequence[str]) -> dict[str, tuple[Any, Any] | None]:
        """Return smallest and greatest value of each key; None where a key is NULL somewhere, or there are no rows."""

    @abstractmethod
    def repeated_key(self, frame: Frame, keys: Sequence[str]) -> tuple[Any, ...] | None:
        """Return one key that occurs more than once (NULL equals NULL), or None."""

    @abstractmethod
    def distinct(self, frame: Frame, column: str) -> list[Any]:
        """Return the distinct values of a column."""

    @abstractmethod
    def matches(self, frame: Frame, batch: Frame, keys: Sequence[str]) -> Frame:
        """Return the rows of `frame` whose key occurs in `batch` (NULL equals NULL)."""

    @abstractmethod
    def without_matches(self, frame: Frame, batch: Frame, keys: Sequence[str]) -> Frame:
        """Return the rows of `frame` whose key does not occur in `batch` (NULL equals NULL)."""

    @abstractmethod
    def keeping(self, batch: Frame, old: Frame, keys: Sequence[str], columns: Sequence[str]) -> Frame:
        """Return the batch with `columns` taken from the row of `old` with the same key, where there is one.

        Args:
            batch: Rows with unique keys.
            old: Keys and columns to keep; of several rows with one key any may serve.
            keys: Columns that identify a row, compared NULL-safe.
            columns: Columns to keep; those that the batch lacks are NULL for rows without a match.
        """

    @abstractmethod
    def outranked(self, batch: Frame, old: Frame, keys: Sequence[str], order: Sequence[str]) -> Frame:
        """Return the keys of those rows of the batch that a row of `old` with the same key outranks.

        Args:
            batch: Rows with unique keys.
            old: Keys and order columns of rows that are there already.
            keys: Columns that identify a row, compared NULL-safe.
            order: Columns compared one after the other; NULL (and NaN) is less than any value; of ties the batch wins.
        """

    @abstractmethod
    def with_content_hash(self, frame: Frame, columns: Sequence[str], name: str) -> Frame:
        """Return the frame with a 64-bit hash of these columns; equal for equal values, NULL and order included.

        It compares rows within one load; it is not stable across versions.
        """

    @abstractmethod
    def with_digests(self, frame: Frame, digests: Mapping[str, Digest]) -> Frame:
        """Return the frame with columns that hold hashes of its columns' canonical text (:mod:`~.digest`).

        They are equal on every engine and in every version: SHA-256 as 64 hexadecimal digits, XXH64 as a bigint.

        Args:
            frame: The rows.
            digests: New column → what it is the hash of: columns of plain types, none of them new.
        """

    @abstractmethod
    def with_neighbours(
        self,
        frame: Frame,
        keys: Sequence[str],
        order: Sequence[str],
        *,
        before: Mapping[str, str] = MappingProxyType({}),
        after: Mapping[str, str] = MappingProxyType({}),
    ) -> Frame:
        """Return the frame with values of the rows right before and right after, of the same key, in order.

        Args:
            frame: The rows; sorted in memory.
            keys: Columns that identify a row, compared NULL-safe.
            order: Columns that order the rows of one key; NULL is first.
            before: New column → column of the row before whose value it takes; NULL where there is no such row.
            after: The same, of the row after.
        """

    @abstractmethod
    def before(self, frame: Frame, starts: Mapping[str, Any]) -> Frame:
        """Return the rows whose every one of these watermark columns is set and before its start, if it has one."""

    @abstractmethod
    def in_window(self, frame: Frame, column: str, lower: Any, upper: Any, *, inside: bool = True) -> Frame:
        """Return the rows whose value lies in `[lower, upper)`, or those whose value does not; NULL never does."""


engine_registry: PluginRegistry[BaseEngine] = PluginRegistry("tidegate.engines", BaseEngine)
engine_registry.register_lazy("polars", "tidegate.engines.polars:PolarsEngine")
