"""The port to SQL databases: what sources read through, and destinations write through.

A :class:`Database` is cheap and opens nothing; a :class:`Session` is one connection, for one thread. Errors of drivers
become ours in one place per database:

========  ==================================  ============================================================
code      class                               what happened
========  ==================================  ============================================================
TG720     PlaceUnavailableError (transient)   it did not answer, or the connection broke
TG721     PlatformError                       it refused the connection: user, password, database, TLS, rights
TG722     PlaceUnavailableError (transient)   it undid the transaction because of another one
TG723     PlaceUnavailableError (transient)   the connection broke during a commit: it may have happened
TG724     PlatformError                       it refused a statement
TG725     PlatformError                       a value is none of its column's Arrow type
TG726     ConfigurationError                  the connection does not say which database, or how to reach it
========  ==================================  ============================================================
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from tidegate.connections.address import scheme_of
from tidegate.connections.dialect import Dialect
from tidegate.errors import ConfigurationError
from tidegate.models import Connection
from tidegate.registry import PluginRegistry

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 65_536
"""Rows of a batch, at most: a few megabytes of a usual table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableTraits:
    """What the types of a table's columns do not tell of it. Where a database does not tell either, the defaults."""

    identity: str | None = None
    """Differs from that of every other table that the database has had, and stays through ALTER and upkeep."""
    time_steps: Mapping[str, int] = field(default_factory=dict)
    """Columns that keep no microseconds → the microseconds of their least step."""
    loose_texts: frozenset[str] = frozenset()
    """Columns in which texts are equal that are not the same."""
    engine_without_transactions: str | None = None
    """The storage engine, if it cannot undo what a load has written."""


