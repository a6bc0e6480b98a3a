"""Tables of SQL databases: rows, sequence and position change in one transaction.

A table `_tidegate_loads` beside the loaded tables has one row per table and dataflow: the sequence of its last commit,
and the record that travels with it. One more row per table, of no dataflow, counts the table's versions: whoever
commits moves it on from the version that was read, and so has its turn; another one finds no such row any more.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pyarrow as pa

from tidegate.connections import Session, database_of
from tidegate.destinations.commit import Commit
from tidegate.destinations.database_rows import RowAccess
from tidegate.destinations.selection import AllRows
from tidegate.destinations.table import BaseTable, Change, DataFile, RowChange, Snapshot, StaleSnapshotError
from tidegate.engines.base import FileTarget
from tidegate.errors import DestinationError, TidegateError
from tidegate.expressions.data_type import describe_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidegate.destinations.selection import Selection
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform

LOADS = "_tidegate_loads"
_LOADS_COLUMNS = ("table_name", "dataflow_id", "sequence", "record")
_OF_THE_TABLE = ""
"""Stands for a dataflow in the row that counts a table's versions."""
_UNDONE = "TG722"
"""Code of the error for a transaction that the database undid because of another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _There:
    """What a snapshot found, for the commit on it."""

    columns: Mapping[str, pa.DataType]
    """As the database has them now."""
    is_counted: bool
    """Whether the table's versions are counted."""
    key: frozenset[str]
    """Columns of its primary key."""


