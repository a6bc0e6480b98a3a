"""Rows of MySQL's binary protocol as Arrow: whole columns at a time, exact, without a Python value per cell.

The layout is that of the *Binary Protocol Resultset* of the MySQL client/server protocol; MariaDB has the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl
import pyarrow as pa
from pymysql.constants import FIELD_TYPE

from tidegate.connections.mysql_types import Field
from tidegate.errors import PlatformError
from tidegate.expressions.data_type import describe_type

_FIXED: dict[int, tuple[pl.DataType, pl.DataType]] = {
    FIELD_TYPE.TINY: (pl.Int8(), pl.UInt8()),
    FIELD_TYPE.SHORT: (pl.Int16(), pl.UInt16()),
    FIELD_TYPE.YEAR: (pl.Int16(), pl.Int16()),
    FIELD_TYPE.INT24: (pl.Int32(), pl.UInt32()),
    FIELD_TYPE.LONG: (pl.Int32(), pl.UInt32()),
    FIELD_TYPE.LONGLONG: (pl.Int64(), pl.UInt64()),
    FIELD_TYPE.FLOAT: (pl.Float32(), pl.Float32()),
    FIELD_TYPE.DOUBLE: (pl.Float64(), pl.Float64()),
}
_SIZES: dict[type[pl.DataType], int] = {
    pl.Int8: 1,
    pl.UInt8: 1,
    pl.Int16: 2,
    pl.UInt16: 2,
    pl.Int32: 4,
    pl.UInt32: 4,
    pl.Float32: 4,
    pl.Int64: 8,
    pl.UInt64: 8,
    pl.Float64: 8,
}
_PADDING = b"\0" * 16
"""Behind each row, so that whole numbers can be taken off it where a shorter one is."""
_DATES = frozenset({FIELD_TYPE.DATE, FIELD_TYPE.NEWDATE, FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP})


def decoded(rows: pa.Array, fields: Sequence[Field], place: str) -> pa.RecordBatch:
    """Return rows as columns, each of the type that its field has in Arrow.

    Args:
        rows: The packets, one binary value each; what follows a row within its value is not looked at.
        fields: The columns.
        place: Where they come from.

    Raises:
        PlatformError: a value is none of its column's type: a zero date, a time of more than a day, a flag above 1
            (TG725).
    """
    packets = pl.select(pl.lit(pl.Series(pl.from_arrow(rows))) + _PADDING).to_series()
    reader = _Reader(packets, position=1 + (len(fields) + 9) // 8)
    nulls = _Nulls(packets)
    columns = []
    for index, field in enumerate(fields):
        reader.present = nulls.present(index)
        try:
            columns.append(_column(reader, field))
        except _UnfitError as unfit:
            msg = f"column {field.name!r} has {unfit.value}, which is no {describe_type(field.arrow)}"
            details = {"column": field.name}
            raise PlatformError(msg, details, code="TG725", where=place, hint=unfit.hint) from None
    return pa.record_batch(columns, names=[field.name for field in fields])


class _UnfitError(Exception):
    """A value that is none of its column's Arrow type, and what makes one of it in a query."""

    def __init__(self, value: object, hint: str) -> None:
        super().__init__(value, hint)
        self.value = value
        self.hint = hint


class _Nulls:
    """The NULL bitmap in front of each row; its first two bits mean nothing."""

    def __init__(self, packets: pl.Series) -> None:
        self._packets = packets
        self._bytes: dict[int, pl.Series] = {}

    def present(self, index: int) -> pl.Series | None:
        """Return where the column has a value; None when it has one in all rows."""
        place, bit = divmod(index + 2, 8)
        if place not in self._bytes:
            self._bytes[place] = _number(self._packets, 1 + place, pl.UInt8())
        bits = self._bytes[place]
        present = (bits & (1 << bit)) == 0
        return None if present.all() else present


class _Reader:
    """Takes value after value off all rows at once.

    Attributes:
        present: Which rows have the next value; None when all have it.
    """

    def __init__(self, packets: pl.Series, *, position: int) -> None:
        self._packets = packets
        self._position: int | pl.Series = position  # a number as long as all rows are alike
        self.present: pl.Series | None = None

    def number(self, dtype: pl.DataType) -> pl.Series:
        """Return the next value of fixed size, NULL where it is not present."""
        values = _number(self._packets, self._position, dtype)
        self._advance(_SIZES[type(dtype)])
        return self._of_present(values)

    def text(self) -> pl.Series:
        """Return the next bytes whose length is in front of them."""
        first = _number(self._packets, self._position, pl.UInt8()).cast(pl.Int64)
        header: int | pl.Series = 1
        length = first
        if (self._of_present(first) > 250).any():  # noqa: PLR2004 - 251 and above say how long the length is
            after = self._position + 1
            for mark, size, dtype in ((252, 2, pl.UInt16()), (253, 3, pl.UInt32()), (254, 8, pl.UInt64())):
                marked = first == mark
                if marked.any():
                    wide = _number(self._packets, after, dtype).cast(pl.Int64, strict=False)
                    wide = wide & 0xFFFFFF if size == 3 else wide  # noqa: PLR2004
                    length = length.zip_with(~marked, wide)
                    header = pl.select(pl.when(marked).then(1 + size).otherwise(header)).to_series()
        values = _slices(self._packets, self._position + header, length)
        self._advance(header + length)
        return self._of_present(values)

    def words(self) -> tuple[pl.Series, pl.Series, pl.Series]:
        """Return the length of the next date or time, which is in front of it, and 16 bytes from there as two numbers.

        Of the second number only what the length says is kept.
        """
        first = _number(self._packets, self._position, pl.UInt64())
        length = first & 0xFF
        second = length & 0
        if (self._of_present(length) > 7).any():  # noqa: PLR2004 - the first number holds these, and the length
            behind = _number(self._packets, self._position + 8, pl.UInt64())
            second = second.zip_with(length <= 7, behind)  # noqa: PLR2004
        self._advance(1 + length.cast(pl.Int64))
        return self._of_present(length), self._of_present(first), self._of_present(second)

    def _advance(self, size: int | pl.Series) -> None:
        if self.present is not None:
            size = pl.select(pl.when(self.present).then(size).otherwise(0).cast(pl.Int64)).to_series()
        self._position = self._position + size

    def _of_present(self, values: pl.Series) -> pl.Series:
        if self.present is None:
            return values
        return pl.select(pl.when(self.present).then(values)).to_series()


