"""The rows of all sources, and the columns of all tables but for Tidegate's own."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl

BUSINESS: dict[str, pl.DataType] = {
    "id": pl.Int64(),
    "changed_at": pl.Datetime("us"),
    "region": pl.String(),
    "revision": pl.Int64(),
    "amount": pl.Float64(),
    "note": pl.String(),
}
"""Columns of every source, and of every table but for the system columns."""
OPERATION = "operation"
"""What happened to the row: `I`, `U` or `D`; only in sources of change data."""
DELETED = {"deleted": pl.Boolean()}
VERSIONS = {"valid_from": pl.Datetime("us"), "valid_to": pl.Datetime("us"), "is_current": pl.Boolean()}
"""What is compared besides the business columns, where a table keeps more than the current rows."""

REGIONS = ("north", "south", "east", "west")
_START = datetime(2024, 1, 1)  # noqa: DTZ001 - the wall clock of a source without zones


class Row(NamedTuple):
    """A row of a source."""

    id: int
    changed_at: datetime
    region: str
    revision: int
    amount: float
    note: str
    operation: str = "U"


def row(key: int, second: int, revision: int, *, region: int | None = None, operation: str = "U") -> Row:
    """Return the row of a key as of a second: its values follow from key and revision."""
    return Row(
        id=key,
        changed_at=time_of(second),
        region=REGIONS[(key if region is None else region) % len(REGIONS)],
        revision=revision,
        amount=key % 1000 / 4 + revision,
        note=f"note, of {key * 2654435761 % 1_000_003} at {revision}",
        operation=operation,
    )


def time_of(second: int) -> datetime:
    """Return the time that a second of the feed stands for."""
    return _START + timedelta(seconds=second)


def frame(rows: Iterable[Row], *, with_operation: bool = False) -> pl.DataFrame:
    """Return the rows as a source file has them."""
    table = pl.DataFrame(list(rows), schema={**BUSINESS, OPERATION: pl.String()}, orient="row")
    return table if with_operation else table.drop(OPERATION)
