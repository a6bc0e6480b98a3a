"""Step 5: values of columns are put in order as the source has them, before their types are converted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import narwhals as nw

from tidegate.engines.base import ColumnCast
from tidegate.expressions.kinds import kind_of_type
from tidegate.expressions.patterns import replacing_rule
from tidegate.expressions.sql import parse_expression
from tidegate.transformers.base import BaseTransformer, TransformContext
from tidegate.transformers.column_names import spelled_all
from tidegate.transformers.fitting_values import as_in_arrow, fitting, quoted_name, quoted_text, require_kind

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.engines.base import Frame
    from tidegate.models import DataFlow
    from tidegate.models.transform import ValueRule

_WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
"""Unicode's `White_Space`."""
_MAPPED = ("text", "integer", "boolean")


class ValueRuleApplier(BaseTransformer):
    """Applies the value rules by their `order`, then as they are listed. None of them changes a column's type."""

    name: ClassVar[str] = "shape"
    order: ClassVar[int] = 5

    @classmethod
    def describe(cls, flow: DataFlow) -> str | None:
        """Name the operations and their columns."""
        return ", ".join(f"{rule.operation} {', '.join(rule.columns)}" for rule in in_order(flow)) or None

    def transform(self, frame: Frame, context: TransformContext) -> Frame:
        """Add the operations.

        Raises:
            TransformError: a column does not exist (TG302), or has a type that its rule does not go with (TG307).
            MetadataError: a regular expression is none that engines share (TG109).
        """
        for rule in in_order(context.flow):
            schema = context.engine.schema(frame)
            columns = spelled_all(rule.columns, schema, context, what=f"column of value rule {rule.operation}")
            types = {column: schema[column] for column in columns}
            frame = _applied(rule, as_in_arrow(frame, types, context.engine), types, context)
        return frame


def in_order(flow: DataFlow) -> Sequence[ValueRule]:
    """Return the value rules in the order in which they run."""
    return sorted(flow.transform.value_rules, key=lambda rule: rule.order)


def _applied(rule: ValueRule, frame: Frame, columns: Mapping[str, pa.DataType], context: TransformContext) -> Frame:
    match rule.operation:
        case "fill_null":
            casts = {column: _filled(rule.value, column, dtype) for column, dtype in columns.items()}
            return context.engine.cast(frame, casts)
        case "map":
            types = frame.collect_schema()
            return frame.with_columns(
                nw.col(column).replace_strict(
                    _mapping(rule.mapping, column, dtype),
                    default=nw.col(column) if rule.on_unmapped == "keep" else None,
                    return_dtype=types[column],
                )
                for column, dtype in columns.items()
            )
        case "empty_to_null":
            texts = [column for column, dtype in columns.items() if kind_of_type(dtype) == "text"]
        case _:
            hint = "declare it as string: schema_hints: [{column_name: ..., data_type: string}]"
            for column, dtype in columns.items():
                require_kind(dtype, ("text",), column=column, what=f"value rule {rule.operation}", hint=hint)
            texts = list(columns)
    expressions = {column: parse_expression(_sql(rule, quoted_name(column))) for column in texts}
    return context.engine.with_columns(frame, expressions)


def _sql(rule: ValueRule, column: str) -> str:
    match rule.operation:
        case "trim":
            return f"trim({column}, {quoted_text(_WHITE_SPACE)})"
        case "case":
            return f"{rule.mode}({column})"
        case "empty_to_null":
            return f"nullif({column}, '')"
        case _:
            pattern, replacement = replacing_rule(rule.pattern or "", rule.replacement or "")
            return f"regexp_replace({column}, {quoted_text(pattern)}, {quoted_text(replacement)}, 'g')"


def _filled(value: Any, column: str, dtype: pa.DataType) -> ColumnCast:
    return ColumnCast(type=dtype, default=fitting(value, dtype, column=column, what="value rule fill_null"))


def _mapping(mapping: Mapping[str, Any], column: str, dtype: pa.DataType) -> dict[Any, Any]:
    what = "value rule map"
    require_kind(dtype, _MAPPED, column=column, what=what, hint="map columns of text, whole numbers or truth values")
    return {
        fitting(old, dtype, column=column, what=what): None
        if new is None
        else fitting(new, dtype, column=column, what=what)
        for old, new in mapping.items()
    }
