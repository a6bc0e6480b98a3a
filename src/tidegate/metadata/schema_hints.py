"""Shared schema hints: those of a table, given to every dataflow that reads it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tidegate.models import DataFlow, SchemaHint, SchemaHintSection, Source


class SharedHints:
    """The active hints of all sections, by table.

    A section without `schema_name` holds for the table in every schema; one with it comes after, and so wins.
    """

    def __init__(self, sections: Iterable[SchemaHintSection]) -> None:
        self._by_table: dict[str, list[SchemaHintSection]] = defaultdict(list)
        for section in sorted(sections, key=lambda section: section.schema_name is not None):
            self._by_table[section.table_name].append(section)

    def of(self, source: Source) -> tuple[SchemaHint, ...]:
        """Return the hints of the table that a source reads; none when its connection asks for none."""
        connection = source.connection
        if connection is None or source.table is None or not connection.settings.use_schema_hint:
            return ()
        return tuple(
            hint
            for section in self._by_table.get(source.table, ())
            if section.connection_name in {None, connection.name}
            and section.connection_id in {None, connection.connection_id}
            and section.schema_name in {None, source.schema_name}
            for hint in section.hints
        )


def with_hints(dataflow: DataFlow, shared: tuple[SchemaHint, ...]) -> DataFlow:
    """Return the dataflow with shared hints before its own; its own replace those of the same column.

    Inactive hints are left out, as though they were not written.
    """
    hints = {hint.column_name: hint for hint in (*shared, *dataflow.transform.schema_hints) if hint.is_active}
    merged = tuple(hints.values())
    if merged == dataflow.transform.schema_hints:
        return dataflow
    transform = dataflow.transform.model_copy(update={"schema_hints": merged})
    return dataflow.model_copy(update={"transform": transform})
