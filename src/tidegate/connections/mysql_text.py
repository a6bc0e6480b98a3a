"""Rows as MySQL reads them: the lines of LOAD DATA, and the literals of INSERT."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import polars as pl
import pyarrow as pa

_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\0": "\\0"}
_DATE, _TIME = "%Y-%m-%d", "%H:%M:%S%.6f"
LINES = "FIELDS TERMINATED BY 0x09 ESCAPED BY 0x5C LINES TERMINATED BY 0x0A"
"""The format of :func:`lines`, in hexadecimal: whether a backslash escapes in a literal is a matter of `sql_mode`."""


def lines(batch: pa.RecordBatch) -> bytes:
    """Return rows as lines of LOAD DATA, bytes as hexadecimal digits."""

    def text(name: str, dtype: pl.DataType) -> pl.Expr:
        column = pl.col(name)
        if dtype == pl.String:
            return column.str.replace_many(_ESCAPES)
        if dtype == pl.Binary:
            return column.bin.encode("hex")
        return column.cast(pl.Int8) if dtype == pl.Boolean else column

    frame = _frame(batch)
    written = io.BytesIO()
    frame.select(text(name, dtype) for name, dtype in frame.schema.items()).write_csv(
        written,
        include_header=False,
        separator="\t",
        quote_style="never",
        null_value="\\N",
        date_format=_DATE,
        time_format=_TIME,
        datetime_format=f"{_DATE} {_TIME}",
    )
    return written.getvalue()


def literals(batch: pa.RecordBatch, most_bytes: int) -> Iterator[str]:
    """Yield rows as they stand behind VALUES, so many at a time that they have about `most_bytes`, one at least."""
    frame = _frame(batch)
    columns = [_literal(name, dtype) for name, dtype in frame.schema.items()]
    rows = frame.select(pl.concat_str(pl.lit("("), pl.concat_str(columns, separator=","), pl.lit(")"))).to_series()
    held: list[str] = []
    size = 0
    for row in rows:
        if held and size + len(row) > most_bytes:
            yield ",".join(held)
            held, size = [], 0
        held.append(row)
        size += len(row) + 1
    if held:
        yield ",".join(held)


def _literal(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return a column as literals that mean the same under every `sql_mode`; they are ASCII."""
    column = pl.col(name)
    if dtype == pl.String:
        text = pl.lit("_utf8mb4 X'") + column.cast(pl.Binary).bin.encode("hex")
    elif dtype == pl.Binary:
        text = pl.lit("X'") + column.bin.encode("hex")
    elif dtype == pl.Boolean:
        text = pl.lit("'") + column.cast(pl.Int8).cast(pl.String)
    elif isinstance(dtype, pl.Date | pl.Time | pl.Datetime):
        form = {pl.Date: _DATE, pl.Time: _TIME}.get(type(dtype), f"{_DATE} {_TIME}")
        text = pl.lit("'") + column.dt.to_string(form)
    else:
        text = pl.lit("'") + column.cast(pl.String)
    return (text + "'").fill_null("NULL")


def _frame(batch: pa.RecordBatch) -> pl.DataFrame:
    names: Sequence[str] = [str(index) for index in range(batch.num_columns)]
    frame = pl.DataFrame(pl.from_arrow(pa.Table.from_arrays(batch.columns, names=names)))
    return frame.cast({pl.Float32: pl.Float64})  # in its shortest form the largest one is out of range
