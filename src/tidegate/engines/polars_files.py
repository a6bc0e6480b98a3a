"""How Polars reads and writes files."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from tidegate.engines.base import FileGroup, FileTarget, Written, WrittenFile, partition_text
from tidegate.engines.hive_paths import partition_folder
from tidegate.engines.polars_avro import read_avro
from tidegate.engines.polars_excel import read_excel
from tidegate.engines.polars_field_ids import with_field_ids
from tidegate.engines.polars_types import polars_type
from tidegate.errors import DestinationError, TidegateError

if TYPE_CHECKING:
    from polars._typing import ParquetCompression

    from tidegate.platforms import BasePlatform

PATH = "__tidegate_path"
"""Name of the column that holds a row's file while files are read."""

_ZSTD_LEVEL = 1
"""As fast to write as snappy, a third smaller."""


def read_group(group: FileGroup, *, with_path: bool) -> pl.LazyFrame:
    """Return the rows of files with equal columns, in the group's types; with their path in `PATH` if asked for."""
    return _READERS[group.format](group, PATH if with_path else None)


def storage(platform: BasePlatform) -> dict[str, str] | None:
    """Return what Polars needs to reach files; None for those of this machine."""
    return dict(platform.storage_options) or None


def csv_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the reader options in Polars' words."""
    return {
        "separator": options.get("separator", ","),
        "has_header": options.get("has_header", True),
        "quote_char": options.get("quote_char", '"') or None,
        "null_values": options.get("null_values"),
        "encoding": options.get("encoding", "utf8"),
        "comment_prefix": options.get("comment_prefix"),
        "skip_rows": options.get("skip_rows", 0),
        "decimal_comma": options.get("decimal_comma", False),
    }


def _read_csv(group: FileGroup, path_column: str | None) -> pl.LazyFrame:
    schema = {column: polars_type(dtype) for column, dtype in group.columns.items()}
    return pl.scan_csv(
        list(group.paths),
        schema=schema,
        glob=False,
        include_file_paths=path_column,
        storage_options=storage(group.platform),
        **csv_options(group.options),
    )


def _read_jsonl(group: FileGroup, path_column: str | None) -> pl.LazyFrame:
    schema = {column: polars_type(dtype) for column, dtype in group.columns.items()}
    long = {column: dtype for column, dtype in schema.items() if dtype.is_decimal()}  # numbers beyond 64 bits
    read = {**schema, **dict.fromkeys(long, pl.Int128())}
    frame = pl.scan_ndjson(
        list(group.paths), schema=read, include_file_paths=path_column, storage_options=storage(group.platform)
    )
    return frame.cast(long)  # type: ignore[arg-type]  # cast takes any mapping


def _read_json(group: FileGroup, path_column: str | None) -> pl.LazyFrame:
    schema = {column: polars_type(dtype) for column, dtype in group.columns.items()}
    frames = []
    for path in group.paths:
        with group.platform.open(path) as file:
            frame = pl.read_json(file, schema_overrides=schema).select(list(schema)).lazy()
        frames.append(frame if path_column is None else frame.with_columns(pl.lit(path).alias(path_column)))
    return pl.concat(frames)


def _read_parquet(group: FileGroup, path_column: str | None) -> pl.LazyFrame:
    return pl.scan_parquet(
        list(group.paths),
        glob=False,
        hive_partitioning=False,
        include_file_paths=path_column,
        storage_options=storage(group.platform),
    ).select([*group.columns, *([path_column] if path_column else [])])


_READERS: dict[str, Callable[[FileGroup, str | None], pl.LazyFrame]] = {
    "csv": _read_csv,
    "jsonl": _read_jsonl,
    "json": _read_json,
    "parquet": _read_parquet,
    "avro": read_avro,
    "excel": read_excel,
}


def write_files(frame: pl.LazyFrame, target: FileTarget) -> Written:
    """Run the frame and write its rows as files; no file for no rows, nor for a frame that fails."""
    files = _NewFiles(target)
    try:
        return _written(frame, target, files)
    except BaseException:
        files.remove()
        raise


def _written(frame: pl.LazyFrame, target: FileTarget, files: _NewFiles) -> Written:
    if target.format == "parquet":
        frame, arrow_schema = with_field_ids(frame, target.field_ids)
        frame.sink_parquet(
            files.where(),
            compression=cast("ParquetCompression", target.compression or "zstd"),
            compression_level=None if target.compression else _ZSTD_LEVEL,
            mkdir=True,
            storage_options=storage(target.platform),
            arrow_schema=arrow_schema,
            sinked_paths_callback=files.parquet_written,
        )
        return files.written()
    if target.format == "jsonl":
        frame = frame.map_batches(_in_json, streamable=True, validate_output_schema=False)
    counted = frame.map_batches(files.count, streamable=True, validate_output_schema=False)
    sink = counted.sink_csv if target.format == "csv" else counted.sink_ndjson
    sink(files.where(), mkdir=True, storage_options=storage(target.platform))
    return files.written()


