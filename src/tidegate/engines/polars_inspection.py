"""Which columns a file has: read from its own schema, or inferred from its text."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from tidegate.engines.polars_avro import avro_schema
from tidegate.engines.polars_errors import translate
from tidegate.engines.polars_excel import read_sheet
from tidegate.engines.polars_files import csv_options, storage
from tidegate.engines.polars_types import arrow_schema
from tidegate.errors import SourceError
from tidegate.platforms.store_failures import is_of_store

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.engines.base import FileFormat
    from tidegate.platforms import BasePlatform

_LEADING_ZERO = r"^[+-]?0\d"


def inspect_file(
    path: str, file_format: FileFormat, options: Mapping[str, Any], settled: Collection[str], platform: BasePlatform
) -> dict[str, pa.DataType]:
    """Return the columns of one file with their types; inferred ones for text formats.

    Raises:
        SourceError: the file cannot be read as this format (TG204), or holds nothing (TG202).
    """
    try:
        schema = _schema(path, file_format, options, settled, platform)
    except pl.exceptions.NoDataError:
        raise SourceError(f"the file is empty: {path}", {"file": path}, code="TG202", where=path) from None
    except (TimeoutError, ConnectionError) as error:
        raise translate(error) from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        if is_of_store(error):
            raise translate(error) from error
        cause = str(error).strip().splitlines()[0]
        if cause == "could not infer data-type":
            raise SourceError(f"the file holds no records: {path}", {"file": path}, code="TG202", where=path) from None
        msg = f"the file cannot be read as {file_format}: {cause}"
        hint = "is it complete? write files elsewhere and move them into place once they are"
        raise SourceError(msg, {"file": path}, code="TG204", where=path, hint=hint) from error
    if not schema:
        raise SourceError(f"the file holds no records: {path}", {"file": path}, code="TG202", where=path)
    return arrow_schema(schema)


def _schema(
    path: str, file_format: FileFormat, options: Mapping[str, Any], settled: Collection[str], platform: BasePlatform
) -> Mapping[str, pl.DataType]:
    match file_format:
        case "parquet":
            frame = pl.scan_parquet(path, glob=False, hive_partitioning=False, storage_options=storage(platform))
            return frame.collect_schema()
        case "csv":
            return _inspected_csv(path, options, settled, platform)
        case "json" | "jsonl":
            return _inspected_json(path, options, platform, lines=file_format == "jsonl")
        case "avro":
            return avro_schema(path, platform)
        case "excel":
            return read_sheet(path, options, platform).schema


def _inspected_csv(
    path: str, options: Mapping[str, Any], settled: Collection[str], platform: BasePlatform
) -> pl.Schema:
    """Return the columns of a CSV file, with types inferred from its first rows."""
    length = options.get("infer_schema_length", 10_000)
    read = {"glob": False, "storage_options": storage(platform), **csv_options(options)}
    scan = pl.scan_csv(path, infer_schema_length=length, **read)
    schema = scan.collect_schema()
    if all(isinstance(dtype, pl.String) for dtype in schema.values()) and scan.head(1).collect().is_empty():
        return pl.Schema(dict.fromkeys(schema, pl.Null()))  # a header alone says nothing about types
    numbers = [name for name, dtype in schema.items() if dtype.is_numeric() and name.lower() not in settled]
    zeros = _with_leading_zeros(path, schema, numbers, read, length) if numbers else []
    return pl.Schema({**schema, **dict.fromkeys(zeros, pl.String())})


def _with_leading_zeros(
    path: str, schema: pl.Schema, numbers: list[str], read: Mapping[str, Any], length: int | None
) -> list[str]:
    """Return the columns of numbers that are none: 007 and 01234 would lose their zeros."""
    texts = pl.scan_csv(path, schema=dict.fromkeys(schema, pl.String()), **read)
    sample = texts if length is None else texts.head(length)
    try:
        found = sample.select(pl.col(numbers).str.contains(_LEADING_ZERO).any()).collect(engine="streaming")
    except pl.exceptions.PolarsError:
        return []  # the read itself will say what is wrong
    return [column for column in numbers if found.item(0, column)]


def _inspected_json(path: str, options: Mapping[str, Any], platform: BasePlatform, *, lines: bool) -> pl.Schema:
    """Return the columns of a JSON file, with types inferred from all of it unless told otherwise."""
    length = options.get("infer_schema_length")
    if lines:
        scan = pl.scan_ndjson(path, infer_schema_length=length, storage_options=storage(platform))
        return scan.collect_schema()
    with platform.open(path) as file:
        return pl.read_json(file, infer_schema_length=length).schema
