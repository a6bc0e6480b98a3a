"""Rows on their way into PostgreSQL's COPY: as text, and encoded ahead by a thread."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from tidegate.connections.exact import no_value

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


def ahead(work: Callable[[_Item], _Made], items: Iterable[_Item]) -> Generator[_Made]:
    """Yield what work makes of items, in their order.

    It is at most one item ahead: a thread makes the next one while the caller does what it does with the one before.

    Args:
        work: Called for one item after the other.
        items: Taken in the thread of the caller, as connections need it.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="tidegate-copy") as pool:
        waiting: Future[_Made] | None = None
        for item in items:
            coming = pool.submit(work, item)
            if waiting:
                yield waiting.result()
            waiting = coming
        if waiting:
            yield waiting.result()


def require_text(batch: pa.RecordBatch, place: str, *, rows_before: int) -> None:
    """Refuse a text with a zero byte, which PostgreSQL has not.

    Raises:
        PlatformError: there is one (TG725).
    """
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_string(array.type):
            row = pc.index(pc.match_substring(array, "\0"), True).as_py()
            if row >= 0:
                raise no_value(name, array.type, array[row].as_py(), place, row=rows_before + row + 1)


def as_csv(batch: pa.RecordBatch) -> memoryview:
    """Return rows as PostgreSQL reads CSV: text in quotes, NULL as nothing at all."""
    arrays = [_as_text(array) for array in batch.columns]
    written = pa.BufferOutputStream()
    pyarrow.csv.write_csv(
        pa.record_batch(arrays, batch.schema.names),
        written,
        pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed"),
    )
    return memoryview(written.getvalue())


def _as_text(array: pa.Array) -> pa.Array:
    if pa.types.is_binary(array.type):
        digits = pl.Series(array).bin.encode("hex")
        return ("\\x" + digits).to_arrow().cast(pa.large_string())
    needs_text = pa.types.is_decimal(array.type) or pa.types.is_time(array.type)
    return array.cast(pa.string()) if needs_text else array
