"""The tables of metadata in a database: a row for each declaration, scoped by workspace, deleted by being marked.

Objects and lists are JSON text in one column; a workspace is a project.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    UnicodeText,
)
from sqlalchemy.dialects.mysql import LONGTEXT

from tidegate.metadata.cells import kind_of
from tidegate.models import Connection, DataFlow, SchemaHint, SchemaHintSection
from tidegate.models.base import Declaration

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

CONNECTIONS = "dc_framework_connections"
DATAFLOWS = "dc_framework_dataflows"
SCHEMA_HINTS = "dc_framework_schema_hints"
WATERMARKS = "dc_framework_watermarks"
SETTINGS = "dc_framework_settings"
TABLES = {"connections": CONNECTIONS, "dataflows": DATAFLOWS, "schema_hints": SCHEMA_HINTS}
"""Section → its table."""
IDS = {CONNECTIONS: "connection_id", DATAFLOWS: "dataflow_id", SCHEMA_HINTS: "schema_hint_id", SETTINGS: "name"}
"""Table → the column that, within a workspace, tells its rows apart."""
ORDER = "declared_order"
BOOKKEEPING = frozenset(
    {ORDER, "schema_hint_id", "created_at", "created_by", "updated_at", "updated_by", "deleted_at", "deleted_by"}
)
"""Columns that declare nothing."""

_KEY_LENGTH = 200
_TEXT = UnicodeText().with_variant(LONGTEXT(), "mysql", "mariadb")


def tables_in(schema: str | None) -> MetaData:
    """Return the tables, in a schema of the database, or where the user's tables are when it is None."""
    tables = MetaData(schema=schema)
    _declarations(tables, CONNECTIONS, Connection)
    _declarations(tables, DATAFLOWS, DataFlow)
    _declarations(tables, SCHEMA_HINTS, SchemaHintSection, SchemaHint)
    Table(SETTINGS, tables, *_key("name"), Column("value", _TEXT), *_times())
    Table(
        WATERMARKS,
        tables,
        *_key("dataflow_id"),
        Column("current_value", _TEXT),
        Column("previous_value", _TEXT),
        Column("version", BigInteger, nullable=False, default=1),
        *_times(),
    )
    return tables


def _declarations(tables: MetaData, name: str, *models: type[Declaration]) -> None:
    key = _key(IDS[name])
    fields = {field: model for model in models for field in model.model_fields}
    columns = [
        Column(field, _type_of(model, field))
        for field, model in fields.items()
        if field not in {one.name for one in key}
    ]
    Table(name, tables, *key, Column(ORDER, Integer), *columns, *_times())


def _type_of(model: type[Declaration], field: str) -> TypeEngine[Any]:
    if kind_of(model, field) != "scalar":
        return _TEXT
    annotation = model.model_fields[field].annotation
    return Boolean() if annotation is bool else Float() if annotation is float else Integer()


def _key(identifier: str) -> tuple[Column[str], Column[str]]:
    return (
        Column("workspace_id", String(_KEY_LENGTH), primary_key=True),
        Column(identifier, String(_KEY_LENGTH), primary_key=True),
    )


def _times() -> tuple[Column[Any], ...]:
    names = ("created_at", "updated_at", "deleted_at")
    return tuple(Column(name, DateTime(timezone=True)) for name in names)
