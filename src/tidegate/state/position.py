"""The position of a dataflow: what it has read of its source, exactly.

A watermark alone loses or doubles the rows that tie at the boundary. So a position also holds the hashes of the rows
that the next read will meet again (ties at the boundary, the tail of a `watermark_lag`, rows whose watermark is NULL),
and of each file read its path and stamp, so that an unchanged file is not read twice and a changed one is noticed.
It travels in the destination's commit, and so is as durable as the rows themselves.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from tidegate.errors import WatermarkError
from tidegate.state.watermark import Value, decode_value, encode_value, render_value


def fingerprint(*parts: object) -> int:
    """Return a 64-bit hash of the parts, equal on every machine and version (BLAKE2b)."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """Rows that one load saw and a later read may meet again: a multiset of row hashes.

    `up_to` is the watermark that they reach; once the next read starts above it they are forgotten. It is empty for
    rows whose watermark is NULL, which no read ever starts above.
    """

    up_to: Mapping[str, Value]
    hashes: Counter[int]
    complete: bool = True
    """Whether they are all of its rows. A load that may take a row again need not remember it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRows:
    """Rows that the next read meets again and must recognise, by the hash of the named columns."""

    columns: tuple[str, ...] = ()
    types: Mapping[str, Any] = field(default_factory=dict)
    """Column → type as JSON data, of values as they were read. Empty where values were hashed as they were converted,
    which earlier versions did."""
    generations: tuple[Generation, ...] = ()
    since: Mapping[str, Value] = field(default_factory=dict)
    """Watermark column → value from which on all rows read so far are remembered."""
    table: str = ""
    """Id of the table that was read, where versions of another one could be taken for its own."""

    def hashes(self) -> Counter[int]:
        """Return all hashes as one multiset."""
        total: Counter[int] = Counter()
        for generation in self.generations:
            total.update(generation.hashes)
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a dataflow stands. The empty position is that of a dataflow that never loaded."""

    watermark: Mapping[str, Value] = field(default_factory=dict)
    seen_rows: SeenRows = field(default_factory=SeenRows)
    seen_files: Mapping[int, int] = field(default_factory=dict)
    """Fingerprint of each file's path → fingerprint of its stamp (size and modification time)."""
    cursor_columns: tuple[str, ...] = ()
    """Watermark columns by which rows were told apart."""
    floor: Mapping[str, Value] = field(default_factory=dict)
    """Watermark column → value from which on loads have read so far; empty for from the start."""
    replays_seen: int = 0
    """How many commits of replays the last load has looked at: only later ones may meet the next load."""
    date_folder: datetime | None = None
    """Date of the newest dated folder that was read, as its name has it: without a zone."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Column → type of the source as it was read, so that a later read takes the same types."""

    def __bool__(self) -> bool:
        """Tell whether anything was read."""
        return bool(self.watermark or self.seen_files or self.columns)

    def to_data(self) -> dict[str, Any]:
        """Return the position as JSON data."""
        return {
            "watermark": _encoded(self.watermark),
            "seen_rows": {
                "columns": list(self.seen_rows.columns),
                **({"types": dict(self.seen_rows.types)} if self.seen_rows.types else {}),
                "generations": [
                    {
                        "up_to": _encoded(generation.up_to),
                        "hashes": _pack(sorted(generation.hashes.elements())),
                        **({} if generation.complete else {"complete": False}),
                    }
                    for generation in self.seen_rows.generations
                ],
                "since": _encoded(self.seen_rows.since),
                **({"table": self.seen_rows.table} if self.seen_rows.table else {}),
            },
            "seen_files": _pack(number for pair in self.seen_files.items() for number in pair),
            "cursor_columns": list(self.cursor_columns),
            **({"floor": _encoded(self.floor)} if self.floor else {}),
            **({"replays_seen": self.replays_seen} if self.replays_seen else {}),
            **({"date_folder": self.date_folder.isoformat()} if self.date_folder else {}),
            "columns": dict(self.columns),
        }

    @classmethod
    def from_data(cls, data: object) -> Self:
        """Return the position that :meth:`to_data` wrote.

        Raises:
            WatermarkError: the data is damaged. A damaged position is never taken for the empty one.
        """
        try:
            if not isinstance(data, dict):
                raise TypeError(type(data).__name__)
            files = _unpack(data["seen_files"])
            return cls(
                watermark=_decoded(data["watermark"]),
                seen_rows=SeenRows(
                    columns=tuple(data["seen_rows"]["columns"]),
                    types=dict(data["seen_rows"].get("types", {})),
                    generations=tuple(
                        Generation(
                            up_to=_decoded(item["up_to"]),
                            hashes=Counter(_unpack(item["hashes"])),
                            complete=bool(item.get("complete", True)),
                        )
                        for item in data["seen_rows"]["generations"]
                    ),
                    since=_decoded(data["seen_rows"]["since"]),
                    table=str(data["seen_rows"].get("table", "")),
                ),
                seen_files=dict(zip(files[::2], files[1::2], strict=True)),
                cursor_columns=tuple(data["cursor_columns"]),
                floor=_decoded(data.get("floor", {})),
                replays_seen=int(data.get("replays_seen", 0)),
                date_folder=datetime.fromisoformat(data["date_folder"]) if "date_folder" in data else None,
                columns=dict(data["columns"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            msg = f"the stored position is damaged: {error!r}"
            hint = "`tidegate state rebuild` reads positions from the destinations"
            raise WatermarkError(msg, code="TG504", hint=hint) from error

    def render(self) -> str:
        """Return the position in one line, as people read it."""
        if self.watermark:
            return ", ".join(f"{column}={render_value(value)}" for column, value in self.watermark.items())
        if self.seen_files:
            return f"{len(self.seen_files)} file{'s' if len(self.seen_files) > 1 else ''}"
        return "start"


def _encoded(watermark: Mapping[str, Value]) -> dict[str, object]:
    return {column: encode_value(value) for column, value in watermark.items()}


def _decoded(data: Mapping[str, object]) -> dict[str, Value]:
    return {column: decode_value(value) for column, value in data.items()}


def _pack(numbers: Iterable[int]) -> str:
    return base64.b64encode(array("Q", numbers).tobytes()).decode()


def _unpack(text: str) -> list[int]:
    numbers = array("Q")
    numbers.frombytes(base64.b64decode(text, validate=True))
    return list(numbers)
