"""How Polars reads Avro: some blocks at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from tidegate.engines.avro_blocks import read_batches, read_header, unreadable, written_header
from tidegate.engines.polars_avro_types import AvroType, avro_columns
from tidegate.engines.polars_frames import frame_of_files
from tidegate.engines.polars_types import polars_type

if TYPE_CHECKING:
    from tidegate.engines.base import FileGroup
    from tidegate.platforms import BasePlatform


def avro_schema(path: str, platform: BasePlatform) -> pl.Schema:
    """Return the columns of a file with their types.

    Raises:
        SourceError: the file is no Avro (TG204), or has a type that cannot be a column's (TG212).
    """
    with platform.open(path) as file:
        header = read_header(file, path)
    columns = avro_columns(header.schema, path)
    plain = replace(header, codec="null")  # the decoder takes no compressed file without blocks
    return _decoded(written_header(plain, _record(columns)), columns, list(columns), 0).schema


def read_avro(group: FileGroup, path_column: str | None) -> pl.LazyFrame:
    """Return the rows of files with equal columns, with their path if asked for."""

    def frames(path: str, wanted: Sequence[str]) -> Iterator[pl.DataFrame]:
        return _frames(path, wanted, group.platform)

    schema = {column: polars_type(dtype) for column, dtype in group.columns.items()}
    return frame_of_files(group.paths, schema, frames, path_column)


def _frames(path: str, wanted: Sequence[str], platform: BasePlatform) -> Iterator[pl.DataFrame]:
    with platform.open(path) as file:
        header = read_header(file, path)
        columns = avro_columns(header.schema, path)
        start = written_header(header, _record(columns))
        for batch in read_batches(file, header, path):
            try:
                rows = _decoded(start + batch.blocks, columns, wanted, batch.rows)
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
                raise unreadable(path, str(error).strip().splitlines()[0], batch.first_row) from error
            if rows.height != batch.rows:
                raise unreadable(path, f"{rows.height} rows are where {batch.rows} should be", batch.first_row)
            yield rows


def _record(columns: Mapping[str, AvroType]) -> dict[str, object]:
    fields = [{"name": name, "type": of.schema} for name, of in columns.items() if of.schema is not None]
    return {"type": "record", "name": "row", "fields": fields}


def _decoded(data: bytes, columns: Mapping[str, AvroType], wanted: Sequence[str], count: int) -> pl.DataFrame:
    with_bytes = [name for name, of in columns.items() if of.schema is not None]
    read = [name for name in wanted if name in with_bytes] or with_bytes[
        :1
    ]  # some column tells how many rows there are
    rows = pl.read_avro(io.BytesIO(data), columns=read) if read else pl.DataFrame({"": [None] * count})
    return rows.with_columns(_value(name, columns[name]).alias(name) for name in wanted).select(wanted)


def _value(name: str, of: AvroType) -> pl.Expr:
    if of.schema is None:
        return pl.lit(None)
    return pl.col(name) if of.decode is None else of.decode(pl.col(name))
