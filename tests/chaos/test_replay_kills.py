"""Processes that share one replay and are killed at any moment: each window is committed once, and no row is lost."""

from __future__ import annotations

import json
import multiprocessing
import random
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from datetime import datetime, timedelta
from itertools import product
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from chaos import child
from tidegate.state import open_state_store
from tidegate.timegrid import chunks

PATIENCE_SECONDS = 150
START = datetime(2024, 1, 1)  # noqa: DTZ001 - a source without zones
RANGE = ("--from", "2024-01-01", "--to", "2025-01-01", "--by", "2w", "--resume")
_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(["chaos.child"])


class Shared:
    """A project whose dataflow is replayed by several processes."""

    def __init__(self, root: Path, file_format: str, load_type: str, state: str | None = None) -> None:
        self.root = root
        self.format = file_format
        self.state = state
        self.source = self._rows()
        for number in range(4):
            path = root / "source" / "orders" / f"{number}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            self.source.gather_every(4, number).write_parquet(path)
        self.merges = load_type == "merge_upsert"
        destination: dict[str, Any] = {"connection_name": "lake", "table": "orders", "load_type": load_type}
        flow: dict[str, Any] = {
            "name": "orders",
            "dataflow_id": "orders",
            "source": {"connection_name": "source", "table": "orders", "watermark_columns": ["at"]},
            "destination": {**destination, **({"merge_keys": ["id"]} if self.merges else {})},
            "transform": {"deduplicate_columns": ["id"]} if self.merges else {},
        }
        places = [("source", "parquet"), ("lake", file_format)]
        connections = [
            {"name": name, "format": kind, "configure": {"base_path": str(root / name)}} for name, kind in places
        ]
        self.metadata = root / "tidegate.json"
        self.metadata.write_text(json.dumps({"connections": connections, "dataflows": [flow]}))

    def start(self, number: int, parallel: int) -> ForkServerProcess:
        """Start `tidegate replay` as a process."""
        where = ("--state", self.state) if self.state else ()
        command = ("replay", str(self.metadata), *RANGE, "--parallel", str(parallel), *where)
        events = str(self.root / f"events {number}.jsonl")
        process = _FORKED.Process(target=child.command, args=(command, events, None))
        process.start()
        return process

    def expected(self) -> list[tuple[Any, ...]]:
        """Return the rows of an undisturbed load of the range."""
        inside = self.source.filter(pl.col("at").dt.year() == 2024)
        kept = inside.sort("at").group_by("id").last() if self.merges else inside
        return sorted(kept.select("id", "at", "v").rows())

    def rows(self) -> list[tuple[Any, ...]]:
        """Return the rows that are in the table."""
        if self.format == "delta":
            frame = pl.DataFrame(pl.from_arrow(deltalake.DeltaTable(str(self._table)).to_pyarrow_table()))
        else:
            frame = pl.DataFrame(pl.from_arrow(self._iceberg().scan().to_arrow()))
        return sorted(frame.select("id", "at", "v").rows())

    def commits(self) -> Counter[tuple[str, ...]]:
        """Return how often each window was committed, from the table's log."""
        if self.format == "delta":
            records = [entry["tidegate"] for entry in deltalake.DeltaTable(str(self._table)).history()]
        else:
            summaries = [snapshot.summary for snapshot in self._iceberg().snapshots()]
            records = [json.loads(summary.additional_properties["tidegate.commit"]) for summary in summaries if summary]
        return Counter(tuple(record["window"]) for record in records)

    @property
    def _table(self) -> Path:
        return self.root / "lake" / "orders"

    def _iceberg(self) -> Any:
        lake = self.root / "lake"
        catalog = SqlCatalog("default", uri=f"sqlite:///{lake}/catalog.db", warehouse=str(lake))
        with closing(catalog):
            return catalog.load_table(("default", "orders"))

    @staticmethod
    def _rows() -> pl.DataFrame:
        chance = random.Random(3)
        minutes = chance.sample(range(-20_000, 367 * 24 * 60), 3_000)
        rows = [(chance.randrange(400), START + timedelta(minutes=minute), minute) for minute in minutes]
        return pl.DataFrame(rows, schema=["id", "at", "v"], orient="row")


def disturbed(shared: Shared, *, processes: int, parallel: int, kills: int, seed: int) -> int:
    """Run processes until all have ended by themselves; kill some at random moments, and start others for them."""
    chance, give_up = random.Random(seed), time.monotonic() + PATIENCE_SECONDS
    numbers = iter(range(1_000_000))
    running = [shared.start(next(numbers), parallel) for _ in range(processes)]
    killed = 0
    while running:
        assert time.monotonic() < give_up, "the processes do not come to an end"
        time.sleep(chance.uniform(0.02, 0.4))
        for number, process in enumerate(running):
            if killed < kills and process.is_alive() and chance.random() < 1 / processes:
                process.kill()
                process.join()
                killed += process.exitcode == -signal.SIGKILL
                running[number] = shared.start(next(numbers), parallel)
        for process in [process for process in running if not process.is_alive()]:
            assert process.exitcode == 0, [path.read_text()[-2000:] for path in shared.root.glob("events*")]
            running.remove(process)
    return killed


@pytest.mark.parametrize(
    ("processes", "load_type", "file_format"),
    [
        (1, "append", "delta"),
        (1, "merge_upsert", "iceberg"),
        *product([4], ["append", "merge_upsert"], ["delta", "iceberg"]),
    ],
)
def test_a_year_is_replayed_once_whoever_dies(tmp_path: Path, processes: int, load_type: str, file_format: str) -> None:
    """Row for row what one undisturbed load makes; each window one commit; and the position is nobody's business."""
    shared = Shared(tmp_path, file_format, load_type)
    assert disturbed(shared, processes=processes, parallel=2 if processes > 1 else 1, kills=8, seed=len(load_type)) > 0
    assert shared.rows() == shared.expected()
    assert set(shared.commits().values()) == {1}
    assert len(shared.commits()) == len(list(chunks("2024-01-01", "2025-01-01", {"weeks": 2})))
    with closing(sqlite3.connect(tmp_path / ".tidegate" / "state.db")) as state:
        assert state.execute("SELECT count(*) FROM flows").fetchone() == (0,)


def test_the_same_with_the_state_in_postgresql(tmp_path: Path, postgres_url: str) -> None:
    """Processes that share nothing but the server and the table."""
    shared = Shared(tmp_path, "delta", "append", postgres_url)
    assert disturbed(shared, processes=4, parallel=2, kills=8, seed=5) > 0
    assert shared.rows() == shared.expected()
    assert set(shared.commits().values()) == {1}
    with closing(open_state_store(postgres_url, root=tmp_path, profile=None)) as store:
        assert store.states() == []
        assert store.live_owners("") == []


def test_the_state_store_may_be_lost_between_deaths(tmp_path: Path) -> None:
    """The table alone tells which windows are in."""
    shared = Shared(tmp_path, "delta", "append")
    chance = random.Random(11)
    for number in range(4):
        process = shared.start(number, 2)
        time.sleep(chance.uniform(0.3, 1.2))
        process.kill()
        process.join()
        for file in (tmp_path / ".tidegate").glob("state.db*"):
            file.unlink()
    disturbed(shared, processes=1, parallel=2, kills=0, seed=0)
    assert shared.rows() == shared.expected()
    assert set(shared.commits().values()) == {1}
