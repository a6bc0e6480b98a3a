"""Destinations: the table or folder that a dataflow writes, and how."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from tidegate.errors import ConfigurationError
from tidegate.models.base import Declaration, Name, Names, Options, TypedBy
from tidegate.models.connection import Connection
from tidegate.models.options import MERGE_OPTIONS, PARTITION_OVERWRITE_MODE, checked_options
from tidegate.models.source import connection_by_name, joined_path

LoadType = Literal[
    "append", "overwrite", "full_load", "merge_upsert", "merge_overwrite", "scd2", "merge_delete", "snapshot"
]
SchemaPolicy = Literal["evolve", "ignore", "fail"]
KEYED_LOAD_TYPES = frozenset({"merge_upsert", "merge_overwrite", "scd2", "merge_delete", "snapshot"})
WINDOW_LOAD_TYPES = frozenset({"append", "merge_overwrite"})
"""Load types that `replace_by_watermark` turns into a replacement of the rows from the position on."""


class PartitionColumn(Declaration):
    """A partition column: an existing one, or one computed by a SQL expression."""

    column: Name
    expression: str | None = None


def _partition_columns(value: object) -> object:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list | tuple):
        return tuple({"column": item} if isinstance(item, str) else item for item in value)
    return () if value is None else value


PartitionColumns = Annotated[tuple[PartitionColumn, ...], BeforeValidator(_partition_columns)]


class DestinationSettings(Declaration):
    """The keys of a destination's `configure`."""

    write_options: Options = Field(default_factory=dict)
    merge_options: Options = Field(default_factory=dict)
    scd2_effective_column: str | None = None
    """For `scd2`: the column that says from when on a row holds; without it rows hold from their load on."""
    replace_by_watermark: bool = False
    """Replace the rows from the position, less `watermark_lag`, on: for `append` and `merge_overwrite`."""
    partition_columns: PartitionColumns = ()
    schema_policy: SchemaPolicy | None = None
    """New, missing and wider columns: the table takes them on (the default), leaves them out, or they are refused."""
    delete_mode: Literal["hard", "soft"] = "hard"
    """Remove rows that are deleted at the source, or keep and mark them: for `merge_delete` and `snapshot`."""


def _lowered(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


class Destination(Declaration):
    """What is written: one table or folder, by one load strategy."""

    connection_name: Name
    connection: Annotated[Connection | None, WithJsonSchema({"type": "string"})] = Field(default=None, exclude=True)
    """Alias of `connection_name` in metadata; the connection itself once it is loaded."""
    schema_name: str | None = None
    table: Name
    load_type: Annotated[LoadType, BeforeValidator(_lowered)] = "append"
    merge_keys: Names = ()
    partition_columns: PartitionColumns = ()
    configure: Annotated[Options, TypedBy(DestinationSettings)] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _connection_by_name(cls, data: Any) -> Any:
        return connection_by_name(data)

    @cached_property
    def settings(self) -> DestinationSettings:
        """`configure` as typed values."""
        return DestinationSettings.model_validate(self.configure)

    @property
    def partitions(self) -> tuple[PartitionColumn, ...]:
        """The partition columns, from the field or, as in older metadata, from `configure`."""
        return self.partition_columns or self.settings.partition_columns

    @property
    def merge_options(self) -> dict[str, Any]:
        """The connection's merge options, overlaid by the destination's."""
        inherited = self.connection.settings.merge_options if self.connection else {}
        return {**inherited, **self.settings.merge_options}

    @property
    def compare_columns(self) -> tuple[str, ...]:
        """Merge option `compare_columns`: the columns that make two versions of a row different; empty for all."""
        options = checked_options({"merge_options": MERGE_OPTIONS}, "merge_options", self.merge_options)
        return tuple(options.get("compare_columns", ()))

    @property
    def strategy(self) -> str:
        """The load strategy that carries out `load_type` with these settings, by its registered name."""
        if self.settings.replace_by_watermark:
            return "replace_by_watermark"
        modes = [mode for name, mode in self.write_options.items() if name in PARTITION_OVERWRITE_MODE.names]
        if self.load_type in {"overwrite", "full_load"} and str(modes[-1] if modes else "").lower() == "dynamic":
            return "overwrite_partitions"
        return self.load_type

    @property
    def appends(self) -> bool:
        """Whether rows that are loaded twice are in the table twice: no key and no window tells them from new ones."""
        return self.strategy == "append"

    @property
    def path(self) -> str | None:
        """`{base_path}/{schema_name}/{table}`, or None when the connection has no `base_path`."""
        return joined_path(self.connection, self.schema_name, self.table)

    @property
    def write_options(self) -> dict[str, Any]:
        """The connection's write options, overlaid by the destination's."""
        inherited = self.connection.settings.write_options if self.connection else {}
        return {**inherited, **self.settings.write_options}

    @property
    def namespace(self) -> str:
        """The namespace of an Iceberg table: `schema_name`, else the connection's `database`, else `default`."""
        return self.schema_name or (self.connection.database if self.connection else None) or "default"

    @property
    def destination_key(self) -> str:
        """The physical destination: `table:<qualified name>` with a catalog or database, else `path:<path>`.

        An Iceberg table is one by its catalog, which is one by its place: `iceberg:<place>:<qualified name>`.

        Lower-cased, so that two spellings of one table are one destination.

        Raises:
            ConfigurationError: the connection is missing, or has neither a catalog, a database nor a `base_path`.
        """
        key = physical_key(self.connection, self.schema_name, self.table)
        if key is None:
            msg = f"destination {self.table!r} has no path: connection {self.connection_name!r} has no base_path"
            raise ConfigurationError(msg, code="TG119", hint="add configure.base_path to the connection")
        return key


def physical_key(connection: Connection | None, schema_name: str | None, table: str) -> str | None:
    """Return what tells one physical table from all others, as :attr:`Destination.destination_key` has it.

    None where the connection has neither a catalog, a database nor a `base_path`.
    """
    path = joined_path(connection, schema_name, table)
    if connection and connection.format == "iceberg" and (path is not None or connection.names_a_catalog):
        settings = connection.settings
        place = settings.url or settings.catalog_properties.get("uri") or settings.base_path or ""
        named = (connection.catalog, schema_name or connection.database or "default", table)
        return f"iceberg:{place}:{'.'.join(part for part in named if part)}".lower()
    if connection and (connection.catalog or connection.database):
        database = (connection.database or "").partition("?")[0]  # behind it may be a token
        parts = (connection.catalog, database, schema_name, table)
        return "table:" + ".".join(part for part in parts if part).lower()
    if connection and connection.settings.url:  # it may hold credentials: only its fingerprint is shown
        place = hashlib.blake2b(connection.settings.url.encode(), digest_size=8).hexdigest()
        return f"table:{place}.{'.'.join(part for part in (schema_name, table) if part)}".lower()
    return None if path is None else "path:" + path.lower()
