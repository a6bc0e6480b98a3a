"""Metadata for the tables of a database: proposed as YAML that `check` takes, with the reasons as comments."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import yaml

from tidegate.connections import database_of
from tidegate.connections.address import address_of, file_of, scheme_of
from tidegate.errors import ConfigurationError, MetadataError, TidegateError
from tidegate.metadata.convert import Dumper
from tidegate.metadata.finding import suggestion
from tidegate.models import Connection
from tidegate.orchestration.discovery import FoundTable, Proposal, found_tables, proposal
from tidegate.secrets import native_provider, registered_resolver, resolve_secrets
from tidegate.state.opening import hide_password

if TYPE_CHECKING:
    from tidegate.connections import Database
    from tidegate.models import DataFlow, Metadata

_IN_FILES = frozenset({"sqlite", "duckdb"})
_SECRET_OPTION = re.compile(r"pass(word|wd)|secret|token", re.IGNORECASE)
_WIDTH = 110
_WHOLE_WORDS: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
_HEAD = "# Proposed by `tidegate metadata import`. Read the reasons, and change what you know better."


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Metadata that were made for the tables of a database.

    Attributes:
        text: YAML: the dataflows, and the connections that the project lacks; empty without dataflows.
        flows: Names of the dataflows.
        known: Tables that dataflows of the project read already: table to dataflow.
        variable: The variable of the environment that is to hold the password; None where none is needed.
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
    source, name = _source(place, declared)
    destination = _destination(to, {*declared, name}, declared)
    database = database_of(source)
    tables = list(found_tables(database, schema=schema, patterns=patterns))
    known = {table.qualified: flow for table in tables if (flow := _reader(table, name, project.dataflows))}
    fresh = [table for table in tables if table.qualified not in known]
    names = _names(fresh, name, project.dataflows)
    connections, variable = [], None
    if name not in declared:
        written, variable = _without_credentials(source, database, root)
        connections.append(written)
    if destination.name not in declared:
        path = to if "://" in to else _relative(Path(to), root)
        connections.append({"name": destination.name, "format": "delta", "configure": {"base_path": path}})
    proposals = [
        proposal(table, name=flow, source=name, destination=destination)
        for table, flow in zip(fresh, names, strict=True)
    ]
    text = "".join(f"{line}\n" for line in _lines(connections, proposals)) if proposals else ""
    return Imported(text=text, flows=tuple(names), known=known, variable=variable)


# -- the ends -----------------------------------------------------------------------------------------------------


def _source(place: str, declared: Mapping[str, Connection]) -> tuple[Connection, str]:
    """Return the connection to read through, and what the metadata call it: a declared one, or one that is new."""
    if "://" not in place:
        connection = _named(place, declared, "or the URL of a database: postgresql://user@host/database")
        if connection.connection_type != "database":
            msg = f"connection {place!r} is no database, but {connection.connection_type}"
            raise ConfigurationError(
                msg, code="TG767", hint="import reads the tables of connections with `format: sql`"
            )
        return _resolved(connection), connection.name
    hide_password(place)
    unnamed = Connection(name="import", format="sql", configure={"url": place})
    database = database_of(unnamed)
    reached = _place_of(unnamed)
    for other in declared.values():
        if other.connection_type == "database" and _place_of(other) == reached:
            return unnamed, other.name
    place = database.place()
    stem = Path(place).stem if database.kind in _IN_FILES else place.rpartition("/")[2]
    name = _unique(_plain(stem) or "source", {known.lower() for known in declared})
    return unnamed.model_copy(update={"name": name}), name


def _destination(to: str, taken: set[str], declared: Mapping[str, Connection]) -> Connection:
    """Return the connection to load into; a path stands for a new one, of Delta tables."""
    if to in declared or not ("/" in to or to.startswith(".")):
        return _named(to, declared, "or a path such as ./lake, for Delta tables")
    name = _unique(_plain(to.rstrip("/").rpartition("/")[2]) or "lake", {known.lower() for known in taken})
    return Connection(name=name, format="delta", configure={"base_path": to})


def _named(name: str, declared: Mapping[str, Connection], otherwise: str) -> Connection:
    if name not in declared:
        known = suggestion(name, declared, otherwise="connections") or "there are no connections"
        raise MetadataError(f"there is no connection {name!r}", code="TG104", hint=f"{known}; {otherwise}")
    return declared[name]


def _resolved(connection: Connection) -> Connection:
    copy = connection.with_resolved()
    resolve_secrets(copy, native_provider(), resolver_lookup=registered_resolver)
    return copy


def _place_of(connection: Connection) -> str | None:
    try:
        database = database_of(connection)
        return str(Path(file_of(connection)).resolve()) if database.kind in _IN_FILES else database.place()
    except TidegateError:  # it cannot be used from here, and so was not meant
        return None


def _without_credentials(connection: Connection, database: Database, root: Path) -> tuple[dict[str, Any], str | None]:
    """Return the declaration of a connection that was a URL, and the variable that its password is to be in."""
    declared: dict[str, Any] = {"name": connection.name, "format": "sql"}
    if database.kind in _IN_FILES:
        path = Path(file_of(connection)).absolute()
        place = {"base_path": _relative(path.parent, root), "database": path.name}
        return {**declared, "configure": {"database_type": database.kind, **place}}, None
    address = address_of(connection, port=0)
    host = f"[{address.host}]" if ":" in address.host else address.host
    port = {"port": address.port} if address.port else {}
    configure: dict[str, Any] = {
        "database_type": database.kind,
        "host": address.host,
        **port,
        "database": address.database,
    }
    if options := {name: value for name, value in address.options.items() if not _SECRET_OPTION.search(name)}:
        scheme = scheme_of(connection.settings.url or "")
        where = f"{host}:{address.port}" if address.port else host
        configure = {"url": f"{scheme}://{where}/{quote(address.database, safe='')}?{urlencode(options)}"}
    configure |= {"username": address.username} if address.username else {}
    if address.password is None and len(options) == len(address.options):
        return {**declared, "configure": configure}, None
    variable = f"{re.sub(r'[^A-Z0-9]', '_', connection.name.upper())}_PASSWORD"
    return {
        **declared,
        "secrets_ref": {"env:": ["password"]},
        "configure": {**configure, "password": variable},
    }, variable


def _relative(path: Path, root: Path) -> str:
    """Return a path as the metadata have it: from their folder, where it is below that."""
    path, root = path.resolve(), root.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


# -- the dataflows ------------------------------------------------------------------------------------------------


def _reader(table: FoundTable, connection: str, flows: Sequence[DataFlow]) -> str | None:
    """Return the dataflow that reads a table already."""
    for flow in flows:
        source = flow.source
        is_there = source.connection_name == connection and (source.table or "").lower() == table.name.lower()
        if is_there and (source.schema_name or table.schema or "").lower() == (table.schema or "").lower():
            return flow.name
    return None


def _names(tables: Sequence[FoundTable], source: str, flows: Sequence[DataFlow]) -> list[str]:
    """Return a name for each table's dataflow and destination that no other has: the table's, as far as it goes."""
    taken = {name.lower() for flow in flows for name in (flow.name, flow.destination.table)}
    plain = [_plain(table.name).lower() for table in tables]
    names = []
    for table in tables:
        short = _plain(table.name) or "table"
        longer = [f"{before}_{short}" for before in (table.schema, source) if before]
        fitting = [name for name in [short, *longer] if name.lower() not in taken]
        if plain.count(short.lower()) > 1 and fitting[:1] == [short]:
            fitting = fitting[1:]
        names.append(_unique(next(iter(fitting), longer[-1]), taken))
        taken.add(names[-1].lower())
    return names


def _plain(name: str) -> str:
    return re.sub(r"[^\w-]+", "_", name).strip("_-")


def _unique(name: str, taken: set[str]) -> str:
    numbered = (name, *(f"{name}_{number}" for number in range(2, len(taken) + 3)))
    return next(candidate for candidate in numbered if candidate.lower() not in taken)


# -- YAML ---------------------------------------------------------------------------------------------------------


def _lines(connections: Sequence[Mapping[str, Any]], proposals: Sequence[Proposal]) -> Iterator[str]:
    yield _HEAD
    if connections:
        yield "connections:"
        yield from (f"  - {_inline(connection)}" for connection in connections)
    yield "dataflows:"
    for one in proposals:
        said = "".join(char if char.isprintable() else " " for char in " ".join(one.reasons))
        yield from wrap(said, _WIDTH, initial_indent="  # ", subsequent_indent="  # ", **_WHOLE_WORDS)
        yield f"  - name: {_inline(one.flow['name'])}"
        yield from (f"    {part}: {_inline(value)}" for part, value in one.flow.items() if part != "name")


def _inline(value: object) -> str:
    """Return a value in one line of YAML."""
    text = yaml.dump(value, Dumper=Dumper, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf)
    return str(text).removesuffix("...\n").strip()
