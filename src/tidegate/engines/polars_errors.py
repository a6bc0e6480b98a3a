"""Polars' failures in our words: which file, which row, which column, which value.

Polars does not say where a value came from. So after a failure, and only then, the files are looked at again until
the place is found.
"""

from __future__ import annotations

import csv
import functools
import gzip
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any, ParamSpec, TypeVar

import polars as pl
import pyarrow as pa

from tidegate.engines.base import ColumnCast, FileGroup, FileScan
from tidegate.engines.polars_files import csv_options, read_group, storage
from tidegate.engines.polars_types import cast_expression
from tidegate.errors import (
    DestinationError,
    EngineError,
    PlaceUnavailableError,
    PlatformError,
    SourceError,
    TidegateError,
)
from tidegate.expressions.data_type import describe_type
from tidegate.platforms.store_failures import is_of_store, store_failure

if TYPE_CHECKING:
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform

P = ParamSpec("P")
T = TypeVar("T")

_ROW = "__tidegate_row"
_LINES_AT_ONCE = 10_000
_OF_VALUES = (
    pl.exceptions.ComputeError,
    pl.exceptions.InvalidOperationError,
    pl.exceptions.SchemaError,
    pl.exceptions.ShapeError,
    pl.exceptions.PanicException,
)
"""Failures that a value of the source can cause."""
_OF_THE_SYSTEM = re.compile(r"\(os error \d+\)")
_NAMED_COLUMN = re.compile(r"column:? [`'\"]([^`'\"]+)[`'\"]")
_HALF_CHARACTER = re.compile("[\udc80-\udcff]")
"""What Python reads bytes as that are not UTF-8 (`surrogateescape`)."""


def without_panic(method: Callable[P, T]) -> Callable[P, T]:
    """Let a panic of Polars, which no `except Exception` would catch, leave the method as an error of ours."""

    @functools.wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except pl.exceptions.PanicException as panic:
            raise translate(panic) from panic

    return guarded


def translate(error: BaseException) -> TidegateError:
    """Return a failure of Polars or of the file system as one of ours, without looking for its place."""
    if isinstance(error, TidegateError):
        return error
    if is_of_store(error):
        return store_failure(error)
    cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, FileNotFoundError):
        return SourceError(f"a file is gone: {cause}", code="TG201", hint="it was there when the read was planned")
    if isinstance(error, TimeoutError | ConnectionError):
        return PlaceUnavailableError(cause, hint="run again; if it lasts, check that the place can be reached")
    if isinstance(error, OSError):
        hint = "check that the folder exists, that this user may write to it, and that the disk has room"
        return DestinationError(f"cannot write: {cause}", code="TG401", hint=hint)
    if isinstance(error, pl.exceptions.PolarsError | pl.exceptions.PanicException):
        return EngineError(f"polars: {cause}", hint="`tidegate explain TG801`")
    return EngineError(f"{type(error).__name__}: {cause}", code="TG001")


def locate(
    error: Exception,
    scan: FileScan,
    types: Mapping[str, pa.DataType],
    flow: DataFlow,
    narrowed: Mapping[str, pa.DataType],
) -> TidegateError:
    """Return the failure of a scan with the file, row and column that it comes from, where they can be found.

    Args:
        error: What the engine raised.
        scan: The scan that failed.
        types: The types that its columns are read in.
        flow: The dataflow, for the formats that its schema hints declare.
        narrowed: Narrower types that values of some columns must fit after that.
    """
    cause = error.__cause__ if isinstance(error, EngineError) and error.__cause__ else error
    if not isinstance(cause, _OF_VALUES) or _OF_THE_SYSTEM.search(str(cause)) or is_of_store(cause):
        return translate(error)
    all_casts = _casts(types, flow, narrowed)
    if shaped := [name for name in _NAMED_COLUMN.findall(str(cause)) if name in all_casts and _is_shaped(name, flow)]:
        return _not_a_shaped(shaped[0], str(cause), all_casts[shaped[0]])
    casts = _suspects(all_casts, str(cause), flow)
    for group in scan.groups:
        for path in group.paths:
            try:
                found = _look(path, group, casts)
            except (OSError, ValueError, EOFError, pl.exceptions.PolarsError, PlatformError):
                continue  # what cannot be read again tells nothing
            if found is not None:
                return found
    return translate(error)


