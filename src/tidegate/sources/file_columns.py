"""Which columns and types the files of a read have, and whether they fit each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tidegate.engines.base import FileFormat, FileGroup
from tidegate.errors import SourceError
from tidegate.expressions.data_type import describe_type

if TYPE_CHECKING:
    from tidegate.models.destination import SchemaPolicy
    from tidegate.platforms import BasePlatform

Columns = dict[str, pa.DataType]

TYPED_FORMATS = ("parquet", "avro")
"""Formats whose files tell their types themselves."""

_MOST_DIGITS = 38
"""Of a decimal, in every engine and table format."""


def check_columns(
    inspected: Mapping[str, Columns], known: Mapping[str, pa.DataType], policy: SchemaPolicy | None
) -> tuple[str, ...]:
    """Refuse files that are not of this source, by their columns; return those that a file lacks and may lack.

    A file may lack columns of earlier loads, or of the first file. Without a declared policy, one that has others
    instead is taken for a wrong file, or a renamed column; one with no column in common is refused under any policy.

    Raises:
        SourceError: a file has other columns (TG203).
    """
    if not inspected:
        return ()
    first, reference = next(iter(inspected.items()))
    expected, origin = (list(known), "earlier loads") if known else (list(reference), first)
    lacking: dict[str, None] = {}
    for path, columns in inspected.items():
        missing = [column for column in expected if column not in columns]
        other = [column for column in columns if column not in expected]
        if not missing:
            continue
        if policy == "fail" or len(missing) == len(expected) or (other and policy is None):
            msg = f"the file has other columns: {', '.join(missing)} missing"
            if other:
                msg += f", {', '.join(other)} unexpected"
            hint = f"the columns so far, from {origin}: {', '.join(expected)}"
            if len(missing) < len(expected):
                hint += "; destination.configure.schema_policy: evolve lets columns come and go"
            raise SourceError(msg, {"file": path, "columns": missing}, code="TG203", where=path, hint=hint)
        lacking.update(dict.fromkeys(missing))
    return tuple(lacking)


def resolve_types(
    inspected: Mapping[str, Columns],
    known: Mapping[str, pa.DataType],
    declared: Mapping[str, pa.DataType],
    *,
    exact: bool = False,
) -> Columns:
    """Return the type of every column of the read: declared, else as in earlier loads, else found in the files.

    Numbers of files that tell their types may be wider than in earlier loads.

    Args:
        inspected: The columns of each file.
        known: The types of earlier loads.
        declared: The types of schema hints.
        exact: Whether the files tell their types themselves: long integers then become no floats, where those above
            2^53 would run together. Types that were inferred from text may widen.

    Raises:
        SourceError: a column has types in two files that have nothing in common (TG203).
    """
    resolved: Columns = {}
    for path, columns in inspected.items():
        for column, found in columns.items():
            if column in declared:
                resolved[column] = declared[column]
            elif column in known:
                if exact and _runs_together(found, known[column]):
                    raise _clash(column, known[column], found, path)
                resolved[column] = _kept(column, known[column], found, path, exact=exact)
            else:
                before = resolved.get(column, found)
                if exact and (_runs_together(found, before) or _runs_together(before, found)):
                    raise _clash(column, before, found, path)
                resolved[column] = _common(column, before, found, path)
    # a column that is NULL throughout has no type of its own; text takes every later value
    return {column: _with_text_for_null(dtype) for column, dtype in resolved.items()}


def group_files(
    inspected: Mapping[str, Columns],
    types: Columns,
    file_format: FileFormat,
    options: Mapping[str, Any],
    platform: BasePlatform,
) -> tuple[FileGroup, ...]:
    """Return the files in groups of equal columns, with the types in which the reader should take them."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    read_as: dict[tuple[Any, ...], Columns] = {}
    for path, columns in inspected.items():
        taken = columns if file_format in TYPED_FORMATS else {
            column: _read_as(found, types[column], file_format) for column, found in columns.items()
        }  # fmt: skip
        key = tuple(taken.items())
        groups.setdefault(key, []).append(path)
        read_as[key] = taken
    return tuple(
        FileGroup(format=file_format, paths=tuple(paths), columns=read_as[key], options=options, platform=platform)
        for key, paths in groups.items()
    )


