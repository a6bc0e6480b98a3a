"""Transforms: what happens to rows between source and destination."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from tidegate.models.base import Declaration, FromText, Name, Names, Options, TypedBy, broken_rule


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


class Rule(Declaration):
    """An operation on columns, with the parameters that it takes; the first of them it needs."""

    parameters: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    may_do_without: ClassVar[frozenset[str]] = frozenset()

    operation: str
    columns: Names

    @model_validator(mode="after")
    def _fits_its_operation(self) -> Self:
        if not self.columns:
            raise broken_rule("TG103", "columns is empty", field="columns")
        taken = self.parameters.get(self.operation, ())
        if taken and self.operation not in self.may_do_without and not self._is_given(taken[0]):
            raise broken_rule("TG103", f"{self.operation} needs {taken[0]}")
        every = {name for names in self.parameters.values() for name in names}
        for name in sorted(every.difference(taken)):
            if self._is_given(name):
                raise broken_rule("TG116", f"{self.operation} takes no {name}", field=name)
        return self

    def _is_given(self, name: str) -> bool:
        return bool(getattr(self, name) != type(self).model_fields[name].get_default(call_default_factory=True))


class ValueRule(Rule):
    """A rule that changes the values of columns before types are converted."""

    parameters: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "case": ("mode",),
        "regex_replace": ("pattern", "replacement"),
        "fill_null": ("value",),
        "map": ("mapping", "on_unmapped"),
    }

    operation: Literal["trim", "case", "regex_replace", "empty_to_null", "fill_null", "map"]
    columns: Names
    order: int = 100
    """Rules run by it, then as they are listed."""
    mode: Literal["lower", "upper"] | None = None
    """Of `case`."""
    pattern: str | None = None
    """Of `regex_replace`: a regular expression that all engines read alike. Every match is replaced."""
    replacement: str | None = None
    """Of `regex_replace`: text, `$1` to `$9` for groups, `$$` for a dollar; nothing when not given."""
    value: Any = None
    """Of `fill_null`: what takes the place of NULL."""
    mapping: Annotated[dict[str, Any], FromText] = Field(default_factory=dict)
    """Of `map`: old value → new value, or null."""
    on_unmapped: Literal["keep", "null"] = "keep"
    """Of `map`: what becomes of other values."""


class HashColumn(Declaration):
    """A column that holds the hash of others."""

    target_column: Name
    columns: Names
    """In this order; their types count, their names do not."""
    algorithm: Literal["sha256", "xxhash64"] = "sha256"
    """`sha256` gives 64 hexadecimal digits, `xxhash64` a bigint."""

    @model_validator(mode="after")
    def _hashes_something(self) -> Self:
        if not self.columns:
            raise broken_rule("TG103", "columns is empty", field="columns")
        return self


class MaskingRule(Rule):
    """A rule that hides the values of columns. NULL stays NULL."""

    parameters: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "redact": ("value",),
        "partial": ("keep_start", "keep_end", "mask_char"),
        "numeric_bucket": ("bucket_size",),
        "date_truncate": ("unit",),
    }
    may_do_without: ClassVar[frozenset[str]] = frozenset({"redact", "partial"})

    operation: Literal["redact", "nullify", "partial", "numeric_bucket", "date_truncate"]
    columns: Names
    value: Any = None
    """Of `redact`: what every value becomes; `***` when not given, for text."""
    keep_start: int = Field(default=0, ge=0)
    """Of `partial`: how many characters stay at the start."""
    keep_end: int = Field(default=0, ge=0)
    """Of `partial`: how many characters stay at the end."""
    mask_char: str = "*"
    """Of `partial`: the character that takes the place of each other one."""
    bucket_size: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Of `numeric_bucket`: numbers become the lower bound of their bucket, a multiple of this."""
    unit: Literal["year", "quarter", "month", "week", "day", "hour", "minute", "second"] | None = None
    """Of `date_truncate`."""

    @model_validator(mode="after")
    def _masks_with_one_character(self) -> Self:
        if len(self.mask_char) != 1:
            raise broken_rule("TG102", f"mask_char is {self.mask_char!r}, not one character", field="mask_char")
        return self


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
    def shaped_columns(self) -> frozenset[str]:
        """Lower-case names of the columns whose values are changed before they are converted."""
        return frozenset(column.lower() for rule in self.value_rules for column in rule.columns)

    @cached_property
    def settings(self) -> TransformSettings:
        """`configure` as typed values."""
        return TransformSettings.model_validate(self.configure)
