"""What functions return, as rows: frames and tables of the usual libraries, Arrow streams, batches, and dicts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import polars as pl
import pyarrow as pa

from tidegate.errors import SourceError, first_line
from tidegate.sources.spool import Spool

_BATCH_ROWS = 65_536
_CHUNK_OF_DICTS = 10_000
_TAKEN = (
    "a frame of Polars, pandas, narwhals or DuckDB, an Arrow table or stream, "
    "or a list or generator of batches or dicts"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionRows:
    """Rows that a function returned."""

    schema: pa.Schema | None
    """None when there was nothing to tell it from."""
    batches: Callable[[], Iterator[pa.RecordBatch]]
    """Yields the rows, at least once."""
    lazy: pl.LazyFrame | None = None
    """The rows as a lazy frame, when they are one."""


def rows_of(result: Any, name: str, scratch: str | None = None) -> FunctionRows:
    """Return what a function returned as rows.

    Args:
        result: What it returned.
        name: The function, for messages.
        scratch: A folder for dicts, which are kept on disk once they are many.

    Raises:
        SourceError: it is nothing that has rows (TG224).
    """
    result = nw.to_native(result, pass_through=True)
    if isinstance(result, pl.DataFrame):
        result = result.lazy()
    if isinstance(result, pl.LazyFrame):
        return _of_lazy(result)
    if type(result).__module__.partition(".")[0] == "pandas":
        result = _of_pandas(result, name)
    if isinstance(result, pa.RecordBatch):
        result = pa.table(result)
    if isinstance(result, pa.Table):
        return _checked(FunctionRows(schema=result.schema, batches=lambda: iter(result.to_batches(_BATCH_ROWS))), name)
    if hasattr(result, "to_arrow_reader"):  # a relation of DuckDB
        result = result.to_arrow_reader(_BATCH_ROWS)
    if hasattr(result, "__arrow_c_stream__"):
        reader = pa.RecordBatchReader.from_stream(result)
        return _checked(FunctionRows(schema=reader.schema, batches=lambda: iter(reader)), name)
    if isinstance(result, Iterable) and not isinstance(result, str | bytes | Mapping):
        return _of_items(iter(result), name, scratch)
    returned = "returned nothing" if result is None else f"returned a {type(result).__qualname__}"
    hint = f"return {_TAKEN}; for no rows an empty list"
    raise SourceError(f"{name} {returned}, which has no rows", code="TG224", where=name, hint=hint)


def _of_lazy(frame: pl.LazyFrame) -> FunctionRows:
    def batches() -> Iterator[pa.RecordBatch]:
        for part in frame.collect_batches(chunk_size=_BATCH_ROWS):
            yield from part.to_arrow().to_batches()

    return FunctionRows(schema=None, batches=batches, lazy=frame)


def _of_pandas(frame: Any, name: str) -> pa.Table:
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        msg = f"{name} returned a pandas frame with a column of several types: {first_line(error)}"
        raise SourceError(msg, code="TG224", where=name, hint="give its values one type: astype") from error
    except (AttributeError, TypeError):
        msg = f"{name} returned a {type(frame).__qualname__}, which has no rows of columns"
        raise SourceError(msg, code="TG224", where=name, hint="return a pandas DataFrame: to_frame()") from None


def _of_items(items: Iterator[Any], name: str, scratch: str | None) -> FunctionRows:
    """Return batches, tables and frames one after the other as they come; dicts, also in lists, as batches of them."""
    first = next(items, None)
    if first is None:
        return FunctionRows(schema=None, batches=lambda: iter(()))
    everything = itertools.chain([first], items)
    if isinstance(first, list | tuple):
        return _of_items(itertools.chain.from_iterable(everything), name, scratch)
    if isinstance(first, Mapping):
        return _of_dicts(everything, name, scratch)
    parts = (rows_of(item, name) for item in everything)
    head = next(parts)

    def batches() -> Iterator[pa.RecordBatch]:
        for part in itertools.chain([head], parts):
            yield from part.batches()

    schema = head.schema if head.lazy is None else head.lazy.head(0).collect().to_arrow().schema
    return FunctionRows(schema=schema, batches=batches)


def _of_dicts(records: Iterator[Any], name: str, scratch: str | None) -> FunctionRows:
    """Return dicts with the columns of all of them: they are kept, on disk once they are many."""
    kept = Spool[pa.RecordBatch](scratch)
    schema = pa.schema([])
    for chunk in iter(lambda: list(itertools.islice(records, _CHUNK_OF_DICTS)), []):
        batch = _batch_of(chunk, name)
        try:
            schema = pa.unify_schemas([schema, batch.schema], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise _mixed(name, first_line(error)) from error
        kept.add(batch)

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in kept:
            missing = pa.nulls(batch.num_rows)
            arrays = [batch.column(field.name) if field.name in batch.schema.names else missing for field in schema]
            yield pa.record_batch(arrays, names=schema.names)

    return FunctionRows(schema=schema, batches=batches)


def _batch_of(records: list[Any], name: str) -> pa.RecordBatch:
    """Return dicts as a batch of all their keys, in the order in which they come."""
    for record in records:
        if not isinstance(record, Mapping):
            msg = f"{name} yields dicts, and a {type(record).__qualname__} among them"
            raise SourceError(msg, code="TG224", where=name, hint="yield rows of one kind")
    keys = dict.fromkeys(key for record in records for key in record)
    arrays = {}
    for key in keys:
        try:
            arrays[str(key)] = pa.array([record.get(key) for record in records])
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise _mixed(name, f"column {key!r}: {first_line(error)}") from error
    return pa.record_batch(arrays)


def _mixed(name: str, cause: str) -> SourceError:
    msg = f"{name} yields values of types that have nothing in common: {cause}"
    return SourceError(msg, code="TG224", where=name, hint="give all values of a column one type")


def _checked(rows: FunctionRows, name: str) -> FunctionRows:
    """Refuse two columns of one name."""
    names = rows.schema.names if rows.schema is not None else []
    twice = next((column for place, column in enumerate(names) if column in names[:place]), None)
    if twice is not None:
        msg = f"{name} returned two columns {twice!r}"
        raise SourceError(msg, code="TG224", where=name, hint="give one of them another name")
    return rows
