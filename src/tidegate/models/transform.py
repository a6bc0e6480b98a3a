"""Transforms: what happens to rows between source and destination."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from tidegate.models.base import Declaration, Name, Names, Options, TypedBy, broken_rule


class AdditionalColumn(Declaration):
    """A column computed by a SQL expression over the others."""

    column: Name
    expression: Name


class SchemaHint(Declaration):
    """The type of one column, in SQL words: `decimal(18,2)`, `timestamp`, `bigint`."""

    column_name: Name
    data_type: Name
    format: str | None = None
    """strptime format of a text column that becomes a date or timestamp."""
    precision: int | None = None
    scale: int | None = None
    default_value: Any = None
    """Takes the place of NULL."""
    ordinal_position: int | None = None
    is_active: bool = True


class SchemaHintSection(Declaration):
    """Schema hints of one source table, shared by the dataflows that read it."""

    connection_name: str | None = None
    connection_id: str | None = None
    schema_name: str | None = None
    table_name: Name
    hints: tuple[SchemaHint, ...] = ()

    @model_validator(mode="after")
    def _names_its_connection(self) -> Self:
        if not (self.connection_name or self.connection_id):
            raise broken_rule("TG103", "connection_name (or connection_id) is missing")
        return self


class ValueRule(Declaration):
    """A rule that changes the values of columns before types are converted."""

    operation: Literal["trim", "case", "regex_replace", "empty_to_null", "fill_null", "map"]
    columns: Names
    order: int = 100
    mode: Literal["lower", "upper"] | None = None
    pattern: str | None = None
    replacement: str | None = None
    value: Any = None
    mapping: dict[str, Any] = Field(default_factory=dict)
    on_unmapped: Literal["keep", "null"] = "keep"


class HashColumn(Declaration):
    """A column that holds the hash of others."""

    target_column: Name
    columns: Names
    algorithm: Literal["sha256", "xxhash64"] = "sha256"


class MaskingRule(Declaration):
    """A rule that hides the values of columns."""

    operation: Literal["redact", "nullify", "partial", "numeric_bucket", "date_truncate"]
    columns: Names
    value: Any = None
    keep_start: int = Field(default=0, ge=0)
    keep_end: int = Field(default=0, ge=0)
    mask_char: str = "*"
    bucket_size: float | None = Field(default=None, gt=0)
    unit: str | None = None


class TransformSettings(Declaration):
    """The keys of a transform's `configure`."""

    missing_column_policy: Literal["error", "ignore"] = "error"
    """What a transform does that names a column the source lacks."""
    convert_timestamp_ntz: bool = False
    """Read timestamps without a zone as wall time of `timestamp_timezone`."""
    timestamp_timezone: str = "UTC"
    deduplicate_by_rank: bool = False
    """Keep every row that ties for the latest, instead of one."""


class Transform(Declaration):
    """The steps between source and destination. All are optional."""

    deduplicate_columns: Names = ()
    """Columns that identify a row; the merge keys when not given."""
    latest_data_columns: Names = ()
    """Columns whose greatest value wins; the watermark columns when not given. NULL never wins."""
    filter_expression: str | None = None
    """SQL condition that rows must meet to be loaded."""
    additional_columns: tuple[AdditionalColumn, ...] = ()
    schema_hints: tuple[SchemaHint, ...] = ()
    select_columns: Names = ()
    drop_columns: Names = ()
    rename_columns: dict[str, str] = Field(default_factory=dict)
    value_rules: tuple[ValueRule, ...] = ()
    hash_columns: tuple[HashColumn, ...] = ()
    masking_rules: tuple[MaskingRule, ...] = ()
    configure: Annotated[Options, TypedBy(TransformSettings)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _select_or_drop(self) -> Self:
        if self.select_columns and self.drop_columns:
            msg = "select_columns and drop_columns exclude each other"
            raise broken_rule("TG116", msg, field="drop_columns")
        return self

    @cached_property
    def settings(self) -> TransformSettings:
        """`configure` as typed values."""
        return TransformSettings.model_validate(self.configure)
