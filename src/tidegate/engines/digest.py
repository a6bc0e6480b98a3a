"""Hash columns: the canonical text of typed values, and its hash; equal on every machine, engine and version.

A value is written as the letter of its type, the length of its text in bytes, a colon and the text; NULL is ``~``. So
no two different rows are written alike: ``1`` the number is ``i1:1``, ``1`` the text ``t1:1``, and empty text ``t0:``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from tidegate.errors import ConfigurationError

if TYPE_CHECKING:
    from tidegate.engines.base import Digest

_SEED = 42
"""That of Spark's `xxhash64`, which gives the same number for the same text."""
_NULL = "~"


def digest_expression(digest: Digest, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """Return the hash of the columns of a frame.

    Raises:
        ConfigurationError: the library of the algorithm is not installed (TG612).
    """
    text = pl.concat_str([_canonical(column, schema) for column in digest.columns])
    if digest.algorithm == "sha256":
        return text.map_batches(_sha256, return_dtype=pl.String, is_elementwise=True)
    _require_xxhash()
    return text.map_batches(_xxhash64, return_dtype=pl.Int64, is_elementwise=True)


def _canonical(column: str | None, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    if column is None:
        return pl.lit(_NULL)
    letter, text = _written(pl.col(column), schema[column])
    return pl.format(letter + "{}:{}", text.str.len_bytes(), text).fill_null(_NULL)


def _written(value: pl.Expr, dtype: pl.DataType) -> tuple[str, pl.Expr]:  # noqa: PLR0911 - one return a type
    """Return the letter of a type, and the text of its values."""
    match dtype:
        case pl.Boolean():
            return "b", value.cast(pl.String)
        case pl.Decimal(scale=scale):
            text = value.cast(pl.String)
            return "d", text.str.strip_chars_end("0").str.strip_chars_end(".") if scale else text
        case pl.Int128() | pl.UInt128():
            return "d", value.cast(pl.String)
        case pl.Float32() | pl.Float64():
            double = value.cast(pl.Float64) + 0.0  # zero has one sign, and NaN one form
            bits = pl.when(double.is_nan()).then(float("nan")).otherwise(double).reinterpret(dtype=pl.UInt64)
            return "f", bits.cast(pl.String)
        case pl.Date():
            return "D", value.to_physical().cast(pl.String)
        case pl.Time():
            return "T", (value.to_physical() // 1000).cast(pl.String)
        case pl.Datetime(time_zone=zone):
            return "z" if zone else "n", value.dt.cast_time_unit("us").to_physical().cast(pl.String)
        case pl.Duration():
            return "u", value.dt.cast_time_unit("us").to_physical().cast(pl.String)
        case pl.Binary():
            return "x", value.bin.encode("hex")
        case _:
            return "i" if dtype.is_integer() else "t", value.cast(pl.String)


def _sha256(texts: pl.Series) -> pl.Series:
    return pl.Series([hashlib.sha256(text.encode()).hexdigest() for text in texts], dtype=pl.String)


def _xxhash64(texts: pl.Series) -> pl.Series:
    import xxhash

    numbers = pl.Series([xxhash.xxh64_intdigest(text.encode(), _SEED) for text in texts], dtype=pl.UInt64)
    return numbers.reinterpret(signed=True)


def _require_xxhash() -> None:
    try:
        import xxhash  # noqa: F401
    except ImportError as error:
        msg = "xxhash is not installed, which hash columns with xxhash64 need"
        raise ConfigurationError(msg, code="TG612", hint="pip install xxhash, or use sha256") from error
