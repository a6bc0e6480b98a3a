"""What a reader finds in a destination, and whether the destination is sound."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pyarrow as pa

from chaos import database_tables, iceberg_tables
from chaos.cases import Flow
from chaos.oracle import columns_of
from chaos.project import dataflow_id
from chaos.rows import BUSINESS, DELETED, VERSIONS

_HIDDEN = "_tidegate"
_KEPT = {
    "deleted": pl.col("__deleted_at").is_not_null(),
    "valid_from": pl.col("__valid_from"),
    "valid_to": pl.col("__valid_to"),
    "is_current": pl.col("__is_current"),
}
"""Where Tidegate keeps what the oracle names."""


def read_rows(path: Path, flow: Flow) -> pl.DataFrame:
    """Return the rows as an ordinary reader of the format finds them: what is compared of them."""
    nothing = pl.DataFrame(schema=columns_of(flow))
    if flow.format == "sql":
        return pl.concat([nothing, _selected(database_tables.rows(path), flow)])
    return pl.concat([nothing, *(read_file(file, path, flow) for file in visible_files(path, flow))])


def visible_files(path: Path, flow: Flow) -> list[Path]:
    """Return the files that readers of the table open."""
    match flow.format:
        case "delta":
            return [Path(file) for file in delta_files(deltalake.DeltaTable(path), path)]
        case "iceberg":
            return [Path(file) for file in iceberg_tables.data_files(path)]
        case _:
            return files_in(path, flow.format)


def files_in(path: Path, suffix: str) -> list[Path]:
    """Return the files that a reader of the folder opens."""
    found: list[Path] = []
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if name != _HIDDEN)
        found += (Path(folder, name) for name in sorted(names) if name.endswith(f".{suffix}"))
    return found


def delta_files(table: deltalake.DeltaTable, root: Path) -> list[str]:
    """Return the files of this version of the table."""
    return [f"{root}/{row['path']}" for row in pa.table(table.get_add_actions()).to_pylist()]


def read_file(file: Path, root: Path, flow: Flow) -> pl.DataFrame:
    """Return the rows of one file of the table below `root`."""
    match flow.format:
        case "csv":
            rows = pl.read_csv(file, infer_schema=False)
        case "jsonl":
            rows = pl.read_ndjson(file, infer_schema_length=None)
        case _:
            rows = pl.read_parquet(file, hive_partitioning=False)
    if flow.format != "iceberg":
        folders = dict(part.split("=", 1) for part in file.relative_to(root).parts[:-1])
        rows = rows.with_columns(pl.lit(value).alias(column) for column, value in folders.items())
    return _selected(rows, flow)


def _selected(rows: pl.DataFrame, flow: Flow) -> pl.DataFrame:
    """Return what is compared of rows."""
    columns = columns_of(flow)
    if flow.format == "sql":
        times = [name for name in ("__valid_from", "__valid_to") if name in rows.columns]
        rows = rows.with_columns(map(database_tables.as_times, [*times, "changed_at"]))
    kept = [_KEPT[column].alias(column) for column in columns if column in {**DELETED, **VERSIONS}]
    return rows.select(
        *(_as(column, rows.schema[column], dtype) for column, dtype in BUSINESS.items()),
        *(expression.cast(columns[expression.meta.output_name()]) for expression in kept),
    )


def _as(column: str, found: pl.DataType, wanted: Any) -> pl.Expr:
    if found == pl.String and wanted == pl.Datetime("us"):
        return pl.col(column).str.to_datetime(time_unit="us")
    return pl.col(column).cast(wanted)


def sequence_of(path: Path, flow: Flow) -> int:
    """Return the sequence number of the flow's last commit, as the destination itself has it."""
    if flow.format == "delta":
        return deltalake.DeltaTable(path).transaction_version(dataflow_id(flow)) or 0
    if flow.format == "sql":
        return database_tables.sequence_of(path, dataflow_id(flow))
    if flow.format == "iceberg":
        return iceberg_tables.sequence_of(path, dataflow_id(flow))
    records = sorted((path / _HIDDEN / "log").glob("*.json"))
    flows = json.loads(records[-1].read_bytes())["flows"] if records else {}
    return int(flows.get(dataflow_id(flow), {"sequence": 0})["sequence"])


def windows_of(path: Path, flow: Flow) -> Counter[str]:
    """Return how often each window of a replay was committed to a Delta or Iceberg table, by its own log."""
    if flow.format == "delta":
        records = [entry["tidegate"] for entry in deltalake.DeltaTable(path).history() if "tidegate" in entry]
    else:
        records = iceberg_tables.records(path)
    return Counter("--".join(record["window"]) for record in records if record["window"])


def faults(path: Path, flow: Flow) -> Iterator[str]:
    """Yield what is wrong with the destination, whatever rows it holds."""
    match flow.format:
        case "delta":
            yield from _delta_faults(path)
        case "iceberg":
            yield from iceberg_tables.faults(path)
        case "sql":
            yield from database_tables.faults(path)
        case _:
            yield from _folder_faults(path, flow)


def _delta_faults(path: Path) -> Iterator[str]:
    table = deltalake.DeltaTable(path)
    yield from faults_of_files(delta_files(table, path))
    added = Counter(
        action["add"]["path"]
        for version in range(table.version() + 1)
        for action in _actions(path / "_delta_log" / f"{version:020d}.json")
        if "add" in action
    )
    yield from (f"added by two commits: {file}" for file, times in added.items() if times > 1)


def faults_of_files(active: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with the list of a table's files."""
    yield from (f"active twice: {file}" for file, times in Counter(active).items() if times > 1)
    yield from (f"active, but absent: {file}" for file in active if not Path(file).exists())


def _folder_faults(path: Path, flow: Flow) -> Iterator[str]:
    expected: set[str] = set()
    records = sorted((path / _HIDDEN / "log").glob("*.json"))
    for number, file in enumerate(records):
        record = json.loads(file.read_bytes())
        if record["version"] != number:
            yield f"record {file.name} says version {record['version']}"
        kept = set() if record["replaces_all"] else expected - set(record["removed"])
        expected = kept | set(record["added"])
    visible = {str(file.relative_to(path)) for file in visible_files(path, flow)}
    yield from (f"visible, but in no load: {name}" for name in sorted(visible - expected))
    yield from (f"committed, but absent: {name}" for name in sorted(expected - visible))


def litter(path: Path, flow: Flow) -> int:
    """Count files that no reader sees and no load needs: what killed processes left behind."""
    match flow.format:
        case "delta":
            log = (path / "_delta_log").glob("*.json")
            known = {action["add"]["path"] for entry in log for action in _actions(entry) if "add" in action}
            names = {Path(file).name for file in known}
            return sum(file.name not in names for file in path.rglob("*.parquet"))
        case "iceberg":
            return iceberg_tables.litter(path)
        case "sql":
            return 0
        case _:
            return sum(file.is_file() for file in (path / _HIDDEN / "staged").rglob("*"))


def _actions(entry: Path) -> Iterator[dict[str, Any]]:
    yield from (json.loads(line) for line in entry.read_text(encoding="utf-8").splitlines())
