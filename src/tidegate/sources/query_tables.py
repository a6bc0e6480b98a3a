"""The tables of a query as DuckDB sees them: each is read by the source of its format, at one version."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from tidegate.connections.duckdb import DuckDBDatabase, DuckDBSession
from tidegate.engines.base import FileTarget
from tidegate.engines.meter import Reading
from tidegate.errors import SourceError
from tidegate.expressions.queries import tables_of
from tidegate.models import Source, Transform
from tidegate.sources.base import BaseSource, OpenRead, ReadPlan, source_registry
from tidegate.sources.delta import DeltaSource
from tidegate.sources.files import OpenFileRead
from tidegate.sources.rows import OpenRowRead, RowSource
from tidegate.state import Position, SeenRows

if TYPE_CHECKING:
    from tidegate.engines.base import BaseEngine
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform

_MEMORY = "1GiB"
"""What a query holds before it spills."""


@dataclass(slots=True, kw_only=True)
class _Table:
    schema: str | None
    name: str
    source: BaseSource
    plan: ReadPlan
    opened: OpenRead | None = field(default=None)

    @property
    def full_name(self) -> str:
        return ".".join(filter(None, (self.schema, self.name)))


class QueriedTables:
    """The tables of one query, and a session of DuckDB that sees them and nothing else."""

    def __init__(self, flow: DataFlow, platform: BasePlatform, *, place: str) -> None:
        self._flow = flow
        self._platform = platform
        self._place = place
        self._tables: list[_Table] = []
        self.session: DuckDBSession
        """Open between :meth:`open` and :meth:`close`."""
        self.close: Callable[[], object] = lambda: None
        """Ends the session, and removes its files."""

    @property
    def kept(self) -> list[str]:
        """The planned tables whose rows are kept on disk first: those of files that DuckDB does not read itself."""
        is_read = self._flow.source.connection is not None and self._flow.source.connection.format == "parquet"
        remote = self._platform.storage_options
        return [
            table.full_name
            for table in self._tables
            if not isinstance(table.source, RowSource) and (not is_read or remote)
        ]

    def plan(self) -> list[str]:
        """Fix the version of each table, and return their names.

        Raises:
            SourceError: there is no such table.
        """
        named = tables_of(self._flow.source.query or "", "duckdb")
        self._tables = [self._planned(schema, name) for schema, name in named]
        return [table.full_name for table in self._tables]

    def open(self, engine: BaseEngine, folder: str | None = None) -> None:
        """Open the tables as views of a new session.

        Args:
            engine: What reads those that DuckDB does not.
            folder: Where rows are kept meanwhile, made if it is not there; None for the system's.
        """
        self.close()
        if folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
        scratch = tempfile.mkdtemp(prefix="tidegate-query-", dir=folder)
        config: dict[str, Any] = {
            "memory_limit": _MEMORY,
            "temp_directory": f"{scratch}/spilled",
            "python_enable_replacements": False,
        }
        connection = duckdb.connect(config=config)
        self.close = weakref.finalize(self, _release, connection, scratch)
        database = DuckDBDatabase(self._flow.source.connection)  # type: ignore[arg-type]
        database.__dict__["path"] = self._place
        self.session = DuckDBSession(connection, database)
        self.session.execute("SET TimeZone = 'UTC'")
        files: list[str] = []
        for number, table in enumerate(self._tables):
            table.opened = table.source.open(table.plan, engine)
            view = database.dialect.quoted(table.schema, table.name)
            if table.schema:
                self.session.execute(f"CREATE SCHEMA IF NOT EXISTS {database.dialect.quoted(table.schema)}")
            rows = _arrow_rows(table)
            selected = f"_tidegate_{number}"
            if rows is None and (parquet := _parquet_files(table.opened, engine, str(Path(scratch, str(number))))):
                files += parquet
                selected = f"read_parquet([{', '.join(map(_text, parquet))}])"
            else:
                connection.register(selected, _nothing(table.opened) if rows is None else rows)
            self.session.execute(f"CREATE VIEW {view} AS SELECT * FROM {selected}")  # noqa: S608 - names are quoted
        self.session.execute(f"SET allowed_paths = [{', '.join(map(_text, files))}]")
        self.session.execute("SET enable_external_access = false")  # a query reads its tables, and no other file

    def finish(self) -> None:
        """Close the session, and check that files are as they were listed.

        Raises:
            SourceError: one has changed (TG207).
        """
        self.close()
        del self.session  # DuckDB complains on stderr about connections that are there when the process ends
        nothing = Reading(rows=0, recognised=0, watermark={}, seen=SeenRows())
        for table in self._tables:
            if table.opened is not None:
                table.source.finish(table.plan, table.opened, nothing)

    def _planned(self, schema: str | None, name: str) -> _Table:
        own = self._flow.source
        assert own.connection is not None, "checked with the metadata"  # noqa: S101
        source = Source(
            connection_name=own.connection_name,
            connection=own.connection,
            schema_name=schema or own.schema_name,
            table=name,
            configure=own.configure,
        )
        flow = self._flow.model_copy(update={"source": source, "transform": Transform()})
        reader = source_registry.load(own.connection.format or "")(flow, self._platform)
        try:
            return _Table(schema=schema, name=name, source=reader, plan=reader.plan(Position(), scope="all"))
        except SourceError as error:
            if error.code != "TG201":
                raise
            msg = f"the query names {'.'.join(filter(None, (schema, name)))}: {error.message}"
            hint = f'{error.hint}; a name with dots or slashes needs quotes: "orders/*.csv"'
            raise SourceError(msg, error.details, code="TG201", where=error.where, hint=hint) from None


class _Stream:
    """The rows of a source, read anew each time that the query scans them."""

    def __init__(self, source: RowSource, opened: OpenRowRead) -> None:
        self._source = source
        self._request = opened.request

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        schema = pa.schema(list(self._request.columns.items()))
        reader = pa.RecordBatchReader.from_batches(schema, self._source.batches(self._request))
        return reader.__arrow_c_stream__(requested_schema)


def _arrow_rows(table: _Table) -> Any:
    """Return what DuckDB scans a table through; None for one that it reads from Parquet files."""
    if isinstance(table.source, DeltaSource) and (dataset := table.source.dataset()) is not None:
        return dataset
    if isinstance(table.source, RowSource):
        assert isinstance(table.opened, OpenRowRead)  # noqa: S101 - opened by it
        return _Stream(table.source, table.opened)
    return None


def _parquet_files(opened: OpenRead, engine: BaseEngine, folder: str) -> list[str]:
    """Return the rows as Parquet files: their own, where these say just what the read says, else written anew."""
    if isinstance(opened, OpenFileRead) and len(opened.scan.groups) == 1 and not opened.scan.per_file:
        (group,) = opened.scan.groups
        if group.format == "parquet" and group.columns == opened.scan.columns and not group.platform.storage_options:
            return list(group.paths)
    written = engine.write(opened.frame, FileTarget(folder=folder, prefix="rows", compression="lz4"))
    return [file.path for file in written.files]


def _nothing(opened: OpenRead) -> pa.Table:
    return pa.schema(list(opened.columns.items())).empty_table()


def _release(connection: duckdb.DuckDBPyConnection, scratch: str) -> None:
    connection.close()
    shutil.rmtree(scratch, ignore_errors=True)


def _text(path: str) -> str:
    return "'" + path.replace("'", "''") + "'"
