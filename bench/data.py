"""The bench's input files: generated once, deterministically, and kept in a cache folder.

A row is an order of ten columns (integers, floats, strings of low and high cardinality, a date, a timestamp, a
boolean, two nullable columns). Every value is a function of the order's ``id``, so any range of ids can be made
alone, in slices that keep memory small, and the same range is the same bytes on every machine.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import polars as pl

    Writer = Callable[[Path], None]

SLICE_ROWS = 500_000
"""Rows generated at a time; also the rows of one parquet source file."""

TYPES = {
    "id": "bigint",
    "customer_id": "int",
    "amount": "double",
    "discount": "double",
    "reference": "string",
    "status": "string",
    "ordered_on": "date",
    "updated_at": "timestamp",
    "is_paid": "boolean",
    "note": "string",
}
"""The ten columns and their types, in the words of a Tidegate schema hint."""

HISTORY_COLUMNS = ("__valid_from", "__valid_to", "__is_current")
"""What a table of versions has besides."""


def cache_folder() -> Path:
    """The folder that holds generated inputs: ``$TIDEGATE_BENCH_DIR``, or ``/tmp/tidegate-bench``."""
    return Path(os.environ.get("TIDEGATE_BENCH_DIR", "/tmp/tidegate-bench"))  # noqa: S108 -- a cache, and no secret


def polars_schema() -> dict[str, pl.DataType]:
    """`TYPES` as Polars types; timestamps are microseconds in UTC."""
    import polars as pl

    names = {
        "bigint": pl.Int64(),
        "int": pl.Int32(),
        "double": pl.Float64(),
        "string": pl.String(),
        "date": pl.Date(),
        "timestamp": pl.Datetime("us", "UTC"),
        "boolean": pl.Boolean(),
    }
    return {column: names[kind] for column, kind in TYPES.items()}


def orders(ids: pl.Series, *, revision: int = 0) -> pl.DataFrame:
    """The orders with these ids; another `revision` gives the same ids other values and a later timestamp."""
    import polars as pl

    def noise(seed: int) -> pl.Expr:
        """A well-mixed 32-bit value of the id: a multiply-xor hash, so that it never changes between versions."""
        mixed = (pl.col("id").cast(pl.UInt64) + (seed * 2_654_435_761 + revision * 97_531)) & 0xFFFF_FFFF
        for factor in (73_244_475, 73_244_475):
            mixed = ((mixed ^ (mixed // 65_536)) * factor) & 0xFFFF_FFFF
        return mixed ^ (mixed // 65_536)

    statuses = pl.lit(pl.Series(["new", "paid", "packed", "shipped", "returned"]))
    return pl.DataFrame({"id": ids.cast(pl.Int64)}).select(
        "id",
        (noise(1) % 100_000).cast(pl.Int32).alias("customer_id"),
        ((noise(2) % 1_000_000) / 100).round(2).alias("amount"),
        pl.when(noise(3) % 3 == 0).then(((noise(4) % 5_000) / 100).round(2)).alias("discount"),
        pl.format("ORD-{}-{}", noise(5), pl.col("id") % 9_973).alias("reference"),
        statuses.gather(noise(6) % 5).alias("status"),
        (pl.date(2020, 1, 1) + pl.duration(days=noise(7) % 2_000)).alias("ordered_on"),
        (
            pl.datetime(2024 + revision, 1, 1, time_unit="us", time_zone="UTC")
            + pl.duration(seconds=pl.col("id"), microseconds=noise(8) % 1_000_000)
        ).alias("updated_at"),
        (noise(9) % 2 == 0).alias("is_paid"),
        pl.when(noise(10) % 10 != 0).then(pl.format("note {}", noise(11) % 5_000)).alias("note"),
    )


def parquet_orders(rows: int) -> Path:
    """A folder of parquet files that hold orders ``0 .. rows``."""

    def write(folder: Path) -> None:
        for number, ids in enumerate(_slices(0, rows)):
            orders(ids).write_parquet(folder / f"part-{number:04}.parquet")

    return _once(f"orders-{rows}-parquet", write)


def csv_orders(rows: int) -> Path:
    """A folder of csv files of a million rows each that hold orders ``0 .. rows``."""

    def write(folder: Path) -> None:
        for number, ids in enumerate(_slices(0, rows, 1_000_000)):
            _write_csv(orders(ids), folder / f"part-{number:04}.csv")

    return _once(f"orders-{rows}-csv", write)


def csv_increments(count: int, rows: int) -> Path:
    """A folder of `count` csv files, each holding the `rows` orders that follow the file before."""

    def write(folder: Path) -> None:
        for number in range(count):
            ids = next(_slices(number * rows, (number + 1) * rows, rows))
            _write_csv(orders(ids), folder / f"day-{number:04}.csv")

    return _once(f"increments-{count}x{rows}-csv", write)


def tiny_csvs(count: int, rows: int) -> Path:
    """A folder of `count` csv files ``t0000.csv`` ... of a few rows each."""

    def write(folder: Path) -> None:
        for number in range(count):
            _write_csv(orders(next(_slices(number * rows, (number + 1) * rows))), folder / f"t{number:04}.csv")

    return _once(f"tiny-{count}x{rows}-csv", write)


def change_counts(rows: int) -> tuple[int, int]:
    """The updates and the inserts that `changes` makes for a table of this many rows."""
    return max(rows // 100, 10), max(rows // 1000, 1)


def changes(rows: int, *, clustered: bool) -> Path:
    """Changes to a table of orders ``0 .. rows``: 1 % updates, 0.1 % new orders.

    The updates are spread over all orders, or, when `clustered`, lie in the last twentieth of them.
    """
    updates, inserts = change_counts(rows)

    def write(folder: Path) -> None:
        import polars as pl

        first = rows - rows // 20 if clustered else 0
        step = max((rows - first) // updates, 1)
        old = pl.int_range(first, rows, step, eager=True).head(updates)
        new = pl.int_range(rows, rows + inserts, eager=True)
        frame = orders(pl.concat([old, new]).alias("id"), revision=1)
        frame.sample(fraction=1.0, shuffle=True, seed=7).write_parquet(folder / "changes.parquet")

    return _once(f"changes-1.1-{rows}-{'clustered' if clustered else 'scattered'}", write)


def tenth_changes(rows: int) -> Path:
    """A tenth as many changes as a table of orders ``0 .. rows`` has rows: nine tenths updates, scattered."""

    def write(folder: Path) -> None:
        import polars as pl

        old = pl.int_range(0, rows, 11, eager=True).head(rows // 10 - rows // 100)
        new = pl.int_range(rows, rows + rows // 100, eager=True)
        frame = orders(pl.concat([old, new]).alias("id"), revision=1)
        frame.sample(fraction=1.0, shuffle=True, seed=7).write_parquet(folder / "changes.parquet")

    return _once(f"changes-10-{rows}", write)


def delta_orders(rows: int) -> Path:
    """A Delta table of orders ``0 .. rows``: files of a tenth of the rows each, in order of id."""

    def write(folder: Path) -> None:
        from bench.peers.delta import commit_files

        for number, ids in enumerate(_slices(0, rows, max(rows // 10, 1))):
            orders(ids).write_parquet(folder / f"part-{number:05}.parquet", row_group_size=250_000)
        commit_files(folder, sorted(folder.glob("*.parquet")))

    return _once(f"orders-{rows}-delta", write)


def history_change_count(rows: int) -> int:
    """The changes that `history_changes` makes for a table of this many versions."""
    return min(20_000, rows // 2)


def history_changes(rows: int) -> Path:
    """Changes to a table of one version of each order ``0 .. rows``: nine tenths of old orders, one tenth new ones."""
    count = history_change_count(rows)

    def write(folder: Path) -> None:
        import polars as pl

        old = pl.int_range(0, rows, max(rows // (count * 9 // 10), 1), eager=True).head(count * 9 // 10)
        new = pl.int_range(rows, rows + count - len(old), eager=True)
        frame = orders(pl.concat([old, new]).alias("id"), revision=1)
        frame.sample(fraction=1.0, shuffle=True, seed=7).write_parquet(folder / "changes.parquet")

    return _once(f"history-changes-{rows}", write)


def delta_history(rows: int) -> Path:
    """A Delta table of one current version of each order ``0 .. rows``: files of a tenth of the rows each."""

    def write(folder: Path) -> None:
        import polars as pl

        from bench.peers.delta import commit_files

        valid_from, valid_to, is_current = HISTORY_COLUMNS
        for number, ids in enumerate(_slices(0, rows, max(rows // 10, 1))):
            versions = orders(ids).with_columns(
                pl.col("updated_at").alias(valid_from),
                pl.lit(None, dtype=pl.Datetime("us", "UTC")).alias(valid_to),
                pl.lit(value=True).alias(is_current),
            )
            versions.write_parquet(folder / f"part-{number:05}.parquet", row_group_size=250_000)
        commit_files(folder, sorted(folder.glob("*.parquet")))

    return _once(f"history-{rows}-delta", write)


def upserts(rows: int) -> Path:
    """As many rows as a table of orders ``0 .. rows`` has: half updates, scattered, half new orders."""

    def write(folder: Path) -> None:
        import polars as pl

        old = pl.int_range(0, rows, 2, eager=True)
        new = pl.int_range(rows, rows + rows // 2, eager=True)
        frame = orders(pl.concat([old, new]).alias("id"), revision=1)
        frame.sample(fraction=1.0, shuffle=True, seed=7).write_parquet(folder / "upserts.parquet")

    return _once(f"upserts-{rows}", write)


def _slices(first: int, end: int, size: int = SLICE_ROWS) -> Iterator[pl.Series]:
    """The ids ``first .. end`` in series of at most `size`."""
    import polars as pl

    for start in range(first, end, size):
        yield pl.int_range(start, min(start + size, end), eager=True).alias("id")


def _write_csv(frame: pl.DataFrame, path: Path) -> None:
    """Write a csv file with ISO timestamps in UTC; a null is an empty field."""
    frame.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")


def _once(name: str, write: Writer) -> Path:
    """Make the cached folder `name` if it is not there; a half-made folder is never taken for a whole one."""
    folder = cache_folder() / "data-1" / name
    if not folder.exists():
        unfinished = folder.with_name(f"{name}.unfinished-{os.getpid()}")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        write(unfinished)
        unfinished.rename(folder)
    return folder
