"""Sources: what a dataflow reads."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema, model_validator

from tidegate.models.base import Declaration, FromText, Name, Names, Options, TypedBy
from tidegate.models.connection import Connection, LookBackFields


class ChangeData(Declaration):
    """How change-data rows say what happened to a key."""

    operation_column: Name
    delete_values: Names = ("D", "d", "delete", "DELETE")
    """The operations that delete; everything else adds or replaces."""
    sequence_by: Names = ()
    """Columns that order the changes of one key; without them `latest_data_columns`, or the watermark columns."""


class SourceSettings(LookBackFields):
    """The keys of a source's `configure`."""

    read_options: Options = Field(default_factory=dict)
    endpoint: str | None = None
    method: str = "GET"
    params: Options = Field(default_factory=dict)
    body: Any = None
    pagination_type: Literal["offset", "cursor", "next_link"] | None = None
    page_size: int = Field(default=100, gt=0)
    max_pages: int = Field(default=1000, gt=0)
    data_path: str | None = None
    next_link_path: str = "next"
    cursor_path: str = "next_cursor"
    cursor_param: str = "cursor"
    offset_param: str = "offset"
    limit_param: str = "limit"
    rate_limit_delay: float = Field(default=0, ge=0)
    """Seconds between two requests."""
    max_retries: int = Field(default=10, ge=0)
    total_path: str | None = None
    offset_max_workers: int = Field(default=4, gt=0)
    watermark_param_mapping: Options = Field(default_factory=dict)
    watermark_to_param: str | None = None
    watermark_param_location: Literal["params", "body"] = "params"
    watermark_param_format: Literal["iso", "date", "timestamp", "timestamp_ms", "datetime", "datetime_ms"] = "iso"
    watermark_range_interval_unit: Literal["hour", "day", "month", "year"] | None = None
    watermark_range_interval_amount: int = Field(default=1, gt=0)
    watermark_range_start: str | None = None
    watermark_range_max_workers: int = Field(default=4, gt=0)
    watermark_range_to_exclusive_offset: str | None = None


class Source(Declaration):
    """What is read: a table, file, folder, glob, query or Python function of a connection."""

    connection_name: Name
    connection: Annotated[Connection | None, WithJsonSchema({"type": "string"})] = Field(default=None, exclude=True)
    """Alias of `connection_name` in metadata; the connection itself once it is loaded."""
    schema_name: str | None = None
    table: str | None = None
    query: str | None = None
    """SQL text, or the path of a `.sql` file."""
    python_function: str | None = None
    """Dotted name of `fn(engine, source, watermark_start, watermark_end)`."""
    watermark_columns: Names = ()
    filter_expression: str | None = None
    """SQL condition on the source's columns; pushed down to a database."""
    watermark_lag: str | float | None = None
    """How far behind the position a read starts, for rows that are committed late: `2h`, `3d`, or a number."""
    cdc: Annotated[ChangeData | None, FromText] = None
    """For change data, with `merge_delete` or `scd2`: which rows are deletes, and in which order changes happened."""
    configure: Annotated[Options, TypedBy(SourceSettings)] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _connection_by_name(cls, data: Any) -> Any:
        return connection_by_name(data)

    @cached_property
    def settings(self) -> SourceSettings:
        """`configure` as typed values."""
        return SourceSettings.model_validate(self.configure)

    @property
    def path(self) -> str | None:
        """`{base_path}/{schema_name}/{table}`, or None when the connection has no `base_path`."""
        return joined_path(self.connection, self.schema_name, self.table)

    @property
    def read_options(self) -> dict[str, Any]:
        """The connection's read options, overlaid by the source's."""
        inherited = self.connection.settings.read_options if self.connection else {}
        return {**inherited, **self.settings.read_options}


def connection_by_name(data: Any) -> Any:
    """Let `connection` be a name, as in metadata, or a :class:`Connection`, as in Python."""
    if not isinstance(data, dict) or "connection" not in data:
        return data
    data = dict(data)
    connection = data["connection"]
    if isinstance(connection, Connection):
        data.setdefault("connection_name", connection.name)
    elif isinstance(connection, str):
        data.setdefault("connection_name", data.pop("connection"))
    return data


def joined_path(connection: Connection | None, schema_name: str | None, table: str | None) -> str | None:
    """Join the parts of a table's path; parts that are not given are left out."""
    base_path = connection.settings.base_path if connection else None
    if base_path is None:
        return None
    return "/".join([base_path.rstrip("/") or "/", *(part.strip("/") for part in (schema_name, table) if part)])
