"""MongoDB: its client, its values, and its errors in our words.

========  ==================================  ============================================================
code      class                               what happened
========  ==================================  ============================================================
TG750     PlaceUnavailableError (transient)   it did not answer, or the connection broke, or it has no primary
TG751     PlatformError                       it refused the connection: user, password, rights, TLS
TG752     PlaceUnavailableError (transient)   it undid a transaction, or no longer has the snapshot of a read
TG753     PlaceUnavailableError (transient)   the connection broke during a commit: it may have happened
TG754     ConfigurationError                  it has no transactions: it is no replica set
TG755     PlatformError                       it refused an operation
========  ==================================  ============================================================
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import MongoClient, errors
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from tidegate.connections.address import filled
from tidegate.errors import ConfigurationError, PlaceUnavailableError, PlatformError, TidegateError, first_line
from tidegate.models import Connection

if TYPE_CHECKING:
    from pymongo.database import Database

Document = dict[str, Any]

VALUES: CodecOptions[Document] = CodecOptions(
    uuid_representation=UuidRepresentation.STANDARD, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
"""How values are read: times without a zone, which is UTC; those that Python does not have as a number."""
OWN = "_tidegate_"
"""Begin of the names of collections and fields that Tidegate keeps for itself."""
MICROSECONDS = "_tidegate_us"
"""Field of a document with what its times have beyond milliseconds, which BSON lacks: column → microseconds."""

_WITH_SNAPSHOTS = 13
"""Wire version of MongoDB 5.0, the first whose reads outside of transactions see a snapshot."""
_REFUSED = frozenset({11, 13, 18, 33, 8000})
_UNAVAILABLE = frozenset({6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
_UNDONE = frozenset({24, 112, 239, 244, 246, 251, 256, 290})
"""Lock timeout, write conflict, snapshot too old or unavailable, transaction aborted, gone or too long."""
_NO_TRANSACTIONS = 20
_SNAPSHOT_TOO_OLD = 239


class MongoPlace:
    """A database of MongoDB that a connection declares. Connects when it is first used."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._url = filled(connection)
        url = urlsplit(self._url or "")
        self._hosts = url.netloc.rpartition("@")[2] or _host_and_port(connection)
        self._name = unquote(url.path.removeprefix("/")) or connection.database or ""
        if not self._name:
            msg = f"connection {connection.name!r} says no database"
            raise ConfigurationError(msg, code="TG726", hint="configure.database: <database>, or a url that has it")

    def place(self) -> str:
        """Return the database as messages name it, host:port/database: never with credentials."""
        return f"{self._hosts}/{self._name}"

    @cached_property
    def client(self) -> MongoClient[Document]:
        """The client, closed with this object."""
        settings = self._connection.settings
        given = {"username": settings.username, "password": settings.password}
        is_in_url = "@" in urlsplit(self._url or "").netloc
        login: dict[str, Any] = {} if is_in_url else {name: value for name, value in given.items() if value is not None}
        with self.translated():
            client: MongoClient[Document] = MongoClient(
                self._url or f"mongodb://{self._hosts}", appname="tidegate", **login
            )
        weakref.finalize(self, client.close)
        return client

    @cached_property
    def source(self) -> Database[Document]:
        """The database to read from, by the read preference of the URL."""
        return self.client.get_database(self._name, VALUES, read_concern=ReadConcern("majority"))

    @cached_property
    def destination(self) -> Database[Document]:
        """The database to load into: what is read is what a majority has, and so is what is written."""
        return self.client.get_database(
            self._name, VALUES, ReadPreference.PRIMARY, WriteConcern("majority"), ReadConcern("majority")
        )

    def require_transactions(self) -> None:
        """Refuse a server that has no transactions.

        Raises:
            ConfigurationError: it is no part of a replica set (TG754).
        """
        if not _has_transactions(self._hello):
            raise self._standalone()

    def has_snapshots(self) -> bool:
        """Tell whether reads can see one moment: of a replica set or a sharded cluster, from MongoDB 5.0 on."""
        return _has_transactions(self._hello) and self._hello["maxWireVersion"] >= _WITH_SNAPSHOTS

    @cached_property
    def _hello(self) -> Document:
        with self.translated():
            return self.client.admin.command("hello")

    def _standalone(self) -> ConfigurationError:
        hint = "start it as a replica set, of one node at least: mongod --replSet rs0, then rs.initiate()"
        msg = "MongoDB has no transactions there: it runs as a standalone server, and a load has to be one step"
        return ConfigurationError(msg, code="TG754", where=self.place(), hint=hint)

    @contextmanager
    def translated(self, *, committing: bool = False) -> Iterator[None]:
        """Raise errors of the driver as ours.

        Args:
            committing: What fails is the end of a transaction.
        """
        try:
            yield
        except (errors.PyMongoError, OSError) as error:
            raise self._error(error, committing=committing) from error

    def _error(self, error: Exception, *, committing: bool) -> TidegateError:
        code = _code(error)
        labels = error.has_error_label if isinstance(error, errors.PyMongoError) else lambda _: False
        place, cause, about = self.place(), _cause(error), {"error": code}
        is_lost = isinstance(error, errors.ConnectionFailure | OSError) or code in _UNAVAILABLE
        if committing and (is_lost or labels("UnknownTransactionCommitResult")):
            hint = "run again: the load that may have been committed is found there, and not loaded twice"
            msg = f"the connection to MongoDB broke during a commit: {cause}"
            return PlaceUnavailableError(msg, about, code="TG753", where=place, hint=hint)
        if code == _NO_TRANSACTIONS:
            return self._standalone()
        if code in _UNDONE or (labels("TransientTransactionError") and not is_lost):
            hint = "nothing was changed; run again"
            if code == _SNAPSHOT_TOO_OLD:
                hint = (
                    "the server keeps a snapshot for minSnapshotHistoryWindowInSeconds: raise it, or read less at once"
                )
            return PlaceUnavailableError(f"MongoDB gave up: {cause}", about, code="TG752", where=place, hint=hint)
        if is_lost:
            hint = "is the server up, has it a primary, and does the connection say where?"
            msg = f"MongoDB did not answer: {cause}"
            return PlaceUnavailableError(msg, about, code="TG750", where=place, hint=hint)
        if code in _REFUSED or isinstance(error, errors.ConfigurationError | errors.InvalidURI):
            hint = "check url, username and password, authSource and TLS of the connection, and the rights of its user"
            return PlatformError(f"MongoDB refused: {cause}", about, code="TG751", where=place, hint=hint)
        return PlatformError(f"MongoDB refused an operation: {cause}", about, code="TG755", where=place)