def _read_as(found: pa.DataType, wanted: pa.DataType, file_format: FileFormat) -> pa.DataType:
    """Return the type in which a text reader takes a column: the wanted one if it parses that itself."""
    if file_format == "csv":
        parsed = (_is_plain_number(wanted) and (_is_plain_number(found) or pa.types.is_null(found))) or (
            pa.types.is_boolean(wanted) and pa.types.is_boolean(found)
        )
        return wanted if parsed else pa.string()
    return wanted if pa.types.is_null(found) and file_format == "jsonl" else found


def _is_plain_number(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_integer(dtype) or pa.types.is_floating(dtype))


def _with_text_for_null(dtype: pa.DataType) -> pa.DataType:
    if pa.types.is_null(dtype):
        return pa.string()
    if pa.types.is_list(dtype):
        return pa.list_(_with_text_for_null(dtype.value_type))
    if pa.types.is_struct(dtype):
        return pa.struct([(field.name, _with_text_for_null(field.type)) for field in dtype])
    return dtype


def _family(dtype: pa.DataType) -> str:
    if pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype):
        return "number"
    if pa.types.is_date(dtype) or pa.types.is_timestamp(dtype):
        return "time"
    if pa.types.is_struct(dtype) or pa.types.is_list(dtype):
        return "nested"
    return describe_type(dtype)


def _kept(column: str, known: pa.DataType, found: pa.DataType, path: str, *, exact: bool) -> pa.DataType:
    if exact and _widens(known, found):
        return _common(column, known, found, path)  # wider numbers: the destination's schema policy decides
    if pa.types.is_string(known) or pa.types.is_null(found):
        return known
    if pa.types.is_string(found) and not pa.types.is_nested(known):
        return known  # text is parsed strictly: a value that does not fit is named with its row
    if pa.types.is_nested(known):
        return _common(column, known, found, path)
    if _family(known) == _family(found) and not _cuts_off(known, found):
        return known  # as text is: strictly
    raise _clash(column, known, found, path)


def _widens(known: pa.DataType, found: pa.DataType) -> bool:
    """Tell whether both are numbers that have a type in common which holds all values of both."""
    if not _family(known) == _family(found) == "number":
        return False
    if _has_decimal(known) and _has_decimal(found) and _digits(known, found) > _MOST_DIGITS:
        return False
    kinds = {pa.types.is_floating(known), pa.types.is_floating(found)}
    return kinds in ({False}, {True}) or not (_runs_together(known, found) or _has_decimal(known, found))


def _digits(one: pa.DataType, other: pa.DataType) -> int:
    """Return the digits of a decimal that holds all values of both."""
    before = max(one.precision - one.scale, other.precision - other.scale)
    return int(before + max(one.scale, other.scale))


def _has_decimal(*dtypes: pa.DataType) -> bool:
    return any(pa.types.is_decimal(dtype) for dtype in dtypes)


def _cuts_off(known: pa.DataType, found: pa.DataType) -> bool:
    """Tell whether a conversion would silently lose the time of day, or digits behind the point."""
    if pa.types.is_date(known):
        return bool(pa.types.is_timestamp(found))
    if pa.types.is_decimal(known):
        return bool(pa.types.is_floating(found) or (pa.types.is_decimal(found) and found.scale > known.scale))
    return False


def _runs_together(dtype: pa.DataType, target: pa.DataType) -> bool:
    """Tell whether different values may become one: integers of more than 32 bits as floats."""
    return bool(pa.types.is_integer(dtype) and dtype.bit_width > 32 and pa.types.is_floating(target))  # noqa: PLR2004


def _common(column: str, one: pa.DataType, other: pa.DataType, path: str) -> pa.DataType:
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if _family(one) == _family(other):
        try:
            schema = pa.unify_schemas(
                [pa.schema([(column, one)]), pa.schema([(column, other)])], promote_options="permissive"
            )
        except pa.ArrowException:
            raise _clash(column, one, other, path) from None
        return schema.field(column).type
    if pa.types.is_string(one) or pa.types.is_string(other):
        return pa.string()
    raise _clash(column, one, other, path)


def _clash(column: str, one: pa.DataType, other: pa.DataType, path: str) -> SourceError:
    msg = f"column {column!r} is {describe_type(other)} in this file, but {describe_type(one)} before"
    hint = f"declare its type: schema_hints: [{{column_name: {column}, data_type: ...}}]"
    return SourceError(msg, {"file": path, "column": column}, code="TG203", where=path, hint=hint)
