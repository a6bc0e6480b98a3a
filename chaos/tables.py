"""What a reader finds in a destination, and whether the destination is sound."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import deltalake
import polars as pl

from chaos.cases import Flow
from chaos.child import active_files
from chaos.feeds import BUSINESS
from chaos.project import dataflow_id

_HIDDEN = "_tidegate"


def read_rows(path: Path, flow: Flow) -> pl.DataFrame:
    """Return the business rows as an ordinary reader of the format finds them, sorted."""
    files = visible_files(path, flow)
    if not files:
        return pl.DataFrame(schema=BUSINESS)
    frames = [_read_file(file, path, flow.format) for file in files]
    return pl.concat(frames).sort("id", "revision", "changed_at")


def visible_files(path: Path, flow: Flow) -> list[Path]:
    """Return the files that readers of the table open."""
    if flow.format == "delta":
        return [Path(file) for file in active_files(deltalake.DeltaTable(path), str(path))]
    found = path.rglob(f"*.{flow.format}")
    return sorted(file for file in found if _HIDDEN not in file.relative_to(path).parts)


def _read_file(file: Path, root: Path, file_format: str) -> pl.DataFrame:
    match file_format:
        case "csv":
            rows = pl.read_csv(file, infer_schema=False)
        case "jsonl":
            rows = pl.read_ndjson(file, infer_schema_length=None)
        case _:
            rows = pl.read_parquet(file, hive_partitioning=False)
    folders = dict(part.split("=", 1) for part in file.relative_to(root).parts[:-1])
    rows = rows.with_columns(pl.lit(value).alias(column) for column, value in folders.items())
    return rows.select(_as(column, rows.schema[column], dtype) for column, dtype in BUSINESS.items())


def _as(column: str, found: pl.DataType, wanted: Any) -> pl.Expr:
    if found == pl.String and wanted == pl.Datetime("us"):
        return pl.col(column).str.to_datetime(time_unit="us")
    return pl.col(column).cast(wanted)


def sequence_of(path: Path, flow: Flow) -> int:
    """Return the sequence number of the flow's last commit, as the destination itself has it."""
    if flow.format == "delta":
        return deltalake.DeltaTable(path).transaction_version(dataflow_id(flow)) or 0
    records = sorted((path / _HIDDEN / "log").glob("*.json"))
    flows = json.loads(records[-1].read_bytes())["flows"] if records else {}
    return int(flows.get(dataflow_id(flow), {"sequence": 0})["sequence"])


def faults(path: Path, flow: Flow) -> Iterator[str]:
    """Yield what is wrong with the destination, whatever rows it holds."""
    yield from _delta_faults(path) if flow.format == "delta" else _folder_faults(path, flow)


def _delta_faults(path: Path) -> Iterator[str]:
    table = deltalake.DeltaTable(path)
    active = active_files(table, str(path))
    yield from (f"active twice: {file}" for file, times in Counter(active).items() if times > 1)
    yield from (f"active, but absent: {file}" for file in active if not Path(file).exists())
    added: Counter[str] = Counter()
    for version in range(table.version() + 1):
        entry = path / "_delta_log" / f"{version:020d}.json"
        actions = [json.loads(line) for line in entry.read_text(encoding="utf-8").splitlines()]
        added.update(action["add"]["path"] for action in actions if "add" in action)
    yield from (f"added by two commits: {file}" for file, times in added.items() if times > 1)


def _folder_faults(path: Path, flow: Flow) -> Iterator[str]:
    expected: set[str] = set()
    records = sorted((path / _HIDDEN / "log").glob("*.json"))
    for number, file in enumerate(records):
        record = json.loads(file.read_bytes())
        if record["version"] != number:
            yield f"record {file.name} says version {record['version']}"
        expected = set(record["added"]) if record["replaces_all"] else expected | set(record["added"])
    visible = {str(file.relative_to(path)) for file in visible_files(path, flow)}
    yield from (f"visible, but in no load: {name}" for name in sorted(visible - expected))
    yield from (f"committed, but absent: {name}" for name in sorted(expected - visible))


def litter(path: Path, flow: Flow) -> int:
    """Count files that no reader sees and no load needs: what killed processes left behind."""
    if flow.format == "delta":
        known = {Path(file).name for file in _ever_added(path)}
        return sum(file.name not in known for file in path.rglob("*.parquet"))
    staged = path / _HIDDEN / "staged"
    return sum(file.is_file() for file in staged.rglob("*"))


def _ever_added(path: Path) -> Iterator[str]:
    for entry in (path / "_delta_log").glob("*.json"):
        for line in entry.read_text(encoding="utf-8").splitlines():
            if line.startswith('{"add"'):
                yield json.loads(line)["add"]["path"]
