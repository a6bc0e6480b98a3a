"""The cases: which flows run, and what is done to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Feed = Literal["new files", "one growing file", "changes", "whole picture"]
"""How a source grows: see `chaos.feeds`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One dataflow: how its source grows, and how it is loaded where."""

    name: str
    feed: Feed
    load_type: str
    format: str = "delta"
    partitioned: bool = False
    table: str = ""
    """Name of the destination; that of the flow when not given. Flows of one name write one table."""
    shard: int = 0
    shards: int = 1
    """Ids are `serial * shards + shard`: the flows of one table have no id in common, but share its files."""

    @property
    def destination(self) -> str:
        return self.table or self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A project, and the troubles it is put to."""

    name: str
    flows: tuple[Flow, ...]
    racers: int = 1
    """Processes that run at the same time."""
    flow_each: bool = False
    """Each racer runs one flow (`--flow`), racer i the i-th; else each runs the project."""
    stores: int = 1
    """State stores; with two, racers do not see each other's leases, as on machines that share only the tables."""
    loses_state: bool = False
    """Between runs the state store is deleted, or an older copy restored."""
    watched: bool = False
    """A reader polls the tables all the while, and must see each increment entirely or not at all."""
    rows: int = 60_000
    """Rows of an increment."""


def _solo(flow: Flow, *, watched: bool = False, rows: int = 60_000) -> Case:
    return Case(name=flow.name, flows=(flow,), watched=watched, rows=rows)


APPEND_DELTA = Flow(name="append-delta", feed="new files", load_type="append")
APPEND_GROWING = Flow(name="append-growing-file", feed="one growing file", load_type="append")
MERGE_DELTA = Flow(name="merge-delta", feed="changes", load_type="merge_upsert")
MERGE_PARTITIONED = Flow(name="merge-delta-partitioned", feed="changes", load_type="merge_upsert", partitioned=True)
OVERWRITE_DELTA = Flow(name="overwrite-delta", feed="whole picture", load_type="overwrite")
APPEND_PARQUET = Flow(name="append-parquet", feed="new files", load_type="append", format="parquet")
APPEND_CSV = Flow(name="append-csv", feed="one growing file", load_type="append", format="csv")
APPEND_JSONL = Flow(name="append-jsonl", feed="new files", load_type="append", format="jsonl", partitioned=True)
OVERWRITE_PARQUET = Flow(name="overwrite-parquet", feed="whole picture", load_type="overwrite", format="parquet")

_FLOWS = (
    APPEND_DELTA,
    APPEND_GROWING,
    MERGE_DELTA,
    MERGE_PARTITIONED,
    OVERWRITE_DELTA,
    APPEND_PARQUET,
    APPEND_CSV,
    APPEND_JSONL,
    OVERWRITE_PARQUET,
)


def _pair(name: str, feed: Feed, load_type: str, file_format: str = "delta") -> tuple[Flow, Flow]:
    """Two flows into one table."""
    first, second = (
        Flow(
            name=f"{name}-{shard}",
            feed=feed,
            load_type=load_type,
            format=file_format,
            table=name,
            shard=shard,
            shards=2,
        )
        for shard in (0, 1)
    )
    return first, second


_ALL = (
    _solo(APPEND_DELTA),
    _solo(APPEND_GROWING),
    _solo(MERGE_DELTA, watched=True),
    _solo(MERGE_PARTITIONED, watched=True),
    _solo(OVERWRITE_DELTA, watched=True),
    _solo(APPEND_PARQUET),
    _solo(APPEND_CSV),
    _solo(APPEND_JSONL),
    _solo(OVERWRITE_PARQUET),
    Case(name="mixed", flows=_FLOWS, rows=20_000),
    Case(name="state-lost", flows=_FLOWS, rows=20_000, loses_state=True),
    Case(
        name="race-one-flow",
        flows=(APPEND_DELTA, MERGE_DELTA, APPEND_PARQUET, OVERWRITE_PARQUET),
        racers=2,
        rows=20_000,
    ),
    Case(name="race-apart", flows=(APPEND_DELTA, MERGE_DELTA, APPEND_PARQUET), racers=2, stores=2, rows=20_000),
    Case(name="race-append-table", flows=_pair("orders", "new files", "append"), racers=2, flow_each=True),
    Case(
        name="race-merge-table",
        flows=_pair("stock", "changes", "merge_upsert"),
        racers=2,
        flow_each=True,
        watched=False,
    ),
    Case(name="race-parquet-folder", flows=_pair("events", "new files", "append", "parquet"), racers=2, flow_each=True),
)

CASES = {case.name: case for case in _ALL}
SHORT = {"append-delta": 3, "merge-delta-partitioned": 3, "overwrite-parquet": 3, "mixed": 3, "race-one-flow": 3}
"""Kills per case of the short form."""
