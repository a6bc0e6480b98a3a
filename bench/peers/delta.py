"""Commit Parquet files that are already in a table's folder to Delta, with statistics from their footers."""

from __future__ import annotations

import datetime as dt
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
from deltalake import DeltaTable, Schema
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deltalake import CommitProperties


def add_action(folder: Path, path: Path, footer: pq.FileMetaData | None = None) -> AddAction:
    """The Delta ``add`` of one file of the table in `folder`, its statistics read from the file's footer."""
    found = path.stat()
    return AddAction(
        path=path.relative_to(folder).as_posix(),
        size=found.st_size,
        partition_values={},
        modification_time=int(found.st_mtime * 1000),
        data_change=True,
        stats=json.dumps(_statistics(footer or pq.read_metadata(path))),
    )


def commit_files(
    folder: Path,
    files: Iterable[Path],
    *,
    removed: Iterable[str] = (),
    table: DeltaTable | None = None,
    properties: CommitProperties | None = None,
) -> None:
    """Add `files` to the Delta table in `folder` and remove the paths `removed`, in one commit.

    Without `table`, the table is created if it is not there.
    """
    paths = list(files)
    footers = [pq.read_metadata(path) for path in paths]
    actions = [add_action(folder, path, footer) for path, footer in zip(paths, footers, strict=True)]
    schema = Schema.from_arrow(footers[0].schema.to_arrow_schema())
    if table is None and DeltaTable.is_deltatable(str(folder)):
        table = DeltaTable(folder)
    if table is None:
        create_table_with_add_actions(str(folder), schema, actions, mode="error", commit_properties=properties)
        return
    now = int(dt.datetime.now(dt.UTC).timestamp() * 1000)
    removes = [RemoveAction(path, data_change=True, deletion_timestamp=now) for path in removed]
    table.create_write_transaction([*removes, *actions], "append", schema, commit_properties=properties)


def _statistics(footer: pq.FileMetaData) -> dict[str, Any]:
    """Delta statistics of a whole file: the row groups' minima, maxima and null counts brought together."""
    least: dict[str, Any] = {}
    most: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for group in range(footer.num_row_groups):
        for column in range(footer.num_columns):
            chunk = footer.row_group(group).column(column)
            name, found = chunk.path_in_schema, chunk.statistics
            if found is None:
                continue
            if found.has_null_count:
                nulls[name] = nulls.get(name, 0) + found.null_count
            if found.has_min_max and isinstance(found.min, int | float | str | dt.date) and _is_ordered(found.min):
                least[name] = min(least.get(name, found.min), found.min)
                most[name] = max(most.get(name, found.max), found.max)
    return {
        "numRecords": footer.num_rows,
        "minValues": {name: _as_json(value) for name, value in least.items()},
        "maxValues": {name: _as_json(value) for name, value in most.items()},
        "nullCount": nulls,
    }


def _is_ordered(value: Any) -> bool:
    """Whether Delta keeps a minimum of this value: not of booleans or NaN."""
    return not isinstance(value, bool) and not (isinstance(value, float) and math.isnan(value))


def _as_json(value: Any) -> Any:
    """A statistic as the Delta protocol writes it."""
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value.isoformat() if isinstance(value, dt.date) else value