def _in_json(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows that JSON can hold: Polars would write null for a number that JSON lacks (RFC 8259, "Numbers")."""
    for column in rows:
        if not _is_finite(column):
            msg = f"column {column.name!r} has NaN or infinity, and JSON has no such number"
            hint = (
                f"load into parquet, or declare text: schema_hints: [{{column_name: {column.name}, data_type: string}}]"
            )
            raise DestinationError(msg, {"column": column.name}, code="TG415", hint=hint)
    return rows


def _is_finite(values: pl.Series) -> bool:
    if isinstance(values.dtype, pl.List | pl.Array):
        return _is_finite(values.explode())
    if isinstance(values.dtype, pl.Struct):
        return all(map(_is_finite, values.struct.unnest()))
    return not values.dtype.is_float() or bool(values.is_finite().all())


class _NewFiles:
    """Names the files of one write, and keeps account of them."""

    def __init__(self, target: FileTarget) -> None:
        self._target = target
        self._numbers = itertools.count()
        self._partitions: dict[str, dict[str, str | None]] = {}
        self._known: dict[str, tuple[int, int]] = {}
        self._rows = 0
        self._failed = False
        self._lock = threading.Lock()

    def where(self) -> Any:
        """Return what the sink writes to: one path, or a scheme that asks for a path per file."""
        target = self._target
        if not (target.partition_by or target.max_rows_per_file or target.target_file_size):
            return f"{target.folder}/{self._name({})}"
        return pl.PartitionBy(
            target.folder,
            file_path_provider=self._path,
            key=list(target.partition_by) or None,
            include_key=target.keeps_partition_columns if target.partition_by else None,
            max_rows_per_file=target.max_rows_per_file,
            approximate_bytes_per_file=target.target_file_size or "auto",
        )

    def count(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Count the rows of text files on their way."""
        with self._lock:
            self._rows += rows.height
        return rows

    def parquet_written(self, done: Any) -> None:
        """Take the sink's account of its files."""
        self._known = {file.path: (file.num_rows, file.num_bytes) for file in done.paths}
        self._rows = sum(rows for rows, _ in self._known.values())

    def written(self) -> Written:
        """Return the account; files without rows are removed."""
        files, platform = [], self._target.platform
        for relative, partition in sorted(self._partitions.items()):
            path = f"{self._target.folder}/{relative}"
            rows, size = self._known.get(path) or (None, self._size(path))
            if rows == 0 or self._rows == 0:
                self._removed(path)
            else:
                files.append(WrittenFile(path=path, size=size, rows=rows, partition=partition, platform=platform))
        return Written(rows=self._rows, files=tuple(files))

    def remove(self) -> None:
        """Remove what a failed frame wrote. The sink's threads may outlive the failure for a moment: look again."""
        with self._lock:
            self._failed = True
            missing = {f"{self._target.folder}/{relative}" for relative in self._partitions}
        for seconds in (0, 0.002, 0.01, 0.05, 0.2):
            time.sleep(seconds)
            missing -= {path for path in missing if self._removed(path)}
            if not missing:
                return

    def _removed(self, path: str) -> bool:
        with suppress(TidegateError):  # no commit refers to it
            if self._target.platform.file(path) is None:
                return False
            self._target.platform.remove(path)
        return True

    def _size(self, path: str) -> int:
        file = self._target.platform.file(path)
        return file.size if file else 0

    def _path(self, about: Any) -> str:
        values = about.partition_keys.row(0, named=True) if self._target.partition_by else {}
        return self._name({column: partition_text(value) for column, value in values.items()})

    def _name(self, partition: dict[str, str | None]) -> str:
        with self._lock:
            if self._failed:
                raise InterruptedError
            target = self._target
            name = f"{target.prefix}-{next(self._numbers):05d}.{target.format}{target.suffix}"
            relative = str(partition_folder(partition) / name)
            self._partitions[relative] = partition
        return relative


def partition_literal(text: str | None, dtype: pl.DataType) -> pl.Expr:
    """Return the value that :func:`~tidegate.engines.base.partition_text` wrote."""
    if text is None:
        return pl.lit(None, dtype=dtype)
    literal = pl.lit(text)
    match dtype:
        case pl.Datetime(time_zone=zone):
            value = datetime.fromisoformat(text)
            return pl.lit(value.replace(tzinfo=UTC) if zone else value, dtype=dtype)
        case pl.Date():
            return literal.str.to_date()
        case pl.Time():
            return literal.str.to_time("%H:%M:%S%.f")
        case pl.Boolean():
            return pl.lit(text == "true")
        case _:
            return literal.cast(dtype)
