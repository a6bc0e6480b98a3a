"""How a load's files are laid out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tidegate.errors import DestinationError

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.destinations.commit import BaseTable, Snapshot


def partition_columns(table: BaseTable, snapshot: Snapshot, columns: Mapping[str, pa.DataType]) -> tuple[str, ...]:
    """Return the partition columns of the table: those it has, else those declared.

    Raises:
        DestinationError: the declared ones are not those of the table (TG409).
    """
    by_lower_case = {column.lower(): column for column in columns}
    declared = tuple(by_lower_case.get(part.column.lower(), part.column) for part in table.flow.destination.partitions)
    if snapshot.version is None:
        return declared
    if not declared or set(declared) == set(snapshot.partition_by):
        return snapshot.partition_by
    msg = (
        f"partition_columns are ({', '.join(declared)}), but the table is partitioned by "
        f"({', '.join(snapshot.partition_by)})"
    )
    hint = "declare the table's own partition columns, or load into a new table"
    raise DestinationError(msg, code="TG409", where=table.place, hint=hint)
