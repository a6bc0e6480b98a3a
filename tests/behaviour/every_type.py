"""Rows with a value of every type, odd ones among them, and what kinds of places cannot keep of them by nature."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

ROWS = 20_000


class Column(NamedTuple):
    """A type: in Arrow, as a schema hint says it, and as all values of it are compared."""

    arrow: pa.DataType
    hint: str
    compared: Any


COLUMNS: Mapping[str, Column] = {
    "id": Column(pa.int64(), "bigint", pl.Int128),
    "i8": Column(pa.int8(), "tinyint", pl.Int128),
    "i16": Column(pa.int16(), "smallint", pl.Int128),
    "i32": Column(pa.int32(), "int", pl.Int128),
    "i64": Column(pa.int64(), "bigint", pl.Int128),
    "u64": Column(pa.uint64(), "uint64", pl.Int128),
    "f32": Column(pa.float32(), "float", pl.Float64),
    "f64": Column(pa.float64(), "double", pl.Float64),
    "wide": Column(pa.decimal128(38, 10), "decimal(38,10)", pl.Decimal(38, 10)),
    "price": Column(pa.decimal128(5, 2), "decimal(5,2)", pl.Decimal(5, 2)),
    "flag": Column(pa.bool_(), "boolean", pl.Boolean),
    "words": Column(pa.string(), "string", pl.String),
    "bytes": Column(pa.binary(), "binary", pl.Binary),
    "day": Column(pa.date32(), "date", pl.Date),
    "instant": Column(pa.timestamp("us", "UTC"), "timestamp", pl.Datetime("us", "UTC")),
    "wall": Column(pa.timestamp("us"), "timestamp_ntz", pl.Datetime("us")),
    "clock": Column(pa.time64("us"), "time", pl.Time),
}

ODD_TEXTS = (
    "",
    " ",
    "  padded\t",
    "a,b",
    'she said "no"',
    '"',
    "'",
    "a\nb",
    "a\r\nb",
    "\n",
    "\\",
    "\\N",
    "\\n",
    "NULL",
    "null",
    "None",
    "NA",
    "nan",
    "0123",
    "1e5",
    "true",
    "2026-03-01",
    "${env:HOME}",
    "{id}",
    "%s",
    "?1",
    "$1",
    "日本語",
    "e\u0301 \u00e9",
    "👩‍👩‍👧‍👦",
    "\u202eabc",
    "\ufeffbom",
    "x\u2028y",
    "\x01\x1f\x7f",
    "{'a': 1}",
    "; DROP TABLE events; --",
    "z" * 5000,
)
_MICROSECOND = timedelta(microseconds=1)
_MOMENTS = (
    datetime(1970, 1, 1),  # noqa: DTZ001 - of no zone
    datetime(1969, 12, 31, 23, 59, 59, 999_999),  # noqa: DTZ001
    datetime(1800, 1, 1, 12, 30, 15, 1),  # noqa: DTZ001
    datetime(1582, 10, 10),  # noqa: DTZ001 - a day that one calendar does not have
    datetime(2026, 3, 29, 2, 30),  # noqa: DTZ001 - an hour that Berlin does not have
    datetime(2026, 10, 25, 2, 30, 0, 123_456),  # noqa: DTZ001 - one that it has twice
    datetime(2038, 1, 19, 3, 14, 8),  # noqa: DTZ001 - past 32 bits
    datetime(2262, 4, 12),  # noqa: DTZ001 - past 64 bits of nanoseconds
    datetime(9999, 12, 31, 23, 59, 59, 999_999),  # noqa: DTZ001
)
ODD: Mapping[str, tuple[Any, ...]] = {
    "i8": (-128, 127, 0),
    "i16": (-(2**15), 2**15 - 1, 0),
    "i32": (-(2**31), 2**31 - 1, 0),
    "i64": (-(2**63), 2**63 - 1, 2**53 + 1, 0),
    "u64": (2**64 - 1, 2**63, 2**63 - 1, 0),
    "f32": (0.0, 0.5, 16777216.0, 3.4028234663852886e38, -1.401298464324817e-45, 1.1754943508222875e-38),
    "f64": (0.1, 1 / 3, 2.0**53, 1.7976931348623157e308, -5e-324, 2.2250738585072014e-308, 1e22, 123456789.12345679),
    "wide": (Decimal("999999999999999999999999.9999999999"), Decimal("-0.0000000001"), Decimal(0), Decimal("0.1")),
    "price": (Decimal("999.99"), Decimal("-999.99"), Decimal("0.01"), Decimal("0.00")),
    "flag": (True, False),
    "words": ODD_TEXTS,
    "bytes": (b"", b"\x00", b"\xff\xfe", bytes(range(256)), b"'\"\\\n", b"text"),
    "day": (date(1800, 1, 1), date(9999, 12, 31), date(1970, 1, 1), date(1969, 12, 31), date(2000, 2, 29)),
    "instant": tuple(moment.replace(tzinfo=UTC) for moment in _MOMENTS),
    "wall": _MOMENTS,
    "clock": (time(0), time(23, 59, 59, 999_999), time(12, 30), time(0, 0, 0, 1)),
}
"""Values that every place keeps which has the type at all."""

SINGLE: Mapping[str, Mapping[str, Any]] = {
    "not a number": {"id": ROWS + 1, "f32": math.nan, "f64": math.nan},
    "infinity": {"id": ROWS + 2, "f32": -math.inf, "f64": math.inf},
    "a minus before zero": {"id": ROWS + 3, "f32": -0.0, "f64": -0.0},
    "38 digits": {"id": ROWS + 4, "wide": Decimal("-1234567890123456789012345678.9012345678")},
    "the character U+0000": {"id": ROWS + 5, "words": "a\x00b"},
}
"""Rows with a value that not every place keeps."""


@cache
def every_type(rows: int = ROWS) -> pa.Table:
    """Return rows with odd values, random values and NULLs in every column, and those of `SINGLE` behind them."""
    drawn = random.Random(rows)
    columns: dict[str, list[Any]] = {"id": list(range(rows))}
    for place, (name, odd) in enumerate(ODD.items()):
        least = [None, *odd]
        more = [_DRAWN[name](drawn) for _ in range(rows - len(least))]
        values = [*least, *(None if row % 11 == place % 11 else value for row, value in enumerate(more))][:rows]
        columns[name] = values
    for single in SINGLE.values() if rows == ROWS else ():
        for name, values in columns.items():
            values.append(single.get(name))
    return pa.table({name: pa.array(values, COLUMNS[name].arrow) for name, values in columns.items()})


def compared(rows: pa.Table | pl.DataFrame, *, signed_zero: bool = True) -> pl.DataFrame:
    """Return rows in order, each column in the one type in which its values are compared; bits of floats count.

    Args:
        rows: Rows.
        signed_zero: Whether zero with a minus is another value than zero.
    """
    frame = pl.DataFrame(pl.from_arrow(rows)) if isinstance(rows, pa.Table) else rows
    frame = frame.with_columns(
        pl.col(name).dt.replace_time_zone("UTC")
        for name, dtype in frame.schema.items()
        if name == "instant" and getattr(dtype, "time_zone", "UTC") is None
    )
    frame = frame.with_columns(pl.col(name).cast(COLUMNS[name].compared, strict=True) for name in frame.columns)
    floats = pl.selectors.float().cast(pl.String)
    return frame.with_columns(floats if signed_zero else floats.replace("-0.0", "0.0")).sort("id")


def _number(drawn: random.Random, bits: int) -> int:
    return drawn.getrandbits(bits) - (1 << bits - 1)


def _moment(drawn: random.Random) -> datetime:
    return datetime(1800, 1, 1) + drawn.randrange(10**16) * _MICROSECOND  # noqa: DTZ001 - of no zone


_DRAWN: Mapping[str, Callable[[random.Random], Any]] = {
    "i8": lambda drawn: _number(drawn, 8),
    "i16": lambda drawn: _number(drawn, 16),
    "i32": lambda drawn: _number(drawn, 32),
    "i64": lambda drawn: _number(drawn, 64),
    "u64": lambda drawn: drawn.getrandbits(64),
    "f32": lambda drawn: drawn.getrandbits(24) / 2 ** drawn.randrange(40),
    "f64": lambda drawn: drawn.uniform(-1, 1) * 10.0 ** drawn.randrange(-30, 30),
    "wide": lambda drawn: Decimal(_number(drawn, 112)).scaleb(-10),
    "price": lambda drawn: Decimal(drawn.randrange(-99999, 99999)).scaleb(-2),
    "flag": lambda drawn: drawn.random() < 0.5,
    "words": lambda drawn: "".join(drawn.choices("abcäß€😀 '\"\n,", k=drawn.randrange(12))),
    "bytes": lambda drawn: drawn.randbytes(drawn.randrange(12)),
    "day": lambda drawn: _moment(drawn).date(),
    "instant": lambda drawn: _moment(drawn).replace(tzinfo=UTC),
    "wall": _moment,
    "clock": lambda drawn: _moment(drawn).time(),
}


# -- what a kind of place does not keep by nature: the tests hold it, and the support matrix shows it ------------------

CANNOT: Mapping[str, Mapping[str, str]] = {
    "csv": {"bytes": "text has no bytes"},
    "jsonl": {"bytes": "text has no bytes"},
    "delta": {"clock": "Delta has no time of day"},
}
"""Kind of place → column that it has no type for → why. A load of such a column is refused."""

CANNOT_SINGLE: Mapping[str, Mapping[str, str]] = {
    "mongodb": {"38 digits": "its decimals have 34 digits"},
    "postgresql": {"the character U+0000": "PostgreSQL's text has no U+0000"},
    **dict.fromkeys(("mariadb", "jsonl"), dict.fromkeys(("not a number", "infinity"), "it has finite numbers only")),
}
"""Kind of place → row of `SINGLE` that it cannot hold → why. A load of such a row is refused."""

NO_SIGN_OF_ZERO: Mapping[str, str] = {
    "mariadb": "MariaDB has one zero",
    "sqlite": "SQLite keeps whole numbers as integers, which have one zero",
}
"""Kind of place → why zero has no sign there. It is no refusal: the two are equal."""

KEPT_AS: Mapping[str, Mapping[str, str]] = {
    "mongodb": {"u64": "decimal(20,0)"},
    "delta": {"u64": "decimal(20,0)"},
    "iceberg": {"i8": "int", "i16": "int", "u64": "decimal(20,0)"},
    "postgresql": {"i8": "smallint", "u64": "decimal(20,0)"},
    "mariadb": {"u64": "decimal(20,0)", "instant": "timestamp_ntz"},
    "sqlite": {
        **dict.fromkeys(("i8", "i16", "i32"), "bigint"),
        "u64": "decimal(20,0)",
        "f32": "double",
    },
}
"""Kind of place → column → the type as which a load keeps its values there, where it is another one.

An instant without a zone is the time in UTC.
"""


def columns_of(*kinds: str) -> list[str]:
    """Return the columns that all of these kinds of places have a type for."""
    return [name for name in COLUMNS if not any(name in CANNOT.get(kind, ()) for kind in kinds)]


def singles_of(*kinds: str) -> set[str]:
    """Return the rows of `SINGLE` that all of these kinds of places can hold."""
    return {name for name in SINGLE if not any(name in CANNOT_SINGLE.get(kind, ()) for kind in kinds)}


def rows_of(columns: Collection[str], singles: Collection[str]) -> pa.Table:
    """Return the rows with these columns, and of the single ones only these."""
    left_out = pa.array([single["id"] for name, single in SINGLE.items() if name not in singles], pa.int64())
    rows = every_type()
    return rows.filter(pc.invert(pc.is_in(rows["id"], left_out))).select(list(columns))
