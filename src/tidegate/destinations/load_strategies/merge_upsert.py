"""merge_upsert: rows whose key is in the table are replaced, unless they are older; the others are added.

Copy-on-write by our own join: the files that can hold a key of the batch are found by their statistics, those that do
by their key columns, and only these are rewritten, without the rows that the batch replaces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tidegate.destinations.commit import Change, DataFile, LoadStrategy, Snapshot
from tidegate.destinations.load_strategies.layout import partition_columns, with_null_partitions
from tidegate.engines.base import FileTarget
from tidegate.errors import DestinationError, TidegateError
from tidegate.transformers.system_columns import CREATED_AT

if TYPE_CHECKING:
    from tidegate.engines.base import Frame, Written, WrittenFile
    from tidegate.models import DataFlow

_FILE = "__tidegate_file"
_ROWS_PER_REWRITE = 1_000_000
"""Files are rewritten in groups of about this many rows: bounded memory, and the table keeps its layout."""

Columns = Mapping[str, pa.DataType]


class MergeUpsert(LoadStrategy):
    """Replaces by key (NULL equals NULL). `__created_at`, and columns that the batch lacks, keep their old values.

    Where columns decide which of two rows is the later one, a row of the table that is later than that of the batch
    stays: many loads come to what one load of all their rows comes to.
    """

    _batch: Written
    _columns: Columns
    _partition_by: tuple[str, ...]
    _is_first: bool

    @classmethod
    def describe(cls, flow: DataFlow) -> str:
        """Name the keys."""
        return f"replace or add by {', '.join(flow.destination.merge_keys)}"

    def write(self, frame: Frame, snapshot: Snapshot) -> Written:
        """Keep the batch: as the table's own files while the table is empty, else in the scratch folder."""
        self._columns = self.engine.schema(frame)
        self._partition_by = partition_columns(self.table, snapshot, self._columns)
        self._is_first = snapshot.version is None or not snapshot.files()
        if self._is_first:
            target = self.table.target(self.load_id, self._partition_by)
        else:
            target = FileTarget(folder=self.scratch, prefix="batch", compression="lz4")
        self._batch = self.engine.write(with_null_partitions(frame, self._columns, self._partition_by), target)
        if self._is_first:
            self.new_files.extend(self._batch.files)
        self._refuse_repeated_keys()
        return self._batch

    def change(self, snapshot: Snapshot) -> Change:
        """Rewrite the files of this snapshot that hold a key of the batch."""
        candidates = self._candidates(snapshot)
        if self._is_first and not candidates:
            return self._change(self._batch.files, self._columns, rows_updated=0)
        self._remove_earlier_attempt()
        columns = {**self._columns, **snapshot.columns}
        accepted, old = self._batch, self._matching_rows(candidates, columns)
        if self.order and old.rows:
            accepted = self._accepted(old, columns)
            if accepted is not self._batch:
                old = self._replaced(old, accepted, columns)
        added = self._write_new(accepted, old, columns)
        touched = self._holding(candidates, old)
        for number, group in enumerate(_groups(touched, max(_ROWS_PER_REWRITE, accepted.rows))):
            others = self.engine.without_matches(
                self.engine.read_table(group, columns), self._read(accepted, self._keys_of(columns)), self.keys
            )
            added += self._write(others, f"kept{number}")
        return self._change(added, columns, removed=tuple(touched), rows_updated=old.rows)

    def _change(self, added: Sequence[WrittenFile], columns: Columns, **about: Any) -> Change:
        return Change(added=tuple(added), columns=columns, partition_by=self._partition_by, **about)

    def _candidates(self, snapshot: Snapshot) -> list[DataFile]:
        """Return the files whose statistics do not rule out a key of the batch."""
        files = snapshot.files()
        if not files or not self._batch.rows:
            return []
        ranges = self.engine.key_ranges(self._read(self._batch, self._keys_of(self._columns)), self.keys)
        return [file for file in files if all(_may_hold(file, key, ranges[key]) for key in self.keys)]

    def _matching_rows(self, candidates: list[DataFile], columns: Columns) -> Written:
        """Stage keys, order and kept columns of the table's rows whose key is in the batch, with each row's file."""
        matching = self.engine.matches(
            self.engine.read_table(candidates, self._narrow(columns), path_column=_FILE),
            self._read(self._batch, self._keys_of(columns)),
            self.keys,
        )
        return self._stage(matching, "matching")

    def _accepted(self, old: Written, columns: Columns) -> Written:
        """Return the rows of the batch that are not older than the table's: all of them, or staged anew."""
        narrow = {column: columns[column] for column in (*self.keys, *self.order)}
        outranked = self.engine.outranked(
            self._read(self._batch, narrow), self._read(old, narrow), self.keys, self.order
        )
        older = self._stage(outranked, "outranked")
        if not older.rows:
            return self._batch
        batch = self._read(self._batch, {column: columns[column] for column in self._columns})
        others = self.engine.without_matches(batch, self._read(older, self._keys_of(columns)), self.keys)
        return self._stage(others, "accepted")

    def _replaced(self, old: Written, accepted: Written, columns: Columns) -> Written:
        """Stage those of the table's rows that accepted ones replace."""
        if not accepted.rows:
            return accepted
        rows = self._read(old, {**self._narrow(columns), _FILE: pa.string()})
        matching = self.engine.matches(rows, self._read(accepted, self._keys_of(columns)), self.keys)
        return self._stage(matching, "replaced")

    def _write_new(self, accepted: Written, old: Written, columns: Columns) -> list[WrittenFile]:
        if not accepted.rows:
            return []
        rows = self._read(accepted, columns)
        if old.rows:
            rows = self.engine.keeping(
                rows, self._read(old, self._narrow(columns)), self.keys, self._kept_columns(columns)
            )
        return self._write(rows, "new")

    def _holding(self, candidates: list[DataFile], old: Written) -> list[DataFile]:
        """Return the files that hold these rows."""
        if not old.rows:
            return []
        paths = set(self.engine.distinct(self._read(old, {_FILE: pa.string()}), _FILE))
        return [file for file in candidates if file.path in paths]

    def _stage(self, frame: Frame, name: str) -> Written:
        return self.engine.write(frame, FileTarget(folder=self.scratch, prefix=name, compression="lz4"))

    def _read(self, written: Written, columns: Columns) -> Frame:
        return self.engine.read_table(written.files, columns)

    def _narrow(self, columns: Columns) -> Columns:
        """Return the columns that are read of the table's rows before it is known which of them are replaced."""
        return {column: columns[column] for column in (*self.keys, *self.order, *self._kept_columns(columns))}

    def _kept_columns(self, columns: Columns) -> list[str]:
        return [column for column in columns if column == CREATED_AT or column not in self._columns]

    def _keys_of(self, columns: Columns) -> Columns:
        return {key: columns[key] for key in self.keys}

    def _write(self, frame: Frame, part: str) -> list[WrittenFile]:
        written = self.engine.write(frame, self.table.target(f"{self.load_id}-{part}", self._partition_by))
        self.new_files.extend(written.files)
        return list(written.files)

    def _remove_earlier_attempt(self) -> None:
        """Remove what an attempt against an older snapshot wrote, but for the batch itself."""
        batch = {file.path for file in self._batch.files}
        for file in [file for file in self.new_files if file.path not in batch]:
            with suppress(OSError, TidegateError):
                self.table.platform.remove(file.path)
            self.new_files.remove(file)

    def _refuse_repeated_keys(self) -> None:
        """Refuse a batch in which a key occurs twice: which of the rows is right would be chance."""
        if not self._batch.rows:
            return
        repeated = self.engine.repeated_key(self._read(self._batch, self._keys_of(self._columns)), self.keys)
        if repeated is None:
            return
        key = ", ".join(f"{column}={value!r}" for column, value in zip(self.keys, repeated, strict=True))
        msg = f"the batch holds more than one row with the key {key}"
        hint = "declare which row wins: transform.latest_data_columns (with deduplicate_columns), or correct the source"
        raise DestinationError(msg, {"key": list(repeated)}, code="TG410", where=self.table.place, hint=hint)


def _may_hold(file: DataFile, key: str, keys: tuple[Any, Any] | None) -> bool:
    lower, upper = file.lower.get(key), file.upper.get(key)
    if keys is None or keys[0] is None or lower is None or upper is None:
        return True
    try:
        return bool(lower <= keys[1] and upper >= keys[0])
    except TypeError:
        return True


def _groups(files: Sequence[DataFile], rows: int) -> Iterator[list[DataFile]]:
    group: list[DataFile] = []
    for file in files:
        group.append(file)
        if sum(member.rows or rows for member in group) >= rows:
            yield group
            group = []
    if group:
        yield group
