"""Sources that grow, and what their rows must become.

Every increment begins with rows whose `changed_at` ties with the newest rows before it.

| feed | an increment | the table afterwards |
|---|---|---|
| new files | a new file of new rows | all rows |
| one growing file | the one file, replaced by a longer one | all rows |
| changes | a new file: updates of old ids, and new ids | the last row of each id |
| whole picture | the one file, replaced: other rows, other values | the rows of the last one |
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from chaos.cases import Flow

BUSINESS: dict[str, pl.DataType] = {
    "id": pl.Int64(),
    "changed_at": pl.Datetime("us"),
    "region": pl.String(),
    "revision": pl.Int64(),
    "amount": pl.Float64(),
    "note": pl.String(),
}
"""Columns of every source, and of every table but for the system columns."""

_SECONDS = 1000
"""Seconds that an increment spans; its last second is the first one of the next."""
_START = datetime(2024, 1, 1)  # noqa: DTZ001 - the wall clock of a source without zones
_REGIONS = ("north", "south", "east", "west")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The growing source of one flow. Increments are kept apart, so that what must be there is known."""

    flow: Flow
    folder: Path
    """What Tidegate reads."""
    kept: Path
    """One file per increment, for the oracle."""
    rows: int
    """Rows of an increment."""

    def arrive(self, number: int, chance: random.Random) -> None:
        """Let increment `number`, counted from 0, arrive; whole files appear, never parts of one."""
        self.kept.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._increment(number, chance).write_parquet(self._kept_file(number))
        if self.flow.feed in {"new files", "changes"}:
            _replace(pl.read_parquet(self._kept_file(number)), self.folder / f"part-{number:04d}.parquet")
        else:
            _replace(self.expected(number), self.folder / "all.parquet")

    def expected(self, number: int) -> pl.DataFrame:
        """Return the rows that the table must hold once increment `number` is in, sorted by id."""
        if self.flow.feed == "whole picture":
            return pl.read_parquet(self._kept_file(number))
        rows = pl.concat([pl.read_parquet(self._kept_file(each)) for each in range(number + 1)])
        if self.flow.feed == "changes":
            rows = rows.unique("id", keep="last", maintain_order=True)
        return rows.sort("id")

    def _increment(self, number: int, chance: random.Random) -> pl.DataFrame:
        if self.flow.feed == "whole picture":
            serials = list(range(number, number + self.rows + number * self.rows // 10))
        elif self.flow.feed == "changes" and number:
            fresh = self.rows // 10
            known = self.rows + (number - 1) * fresh
            # Updates cluster: some files of the table are touched and others are not.
            begin = chance.randrange(known)
            old = chance.sample(range(begin, min(known, begin + self.rows)), k=min(self.rows // 4, known - begin))
            serials = sorted([*old, *range(known, known + fresh)])
        else:
            serials = list(range(number * self.rows, (number + 1) * self.rows))
        return self._frame(serials, number)

    def _frame(self, serials: list[int], number: int) -> pl.DataFrame:
        ids = pl.Series("id", serials, dtype=pl.Int64) * self.flow.shards + self.flow.shard
        second = number * _SECONDS + pl.int_range(pl.len()) * (_SECONDS + 1) // pl.len()
        return pl.DataFrame([ids]).select(
            "id",
            (pl.lit(_START, BUSINESS["changed_at"]) + pl.duration(seconds=second)).alias("changed_at"),
            pl.col("id").mod(len(_REGIONS)).replace_strict(range(len(_REGIONS)), _REGIONS).alias("region"),
            pl.lit(number, dtype=pl.Int64).alias("revision"),
            (pl.col("id").mod(1000) / 4 + number).alias("amount"),
            (pl.lit("note, of ") + (pl.col("id") * 2654435761).mod(1_000_003).cast(pl.String)).alias("note"),
        )

    def _kept_file(self, number: int) -> Path:
        return self.kept / f"{number:04d}.parquet"


def _replace(rows: pl.DataFrame, path: Path) -> None:
    """Write the file elsewhere and move it into place, as a careful producer does."""
    draft = path.with_name(f".{path.name}")
    rows.write_parquet(draft)
    draft.replace(path)
