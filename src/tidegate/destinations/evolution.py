"""How a load lets a table's schema evolve: its change and the schema agree at whatever version it is committed.

A wider type that the format cannot take on by its metadata alone is written into all files of the table: these are
part of the load's own change, so that readers see the old types and rows or the new ones, and nothing between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tidegate.destinations.load_strategies.layout import ROWS_PER_REWRITE, rewrite_groups
from tidegate.destinations.schema_policy import Settled, settle
from tidegate.destinations.table import Change, DataFile, Snapshot, StaleSnapshotError
from tidegate.engines.base import ColumnCast
from tidegate.errors import CommitConflictError, DestinationError, TidegateError

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.destinations.strategy import LoadStrategy
    from tidegate.destinations.table import BaseTable
    from tidegate.engines.base import BaseEngine, WrittenFile
    from tidegate.models.destination import SchemaPolicy


@dataclass(frozen=True, slots=True)
class _Rewritten:
    """A group of the table's files, written anew."""

    columns: Mapping[str, pa.DataType]
    sources: frozenset[str]
    files: tuple[WrittenFile, ...]


class Evolution:
    """Follows one load from its first look at the table to its commit."""

    def __init__(
        self, *, table: BaseTable, engine: BaseEngine, load_id: str, policy: SchemaPolicy, replaces_schema: bool
    ) -> None:
        self._table = table
        self._engine = engine
        self._load_id = load_id
        self._policy = policy
        self._replaces_schema = replaces_schema and not table.keeps_rows
        self._first: Snapshot
        self._settled: Settled
        self._rewritten: list[_Rewritten] = []
        self._new_files: list[WrittenFile] = []

    def settle(self, columns: Mapping[str, pa.DataType], snapshot: Snapshot) -> Settled:
        """Decide how the batch goes into the table, before its rows are written.

        Raises:
            DestinationError: a column does not fit the table (TG403), or differs where nothing may (TG414).
        """
        self._first = snapshot
        self._settled = self._decided(columns, snapshot)
        return self._settled

    def change(self, strategy: LoadStrategy, snapshot: Snapshot) -> Change:
        """Return the strategy's change against a snapshot, with what becomes of the table's schema.

        Raises:
            CommitConflictError: another commit changed the schema, so that what was written is no longer right (TG404).
            StaleSnapshotError: the table moved on while its files were written anew.
        """
        settled = self._still_right(snapshot)
        if not settled.widened:
            return self._with_schema(strategy.change(snapshot), snapshot)
        columns = {**snapshot.columns, **{name: column.into for name, column in settled.widened.items()}}
        if not settled.rewrites:
            return strategy.change(replace(snapshot, columns=columns))
        wide = self._all_rewritten(snapshot, columns)
        files = [_as_of_table(file) for file in wide]
        change = strategy.change(replace(snapshot, columns=columns, files=lambda: files))
        gone = {file.path for file in change.removed}
        return replace(
            change,
            added=(*(file for file in wide if file.path not in gone), *change.added),
            removed=tuple(snapshot.files()),
            columns={**columns, **change.columns},
            replaces_all=True,
        )

    def finish(self, change: Change | None) -> None:
        """Remove the rewritten files that are not part of the committed change; all of them, when there is none."""
        committed = {file.path for file in change.added} if change else set()
        for file in self._new_files:
            if file.path not in committed:
                with suppress(OSError, TidegateError):
                    self._table.platform.remove(file.path)
        self._new_files.clear()

    def _decided(self, columns: Mapping[str, pa.DataType], snapshot: Snapshot) -> Settled:
        return settle(columns, snapshot, self._table, self._policy, replaces_schema=self._replaces_schema)

    def _with_schema(self, change: Change, snapshot: Snapshot) -> Change:
        """Let a table keep its columns whose rows are all replaced, unless it takes on the batch's."""
        if not change.replaces_all or self._policy == "evolve":
            return change
        return replace(change, columns={**snapshot.columns, **change.columns})

    def _still_right(self, snapshot: Snapshot) -> Settled:
        """Decide again against a newer snapshot. What is written already must be just what would be written now."""
        if snapshot.version == self._first.version:
            return self._settled
        written = self._settled.columns
        try:
            again = self._decided(written, snapshot)
        except DestinationError as error:
            raise self._conflict(error.message) from error
        spelling = {column.lower(): column for column in snapshot.columns}
        for name, dtype in written.items():
            if again.columns.get(name) != dtype or spelling.get(name.lower(), name) != name:
                raise self._conflict(f"column {name!r} is another one now")
        for name in self._settled.ignored:
            if name.lower() in spelling:
                raise self._conflict(f"column {name!r}, which was left out, is there now")
        return again

    def _conflict(self, why: str) -> CommitConflictError:
        msg = f"the columns of {self._table.place} changed while this load was under way: {why}"
        return CommitConflictError(msg, where=self._table.place, hint="run again; nothing was changed")

    def _all_rewritten(self, snapshot: Snapshot, columns: Mapping[str, pa.DataType]) -> list[WrittenFile]:
        """Return all files of a snapshot, written anew; what an earlier attempt has written serves again."""
        self._table.recover()  # its files are in place then
        files = snapshot.files()
        paths = {file.path for file in files}
        self._rewritten = [done for done in self._rewritten if done.sources <= paths and _agree(done.columns, columns)]
        known = set().union(*(done.sources for done in self._rewritten))
        try:
            for group in rewrite_groups([file for file in files if file.path not in known], ROWS_PER_REWRITE):
                self._rewrite(group, snapshot, columns)
        except Exception as error:
            if self._table.snapshot().version != snapshot.version:
                raise StaleSnapshotError from error  # a folder does not keep files that others replaced
            raise
        return [file for done in self._rewritten for file in done.files]

    def _rewrite(self, group: Sequence[DataFile], snapshot: Snapshot, columns: Mapping[str, pa.DataType]) -> None:
        there = snapshot.columns
        casts = {name: ColumnCast(type=dtype) for name, dtype in columns.items() if dtype != there[name]}
        frame = self._engine.cast(self._engine.read_table(group, there), casts)
        target = self._table.target(self._load_id, snapshot.partition_by, scratch="")
        prefix = f"{self._load_id}-wide{len(self._new_files):06d}"
        written = self._engine.write(frame, replace(target, prefix=prefix))
        self._new_files.extend(written.files)
        self._rewritten.append(_Rewritten(columns, frozenset(file.path for file in group), written.files))


def _agree(columns: Mapping[str, pa.DataType], others: Mapping[str, pa.DataType]) -> bool:
    return all(others.get(name) == dtype for name, dtype in columns.items())


def _as_of_table(file: WrittenFile) -> DataFile:
    return DataFile(path=file.path, rows=file.rows, size=file.size, partition=file.partition, reference=file.path)
