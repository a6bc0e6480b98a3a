"""What rows are as the source has them: value rules and schema hints come later, and may be other ones next time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import narwhals as nw
import pyarrow as pa

from tidegate.engines.base import ColumnCast
from tidegate.engines.meter import AS_READ
from tidegate.expressions.data_type import parse_data_type

if TYPE_CHECKING:
    from tidegate.engines.base import BaseEngine, Frame
    from tidegate.models import DataFlow
    from tidegate.models.transform import SchemaHint
    from tidegate.state import SeenRows

Columns = Mapping[str, pa.DataType]

_NUMBER, _TIME = "a number", "a time"
_KINDS: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
    (pa.types.is_integer, _NUMBER),
    (pa.types.is_decimal, _NUMBER),
    (pa.types.is_floating, "a float"),
    (pa.types.is_timestamp, _TIME),
    (pa.types.is_date, "a date"),
    (pa.types.is_time, "a time of day"),
    (pa.types.is_string, "text"),
    (pa.types.is_large_string, "text"),
    (pa.types.is_string_view, "text"),
    (pa.types.is_binary, "binary"),
    (pa.types.is_large_binary, "binary"),
    (pa.types.is_binary_view, "binary"),
)
"""Types whose equal values hash alike, under one name."""


def keeps_values(flow: DataFlow, column: str, dtype: pa.DataType) -> bool:
    """Tell whether neither a value rule nor a schema hint changes the values of a column, or their order.

    A source may decide by its own values which rows are not needed only where these are the values of the load.

    Args:
        flow: The dataflow.
        column: The column, in any spelling.
        dtype: As which it is read.
    """
    if column.lower() in flow.transform.shaped_columns:
        return False
    hint = _hints(flow).get(column.lower())
    if hint is None:
        return True
    return holds_same(declared_type(flow, hint), dtype) and hint.default_value is None


def keeps_names(flow: DataFlow, column: str) -> bool:
    """Tell whether a value in the name of a folder is read as it is written: no rule, format or default changes it."""
    hint = _hints(flow).get(column.lower())
    is_plain = hint is None or (hint.format is None and hint.default_value is None)
    return is_plain and column.lower() not in flow.transform.shaped_columns


def holds_same(declared: pa.DataType, dtype: pa.DataType) -> bool:
    """Tell whether values of a type are the same in the declared one, or do not fit."""
    return declared == dtype or bool(pa.types.is_integer(declared) and pa.types.is_integer(dtype))


def declared_type(flow: DataFlow, hint: SchemaHint) -> pa.DataType:
    """Return the type that a schema hint declares."""
    connection = flow.source.connection
    system = connection.settings.schema_hint_type_system if connection else None
    return parse_data_type(hint.data_type, type_system=system, precision=hint.precision, scale=hint.scale)


def hinted_types(flow: DataFlow) -> Columns:
    """Return the types that schema hints declare, by lower-case names."""
    return {name: declared_type(flow, hint) for name, hint in _hints(flow).items()}


def zone_slack(flow: DataFlow) -> timedelta | None:
    """Return how far times without a zone may lie from UTC; None where they are given none."""
    settings = flow.transform.settings
    if not settings.convert_timestamp_ntz:
        return None
    return timedelta() if settings.timestamp_timezone == "UTC" else timedelta(days=1)


def wall_time(moment: Any, dtype: pa.DataType, slack: timedelta | None) -> Any:
    """Return an instant as a time of a column that lacks a zone, moved by as much as zones may lie apart.

    Raises:
        OverflowError: there is no such time.
    """
    if slack is not None and _is_naive(dtype) and isinstance(moment, datetime) and moment.tzinfo is not None:
        return (moment + slack).replace(tzinfo=None)
    return moment


def with_values_as_read(frame: Frame, flow: DataFlow, columns: Columns) -> Frame:
    """Return the frame with a copy of each column that a later step changes, by which the meter knows its rows again.

    Args:
        frame: As it is read.
        flow: The dataflow.
        columns: The frame's columns.
    """
    changed = [name for name, dtype in columns.items() if not keeps_values(flow, name, dtype)]
    return _carrying(frame, flow, columns, changed)


def with_declared_values(frame: Frame, flow: DataFlow, columns: Columns, engine: BaseEngine) -> Frame:
    """Return the frame as :func:`with_values_as_read` does, with hinted columns in the types that hints declare.

    For files and documents: in which types their columns come depends on what is read together.
    """
    shaped, hints = flow.transform.shaped_columns, _hints(flow)
    has_default = {name for name, hint in hints.items() if hint.default_value is not None} - shaped
    changed = [name for name in columns if name.lower() in shaped | has_default]
    carried = _carrying(frame, flow, columns, changed)
    zone = flow.transform.settings.timestamp_timezone
    casts = {
        f"{AS_READ}{name}": ColumnCast(type=declared_type(flow, hint), format=hint.format, time_zone=zone)
        for name, dtype in columns.items()
        if (hint := hints.get(name.lower())) and name.lower() in has_default and not _is_naive(dtype)
    }
    return engine.cast(carried, casts) if casts else carried


def declared_types_of(flow: DataFlow, columns: Columns, settled: Columns) -> dict[str, Any]:
    """Return the types of values as :func:`with_declared_values` has them.

    Args:
        flow: The dataflow.
        columns: The frame's columns.
        settled: Columns by which rows are recognised, as they are after hints.
    """
    shaped = flow.transform.shaped_columns
    return types_of({name: columns[name] if name.lower() in shaped else dtype for name, dtype in settled.items()})


def _carrying(frame: Frame, flow: DataFlow, columns: Columns, changed: Collection[str]) -> Frame:
    carried = []
    for column, dtype in columns.items():
        if column in changed or (_is_naive(dtype) and zone_slack(flow)):
            # a number is given no zone, and hashes alike
            value = nw.col(column).dt.timestamp("us") if _is_naive(dtype) else nw.col(column)
            carried.append(value.alias(f"{AS_READ}{column}"))
    return frame.with_columns(carried) if carried else frame


def types_of(columns: Columns) -> dict[str, Any]:
    """Return the types of columns as positions keep them, as JSON data: those whose equal values hash alike are one."""
    return {column: _kind(dtype, is_nested=False) for column, dtype in columns.items()}


def doubt_about(seen: SeenRows, types: Mapping[str, Any], gone: Collection[str]) -> str:
    """Return why rows that were remembered may not be known again; empty when they are.

    Args:
        seen: The rows.
        types: The columns as they are read now, as :func:`types_of` has them.
        gone: Columns that rows had, and now lack.
    """
    if not seen.generations:
        return ""
    gone = [column for column in gone if seen.types.get(column, _NUMBER) is not None]  # where all were NULL, all are
    reasons = [f"{', '.join(gone)} {'are' if len(gone) > 1 else 'is'} gone from the source"] if gone else []
    now = {column.lower(): kind for column, kind in types.items()}
    reasons += [
        f"{column} was {_named(kind)} and is {_named(now[column.lower()])}"
        for column, kind in seen.types.items()
        if column.lower() in now and not _is_alike(kind, now[column.lower()])
    ]
    if not all(generation.complete for generation in seen.generations):
        reasons.append("they came in loads of another load_type, which remember few rows, or none")
    return ", and ".join(reasons)


def _is_naive(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(dtype) and dtype.tz is None)


def _hints(flow: DataFlow) -> dict[str, SchemaHint]:
    return {hint.column_name.lower(): hint for hint in flow.transform.schema_hints if hint.is_active}


def _kind(dtype: pa.DataType, *, is_nested: bool) -> Any:
    match dtype:
        case pa.StructType():
            return {part.name: _kind(part.type, is_nested=True) for part in dtype}
        case pa.MapType():
            return [{"key": _kind(dtype.key_type, is_nested=True), "value": _kind(dtype.item_type, is_nested=True)}]
        case _ if pa.types.is_nested(dtype):
            return [_kind(dtype.value_type, is_nested=True)]
    kind = next((name for is_of, name in _KINDS if is_of(dtype)), str(dtype))
    if kind == _NUMBER and is_nested:  # nested values are hashed as JSON, which tells these apart
        return "a decimal" if pa.types.is_decimal(dtype) else kind
    return "a time with a zone" if kind == _TIME and is_nested and dtype.tz else kind


def _is_alike(before: Any, now: Any) -> bool:
    """Tell whether equal values hash alike: NULL is of any type, and a field that a struct gained is NULL before."""
    if isinstance(before, dict) and isinstance(now, dict):
        return all(name in now and _is_alike(kind, now[name]) for name, kind in before.items())
    if isinstance(before, list) and isinstance(now, list):
        return _is_alike(before[0], now[0])
    return before is None or bool(before == now)


def _named(kind: Any) -> str:
    return kind if isinstance(kind, str) else "a struct" if isinstance(kind, dict) else "a list"
