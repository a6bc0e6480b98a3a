"""A hash of a row that is equal on every machine, engine and version: how rows are recognised at the boundary.

Every value is written as text with its length before it, so that no two different rows read alike, and the text is
hashed with BLAKE2b to 64 bits. With a million remembered rows, a new row is taken for an old one by chance with a
probability below 1e-13.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl


def row_hashes(rows: pl.DataFrame, columns: Sequence[str], *, with_points: bool = False) -> list[int]:
    """Return the hash of each row over `columns`; a column that the rows lack counts as NULL.

    Args:
        rows: The rows.
        columns: What is hashed, in this order.
        with_points: Whether decimals keep their point without a digit behind it, as they once did: `1.` is not `1`.
    """
    if not rows.height:
        return []
    missing = [pl.lit(None, dtype=pl.String).alias(column) for column in columns if column not in rows.columns]
    texts = (
        rows.with_columns(missing)
        .select(
            pl.concat_str([_canonical(rows.schema.get(column), column, with_points=with_points) for column in columns])
        )
        .to_series()
    )
    return [int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") for text in texts]


def _canonical(dtype: pl.DataType | None, column: str, *, with_points: bool) -> pl.Expr:
    value = pl.col(column)
    match dtype:
        case pl.Float32() | pl.Float64():
            text = value.cast(pl.Float64).map_elements(float.hex, return_dtype=pl.String)
        case pl.Datetime():
            text = value.dt.cast_time_unit("us").to_physical().cast(pl.String)
        case pl.Date() | pl.Time() | pl.Duration():
            text = value.to_physical().cast(pl.String)
        case pl.Decimal(scale=scale) if scale:
            text = value.cast(pl.String).str.strip_chars_end("0")
            text = text if with_points else text.str.strip_chars_end(".")
        case pl.Binary():
            text = value.bin.encode("hex")
        case pl.List() | pl.Array() | pl.Struct():
            text = value.map_elements(_as_json, return_dtype=pl.String)
        case _:
            text = value.cast(pl.String)
    return pl.when(text.is_null()).then(pl.lit("~")).otherwise(pl.format("{}:{}", text.str.len_bytes(), text))


def _as_json(value: object) -> str:
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: object) -> object:
    """Return a nested value without what is only its type: a field that is NULL is one that is not there."""
    match value:
        case pl.Series():
            return [_plain(item) for item in value.to_list()]
        case list():
            return [_plain(item) for item in value]
        case dict():
            return {name: _plain(item) for name, item in value.items() if item is not None}
        case Decimal():
            text = f"{value:f}"
            return text.rstrip("0").rstrip(".") if "." in text else text
        case datetime(tzinfo=zone) if zone is not None:
            return str(value.astimezone(UTC))
        case bytes():
            return value.hex()
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)
