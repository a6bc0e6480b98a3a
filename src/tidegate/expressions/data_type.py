"""Names of data types: what schema hints, casts and positions write, as Arrow types.

The rule for ``timestamp``: it is an instant (zone UTC, microseconds) in the systems where it is one: Spark, Delta,
MySQL, BigQuery, and where no system is declared. It has no zone in PostgreSQL, DuckDB, ANSI SQL, Iceberg, Snowflake and
Oracle. ``timestamptz`` and ``timestamp_ntz`` say it in every system. In T-SQL ``timestamp`` is a row version: binary.
"""

from __future__ import annotations

import re
from functools import lru_cache

import pyarrow as pa

from tidegate.expressions.type_reader import PLAIN, TypeReader, closest, type_error
from tidegate.expressions.type_words import SYSTEMS

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DESCRIBED = {dtype: word for word, dtype in reversed(PLAIN.items()) if not pa.types.is_decimal(dtype)}
_DESCRIBED |= dict.fromkeys((pa.time64("ns"), pa.time32("ms"), pa.time32("s")), "time")
_DESCRIBED |= {pa.large_string(): "string", pa.string_view(): "string", pa.large_binary(): "binary"}


def parse_data_type(
    text: str, *, type_system: str | None = None, precision: int | None = None, scale: int | None = None
) -> pa.DataType:
    """Return the Arrow type that a type name means.

    Args:
        text: A name such as ``decimal(18,2)``, ``VARCHAR(20)``, ``array<struct<a: int>>``; case does not matter.
        type_system: The SQL dialect whose words these are (``spark``, ``postgres``, ``tsql``, ...). None reads as
            Spark, except that a bare ``decimal`` keeps its fraction (38, 18).
        precision: Of a ``decimal`` that does not say its own.
        scale: Likewise; 0 when only a precision is given.

    Raises:
        MetadataError: the type or the type system is unknown, or its parameters do not hold (TG305).
    """
    return _parse(text, type_system, precision, scale)


@lru_cache(maxsize=4096)
def _parse(text: str, type_system: str | None, precision: int | None, scale: int | None) -> pa.DataType:
    system = None if not type_system else SYSTEMS.get(type_system.strip().lower())
    if type_system and system is None:
        message = f"type system {type_system!r} is unknown"
        raise type_error(message, closest(type_system, SYSTEMS) or f"known: {', '.join(sorted(SYSTEMS))}")
    return TypeReader(text, system, (precision, scale)).whole()


def describe_type(dtype: pa.DataType) -> str:
    """Return the short SQL word of a type, as error messages and positions write it.

    :func:`parse_data_type` without a type system reads it back to an equal type. A type that Tidegate cannot keep
    is named as Arrow names it.
    """
    if dtype in _DESCRIBED:
        return _DESCRIBED[dtype]
    if pa.types.is_decimal128(dtype):
        return f"decimal({dtype.precision},{dtype.scale})"
    if pa.types.is_timestamp(dtype):
        return f"timestamp[{dtype.unit}, tz={dtype.tz}]" if dtype.tz else f"timestamp[{dtype.unit}]"
    if pa.types.is_list(dtype) or pa.types.is_large_list(dtype):
        return f"array<{describe_type(dtype.value_type)}>"
    if pa.types.is_map(dtype):
        return f"map<{describe_type(dtype.key_type)}, {describe_type(dtype.item_type)}>"
    if pa.types.is_struct(dtype):
        return f"struct<{', '.join(_describe_field(field) for field in dtype)}>"
    return str(dtype)


def _describe_field(field: pa.Field) -> str:
    plain = _PLAIN_NAME.fullmatch(field.name)
    name = field.name if plain else "`" + field.name.replace("`", "``") + "`"
    return f"{name}: {describe_type(field.type)}{'' if field.nullable else ' not null'}"
