"""Tables of SQL databases: rows, sequence and position change in one transaction.

Whoever commits takes a turn first, as `database_loads` tells.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pyarrow as pa

from tidegate.connections import Session, TableTraits, database_of
from tidegate.destinations.commit import Commit
from tidegate.destinations.database_loads import LOADS, Known, Loads
from tidegate.destinations.database_rows import RowAccess
from tidegate.destinations.selection import AllRows
from tidegate.destinations.table import BaseTable, Change, DataFile, RowChange, Snapshot, StaleSnapshotError
from tidegate.engines.base import FileTarget
from tidegate.errors import DestinationError, TidegateError
from tidegate.expressions.data_type import describe_type
from tidegate.transformers.system_columns import SYSTEM_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidegate.destinations.selection import Selection
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform

_UNDONE = "TG722"
"""Code of the error for a transaction that the database undid because of another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _There:
    """What a snapshot found, for the commit on it."""

    columns: Mapping[str, pa.DataType]
    """As the database has them now."""
    known: Known
    """What its loads have left."""
    is_new: bool
    """Whether what is known is not of this table: it is yet to be made, or was made anew by others."""
    key: frozenset[str] = frozenset()
    """Columns of its primary key."""
    traits: TableTraits = field(default_factory=TableTraits)


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

    @property
    def place(self) -> str:
        """The database and the table."""
        return f"{self._database.place()}/{'.'.join(filter(None, (self._schema, self._name)))}"

    def snapshot(self) -> Snapshot:
        """Return the table as it is, at the version that its commits have counted; 0 before the first."""
        self._refuse_long(self._name)
        if not self._database.exists():
            return Snapshot(version=None, handle=_There(columns={}, known=Known(), is_new=True))
        with self._database.session(snapshot=True, read_only=True) as session:
            columns, loads = session.columns(self._schema, self._name), self._loads(session)
            known = loads.known()
            if columns is None:
                return Snapshot(version=None, handle=_There(columns={}, known=known, is_new=True))
            of_loads, traits = loads.traits()
            self._require_transactions({LOADS: of_loads, self._name: traits})
            is_new = known.is_of_another(of_loads, traits)
            key = frozenset(session.primary_key(self._schema, self._name))
            [(has_rows,)] = session.fetch(f"SELECT CASE WHEN EXISTS (SELECT 1 FROM {self._table}) THEN 1 ELSE 0 END")
        rows = [DataFile(path=self.place, rows=None, size=0)] if has_rows else []
        sequences = {} if is_new else known.sequences
        return Snapshot(
            version=known.version or 0,
            columns=columns,
            sequences=lambda flow: sequences.get(flow, 0),
            files=lambda: rows,
            handle=_There(columns=columns, known=known, is_new=is_new, key=key, traits=traits),
        )

    def last_commit(self, dataflow_id: str) -> Commit | None:
        """Return the flow's last commit."""
        return next((commit for commit in self.commits() if commit.dataflow_id == dataflow_id), None)

    def commits(self) -> list[Commit]:
        """Return the last commit of every flow."""
        if not self._database.exists():
            return []
        with self._database.session(read_only=True) as session:
            loads = self._loads(session)
            if not loads.exist() or session.columns(self._schema, self._name) is None:
                return []
            records = [] if loads.known().is_of_another(*loads.traits()) else loads.records()
        return [Commit.from_data(json.loads(record)) for record in records]

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
            for batch in self._rows(session, snapshot, columns).selected(selection, columns):
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

        Where a schema cannot be changed within a transaction it is changed beside it, while this one has the turn:
        columns that a load which then fails has added stay, without a value. A table that is made so could stay, too;
        so what one of this name has left is gone before.
        """
        there: _There = snapshot.handle
        try:
            with self._database.session() as session:
                loads = self._loads(session)
                loads.make()
                session.begin()
                version = loads.take_turn(there.known.version)
                if there.is_new:
                    loads.retire()
                if snapshot.version is None and not self._dialect.ddl_in_transaction:
                    session.commit()
                    session.begin()
                    version = loads.take_turn(version)
                self._change_schema(session, snapshot, change)
                loads.identify(there.known)
                self._change_rows(session, snapshot, change)
                loads.record(commit.dataflow_id, commit.sequence, json.dumps(commit.to_data()))
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
            now = self.snapshot()
            return (now.version, now.handle.known.version) != (snapshot.version, snapshot.handle.known.version)
        return False

    def _refuse_long(self, name: str) -> None:
        """Refuse a name that the database would cut off: two names could become one."""
        longest = self._dialect.longest_name
        if len(name.encode()) > longest:
            msg = f"{name!r} has {len(name.encode())} bytes; names have {longest} at most in {self._database.kind}"
            hint = "give it a shorter one: destination.table, or transform.rename_columns"
            raise DestinationError(msg, {"name": name}, code="TG419", where=self.place, hint=hint)

    def _require_transactions(self, tables: Mapping[str, TableTraits]) -> None:
        """Refuse a storage engine that leaves rows behind when a load fails: the next attempt would double them."""
        for name, traits in tables.items():
            if engine := traits.engine_without_transactions:
                msg = f"{name} is a table of {engine}, which cannot undo what a load has written when it fails"
                hint = f"ALTER TABLE {self._dialect.quoted(self._schema, name)} ENGINE=InnoDB"
                raise DestinationError(msg, {"engine": engine}, code="TG402", where=self.place, hint=hint)

    def _change_schema(self, session: Session, snapshot: Snapshot, change: Change) -> None:
        there = snapshot.handle.columns
        added = {column: dtype for column, dtype in change.columns.items() if column not in there}
        wider = {column: dtype for column, dtype in change.columns.items() if dtype != there.get(column, dtype)}
        if not (added or wider):
            return
        with self._for_schema(session, snapshot) as changing:
            if snapshot.version is None:
                self._create(changing, change.columns)
                return
            for column, dtype in added.items():
                self._add_column(changing, column, dtype)
            for column, dtype in wider.items():
                attributes = changing.column_attributes(self._schema, self._name, column)
                for statement in self._dialect.widen(self._table, column, dtype, attributes) or ():
                    changing.execute(statement)

    def _add_column(self, session: Session, column: str, dtype: pa.DataType) -> None:
        statement = self._dialect.add_column(self._table, column, dtype)
        try:
            session.execute(statement)
        except TidegateError as error:
            if column in SYSTEM_COLUMNS and not error.transient:
                columns = ", ".join(SYSTEM_COLUMNS)
                error.hint = (
                    f"each load writes {columns}, whatever schema_policy is: let the owner add them ({statement})"
                )
            raise

    @contextmanager
    def _for_schema(self, session: Session, snapshot: Snapshot) -> Iterator[Session]:
        """Return the session to change the schema in: one beside, where that would end the transaction.

        The turn that the transaction has keeps other loads away; one before it may have changed the schema, and failed.
        """
        if self._dialect.ddl_in_transaction:
            yield session
            return
        with self._database.session() as beside:
            if (beside.columns(self._schema, self._name) or {}) != snapshot.handle.columns:
                raise StaleSnapshotError
            yield beside

    def _create(self, session: Session, columns: Mapping[str, pa.DataType]) -> None:
        keys = [key for key in self.flow.destination.merge_keys if key in columns]
        session.execute(self._dialect.create_table(self._table, columns, keys=keys))
        if keys and (index := self._dialect.create_index(self._table, self._name, keys)):
            session.execute(index)

    def _change_rows(self, session: Session, snapshot: Snapshot, change: Change) -> None:
        there = {} if snapshot.version is None else snapshot.columns
        removed = AllRows() if change.replaces_all and there else None
        rows = change.rows or RowChange(removed=removed, added=change.added)
        own_keys = snapshot.handle.key  # the database numbers rows itself
        others = {name: dtype for name, dtype in rows.columns.items() if name not in {*change.columns, *own_keys}}
        self._rows(session, snapshot, {**there, **change.columns}).apply(rows, change.columns, others)

    def _loads(self, session: Session) -> Loads:
        table = session.spelling(self._schema, self._name)
        return Loads(session=session, dialect=self._dialect, schema=self._schema, table=table)

    def _rows(self, session: Session, snapshot: Snapshot, columns: Mapping[str, Any]) -> RowAccess:
        return RowAccess(
            session=session,
            dialect=self._dialect,
            table=self._table,
            columns=columns,
            traits=snapshot.handle.traits,
            place=self.place,
        )
