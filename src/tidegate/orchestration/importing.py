"""Metadata for the tables of a database: proposed as YAML that `check` takes, with the reasons as comments."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.connections import database_of
from tidegate.connections.address import address_of, file_of, scheme_of
from tidegate.errors import ConfigurationError, MetadataError, TidegateError
from tidegate.metadata.convert import flow_style
from tidegate.metadata.finding import suggestion
from tidegate.models import Connection
from tidegate.orchestration.discovery import FoundTable, Proposal, found_tables, proposal
from tidegate.secrets import native_provider, registered_resolver, resolve_secrets
from tidegate.state.opening import hide_password

if TYPE_CHECKING:
    from tidegate.connections import Database
    from tidegate.models import DataFlow, Metadata

_IN_FILES = frozenset({"sqlite", "duckdb"})
_CREDENTIAL = re.compile(r"pass|secret|token|key|credential", re.IGNORECASE)
_ANY_PORT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Metadata that were made for the tables of a database.

    Attributes:
        text: YAML: the dataflows, and the connections that the project lacks.
        flows: Names of the dataflows.
        known: Tables that dataflows of the project read already, each with such a dataflow.
        variable: The variable of the environment that is to hold the password; None where there is none.
    """

    text: str
    flows: tuple[str, ...]
    known: Mapping[str, str]
    variable: str | None = None


def import_tables(
    place: str,
    *,
    to: str,
    project: Metadata,
    root: Path,
    schema: str | None = None,
    patterns: Sequence[str] = (),
) -> Imported:
    """Return metadata for the tables of a database.

    Args:
        place: The name of a connection of the project, or the URL of a database. A password in it is hidden from logs
            and errors from now on, and is not written.
        to: The name of a connection of the project; or a path or URL, below which Delta tables are made.
        project: What is declared already; what it loads is left alone.
        root: The folder to which paths of the metadata are relative.
        schema: Only tables of it.
        patterns: Only tables that a glob matches.

    Raises:
        MetadataError: there is no such connection (TG104), or no such table (TG766).
        ConfigurationError: the connection is no database (TG767).
        TidegateError: the database does not answer, or refuses.
    """
    declared = {connection.name: connection for connection in project.connections}
    source, is_new = _source(place, declared)
    destination = _destination(to, declared)
    database = database_of(source)
    tables = list(found_tables(database, schema=schema, patterns=patterns))
    known = {table.qualified: flow for table in tables if (flow := _reader(table, source.name, project.dataflows))}
    fresh = [table for table in tables if table.qualified not in known]
    names = _names(fresh, {flow.name for flow in project.dataflows})
    proposals = [
        proposal(table, name=name, source=source.name, destination=destination)
        for table, name in zip(fresh, names, strict=True)
    ]
    connections, variable = [], None
    if is_new:
        written, variable = _without_credentials(source, database, root)
        connections.append(written)
    if destination.name not in declared:
        path = to if "://" in to else _relative(Path(to), root)
        connections.append({"name": destination.name, "format": "delta", "configure": {"base_path": path}})
    return Imported(
        text="".join(f"{line}\n" for line in _lines(connections, proposals)),
        flows=tuple(names),
        known=known,
        variable=variable,
    )


# -- the ends -----------------------------------------------------------------------------------------------------


def _source(place: str, declared: Mapping[str, Connection]) -> tuple[Connection, bool]:
    """Return the connection to read through, its secrets in place, and whether the project lacks it."""
    if "://" not in place:
        connection = _named(place, declared, "or a URL such as postgresql://user@host/database")
        if connection.connection_type != "database":
            msg = f"connection {place!r} is no database, but {connection.connection_type}"
            raise ConfigurationError(msg, code="TG767", hint="import reads the tables of connections with format: sql")
        return _resolved(connection), False
    hide_password(place)
    connection = Connection(name="", format="sql", configure={"url": place}) if False else _of_url(place, declared)
    reached = database_of(connection).place()
    for other in declared.values():
        if other.connection_type == "database" and _place_of(other) == reached:
            return _resolved(other), False
    return connection, True
