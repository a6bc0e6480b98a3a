"""What a source or destination is called by OpenLineage, so that every tool that reads or writes it says the same.

The rules are those of OpenLineage's dataset naming specification; where it has none (SQLite, DuckDB, MongoDB, functions
and other APIs), the name is built in the same manner. No credential is ever part of a name.
"""

from __future__ import annotations

import os.path
import re
from pathlib import PurePath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tidegate.connections.address import IN_MOTHERDUCK, without_options
from tidegate.connections.http_call import call_below
from tidegate.reporting.lineage import Dataset

if TYPE_CHECKING:
    from tidegate.models import Connection, Destination, Source
    from tidegate.models.connection import ConnectionSettings

_GLOB = re.compile(r"[*?\[{]")
_SCHEMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "abfss", "wasb": "wasbs"}
_BUCKETS = frozenset({"s3", "gs", "abfss", "wasbs"})
"""Stores whose names are keys, which begin with no slash."""
_SERVERS = {
    "postgresql": ("postgres", 5432, "public"),
    "mysql": ("mysql", 3306, None),
    "mssql": ("mssql", 1433, "dbo"),
    "oracle": ("oracle", 1521, None),
}
"""Kind of database → scheme of its namespace, default port, and the schema of tables that name none."""
_DIALECTS = {"postgres": "postgresql", "mariadb": "mysql"}
_MONGODB_PORT = 27017


def source_dataset(source: Source) -> Dataset:
    """Return what a source reads; for a query over several tables, one dataset of the name `query`."""
    connection = source.connection
    settings = connection.settings if connection else None
    if source.python_function:
        return Dataset(namespace="python", name=source.python_function)
    if connection and settings and connection.connection_type == "api":
        call = call_below(settings.base_url or settings.url or "", source.settings.endpoint or source.table or "")
        address = urlsplit(call.url_without_query)
        return Dataset(namespace=f"{address.scheme}://{address.netloc}", name="/" + address.path.strip("/"))
    schema_name, table = source.schema_name, source.table or "query"
    if source.query and settings:
        from tidegate.expressions.queries import tables_of

        if len(tables := tables_of(source.query, settings.database_type)) == 1:
            [(schema_name, table)] = tables
    if connection and connection.format == "iceberg" and (table != "query" or source.table):
        return _iceberg(connection, schema_name, table)
    return _dataset(connection, schema_name, table, source.path, source.connection_name)


def destination_dataset(destination: Destination) -> Dataset:
    """Return what a destination writes."""
    connection = destination.connection
    if connection and connection.format == "iceberg":
        return _iceberg(connection, destination.schema_name, destination.table)
    path, name = destination.path, destination.connection_name
    return _dataset(connection, destination.schema_name, destination.table, path, name)


def _dataset(
    connection: Connection | None, schema_name: str | None, table: str, path: str | None, connection_name: str
) -> Dataset:
    kind = connection.connection_type if connection else None
    if connection and kind == "database":
        return _database(connection.settings, connection.database, schema_name, table)
    if connection and kind == "mongodb":
        host, port, database = _address(connection.settings, _MONGODB_PORT)
        name = ".".join(filter(None, (connection.database or database, table)))
        return Dataset(namespace=f"mongodb://{host}:{port}", name=name)
    if path is None:
        return Dataset(namespace=connection_name, name=".".join(filter(None, (schema_name, table))))
    return _location(path)


def _location(path: str) -> Dataset:
    scheme, separator, rest = path.partition("://")
    if not separator:
        return Dataset(namespace="file", name=_without_glob(PurePath(os.path.abspath(path)).as_posix()))  # noqa: PTH100
    scheme = _SCHEMES.get(scheme.lower(), scheme.lower())
    place, _, key = rest.partition("/")
    name = _without_glob(f"/{key}".rstrip("/") or "/")
    if scheme == "file":
        return Dataset(namespace=f"file://{place}" if place else "file", name=name)
    return Dataset(namespace=f"{scheme}://{place}", name=name.lstrip("/") or "/" if scheme in _BUCKETS else name)


def _without_glob(path: str) -> str:
    """Return the folder that holds all files of a glob."""
    parts = path.split("/")
    kept = next((index for index, part in enumerate(parts) if _GLOB.search(part)), len(parts))
    return "/".join(parts[:kept]) or "/"


def _database(settings: ConnectionSettings, database: str | None, schema_name: str | None, table: str) -> Dataset:
    kind = settings.database_type or _dialect(settings.url)
    if kind not in _SERVERS:  # SQLite and DuckDB: a file
        named = settings.database or database or urlsplit(settings.url or "").path.removeprefix("/")
        path = without_options(os.path.join(settings.base_path or "", named))  # noqa: PTH118 - a path is text
        if path and not path.startswith(IN_MOTHERDUCK):
            path = PurePath(os.path.abspath(path)).as_posix()  # noqa: PTH100 - purely of the text
        return Dataset(namespace=f"{kind}://{path}", name=".".join(filter(None, (schema_name, table))))
    scheme, default_port, default_schema = _SERVERS[kind]
    host, port, named = _address(settings, default_port)
    parts = (database or settings.database or named, schema_name or default_schema, table)
    return Dataset(namespace=f"{scheme}://{host}:{port}", name=".".join(filter(None, parts)))


def _iceberg(connection: Connection, schema_name: str | None, table: str) -> Dataset:
    """Return the table by its folder, with its name in the catalog beside it; by that name alone without a folder."""
    settings = connection.settings
    name = f"{schema_name or connection.database or 'default'}.{table}"
    address = settings.url or settings.catalog_properties.get("uri")
    parts = urlsplit(str(address or ""))
    catalog = f"{parts.scheme}://{_host(parts.netloc)}{parts.path}".rstrip("/") if address else connection.catalog
    if settings.base_path is None:
        return Dataset(namespace=catalog or connection.name, name=name)
    folder = schema_name or (connection.database if connection.database != "default" else None)
    place = _location("/".join(filter(None, (settings.base_path.rstrip("/"), folder, table))))
    warehouse = _location(settings.base_path)
    known = f"{warehouse.namespace}:{warehouse.name}" if warehouse.namespace == "file" else settings.base_path
    return Dataset(namespace=place.namespace, name=place.name, table=(catalog or known, name))


def _dialect(url: str | None) -> str:
    dialect = urlsplit(url or "").scheme.partition("+")[0]
    return _DIALECTS.get(dialect, dialect) or "database"


def _address(settings: ConnectionSettings, default_port: int) -> tuple[str, int, str]:
    """Return host, port and database: declared, or as the URL has them where it has no placeholder in their place."""
    address = urlsplit(settings.url or "")
    host, _, port = _host(address.netloc).partition(":")
    host = "" if "{" in host else host
    database = "" if "{" in address.path else address.path.strip("/").partition("/")[0]
    return (
        settings.host or host or "localhost",
        settings.port or int(port if port.isdigit() else default_port),
        database,
    )


def _host(netloc: str) -> str:
    return netloc.rpartition("@")[2]
