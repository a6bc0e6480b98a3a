"""How a load's files are laid out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import narwhals as nw
import pyarrow as pa

from tidegate.errors import DestinationError
from tidegate.expressions.data_type import describe_type

if TYPE_CHECKING:
    from tidegate.destinations.table import BaseTable, DataFile, Snapshot
    from tidegate.engines.base import Frame


ROWS_PER_REWRITE = 1_000_000
"""Files are rewritten in groups of about this many rows: bounded memory, and the table keeps its layout."""


def partition_columns(table: BaseTable, snapshot: Snapshot, columns: Mapping[str, pa.DataType]) -> tuple[str, ...]:
    """Return the partition columns of the table: those it has, else those declared.

    Raises:
        DestinationError: the declared ones are not those of the table (TG409), or a path cannot hold their values
            (TG403).
    """
    if table.keeps_rows:
        return ()
    found = _declared_or_there(table, snapshot, columns)
    for column in found:
        dtype = columns.get(column)
        if dtype is not None and pa.types.is_floating(dtype) and not table.partitions_by_floats:
            msg = f"partition column {column!r} is {describe_type(dtype)}: this format does not keep its exact values"
            hint = "partition by another column, or by an expression such as CAST(... AS BIGINT)"
            raise DestinationError(msg, {"column": column}, code="TG403", where=table.place, hint=hint)
        if dtype is not None and (
            pa.types.is_nested(dtype) or pa.types.is_binary(dtype) or pa.types.is_large_binary(dtype)
        ):
            msg = f"partition column {column!r} is {describe_type(dtype)}, which has no text that a path can hold"
            hint = (
                "partition by another column, or by an expression: partition_columns: [{column: ..., expression: ...}]"
            )
            raise DestinationError(msg, {"column": column}, code="TG403", where=table.place, hint=hint)
    return found


def with_null_partitions(
    frame: Frame, table: BaseTable, columns: Mapping[str, pa.DataType], partition_by: tuple[str, ...]
) -> Frame:
    """Return the frame with NULL for empty text in partition columns, where the table keeps them as one.

    Source of the rule: Delta protocol, "Partition Value Serialization". Rows are compared as the table keeps them.
    """
    if table.has_empty_partitions:
        return frame
    texts = [column for column in partition_by if columns.get(column) == pa.string()]
    return frame.with_columns(nw.when(nw.col(text) != "").then(nw.col(text)).alias(text) for text in texts)


def with_missing_partitions(frame: Frame, snapshot: Snapshot, partition_by: tuple[str, ...]) -> Frame:
    """Return the frame with NULL for partition columns of the table that its rows lack."""
    there = frame.collect_schema()
    missing = pa.schema(
        [(name, snapshot.columns[name]) for name in partition_by if name in snapshot.columns.keys() - there.keys()]
    )
    types = nw.from_native(missing.empty_table()).schema
    return frame.with_columns(nw.lit(None).cast(dtype).alias(name) for name, dtype in types.items())


def rewrite_groups(files: Sequence[DataFile], rows: int) -> Iterator[list[DataFile]]:
    """Yield files in groups of about this many rows, which are rewritten together."""
    group: list[DataFile] = []
    for file in files:
        group.append(file)
        if sum(member.rows or rows for member in group) >= rows:
            yield group
            group = []
    if group:
        yield group


def _declared_or_there(table: BaseTable, snapshot: Snapshot, columns: Mapping[str, pa.DataType]) -> tuple[str, ...]:
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
