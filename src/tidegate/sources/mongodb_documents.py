"""Documents of MongoDB as Arrow batches.

Nothing is dropped and nothing is bent: a value that is none of its column's type is an error that names the document.
What Arrow has no type for is text: an ObjectId its 24 letters, a UUID as it is written, the rest as extended JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
from bson import Decimal128, Int64, ObjectId
from bson.datetime_ms import DatetimeMS
from bson.json_util import RELAXED_JSON_OPTIONS, dumps

from tidegate.connections.mongodb import Document
from tidegate.errors import SourceError
from tidegate.expressions.data_type import describe_type

Shape = str | tuple[int, int] | dict[str, "Shape"] | list["Shape"]
"""The type of values: the name of a scalar one, digits before and after the point of decimals, the fields of documents,
or what arrays hold, as a list of one."""
Columns = Mapping[str, pa.DataType]

_TYPES: dict[str, pa.DataType] = {
    "null": pa.string(),  # text takes every later value
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "double": pa.float64(),
    "date": pa.timestamp("us", "UTC"),
    "binary": pa.binary(),
    "string": pa.string(),
}
_SHAPES: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    Int64: "integer",
    float: "double",
    datetime: "date",
    DatetimeMS: "date",
    bytes: "binary",
}
_NUMBERS = {int, Int64, float, Decimal128}
_MOST_DIGITS = 38
_INT64_DIGITS = (19, 0)
_USUAL_SCALE = 18
"""Of decimals that declare none, here as in schema hints: a type that rarely has to become another one."""


def shapes_of(documents: Iterable[Document], before: Mapping[str, Shape], as_text: Collection[str]) -> dict[str, Shape]:
    """Return the columns of documents, in the order in which they come, after those that came before.

    Args:
        documents: Documents.
        before: The columns of those before them.
        as_text: Columns, in lower case, that become text whatever they hold.

    Raises:
        SourceError: values of one column have no type in common (TG757).
    """
    documents = list(documents)
    shapes = dict(before)
    for name, kind in dict.fromkeys((name, type(value)) for document in documents for name, value in document.items()):
        scalar = "string" if as_text and name.lower() in as_text else _SHAPES.get(kind)
        if scalar is None and kind not in {dict, list, Decimal128}:
            scalar = "string"
        if scalar is not None and shapes.get(name, scalar) == scalar:
            shapes[name] = scalar
            continue
        for document in documents:
            value = document.get(name)
            if type(value) is kind:
                found = scalar or _shape(value, name, document)
                shapes[name] = _merged(shapes[name], found, name, document) if name in shapes else found
    return shapes


def type_of(shape: Shape) -> pa.DataType:
    """Return the Arrow type of a shape."""
    match shape:
        case list():
            return pa.list_(type_of(shape[0]))
        case dict():  # a document without fields has no type of its own
            return pa.struct([(name, type_of(inner)) for name, inner in shape.items()]) if shape else pa.string()
        case (whole, scale):
            scale = _USUAL_SCALE if scale <= _USUAL_SCALE and whole + _USUAL_SCALE <= _MOST_DIGITS else scale
            return pa.decimal128(_MOST_DIGITS, scale) if whole + scale <= _MOST_DIGITS else pa.string()
    return _TYPES[shape]


def settled_type(found: Shape, known: pa.DataType | None, column: str) -> pa.DataType:
    """Return the type of a column: as in earlier loads where there is one; new fields of documents come to those known.

    Raises:
        SourceError: the two have nothing in common (TG757).
    """
    before = _shape_of_type(known) if known is not None else None
    if known is None or before is None:
        return type_of(found)
    if isinstance(before, dict | list) and isinstance(found, dict | list | str) and found != "string":
        return type_of(_merged(before, found, column, {}))
    return known  # values are held against it one by one


def batch_of(documents: Sequence[Document], columns: Columns, place: str, *, reads_text: bool = True) -> pa.RecordBatch:
    """Return documents as a batch; a field that a document lacks is NULL.

    Args:
        documents: The documents.
        columns: The columns with their types.
        place: Where they come from.
        reads_text: Whether columns of text take values of other types, as text.

    Raises:
        SourceError: a value is none of its column's type (TG757).
    """
    arrays = []
    for name, dtype in columns.items():
        values = [document.get(name) for document in documents]
        try:
            arrays.append(_array(values, dtype, reads_text=reads_text))
        except _FAILURES:
            for document in documents:
                try:
                    _array([document.get(name)], dtype, reads_text=reads_text)
                except _FAILURES:
                    raise _misfit(document.get(name), dtype, name, document, place) from None
            raise
    return pa.record_batch(arrays, schema=pa.schema(list(columns.items())))


def text_of(value: Any) -> str:
    """Return a value as text."""
    match value:
        case str():
            return str(value)
        case ObjectId() | UUID():
            return str(value)
        case Decimal128():
            return format(value.to_decimal(), "f")
        case datetime():
            return value.isoformat(timespec="microseconds" if value.microsecond % 1000 else "milliseconds") + "Z"
    return dumps(value, json_options=RELAXED_JSON_OPTIONS, ensure_ascii=False)


_FAILURES = (ValueError, TypeError, OverflowError, ArithmeticError, pa.ArrowException)


def _shape(value: Any, column: str, document: Document) -> Shape:
    match value:
        case dict():
            return {name: _shape(inner, f"{column}.{name}", document) for name, inner in value.items()}
        case list():
            inner: Shape = "null"
            for item in value:
                inner = _merged(inner, _shape(item, column, document), column, document)
            return [inner]
        case Decimal128():
            number = value.to_decimal()
            if not number.is_finite():  # held against the type of the others
                return (1, 0)
            exponent = int(number.as_tuple().exponent)
            return max(number.adjusted() + 1, 1), max(-exponent, 0)
    return _SHAPES.get(type(value), "string")


def _merged(one: Shape, other: Shape, column: str, document: Document) -> Shape:
    if other in (one, "null"):
        return one
    if one == "null":
        return other
    if isinstance(one, dict) and isinstance(other, dict):
        fields = dict(one)
        for name, shape in other.items():
            inner = f"{column}.{name}"
            fields[name] = _merged(fields[name], shape, inner, document) if name in fields else shape
        return fields
    if isinstance(one, list) and isinstance(other, list):
        return [_merged(one[0], other[0], column, document)]
    if "string" in (one, other):
        return "string"
    number = _number(one, other)
    if number is not None:
        return number
    here, there = (describe_type(type_of(shape)) for shape in (one, other))
    msg = f"column {column!r} is {here} in one document, and {there} in another"
    if "_id" in document:
        msg += f", _id {text_of(document['_id'])}"
    raise SourceError(msg, {"column": column}, code="TG757", hint=_hint(column))


def _number(one: Shape, other: Shape) -> Shape | None:
    """Return the shape of two kinds of numbers; None for others, and for doubles and decimals."""
    if {str(one), str(other)} == {"integer", "double"}:
        return "double"
    left, right = (_INT64_DIGITS if shape == "integer" else shape for shape in (one, other))
    if isinstance(left, tuple) and isinstance(right, tuple):
        return max(left[0], right[0]), max(left[1], right[1])
    return None


def _shape_of_type(dtype: pa.DataType) -> Shape | None:
    """Return the shape of a type; None when none has it."""
    if pa.types.is_list(dtype):
        inner = _shape_of_type(dtype.value_type)
        return None if inner is None else [inner]
    if pa.types.is_struct(dtype):
        fields = {field.name: _shape_of_type(field.type) for field in dtype}
        known = {name: shape for name, shape in fields.items() if shape is not None}
        return known if len(known) == len(fields) else None
    if pa.types.is_decimal(dtype):
        return dtype.precision - dtype.scale, dtype.scale
    return next((shape for shape, scalar in _TYPES.items() if scalar == dtype and shape != "null"), None)


def _array(values: list[Any], dtype: pa.DataType, *, reads_text: bool) -> pa.Array:
    if pa.types.is_struct(dtype):
        return _structs(values, dtype, reads_text=reads_text)
    if pa.types.is_list(dtype):
        return _lists(values, dtype, reads_text=reads_text)
    plain, read = next((plain, read) for is_kind, plain, read in _READERS if is_kind(dtype))
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= plain:
        return pa.array(values, dtype)
    if pa.types.is_string(dtype) and reads_text:
        read = text_of
    return pa.array([None if value is None else read(value) for value in values], dtype)


def _structs(values: list[Any], dtype: pa.DataType, *, reads_text: bool) -> pa.Array:
    names = {field.name for field in dtype}
    if any(value is not None and (type(value) is not dict or not value.keys() <= names) for value in values):
        raise TypeError
    inner = []
    for field in dtype:
        items = [None if value is None else value.get(field.name) for value in values]
        inner.append(_array(items, field.type, reads_text=reads_text))
    mask = pa.array([value is None for value in values], pa.bool_())
    return pa.StructArray.from_arrays(inner, fields=list(dtype), mask=mask)


def _lists(values: list[Any], dtype: pa.DataType, *, reads_text: bool) -> pa.Array:
    offsets: list[int | None] = []
    items: list[Any] = []
    for value in values:
        if value is not None and type(value) is not list:
            raise TypeError
        offsets.append(None if value is None else len(items))
        items.extend(value or ())
    offsets.append(len(items))
    inner = _array(items, dtype.value_type, reads_text=reads_text)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), inner, type=dtype)


def _none(_: Any) -> Any:
    """Refuse a value of another type."""
    raise TypeError


def _integer(value: Any) -> int:
    number = value.to_decimal() if isinstance(value, Decimal128) else value
    if type(value) not in _NUMBERS or number != int(number):
        raise TypeError
    return int(number)


def _double(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) not in {int, Int64} or int(float(value)) != value:
        raise TypeError
    return float(value)


def _decimal(value: Any) -> Decimal:
    if type(value) is Decimal128:
        number = value.to_decimal()
        if not number.is_finite():
            raise TypeError
        return number
    if type(value) not in {int, Int64}:
        raise TypeError
    return Decimal(int(value))


def _date(value: Any) -> date:
    if type(value) is not datetime or value.time() != time.min:
        raise TypeError
    return value.date()


def _time(value: Any) -> time:
    return time.fromisoformat(value)


_READERS: tuple[tuple[Callable[[pa.DataType], bool], set[type], Callable[[Any], Any]], ...] = (
    (pa.types.is_string, {str}, _none),
    (pa.types.is_boolean, {bool}, _none),
    (pa.types.is_integer, {int, Int64}, _integer),
    (pa.types.is_floating, {float}, _double),
    (pa.types.is_decimal, set(), _decimal),
    (pa.types.is_timestamp, {datetime}, _none),
    (pa.types.is_date, set(), _date),
    (pa.types.is_time, set(), _time),
    (pa.types.is_binary, {bytes}, _none),
)
"""Kind of Arrow types, the Python types that are values of it as they are, and what makes one of others."""


def _misfit(value: Any, dtype: pa.DataType, column: str, document: Document, place: str) -> SourceError:
    key = text_of(document.get("_id"))
    msg = f"column {column!r} is {describe_type(dtype)}, and the document with _id {key} has {text_of(value)[:80]!r}"
    return SourceError(msg, {"column": column, "_id": key}, code="TG757", where=place, hint=_hint(column))


def _hint(column: str) -> str:
    top = column.partition(".")[0]
    return f"declare a type that holds all values: schema_hints: [{{column_name: {top}, data_type: string}}]"


def utc(moment: datetime) -> datetime:
    """Return a moment as BSON has it: UTC, without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
