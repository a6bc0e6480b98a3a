"""All cases: strategy × destination, projects of many flows, races, and replays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from chaos.cases import FILES, STRATEGIES, Case, Flow, Format

_TABLES: tuple[Format, ...] = ("delta", "iceberg")
_PARTITIONED = ("append", "merge-upsert", "merge-delete-soft", "snapshot", "replace-by-watermark", "scd2")
"""Strategies that are also run with a partitioned table, in which rows move between partitions."""
_OF_FILES = ("append", "overwrite", "overwrite-partitions")


def _flow(strategy: str, destination: Format, *, partitioned: bool = False) -> Flow:
    partitioned = partitioned or strategy == "overwrite-partitions" or (strategy, destination) == ("append", "jsonl")
    kind = "-partitioned" if partitioned and strategy != "overwrite-partitions" else ""
    name = f"{strategy}{kind}-{destination}"
    return Flow(name=name, strategy=STRATEGIES[strategy], format=destination, partitioned=partitioned)


def _matrix() -> Iterator[Flow]:
    for destination in _TABLES:
        yield from (_flow(strategy, destination) for strategy in STRATEGIES)
        yield from (_flow(strategy, destination, partitioned=True) for strategy in _PARTITIONED)
    yield from (_flow(strategy, destination) for destination, strategy in product(FILES, _OF_FILES))
    yield from (_flow(strategy, "sql") for strategy in STRATEGIES)


def _alone(flow: Flow) -> Case:
    return Case(name=flow.name, flows=(flow,), watched=True, sweeps=True)


def _into_one_table(strategy: str, destination: Format, racers: int) -> Sequence[Flow]:
    table = f"{strategy.replace('-', '_')}_{destination}"
    return [
        Flow(
            name=f"{strategy}-{shard}",
            strategy=STRATEGIES[strategy],
            format=destination,
            table=table,
            shard=shard,
            shards=racers,
        )
        for shard in range(racers)
    ]


def _races() -> Iterator[Case]:
    """Two and eight processes, on one flow and on one table, with one state store and with one each."""
    for destination, racers, apart in product((*_TABLES, "parquet"), (2, 8), (False, True)):
        strategies = ["append"] if destination == "parquet" else ["append", "merge-upsert", "scd2"]
        stores, how = (racers, "apart") if apart else (1, "together")
        name = f"race-{racers}-{how}-{destination}"
        one_flow = tuple(_flow(strategy, destination) for strategy in strategies)
        yield Case(name=f"{name}-flow", flows=one_flow, racers=racers, stores=stores, rows=1_200, kills=20)
        for strategy in strategies:
            yield Case(
                name=f"{name}-{strategy}-table",
                flows=tuple(_into_one_table(strategy, destination, racers)),
                racers=racers,
                flow_each=True,
                stores=stores,
                rows=2_400 // racers,
                kills=20,
            )


def _replays() -> Iterator[Case]:
    """A range in windows: by one process, and by four at the same time."""
    for destination, strategy, racers in product(_TABLES, ("append", "merge-upsert"), (1, 4)):
        name = f"replay-{racers}-{strategy}-{destination}"
        yield Case(name=name, flows=(_flow(strategy, destination),), racers=racers, replays=True, rows=1_200, kills=20)


def _mixed() -> Iterator[Case]:
    flows = tuple(flow for flow in _matrix() if not flow.partitioned or flow.is_files)
    yield Case(name="mixed", flows=flows, rows=600, kills=30)
    yield Case(name="state-lost", flows=flows, rows=600, kills=30, loses_state=True)


CASES = {case.name: case for case in (*map(_alone, _matrix()), *_mixed(), *_races(), *_replays())}
SHORT = (
    "append-delta",
    "merge-upsert-partitioned-delta",
    "merge-delete-soft-delta",
    "snapshot-delta",
    "replace-by-watermark-delta",
    "scd2-delta",
    "append-iceberg",
    "merge-upsert-iceberg",
    "merge-delete-iceberg",
    "scd2-iceberg",
    "merge-upsert-sql",
    "scd2-sql",
    "overwrite-parquet",
    "overwrite-partitions-csv",
    "append-partitioned-jsonl",
    "race-2-apart-delta-flow",
    "race-8-together-iceberg-merge-upsert-table",
    "replay-4-append-delta",
)
"""Cases of the short form."""