class Session(ABC):
    """One open connection to a database, for one thread.

    Outside of :meth:`begin` and :meth:`commit` each statement is its own transaction. SQL is in the words of the
    database, parameters stand as :meth:`Dialect.placeholder <tidegate.connections.dialect.Dialect.placeholder>` says.
    They are None, bool, int, float, Decimal, str, bytes, date, time, and datetime, with or without a zone.
    A column type that Arrow has no equivalent of is read as text, as the database writes it.
    """

    # -- what there is --------------------------------------------------------------------------------------------

    @abstractmethod
    def columns(self, schema: str | None, table: str) -> dict[str, pa.DataType] | None:
        """Return the columns of a table or view in their order, spelled as they are there; None when there is none.

        Args:
            schema: None is the session's own schema.
            table: As the database has it, or in another case where the database does not tell cases apart.
        """

    @abstractmethod
    def describe(self, sql: str, parameters: Sequence[Any] = ()) -> dict[str, pa.DataType]:
        """Return the columns that a query would give, without running it.

        Raises:
            PlatformError: TG724, when it does not hold, or two of its columns have one name.
        """

    def long_numbers(self, sql: str) -> frozenset[str]:
        """Return the columns of a query whose numbers may be longer than Arrow's decimals: they are read as text.

        As text they do not compare as numbers do.
        """
        return frozenset()

    def padded_texts(self, sql: str) -> frozenset[str]:
        """Return the columns of a query that are read with blanks at their end, and compared without them."""
        return frozenset()

    @abstractmethod
    def primary_key(self, schema: str | None, table: str) -> tuple[str, ...]:
        """Return the columns of the primary key in its order; none when there is none."""

    def traits(self, schema: str | None, table: str) -> TableTraits:
        """Return what else there is to know of a table that there is."""
        return TableTraits()

    def spelling(self, schema: str | None, table: str) -> str:
        """Return the name of a table as the database has it; as it is given where there is none."""
        return table

    def column_attributes(self, schema: str | None, table: str, column: str) -> str:
        """Return what stands behind the type of a column where :meth:`Dialect.widen` defines it anew."""
        return ""

    @abstractmethod
    def tables(self, schema: str | None = None) -> list[tuple[str | None, str]]:
        """Return schema and name of all tables and views that are not the database's own, sorted.

        Args:
            schema: Only those of it.
        """

    # -- reading --------------------------------------------------------------------------------------------------

    @abstractmethod
    def stream(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        *,
        columns: Mapping[str, pa.DataType],
        batch_rows: int = BATCH_ROWS,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a query, in bounded memory however many there are.

        It sees what the session's transaction sees. It is closed when the iterator is closed or exhausted; until then
        the session does nothing else.

        Args:
            sql: A query.
            parameters: Its parameters.
            columns: Its columns, as :meth:`describe` gives them; batches have just these types. A wider type, or a
                decimal where text is described, is cast to, never with loss.
            batch_rows: Rows of a batch, at most.

        Raises:
            PlatformError: TG725, when a value is none of its column's type, naming the column; TG724, when the query
                has other columns by now.
        """

    @abstractmethod
    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a small query, as Python values."""

    # -- writing --------------------------------------------------------------------------------------------------

    @abstractmethod
    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Carry out a statement, and return how many rows it changed; 0 for DDL."""

    @abstractmethod
    def begin(self) -> None:
        """Begin a transaction."""

    @abstractmethod
    def commit(self) -> None:
        """Make the transaction's changes visible.

        Raises:
            PlaceUnavailableError: TG723, when the connection broke and nobody knows whether it happened; TG722, when
                it certainly did not.
        """

    @abstractmethod
    def rollback(self) -> None:
        """Undo the transaction. Nothing happens outside of one, or when the connection broke."""

    @abstractmethod
    def insert(self, table: str, columns: Mapping[str, pa.DataType], batches: Iterable[pa.RecordBatch]) -> int:
        """Append rows to a table in bounded memory, and return how many: all of them, or none when it fails.

        They are part of the transaction; without one, they are their own.

        Args:
            table: Its name, quoted.
            columns: The columns of the batches, in their order; those that the table has besides get their default.
            batches: Of just these types, each of which is
                :meth:`storable <tidegate.connections.dialect.Dialect.storable>`.

        Raises:
            PlatformError: TG725, when the database has no such value: a text with a zero byte, a year out of range.
        """

    # -- snapshots ------------------------------------------------------------------------------------------------

    def export_snapshot(self) -> str | None:
        """Return a token by which other sessions see what this one sees, as long as it is open.

        None where there is no such thing, and outside of a session that has a snapshot.
        """
        return None


@contextmanager
def transaction_of(session: Session, *, is_open: bool) -> Iterator[None]:
    """Make what is done in the block one transaction, where there is not one already.

    Args:
        session: The session.
        is_open: It has a transaction, which goes on afterwards.
    """
    if is_open:
        yield
        return
    session.begin()
    try:
        yield
    except BaseException:
        session.rollback()
        raise
    session.commit()


class Database(ABC):
    """A database that a connection declares. Cheap; opens sessions on demand."""

    kind: ClassVar[str]
    """As `database_type` names it."""
    dialect: Dialect

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @abstractmethod
    def place(self) -> str:
        """Return the database as messages name it, host:port/database: never with credentials."""

    def exists(self) -> bool:
        """Tell whether there is a database: False for a file that the first session which may write will make."""
        return True

    @abstractmethod
    def session(self, *, snapshot: bool | str = False, read_only: bool = False) -> AbstractContextManager[Session]:
        """Open a session, closed with the block; what is not committed by then is undone.

        Args:
            snapshot: All of the session is one transaction that sees the database as it was when the session opened;
                given a token of :meth:`Session.export_snapshot`, as that session sees it.
            read_only: The database refuses changes, where it can.

        Raises:
            PlaceUnavailableError: TG720.
            PlatformError: TG721.
        """


database_registry: PluginRegistry[Database] = PluginRegistry("tidegate.databases", Database)
for _kind, _class in (
    ("postgresql", "PostgreSQLDatabase [postgres]"),
    ("sqlite", "SQLiteDatabase"),
    ("duckdb", "DuckDBDatabase [duckdb]"),
    ("mysql", "MySQLDatabase [mysql]"),
    ("mssql", "SQLServerDatabase [mssql]"),
    ("oracle", "OracleDatabase [oracle]"),
):
    database_registry.register_lazy(_kind, f"tidegate.connections.{_kind}:{_class}")


def database_of(connection: Connection) -> Database:
    """Return the database of a connection, by its `database_type`, or else by the scheme of its `url`.

    Raises:
        ConfigurationError: neither says a kind that there is (TG726), or an extra is missing (TG612).
    """
    settings = connection.settings
    kind = settings.database_type or (scheme_of(settings.url) if settings.url else None)
    known = database_registry.list_plugins()
    if kind not in known:
        what = f"is {kind!r}" if kind else "is not said"
        msg = f"the database_type of connection {connection.name!r} {what}"
        raise ConfigurationError(msg, code="TG726", hint=f"configure.database_type: one of {', '.join(known)}")
    return database_registry.load(kind)(connection)