def _column(reader: _Reader, field: Field) -> pa.Array:
    if field.type_code in _FIXED:
        values = reader.number(_FIXED[field.type_code][field.unsigned])
        return _flags(values) if pa.types.is_boolean(field.arrow) else values.to_arrow()
    if field.type_code in _DATES:
        return _dates(reader).to_arrow().cast(field.arrow)
    if field.type_code == FIELD_TYPE.TIME:
        return _times(reader)
    if field.type_code == FIELD_TYPE.BIT:
        return _bits(reader.text(), field)
    return _texts(reader.text(), field.arrow)


def _flags(values: pl.Series) -> pa.Array:
    if not values.is_between(0, 1).all():
        odd = values.filter(~values.is_between(0, 1))[0]
        raise _UnfitError(odd, "a tinyint(1) is read as a flag; as a number through `query`: `column + 0`")
    return values.cast(pl.Boolean).to_arrow()


def _dates(reader: _Reader) -> pl.Series:
    """Year (2 bytes), month, day; hour, minute, second; microsecond (4 bytes): what is zero at the end is left out."""
    length, first, second = reader.words()
    first = first.zip_with(length > 0, first & 0)
    year, month, day = _part(first, 1, 2), _part(first, 3), _part(first, 4)
    timed = length > 4  # noqa: PLR2004 - the bytes of a date
    first = first.zip_with(timed, first & 0xFF_FFFF_FFFF) if not timed.all() else first
    hour, minute, at = _part(first, 5), _part(first, 6), _part(first, 7)
    try:
        if (year == 0).any():
            raise pl.exceptions.ComputeError
        return pl.select(pl.datetime(year, month, day, hour, minute, at, _part(second, 0, 4))).to_series()
    except pl.exceptions.ComputeError:
        odd = (year == 0) | (month == 0) | (day == 0) | (day > 28)  # noqa: PLR2004 - all months have that many days
        parts = zip(*(part.filter(odd) for part in (year, month, day)), strict=True)
        value = next(f"{year:04}-{month:02}-{day:02}" for year, month, day in parts if not _is_day(year, month, day))
        raise _UnfitError(value, "NULLIF(column, 0) in `query` makes NULL of a date of zeros") from None


def _is_day(year: int, month: int, day: int) -> bool:
    try:
        return bool(date(year, month, day))
    except ValueError:
        return False


def _times(reader: _Reader) -> pa.Array:
    """Sign, days (4 bytes), hour, minute, second, microsecond (4 bytes): what is zero at the end is left out."""
    length, first, second = reader.words()
    first = first.zip_with(length > 0, first & 0)
    second = second.zip_with(length > 8, second & 0xFF)  # noqa: PLR2004 - the bytes of a time without microseconds
    outside = _part(first, 1, 5) > 0
    if outside.any():
        word = first.filter(outside)[0]
        hours = (word >> 16 & 0xFFFFFFFF) * 24 + (word >> 48 & 0xFF)
        value = f"{'-' * (word >> 8 & 1)}{hours:02}:{word >> 56:02}:…"
        raise _UnfitError(value, "a duration is read as a number through `query`: TIME_TO_SEC(column)")
    seconds = (_part(first, 6) * 60 + _part(first, 7)) * 60 + _part(second, 0)
    return (seconds * 1_000_000 + _part(second, 1, 4)).to_arrow().cast(pa.time64("us"))


def _part(word: pl.Series, place: int, size: int = 1) -> pl.Series:
    """Return some bytes of a number."""
    return ((word // (1 << 8 * place)) & ((1 << 8 * size) - 1)).cast(pl.Int64)


def _bits(values: pl.Series, field: Field) -> pa.Array:
    padded = pl.select((pl.lit(b"\0" * 8) + pl.lit(values)).bin.tail(8)).to_series()
    numbers = padded.bin.reinterpret(dtype=pl.UInt64, endianness="big")
    return numbers.to_arrow().cast(field.arrow)


def _texts(values: pl.Series, dtype: pa.DataType) -> pa.Array:
    held = values.to_arrow().cast(pa.binary())
    return held if pa.types.is_binary(dtype) else held.cast(pa.string()).cast(dtype)


def _number(values: pl.Series, place: int | pl.Series, dtype: pl.DataType) -> pl.Series:
    """Return the little-endian number at a place of each value; NULL where the value is shorter."""
    return _slices(values, place, _SIZES[type(dtype)]).bin.reinterpret(dtype=dtype, endianness="little")


def _slices(values: pl.Series, place: int | pl.Series, length: int | pl.Series) -> pl.Series:
    expression = pl.lit(values).bin.slice(
        pl.lit(place) if isinstance(place, pl.Series) else place,
        pl.lit(length) if isinstance(length, pl.Series) else length,
    )
    return pl.select(expression).to_series()
