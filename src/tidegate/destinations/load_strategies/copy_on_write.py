"""Copy-on-write: the base of all strategies that change rows of a table.

The batch is staged in a scratch folder. Against a snapshot, a strategy says which rows of the table go and which rows
come: the files that can hold rows to go are found by their statistics, those that do by a few narrow columns, and only
these are rewritten, without the rows that go. All of it is one change.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tidegate.destinations.load_strategies.layout import (
    ROWS_PER_REWRITE,
    partition_columns,
    rewrite_groups,
    with_missing_partitions,
    with_null_partitions,
)
from tidegate.destinations.load_strategies.row_changes import row_change
from tidegate.destinations.selection import RowsWithKeys
from tidegate.destinations.strategy import LoadStrategy
from tidegate.destinations.table import Change, DataFile, Snapshot
from tidegate.engines.base import FileTarget, Written
from tidegate.errors import DestinationError, TidegateError
from tidegate.transformers.change_data import IS_DELETE

if TYPE_CHECKING:
    from tidegate.destinations.selection import Selection
    from tidegate.engines.base import Frame, WrittenFile

FILE = "__tidegate_file"
_LATEST_WINS = "declare which row wins: transform.latest_data_columns (with deduplicate_columns), or correct the source"

Columns = Mapping[str, pa.DataType]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """What a strategy found against one snapshot."""

    touched: Sequence[DataFile]
    """Files with rows that go."""
    keep: Callable[[Frame, Sequence[DataFile]], Frame]
    """Returns, of the rows of some of these files, with all columns, those that stay."""
    come: tuple[WrittenFile, ...]
    """The rows that come, written as files of the table."""
    updated: int | None = None
    """Rows of the table that were replaced or given other values; None for all that go."""
    deleted: int = 0
    """Rows of the table that are gone at the source, and so are removed or marked."""
    rows_at_once: int | None = None
    """About how many rows are rewritten together; None for at least as many as the batch has."""


class CopyOnWrite(LoadStrategy):
    """Stages the batch, and rewrites the files of a snapshot that hold rows to go."""

    batch: Written
    columns: Columns
    """Columns of the batch."""
    partition_by: tuple[str, ...]

    def write(self, frame: Frame, snapshot: Snapshot) -> Written:
        """Keep the batch: as files of the table while that is empty, else in the scratch folder."""
        self.columns = self.engine.schema(frame)
        self.partition_by = partition_columns(self.table, snapshot, self.columns)
        frame = with_null_partitions(frame, self.table, self.columns, self.partition_by)
        self._is_in_place = self.writes_in_place(snapshot)
        if self._is_in_place:
            frame = with_missing_partitions(frame, snapshot, self.partition_by)
            self.batch = self.engine.write(frame, self.target(partition_by=self.partition_by))
            self.new_files.extend(self.batch.files)
        else:
            self.batch = self.stage(frame, "batch")
        self.examine_batch()
        return self.batch

    def writes_in_place(self, snapshot: Snapshot) -> bool:
        """Tell whether the batch, as it is, is what the table becomes: it is then written only once."""
        return IS_DELETE not in self.columns and not snapshot.files()

    def examine_batch(self) -> None:
        """Refuse a batch that has no one right outcome: one with a key that occurs twice."""
        self.refuse_repeated(self.context.keys)

    def change(self, snapshot: Snapshot) -> Change:
        """Rewrite the files of this snapshot that hold rows to go."""
        if self._is_in_place:
            if not snapshot.files():
                return self._change(self.batch.files)
            self.leave_place()  # another load came first
        self._remove_earlier_attempt()
        columns = {**self.written_columns(), **snapshot.columns}
        selection = self.selection()
        candidates = self.table.candidates(snapshot, selection, scratch=self.context.scratch) if selection else []
        found = self.replacement(candidates, columns)
        if self.table.keeps_rows:
            rows, updated = row_change(self, found, selection, columns)
            return self._change((), rows=rows, rows_updated=updated, rows_deleted=found.deleted)
        kept = self._rewritten(found, columns)
        updated = _rows(found.touched) - _rows(kept) if found.updated is None else found.updated
        return self._change(
            (*found.come, *kept), removed=tuple(found.touched), rows_updated=updated, rows_deleted=found.deleted
        )

    def _change(self, added: tuple[WrittenFile, ...], *, rows_updated: int = 0, **about: Any) -> Change:
        columns = self.written_columns()
        return Change(added=added, columns=columns, partition_by=self.partition_by, rows_updated=rows_updated, **about)

    def leave_place(self) -> None:
        """Take the batch out of the table's place, if it is there: it is not what the table becomes."""
        if self._is_in_place:
            self.batch = self.stage(self.read(self.batch, self.columns), "batch")
            self._is_in_place = False
            self._remove_earlier_attempt()

    @abstractmethod
    def replacement(self, candidates: Sequence[DataFile], columns: Columns) -> Replacement:
        """Say which rows of these files go, and write the rows that come.

        Args:
            candidates: Files that may hold rows to go.
            columns: All columns of the table once the change is made.
        """

    def written_columns(self) -> Columns:
        """Return the columns that this load writes into the table: those of the batch, without the mark of deletes."""
        return {column: dtype for column, dtype in self.columns.items() if column != IS_DELETE}

    def selection(self) -> Selection | None:
        """Return which rows of the table may go or change: those with a key of the batch; None for none."""
        return self.rows_with_keys(self.batch, self.context.keys, self.columns) if self.batch.rows else None

    def rows_with_keys(self, rows: Written, keys: Sequence[str], columns: Columns) -> RowsWithKeys:
        """Return the selection of the rows of the table whose key is that of one of these."""
        ranges = self.engine.key_ranges(self.read(rows, self.narrow(columns, keys)), keys)
        return RowsWithKeys(keys=tuple(keys), files=rows.files, ranges=ranges)

    def identity(self) -> tuple[str, ...]:
        """Return the columns that tell a row of the table from all others; none where nothing does."""
        return self.context.keys

    def kept_columns(self, columns: Columns) -> list[str]:
        """Return the columns that a replaced row hands on to its successor."""
        return []

    # ---- frames: read, staged in the scratch folder, written into the table's place

    def read(self, written: Written, columns: Columns) -> Frame:
        """Return these columns of rows that were staged."""
        return self.engine.read_table(written.files, columns)

    def stage(self, frame: Frame, name: str) -> Written:
        """Run the frame, and keep its rows in the scratch folder."""
        return self.engine.write(frame, FileTarget(folder=self.context.scratch, prefix=name, compression="lz4"))

    def put(self, frame: Frame, part: str) -> tuple[WrittenFile, ...]:
        """Run the frame, and write its rows as files of the table, invisible yet."""
        written = self.engine.write(frame, self.target(part, self.partition_by))
        self.new_files.extend(written.files)
        return written.files

    def matching(self, files: Sequence[DataFile], batch: Written, columns: Columns, name: str) -> Written:
        """Stage the rows of the table's files whose key is in the batch: these columns, and each row's file."""
        keys = self.context.keys
        batch_keys = self.read(batch, self.narrow(columns, keys))
        rows = self.engine.matches(self.engine.read_table(files, columns, path_column=FILE), batch_keys, keys)
        return self.stage(rows, name)

    def replacing(
        self,
        gone: Written,
        identity: Columns,
        candidates: Sequence[DataFile],
        come: tuple[WrittenFile, ...],
        *,
        deleted: int = 0,
    ) -> Replacement:
        """Return the replacement in which these rows of the table go, and those of these files come.

        Args:
            gone: Rows of the table: the identity columns, and each row's file.
            identity: Columns that tell a row that goes from all others.
            candidates: The files that they come from.
            come: The files of the rows that come.
            deleted: How many of the rows that go are gone at the source.
        """
        return Replacement(
            touched=self.files_of(gone, candidates),
            keep=lambda rows, _: self.engine.without_matches(rows, self.read(gone, identity), list(identity)),
            come=come,
            updated=gone.rows - deleted,
            deleted=deleted,
        )

    def files_of(self, rows: Written, files: Sequence[DataFile]) -> list[DataFile]:
        """Return those of the files that these rows are in."""
        paths = set(self.engine.distinct(self.read(rows, {FILE: pa.string()}), FILE)) if rows.rows else set()
        return [file for file in files if file.path in paths]

    @staticmethod
    def narrow(columns: Columns, *names: Sequence[str]) -> Columns:
        """Return these columns alone, each once."""
        return {name: columns[name] for group in names for name in group}

    def refuse_repeated(self, keys: tuple[str, ...], *, hint: str = _LATEST_WINS) -> None:
        """Refuse a batch in which a key occurs twice: which of the rows is right would be chance."""
        if not self.batch.rows:
            return
        repeated = self.engine.repeated_key(self.read(self.batch, self.narrow(self.columns, keys)), keys)
        if repeated is None:
            return
        key = ", ".join(f"{column}={value!r}" for column, value in zip(keys, repeated, strict=True))
        msg = f"the batch holds more than one row with the key {key}"
        raise DestinationError(msg, {"key": list(repeated)}, code="TG410", where=self.table.place, hint=hint)

    # ---- files

    def _rewritten(self, found: Replacement, columns: Columns) -> list[WrittenFile]:
        kept: list[WrittenFile] = []
        rows_at_once = found.rows_at_once or max(ROWS_PER_REWRITE, self.batch.rows)
        for number, group in enumerate(rewrite_groups(found.touched, rows_at_once)):
            kept += self.put(found.keep(self.engine.read_table(group, columns), group), f"kept{number}")
        return kept

    def _remove_earlier_attempt(self) -> None:
        """Remove what an attempt against an older snapshot wrote."""
        while self.new_files:
            with suppress(OSError, TidegateError):
                self.table.platform.remove(self.new_files[-1].path)
            self.new_files.pop()


def together(parts: Sequence[Written]) -> Written:
    """Return rows that were staged in parts as one."""
    return Written(rows=sum(part.rows for part in parts), files=tuple(file for part in parts for file in part.files))


def _rows(files: Sequence[DataFile | WrittenFile]) -> int:
    return sum(file.rows or 0 for file in files)
