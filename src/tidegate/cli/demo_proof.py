"""What the demo proves: the tables hold what the files hold, each row once. Read without Tidegate, by Polars alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.cli.table import Cell, Column, tell_table
from tidegate.cli.terminal import styled, tell, wrapped

if TYPE_CHECKING:
    import polars as pl

_COLUMNS = (
    Column(title="rows in table"),
    Column(title="run 1", align=">"),
    Column(title="run 2", align=">"),
    Column(title="run 3", align=">"),
    Column(title="in the files", align=">"),
    Column(title=""),
)
_LATE_MINUTES = 60


def counts(folder: Path, tables: Sequence[str]) -> dict[str, int]:
    """Return the number of rows of each table."""
    import polars as pl

    return {table: int(_scan(folder, table).select(pl.len()).collect().item()) for table in tables}


def show_proof(folder: Path, counted: Sequence[Mapping[str, int]]) -> bool:
    """Write the counts after each run beside those of the files, and two cases; return whether all is as it must be.

    Args:
        folder: The project.
        counted: For each run, the number of rows of each table.
    """
    expected = _in_the_files(folder)
    rows: list[list[str | Cell]] = []
    for table, wanted in expected.items():
        right = counted[-1][table] == wanted
        verdict = Cell("equal", "green") if right else Cell("not equal", "red")
        rows.append([table, *(f"{run[table]:,}" for run in counted), f"{wanted:,}", verdict])
    tell_table(_COLUMNS, rows)
    tell()
    cases = [_shared_hour(folder), _corrected_plane(folder)]
    for text, holds in cases:
        sign = styled("✓", "green") if holds else styled("✗", "red")
        tell(sign + wrapped(f"✓ {text}", indent=2)[1:])
    return all(counted[-1][table] == wanted for table, wanted in expected.items()) and all(holds for _, holds in cases)


def _in_the_files(folder: Path) -> dict[str, int]:
    import polars as pl

    landing = folder / "landing"
    flights = pl.scan_parquet(landing / "flights" / "*.parquet")
    frames: dict[str, pl.LazyFrame] = {
        "bronze/flights": flights,
        "bronze/weather": pl.scan_csv(landing / "weather" / "*.csv", infer_schema=False),
        "bronze/planes": pl.scan_csv(landing / "planes" / "*.csv", infer_schema=False).unique("tailnum"),
        "bronze/airports": pl.scan_ndjson(landing / "airports.jsonl"),
        "bronze/airlines": pl.read_json(landing / "airlines.json").lazy(),
        "silver/flight_delays": flights.filter(pl.col("dep_delay") > _LATE_MINUTES).unique(
            ["time_hour", "carrier", "flight"]
        ),
    }
    return {table: int(frame.select(pl.len()).collect().item()) for table, frame in frames.items()}


def _shared_hour(folder: Path) -> tuple[str, bool]:
    import polars as pl

    hour = pl.datetime(2013, 2, 1, 4, time_zone="UTC")
    found = _scan(folder, "bronze/flights").filter(pl.col("time_hour") == hour).select("carrier", "flight").collect()
    names = sorted(f"{carrier} {flight}" for carrier, flight in found.rows())
    text = (
        f"{' and '.join(names)} share the hour at which January's file ends, and came in two files: a read of "
        "`time_hour > last` would lose the second, `>=` double the first. In the table each is there once."
    )
    return text, names == ["B6 727", "B6 739"]


def _corrected_plane(folder: Path) -> tuple[str, bool]:
    import polars as pl

    seats = _scan(folder, "bronze/planes").filter(pl.col("tailnum") == "N178JB").select("seats").collect()
    found = seats.to_series().to_list()
    count = f"{len(found)} row{'' if len(found) == 1 else 's'}: {', '.join(map(str, found))} seats"
    text = f"Plane N178JB was listed with 20 seats, corrected to 98, and again to 100. The table has {count}."
    return text, found == [100]


def _scan(folder: Path, table: str) -> pl.LazyFrame:
    import polars as pl

    return pl.scan_delta(str(folder / "lake" / table))
