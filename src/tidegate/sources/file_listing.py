"""Which files a source names, and which of them can hold something new."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, date, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tidegate.engines.hive_paths import partition_values
from tidegate.errors import SourceError
from tidegate.platforms import BasePlatform, FileInfo
from tidegate.platforms.base import glob_root
from tidegate.platforms.local import LOCAL
from tidegate.sources.as_read import holds_same
from tidegate.sources.window_bounds import lies_outside
from tidegate.state import Position
from tidegate.state.position import fingerprint
from tidegate.state.watermark import Value

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.sources.base import ColumnWindow
    from tidegate.sources.date_folders import DatedListing

SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "csv": (".csv", ".tsv", ".csv.gz", ".csv.zst"),
    "json": (".json",),
    "jsonl": (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".jsonl.zst"),
    "parquet": (".parquet", ".pq"),
    "avro": (".avro",),
    "excel": (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
}

_FARTHEST_ZONE = timedelta(days=1)
"""Local time is never farther from UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The files of a source, sorted into those to read and those that show nothing new."""

    read: tuple[FileInfo, ...]
    unchanged: int = 0
    """Files that were read before and have the same size and modification time."""
    older_by_name: tuple[FileInfo, ...] = ()
    """Files whose partition lies before the position."""
    older_by_statistics: tuple[FileInfo, ...] = ()
    """Parquet files whose statistics lie before the position."""
    changed: tuple[FileInfo, ...] = ()
    """Files to read that were read before, and have changed since."""
    moved: tuple[FileInfo, ...] = ()
    """Files with the size and modification time of one that was read, when no file is known by its path."""

    @property
    def skipped(self) -> int:
        """How many files are not read."""
        return self.unchanged + len(self.older_by_name) + len(self.older_by_statistics)


def source_root(platform: BasePlatform, path: str) -> str:
    """Return the folder below which the files that `path` names have their names: it may move, and they stay known."""
    if platform.is_folder(path):
        return path
    if glob.has_magic(path) and not platform.file(path):
        return glob_root(path)
    return path.rpartition("/")[0]


def list_files(
    platform: BasePlatform, path: str, file_format: str, dated: DatedListing | None = None
) -> list[FileInfo]:
    """Return the files that `path` names: a file, a folder, a glob, or a name without its suffix.

    Args:
        platform: Where the files are.
        path: What names them.
        file_format: Their format.
        dated: Lists a folder, when not all that is below it is looked into.

    Raises:
        SourceError: there is nothing of that name (TG201), or a file is empty (TG202).
    """
    files = _named(platform, path, file_format, dated)
    for file in files:
        if file.size == 0:
            hint = "remove it, or wait until it is written; a file without rows still has its header or footer"
            raise SourceError(f"the file is empty: {file.path}", {"file": file.path}, code="TG202", hint=hint)
    return files


def _named(platform: BasePlatform, path: str, file_format: str, dated: DatedListing | None) -> list[FileInfo]:
    if file := platform.file(path):
        return [file]
    if platform.is_folder(path):
        below = dated.files(path) if dated else platform.files_below(path)
        return [file for file in below if _is_of(file.path, file_format)]
    if glob.has_magic(path):
        return platform.files_matching(path)
    for suffix in SUFFIXES[file_format]:
        if file := platform.file(path + suffix):
            return [file]
    parent, _, name = path.rpartition("/")
    present = platform.names_in(parent) if platform.is_folder(parent) else []
    there = f"; {parent} holds {_few(present)}" if present else ""
    hint = f"the path is {{base_path}}/{{schema_name}}/{{table}}: is `{name}` spelled as on disk?"
    raise SourceError(f"no such file or folder: {path}{there}", {"file": path}, code="TG201", hint=hint)


def _is_of(path: str, file_format: str) -> bool:
    is_lock = file_format == "excel" and path.rpartition("/")[2].startswith("~$")  # of a workbook that is open
    return path.lower().endswith(SUFFIXES[file_format]) and not is_lock


def _few(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")


def seen_as(file: FileInfo, root: str) -> tuple[int, int]:
    """Return the fingerprints under which a position remembers a file: its path below `root`, and its stamp."""
    stamp = (file.size, file.modified_ns, *([file.version] if file.version else []))
    return fingerprint(_below(file.path, root)), fingerprint(*stamp)


def _below(path: str, root: str) -> str:
    return "/".join(part for part in path.removeprefix(root).split("/") if part not in {"", "."})


def is_unchanged(files: Sequence[FileInfo], position: Position, root: str) -> bool:
    """Tell whether the source is, file by file, what was read before: none added, changed or removed."""
    return dict(seen_as(file, root) for file in files) == position.seen_files


def select_files(
    files: Sequence[FileInfo],
    position: Position,
    starts: Mapping[str, Value],
    root: str,
    file_format: str,
    *,
    has_partitions: bool = False,
    platform: BasePlatform = LOCAL,
    hinted: Mapping[str, pa.DataType] = MappingProxyType({}),
) -> Selection:
    """Sort files into those that may hold something new and those that show they hold nothing.

    Args:
        files: All files of the source.
        position: What was read before.
        starts: Watermark column → value from which rows may be new; empty when rows have no watermark.
        root: The source's folder.
        file_format: The files' format.
        has_partitions: Whether folders below the root are hive partitions.
        platform: Where the files are.
        hinted: Lower-case names of columns that are converted, and to what: statistics of other types prove nothing.
    """
    read, changed, by_name, by_statistics, unchanged = [], [], [], [], 0
    stamps = set(position.seen_files.values())
    known_stamps, known_paths = [], 0
    for file in files:
        path, stamp = seen_as(file, root)
        known_paths += path in position.seen_files
        if stamp in stamps:
            known_stamps.append(file)
        if position.seen_files.get(path) == stamp:
            unchanged += 1
        elif starts and has_partitions and _partition_is_older(partition_values(file.path.removeprefix(root)), starts):
            by_name.append(file)
        elif starts and file_format == "parquet" and _statistics_are_older(file.path, starts, platform, hinted):
            by_statistics.append(file)
        else:
            read.append(file)
            if path in position.seen_files:
                changed.append(file)
    return Selection(
        read=tuple(read),
        unchanged=unchanged,
        older_by_name=tuple(by_name),
        older_by_statistics=tuple(by_statistics),
        changed=tuple(changed),
        moved=() if known_paths else tuple(known_stamps),
    )


def select_in_window(
    files: Sequence[FileInfo],
    window: ColumnWindow,
    root: str,
    file_format: str,
    *,
    has_partitions: bool = False,
    platform: BasePlatform = LOCAL,
    hinted: Mapping[str, pa.DataType] = MappingProxyType({}),
) -> Selection:
    """Sort files into those that may hold rows of a window and those that show they hold none.

    Args:
        files: All files of the source.
        window: What is read.
        root: The source's folder.
        file_format: The files' format.
        has_partitions: Whether folders below the root are hive partitions.
        platform: Where the files are.
        hinted: As for :func:`select_files`.
    """
    read: list[FileInfo] = []
    by_name: list[FileInfo] = []
    by_statistics: list[FileInfo] = []
    for file in files:
        partition = partition_values(file.path.removeprefix(root)) if has_partitions else {}
        if window.column in partition:
            value = _like(partition[window.column], _sample(window))
            is_outside = value is not None and lies_outside(window, value, value)
            (by_name if is_outside else read).append(file)
        elif file_format == "parquet" and _statistics_lie_outside(file, window, platform, hinted):
            by_statistics.append(file)
        else:
            read.append(file)
    return Selection(read=tuple(read), older_by_name=tuple(by_name), older_by_statistics=tuple(by_statistics))


def _sample(window: ColumnWindow) -> Value:
    lower = window.window.lower
    return lower.replace(tzinfo=None) if isinstance(lower, datetime) else lower


def _statistics_lie_outside(
    file: FileInfo, window: ColumnWindow, platform: BasePlatform, hinted: Mapping[str, pa.DataType]
) -> bool:
    ranges = _file_ranges(file, window.column, platform, hinted.get(window.column.lower()))
    return bool(ranges) and all(lies_outside(window, least, greatest) for least, greatest in ranges)


@lru_cache(maxsize=65_536)
def _file_ranges(
    file: FileInfo, column: str, platform: BasePlatform, hinted: pa.DataType | None
) -> tuple[tuple[Any, Any], ...]:
    """Return least and greatest value of a column in each row group; a replay asks for each of its windows."""
    return tuple((least, greatest) for least, greatest, _ in _column_ranges(file.path, column, platform, hinted))


def _partition_is_older(values: Mapping[str, str | None], starts: Mapping[str, Value]) -> bool:
    """Tell whether every watermark column is a partition whose value lies before the start."""
    return all(_older(_like(values.get(column), start), start) for column, start in starts.items())


def _like(text: str | None, start: Value) -> Any:
    try:
        match start:
            case bool():
                return None
            case datetime():
                return _zoned(datetime.fromisoformat(text or ""), start)
            case date():
                return date.fromisoformat(text or "")
            case int():
                return int(text or "")
            case str():
                return text
            case _:
                return None
    except ValueError:
        return None


def _older(value: Any, start: Value) -> bool:
    try:
        return value is not None and bool(value < start)
    except TypeError:
        return False


def _statistics_are_older(
    path: str, starts: Mapping[str, Value], platform: BasePlatform, hinted: Mapping[str, pa.DataType]
) -> bool:
    """Tell whether the footer proves that every watermark column is set and before the start, in all row groups."""
    return all(
        bool(ranges)
        # floats prove nothing: NaN and infinity are no watermarks, and in no statistics or below any start
        and all(
            nulls == 0 and not isinstance(top, float) and _older(_zoned(top, start), start) for _, top, nulls in ranges
        )
        for column, start in starts.items()
        for ranges in [list(_column_ranges(path, column, platform, hinted.get(column.lower())))]
    )


def _column_ranges(
    path: str, column: str, platform: BasePlatform, hinted: pa.DataType | None
) -> Iterator[tuple[Any, Any, int | None]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with platform.open(path) as file:
            footer = parquet.read_metadata(file)
    except (pa.ArrowInvalid, OSError):
        return  # the read itself will say what is wrong
    names = [footer.schema.column(index).path for index in range(footer.num_columns)]
    if column not in names:
        return
    if hinted is not None and not holds_same(hinted, footer.schema.to_arrow_schema().field(column).type):
        return
    for group in range(footer.num_row_groups):
        statistics = footer.row_group(group).column(names.index(column)).statistics
        usable = statistics is not None and statistics.has_min_max and statistics.has_null_count
        try:
            yield (statistics.min, statistics.max, statistics.null_count) if usable else (None, None, None)
        except (ValueError, OverflowError):  # a time that Python's datetime cannot hold
            yield (None, None, None)


def _zoned(value: Any, start: Value) -> Any:
    """Return a naive time as the latest instant that it may be in any zone, when it is compared with a zoned one."""
    if isinstance(value, datetime) and isinstance(start, datetime) and start.tzinfo and not value.tzinfo:
        return value.replace(tzinfo=UTC) + _FARTHEST_ZONE if value.year < MAXYEAR else None
    return value
