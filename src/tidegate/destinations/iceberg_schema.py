"""Schemas of Iceberg tables: between Iceberg's types and Arrow's, and how a load changes them.

Columns are known by field ids. The ids of new columns are found the same way when files are written and when they are
committed, so that the files carry the ids that the table then gives its columns.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema, assign_fresh_schema_ids
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from tidegate.destinations.table import incompatible
from tidegate.destinations.table_types import iceberg_type, iceberg_united
from tidegate.engines.base import FieldId
from tidegate.expressions.data_type import describe_type

if TYPE_CHECKING:
    from pyiceberg.table import Transaction
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.update.schema import UpdateSchema

Columns = Mapping[str, pa.DataType]

_PLAIN: tuple[tuple[IcebergType, pa.DataType], ...] = (
    (BooleanType(), pa.bool_()),
    (IntegerType(), pa.int32()),
    (LongType(), pa.int64()),
    (FloatType(), pa.float32()),
    (DoubleType(), pa.float64()),
    (DateType(), pa.date32()),
    (TimeType(), pa.time64("us")),
    (TimestampType(), pa.timestamp("us")),
    (TimestamptzType(), pa.timestamp("us", "UTC")),
    (StringType(), pa.string()),
    (BinaryType(), pa.binary()),
)
_TO_ARROW = dict(_PLAIN)
_TO_ICEBERG = {dtype: kind for kind, dtype in _PLAIN}
_FIRST_PARTITION_FIELD = 1000


def arrow_type(kind: IcebergType) -> pa.DataType:
    """Return the Arrow type of an Iceberg type; one that Tidegate does not write is a type that fits nothing."""
    match kind:
        case DecimalType():
            return pa.decimal128(kind.precision, kind.scale)
        case ListType():
            return pa.list_(arrow_type(kind.element_type))
        case StructType():
            return pa.struct([(field.name, arrow_type(field.field_type)) for field in kind.fields])
        case MapType():
            return pa.map_(arrow_type(kind.key_type), arrow_type(kind.value_type))
        case FixedType():
            return pa.binary(len(kind))
        case UUIDType():
            return pa.binary(16)
        case _:
            return _TO_ARROW.get(kind, pa.null())


def arrow_columns(schema: Schema) -> dict[str, pa.DataType]:
    """Return the columns of a schema in Arrow types."""
    return {field.name: arrow_type(field.field_type) for field in schema.fields}


def new_schema(columns: Columns) -> Schema:
    """Return the schema of a new table with these columns, as the catalog will number them."""
    numbers = itertools.count(1)
    fields = [_new_field(name, dtype, numbers) for name, dtype in _storable(columns).items()]
    return assign_fresh_schema_ids(Schema(*fields))


def new_partitions(schema: Schema, partition_by: tuple[str, ...]) -> PartitionSpec:
    """Return the partitioning of a new table by the values of these columns."""
    ids = {field.name: field.field_id for field in schema.fields}
    fields = [
        PartitionField(ids[name], _FIRST_PARTITION_FIELD + index, IdentityTransform(), name)
        for index, name in enumerate(partition_by)
    ]
    return PartitionSpec(*fields)


def change_schema(transaction: Transaction, columns: Columns, *, replace: bool) -> Schema:
    """Let the table's schema take these columns, in a transaction that is not committed here.

    Columns that are new are added, and those that are too narrow grow as Iceberg allows it.

    Args:
        transaction: Of the table.
        columns: What comes, in types that the table takes.
        replace: Whether all rows are replaced: then columns that do not come are removed, and one that comes in a type
            that its own cannot grow into gets a new id.

    Raises:
        DestinationError: a partition column would take another type (TG403).
    """
    metadata, columns = transaction.table_metadata, _storable(columns)
    _refuse_other_partitions(metadata, columns)
    update = transaction.update_schema()
    changes = list(_changes(update, metadata.schema(), columns, replace=replace))
    for change in changes:
        change()
    if changes:
        update.commit()
    return transaction.table_metadata.schema()


def field_ids(schema: Schema) -> dict[str, FieldId]:
    """Return the field ids of a schema's columns."""
    return {field.name: _field_id(field) for field in schema.fields}


