"""Rows as documents of MongoDB, and selections of rows as its filters.

Each value is kept as the type that MongoDB has for it, and comes back as it was: what BSON times lack, microseconds,
stands in a field beside; days are midnights in UTC, times of day are text, unsigned 64-bit integers are decimals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from bson import Decimal128, Int64, ObjectId

from tidegate.connections.mongodb import MICROSECONDS, Document
from tidegate.destinations.database_rows import batches_of
from tidegate.destinations.selection import RowsFrom, RowsWithin, RowsWithKeys, Selection
from tidegate.errors import DestinationError
from tidegate.expressions.data_type import describe_type
from tidegate.sources.mongodb_documents import utc

if TYPE_CHECKING:
    from tidegate.destinations.table import RowChange
    from tidegate.engines.base import WrittenFile

Columns = Mapping[str, pa.DataType]
Filter = dict[str, Any]
Operation = dict[str, Any]
"""One of `{"i": document}`, `{"d": filter}` for documents to remove, and `{"q": filter, "u": update}`, an upsert."""

KEYS_AT_ONCE = 1_000
_MILLISECOND = timedelta(milliseconds=1)


def documents_of(batch: pa.RecordBatch, place: str) -> Iterator[Document]:
    """Yield the rows of a batch as documents, each with an `_id`.

    Raises:
        DestinationError: MongoDB has no such value (TG756).
    """
    names = batch.schema.names
    values = [_encoded(column, name, place) for name, column in zip(names, batch.columns, strict=True)]
    beyond = _beyond(batch)
    for index, row in enumerate(zip(*values, strict=True)):
        document = dict(zip(names, row, strict=True))
        document.setdefault("_id", ObjectId())
        if beyond and (rest := {name: parts[index] for name, parts in beyond.items() if parts[index]}):
            document[MICROSECONDS] = rest
        yield document


def operations_of(
    change: RowChange,
    columns: Columns,
    written: Columns,
    ids: Callable[[Selection], Iterator[Any]],
    place: str,
) -> Iterator[Operation]:
    """Yield what a change does, in its order.

    Args:
        change: The change.
        columns: The columns of the table.
        written: Those of the rows that come.
        ids: Returns the `_id` of each selected document.
        place: The collection.
    """
    if isinstance(change.removed, RowsWithKeys):
        yield from ({"d": of_keys} for of_keys in key_filters(change.removed, columns, place))
    elif change.removed is not None:
        yield from ({"d": {"_id": {"$in": some}}} for some in _in_groups(ids(change.removed)))
    for batch in batches_of(change.merged, written):
        times = _times(batch)
        for document in documents_of(batch, place):
            yield _upsert(document, change.identity, times)
    for batch in batches_of(change.added, written):
        yield from ({"i": document} for document in documents_of(batch, place))


def weight(operation: Mapping[str, Any]) -> int:
    """Return about how many documents an operation changes."""
    return KEYS_AT_ONCE if "d" in operation else 1


def key_filters(selection: RowsWithKeys, columns: Columns, place: str) -> Iterator[Filter]:
    """Yield filters for some of the keys at a time; no document is in two of them."""
    keys = selection.keys
    for batch in _distinct(selection.files, _types(keys, selection.files, columns)):
        times = _times(batch)
        rows = list(documents_of(batch, place))
        if len(keys) == 1 and not times:
            yield {keys[0]: {"$in": [row[keys[0]] for row in rows]}}
        else:
            yield {"$or": [_key(row, keys, times) for row in rows]}


def filter_of(selection: Selection, columns: Columns, place: str) -> Filter:
    """Return a filter for the selected rows. What MongoDB compares otherwise than an engine is selected too."""
    match selection:
        case RowsWithin(column=column, lower=lower, upper=upper) if _is_ordered(columns[column]):
            dtype = columns[column]
            return {column: {"$gte": _bound(lower, dtype, place), "$lt": _bound(upper, dtype, place, up=True)}}
        case RowsFrom(starts=starts):
            clauses: list[Filter] = []
            for column, start in starts.items():
                if start is not None and not _is_ordered(columns[column]):
                    return {}
                clauses.append({column: None})
                if start is not None:
                    clauses.append({column: {"$gte": _bound(start, columns[column], place)}})
            return {"$or": clauses}
        case _:
            return {}


def _bound(value: Any, dtype: pa.DataType, place: str, *, up: bool = False) -> Any:
    (bound,) = _encoded(pa.array([value], dtype), "", place)
    if up and isinstance(bound, datetime) and bound.microsecond % 1000:
        return bound + _MILLISECOND  # BSON leaves out the rest
    return bound


def _upsert(document: Document, identity: Sequence[str], times: Sequence[str]) -> Operation:
    beyond = document.pop(MICROSECONDS, {})
    query = _key({**document, MICROSECONDS: beyond}, identity, times)
    new = {"_id": document["_id"]} if "_id" not in identity else {}
    values = {name: value for name, value in document.items() if name != "_id"}
    values |= {f"{MICROSECONDS}.{name}": rest for name, rest in beyond.items()}
    exact = {f"{MICROSECONDS}.{name}": "" for name in times if name not in beyond}
    update = {"$set": values, "$unset": exact, "$setOnInsert": new}
    return {"q": query, "u": {sign: fields for sign, fields in update.items() if fields}}


def _key(row: Document, keys: Sequence[str], times: Sequence[str]) -> Filter:
    """Return the filter for one key; NULL is a missing field too."""
    beyond = row.get(MICROSECONDS, {})
    found: Filter = {key: row[key] for key in keys}
    for key in keys:
        if key in times:
            found[f"{MICROSECONDS}.{key}"] = beyond.get(key, {"$exists": False})
    return found


def _distinct(files: Iterable[WrittenFile], columns: Columns) -> Iterator[pa.RecordBatch]:
    """Yield each key once, some at a time."""
    schema = pa.schema(list(columns.items()))
    keys = pa.Table.from_batches(batches_of(files, columns), schema)
    for index, (name, dtype) in enumerate(columns.items()):
        if pa.types.is_floating(dtype):  # the two zeros are equal
            keys = keys.set_column(index, name, pc.add(keys[name], pa.scalar(0.0, dtype)))
    distinct = keys.group_by(keys.column_names).aggregate([]).select(keys.column_names)
    yield from distinct.combine_chunks().to_batches(max_chunksize=KEYS_AT_ONCE)


def _types(keys: Sequence[str], files: Sequence[WrittenFile], columns: Columns) -> Columns:
    """Return the types of keys: those of the table; a key that is new to it has that of the rows."""
    import pyarrow.parquet as pq

    schema = pq.read_schema(files[0].path)
    return {key: columns[key] if key in columns else schema.field(key).type for key in keys}


def _in_groups(ids: Iterable[Any]) -> Iterator[list[Any]]:
    group: list[Any] = []
    for one in ids:
        group.append(one)
        if len(group) == KEYS_AT_ONCE:
            yield group
            group = []
    if group:
        yield group


def _times(batch: pa.RecordBatch) -> list[str]:
    return [field.name for field in batch.schema if pa.types.is_timestamp(field.type)]


def _is_ordered(dtype: pa.DataType) -> bool:
    kinds = (
        pa.types.is_integer,
        pa.types.is_decimal,
        pa.types.is_string,
        pa.types.is_date,
        pa.types.is_timestamp,
    )
    return any(is_kind(dtype) for is_kind in kinds)


def _beyond(batch: pa.RecordBatch) -> dict[str, list[int | None]]:
    """Return by column what its times have beyond milliseconds, in microseconds."""
    found = {}
    for name in _times(batch):
        column = batch.column(name)
        whole = pc.floor_temporal(column, unit="millisecond")
        rest = pc.subtract(column.cast(pa.int64()), whole.cast(pa.int64()))
        if pc.any(pc.not_equal(rest, 0)).as_py():
            found[name] = rest.to_pylist()
    return found


def _encoded(column: pa.Array, name: str, place: str) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us"))  # in UTC, and BSON has no zones
    encode = _encoder(column.type)
    try:
        values = column.to_pylist()
        return values if encode is None else [None if value is None else encode(value) for value in values]
    except (ArithmeticError, ValueError):
        return [_one(value, encode, name, place) for value in column]


def _one(scalar: pa.Scalar, encode: Callable[[Any], Any] | None, name: str, place: str) -> Any:
    try:
        value = scalar.as_py()
        return value if value is None or encode is None else encode(value)
    except (ArithmeticError, ValueError):
        shown = str(scalar)[:60]
        msg = f"column {name!r} has {shown}, which MongoDB does not keep as it is"
        hint = (
            "decimals have 34 digits there, days the years 1 to 9999, times within nested values milliseconds; "
            f"declare text: schema_hints: [{{column_name: {name}, data_type: string}}]"
        )
        raise DestinationError(msg, {"column": name}, code="TG756", where=place, hint=hint) from None


def _encoder(dtype: pa.DataType, *, nested: bool = False) -> Callable[[Any], Any] | None:
    """Return what makes the BSON value of one of a type; None for values that are one already."""
    if pa.types.is_int64(dtype):
        return Int64
    if pa.types.is_decimal(dtype):
        return Decimal128
    if pa.types.is_date(dtype):
        return lambda day: datetime.combine(day, time.min)
    if pa.types.is_timestamp(dtype):
        return _in_milliseconds if nested else None
    if pa.types.is_time(dtype):
        return lambda moment: str(moment.isoformat())
    if pa.types.is_list(dtype):
        inner = _encoder(dtype.value_type, nested=True)
        return inner and (lambda items: [None if item is None else inner(item) for item in items])
    if pa.types.is_struct(dtype):
        fields = {field.name: _encoder(field.type, nested=True) for field in dtype}

        def encode(value: Mapping[str, Any]) -> Document:
            return {
                name: item if item is None or (one := fields[name]) is None else one(item)
                for name, item in value.items()
            }

        return encode if any(fields.values()) else None
    return None


def _in_milliseconds(moment: datetime) -> datetime:
    if moment.microsecond % 1000:
        raise ValueError
    return utc(moment)


def storable(dtype: pa.DataType, plain: Callable[[pa.DataType], pa.DataType | None]) -> pa.DataType | None:
    """Return the type as which MongoDB gives values back; None when it has none.

    Args:
        dtype: The type.
        plain: Returns it for types that are not nested.
    """
    if pa.types.is_list(dtype) or pa.types.is_large_list(dtype) or pa.types.is_fixed_size_list(dtype):
        inner = storable(dtype.value_type, plain)
        return None if inner is None else pa.list_(inner)
    if pa.types.is_struct(dtype):
        fields = [(field.name, storable(field.type, plain)) for field in dtype]
        return None if any(inner is None for _, inner in fields) or not fields else pa.struct(fields)
    return plain(dtype)


def reads_as(dtype: pa.DataType, into: pa.DataType) -> bool:
    """Tell whether values that were written as one type are read as another one, just as they are."""
    types = pa.types
    if types.is_struct(dtype) and types.is_struct(into):
        wide = {field.name: field.type for field in into}
        return all(field.name in wide and reads_as(field.type, wide[field.name]) for field in dtype)
    if types.is_list(dtype) and types.is_list(into):
        return reads_as(dtype.value_type, into.value_type)
    return dtype == into or any(is_kind(dtype) and any(wide(into) for wide in wides) for is_kind, wides in _WIDER)


_WIDER: tuple[tuple[Callable[[pa.DataType], bool], tuple[Callable[[pa.DataType], bool], ...]], ...] = (
    (pa.types.is_integer, (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)),
    (pa.types.is_floating, (pa.types.is_floating,)),
    (pa.types.is_decimal, (pa.types.is_decimal,)),
    (pa.types.is_date, (pa.types.is_timestamp,)),
    (pa.types.is_timestamp, (pa.types.is_timestamp,)),
)
"""Kinds of types whose documents are read as other kinds, too."""


def misnamed(column: str, place: str) -> DestinationError | None:
    """Return the error for a name that no field can have; None where it can."""
    if column and "." not in column and "\0" not in column and not column.startswith("$") and column != MICROSECONDS:
        return None
    msg = f"a field of MongoDB cannot be called {column!r}"
    hint = "give the column another name: transform.additional_columns and drop_columns, or `query`"
    return DestinationError(msg, {"column": column}, code="TG756", where=place, hint=hint)


def unstorable(column: str, dtype: pa.DataType, place: str) -> DestinationError:
    """Return the error for a type that MongoDB does not have."""
    msg = f"column {column!r} is {describe_type(dtype)}, which MongoDB does not keep exactly"
    hint = f"declare another type: schema_hints: [{{column_name: {column}, data_type: string}}]"
    return DestinationError(msg, {"column": column}, code="TG403", where=place, hint=hint)
