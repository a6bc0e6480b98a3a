"""What a strategy found, as a change of rows: for tables whose rows are changed in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import narwhals as nw

from tidegate.destinations.table import RowChange

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.destinations.load_strategies.copy_on_write import CopyOnWrite, Replacement
    from tidegate.destinations.selection import Selection
    from tidegate.engines.base import BaseEngine, Frame

    Columns = Mapping[str, pa.DataType]

_CONTENT = "__tidegate_content"


def row_change(
    strategy: CopyOnWrite,
    found: Replacement,
    selection: Selection | None,
    columns: Columns,
) -> tuple[RowChange, int]:
    """Return what becomes of the rows, and how many of the table's were replaced.

    Rows that an identity tells apart change one by one, and only those that differ; else all selected rows go, and
    those that stay or come are added.

    Args:
        strategy: It has found what becomes of the table.
        found: What it found.
        selection: Which they are; None when no row of the table can be concerned.
        columns: All columns of the table once the change is made.
    """
    engine, identity = strategy.engine, strategy.identity()
    touched, loaded = found.touched, strategy.written_columns()
    others = {column: dtype for column, dtype in columns.items() if column not in loaded}
    # what a row hands on is left alone: others may have changed it since it was read
    given = {column: dtype for column, dtype in others.items() if column not in strategy.kept_columns(columns)}
    if not touched or selection is None:
        if not identity:
            return RowChange(added=found.come, columns=others), 0
        return RowChange(merged=found.come, identity=identity, columns=given), 0
    kept = strategy.stage(found.keep(engine.read_table(touched, columns), touched), "kept")
    updated = sum(file.rows or 0 for file in touched) - kept.rows if found.updated is None else found.updated
    old = engine.read_table(touched, columns)
    if not identity or engine.repeated_key(old.select(identity), identity) is not None:
        return RowChange(removed=selection, added=found.come, kept=kept.files, columns=others), updated
    changed = strategy.stage(_changed(engine, strategy.read(kept, columns), old, identity, columns), "changed")
    key_types = strategy.narrow(columns, identity)
    staying = nw.concat([engine.read_table(found.come, key_types), strategy.read(kept, key_types)])
    gone = strategy.stage(engine.without_matches(old.select(identity), staying, identity), "gone")
    return (
        RowChange(
            removed=strategy.rows_with_keys(gone, identity, key_types) if gone.rows else None,
            merged=(*found.come, *changed.files),
            identity=identity,
            columns=given,
        ),
        updated,
    )


def _changed(engine: BaseEngine, kept: Frame, old: Frame, identity: Sequence[str], columns: Columns) -> Frame:
    """Return the rows that stay with other values than they had."""
    before = engine.with_content_hash(old, list(columns), _CONTENT).select(*identity, _CONTENT)
    now = engine.with_content_hash(kept, list(columns), _CONTENT)
    return engine.without_matches(now, before, [*identity, _CONTENT]).drop(_CONTENT)