def _field_id(field: NestedField) -> FieldId:
    match field.field_type:
        case StructType(fields=fields):
            return FieldId(field.field_id, {inner.name: _field_id(inner) for inner in fields})
        case ListType() as kind:
            return FieldId(field.field_id, {"element": _field_id(kind.element_field)})
        case _:
            return FieldId(field.field_id)


def _storable(columns: Columns) -> Columns:
    """Return the columns in Iceberg's types; engines may know a column of the table by a type of their own."""
    return {name: iceberg_type(name, dtype, "") for name, dtype in columns.items()}


def _refuse_other_partitions(metadata: TableMetadata, columns: Columns) -> None:
    there = {field.field_id: field for field in metadata.schema().fields}
    for part in metadata.spec().fields:
        name, dtype = there[part.source_id].name, arrow_type(there[part.source_id].field_type)
        if columns.get(name, dtype) != dtype:
            raise incompatible(name, describe_type(columns[name]), describe_type(dtype), metadata.location)


def _changes(
    update: UpdateSchema, schema: Schema, columns: Columns, *, replace: bool
) -> Iterator[Callable[[], object]]:
    there = {field.name: field for field in schema.fields}
    added = {name: dtype for name, dtype in columns.items() if name not in there}
    for name, field in there.items():
        came, has = columns.get(name), arrow_type(field.field_type)
        if came == has:
            continue
        if came is not None and iceberg_united(came, has) == came:
            yield from _grown(update, (name,), field.field_type, came)
        elif replace:
            yield _deletion(update, name)
            added |= {} if came is None else {name: came}
    for name in (name for name in columns if name in added):
        yield _addition(update, (name,), added[name])


def _grown(
    update: UpdateSchema, path: tuple[str, ...], kind: IcebergType, into: pa.DataType
) -> Iterator[Callable[[], object]]:
    """Yield the changes that let a column hold what it could not; fields of a struct are compared by name."""
    match kind:
        case ListType():
            yield from _grown(update, (*path, "element"), kind.element_type, into.value_type)
        case StructType():
            known = {field.name: field.field_type for field in kind.fields}
            for field in into:
                if field.name in known:
                    yield from _grown(update, (*path, field.name), known[field.name], field.type)
                else:
                    yield _addition(update, (*path, field.name), field.type)
        case _ if arrow_type(kind) != into:
            yield lambda: update.update_column(path, _iceberg_type(into, itertools.count(1)))


def _addition(update: UpdateSchema, path: tuple[str, ...], dtype: pa.DataType) -> Callable[[], object]:
    return lambda: update.add_column(path, _iceberg_type(dtype, itertools.count(1)))


def _deletion(update: UpdateSchema, name: str) -> Callable[[], object]:
    return lambda: update.delete_column((name,))


def _new_field(name: str, dtype: pa.DataType, numbers: Iterator[int]) -> NestedField:
    return NestedField(next(numbers), name, _iceberg_type(dtype, numbers), required=False)


def _iceberg_type(dtype: pa.DataType, numbers: Iterator[int]) -> IcebergType:
    """Return the Iceberg type of an Arrow type that :func:`table_types.iceberg_type` gave; ids are placeholders."""
    if pa.types.is_decimal(dtype):
        return DecimalType(dtype.precision, dtype.scale)
    if pa.types.is_list(dtype):
        return ListType(next(numbers), _iceberg_type(dtype.value_type, numbers), element_required=False)
    if pa.types.is_struct(dtype):
        return StructType(*(_new_field(field.name, field.type, numbers) for field in dtype))
    return _TO_ICEBERG[dtype]
