"""The read and write options of each format: their names, their other spellings, and the values they take.

The one table that `check` refuses by and that readers and writers read by.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from types import MappingProxyType
from typing import Any

from tidegate.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option of a reader or writer.

    Attributes:
        name: Its name inside Tidegate.
        wanted: The values that it takes, in plain words.
        read: Returns the value as Tidegate uses it (`"true"` as True), or raises ValueError.
        spellings: Its other names in metadata, as other systems call it.
    """

    name: str
    wanted: str
    read: Callable[[Any], Any]
    spellings: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All names that it goes by."""
        return (self.name, *self.spellings)


def _flag(value: Any) -> bool:
    flags = {"true": True, "false": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in flags:
        return flags[value.lower()]
    raise ValueError


def _count(value: Any) -> int:
    if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, str) and value.isdecimal())):
        raise ValueError
    count = int(value)
    if count < 0:
        raise ValueError
    return count


def _count_or_all(value: Any) -> int | None:
    return None if value is None else _count(value)


def _count_above_zero(value: Any) -> int:
    count = _count(value)
    if count == 0:
        raise ValueError
    return count


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _one_byte(value: Any) -> str:
    if len(_text(value).encode()) > 1:
        raise ValueError
    return str(value)


def _one_byte_or_none(value: Any) -> str | None:
    return None if value is None or value == "" else _one_byte(value)


def _overwrite_mode(value: Any) -> str:
    if _text(value).lower() not in {"static", "dynamic"}:
        raise ValueError
    return str(value).lower()


def _column_names(value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise ValueError
    return tuple(part.strip() for part in parts if part.strip())


def _encoding(value: Any) -> str:
    encodings = {"utf8": "utf8", "utf-8": "utf8", "utf8-lossy": "utf8-lossy"}
    if _text(value).lower() not in encodings:
        raise ValueError
    return encodings[value.lower()]


def _null_texts(value: Any) -> Any:
    texts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError
    return value


def _sheet(value: Any) -> str | int:
    return _text(value) if isinstance(value, str) else _count_above_zero(value)


def _columns_of_sheet(value: Any) -> str | list[str]:
    if isinstance(value, str) and _LETTERS.fullmatch(value):
        return _ONE_COLUMN.sub(r"\1", value.upper())
    if not isinstance(value, list) or not value or not all(isinstance(name, str) and name for name in value):
        raise ValueError
    return value


def _moment(value: Any) -> datetime:
    """Return a moment from ISO 8601 (in UTC where it has no zone) or milliseconds since 1970, as Iceberg writes it."""
    if isinstance(value, int | str) and str(value).isdecimal():
        try:
            return datetime.fromtimestamp(int(value) / 1000, UTC)
        except (OverflowError, OSError):
            raise ValueError from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time.min)
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(_text(value))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _error_cells(value: Any) -> str:
    if value not in {"fail", "null"}:
        raise ValueError
    return str(value)


_ONE_COLUMN = re.compile(r"\b([A-Z]+):\1\b")
_LETTERS = re.compile(r"[A-Z]{0,3}:?[A-Z]{0,3}(,[A-Z]{0,3}:?[A-Z]{0,3})*", re.IGNORECASE)

_INFER_SCHEMA_LENGTH = Option(
    name="infer_schema_length", wanted="a number of rows, or null for all of them", read=_count_or_all
)
_INCLUDE_FILE_INFO = Option(name="include_file_info", wanted="true or false", read=_flag)

_CSV = (
    Option(name="separator", wanted="one character", read=_one_byte, spellings=("delimiter", "sep")),
    Option(name="has_header", wanted="true or false", read=_flag, spellings=("header",)),
    Option(name="quote_char", wanted="one character, or null for none", read=_one_byte_or_none, spellings=("quote",)),
    Option(name="encoding", wanted="utf8 or utf8-lossy", read=_encoding),
    Option(
        name="null_values",
        wanted="text, a list of texts, or texts by column",
        read=_null_texts,
        spellings=("nullValue",),
    ),
    _INFER_SCHEMA_LENGTH,
    Option(name="comment_prefix", wanted="text", read=_text),
    Option(name="skip_rows", wanted="a number of rows", read=_count),
    Option(name="decimal_comma", wanted="true or false", read=_flag),
    Option(name="try_parse_dates", wanted="true or false", read=_flag),
    _INCLUDE_FILE_INFO,
)
_JSON = (_INFER_SCHEMA_LENGTH, _INCLUDE_FILE_INFO)
_EXCEL = (
    Option(
        name="sheet",
        wanted="the name of a sheet, or its number, from 1",
        read=_sheet,
        spellings=("sheet_name", "sheet_id"),
    ),
    Option(name="has_header", wanted="true or false", read=_flag, spellings=("header",)),
    Option(name="skip_rows", wanted="a number of rows", read=_count),
    Option(name="columns", wanted="letters such as A:D, or a list of names", read=_columns_of_sheet),
    Option(name="error_cells", wanted="fail or null", read=_error_cells),
    _INCLUDE_FILE_INFO,
)
_SQL = (
    Option(name="fetch_size", wanted="a number of rows above 0", read=_count_above_zero, spellings=("fetchsize",)),
    Option(name="partition_column", wanted="the name of a column", read=_text, spellings=("partitionColumn",)),
    Option(name="partition_count", wanted="a number above 0", read=_count_above_zero, spellings=("numPartitions",)),
)
_MONGODB = (
    Option(name="batch_size", wanted="a number of documents above 0", read=_count_above_zero, spellings=("batchSize",)),
)
_TIMESTAMP = Option(
    name="timestamp",
    wanted="a time such as 2026-01-31T12:00:00Z",
    read=_moment,
    spellings=("timestampAsOf", "timestamp_as_of", "as-of-timestamp", "as_of_timestamp"),
)
_DELTA = (
    Option(name="version", wanted="a version number", read=_count, spellings=("versionAsOf", "version_as_of")),
    _TIMESTAMP,
    Option(name="change_feed", wanted="true or false", read=_flag, spellings=("readChangeFeed", "readChangeData")),
    Option(name="starting_version", wanted="a version number", read=_count, spellings=("startingVersion",)),
)
_ICEBERG = (
    Option(name="snapshot_id", wanted="the id of a snapshot", read=_count, spellings=("snapshot-id", "snapshotId")),
    _TIMESTAMP,
    Option(name="branch", wanted="the name of a branch", read=_text),
    Option(name="tag", wanted="the name of a tag", read=_text),
)
PARTITION_OVERWRITE_MODE = Option(
    name="partition_overwrite_mode",
    wanted="static (replace all rows) or dynamic (replace the partitions that the rows are in)",
    read=_overwrite_mode,
    spellings=("partitionOverwriteMode",),
)
_WRITE = (
    Option(name="compression", wanted="the name of a codec", read=_text),
    Option(name="max_rows_per_file", wanted="a number of rows above 0", read=_count_above_zero),
    Option(name="target_file_size", wanted="a number of bytes above 0", read=_count_above_zero),
    PARTITION_OVERWRITE_MODE,
)


def _by_spelling(options: tuple[Option, ...]) -> Mapping[str, Option]:
    return MappingProxyType({spelling: option for option in options for spelling in (option.name, *option.spellings)})


READ_OPTIONS: Mapping[str, Mapping[str, Option]] = MappingProxyType(
    {
        "csv": _by_spelling(_CSV),
        "json": _by_spelling(_JSON),
        "jsonl": _by_spelling(_JSON),
        "parquet": _by_spelling((_INCLUDE_FILE_INFO,)),
        "avro": _by_spelling((_INCLUDE_FILE_INFO,)),
        "excel": _by_spelling(_EXCEL),
        "sql": _by_spelling(_SQL),
        "api": {},
        "mongodb": _by_spelling(_MONGODB),
        "delta": _by_spelling(_DELTA),
        "iceberg": _by_spelling(_ICEBERG),
        "function": {},
    }
)
"""Format to spelling to option. A format that is not here is not read by this version."""

WRITE_OPTIONS: Mapping[str, Mapping[str, Option]] = MappingProxyType(
    {
        **dict.fromkeys(("delta", "iceberg", "parquet", "csv", "jsonl"), _by_spelling(_WRITE)),
        **dict.fromkeys(("sql", "mongodb"), _by_spelling((PARTITION_OVERWRITE_MODE,))),
    }
)
"""Format to spelling to option. A format that is not here is not written by this version."""

MERGE_OPTIONS: Mapping[str, Option] = _by_spelling(
    (Option(name="compare_columns", wanted="names of columns", read=_column_names),)
)
"""Options of merges, for every format that rows are merged into."""


def named_options(table: Mapping[str, Option], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return checked options by their names inside Tidegate, each value as Tidegate uses it.

    >>> named_options(READ_OPTIONS["csv"], {"delimiter": ";", "header": "true"})
    {'separator': ';', 'has_header': True}
    """
    return {table[spelling].name: table[spelling].read(value) for spelling, value in options.items()}


def checked_options(
    tables: Mapping[str, Mapping[str, Option]], file_format: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return options by their names inside Tidegate; `check` has refused wrong ones, unless they come from Python.

    Raises:
        ConfigurationError: the format has no such option, or it takes no such value (TG121).
    """
    table = tables[file_format]
    for spelling, value in options.items():
        hint = f"options of {file_format}: {', '.join(sorted(table))}"
        if spelling not in table:
            raise ConfigurationError(f"{file_format} has no option {spelling!r}", code="TG121", hint=hint)
        try:
            table[spelling].read(value)
        except ValueError:
            msg = f"option {spelling!r} takes {table[spelling].wanted}, not {value!r}"
            raise ConfigurationError(msg, code="TG121") from None
    return named_options(table, options)
