"""The Tidegate project of a case: its metadata, its folders, and what its state store says."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.cases import Case, Flow
from chaos.database_tables import DATABASE
from chaos.feeds import SECONDS
from chaos.rows import time_of
from tidegate.models.base import derived_id
from tidegate.state import FlowState, SQLiteStateStore

REPLAYED = 3
"""Increments that are there when a replay begins."""
_FILES_A_LOAD = 4
"""Each load writes several files, so that a kill can land between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project folder that writes to a lake; several projects may write to one."""

    case: Case
    root: Path
    lake: Path
    sources: Path

    def create(self) -> None:
        """Write the metadata."""
        self.root.mkdir(parents=True)
        self.lake.mkdir(parents=True, exist_ok=True)
        self.metadata.write_text(json.dumps(self._declared(), indent=2), encoding="utf-8")

    @property
    def command(self) -> tuple[str, ...]:
        """What is run, again and again: a load of what is new, or a replay."""
        if not self.case.replays:
            return ("run", str(self.metadata))
        parallel = str(2 if self.case.racers > 1 else 1)
        start, end = (time_of(number * SECONDS).isoformat() for number in (-1, REPLAYED + 1))
        range_ = ("--from", start, "--to", end, "--by", "2min")
        return ("replay", str(self.metadata), *range_, "--parallel", parallel, "--resume")

    @property
    def metadata(self) -> Path:
        return self.root / "tidegate.json"

    @property
    def state_file(self) -> Path:
        return self.root / ".tidegate" / "state.db"

    def table(self, flow: Flow) -> Path:
        return self.lake / flow.destination

    def state(self, flow: Flow) -> FlowState | None:
        """What the state store says of a flow."""
        store = SQLiteStateStore(self.state_file)
        try:
            return store.read(dataflow_id(flow))
        finally:
            store.close()

    def _declared(self) -> dict[str, Any]:
        formats = sorted({flow.format for flow in self.case.flows})
        base = {"base_path": str(self.lake)}
        database = {"database_type": "sqlite", "database": str(self.lake / DATABASE)}
        lake = [
            {"name": f"lake_{name}", "format": name, "configure": database if name == "sql" else base}
            for name in formats
        ]
        source = {"name": "source", "format": "parquet", "configure": {"base_path": str(self.sources)}}
        return {"connections": [source, *lake], "dataflows": [self._dataflow(flow) for flow in self.case.flows]}

    def _dataflow(self, flow: Flow) -> dict[str, Any]:
        strategy = flow.strategy
        rows_per_file = max(self.case.rows // _FILES_A_LOAD, 100)
        of_files = {"max_rows_per_file": rows_per_file} if flow.format != "sql" else {}
        write_options = {**of_files, **strategy.configure.get("write_options", {})}
        destination: dict[str, Any] = {
            "connection_name": f"lake_{flow.format}",
            "table": flow.destination,
            "load_type": strategy.load_type,
            "configure": {**strategy.configure, "write_options": write_options},
        }
        if strategy.keyed:
            destination["merge_keys"] = ["id"]
        if flow.partitioned:
            destination["partition_columns"] = ["region"]
        source = {"connection_name": "source", "table": flow.name, **strategy.source}
        return {"name": flow.name, "source": source, "destination": destination, "transform": dict(strategy.transform)}


def dataflow_id(flow: Flow) -> str:
    """The id under which Tidegate keeps the flow's position."""
    return derived_id("dataflow", flow.name)


class StateTrouble:
    """What can befall a state store between runs: deleted, or an older copy restored; and then rebuilt, or not."""

    def __init__(self, project: Project, copies: Path, chance: random.Random) -> None:
        self._file = project.state_file
        self._copies = copies
        self._chance = chance

    def keep_copy(self, number: int) -> None:
        """Make a backup as an administrator would."""
        self._copies.mkdir(parents=True, exist_ok=True)
        copy = self._copies / f"{number:04d}.db"
        with closing(sqlite3.connect(self._file)) as live, closing(sqlite3.connect(copy)) as backup:
            live.backup(backup)

    def strike(self) -> str | None:
        """Let something happen, or nothing; return what."""
        copies = sorted(self._copies.glob("*.db"))
        what = self._chance.choice(["deleted", "deleted without its wal", "restored", None])
        if what is None or not self._file.exists() or (what == "restored" and not copies):
            return None
        self._file.unlink()
        if what != "deleted without its wal":
            for suffix in ("-wal", "-shm"):
                self._file.with_name(self._file.name + suffix).unlink(missing_ok=True)
        if what == "restored":
            shutil.copyfile(self._chance.choice(copies), self._file)
        return what
