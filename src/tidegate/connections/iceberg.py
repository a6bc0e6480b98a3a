"""Iceberg catalogs: which one a connection means, and the tables in it.

Without a declared catalog, tables are kept in a SQL catalog of their own on SQLite, `{base_path}/catalog.db`.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pyiceberg.catalog import Catalog, list_catalogs, load_catalog
from pyiceberg.exceptions import (
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchPropertyException,
    NoSuchTableError,
    NotInstalledError,
    RESTError,
)
from pyiceberg.schema import Schema
from pyiceberg.types import NestedField, StringType

from tidegate.errors import ConfigurationError, DestinationError, first_line

if TYPE_CHECKING:
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.table import CreateTableTransaction, Table

    from tidegate.models import Connection
    from tidegate.models.connection import ConnectionSettings
    from tidegate.platforms import BasePlatform

DEFAULT_CATALOG = "default"
"""Name of a catalog that is not given one; PyIceberg's own default."""

_WAIT_FOR_LOCK_SECONDS = 30
_MOST_ATTEMPTS = 20
_LEFT_BY_A_FIRST_LOAD = re.compile(r"metadata/(00000-[^/]*\.metadata\.json|[^/]*\.avro)")
_INSTALLS = {"glue": "pyiceberg[glue]", "hive": "pyiceberg[hive]", "dynamodb": "pyiceberg[dynamodb]"}


class TableInCatalog:
    """The place of one Iceberg table: its catalog, its name there, and its folder.

    Args:
        connection: Says which catalog.
        schema_name: The table's namespace; None for the connection's own.
        table: Its name.
        platform: Where the SQLite file of a catalog is, if it is one.
    """

    def __init__(self, connection: Connection, schema_name: str | None, table: str, platform: BasePlatform) -> None:
        self._connection = connection
        self._settings = connection.settings
        self._platform = platform
        self._catalog: Catalog | None = None
        self.catalog_name = connection.catalog or DEFAULT_CATALOG
        self._schema_name = schema_name
        self._namespace = schema_name or connection.database or DEFAULT_CATALOG
        self._table = table
        self.database_file = _database_file(connection)
        """File of the SQLite catalog, or None when another catalog is declared."""
        self.folder = self._declared_folder()
        """Where the table is to be, as the metadata says; None where the catalog decides it."""

    @property
    def place(self) -> str:
        """The table as people write it: its folder, or its name in a catalog."""
        if self.folder is not None and self.database_file is not None:
            return self.folder
        return f"{self.catalog_name}.{self._namespace}.{self._table}"

    @property
    def identifier(self) -> tuple[str, ...]:
        """The table's name in the catalog. Only REST catalogs have namespaces within namespaces."""
        nested = self._settings.catalog_type == "rest"
        return (*(self._namespace.split(".") if nested else (self._namespace,)), self._table)

    def load(self) -> Table | None:
        """Return the table as it is now, or None when there is none. Creates nothing."""
        if self.database_file is not None and self._platform.file(self.database_file) is None:
            return None
        with self.opened() as catalog:
            try:
                return catalog.load_table(self.identifier)
            except (NoSuchTableError, NoSuchNamespaceError):
                return None

    def new_location(self) -> str:
        """Return where a table that is not there yet will be: as declared, else as the catalog would place it."""
        if self.folder is not None:
            return self.folder
        self.make_namespace()
        any_schema = Schema(NestedField(1, "any", StringType()))
        with self.opened() as catalog:
            return catalog.create_table_transaction(self.identifier, any_schema).table_metadata.location

    def creation(self, schema: Schema, partitions: PartitionSpec, properties: dict[str, str]) -> CreateTableTransaction:
        """Return the transaction that creates the table; nothing is there before it is committed."""
        self.make_namespace()
        with self.opened() as catalog:
            return catalog.create_table_transaction(
                self.identifier, schema, self.folder, partitions, properties=properties
            )

    def make_namespace(self) -> None:
        """Create the table's namespace, and the SQLite catalog itself, where they do not exist."""
        if self.database_file is not None:
            self._platform.make_folder(self.database_file.rpartition("/")[0] or "/")
        namespace = self.identifier[:-1]
        for attempt in range(_MOST_ATTEMPTS):
            with self.opened() as catalog:
                if catalog.namespace_exists(namespace):
                    return
                try:
                    catalog.create_namespace(namespace)
                except NamespaceAlreadyExistsError:
                    return
                except Exception as error:
                    if not is_collision(error) or attempt + 1 == _MOST_ATTEMPTS:
                        raise
            _pause()

    @contextmanager
    def opened(self) -> Iterator[Catalog]:
        """Give the catalog; its connections are closed at the end.

        Raises:
            ConfigurationError: what it needs is not declared (TG119), or not installed (TG612).
            DestinationError: it cannot be reached (TG401).
        """
        if self._catalog is None:
            self._catalog = self._connected()
        try:
            yield self._catalog
        finally:
            self._catalog.close()

    def _connected(self) -> Catalog:
        try:
            return self._open_catalog()
        except NotInstalledError as error:
            kind = self._settings.catalog_type or ""
            hint = f"pip install '{_INSTALLS.get(kind, f'pyiceberg[{kind}]')}'"
            raise ConfigurationError(first_line(error), code="TG612", where=self.place, hint=hint) from error
        except (NoSuchPropertyException, ValueError) as error:
            hint = "configure.base_path for a catalog of its own; or catalog_type with url, and catalog_properties"
            msg = f"the Iceberg catalog {self.catalog_name!r} is not fully declared: {first_line(error)}"
            raise ConfigurationError(msg, code="TG119", where=self.place, hint=hint) from error
        except (RESTError, OSError) as error:  # requests' own errors are OSErrors
            msg = f"the Iceberg catalog {self.catalog_name!r} cannot be reached: {first_line(error)}"
            raise DestinationError(msg, code="TG401", where=self.place, hint="check its url and credentials") from error

    def _open_catalog(self) -> Catalog:
        properties = catalog_properties(self._settings)
        if self.database_file is None:
            return load_catalog(self.catalog_name, **properties)
        from pyiceberg.catalog.sql import SqlCatalog

        for attempt in range(
            _MOST_ATTEMPTS
        ):  # processes that create its tables at the same time get in each other's way
            try:
                return SqlCatalog(self.catalog_name, **{**properties, "uri": _sqlite_url(self.database_file)})
            except Exception as error:
                if not is_collision(error) or attempt + 1 == _MOST_ATTEMPTS:
                    msg = f"the Iceberg catalog {self.database_file} cannot be opened: {first_line(error)}"
                    hint = "is it a SQLite file that this user may read and write?"
                    raise DestinationError(msg, code="TG401", where=self.place, hint=hint) from error
            _pause()
        raise AssertionError

    def _declared_folder(self) -> str | None:
        """Return `{base_path}/{namespace}/{table}`, without the namespace where none is declared."""
        if self._settings.base_path is None:
            return None
        declared = self._schema_name or self._namespace == DEFAULT_CATALOG
        namespace = self._schema_name if declared else self._namespace
        return _absolute("/".join(filter(None, (self._settings.base_path.rstrip("/"), namespace, self._table))))