def _suspects(casts: Mapping[str, ColumnCast], cause: str, flow: DataFlow) -> Mapping[str, ColumnCast]:
    """Return the conversions that may have failed: of the column that Polars names, else of all not dropped."""
    named = {name: casts[name] for name in _NAMED_COLUMN.findall(cause) if name in casts}
    dropped = {column.lower() for column in flow.transform.drop_columns}
    return named or {
        column: cast for column, cast in casts.items() if column.lower() not in dropped and not _is_shaped(column, flow)
    }


def _is_shaped(column: str, flow: DataFlow) -> bool:
    """Tell whether value rules change a column before it is converted: its file does not show what was converted."""
    hinted = {hint.column_name.lower() for hint in flow.transform.schema_hints if hint.is_active}
    return column.lower() in hinted & flow.transform.shaped_columns


def _not_a_shaped(column: str, cause: str, cast: ColumnCast) -> SourceError:
    msg = f"column {column!r}: after its value rules, a value is not {describe_type(cast.within or cast.type)}: {cause}"
    hint = "add a rule for such values (transform.value_rules), or correct them at the source"
    return SourceError(msg.splitlines()[0], {"column": column}, code="TG206", where=f"column {column}", hint=hint)


def _casts(
    types: Mapping[str, pa.DataType], flow: DataFlow, narrowed: Mapping[str, pa.DataType]
) -> dict[str, ColumnCast]:
    hints = {hint.column_name.lower(): hint for hint in flow.transform.schema_hints if hint.is_active}
    zone = flow.transform.settings.timestamp_timezone
    return {
        column: ColumnCast(
            type=dtype,
            format=hints[column.lower()].format if column.lower() in hints else None,
            time_zone=zone,
            within=narrowed.get(column),
        )
        for column, dtype in types.items()
    }


def _look(path: str, group: FileGroup, casts: Mapping[str, ColumnCast]) -> SourceError | None:
    match group.format:
        case "csv":
            text = _all_text(path, group)
            return _ragged_row(path, group) or _bad_value(path, text, casts) or _padded_number(path, text, group)
        case "jsonl" if path.endswith(".zst"):
            return None  # only Polars reads it
        case "jsonl":
            bad_values = (_bad_value(path, lines, casts) for lines in _json_text(path, group))
            return _bad_line(path, group.platform) or next(filter(None, bad_values), None)
        case "parquet":
            return _bad_footer(path, group.platform) or _bad_value(path, _native(path, group), casts)
        case _:
            return _bad_value(path, _native(path, group), casts)


def _bad_value(path: str, frame: pl.LazyFrame, casts: Mapping[str, ColumnCast]) -> SourceError | None:
    """Return the error for the first value of a file that does not become its column's type."""
    schema = frame.collect_schema()
    first: tuple[int, str, object] | None = None
    for column, cast in casts.items():
        if column not in schema or column == _ROW:
            continue
        converted = cast_expression(column, schema[column], cast, strict=False)
        try:
            bad = (
                frame.filter(pl.col(column).is_not_null() & converted.is_null())
                .select(_ROW, column)
                .head(1)
                .collect(engine="streaming")
            )
        except pl.exceptions.PolarsError:
            continue
        if bad.height and (first is None or bad.item(0, _ROW) < first[0]):
            first = (bad.item(0, _ROW), column, bad.item(0, column))
    if first is None:
        return None
    row, column, value = first
    return _not_a(path, row, column, value, casts[column].within or casts[column].type)


def _not_a(path: str, row: int, column: str, value: object, dtype: pa.DataType) -> SourceError:
    shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."  # noqa: PLR2004
    msg = f"column {column!r}: {shown} is not {describe_type(dtype)}"
    hint = f"correct the value, or declare the type: schema_hints: [{{column_name: {column}, data_type: ...}}]"
    details = {"file": path, "row": row, "column": column, "value": value}
    return SourceError(msg, details, code="TG206", where=f"{path}, row {row}, column {column}", hint=hint)


def _all_text(path: str, group: FileGroup) -> pl.LazyFrame:
    schema = dict.fromkeys(group.columns, pl.String)
    options = csv_options(group.options)
    frame = pl.scan_csv(path, schema=schema, glob=False, storage_options=storage(group.platform), **options)
    return frame.with_row_index(_ROW, offset=1)


def _json_text(path: str, group: FileGroup) -> Iterator[pl.LazyFrame]:
    """Yield the records as text, some at a time: the file may be larger than memory."""
    schema = {_ROW: pl.Int64, **dict.fromkeys(group.columns, pl.String)}
    with _opened(path, group.platform) as lines:
        numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
        while some := list(itertools.islice(numbered, _LINES_AT_ONCE)):
            records = ((number, json.loads(line)) for number, line in some)
            rows = [
                {_ROW: number, **{name: _text(record.get(name)) for name in group.columns}}
                for number, record in records
            ]
            yield pl.LazyFrame(rows, schema=schema)


