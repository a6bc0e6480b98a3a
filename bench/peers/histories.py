"""Slowly changing dimensions in Delta, by hand: changed rows close their current version and open a new one."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import polars as pl
from deltalake import CommitProperties, DeltaTable

from bench.data import HISTORY_COLUMNS, TYPES
from bench.peers.copies import sink
from bench.peers.delta import commit_files
from bench.peers.merges import KEY, touched_files

if TYPE_CHECKING:
    from pathlib import Path

VALID_FROM, VALID_TO, IS_CURRENT = HISTORY_COLUMNS
CONTENT = [column for column in TYPES if column not in {KEY, "updated_at"}]


def copy_on_write(source: Path, destination: Path) -> None:
    """Rewrite each touched file with its changed versions closed, add the new versions as one file, commit once.

    It compares content, as Tidegate does; it relies on changes that come in order and once a key, which Tidegate
    does not.
    """
    table = DeltaTable(destination)
    changes = pl.read_parquet(source / "*.parquet")
    touched = touched_files(table, changes[KEY])
    kept, changed, known = [], [], []
    for path in touched:
        file = pl.scan_parquet(destination / path)
        current = file.filter(IS_CURRENT).select(KEY, *CONTENT)
        pairs = current.join(changes.lazy(), on=KEY, suffix="_new").select(
            KEY, differs=pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_new")) for name in CONTENT)
        )
        found = pairs.collect(engine="streaming")
        known.append(found[KEY])
        changed.append(found.filter("differs")[KEY])
        ends = changes.lazy().filter(pl.col(KEY).is_in(changed[-1].implode())).select(KEY, until="updated_at")
        closing = pl.col(IS_CURRENT) & pl.col("until").is_not_null()
        closed = file.join(ends, on=KEY, how="left").with_columns(
            pl.when(closing).then("until").otherwise(VALID_TO).alias(VALID_TO),
            (pl.col(IS_CURRENT) & ~closing).alias(IS_CURRENT),
        )
        kept.append(sink(closed.drop("until"), destination))
    unchanged = pl.concat(known).filter(~pl.concat(known).is_in(pl.concat(changed).implode()))
    opened = changes.lazy().filter(~pl.col(KEY).is_in(unchanged.implode()))
    properties = CommitProperties(custom_metadata={"load": str(uuid.uuid4())}, max_commit_retries=0)
    added = [*kept, sink(_versions(opened), destination)]
    commit_files(destination, added, removed=touched, table=table, properties=properties)


def delta_merge(source: Path, destination: Path) -> None:
    """The plain delta-rs way: each change twice in the merge's source, once to close and once to open."""
    changes = _versions(pl.scan_parquet(source / "*.parquet")).collect()
    staged = pl.concat(
        [
            changes.with_columns(merge_key=pl.col(KEY)),
            changes.with_columns(merge_key=pl.lit(None, dtype=pl.Int64)),
        ]
    )
    columns = [*TYPES, *HISTORY_COLUMNS]
    known = "target.id = source.merge_key AND target.__is_current"
    (
        DeltaTable(destination)
        .merge(staged, predicate=known, source_alias="source", target_alias="target")
        .when_matched_update({VALID_TO: "source.updated_at", IS_CURRENT: "false"})
        .when_not_matched_insert({column: f"source.{column}" for column in columns}, predicate="merge_key IS NULL")
        .execute()
    )


def _versions(changes: pl.LazyFrame) -> pl.LazyFrame:
    """The changes as versions that hold until further notice."""
    return changes.with_columns(
        pl.col("updated_at").alias(VALID_FROM),
        pl.lit(None, dtype=pl.Datetime("us", "UTC")).alias(VALID_TO),
        pl.lit(value=True).alias(IS_CURRENT),
    )
