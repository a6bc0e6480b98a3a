"""A small project in a folder: files to read, flows over them, and their destinations, read without Tidegate."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import deltalake
import polars as pl
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from tests.behaviour.databases import all_tables, frame_of
from tidegate import Connection, DataFlow, Destination, RunConfig, Source, Transform, create_driver
from tidegate.connections import database_of
from tidegate.orchestration.explainer import explain
from tidegate.orchestration.stages import UnitPlan
from tidegate.reporting import ErrorReport, ExecutionResult, UnitReport
from tidegate.reporting.events import UnitFinished
from tidegate.state import FlowState, SQLiteStateStore
from tidegate.transformers.system_columns import SYSTEM_COLUMNS

DATABASES = ("sqlite", "postgresql", "duckdb", "mariadb")
_START = 1_700_000_000_000_000_000


class Project:
    """Builds files and flows below one folder, runs them, and looks at what came of it.

    Files get modification times of their own, a second apart: a file that is written again has visibly changed, however
    quick the test is and however coarse the file system's clock.
    """

    def __init__(self, root: Path, destination_format: str = "delta", *, url: str | None = None) -> None:
        """Take a folder; and for the destination its format, or the kind of a database, with the URL of a server."""
        self.root = root
        self.url = url
        self.source_root = root / "in"
        self.destination_root = root / "out"
        self.destination_format = destination_format
        self.state_path = root / ".tidegate" / "state.db"
        self.source_root.mkdir(parents=True, exist_ok=True)
        self._ticks = itertools.count()

    # ---- files to read

    def text(self, name: str, content: str | bytes, *, modified_ns: int | None = None) -> Path:
        """Write a file as it is; `.gz` is compressed."""
        path = self.source_root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)
        return self.touch(path, modified_ns)

    def touch(self, path: Path, modified_ns: int | None = None) -> Path:
        """Give the file the next modification time, or this one."""
        stamp = _START + next(self._ticks) * 1_000_000_000 if modified_ns is None else modified_ns
        os.utime(path, ns=(stamp, stamp))
        return path

    def csv(self, name: str, header: str, *rows: str, **options: Any) -> Path:
        """Write lines below a header."""
        return self.text(name, "".join(f"{line}\n" for line in (header, *rows)), **options)

    def more(self, name: str, *lines: str) -> Path:
        """Add lines to a file that is there: it grows."""
        path = self.source_root / name
        with path.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        return self.touch(path)

    def jsonl(self, name: str, *records: Mapping[str, Any], **options: Any) -> Path:
        """Write one JSON object a line."""
        return self.text(name, "".join(f"{json.dumps(record, default=str)}\n" for record in records), **options)

    def json(self, name: str, records: Any, **options: Any) -> Path:
        """Write one JSON document."""
        return self.text(name, json.dumps(records, default=str), **options)

    def parquet(
        self, name: str, columns: Mapping[str, Any] | pl.DataFrame, *, modified_ns: int | None = None, **options: Any
    ) -> Path:
        """Write a Parquet file of a frame, or of columns."""
        path = self.source_root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        frame = columns if isinstance(columns, pl.DataFrame) else pl.DataFrame(columns, strict=False)
        frame.write_parquet(path, **options)
        return self.touch(path, modified_ns)

    # ---- flows

    def flow(
        self,
        table: str = "events",
        *,
        source: str | None = None,
        format: str = "csv",  # noqa: A002 - the word of the metadata
        to: str | None = None,
        load_type: str = "append",
        keys: Sequence[str] = (),
        watermark: str | Sequence[str] = (),
        lag: str | float | None = None,
        source_filter: str | None = None,
        partitions: Sequence[Any] = (),
        read_options: Mapping[str, Any] | None = None,
        write_options: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        cdc: Mapping[str, Any] | None = None,
        hive: bool = False,
        name: str | None = None,
        dataflow_id: str | None = None,
        destination_root: Path | None = None,
        hints: Mapping[str, str | Mapping[str, Any]] | None = None,
        **transform: Any,
    ) -> DataFlow:
        """Declare a flow from `in/{source}` to `out/{table}`."""
        schema_hints = [
            {"column_name": column, **({"data_type": hint} if isinstance(hint, str) else hint)}
            for column, hint in (hints or {}).items()
        ]
        return DataFlow(
            name=name or f"load_{table}",
            **({"dataflow_id": dataflow_id} if dataflow_id else {}),
            source=Source(
                connection=Connection(
                    name="files",
                    format=format,
                    configure={"base_path": str(self.source_root), "use_hive_partitioning": hive},
                ),
                table=source or table,
                watermark_columns=watermark,
                watermark_lag=lag,
                filter_expression=source_filter,
                cdc=cdc,
                configure={"read_options": dict(read_options or {})},
            ),
            destination=Destination(
                connection=self.lake(to or self.destination_format, destination_root or self.destination_root),
                table=f"{destination_root.name}_{table}" if destination_root and self.url else table,
                load_type=load_type,
                merge_keys=keys,
                partition_columns=partitions,
                configure={"write_options": dict(write_options or {}), **(settings or {})},
            ),
            transform=Transform(schema_hints=schema_hints, **transform),
        )

    def lake(self, kind: str, root: Path) -> Connection:
        """Declare where destinations are: a folder, or a database, which is a file there or has a URL."""
        if kind not in DATABASES:
            return Connection(name="lake", format=kind, configure={"base_path": str(root)})
        root.mkdir(parents=True, exist_ok=True)
        place = {"url": self.url} if self.url else {"database_type": kind, "database": str(root / f"lake.{kind}")}
        return Connection(name="lake", format="sql", configure=place)

    def merge(self, table: str = "events", *, keys: str | Sequence[str] = "id", **options: Any) -> DataFlow:
        """Declare a flow that merges by key."""
        return self.flow(table, load_type="merge_upsert", keys=keys, **options)

    # ---- running

    def store(self, path: Path | None = None) -> SQLiteStateStore:
        """Open the project's state store, or another one."""
        return SQLiteStateStore(path or self.state_path)

    def run(
        self, *flows: DataFlow, state: Path | None = None, column_name_mode: str = "lower", **options: Any
    ) -> ExecutionResult:
        """Run the flows in a driver of their own, as a process would."""
        config = RunConfig(**options)
        store = self.store(state) if state else None
        with create_driver(root=self.root, config=config, state=store, sinks=[_Recorder(self)]) as driver:
            return driver.run(dataflows=list(flows), column_name_mode=column_name_mode)

    def load(self, flow: DataFlow, **options: Any) -> UnitReport:
        """Run one flow, which must succeed."""
        (unit,) = self.run(flow, **options).units
        assert unit.status == "succeeded", unit.error
        return unit

    def fail(self, flow: DataFlow, **options: Any) -> ErrorReport:
        """Run one flow, which must fail and leave source, destination and position byte for byte as they were."""
        before = self.everything(flow)
        result = self.run(flow, **options)
        (unit,) = result.units
        assert unit.status == "failed", f"succeeded with {unit.rows_out} rows"
        assert result.exit_code == 1
        assert unit.error is not None
        assert self.everything(flow) == before
        assert not (self.root / ".tidegate" / "scratch").exists() or not any(
            path.is_file() for path in (self.root / ".tidegate" / "scratch").rglob("*")
        )
        return unit.error

    def plan(self, flow: DataFlow) -> dict[str, Any]:
        """Return what `plan` says about a flow."""
        with create_driver(root=self.root) as driver:
            ((_, plan),) = driver.plan(dataflows=[flow])
        if not isinstance(plan, UnitPlan):
            raise plan
        return explain(plan)

    # ---- looking

    @property
    def data_suffix(self) -> str:
        """Ending of the names of the destination's data files."""
        return "parquet" if self.destination_format in {"delta", "iceberg"} else self.destination_format

    def data_root(self, table: str = "events") -> Path:
        """Return the folder that the data files of a table, and the folders of its partitions, are in."""
        return self.destination_root / table / ("data" if self.destination_format == "iceberg" else "")

    def position(self, flow: DataFlow) -> FlowState | None:
        """Return where the flow stands, as the state store has it."""
        store = self.store()
        try:
            return store.read(flow.dataflow_id)
        finally:
            store.close()

    def everything(self, flow: DataFlow) -> dict[str, Any]:
        """Return all bytes below source and destination, and the flow's position."""
        return {
            "source": tree(self.source_root),
            "destination": self._destination(flow),
            "position": self.position(flow) if self.state_path.exists() else None,
        }

    def _destination(self, flow: DataFlow) -> dict[str, Any]:
        if self.destination_format not in DATABASES:
            return tree(Path(flow.destination.path or ""))
        return all_tables(database_of(flow.destination.connection))  # type: ignore[arg-type]

    def frame(self, flow: DataFlow, *, system: bool = False) -> pl.DataFrame:
        """Return the destination's rows as another reader sees them, without the system columns."""
        path = str(flow.destination.path)
        match flow.destination.connection.format:  # type: ignore[union-attr]
            case "sql":
                frame = frame_of(database_of(flow.destination.connection), flow.destination.table)  # type: ignore[arg-type]
            case "delta":
                frame = pl.DataFrame(pl.from_arrow(deltalake.DeltaTable(path).to_pyarrow_table()))
            case "iceberg":
                frame = pl.DataFrame(pl.from_arrow(iceberg_table(flow).scan().to_arrow()))
            case "parquet":
                frame = _union(
                    pl.read_parquet(file, hive_partitioning=True, glob=False) for file in data_files(path, "parquet")
                )
            case "csv":
                frame = _union(
                    _with_partitions(pl.read_csv(file, infer_schema_length=None), file, path)
                    for file in data_files(path, "csv")
                )
            case _:
                frame = _union(
                    _with_partitions(pl.read_ndjson(file, infer_schema_length=None), file, path)
                    for file in data_files(path, "jsonl")
                )
        return frame if system else frame.drop(SYSTEM_COLUMNS, strict=False)

    def rows(self, flow: DataFlow, *columns: str) -> list[Any]:
        """Return the destination's rows, sorted: values when one column is asked for, else tuples."""
        frame = self.frame(flow)
        if not frame.width:
            return []
        names = list(columns) or sorted(frame.columns)
        rows = frame.select(names).rows()
        values = [row[0] for row in rows] if len(names) == 1 else rows
        return sorted(
            values,
            key=lambda row: [
                (value is not None, str(type(value)), value) for value in (row if isinstance(row, tuple) else (row,))
            ],
        )

    def copy_state(self, name: str = "older-state.db") -> Path:
        """Copy the state store as it is now."""
        self._checkpoint()
        target = self.root / name
        shutil.copy(self.state_path, target)
        return target

    def restore_state(self, copy: Path) -> None:
        """Put an older copy of the state store in place: what a failed write of the state leaves."""
        self.forget_state()
        shutil.copy(copy, self.state_path)

    def forget_state(self) -> None:
        """Delete the state store."""
        for file in self.state_path.parent.glob("state.db*"):
            file.unlink()

    def _checkpoint(self) -> None:
        import sqlite3

        connection = sqlite3.connect(self.state_path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()


class _Recorder:
    """A sink that remembers nothing but that units end: it keeps the event stream in use."""

    def __init__(self, project: Project) -> None:
        self.finished: list[UnitReport] = []

    def handle(self, event: object, /) -> None:
        """Keep the reports."""
        if isinstance(event, UnitFinished):
            self.finished.append(event.report)

    def close(self) -> None:
        """Nothing is open."""


def tree(path: Path) -> dict[str, bytes]:
    """Return all files below a path with their bytes, by relative name; a folder without files is nothing."""
    if path.is_file():
        return {".": path.read_bytes()}
    return {str(item.relative_to(path)): item.read_bytes() for item in sorted(path.rglob("*")) if item.is_file()}


def iceberg_table(flow: DataFlow) -> Table:
    """Return the flow's Iceberg table, from the SQLite catalog below its base path."""
    base_path = flow.destination.connection.settings.base_path  # type: ignore[union-attr]
    catalog = SqlCatalog("default", uri=f"sqlite:///{base_path}/catalog.db", warehouse=str(base_path))
    try:
        return catalog.load_table((flow.destination.namespace, flow.destination.table))
    finally:
        catalog.close()


def data_files(path: str | Path, suffix: str) -> list[Path]:
    """Return the data files of a folder, without hidden ones."""
    root = Path(path)
    found = (file for file in sorted(root.rglob(f"*.{suffix}")))
    return [file for file in found if not any(part.startswith(("_", ".")) for part in file.relative_to(root).parts)]


def _with_partitions(frame: pl.DataFrame, file: Path, root: str) -> pl.DataFrame:
    """Add the partition columns of a file's folders, numbers as numbers."""
    folders = [part.split("=", 1) for part in file.relative_to(root).parts[:-1]]
    values = {column: int(text) if text.isdecimal() else unquote(text) for column, text in folders}
    nulls = {column: None if value == "__HIVE_DEFAULT_PARTITION__" else value for column, value in values.items()}
    return frame.with_columns(pl.lit(value).alias(column) for column, value in nulls.items())


def _union(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    parts = list(frames)
    return pl.concat(parts, how="diagonal_relaxed") if parts else pl.DataFrame()