@contextmanager
def _opened(
    path: str, platform: BasePlatform, *, errors: str = "replace", newline: str | None = None
) -> Iterator[IO[str]]:
    """Open text as it is or as gzip; bytes that are not UTF-8 come as U+FFFD."""
    with platform.open(path) as file, gzip.GzipFile(fileobj=file) if path.endswith(".gz") else file as plain:
        yield io.TextIOWrapper(plain, encoding="utf-8", errors=errors, newline=newline)


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _native(path: str, group: FileGroup) -> pl.LazyFrame:
    one = replace(group, paths=(path,))
    return read_group(one, with_path=False).with_row_index(_ROW, offset=1)


def _ragged_row(path: str, group: FileGroup) -> SourceError | None:
    """Return the error for the first row that is no row of this file: too many fields, an open quote, not UTF-8."""
    options = csv_options(group.options)
    if path.endswith(".zst"):
        return None
    csv.field_size_limit(2**31 - 1)
    number = -1 if options["has_header"] else 0
    with _opened(path, group.platform, errors="surrogateescape", newline="") as file:
        rows = csv.reader(
            _uncommented(itertools.islice(file, options["skip_rows"], None), options["comment_prefix"]),
            delimiter=options["separator"],
            quotechar=options["quote_char"],
            quoting=csv.QUOTE_MINIMAL if options["quote_char"] else csv.QUOTE_NONE,
            strict=True,
        )
        cause = None
        try:
            for row in rows:
                number += 1
                cause = _wrong_with(row, group, lossy=options["encoding"] != "utf8")
                if cause:
                    break
        except csv.Error as error:
            number += 1
            cause = f"is not CSV: {error}"
        if cause is None:
            return None
        hint = "quote fields that hold the separator, double quotes inside of quotes, or correct the row"
        details = {"file": path, "row": number, "line": rows.line_num}
        where = f"{path}, row {number} (line {rows.line_num})"
        return SourceError(f"row {number} {cause}", details, code="TG205", where=where, hint=hint)


def _wrong_with(row: list[str], group: FileGroup, *, lossy: bool) -> str | None:
    if len(row) > len(group.columns):
        return f"has {len(row)} fields, the header has {len(group.columns)}"
    if not lossy and any(not field.isascii() and _HALF_CHARACTER.search(field) for field in row):
        return "is not UTF-8"
    return None


def _padded_number(path: str, frame: pl.LazyFrame, group: FileGroup) -> SourceError | None:
    """Return the error for a number with blanks around it, in a column that the reader itself parses."""
    for column, dtype in group.columns.items():
        if pa.types.is_integer(dtype) or pa.types.is_floating(dtype):
            text = pl.col(column)
            found = (
                frame.filter(text != text.str.strip_chars()).select(_ROW, column).head(1).collect(engine="streaming")
            )
            if found.height:
                return _not_a(path, found.item(0, _ROW), column, found.item(0, column), dtype)
    return None


def _uncommented(lines: Iterator[str], prefix: str | None) -> Iterator[str]:
    return lines if prefix is None else (line for line in lines if not line.startswith(prefix))


def _bad_line(path: str, platform: BasePlatform) -> SourceError | None:
    with _opened(path, platform) as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line) if line.strip() else {}
            except json.JSONDecodeError as error:
                return _unreadable(path, number, f"not JSON: {error.msg} at column {error.colno}")
            if not isinstance(record, dict):
                return _unreadable(path, number, f"a JSON object is wanted, not {type(record).__name__}")
    return None


def _unreadable(path: str, row: int, cause: str) -> SourceError:
    details = {"file": path, "row": row}
    hint = "one JSON object a line; is the file complete?"
    return SourceError(f"line {row} is {cause}", details, code="TG204", where=f"{path}, row {row}", hint=hint)


def _bad_footer(path: str, platform: BasePlatform) -> SourceError | None:
    from pyarrow import parquet

    try:
        with platform.open(path) as file:
            parquet.read_metadata(file)
    except (pa.ArrowInvalid, OSError) as error:
        cause = re.sub(r"\s+", " ", str(error))[:120]
        hint = "is it complete? write files elsewhere and move them into place once they are"
        msg = f"the file cannot be read as parquet: {cause}"
        return SourceError(msg, {"file": path}, code="TG204", where=path, hint=hint)
    return None
