"""JSON records as Arrow batches, in the types that JSON lines are read in.

Nothing is dropped and nothing is bent: a value that is none of its column's type is an error that names it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from tidegate.errors import SourceError
from tidegate.expressions.data_type import describe_type

Shape = str | dict[str, "Shape"] | list["Shape"]
"""The type of JSON values: the name of a scalar one, the fields of objects, or what lists hold, as a list of one."""

_SCALARS: dict[str, pa.DataType] = {
    "null": pa.string(),  # text takes every later value
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "long": pa.decimal128(38, 0),
    "number": pa.float64(),
    "string": pa.string(),
}
_NUMBERS = ("integer", "long", "number")
"""From narrow to wide."""
_LONGEST = 10**38


def merged_shape(one: Shape, other: Shape, column: str) -> Shape:
    """Return the type of columns that hold values of both types.

    Raises:
        SourceError: there is none (TG249).
    """
    if other in (one, "null"):
        return one
    if one == "null":
        return other
    if isinstance(one, dict) and isinstance(other, dict):
        fields = dict(one)
        for name, shape in other.items():
            fields[name] = merged_shape(fields[name], shape, f"{column}.{name}") if name in fields else shape
        return fields
    if isinstance(one, list) and isinstance(other, list):
        return [merged_shape(one[0], other[0], column)]
    if "string" in (one, other):
        return "string"
    if one in _NUMBERS and other in _NUMBERS:
        return max(one, other, key=_NUMBERS.index)
    here, there = (describe_type(type_of(shape)) for shape in (one, other))
    msg = f"column {column!r} is {here} in one record, and {there} in another"
    raise SourceError(msg, {"column": column}, code="TG249", hint=_hint(column))


def shapes_of_records(
    records: Iterable[Mapping[str, Any]], before: Mapping[str, Shape], as_text: Collection[str] = ()
) -> dict[str, Shape]:
    """Return the columns of records, in the order in which they come, after those that came before.

    Args:
        records: The records.
        before: The columns of those before them.
        as_text: Columns, in lower case, that become text whatever they hold.

    Raises:
        SourceError: values of one column have no type in common (TG249).
    """
    shapes = dict(before)
    for record in records:
        for name, value in record.items():
            found = "string" if as_text and name.lower() in as_text else _shape(value, name)
            known = shapes.get(name)
            if known is None:
                shapes[name] = found
            elif found != known:
                shapes[name] = merged_shape(known, found, name)
    return shapes


def type_of(shape: Shape) -> pa.DataType:
    """Return the Arrow type of a shape."""
    if isinstance(shape, list):
        return pa.list_(type_of(shape[0]))
    if isinstance(shape, dict):  # an object without fields has no type of its own
        return pa.struct([(name, type_of(inner)) for name, inner in shape.items()]) if shape else pa.string()
    return _SCALARS[shape]


def settled_type(found: Shape, known: pa.DataType | None, column: str) -> pa.DataType:
    """Return the type of a column: as in earlier loads where there is one; new fields of objects come to those known.

    Raises:
        SourceError: the two have nothing in common (TG249).
    """
    before = _shape_of_type(known) if known is not None else None
    if before is None:
        return type_of(found)
    if isinstance(before, str) and (found == "null" or before == "string"):
        return known
    if isinstance(before, str) and isinstance(found, str) and ((before in _NUMBERS) == (found in _NUMBERS)):
        return known  # values are held against it one by one
    if isinstance(before, str) and found == "string":
        return known
    return type_of(merged_shape(before, found, column))


def record_batches(
    pages: Iterable[Sequence[Mapping[str, Any]]], columns: Mapping[str, pa.DataType], place: str
) -> Iterator[pa.RecordBatch]:
    """Yield a batch for each page.

    Raises:
        SourceError: a value is none of its column's type (TG249).
    """
    schema = pa.schema(list(columns.items()))
    for page in pages:
        try:
            arrays = [_array([row.get(name) for row in page], dtype, name) for name, dtype in columns.items()]
        except SourceError as error:
            error.where = place
            raise
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _shape(value: Any, column: str) -> Shape:
    match value:
        case None:
            return "null"
        case str():
            return "string"
        case bool():  # before int: True is an int
            return "boolean"
        case int():
            return "integer" if -(2**63) <= value < 2**63 else "long" if abs(value) < _LONGEST else "string"
        case float() | Decimal():
            return "number"
        case dict():
            return {name: _shape(inner, f"{column}.{name}") for name, inner in value.items()}
        case _:
            inner: Shape = "null"
            for item in value:
                inner = merged_shape(inner, _shape(item, column), column)
            return [inner]


def _shape_of_type(dtype: pa.DataType) -> Shape | None:
    """Return the shape that has this type; None when none has."""
    if pa.types.is_list(dtype):
        inner = _shape_of_type(dtype.value_type)
        return None if inner is None else [inner]
    if pa.types.is_struct(dtype):
        fields = {field.name: _shape_of_type(field.type) for field in dtype}
        known = {name: shape for name, shape in fields.items() if shape is not None}
        return known if len(known) == len(fields) else None
    return next((shape for shape, scalar in _SCALARS.items() if scalar == dtype and shape != "null"), None)


def _array(values: list[Any], dtype: pa.DataType, column: str) -> pa.Array:
    if pa.types.is_struct(dtype):
        return _structs(values, dtype, column)
    if pa.types.is_list(dtype):
        return _lists(values, dtype, column)
    read = _READERS[dtype]
    try:
        return pa.array([None if value is None else read(value) for value in values], dtype)
    except (ValueError, TypeError, OverflowError, ArithmeticError, pa.ArrowException):
        for value in values:
            _refuse_misfit(value, dtype, column)
        raise


def _refuse_misfit(value: Any, dtype: pa.DataType, column: str) -> None:
    try:
        pa.array([None if value is None else _READERS[dtype](value)], dtype)
    except (ValueError, TypeError, OverflowError, ArithmeticError, pa.ArrowException):
        raise _misfit(value, dtype, column) from None


def _structs(values: list[Any], dtype: pa.DataType, column: str) -> pa.Array:
    names = {field.name for field in dtype}
    for value in values:
        if value is not None and (not isinstance(value, dict) or not value.keys() <= names):
            raise _misfit(value, dtype, column)
    inner = [
        _array(
            [None if value is None else value.get(field.name) for value in values], field.type, f"{column}.{field.name}"
        )
        for field in dtype
    ]
    mask = pa.array([value is None for value in values], pa.bool_())
    return pa.StructArray.from_arrays(inner, fields=list(dtype), mask=mask)


def _lists(values: list[Any], dtype: pa.DataType, column: str) -> pa.Array:
    offsets: list[int | None] = []
    items: list[Any] = []
    for value in values:
        if value is not None and not isinstance(value, list):
            raise _misfit(value, dtype, column)
        offsets.append(None if value is None else len(items))
        items.extend(value or ())
    offsets.append(len(items))
    inner = _array(items, dtype.value_type, column)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), inner, type=dtype)


def _text(value: Any) -> str:
    """Return a value as text: what is no text as JSON writes it, a number with all of its digits."""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)}: {_json(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_json, value)) + "]"
    return json.dumps(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else _text(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise TypeError
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or (not isinstance(value, str) and value != int(value)):
        raise TypeError
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or (isinstance(value, int) and int(float(value)) != value):
        raise TypeError
    return float(value)


def _long(value: Any) -> Decimal:
    return Decimal(_integer(value))


_READERS: dict[pa.DataType, Any] = {
    pa.string(): _text,
    pa.bool_(): _boolean,
    pa.int64(): _integer,
    pa.float64(): _number,
    pa.decimal128(38, 0): _long,
}


def _misfit(value: Any, dtype: pa.DataType, column: str) -> SourceError:
    msg = f"column {column!r} is {describe_type(dtype)}, and a record has {_text(value)[:80]!r}"
    return SourceError(msg, {"column": column}, code="TG249", hint=_hint(column))


def _hint(column: str) -> str:
    top = column.partition(".")[0]
    return f"declare a type that holds all values: schema_hints: [{{column_name: {top}, data_type: string}}]"
