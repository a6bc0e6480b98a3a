"""The reader: a process that opens a table every five milliseconds and writes down how many rows it finds.

Run as `python -m chaos.peers.reader DESTINATION STRATEGY TABLE SIGHTINGS`; it ends when it is killed, or left alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import deltalake
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from chaos.peers.feed import Strategy
from chaos.peers.tables import IS_CURRENT, visible_files
from chaos.peers.tools import Load

_PAUSE = 0.005
_REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(slots=True, kw_only=True)
class Watch:
    """A reader process, from the first increment of a campaign to the last."""

    load: Load
    table: Path
    sightings: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start the reader, if the destination can be read meanwhile; return when it polls."""
        if not self.load.watched:
            return
        words = [self.load.destination, self.load.strategy, str(self.table), str(self.sightings)]
        self._process = subprocess.Popen([sys.executable, "-m", "chaos.peers.reader", *words], cwd=_REPOSITORY)
        while not self.sightings.exists():
            time.sleep(0.01)

    def stop(self) -> None:
        """Kill the reader."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def holes(self, spans: Sequence[tuple[float, float]], before: int, after: int, *, surplus: bool) -> list[str]:
        """Return for each time span in which the reader met a hole what it met first.

        A hole is a table that cannot be read, or one with as many rows as it had neither before nor after the load.
        But where the load has left a surplus of rows, that is counted as such, and too many rows are no hole as well.
        What the reader saw last holds until it sees something else.
        """
        if not self.load.watched:
            return []
        lines = self.sightings.read_text(encoding="utf-8").split("\n")[:-1]
        seen: list[dict[str, Any]] = [json.loads(line) for line in lines]
        times = [each["at"] for each in seen]
        found = []
        for begin, end in spans:
            first = max(bisect_right(times, begin) - 1, 0)
            met = [each for each in seen[first : bisect_right(times, end)] if _is_hole(each, before, after, surplus)]
            found += [met[0].get("failure") or f"{met[0]['rows']} rows" for _ in met[:1]]
        return found


def _is_hole(sighting: dict[str, Any], before: int, after: int, surplus: bool) -> bool:  # noqa: FBT001
    if "failure" in sighting:
        return True
    rows = sighting["rows"]
    return rows not in {before, after} and not (surplus and rows > after)


def _poll(destination: str, strategy: Strategy, table: Path, sightings: Path) -> None:
    looked: Any = None
    last: dict[str, Any] | None = None
    parent = os.getppid()
    with sightings.open("w", encoding="utf-8") as file:
        while os.getppid() == parent:
            at = time.monotonic()
            try:
                state = _version(table) if destination == "delta" else _listing(table)
                seen = None if state == looked else {"rows": _count(destination, strategy, table)}
                looked = state
            except Exception as error:  # noqa: BLE001 - whatever it is, a reader has met it
                seen, looked = {"failure": f"{type(error).__name__}: {error}"[:200]}, None
            if seen is not None and seen != last:
                file.write(json.dumps({"at": at, **seen}) + "\n")
                file.flush()
                last = seen
            time.sleep(_PAUSE)


def _version(table: Path) -> int:
    return deltalake.DeltaTable(table).version() if any(table.glob("_delta_log/*.json")) else -1


def _listing(table: Path) -> list[tuple[str, int, int]]:
    states = [(str(file), file.stat()) for file in visible_files(table)]
    return [(name, state.st_size, state.st_mtime_ns) for name, state in states]


def _count(destination: str, strategy: Strategy, table: Path) -> int:
    """Count the rows; of a history, those that are current."""
    if destination == "delta":
        if _version(table) < 0:
            return 0
        rows = deltalake.DeltaTable(table).to_pyarrow_dataset()
        return rows.count_rows(filter=ds.field(IS_CURRENT)) if strategy == "scd2" else rows.count_rows()
    return sum(pq.ParquetFile(file).metadata.num_rows for file in visible_files(table))


if __name__ == "__main__":
    _poll(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))  # type: ignore[arg-type]
