"""When a run is killed: at any time, or as the destination changes."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from chaos.peers.tables import visible_files
from chaos.peers.tools import Destination

Series = Literal["any time", "at a change"]

_LONGEST_DELAY = 0.02
"""Seconds after a change within which a run is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A run dies when it has changed the destination so many times, and some seconds later."""

    changes: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How an undisturbed load went: its length in seconds, and how often it changed the destination."""

    seconds: float
    changes: int

    def draw(self, series: Series, chance: random.Random) -> Moment:
        """Draw a moment: a time in the load's length, or a few milliseconds after one of its changes."""
        part = chance.random()
        if series == "any time" or not self.changes:
            return Moment(changes=0, seconds=part * self.seconds)
        return Moment(changes=chance.randint(1, self.changes), seconds=part * _LONGEST_DELAY)


def state_of(table: Path, destination: Destination) -> Any:
    """Return what changes when readers may see something new: a log entry, a file of a folder, a database's file."""
    try:
        if destination == "delta":
            return sorted(os.listdir(table / "_delta_log"))  # noqa: PTH208 - faster, and polled
        if destination == "duckdb":
            files = [file for file in (table, table.with_name(f"{table.name}.wal")) if file.exists()]
            return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        return [(file.name, file.stat().st_ino) for file in visible_files(table)]
    except FileNotFoundError:
        return []
