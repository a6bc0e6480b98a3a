"""Files that Polars does not scan by itself, as a lazy frame: frames that are read when it runs, file by file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import polars as pl
from polars.io.plugins import register_io_source

ReadFrames = Callable[[str, Sequence[str]], Iterator[pl.DataFrame]]
"""Yields the rows of a file in parts: its path, and the columns that are wanted."""


def frame_of_files(
    paths: Sequence[str], schema: Mapping[str, pl.DataType], read: ReadFrames, path_column: str | None
) -> pl.LazyFrame:
    """Return the rows of files with these columns, and with their path if there is a name for it.

    An error that `read` raises leaves the frame's run as it is.
    """
    full = {**schema, **({path_column: pl.String()} if path_column else {})}

    def scanned(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        left = n_rows
        needed = {*(full if with_columns is None else with_columns)}
        needed |= set() if predicate is None else set(predicate.meta.root_names())
        wanted = [column for column in schema if column in needed] or list(schema)[:1]  # rows without columns are none
        for path in paths:
            for part in read(path, wanted):
                rows = part if path_column is None else part.with_columns(pl.lit(path).alias(path_column))
                if left is not None:
                    rows = rows.head(left)
                    left -= rows.height
                rows = rows if predicate is None else rows.filter(predicate)
                yield rows.select(list(full) if with_columns is None else with_columns)
                if left == 0:
                    return

    return register_io_source(scanned, schema=full)
