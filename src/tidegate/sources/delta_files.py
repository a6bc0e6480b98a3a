"""The data files of one version of a Delta table, and which of them surely hold nothing that a read needs.

Source of the rules: Delta protocol, "Per-file Statistics": bounds may be wider than the values, cut or rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa

from tidegate.engines.base import partition_text

if TYPE_CHECKING:
    import deltalake

    from tidegate.platforms import BasePlatform
    from tidegate.sources.rows import RowRequest
    from tidegate.state.watermark import Value

_PLAIN_FEATURES = frozenset({"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck", "variantType", "deletionVectors"})
_LESS_THAN_A_MILLISECOND = timedelta(milliseconds=1)
_WHOLE_TEXT = 32
"""Bytes below which no writer cuts a bound of text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """A file of the version. A bound is missing where it is not surely one."""

    path: str
    partition: Mapping[str, str | None]
    platform: BasePlatform
    rows: int | None
    nulls: Mapping[str, int]
    lower: Mapping[str, Any]
    upper: Mapping[str, Any]


def has_plain_files(table: deltalake.DeltaTable) -> bool:
    """Tell whether the rows of the table are just those of its files, in columns of the same names."""
    features = set(table.protocol().reader_features or ())
    if features - _PLAIN_FEATURES or table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
        return False
    return "deletionVectors" not in features or next(iter(table.deletion_vectors()), None) is None


def listed_files(table: deltalake.DeltaTable, root: str, platform: BasePlatform) -> Iterator[ListedFile]:
    """Yield the files of the version; a partition value is the bound of its column on both sides."""
    for row in pa.table(table.get_add_actions()).to_pylist():
        partition, rows = row.get("partition") or {}, row["num_records"]
        path = unquote(row["path"])
        known = {column: value for column, value in partition.items() if value is not None}
        yield ListedFile(
            path=path if "://" in path or path.startswith("/") else f"{root.rstrip('/')}/{path}",
            partition={column: partition_text(value) or None for column, value in partition.items()},
            platform=platform,
            rows=rows,
            nulls={
                **{column: count for column, count in (row.get("null_count") or {}).items() if isinstance(count, int)},
                **{column: rows if value is None else 0 for column, value in partition.items() if rows is not None},
            },
            lower=_bounds(row.get("min") or {}, -_LESS_THAN_A_MILLISECOND) | known,
            upper=_bounds(row.get("max") or {}, _LESS_THAN_A_MILLISECOND) | known,
        )


def may_hold(file: ListedFile, request: RowRequest) -> bool:
    """Tell whether a file may hold rows that a read needs."""
    return not (_is_older(file, request.starts) or _is_outside(file, request.window))


def predicate_of(request: RowRequest) -> str | None:
    """Return a condition in DataFusion's SQL by which files may be left out; None where there is none for sure."""
    clauses: list[str] = []
    starts = {name: _literal(start) for name, start in request.starts.items() if start is not None}
    if len(starts) == len(request.starts) == 1 and None not in starts.values():
        (name, start), *_ = starts.items()
        clauses.append(f"({_quoted(name)} >= {start} OR {_quoted(name)} IS NULL)")
    if request.window:
        name, lower, upper = request.window[0], _literal(request.window[1]), _literal(request.window[2])
        if lower and upper:
            clauses.append(f"{_quoted(name)} >= {lower} AND {_quoted(name)} < {upper}")
    return " AND ".join(clauses) or None


def _bounds(values: Mapping[str, Any], rounded: timedelta) -> dict[str, Any]:
    bounds = ((column, _bound(value, rounded)) for column, value in values.items())
    return {column: bound for column, bound in bounds if bound is not None}


def _bound(value: Any, rounded: timedelta) -> Any:
    """Return a bound made no narrower than the values can be; None for what may be cut, rounded, or not ordered."""
    match value:
        case datetime():
            try:
                return value + rounded
            except OverflowError:
                return None
        case str():
            return value if len(value.encode()) < _WHOLE_TEXT else None
        case bool():
            return None
        case int() | date():
            return value
        case _:
            return None


def _is_older(file: ListedFile, starts: Mapping[str, Value | None]) -> bool:
    """Tell whether each row surely has a watermark, and none that reaches its start."""
    if not any(file.nulls.get(column) == 0 for column in starts):
        return False
    return all(
        file.nulls.get(column, -1) == file.rows if start is None else _is_less(file.upper.get(column), start)
        for column, start in starts.items()
    )


def _is_outside(file: ListedFile, window: tuple[str, Value, Value] | None) -> bool:
    if window is None:
        return False
    column, lower, upper = window
    least = file.lower.get(column)
    return _is_less(file.upper.get(column), lower) or (least is not None and not _is_less(least, upper))


def _is_less(bound: Any, start: Value) -> bool:
    try:
        return bound is not None and bool(bound < start)
    except TypeError:  # a statistic of another type than its column
        return False


def _literal(value: Value) -> str | None:
    match value:
        case bool():
            return None
        case int():
            return str(value)
        case datetime():
            if value.tzinfo is None:
                return f"arrow_cast('{value.isoformat()}', 'Timestamp(Microsecond, None)')"
            text = value.astimezone(UTC).replace(tzinfo=None).isoformat()
            return f"arrow_cast('{text}Z', 'Timestamp(Microsecond, Some(\"UTC\"))')"
        case date():
            return f"arrow_cast('{value.isoformat()}', 'Date32')"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case _:
            return None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