def catalog_properties(settings: ConnectionSettings) -> dict[str, str]:
    """Return the properties of a catalog, in PyIceberg's words; what `catalog_properties` says goes before the rest."""
    region = settings.aws_region
    properties: dict[str, str | None] = {
        "type": settings.catalog_type,
        "uri": settings.url,
        "warehouse": None if settings.base_path is None else _absolute(settings.base_path),
        "token": settings.token,
        "credential": _credential(settings),
        "scope": settings.scope,
        "oauth2-server-uri": settings.token_url,
        "client.region": region,
        "client.access-key-id": settings.aws_access_key_id,
        "client.secret-access-key": settings.aws_secret_access_key,
        "client.session-token": settings.aws_session_token,
    }
    given = {name: _text(value) for name, value in settings.catalog_properties.items()}
    return {**{name: value for name, value in properties.items() if value is not None}, **given}


def local_path(location: str) -> str | None:
    """Return the path of a file or folder of this machine, or None for one in a store.

    Writers do not escape what they put behind `file:`; neither is anything unescaped here.

    >>> local_path("file:///lake/a%2Fb"), local_path("file:/lake/a"), local_path("/lake/a"), local_path("s3://lake/a")
    ('/lake/a%2Fb', '/lake/a', '/lake/a', None)
    """
    path = location.removeprefix("file:").removeprefix("//localhost")
    path = path[2:] if path.startswith("///") else path
    return path if path.startswith("/") and not path.startswith("//") else None


def foreign_names(folder: str, platform: BasePlatform) -> list[str]:
    """Return what lies in a table's folder, but for what a first load left that died before the table was there."""
    names = [name for name in platform.names_in(folder) if name.startswith((".", "_"))]
    if platform.is_folder(folder):
        names += (os.path.relpath(file.path, folder) for file in platform.files_below(folder))
    return [
        name
        for name in names
        if not (name.rpartition("/")[2].startswith("tg-") or _LEFT_BY_A_FIRST_LOAD.fullmatch(name))
    ]


def _database_file(connection: Connection) -> str | None:
    """Return the SQLite file of the catalog, unless the connection or PyIceberg's own configuration names another."""
    settings = connection.settings
    elsewhere = settings.url or "uri" in settings.catalog_properties or settings.catalog_type not in {None, "sql"}
    if elsewhere or settings.base_path is None or (connection.catalog and connection.catalog in list_catalogs()):
        return None
    return f"{_absolute(settings.base_path)}/catalog.db"


def _absolute(path: str) -> str:
    return path.rstrip("/") if "://" in path else os.path.abspath(path)  # noqa: PTH100 - text in, text out


def _credential(settings: ConnectionSettings) -> str | None:
    if settings.client_secret is None:
        return None
    return f"{settings.client_id}:{settings.client_secret}" if settings.client_id else settings.client_secret


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sqlite_url(path: str) -> str:
    from sqlalchemy import URL

    query: Mapping[str, str] = {"timeout": str(_WAIT_FOR_LOCK_SECONDS)}
    return URL.create("sqlite", database=path, query=query).render_as_string(hide_password=False)


def is_collision(error: Exception) -> bool:
    """Tell whether a catalog's database says that another process does the same at the same time."""
    from sqlalchemy.exc import IntegrityError, OperationalError

    busy = ("locked", "already exists", "busy")
    return isinstance(error, IntegrityError) or (
        isinstance(error, OperationalError) and any(word in str(error) for word in busy)
    )


def is_database_error(error: Exception) -> bool:
    """Tell whether the database of a SQL catalog refused, or lost its connection."""
    return any(cls.__module__ == "sqlalchemy.exc" for cls in type(error).__mro__)


def _pause() -> None:
    time.sleep(random.uniform(0.005, 0.1))  # noqa: S311 - jitter
