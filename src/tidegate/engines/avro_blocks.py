"""The blocks of an Avro file (Avro 1.12, "Object Container Files"), some at a time: the file may be larger than memory.

A file is a header and blocks of rows, each followed by a mark that the header names. Where a block ends is known
without looking at its rows, so blocks are cut off and given, below a header of their own, to who decodes them.
"""

from __future__ import annotations

import bz2
import json
import lzma
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO, Any

from tidegate.errors import SourceError

_MAGIC = b"Obj\x01"
_MARK_LENGTH = 16
_LONGEST_NUMBER = 10
"""Bytes of a 64-bit number, 7 bits each."""
_BATCH_BYTES = 4 << 20
_BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class AvroHeader:
    """What an Avro file says of itself."""

    schema: Any
    """The writer's schema, as JSON data."""
    codec: str
    mark: bytes
    """The bytes after each block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AvroBatch:
    """Some blocks of an Avro file."""

    first_row: int
    """Number of the first row in the file, from 1."""
    rows: int
    blocks: bytes


def read_header(file: IO[bytes], path: str) -> AvroHeader:
    """Read the header of a file that stands at its start.

    Raises:
        SourceError: it is no Avro file, or of a codec that is none of Avro's (TG204).
    """
    if file.read(len(_MAGIC)) != _MAGIC:
        raise unreadable(path, "it does not begin as Avro files do")
    metadata: dict[str, bytes] = {}
    while count := _number(file, path):
        if count < 0:  # then the size of this part in bytes follows
            _number(file, path)
        for _ in range(abs(count)):
            key = _bytes(file, _number(file, path), path)
            metadata[key.decode("utf-8", "replace")] = _bytes(file, _number(file, path), path)
    try:
        schema = json.loads(metadata["avro.schema"])
    except (KeyError, ValueError):
        raise unreadable(path, "its header has no schema") from None
    codec = metadata.get("avro.codec", b"null").decode("utf-8", "replace")
    if codec not in _DECOMPRESS:
        raise unreadable(path, f"its codec is {codec!r}, which is none of {', '.join(_DECOMPRESS)}")
    return AvroHeader(schema=schema, codec=codec, mark=_bytes(file, _MARK_LENGTH, path))


def read_batches(file: IO[bytes], header: AvroHeader, path: str) -> Iterator[AvroBatch]:
    """Yield the blocks of a file that stands behind its header; those that :func:`written_header` cannot name, plain.

    Raises:
        SourceError: a block is cut off or damaged (TG204).
    """
    decompress = _DECOMPRESS[header.codec]
    blocks, rows, size, first_row = [], 0, 0, 1
    while (start := file.read(1)) != b"":
        count = _number(file, path, start, first_row + rows)
        data = _bytes(file, _number(file, path, row=first_row + rows), path, first_row + rows)
        if count < 0 or _bytes(file, _MARK_LENGTH, path, first_row + rows) != header.mark:
            raise unreadable(path, "a block does not end where it should", first_row + rows)
        if decompress is not None:
            try:
                data = decompress(data)
            except (OSError, EOFError, ValueError, lzma.LZMAError):
                raise unreadable(path, f"a block is not {header.codec}", first_row + rows) from None
        blocks += [_encoded(count), _encoded(len(data)), data, header.mark]
        rows, size = rows + count, size + len(data)
        if rows >= _BATCH_ROWS or size >= _BATCH_BYTES:
            yield AvroBatch(first_row=first_row, rows=rows, blocks=b"".join(blocks))
            blocks, rows, size, first_row = [], 0, 0, first_row + rows
    if rows:
        yield AvroBatch(first_row=first_row, rows=rows, blocks=b"".join(blocks))


def written_header(header: AvroHeader, schema: Any) -> bytes:
    """Return the header with another schema, for blocks of :func:`read_batches`."""
    codec = "null" if _DECOMPRESS[header.codec] else header.codec
    texts = (b"avro.schema", json.dumps(schema).encode(), b"avro.codec", codec.encode())
    parts = [part for text in texts for part in (_encoded(len(text)), text)]
    return b"".join((_MAGIC, _encoded(2), *parts, _encoded(0), header.mark))


def unreadable(path: str, cause: str, row: int | None = None) -> SourceError:
    """Return the error of a file that is no Avro, or is damaged from a row on."""
    where = path if row is None else f"{path}, from row {row} on"
    hint = "is it complete? write files elsewhere and move them into place once they are"
    details = {"file": path} if row is None else {"file": path, "row": row}
    return SourceError(f"the file cannot be read as avro: {cause}", details, code="TG204", where=where, hint=hint)


def _number(file: IO[bytes], path: str, start: bytes = b"", row: int | None = None) -> int:
    """Read a number: 7 bits a byte, least first, the sign in the lowest bit."""
    number = 0
    for index in range(_LONGEST_NUMBER):
        byte = start if start and index == 0 else _bytes(file, 1, path, row)
        number |= (byte[0] & 0x7F) << (7 * index)
        if not byte[0] & 0x80:
            return (number >> 1) ^ -(number & 1)
    raise unreadable(path, "a number does not end", row)


def _encoded(number: int) -> bytes:
    rest, parts = number << 1, bytearray()
    while rest > 0x7F:  # noqa: PLR2004 - seven bits
        parts.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes((*parts, rest))


def _bytes(file: IO[bytes], length: int, path: str, row: int | None = None) -> bytes:
    data = file.read(length) if length >= 0 else b""
    if len(data) != length:
        raise unreadable(path, "it is cut off", row)
    return data


def _zstandard(data: bytes) -> bytes:
    import pyarrow as pa

    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        plain: bytes = stream.read()
    return plain


_DECOMPRESS: Mapping[str, Callable[[bytes], bytes] | None] = MappingProxyType(
    {
        "null": None,
        "deflate": None,
        "snappy": None,
        "bzip2": bz2.decompress,
        "xz": lzma.decompress,
        "zstandard": _zstandard,
    }
)
"""Codec → how its blocks are made plain; None for those that who decodes the rows knows."""
