"""Compaction: the small files of a table are merged, partition by partition.

It is a commit like that of a load: one change, on condition of the version that was read. It belongs to no dataflow,
and leaves rows, columns, partitions, sequences and positions as they are. It is not left to the formats' own libraries:
two compactions by delta-rs 1.6 that start from one version both commit, and double the rows.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tidegate.destinations.commit import MOST_ATTEMPTS
from tidegate.destinations.table import Change, DataFile, Snapshot, StaleSnapshotError
from tidegate.engines.hive_paths import partition_folder
from tidegate.errors import CommitConflictError, DestinationError, TidegateError

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.destinations.maintenance import Upkeep
    from tidegate.engines.base import BaseEngine, FileTarget, WrittenFile

_ON_DISK = 4
"""How much smaller files are on disk than their size in memory, by which targets are given."""
_TARGET_SIZE = 128 * 1024 * 1024
"""Bytes on disk of a file that a compaction writes, where the destination names no `target_file_size`."""

Columns = Mapping[str, "pa.DataType"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """What a compaction did, or would do."""

    files_before: int = 0
    """Data files that are put together."""
    files_after: int = 0
    """Data files that they become."""
    bytes_written: int = 0
    has_merged_metadata: bool = False
    """Whether the table's own lists of files became fewer too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bin:
    """Small files of one partition, and the file that takes their place."""

    sources: tuple[DataFile, ...]
    written: tuple[WrittenFile, ...]
    """One file, or none where the sources have no rows."""
    columns: Columns


def compact(
    upkeep: Upkeep, engine: BaseEngine, *, check: Callable[[], None] = lambda: None, dry_run: bool = False
) -> Compacted:
    """Merge the small files of a table, in one commit.

    Files of less than half the target size are put together, partition by partition; one that is alone stays.

    Args:
        upkeep: Of the table.
        engine: Reads and writes the rows, in bounded memory.
        check: Called before each commit; what it raises ends the compaction, which then has changed nothing.
        dry_run: Only say what would be done.

    Raises:
        CommitConflictError: other writers did not let the compaction in (TG404). Nothing was changed.
        DestinationError: the table cannot be read, or does not let its files be rewritten (TG407).
    """
    if dry_run:
        snapshot = upkeep.snapshot()
        groups = list(_groups(snapshot, upkeep.table.target("", (), scratch="")))
        return Compacted(
            files_before=sum(map(len, groups)),
            files_after=len(groups),
            has_merged_metadata=upkeep.has_scattered_metadata(snapshot),
        )
    compaction = _Compaction(upkeep, engine, check)
    try:
        return compaction.run()
    finally:
        compaction.remove_uncommitted()


