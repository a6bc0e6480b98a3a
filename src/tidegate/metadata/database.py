"""Metadata in the tables of a database: `dc_framework_connections`, `dc_framework_dataflows` and the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tidegate.errors import MetadataError
from tidegate.metadata.cells import cell_of, node_of_cell
from tidegate.metadata.checked import CheckedMetadata
from tidegate.metadata.database_session import ChangedMeanwhileError, Location, Sessions
from tidegate.metadata.database_tables import (
    BOOKKEEPING,
    CONNECTIONS,
    DATAFLOWS,
    IDS,
    ORDER,
    SCHEMA_HINTS,
    SETTINGS,
    TABLES,
    WATERMARKS,
    tables_in,
)
from tidegate.metadata.document import Document, expand_json_text
from tidegate.metadata.finding import Findings, Place
from tidegate.metadata.node import Node
from tidegate.metadata.rows import SETTINGS as OTHER_SECTIONS
from tidegate.metadata.rows import Field, Row, items_of, name_connections, rows_of, without_references
from tidegate.models import Metadata
from tidegate.models.base import derived_id
from tidegate.state.watermark import Value, Watermark, watermark_from_json, watermark_to_json

DEFAULT_WORKSPACE = "default"
_ATTEMPTS = 5
_NAMED_BY = {SCHEMA_HINTS: ("table_name", "column_name")}
"""What names a row in messages, where it is not its id."""


class DatabaseMetadata(CheckedMetadata):
    """The declarations of one workspace of a database.

    Args:
        url: A URL of SQLAlchemy, ``postgresql://user@host/database`` or ``sqlite:///path``; ``?workspace=`` names the
            workspace, ``&schema=`` the schema of the tables.
        workspace: The workspace, where the URL does not say; ``default`` when neither does.
        profile: Name of the profile; when None, that of the environment variable ``TIDEGATE_PROFILE``.
        variables: Values that win over the declared variables.
        state: Where state is kept, over what the environment or the metadata say.

    Raises:
        MetadataError: The URL cannot be read (TG144).
    """

    root = Path()

    def __init__(
        self,
        url: str,
        *,
        workspace: str | None = None,
        profile: str | None = None,
        variables: Mapping[str, Any] | None = None,
        state: str | None = None,
    ) -> None:
        super().__init__(profile=profile, variables=variables, state=state)
        location = Location.of(url)
        self.workspace = location.workspace or workspace or DEFAULT_WORKSPACE
        self.place = location.place
        self._schema = location.schema
        self._sessions = Sessions(location)

    # -- declarations ---------------------------------------------------------------------------------------------

    def document(self, findings: Findings) -> Document:
        """Read the rows of the workspace, all as they are at one moment.

        Raises:
            MetadataError: The database cannot be used, or lacks the tables (TG140); there is nothing in the workspace
                (TG141).
        """
        content: dict[str, Node] = {}
        with self._sessions.reading() as connection:
            for section, name in TABLES.items():
                if (table := self._table(connection, name, required=name != SCHEMA_HINTS)) is not None:
                    rows = [_row_of(name, row) for row in self._live(connection, table)]
                    if rows:
                        content[section] = items_of(section, rows, findings, typed=False)
            if (table := self._table(connection, SETTINGS)) is not None:
                content |= dict(_setting(row, findings) for row in self._live(connection, table))
            if not content:
                raise self._nothing(connection)
        name_connections(content)
        document = Document(self.root, Node(content, Place(self.place)))
        expand_json_text(document.content, findings)
        return document

    def create_tables(self) -> None:
        """Create the tables that are not there.

        Raises:
            MetadataError: The database cannot be used (TG140).
        """
        with self._sessions.writing() as connection:
            tables_in(self._schema).create_all(connection)

    def write(self, content: Mapping[str, Any], metadata: Metadata, *, replace: bool = False) -> None:
        """Write declarations into the workspace, in one transaction; tables that are not there are created before.

        What is there and is not declared any more is marked as deleted.

        Args:
            content: The sections as they are declared, without places.
            metadata: What they come to: where a column takes a number, it stands for a reference to one.
            replace: Whether they take the place of what the workspace has.

        Raises:
            MetadataError: The workspace has metadata and `replace` is false, or a table has no column for a field
                (TG145); the database cannot be used (TG140).
        """
        settings = [
            {"name": name, "value": cell_of("any", content[name], typed=False)}
            for name in OTHER_SECTIONS
            if content.get(name) is not None
        ]
        self.create_tables()
        fitted = without_references(content, metadata)
        with self._sessions.writing() as connection:
            for section, name in TABLES.items():
                rows = rows_of(section, fitted.get(section) or (), typed=False)
                self._replace(connection, name, _identified(name, rows), may_replace=replace)
            self._replace(connection, SETTINGS, settings, may_replace=replace)

    # -- watermarks -----------------------------------------------------------------------------------------------

    @property
    def keeps_watermarks(self) -> bool:
        """Whether the database has a table of watermarks."""
        with self._sessions.reading() as connection:
            return self._table(connection, WATERMARKS) is not None

    def read_watermark(self, dataflow_id: str) -> dict[str, Value] | None:
        """Return the watermark of a dataflow; None when there is none.

        Raises:
            WatermarkError: What is there is not the JSON text of one (TG504).
            MetadataError: The database cannot be used (TG140).
        """
        with self._sessions.reading() as connection:
            table = self._table(connection, WATERMARKS)
            known = None if table is None else self._watermark(connection, table, dataflow_id)
        return watermark_from_json(known["current_value"]) if known and known["current_value"] is not None else None

    def write_watermark(self, dataflow_id: str, watermark: Watermark) -> None:
        """Store the watermark of a dataflow; the one that it replaces is kept as `previous_value`.

        Raises:
            MetadataError: Others changed it again and again (TG143); the database cannot be used (TG140).
        """
        text = watermark_to_json(watermark)
        for _ in range(_ATTEMPTS):
            with suppress(ChangedMeanwhileError), self._sessions.writing(serial=False) as connection:
                table = self._table(connection, WATERMARKS, required=True)
                assert table is not None  # noqa: S101 - required
                if self._swapped(connection, table, dataflow_id, text):
                    return
        message = f"the watermark of dataflow {dataflow_id} was changed by others {_ATTEMPTS} times in a row"
        raise MetadataError(message, code="TG143", where=self.place, hint="does another system write it, too?")

    def _swapped(self, connection: sa.Connection, table: sa.TableClause, dataflow_id: str, text: str) -> bool:
        """Store a watermark unless another did since it was read."""
        known = self._watermark(connection, table, dataflow_id)
        values: dict[str, Any] = {"current_value": text, "updated_at": datetime.now(UTC), "deleted_at": None}
        if known is None:
            values |= {"workspace_id": self.workspace, "dataflow_id": dataflow_id, "version": 1}
            connection.execute(sa.insert(table).values(_fitting(table, values)))
            return True
        if known["current_value"] == text:
            return True
        values |= {"previous_value": known["current_value"], "version": known.get("version", 0) + 1}
        swap = sa.update(table).where(*self._of(table, dataflow_id=dataflow_id))
        unchanged = "version" if "version" in table.c else "current_value"
        swap = swap.where(table.c[unchanged] == known[unchanged])
        return connection.execute(swap.values(_fitting(table, values))).rowcount == 1

    def _watermark(
        self, connection: sa.Connection, table: sa.TableClause, dataflow_id: str
    ) -> Mapping[str, Any] | None:
        found = connection.execute(sa.select(*table.c).where(*self._of(table, dataflow_id=dataflow_id)))
        row = found.mappings().first()
        return dict(row) if row else None

    # -- the parts ------------------------------------------------------------------------------------------------

    def _table(self, connection: sa.Connection, name: str, *, required: bool = False) -> sa.TableClause | None:
        """Return a table with the columns that it has here: others may have made it, with more or fewer."""
        about = sa.inspect(connection)
        if about.has_table(name, schema=self._schema):
            columns = [sa.column(column["name"], column["type"]) for column in about.get_columns(name, self._schema)]
            return self._with_column("workspace_id", sa.table(name, *columns, schema=self._schema))
        if not required:
            return None
        hint = "`tidegate metadata convert FROM URL` creates the tables, and DatabaseMetadata.create_tables()"
        raise MetadataError(f"the database {self.place} has no table {name}", code="TG140", hint=hint)

    def _with_column(self, column: str, table: sa.TableClause) -> sa.TableClause:
        if column not in table.c:
            message = f"table {table.name} of the database {self.place} has no column {column}"
            raise MetadataError(message, code="TG140", hint="is it the table of another program?")
        return table

    def _of(self, table: sa.TableClause, **key: str) -> list[sa.ColumnElement[bool]]:
        return [table.c[name] == value for name, value in {"workspace_id": self.workspace, **key}.items()]

    def _live(self, connection: sa.Connection, table: sa.TableClause) -> list[dict[str, Any]]:
        """Return the rows of the workspace that are not marked as deleted, in the order in which they are declared."""
        order = [name for name in (ORDER, *_NAMED_BY.get(table.name, ()), IDS[table.name]) if name in table.c]
        if "ordinal_position" in table.c and ORDER not in table.c:
            order.insert(1, "ordinal_position")
        query = sa.select(*table.c).where(*self._of(table)).order_by(*(table.c[name] for name in order))
        if "deleted_at" in table.c:
            query = query.where(table.c.deleted_at.is_(None))
        return [dict(row) for row in connection.execute(query).mappings()]

    def _replace(
        self, connection: sa.Connection, name: str, rows: Sequence[Mapping[str, Any]], *, may_replace: bool
    ) -> None:
        table = self._table(connection, name, required=True)
        assert table is not None  # noqa: S101 - required
        if not may_replace and self._live(connection, table):
            message = f"workspace {self.workspace!r} of {self.place} has metadata already"
            raise MetadataError(message, code="TG145", hint="`--replace` puts these in their place")
        identifier, now = IDS[name], datetime.now(UTC)
        self._with_column(identifier, table)
        known = set(connection.scalars(sa.select(table.c[identifier]).where(*self._of(table))))
        for order, row in enumerate(rows):
            blank = dict.fromkeys(column.name for column in table.c if column.name not in {"created_at", "created_by"})
            if unknown := row.keys() - table.c.keys():
                message = f"{name} has no column for {min(unknown)!r}"
                raise MetadataError(message, code="TG145", where=f"{name}[{identifier}={row[identifier]}]")
            values = {**blank, **row, "workspace_id": self.workspace, ORDER: order, "updated_at": now}
            if row[identifier] in known:
                change = sa.update(table).where(*self._of(table, **{identifier: row[identifier]}))
                connection.execute(change.values(_fitting(table, values)))
            else:
                connection.execute(sa.insert(table).values(_fitting(table, {**values, "created_at": now})))
        for gone in known - {row[identifier] for row in rows}:
            its = self._of(table, **{identifier: gone})
            if "deleted_at" in table.c:
                connection.execute(sa.update(table).where(*its, table.c.deleted_at.is_(None)).values(deleted_at=now))
            else:
                connection.execute(sa.delete(table).where(*its))

    def _nothing(self, connection: sa.Connection) -> MetadataError:
        names: set[str] = set()
        for name in (CONNECTIONS, DATAFLOWS):
            table = self._table(connection, name, required=True)
            assert table is not None  # noqa: S101 - required
            names |= set(connection.scalars(sa.select(table.c.workspace_id).distinct()))
        hint = f"workspaces: {', '.join(sorted(names))}; ?workspace=NAME" if names else "the tables are empty"
        message = f"no metadata in workspace {self.workspace!r}"
        return MetadataError(message, {"workspaces": sorted(names)}, code="TG141", where=self.place, hint=hint)


def _row_of(table: str, row: Mapping[str, Any]) -> Row:
    ids = [name for name in _NAMED_BY.get(table, (IDS[table],)) if row.get(name) is not None]
    place = f"{table}[{', '.join(f'{name}={row[name]}' for name in ids)}]"
    ignored = BOOKKEEPING | ({"workspace_id"} if table == SCHEMA_HINTS else frozenset())
    fields = [
        Field(column=name, value=value, place=Place(f"{place}.{name}"), column_place=Place(f"{place}.{name}"))
        for name, value in row.items()
        if value is not None and name not in ignored
    ]
    return Row(place=Place(place), fields=fields)


def _setting(row: Mapping[str, Any], findings: Findings) -> tuple[str, Node]:
    place = Place(f"{SETTINGS}[name={row['name']}].value")
    return row["name"], node_of_cell("any", row["value"], place, findings, typed=False)


def _identified(table: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows that have an id: their own, or one made of what names them."""
    return [dict(row) for row in _with_ids(IDS[table], rows)]


def _with_ids(identifier: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for number, row in enumerate(rows):
        name = f"{number}" if identifier == IDS[SCHEMA_HINTS] else str(row.get("name"))
        yield {identifier: derived_id(identifier.removesuffix("_id"), name), **row}


def _fitting(table: sa.TableClause, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in table.c}
