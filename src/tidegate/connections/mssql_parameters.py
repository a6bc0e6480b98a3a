"""Parameters of statements for SQL Server: how they are declared, and how columns of them are sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import mssql_python
import pyarrow as pa

_SQL_TIMESTAMPOFFSET = -155
_DECLARED = {
    bool: "bit",
    int: "bigint",
    float: "float",
    Decimal: "decimal(38,10)",
    bytes: "varbinary(max)",
    datetime: "datetime2",
    date: "date",
    time: "time",
}
"""As what a parameter is declared where a query is only described; others as text."""


def declared(value: Any) -> str:
    """Return the type that a parameter is declared with where a query is only described."""
    return next((words for kind, words in _DECLARED.items() if isinstance(value, kind)), "nvarchar(max)")


def sent(array: pa.Array) -> list[Any]:
    """Return values as they are sent: as text where the driver would cut digits, or refuse long ones."""
    is_text = pa.types.is_decimal(array.type) or pa.types.is_time(array.type)
    values: list[Any] = (array.cast(pa.string()) if is_text else array).to_pylist()
    return values


def size(dtype: pa.DataType, index: int, values: Sequence[tuple[Any, ...]]) -> tuple[int, int, int]:
    """Return how a column of parameters is sent: its ODBC type, size and digits."""
    if dtype in _SIZES:
        return _SIZES[dtype]
    kind = mssql_python.SQL_VARBINARY if pa.types.is_binary(dtype) else mssql_python.SQL_WVARCHAR
    longest = max((len(row[index]) for row in values if row[index] is not None), default=0)
    return kind, 0 if longest > _LONGEST[kind] else max(2, 2 * longest), 0


_LONGEST = {mssql_python.SQL_WVARCHAR: 2_000, mssql_python.SQL_VARBINARY: 4_000}
"""Above, the parameter is one of type (max). A character may take two of UTF-16."""
_SIZES: dict[pa.DataType, tuple[int, int, int]] = {
    pa.bool_(): (mssql_python.SQL_BIT, 0, 0),
    pa.int16(): (mssql_python.SQL_SMALLINT, 0, 0),
    pa.int32(): (mssql_python.SQL_INTEGER, 0, 0),
    pa.int64(): (mssql_python.SQL_BIGINT, 0, 0),
    pa.float32(): (mssql_python.SQL_REAL, 0, 0),
    pa.float64(): (mssql_python.SQL_DOUBLE, 0, 0),
    pa.date32(): (mssql_python.SQL_TYPE_DATE, 0, 0),
    pa.timestamp("us"): (mssql_python.SQL_TYPE_TIMESTAMP, 26, 6),
    pa.timestamp("us", "UTC"): (_SQL_TIMESTAMPOFFSET, 33, 6),
}
