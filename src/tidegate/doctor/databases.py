"""Probes of SQL databases."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.connections import Database, Session, database_of
from tidegate.connections.address import Address, file_of
from tidegate.doctor.database_rights import refusals
from tidegate.doctor.diagnosis import Diagnosis, failed, ok, tried, warning
from tidegate.doctor.folders import nearest_folder, try_folder
from tidegate.doctor.network import answers, compared
from tidegate.doctor.probe import BaseProbe, named
from tidegate.errors import PlatformError, TidegateError
from tidegate.models.destination import physical_key
from tidegate.platforms.local import LOCAL
from tidegate.reporting.figures import plural

if TYPE_CHECKING:
    from tidegate.models import DataFlow

_FILES = frozenset({"duckdb", "sqlite"})
_VERSION = {
    "postgresql": "SELECT 'PostgreSQL ' || current_setting('server_version')",
    "mysql": "SELECT version()",
    "mssql": "SELECT 'SQL Server ' + CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(60))",
    "sqlite": "SELECT 'SQLite ' || sqlite_version()",
    "duckdb": "SELECT 'DuckDB ' || version()",
}
_CLOCK = {
    "postgresql": "SELECT extract(epoch FROM clock_timestamp())::float8",
    "mysql": "SELECT unix_timestamp(now(6))",
    "mssql": "SELECT DATEDIFF_BIG(millisecond, '1970-01-01', SYSUTCDATETIME()) / 1000.0",
}
"""SQL for seconds since 1970. Databases of this process have its clock."""
_DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql", "mssql": "mssql-python"}


class DatabaseProbe(BaseProbe):
    """Looks at a SQL database, and at the tables that dataflows read and write there."""

    def diagnoses(self) -> Iterator[Diagnosis]:
        """Yield what is found."""
        database = database_of(self.connection)
        for found in self._reach(database):
            yield found
            if found.status == "failed":
                return
        if database.kind in _FILES and not Path(file_of(self.connection)).exists():
            return  # what there is to say was said
        with database.session(read_only=True) as session:
            yield ok("sign in", database.place())
            if database.kind in _VERSION:
                yield tried("version", lambda: _versions(session, database.kind))
            if database.kind in _CLOCK:
                yield _clock(session, database.kind)
            yield from self._reading(session, database)
        if self.use.writes:
            yield from self._writing(database)

    def _reach(self, database: Database) -> Iterator[Diagnosis]:
        if database.kind in _FILES:
            path = file_of(self.connection)
            if not Path(path).exists() and not self.use.writes:
                hint = "is `database` of the connection, below its `base_path`, spelled as on disk?"
                yield failed("reach", PlatformError(f"there is no database {path}", code="TG762", hint=hint))
            elif not Path(path).exists():
                yield tried("write", lambda: f"{try_folder(LOCAL, nearest_folder(path)).said}; the first load makes it")
        elif isinstance(address := getattr(database, "address", None), Address) and not address.host.startswith("/"):
            yield tried("reach", lambda: answers(address.host, address.port))

    def _reading(self, session: Session, database: Database) -> Iterator[Diagnosis]:
        refused, awaited = 0, 0
        for flow in self.use.reads:
            try:
                awaited += not self._is_there(flow, session, database)
            except TidegateError as error:
                refused += 1
                yield failed("read", named(flow, error))
        if not self.use.reads:
            yield tried("read", lambda: f"{plural(len(session.tables()), 'table')} in sight")
        elif not refused:
            later = f"; {plural(awaited, 'table')} will be made by other flows" if awaited else ""
            yield ok("read", f"{plural(len(self.use.reads), 'flow')} can read{later}")

    def _is_there(self, flow: DataFlow, session: Session, database: Database) -> bool:
        """Tell whether what a dataflow reads is there; what another dataflow has yet to write may not be.

        Raises:
            TidegateError: it is not there (TG762), or may not be read (TG724).
        """
        source = flow.source
        if source.table is None:
            session.describe((source.query or "").strip().rstrip(";"))
            return True
        if session.columns(source.schema_name, source.table) is None:
            if physical_key(self.connection, source.schema_name, source.table) in self.use.written:
                return False
            hint = "is it spelled as there, in this schema, and may the user of the connection see it?"
            raise PlatformError(f"there is no table {source.table!r}", code="TG762", hint=hint)
        table = database.dialect.quoted(source.schema_name, source.table)
        session.fetch(f"SELECT 1 FROM {table} WHERE 1 = 0")  # noqa: S608 - quoted by the dialect
        return True

    def _writing(self, database: Database) -> Iterator[Diagnosis]:
        has_failed = False
        with database.session() as session:
            for error in refusals(session, database, self.use.writes):
                has_failed = True
                yield (warning if error.transient else failed)("write", error)
        if not has_failed:
            yield ok("write", f"{plural(len(self.use.writes), 'flow')} can load")


def _versions(session: Session, kind: str) -> str:
    [(server,)] = session.fetch(_VERSION[kind])
    try:
        return f"{server}, {_DRIVERS[kind]} {version(_DRIVERS[kind])}"
    except (KeyError, PackageNotFoundError):
        return str(server)


def _clock(session: Session, kind: str) -> Diagnosis:
    try:
        before = time.time()
        [(seconds,)] = session.fetch(_CLOCK[kind])
        return compared(float(seconds), before=before, after=time.time())
    except TidegateError as error:
        return warning("clock", error)
