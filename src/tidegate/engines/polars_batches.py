"""Rows that come as Arrow record batches, as a lazy frame of Polars."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import polars as pl
import pyarrow as pa
from polars.io.plugins import register_io_source

from tidegate.engines.polars_types import polars_type


def frame_of_batches(
    batches: Callable[[], Iterator[pa.RecordBatch]], columns: Mapping[str, pa.DataType]
) -> pl.LazyFrame:
    """Return a frame whose rows are asked for when it runs, batch by batch."""
    schema = {name: polars_type(dtype) for name, dtype in columns.items()}

    def scanned(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        left = n_rows
        for batch in batches():
            rows = pl.from_arrow(pa.table(batch), schema=schema)
            assert isinstance(rows, pl.DataFrame)  # noqa: S101 - a table becomes a frame
            if left is not None:
                rows = rows.head(left)
                left -= rows.height
            rows = rows if predicate is None else rows.filter(predicate)
            yield rows if with_columns is None else rows.select(with_columns)
            if left == 0:
                return

    return register_io_source(scanned, schema=schema)
