"""Parameters of a prepared statement of MySQL, as its binary protocol has them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from pymysql.constants import FIELD_TYPE


def execution(statement: int, parameters: Sequence[Any]) -> bytes:
    """Return the payload that runs a prepared statement with its parameters."""
    payload = bytearray(struct.pack("<IBI", statement, 0, 1))
    if parameters:
        nulls = sum(1 << index for index, value in enumerate(parameters) if value is None)
        written = [_written(value) for value in parameters]
        payload += nulls.to_bytes((len(parameters) + 7) // 8, "little") + b"\1"
        payload += struct.pack(f"<{len(written)}H", *(kind for kind, _ in written))
        payload += b"".join(content for _, content in written)
    return bytes(payload)


def _written(value: Any) -> tuple[int, bytes]:
    """Return the type and the bytes of a parameter. Zoned times are those of UTC, as the session's are."""
    for kind, written in _WRITTEN:
        if isinstance(value, kind):
            return written(value)
    raise TypeError(f"a parameter of type {type(value).__name__}")


def _integer(value: int) -> tuple[int, bytes]:
    if -(1 << 63) <= value < 1 << 63:
        return FIELD_TYPE.LONGLONG, struct.pack("<q", value)
    return FIELD_TYPE.NEWDECIMAL, _counted(str(value))


def _timestamp(value: datetime) -> tuple[int, bytes]:
    at = value.astimezone(UTC) if value.tzinfo else value
    parts = (at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond)
    return FIELD_TYPE.DATETIME, struct.pack("<BHBBBBBI", 11, *parts)


def _time(value: time) -> tuple[int, bytes]:
    parts = (value.hour, value.minute, value.second, value.microsecond)
    return FIELD_TYPE.TIME, struct.pack("<BBIBBBI", 12, 0, 0, *parts)


_WRITTEN: tuple[tuple[type, Callable[[Any], tuple[int, bytes]]], ...] = (
    (type(None), lambda _: (FIELD_TYPE.NULL, b"")),
    (int, _integer),
    (float, lambda value: (FIELD_TYPE.DOUBLE, struct.pack("<d", value))),
    (Decimal, lambda value: (FIELD_TYPE.NEWDECIMAL, _counted(f"{value:f}"))),
    (str, lambda value: (FIELD_TYPE.VAR_STRING, _counted(value))),
    (bytes, lambda value: (FIELD_TYPE.BLOB, _counted(value))),
    (datetime, _timestamp),
    (date, lambda value: (FIELD_TYPE.DATE, struct.pack("<BHBB", 4, value.year, value.month, value.day))),
    (time, _time),
)
"""How parameters are written; a datetime is a date, too, and so comes before."""


def _counted(value: str | bytes) -> bytes:
    """Return bytes with their length in front."""
    content = value.encode() if isinstance(value, str) else value
    for most, mark, size in ((250, b"", 1), (0xFFFF, b"\xfc", 2), (0xFFFFFF, b"\xfd", 3)):
        if len(content) <= most:
            return mark + len(content).to_bytes(size, "little") + content
    return b"\xfe" + len(content).to_bytes(8, "little") + content
