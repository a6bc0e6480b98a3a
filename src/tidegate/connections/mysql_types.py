"""The columns of MySQL's results, and which Arrow type each is read as."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from pymysql.constants import FIELD_TYPE, FLAG

from tidegate.connections.exact import MOST_DIGITS

_BINARY_CHARSET = 63
_ZONED = pa.timestamp("us", "UTC")
_INTEGERS = {
    FIELD_TYPE.TINY: (pa.int8(), pa.uint8()),
    FIELD_TYPE.SHORT: (pa.int16(), pa.uint16()),
    FIELD_TYPE.YEAR: (pa.int16(), pa.int16()),
    FIELD_TYPE.INT24: (pa.int32(), pa.uint32()),
    FIELD_TYPE.LONG: (pa.int32(), pa.uint32()),
    FIELD_TYPE.LONGLONG: (pa.int64(), pa.uint64()),
}
_OTHERS = {
    FIELD_TYPE.FLOAT: pa.float32(),
    FIELD_TYPE.DOUBLE: pa.float64(),
    FIELD_TYPE.DATE: pa.date32(),
    FIELD_TYPE.NEWDATE: pa.date32(),
    FIELD_TYPE.DATETIME: pa.timestamp("us"),
    FIELD_TYPE.TIMESTAMP: _ZONED,
    FIELD_TYPE.TIME: pa.time64("us"),
    FIELD_TYPE.JSON: pa.string(),
    FIELD_TYPE.NULL: pa.string(),
}
_DECIMALS = frozenset({FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A column of a result, as the server describes it."""

    name: str
    type_code: int
    flags: int
    charset: int
    length: int
    scale: int

    @property
    def unsigned(self) -> bool:
        """Whether its numbers have no sign."""
        return bool(self.flags & FLAG.UNSIGNED)

    @property
    def is_long_decimal(self) -> bool:
        """Whether it is a decimal of more digits than Arrow, Polars and Delta have: such a one is read as text."""
        return self.type_code in _DECIMALS and self._precision > MOST_DIGITS

    @property
    def _precision(self) -> int:
        return self.length - (self.scale > 0) - (not self.unsigned)

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type that holds all its values; of `tinyint(1)` bool, as MySQL's BOOLEAN is no type of its own."""
        if self.type_code in _INTEGERS:
            is_flag = self.type_code == FIELD_TYPE.TINY and self.length == 1 and not self.unsigned
            return pa.bool_() if is_flag else _INTEGERS[self.type_code][self.unsigned]
        if self.type_code in _DECIMALS:
            return pa.string() if self.is_long_decimal else pa.decimal128(self._precision, self.scale)
        if self.type_code == FIELD_TYPE.BIT:
            return pa.bool_() if self.length == 1 else pa.uint64()
        if self.type_code in _OTHERS:
            return _OTHERS[self.type_code]
        return pa.binary() if self.charset == _BINARY_CHARSET else pa.string()