def with_microseconds(document: Document) -> Document:
    """Return a document with its times as they were written: what BSON lacks of them stands in a field beside."""
    beyond = document.pop(MICROSECONDS, None)
    if type(beyond) is dict:
        for column, microseconds in beyond.items():
            if document.get(column) is not None:
                document[column] += timedelta(microseconds=microseconds)
    return document


def _host_and_port(connection: Connection) -> str:
    settings = connection.settings
    if not settings.host:
        msg = f"connection {connection.name!r} says no host"
        raise ConfigurationError(msg, code="TG726", hint="configure.host: <host>, or a url that has it")
    return f"{settings.host}:{settings.port or 27017}"


def collection_named(schema: str | None, table: str) -> str:
    """Return the name of a collection.

    Raises:
        ConfigurationError: it has a schema, which MongoDB does not have (TG726).
    """
    if schema:
        msg = f"collection {table!r} has a schema_name, {schema!r}, and MongoDB has no schemas"
        hint = "name the database in the connection; a name with dots, such as sales.orders, is one table"
        raise ConfigurationError(msg, code="TG726", hint=hint)
    return table


def _has_transactions(hello: Document) -> bool:
    return "setName" in hello or hello.get("msg") == "isdbgrid"


def _code(error: Exception) -> int | None:
    """Return the server's number of an error; of many operations, that of the first that failed."""
    if isinstance(error, errors.BulkWriteError):
        failed = (error.details or {}).get("writeErrors", ())
        return int(failed[0]["code"]) if failed else None
    return error.code if isinstance(error, errors.OperationFailure) else None


def _cause(error: Exception) -> str:
    """Return what an error says, in one line; of many operations, what the first that failed says."""
    if isinstance(error, errors.BulkWriteError):
        details = error.details or {}
        failed = [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
        return str(failed[0].get("errmsg", "")) if failed else first_line(error)
    if isinstance(error, errors.OperationFailure):
        return str((error.details or {}).get("errmsg") or first_line(error))
    return first_line(error).partition(", Timeout:")[0]
