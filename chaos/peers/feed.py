"""The growing source that every tool loads, and the rows that its table must then hold.

Unlike `chaos.feeds`, no increment begins with rows that tie in `changed_at` with older ones: not every tool loads such
rows, and a table that differs here must differ because of a kill.

| strategy | an increment | the table afterwards |
|---|---|---|
| append | a new file of new rows | all rows |
| merge | a new file: updates of old ids, and new ids | the last row of each id |
| scd2 | the same | all rows; of each id the last is current |
| overwrite | the one file, replaced: other rows, other values | the rows of the last one |
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import polars as pl

Strategy = Literal["append", "merge", "scd2", "overwrite"]

BUSINESS: dict[str, pl.DataType] = {
    "id": pl.Int64(),
    "changed_at": pl.Datetime("us"),
    "region": pl.String(),
    "revision": pl.Int64(),
    "amount": pl.Float64(),
    "note": pl.String(),
}
"""Columns of the source, and of every table but for those that a tool adds."""

_START = datetime(2024, 1, 1)  # noqa: DTZ001 - the wall clock of a source without zones
_REGIONS = ("north", "south", "east", "west")


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A source and what it held, increment by increment."""

    strategy: Strategy
    folder: Path
    """What the tool reads."""
    kept: Path
    """One file per increment, for the oracle."""
    rows: int
    """Rows of the first increment."""

    def arrive(self, number: int, chance: random.Random) -> None:
        """Let increment `number`, counted from 0, arrive; a whole file appears, never parts of one."""
        for folder in (self.folder, self.kept):
            folder.mkdir(parents=True, exist_ok=True)
        rows = self._frame(self._ids(number, chance), number)
        rows.write_parquet(self._kept_file(number))
        name = "all.parquet" if self.strategy == "overwrite" else f"part-{number:04d}.parquet"
        draft = self.kept / "draft"
        rows.write_parquet(draft)
        draft.replace(self.folder / name)

    def expected(self, number: int) -> pl.DataFrame:
        """Return the rows that the table must hold after increment `number`, and which of them are current."""
        if number < 0:
            return pl.DataFrame(schema={**BUSINESS, "current": pl.Boolean()})
        if self.strategy == "overwrite":
            rows = pl.read_parquet(self._kept_file(number))
        else:
            rows = pl.concat([pl.read_parquet(self._kept_file(each)) for each in range(number + 1)])
        rows = rows.with_columns((pl.col("revision") == pl.col("revision").max().over("id")).alias("current"))
        return rows.filter("current") if self.strategy == "merge" else rows

    def _ids(self, number: int, chance: random.Random) -> list[int]:
        if self.strategy == "append":
            return list(range(number * self.rows, (number + 1) * self.rows))
        if self.strategy == "overwrite":
            return list(range(number, number + self.rows + number * self.rows // 10))
        if number == 0:
            return list(range(self.rows))
        fresh = self.rows // 10
        known = self.rows + (number - 1) * fresh
        return sorted([*chance.sample(range(known), k=self.rows // 4), *range(known, known + fresh)])

    @staticmethod
    def _frame(ids: list[int], number: int) -> pl.DataFrame:
        second = number * 1000 + pl.int_range(pl.len()) * 999 // pl.len()
        return pl.DataFrame({"id": ids}, schema={"id": pl.Int64}).select(
            "id",
            (pl.lit(_START, BUSINESS["changed_at"]) + pl.duration(seconds=second)).alias("changed_at"),
            pl.col("id").mod(len(_REGIONS)).replace_strict(range(len(_REGIONS)), _REGIONS).alias("region"),
            pl.lit(number, dtype=pl.Int64).alias("revision"),
            (pl.col("id").mod(1000) / 4 + number).alias("amount"),
            (pl.lit("note, of ") + (pl.col("id") * 2654435761).mod(1_000_003).cast(pl.String)).alias("note"),
        )

    def _kept_file(self, number: int) -> Path:
        return self.kept / f"{number:04d}.parquet"
