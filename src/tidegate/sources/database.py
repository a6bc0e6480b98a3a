"""SQL databases: a table or a query, narrowed by the database as far as it surely can, read as a stream.

All of a read sees one snapshot of the database. With `partition_column` it is read over several connections, where
these can share a snapshot.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tidegate.connections import database_of
from tidegate.errors import ConfigurationError, SourceError
from tidegate.expressions.data_type import parse_data_type
from tidegate.models.options import READ_OPTIONS, checked_options
from tidegate.sources.database_partitions import Partitions, PartReader
from tidegate.sources.pushdown import Conditions, single_statement
from tidegate.sources.rows import Columns, RowRequest, RowSource

if TYPE_CHECKING:
    from tidegate.connections import Session
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform

_BATCH_ROWS = 65_536


class DatabaseSource(RowSource):
    """Reads a table, a view or a query."""

    def __init__(self, flow: DataFlow, platform: BasePlatform) -> None:
        super().__init__(flow, platform)
        connection = flow.source.connection
        assert connection is not None, "checked with the metadata"  # noqa: S101
        if not (flow.source.table or flow.source.query):
            msg = f"the source of {flow.name!r} names neither a table nor a query"
            raise ConfigurationError(msg, code="TG103", hint="source.table, or source.query")
        self._database = database_of(connection)
        self._dialect = self._database.dialect
        self._options = checked_options(READ_OPTIONS, "sql", flow.source.read_options)
        self._padded: Collection[str] = ()

    @property
    def place(self) -> str:
        """The database, and the table or `query`."""
        source = self.flow.source
        what = ".".join(filter(None, (source.schema_name, source.table))) if source.table else "query"
        return f"{self._database.place()}/{what}"

    def columns(self, known: Columns) -> Columns:
        """Ask the database."""
        source = self.flow.source
        with self._database.session(read_only=True) as session:
            if source.table is None:
                columns = session.describe(self._rows)
            elif (found := session.columns(source.schema_name, source.table)) is not None:
                columns = found
            else:
                raise self._no_table(session)
            self._padded = session.padded_texts(self._rows)
            return {**columns, **self._as_numbers(session.long_numbers(self._rows))}

    def _as_numbers(self, long_numbers: Collection[str]) -> Columns:
        """Return the types that hints give to numbers that else are read as text, which does not compare as they do."""
        hints = {hint.column_name.lower(): hint for hint in self.flow.transform.schema_hints if hint.is_active}
        types: dict[str, pa.DataType] = {}
        for column in long_numbers:
            if hint := hints.get(column.lower()):
                dtype = parse_data_type(hint.data_type, precision=hint.precision, scale=hint.scale)
                types |= {column: dtype} if pa.types.is_decimal(dtype) else {}
            elif column.lower() in {name.lower() for name in self.flow.source.watermark_columns}:
                msg = f"watermark column {column!r} holds numbers of any length, which are read as text"
                hint_text = f"declare its digits: schema_hints: [{{column_name: {column}, data_type: 'decimal(38,0)'}}]"
                raise SourceError(msg, {"column": column}, code="TG210", where=self.place, hint=hint_text)
        return types

    def batches(self, request: RowRequest) -> Iterator[pa.RecordBatch]:
        """Stream the rows that may be wanted."""
        with self._database.session(snapshot=True, read_only=True) as session:
            if "partition_column" not in self._options:
                sql, parameters = self._query(request)
                yield from session.stream(sql, parameters, columns=request.columns, batch_rows=self._batch_rows)
                return
            column, snapshot = self._partition_column(request), self._shared_snapshot(session)
            bounds = self._partitions(column, request).bounds(session)
            queries = [self._query(request, (column, *part)) for part in bounds]
            yield from PartReader(self._database, snapshot, request.columns, self._batch_rows).batches(queries)

    @property
    def _batch_rows(self) -> int:
        return int(self._options.get("fetch_size", _BATCH_ROWS))

    @property
    def _rows(self) -> str:
        """The rows as a query, on their own."""
        source = self.flow.source
        if source.table is not None:
            return f"SELECT * FROM {self._dialect.quoted(source.schema_name, source.table)}"
        return single_statement(source.query or "", self._dialect.sqlglot)

    def _query(self, request: RowRequest, part: tuple[str, Any, Any] | None = None) -> tuple[str, list[Any]]:
        conditions = Conditions(self._dialect, request.columns, self._padded)
        conditions.add_request(request)
        hinted = {hint.column_name.lower() for hint in self.flow.transform.schema_hints if hint.is_active}
        as_read = {name: dtype for name, dtype in request.columns.items() if name.lower() not in hinted}
        if (expression := self.flow.source.filter_expression) and not self.flow.transform.value_rules:
            conditions.columns = as_read
            conditions.add_expression(expression)
            conditions.columns = request.columns
        if part:
            conditions.add_part(*part)
        names = ", ".join(map(self._dialect.quoted, request.columns))
        if self.flow.source.table is not None:
            return f"SELECT {names} FROM {self._table}{conditions.where}", conditions.parameters
        if not conditions.clauses:
            return self._rows, []
        # the line break ends a comment that the query may end with
        return f"SELECT {names} FROM ({self._rows}\n) q{conditions.where}", conditions.parameters

    @property
    def _table(self) -> str:
        return self._dialect.quoted(self.flow.source.schema_name, self.flow.source.table)

    def _partition_column(self, request: RowRequest) -> str:
        wanted = self._options["partition_column"]
        found = {name.lower(): name for name in request.columns}.get(wanted.lower())
        if found is None:
            msg = f"partition_column {wanted!r} is not in the source"
            hint = f"its columns are: {', '.join(request.columns)}"
            raise SourceError(msg, {"column": wanted}, code="TG209", where=self.place, hint=hint)
        return found

    def _shared_snapshot(self, session: Session) -> str:
        snapshot = session.export_snapshot()
        if snapshot is None:
            msg = (
                f"{self._database.kind} cannot show one snapshot to several connections: rows could be lost or doubled"
            )
            hint = "remove partition_column: the read then is one stream"
            raise ConfigurationError(msg, code="TG727", where=self.place, hint=hint)
        return snapshot

    def _partitions(self, column: str, request: RowRequest) -> Partitions:
        return Partitions(
            column=column,
            dtype=request.columns[column],
            count=self._options.get("partition_count", 4),
            rows=f"({self._rows}\n) q",
            dialect=self._dialect,
            place=self.place,
        )

    def _no_table(self, session: Session) -> SourceError:
        import difflib

        source = self.flow.source
        tables = [name for _, name in session.tables(source.schema_name)]
        near = difflib.get_close_matches(source.table or "", tables, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"tables there: {', '.join(tables[:20]) or 'none'}"
        msg = f"there is no table {source.table!r} in {self._database.place()}"
        return SourceError(msg, {"table": source.table}, code="TG201", where=self.place, hint=hint)
