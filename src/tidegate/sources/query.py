"""SQL over the tables of a connection that has no SQL of its own: files and lakehouse tables, queried by DuckDB.

A table of the query is one below the connection's base path, or of its catalog, each read at one version. Rows are
streamed; what does not fit into the query's memory goes to temporary files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from tidegate.connections.duckdb_types import DuckDBDialect
from tidegate.errors import ConfigurationError
from tidegate.sources.pushdown import Conditions, single_statement
from tidegate.sources.query_tables import QueriedTables
from tidegate.sources.rows import Columns, OpenRowRead, RowReadPlan, RowRequest, RowSource
from tidegate.sources.spool import KEEPS_ALL

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.engines.base import BaseEngine
    from tidegate.engines.meter import Reading
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform
    from tidegate.sources.base import ColumnWindow, OpenRead, ReadPlan, ReadScope
    from tidegate.state import Position


class QuerySource(RowSource):
    """Reads the rows of a query."""

    def __init__(self, flow: DataFlow, platform: BasePlatform) -> None:
        super().__init__(flow, platform)
        self._query = single_statement(flow.source.query or "", DuckDBDialect.sqlglot)
        if self._query.lower().endswith(".sql"):
            msg = f"source.query of {flow.name!r} is a path, where SQL text is wanted"
            hint = "metadata files may name a .sql file; in Python, read it: Path(...).read_text()"
            raise ConfigurationError(msg, code="TG226", hint=hint)
        self._tables = QueriedTables(flow, platform, place=self.place)

    @property
    def place(self) -> str:
        """The connection's base path, or its catalog, and `query`."""
        connection = self.flow.source.connection
        assert connection is not None, "checked with the metadata"  # noqa: S101
        return f"{connection.settings.base_path or connection.catalog or connection.name}/query"

    def plan(self, position: Position, *, scope: ReadScope, window: ColumnWindow | None = None) -> RowReadPlan:
        """Fix the version of each table, and from where rows are read."""
        names = self._tables.plan()
        plan = super().plan(position, scope=scope, window=window)
        notes = [f"tables of the query: {', '.join(names) or 'none'}"]
        if kept := self._tables.kept:
            notes.append(f"{KEEPS_ALL}: {', '.join(kept)}")
        return replace(plan, notes=(*plan.notes, *notes))

    def open(self, plan: ReadPlan, engine: BaseEngine) -> OpenRowRead:
        """Open the tables, settle the columns, and return the rows as a frame."""
        self._tables.open(engine, self.scratch)
        return super().open(plan, engine)

    def columns(self, known: Columns) -> Columns:
        """Ask DuckDB."""
        return self._tables.session.describe(self._query)

    def batches(self, request: RowRequest) -> Iterator[pa.RecordBatch]:
        """Stream the rows that may be wanted."""
        dialect = DuckDBDialect()
        conditions = Conditions(dialect, request.columns)
        conditions.add_request(request)
        sql = self._query
        if conditions.clauses:
            names = ", ".join(map(dialect.quoted, request.columns))
            # the line break ends a comment that the query may end with
            sql = f"SELECT {names} FROM ({sql}\n) q{conditions.where}"  # noqa: S608 - names are quoted
        yield from self._tables.session.stream(sql, conditions.parameters, columns=request.columns)

    def finish(self, plan: ReadPlan, opened: OpenRead, reading: Reading) -> Position:
        """Check that the tables are as they were when they were opened, and return the position after the read."""
        self._tables.finish()
        return super().finish(plan, opened, reading)
