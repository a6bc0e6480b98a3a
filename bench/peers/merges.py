"""A merge of new and changed rows into a Delta table, by hand."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import polars as pl
from deltalake import CommitProperties, DeltaTable

from bench.peers.copies import sink
from bench.peers.delta import commit_files

if TYPE_CHECKING:
    from pathlib import Path

KEY = "id"


def copy_on_write(source: Path, destination: Path) -> None:
    """Rewrite each touched file without the changed rows, add the changes as one file, commit once.

    File by file, the table keeps its layout (the next merge prunes as well as this one) and memory stays that of one
    file. A row whose key is NULL matches no change and is kept.
    """
    table = DeltaTable(destination)
    changes = pl.read_parquet(source / "*.parquet")
    changed = pl.col(KEY).is_in(changes[KEY].implode()).fill_null(value=False)
    touched = touched_files(table, changes[KEY])
    kept = [sink(pl.scan_parquet(destination / path).filter(~changed), destination) for path in touched]
    _commit(table, destination, touched, [*kept, sink(changes.lazy(), destination)])


def copy_on_write_by_anti_join(source: Path, destination: Path) -> None:
    """The same with a join, which also serves keys of several columns."""
    table = DeltaTable(destination)
    changes = pl.read_parquet(source / "*.parquet")
    keys = changes.lazy().select(KEY)
    touched = touched_files(table, changes[KEY])
    kept = [sink(pl.scan_parquet(destination / path).join(keys, on=KEY, how="anti"), destination) for path in touched]
    _commit(table, destination, touched, [*kept, sink(changes.lazy(), destination)])


def copy_on_write_in_one_file(source: Path, destination: Path) -> None:
    """The same in one query, which leaves one large file."""
    table = DeltaTable(destination)
    changes = pl.read_parquet(source / "*.parquet").lazy()
    touched = touched_files(table, changes.select(KEY).collect()[KEY])
    kept = pl.scan_parquet([destination / path for path in touched]).join(changes.select(KEY), on=KEY, how="anti")
    _commit(table, destination, touched, [sink(pl.concat([kept, changes]), destination)])


def delta_merge(source: Path, destination: Path) -> None:
    """The plain delta-rs way."""
    (
        DeltaTable(destination)
        .merge(
            pl.read_parquet(source / "*.parquet"),
            predicate=f"target.{KEY} = source.{KEY}",
            source_alias="source",
            target_alias="target",
        )
        .when_matched_update_all()
        .when_not_matched_insert_all()
        .execute()
    )


def touched_files(table: DeltaTable, keys: pl.Series) -> list[str]:
    """The table's files whose range of keys holds one of `keys`, by the log's statistics alone."""
    ordered = keys.sort()
    files = pl.DataFrame(table.get_add_actions(flatten=True)).select("path", f"min.{KEY}", f"max.{KEY}")
    return [
        path
        for path, least, most in files.iter_rows()
        if least is None or ordered.search_sorted(most, "right") > ordered.search_sorted(least, "left")
    ]


def _commit(table: DeltaTable, folder: Path, removed: list[str], added: list[Path]) -> None:
    """Swap the files, on the very version that was read: a rebased copy-on-write commit would double keys."""
    properties = CommitProperties(custom_metadata={"load": str(uuid.uuid4())}, max_commit_retries=0)
    commit_files(folder, added, removed=removed, table=table, properties=properties)
