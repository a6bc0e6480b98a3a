"""What a table holds, in two numbers: how many rows, and a hash that does not depend on their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import polars.selectors as cs

from bench.data import HISTORY_COLUMNS, TYPES

if TYPE_CHECKING:
    from pathlib import Path

SYSTEM_PREFIXES = ("__", "_dlt_")
HALF = 2**32


def digest_table(path: Path, kind: str) -> list[int | str]:
    """Row count, hash and names of the business columns of the table at `path`.

    Columns that a tool adds (``__...``, ``_dlt_...``) are left out, but for those of a history; numbers and timestamps
    count by value, whatever their width. The hash holds within one version of Polars, which is all that is needed.

    Args:
        path: the table's folder, or the file that stands for a table of a database.
        kind: ``delta``, ``iceberg``, ``parquet`` or ``postgresql``.
    """
    frame = _scan(path, kind)
    columns = frame.collect_schema()
    names = sorted(name for name in columns if not name.startswith(SYSTEM_PREFIXES) or name in HISTORY_COLUMNS)
    naive = [name for name in names if isinstance(found := columns[name], pl.Datetime) and found.time_zone is None]
    plain = frame.select(names).with_columns(
        (cs.integer() | cs.boolean()).cast(pl.Int64),  # MariaDB's flags are numbers
        cs.float().cast(pl.Float64),
        cs.decimal().cast(pl.Float64),
        *(pl.col(name).dt.replace_time_zone("UTC") for name in naive),
    )
    plain = plain.with_columns(cs.datetime().cast(pl.Datetime("us", "UTC")))
    hashed = plain.select(pl.struct(names).hash().alias("row"))
    low, high = (pl.col("row") % HALF).sum(), (pl.col("row") // HALF).sum()
    rows, least, most = hashed.select(pl.len(), low.alias("low"), high.alias("high")).collect(engine="streaming").row(0)
    return [rows, f"{most:x}-{least:x}", ",".join(names)]


def _scan(path: Path, kind: str) -> pl.LazyFrame:
    """The rows of a table, as an ordinary reader of the format finds them."""
    if kind == "delta":
        return pl.scan_delta(str(path))
    if kind == "iceberg":
        from bench.peers.iceberg import load

        return pl.DataFrame(pl.from_arrow(load(path).scan().to_arrow())).lazy()
    if kind == "postgresql":
        from bench.databases import postgresql_rows

        return postgresql_rows(path, ", ".join(TYPES).replace("amount", "amount::float8 AS amount")).lazy()
    return pl.scan_parquet(_data_files(path))


def _data_files(folder: Path) -> list[Path]:
    """The visible Parquet files below `folder`: no part of their path begins with a dot or an underscore."""
    found = sorted(folder.rglob("*.parquet"))
    return [path for path in found if not any(part[0] in "._" for part in path.relative_to(folder).parts)]
