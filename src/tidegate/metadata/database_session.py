"""One way to a database of metadata: its URL, its transactions, and its errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from tidegate.errors import ConfigurationError, MetadataError, first_line
from tidegate.state.opening import hide_password

_DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
    "mssql": "mssql+mssqlpython",
}
"""The driver of a URL that names none: that of our extra."""
_EXTRAS = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql", "mssql": "mssql"}
_WRITES = "tidegate_writes"


class ChangedMeanwhileError(MetadataError):
    """Another process wrote the same row first."""

    default_code = "TG140"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where the tables are.

    Attributes:
        url: The database, without the parameters that are ours.
        workspace: Whose rows are meant; None when the URL does not say.
        schema: The schema of the tables; None for the user's own.
    """

    url: URL
    workspace: str | None
    schema: str | None

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the location that a URL says; a password in it is hidden from now on.

        Raises:
            MetadataError: it is no URL (TG144).
        """
        hide_password(text)
        try:
            url = make_url(text)
        except (ArgumentError, ValueError):
            message = "the URL of the metadata database cannot be read"
            hint = "for instance postgresql://user@host/database?workspace=sales"
            raise MetadataError(message, code="TG144", hint=hint) from None
        ours = {name: url.query.get(name) for name in ("workspace", "schema")}
        given = {name: value if isinstance(value, str) or value is None else value[-1] for name, value in ours.items()}
        plain = url.difference_update_query(ours)
        return cls(url=plain.set(drivername=_DRIVERS.get(plain.drivername.lower(), plain.drivername)), **given)

    @property
    def place(self) -> str:
        """The database as errors name it."""
        return self.url.set(drivername=self.url.get_backend_name(), query={}).render_as_string(hide_password=True)


class Sessions:
    """Short transactions on the database, each on a connection of its own."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self._engine: sa.Engine | None = None

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a transaction that sees the database as it is at one moment.

        Raises:
            MetadataError: it cannot be used (TG140).
        """
        url = self.location.url
        database = url.database or ""
        if _is_sqlite(url) and not database.startswith(("file:", ":")) and not Path(database).exists():
            hint = "`tidegate metadata convert FROM URL` creates it"
            raise MetadataError(f"there is no database {self.location.place}", code="TG140", hint=hint)
        with self._session(writes=False) as connection:
            yield connection

    @contextmanager
    def writing(self, *, serial: bool = True) -> Iterator[sa.Connection]:
        """Open a transaction that is committed at the end of the block, and undone by an error.

        Args:
            serial: Whether others at work are as though they came before or after; else rows are compared and swapped.

        Raises:
            ChangedMeanwhileError: a row that is new here was new to another first.
            MetadataError: it cannot be used (TG140).
        """
        with self._session(writes=True, serial=serial) as connection:
            yield connection

    @contextmanager
    def _session(self, *, writes: bool, serial: bool = True) -> Iterator[sa.Connection]:
        try:
            with self._opened().connect() as connection:
                options: dict[str, Any] = {_WRITES: writes}
                if serial and connection.dialect.name != "sqlite":  # which is serial anyway, once it is told to begin
                    options["isolation_level"] = "SERIALIZABLE"
                connection.execution_options(**options)
                with connection.begin():
                    yield connection
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            message = f"the metadata database {self.location.place} cannot be used: {first_line(cause)}"
            hint = "nothing was changed; does the URL say the right server, database, user and password?"
            kind = ChangedMeanwhileError if isinstance(error, IntegrityError) else MetadataError
            raise kind(message, code="TG140", hint=hint) from error

    def _opened(self) -> sa.Engine:
        if self._engine is None:
            url = self.location.url
            try:
                self._engine = sa.create_engine(url, poolclass=NullPool)
            except (ImportError, NoSuchModuleError) as error:
                backend = url.get_backend_name()
                message = f"metadata in {backend} need a driver that is not installed: {first_line(error)}"
                hint = f"pip install 'tidegate[{_EXTRAS.get(backend, 'sql')}]', or name another: {backend}+DRIVER://"
                raise ConfigurationError(message, code="TG612", hint=hint) from error
            if _is_sqlite(url):
                _let_sqlite_begin(self._engine)
        return self._engine


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _let_sqlite_begin(engine: sa.Engine) -> None:
    """Begin transactions ourselves: Python's driver begins none for reads, which then see several moments."""

    @sa.event.listens_for(engine, "connect")
    def _(connection: Any, _: object) -> None:
        connection.isolation_level = None

    @sa.event.listens_for(engine, "begin")
    def _(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
