"""How columns with a meaning are called at the destination: those that order rows, and those that say when."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from tidegate.errors import TransformError
from tidegate.transformers.column_names import final_names
from tidegate.transformers.deduplicator import deciding_columns

if TYPE_CHECKING:
    from tidegate.models import ColumnCaseMode, DataFlow


def order_at_destination(flow: DataFlow, mode: ColumnCaseMode, columns: Collection[str]) -> tuple[str, ...]:
    """Return the ordering columns as the destination has them, up to the first that it does not have unchanged."""
    changed = _computed(flow) | {
        new.lower() for old, new in flow.transform.rename_columns.items() if old.lower() != new.lower()
    }
    order: list[str] = []
    for name in deciding_columns(flow):
        if name.lower() in changed:
            break
        try:
            order += final_names([name], flow, mode, columns)
        except TransformError:
            break
    return tuple(order)


def moments_at_destination(flow: DataFlow, mode: ColumnCaseMode, columns: Collection[str]) -> frozenset[str]:
    """Return the columns that say when a row changed, not what it says, as far as the destination has them."""
    effective = flow.destination.settings.scd2_effective_column
    names = [*flow.source.watermark_columns, *flow.latest_data_columns, *([effective] if effective else [])]
    return frozenset(_found(names, flow, mode, columns))


def unchanged_at_destination(
    names: Sequence[str], flow: DataFlow, mode: ColumnCaseMode, columns: Collection[str]
) -> tuple[str, ...]:
    """Return columns of the source as the destination has them, with the values that they have at the source.

    Raises:
        TransformError: one is not there (TG302), or holds other values there (TG306).
    """
    for name in names:
        if name.lower() in _computed(flow):
            msg = f"column {name!r} is computed anew or masked, so that the window to replace is not known"
            hint = "give the computed column another name, do not mask it, or load without replacing a window"
            raise TransformError(msg, {"column": name}, code="TG306", hint=hint)
    return tuple(final_names(names, flow, mode, columns))


def _computed(flow: DataFlow) -> set[str]:
    """Return the columns, in lower case, that do not come to the destination with the source's values."""
    transform = flow.transform
    computed = {added.column.lower() for added in transform.additional_columns}
    computed |= {hashed.target_column.lower() for hashed in transform.hash_columns}
    computed |= {column.lower() for rule in transform.masking_rules for column in rule.columns}
    return computed | {part.column.lower() for part in flow.destination.partitions if part.expression}


def _found(names: Iterable[str], flow: DataFlow, mode: ColumnCaseMode, columns: Collection[str]) -> Iterable[str]:
    for name in names:
        try:
            yield from final_names([name], flow, mode, columns)
        except TransformError:
            continue
