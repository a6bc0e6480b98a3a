"""What is in a table, and how that differs from what must be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import deltalake
import polars as pl

from chaos.peers.feed import BUSINESS, Strategy
from chaos.peers.tools import Destination

IS_CURRENT = "__is_current"
"""The column that both Tidegate and DataCoolie mark current rows with."""
_DLT_VALID_TO = "_dlt_valid_to"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Rows of a table that are not as they must be."""

    lost: int = 0
    """Rows that must be there and are not."""
    doubled: int = 0
    """Rows that are there more often than they must be."""
    wrong: int = 0
    """Rows that must not be there at all, and rows of a history that are wrongly current or not."""
    broken_files: int = 0
    """Files that are in the table's folder, or named in its log, and cannot be read."""

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled or self.wrong or self.broken_files)


def read_rows(path: Path, destination: Destination, strategy: Strategy) -> tuple[pl.DataFrame, int]:
    """Return the business rows that a reader finds, which of them are current, and how many files cannot be read."""
    broken_files = 0
    if destination == "delta":
        opened = deltalake.DeltaTable(path) if (path / "_delta_log").exists() else None
        rows = None if opened is None else pl.DataFrame(pl.from_arrow(opened.to_pyarrow_table()))
    elif destination == "duckdb":
        rows = _query(path)
    else:
        rows, broken_files = _read_files(path)
    return _business(rows, strategy), broken_files


def _business(rows: pl.DataFrame | None, strategy: Strategy) -> pl.DataFrame:
    if rows is None:
        return pl.DataFrame(schema={**BUSINESS, "current": pl.Boolean()})
    changed_at = pl.col("changed_at")
    if getattr(rows.schema["changed_at"], "time_zone", None):
        changed_at = changed_at.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    current = pl.lit(value=True)
    if strategy == "scd2":
        current = pl.col(IS_CURRENT) if IS_CURRENT in rows.columns else pl.col(_DLT_VALID_TO).is_null()
    return rows.with_columns(changed_at, current.alias("current")).select(
        *(pl.col(name).cast(dtype) for name, dtype in BUSINESS.items()), "current"
    )


def visible_files(path: Path) -> list[Path]:
    """Return the parquet files that an ordinary reader of a folder opens: not those of names with `_` or `.`."""
    found = path.rglob("*.parquet")
    return sorted(file for file in found if not any(part[0] in "_." for part in file.relative_to(path).parts))


def compare(found: pl.DataFrame, wanted: pl.DataFrame, *, broken_files: int = 0) -> Difference:
    """Compare two tables as multisets of business rows, and of each row how often it is current."""
    columns = list(BUSINESS)
    both = _counted(wanted, columns).join(_counted(found, columns), on=columns, how="full", coalesce=True, suffix="_is")
    both = both.with_columns(pl.col("rows", "current", "rows_is", "current_is").fill_null(0).cast(pl.Int64))
    surplus = pl.col("rows_is") - pl.col("rows")
    known = pl.col("rows") > 0
    misjudged = (pl.col("current_is") - pl.col("current")).abs() * (known & (surplus == 0))
    counts = both.select(
        lost=(-surplus).clip(0).sum(),
        doubled=(surplus.clip(0) * known).sum(),
        wrong=(surplus * ~known).sum() + misjudged.sum(),
    ).row(0, named=True)
    return Difference(**counts, broken_files=broken_files)


def _counted(rows: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    return rows.group_by(columns).agg(pl.len().alias("rows"), pl.col("current").sum())


def _read_files(path: Path) -> tuple[pl.DataFrame | None, int]:
    frames, broken_files = [], 0
    for file in visible_files(path):
        try:
            frames.append(pl.read_parquet(file))
        except (pl.exceptions.PolarsError, OSError):
            broken_files += 1
    return pl.concat(frames, how="diagonal_relaxed") if frames else None, broken_files


def _query(path: Path) -> pl.DataFrame | None:
    import duckdb

    if not path.exists():
        return None
    with duckdb.connect(str(path), read_only=True) as connection:
        try:
            return connection.sql("SELECT * FROM sales.orders").pl()
        except duckdb.CatalogException:
            return None