class _Compaction:
    """One compaction under way."""

    def __init__(self, upkeep: Upkeep, engine: BaseEngine, check: Callable[[], None]) -> None:
        self._upkeep = upkeep
        self._check = check
        self._table = upkeep.table
        self._engine = engine
        self._bins: list[_Bin] = []
        self._may_be_committed = False
        """Whether a commit was made, or may have been: then the files must stay."""

    def run(self) -> Compacted:
        """Rewrite and commit; against a new snapshot, as often as another commit comes first."""
        for attempt in range(MOST_ATTEMPTS):
            if attempt:
                time.sleep(random.uniform(0, min(0.01 * 2**attempt, 1.0)))  # noqa: S311 - jitter
            snapshot = self._upkeep.snapshot()
            if self._is_in(snapshot):  # the answer to an earlier attempt was lost
                return self._done()
            self._may_be_committed = False
            self._keep_whole(snapshot)
            try:
                if not self._bins:
                    self._rewrite(snapshot)
            except Exception:
                if self._upkeep.snapshot().version == snapshot.version:
                    raise
                continue  # files of a version that was replaced may be gone; what was written of others serves
            if not self._bins and not self._upkeep.has_scattered_metadata(snapshot):
                return Compacted()
            self._check()
            self._may_be_committed = True
            with suppress(StaleSnapshotError):
                self._upkeep.commit(snapshot, self._change(snapshot))
                return self._done()
        msg = f"other writers of {self._table.place} came first {MOST_ATTEMPTS} times; nothing was compacted"
        raise CommitConflictError(msg, where=self._table.place, hint="run again, or write to it less often")

    def remove_uncommitted(self) -> None:
        """Remove what was written, when it is certain that no commit refers to it. What cannot be removed stays."""
        if not self._may_be_committed:
            self._remove(self._bins)

    def _is_in(self, snapshot: Snapshot) -> bool:
        if not self._may_be_committed or not self._bins:
            return False
        there = {file.path for file in snapshot.files()}
        return any(file.path in there for bin_ in self._bins for file in bin_.written)

    def _keep_whole(self, snapshot: Snapshot) -> None:
        """Keep the bins whose files are all in this snapshot, with the columns that they were written in."""
        there = {file.path for file in snapshot.files()} if self._bins else set()
        broken = [
            bin_
            for bin_ in self._bins
            if bin_.columns != snapshot.columns or not there.issuperset(file.path for file in bin_.sources)
        ]
        self._remove(broken)
        self._bins = [bin_ for bin_ in self._bins if bin_ not in broken]

    def _rewrite(self, snapshot: Snapshot) -> None:
        target = self._table.target(f"tg-compaction-{uuid.uuid4().hex}", (), scratch="")
        for number, group in enumerate(_groups(snapshot, target)):
            self._bins.append(self._rewritten(group, snapshot.columns, target, number))

    def _rewritten(self, group: tuple[DataFile, ...], columns: Columns, target: FileTarget, number: int) -> _Bin:
        partition = group[0].partition
        in_paths = () if target.keeps_partition_columns else partition.keys()
        kept = {name: dtype for name, dtype in columns.items() if name not in in_paths}
        one_file = replace(
            target,
            folder=f"{target.folder}/{partition_folder(partition)}" if partition else target.folder,
            prefix=f"{target.prefix}-{number:05d}",
            target_file_size=None,
            max_rows_per_file=None,
        )
        written = self._engine.write(self._engine.read_table(group, kept), one_file)
        files = tuple(replace(file, partition=dict(partition)) for file in written.files)
        bin_ = _Bin(sources=group, written=files, columns=columns)
        known = [file.rows for file in group if file.rows is not None]
        if len(known) == len(group) and sum(known) != written.rows:
            self._remove([bin_])
            msg = f"{sum(known)} rows were to be rewritten, and {written.rows} were found; nothing was changed"
            hint = "the table's own count of the rows of some file is wrong; read it, and write it anew"
            raise DestinationError(msg, code="TG421", where=self._table.place, hint=hint)
        return bin_

    def _change(self, snapshot: Snapshot) -> Change:
        return Change(
            added=tuple(file for bin_ in self._bins for file in bin_.written),
            removed=tuple(file for bin_ in self._bins for file in bin_.sources),
            columns=snapshot.columns,
            partition_by=snapshot.partition_by,
        )

    def _done(self) -> Compacted:
        written = [file for bin_ in self._bins for file in bin_.written]
        return Compacted(
            files_before=sum(len(bin_.sources) for bin_ in self._bins),
            files_after=len(written),
            bytes_written=sum(file.size for file in written),
            has_merged_metadata=not self._bins,
        )

    def _remove(self, bins: Iterable[_Bin]) -> None:
        for bin_ in bins:
            for file in bin_.written:
                with suppress(OSError, TidegateError):
                    self._table.platform.remove(file.path)


def _groups(snapshot: Snapshot, target: FileTarget) -> Iterator[tuple[DataFile, ...]]:
    """Yield the files of a snapshot that are to become one file each."""
    size = (target.target_file_size or _ON_DISK * _TARGET_SIZE) // _ON_DISK
    ours = [file for file in snapshot.files() if file.partition.keys() == set(snapshot.partition_by)]
    yield from groups_of_small_files(ours, size, target.max_rows_per_file)


def groups_of_small_files(
    files: Iterable[DataFile], target_size: int, most_rows: int | None = None
) -> Iterator[tuple[DataFile, ...]]:
    """Yield groups of at least two files of one partition, each to become one file.

    Args:
        files: All files of a table.
        target_size: Bytes; files below half of it are small, and a group has no more than it.
        most_rows: Rows that a file may have at most, likewise; None for any number.
    """
    by_partition: dict[tuple[tuple[str, str | None], ...], list[DataFile]] = {}
    for file in sorted(files, key=lambda file: file.path):  # names tell the order of a dataflow's loads
        has_few_rows = most_rows is None or (file.rows is not None and 2 * file.rows < most_rows)
        if 2 * file.size < target_size and has_few_rows:
            by_partition.setdefault(tuple(sorted(file.partition.items())), []).append(file)
    for small in by_partition.values():
        group: list[DataFile] = []
        for file in small:
            together = [*group, file]
            is_full = sum(member.size for member in together) > target_size or (
                most_rows is not None and sum(member.rows or 0 for member in together) > most_rows
            )
            if is_full:
                yield tuple(group)
            group = [file] if is_full else together
        if len(group) > 1:
            yield tuple(group)
