"""Step 84: values that must not reach the destination are hidden, under the names that columns have at the source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

import narwhals as nw
import pyarrow as pa

from tidegate.engines.base import ColumnCast
from tidegate.errors import TransformError
from tidegate.expressions.data_type import describe_type
from tidegate.expressions.sql import parse_expression
from tidegate.transformers.base import BaseTransformer, TransformContext
from tidegate.transformers.column_names import final_name, final_names, spelled_all
from tidegate.transformers.fitting_values import as_in_arrow, fitting, quoted_name, quoted_text, require_kind

if TYPE_CHECKING:
    from tidegate.engines.base import BaseEngine, Frame
    from tidegate.models import DataFlow
    from tidegate.models.transform import MaskingRule

REDACTED = "***"
"""What text becomes where no value is declared."""
_IS_NULL = "__tidegate_is_null_{}"
_OF_A_DAY = ("hour", "minute", "second")

Columns = Mapping[str, pa.DataType]


class Masker(BaseTransformer):
    """Applies the masking rules. NULL stays NULL, and a column keeps its type."""

    name: ClassVar[str] = "mask"
    order: ClassVar[int] = 84

    @classmethod
    def describe(cls, flow: DataFlow) -> str | None:
        """Name the operations and their columns."""
        rules = flow.transform.masking_rules
        return ", ".join(f"{rule.operation} {', '.join(rule.columns)}" for rule in rules) or None

    def transform(self, frame: Frame, context: TransformContext) -> Frame:
        """Hide the values.

        Raises:
            TransformError: a column does not exist (TG302), has a type that its rule does not go with (TG307), or is
                a merge key or a partition column (TG308).
        """
        schema = context.engine.schema(frame)
        for rule in context.flow.transform.masking_rules:
            columns = spelled_all(rule.columns, schema, context, what=f"column of masking rule {rule.operation}")
            _refuse_identity(columns, schema, context)
            types = {column: schema[column] for column in columns}
            frame = _masked(rule, as_in_arrow(frame, types, context.engine), types, context.engine)
        return frame


def _masked(rule: MaskingRule, frame: Frame, columns: Columns, engine: BaseEngine) -> Frame:
    if rule.operation == "nullify":
        return frame.with_columns(_nothing(column) for column in columns)
    if rule.operation == "redact":
        return _redacted(rule, frame, columns, engine)
    expressions = {
        column: parse_expression(_MASKS[rule.operation](rule, column, dtype)) for column, dtype in columns.items()
    }
    masked = engine.with_columns(frame, expressions)
    return engine.cast(masked, {column: ColumnCast(type=dtype) for column, dtype in columns.items()})


def _nothing(column: str) -> nw.Expr:
    """Return NULL in the type of a column."""
    return nw.when(nw.lit(value=False)).then(nw.col(column)).alias(column)


def _redacted(rule: MaskingRule, frame: Frame, columns: Columns, engine: BaseEngine) -> Frame:
    """Put one value in place of all that are not NULL, as a default of the column's own type."""
    value = REDACTED if rule.value is None else rule.value
    casts = {
        column: ColumnCast(type=dtype, default=fitting(value, dtype, column=column, what="masking rule redact"))
        for column, dtype in columns.items()
    }
    marks = {column: _IS_NULL.format(number) for number, column in enumerate(columns)}
    frame = frame.with_columns(nw.col(column).is_null().alias(mark) for column, mark in marks.items())
    frame = engine.cast(frame.with_columns(_nothing(column) for column in columns), casts)
    kept = (nw.when(~nw.col(mark)).then(nw.col(column)).alias(column) for column, mark in marks.items())
    return frame.with_columns(kept).drop(list(marks.values()))


def _partial(rule: MaskingRule, column: str, dtype: pa.DataType) -> str:
    """Mask all characters but those at the ends; all of them, where nothing else would be masked."""
    hint = "use nullify, redact, numeric_bucket or date_truncate"
    require_kind(dtype, ("text",), column=column, what="masking rule partial", hint=hint)
    text, mask, shown = quoted_name(column), quoted_text(rule.mask_char), rule.keep_start + rule.keep_end
    everything = f"rpad('', length({text}), {mask})"
    inside = f"rpad('', length({text}) - {shown}, {mask})"
    ends = f"left({text}, {rule.keep_start}) || {inside} || right({text}, {rule.keep_end})"
    return f"CASE WHEN length({text}) <= {shown} THEN {everything} ELSE {ends} END"


def _numeric_bucket(rule: MaskingRule, column: str, dtype: pa.DataType) -> str:
    """Return the greatest multiple of the bucket's size that is not above the number."""
    what, size = "masking rule numeric_bucket", Decimal(repr(rule.bucket_size)).normalize()
    hint = "numbers are put into buckets; declare the type of the column in schema_hints"
    kind = require_kind(dtype, ("integer", "decimal", "float"), column=column, what=what, hint=hint)
    number, bucket = quoted_name(column), f"{size:f}"
    if kind == "float":
        return f"floor({number} / {bucket}) * {bucket}"
    places = -int(size.as_tuple().exponent)
    if places > (dtype.scale if kind == "decimal" else 0):
        msg = f"{what}: multiples of {bucket} are no values of column {column!r}, which is {describe_type(dtype)}"
        raise TransformError(msg, {"column": column}, code="TG307", hint="give bucket_size fewer decimals")
    return f"{number} - mod(mod({number}, {bucket}) + {bucket}, {bucket})"


def _date_truncate(rule: MaskingRule, column: str, dtype: pa.DataType) -> str:
    """Return the start of the unit that a time lies in; an instant is cut in UTC."""
    kinds = ("timestamp", "timestamp_utc") if rule.unit in _OF_A_DAY else ("date", "timestamp", "timestamp_utc")
    hint = "declare the type of the column in schema_hints: date, timestamp or timestamp_ntz"
    require_kind(dtype, kinds, column=column, what=f"masking rule date_truncate to the {rule.unit}", hint=hint)
    return f"date_trunc('{rule.unit}', {quoted_name(column)})"


_MASKS: Mapping[str, Callable[[MaskingRule, str, pa.DataType], str]] = {
    "partial": _partial,
    "numeric_bucket": _numeric_bucket,
    "date_truncate": _date_truncate,
}
"""Operations that are SQL expressions over their column."""


def _refuse_identity(columns: Sequence[str], schema: Columns, context: TransformContext) -> None:
    """Refuse columns by which rows are told or kept apart, whatever metadata and destination call them."""
    flow, mode = context.flow, context.column_name_mode
    decisive = (*flow.destination.merge_keys, *(part.column for part in flow.destination.partitions))
    found = {column: final_name(column, flow, mode) for column in schema}
    refused = set(final_names(decisive, flow, mode, found.values()))
    for column in columns:
        if found[column] in refused:
            msg = f"column {column!r} is a merge key or a partition column, and cannot be masked"
            raise TransformError(msg, {"column": column}, code="TG308", hint="hash it (hash_columns), or mask another")