class DatabaseTable(BaseTable):
    """A table of a SQL database. One that is there already is taken as it is, with the rows that it has."""

    keeps_rows: ClassVar[bool] = True

    def __init__(self, flow: DataFlow, platform: BasePlatform) -> None:
        super().__init__(flow, platform)
        connection = flow.destination.connection
        assert connection is not None, "checked with the metadata"  # noqa: S101
        self._database = database_of(connection)
        self._dialect = self._database.dialect
        self._schema, self._name = flow.destination.schema_name, flow.destination.table
        self._table = self._dialect.quoted(self._schema, self._name)
        self._loads = self._dialect.quoted(self._schema, LOADS)

    @property
    def place(self) -> str:
        """The database and the table."""
        return f"{self._database.place()}/{'.'.join(filter(None, (self._schema, self._name)))}"

    def snapshot(self) -> Snapshot:
        """Return the table as it is, at the version that its commits have counted; 0 before the first."""
        self._refuse_long(self._name)
        if not self._database.exists():
            return Snapshot(version=None)
        with self._database.session(snapshot=True, read_only=True) as session:
            columns = session.columns(self._schema, self._name)
            if columns is None:
                return Snapshot(version=None)
            sequences = self._sequences(session)
            key = frozenset(session.primary_key(self._schema, self._name))
            [(has_rows,)] = session.fetch(f"SELECT CASE WHEN EXISTS (SELECT 1 FROM {self._table}) THEN 1 ELSE 0 END")
        rows = [DataFile(path=self.place, rows=None, size=0)] if has_rows else []
        return Snapshot(
            version=sequences.get(_OF_THE_TABLE, 0),
            columns=columns,
            sequences=lambda flow: sequences.get(flow, 0),
            files=lambda: rows,
            handle=_There(columns=columns, is_counted=_OF_THE_TABLE in sequences, key=key),
        )

    def last_commit(self, dataflow_id: str) -> Commit | None:
        """Return the flow's last commit."""
        return next((commit for commit in self.commits() if commit.dataflow_id == dataflow_id), None)

    def commits(self) -> list[Commit]:
        """Return the last commit of every flow."""
        if not self._database.exists():
            return []
        with self._database.session(read_only=True) as session:
            if session.columns(self._schema, LOADS) is None or session.columns(self._schema, self._name) is None:
                return []
            found = session.fetch(
                f"SELECT record FROM {self._loads} WHERE table_name = {self._dialect.placeholder(0)} "
                f"AND dataflow_id <> {self._dialect.placeholder(1)}",
                [self._name, _OF_THE_TABLE],
            )
        return [Commit.from_data(json.loads(record)) for (record,) in found]

    def target(self, prefix: str, partition_by: tuple[str, ...], *, scratch: str) -> FileTarget:
        """Write to a local folder; the commit brings the rows into the database."""
        return FileTarget(folder=scratch, prefix=prefix, partition_by=partition_by, compression="lz4")

    def candidates(self, snapshot: Snapshot, selection: Selection, *, scratch: str) -> list[DataFile]:
        """Fetch the selected rows into one local file."""
        import pyarrow.parquet as pq

        if not snapshot.files():
            return []
        columns = {name: snapshot.columns[name] for name in snapshot.handle.columns}
        path = Path(scratch, "selected.parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = 0
        with (
            self._database.session() as session,
            pq.ParquetWriter(path, pa.schema(list(columns.items())), compression="lz4") as writer,
        ):
            session.begin()  # a temporary table holds the keys
            for batch in self._rows(session, columns).selected(selection, columns):
                writer.write_batch(batch)
                rows += batch.num_rows
            session.rollback()
        return [DataFile(path=str(path), rows=rows, size=path.stat().st_size)] if rows else []

    def storable(self, column: str, dtype: pa.DataType) -> pa.DataType:
        """Return the type as which the database gives the column back."""
        self._refuse_long(column)
        storable = self._dialect.storable(pa.string() if pa.types.is_null(dtype) else dtype)
        if storable is None:
            msg = f"column {column!r} is {describe_type(dtype)}, which {self._database.kind} tables do not keep exactly"
            hint = f"declare another type: schema_hints: [{{column_name: {column}, data_type: string}}]"
            raise DestinationError(msg, {"column": column}, code="TG403", where=self.place, hint=hint)
        return storable

    def widening(self, column: str, dtype: pa.DataType, into: pa.DataType) -> Literal["in place", "rewrite"] | None:
        """Let the database change the column's type, where it can."""
        return "in place" if self._dialect.widen(self._table, column, into) else None

    def commit(self, snapshot: Snapshot, change: Change, commit: Commit) -> int:
        """Change schema, rows and record in one transaction.

        Where a schema cannot be changed within a transaction it is changed right before: columns that a load which
        then fails has added stay, without a value.
        """
        version = (snapshot.version or 0) + 1
        try:
            with self._database.session() as session:
                self._make_loads(session)
                schema_first = not self._dialect.ddl_in_transaction
                if schema_first:
                    self._change_schema(session, snapshot, change)
                session.begin()
                self._take_turn(session, snapshot, version)
                if not schema_first:
                    self._change_schema(session, snapshot, change)
                self._change_rows(session, snapshot, change)
                self._record(session, commit.dataflow_id, commit.sequence, json.dumps(commit.to_data()))
                session.commit()
        except TidegateError as error:
            if error.code == _UNDONE or self._moved_on(snapshot, error):
                raise StaleSnapshotError from error
            raise
        return version

    def _moved_on(self, snapshot: Snapshot, error: TidegateError) -> bool:
        """Tell whether a commit failed because another one came first: it made the table, a column, or a row."""
        if isinstance(error, DestinationError) or error.transient:
            return False
        with suppress(TidegateError):
            return self.snapshot().version != snapshot.version
        return False

    def _refuse_long(self, name: str) -> None:
        """Refuse a name that the database would cut off: two names could become one."""
        longest = self._dialect.longest_name
        if len(name.encode()) > longest:
            msg = f"{name!r} has {len(name.encode())} bytes; names have {longest} at most in {self._database.kind}"
            hint = "give it a shorter one: destination.table, or transform.rename_columns"
            raise DestinationError(msg, {"name": name}, code="TG419", where=self.place, hint=hint)

    def _sequences(self, session: Session) -> dict[str, int]:
        if session.columns(self._schema, LOADS) is None:
            return {}
        condition = f"table_name = {self._dialect.placeholder(0)}"
        found = session.fetch(f"SELECT dataflow_id, sequence FROM {self._loads} WHERE {condition}", [self._name])
        return {flow: int(sequence) for flow, sequence in found}

    def _make_loads(self, session: Session) -> None:
        if session.columns(self._schema, LOADS) is not None:
            return
        text, key = self._dialect.type_name(pa.string()), self._dialect.type_name(pa.string(), key=True)
        types = (f"{key} NOT NULL", f"{key} NOT NULL", f"{self._dialect.type_name(pa.int64())} NOT NULL", text)
        columns = ", ".join(f"{name} {dtype}" for name, dtype in zip(_LOADS_COLUMNS, types, strict=True))
        try:
            session.execute(f"CREATE TABLE {self._loads} ({columns}, PRIMARY KEY (table_name, dataflow_id))")
        except TidegateError:
            if session.columns(self._schema, LOADS) is None:  # else another process was quicker
                raise

    def _take_turn(self, session: Session, snapshot: Snapshot, version: int) -> None:
        if snapshot.version is None:  # what the table of this name had that is gone
            condition = f"table_name = {self._dialect.placeholder(0)}"
            session.execute(f"DELETE FROM {self._loads} WHERE {condition}", [self._name])
        if snapshot.version is None or not snapshot.handle.is_counted:
            self._insert(session, _OF_THE_TABLE, version, None)
            return
        now, name, flow, before = (self._dialect.placeholder(index) for index in range(4))
        moved_on = session.execute(
            f"UPDATE {self._loads} SET sequence = {now} "
            f"WHERE table_name = {name} AND dataflow_id = {flow} AND sequence = {before}",
            [version, self._name, _OF_THE_TABLE, snapshot.version],
        )
        if moved_on != 1:
            raise StaleSnapshotError

    def _change_schema(self, session: Session, snapshot: Snapshot, change: Change) -> None:
        keys = [key for key in self.flow.destination.merge_keys if key in change.columns]
        if snapshot.version is None:
            session.execute(self._dialect.create_table(self._table, change.columns, keys=keys))
            if keys and (index := self._dialect.create_index(self._table, self._name, keys)):
                session.execute(index)
            return
        there = snapshot.handle.columns
        for column, dtype in change.columns.items():
            if column not in there:
                session.execute(self._dialect.add_column(self._table, column, dtype))
            elif dtype != there[column]:
                for statement in self._dialect.widen(self._table, column, dtype) or ():
                    session.execute(statement)

    def _change_rows(self, session: Session, snapshot: Snapshot, change: Change) -> None:
        there = {} if snapshot.version is None else snapshot.columns
        removed = AllRows() if change.replaces_all and there else None
        rows = change.rows or RowChange(removed=removed, added=change.added)
        own_keys = () if snapshot.version is None else snapshot.handle.key  # the database numbers rows itself
        others = {name: dtype for name, dtype in rows.columns.items() if name not in {*change.columns, *own_keys}}
        self._rows(session, {**there, **change.columns}).apply(rows, change.columns, others)

    def _record(self, session: Session, dataflow_id: str, sequence: int, record: str) -> None:
        condition = f"table_name = {self._dialect.placeholder(0)} AND dataflow_id = {self._dialect.placeholder(1)}"
        session.execute(f"DELETE FROM {self._loads} WHERE {condition}", [self._name, dataflow_id])
        self._insert(session, dataflow_id, sequence, record)

    def _insert(self, session: Session, dataflow_id: str, sequence: int, record: str | None) -> None:
        values = ", ".join(self._dialect.placeholder(index) for index in range(len(_LOADS_COLUMNS)))
        statement = f"INSERT INTO {self._loads} ({', '.join(_LOADS_COLUMNS)}) VALUES ({values})"
        session.execute(statement, [self._name, dataflow_id, sequence, record])

    def _rows(self, session: Session, columns: Mapping[str, Any]) -> RowAccess:
        return RowAccess(session=session, dialect=self._dialect, table=self._table, columns=columns)
