"""Many small loads by hand."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import polars as pl
from deltalake import CommitProperties, DeltaTable, write_deltalake

from bench.data import polars_schema
from bench.peers.copies import scan_csv_orders, sink
from bench.peers.delta import commit_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CURSOR = "updated_at"
THREADS = 8


def tiny_loads(source: Path, destination: Path) -> None:
    """Each csv file into a new Delta table, in as many threads as Tidegate has by default."""
    _in_threads(_tiny_load, source, destination)


def tiny_loads_in_turn(source: Path, destination: Path) -> None:
    """The same, one after the other."""
    for path in sorted(source.glob("*.csv")):
        _tiny_load(destination, path)


def tiny_loads_by_own_commit(source: Path, destination: Path) -> None:
    """Polars writes the file, delta-rs creates the table around it."""
    _in_threads(_tiny_load_by_own_commit, source, destination)


def load_new_files(source: Path, destination: Path) -> None:
    """Append the files that are not named in a commit yet; commit their names and the new watermark with the rows."""
    table, position = _position(destination)
    loaded, watermark = set(position.get("files", "").split()), position.get("watermark")
    new = [path for path in sorted(source.glob("*.csv")) if path.name not in loaded]
    _append(destination, table, scan_csv_orders(new), watermark, loaded | {path.name for path in new})


def load_by_filter(source: Path, destination: Path) -> None:
    """Read the whole folder each time and keep the rows above the watermark."""
    table, position = _position(destination)
    _append(destination, table, scan_csv_orders(source / "*.csv"), position.get("watermark"), set())


def _append(
    folder: Path, table: DeltaTable | None, frame: pl.LazyFrame, watermark: str | None, files: set[str]
) -> None:
    """Append the rows of `frame` above `watermark`, and commit with them how far the table has come."""
    if watermark is not None:
        frame = frame.filter(pl.col(CURSOR) > dt.datetime.fromisoformat(watermark))
    path = sink(frame, folder)
    highest = pl.scan_parquet(path).select(pl.col(CURSOR).max()).collect().item()
    reached = {"files": " ".join(sorted(files)), "watermark": highest.isoformat()}
    commit_files(folder, [path], table=table, properties=CommitProperties(custom_metadata=reached))


def _position(folder: Path) -> tuple[DeltaTable | None, dict[str, str]]:
    """The table, if it exists, and what its last commit says of how far it has come."""
    if not DeltaTable.is_deltatable(str(folder)):
        return None, {}
    table = DeltaTable(folder)
    return table, table.history(1)[0]


def _in_threads(load: Callable[[Path, Path], None], source: Path, destination: Path) -> None:
    """Run `load` for every csv file of `source` in a pool of threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(partial(load, destination), sorted(source.glob("*.csv"))))


def _tiny_load(destination: Path, path: Path) -> None:
    """One small csv file into a new Delta table: its creation costs more than its bytes, so the plain way is best."""
    write_deltalake(str(destination / path.stem), pl.read_csv(path, schema=polars_schema()), mode="append")


def _tiny_load_by_own_commit(destination: Path, path: Path) -> None:
    """One small csv file into a new Delta table."""
    folder = destination / path.stem
    folder.mkdir(parents=True)
    file = folder / "part-0.parquet"
    pl.read_csv(path, schema=polars_schema()).write_parquet(file, compression="zstd", compression_level=1)
    commit_files(folder, [file])
