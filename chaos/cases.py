"""What a case is made of: strategies, flows, and the troubles that a project is put to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Format = Literal["delta", "iceberg", "parquet", "csv", "jsonl", "sql"]
FILES: tuple[Format, ...] = ("parquet", "csv", "jsonl")

Feed = Literal[
    "new rows", "late rows", "changes", "groups", "change data", "whole picture", "some partitions", "corrected tail",
    "versions", "versions and deletes",
]  # fmt: skip
"""How a source grows: see `chaos.feeds`."""

LAG_SECONDS = 200
"""How far behind the position reads start, where a feed has rows that come late."""
_LAG = {"watermark_columns": ["changed_at"], "watermark_lag": f"{LAG_SECONDS}s"}
_CHANGE_DATA = {**_LAG, "cdc": {"operation_column": "operation", "sequence_by": ["revision"]}}
_HISTORY = {"scd2_effective_column": "changed_at"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A way to load, as metadata declares it, and the feed that exercises it."""

    name: str
    load_type: str
    feed: Feed
    configure: Mapping[str, Any] = field(default_factory=dict)
    """Of the destination."""
    source: Mapping[str, Any] = field(default_factory=dict)
    transform: Mapping[str, Any] = field(default_factory=dict)
    keyed: bool = False
    keeps: Literal["deleted rows", "versions"] | None = None
    """What the table holds besides the rows that are current."""
    reloads: bool = False
    """Whether a load that died after its commit is made again, rightly: full loads cannot know it is the same one."""

    @property
    def rewrites(self) -> bool:
        """Whether it compares with the rows of the table, and replaces files of it."""
        return self.keyed or "replace_by_watermark" in self.configure


STRATEGIES = {
    strategy.name: strategy
    for strategy in (
        Strategy(name="append", load_type="append", feed="new rows", source={"watermark_columns": ["changed_at"]}),
        Strategy(name="append-late", load_type="append", feed="late rows", source=_LAG),
        Strategy(name="overwrite", load_type="overwrite", feed="whole picture", reloads=True),
        Strategy(
            name="overwrite-partitions",
            load_type="overwrite",
            feed="some partitions",
            configure={"write_options": {"partition_overwrite_mode": "dynamic"}},
            reloads=True,
        ),
        Strategy(name="merge-upsert", load_type="merge_upsert", feed="changes", source=_LAG, keyed=True),
        Strategy(name="merge-overwrite", load_type="merge_overwrite", feed="changes", source=_LAG, keyed=True),
        Strategy(
            name="merge-overwrite-groups",
            load_type="merge_overwrite",
            feed="groups",
            source={"watermark_columns": ["changed_at"]},
            transform={"deduplicate_columns": ["id", "region"]},
            keyed=True,
        ),
        Strategy(name="merge-delete", load_type="merge_delete", feed="change data", source=_CHANGE_DATA, keyed=True),
        Strategy(
            name="merge-delete-soft",
            load_type="merge_delete",
            feed="change data",
            source=_CHANGE_DATA,
            configure={"delete_mode": "soft"},
            keyed=True,
            keeps="deleted rows",
        ),
        Strategy(name="snapshot", load_type="snapshot", feed="whole picture", keyed=True, reloads=True),
        Strategy(
            name="snapshot-soft",
            load_type="snapshot",
            feed="whole picture",
            configure={"delete_mode": "soft"},
            keyed=True,
            keeps="deleted rows",
            reloads=True,
        ),
        Strategy(
            name="replace-by-watermark",
            load_type="append",
            feed="corrected tail",
            source=_LAG,
            configure={"replace_by_watermark": True},
        ),
        Strategy(
            name="scd2",
            load_type="scd2",
            feed="versions",
            source=_LAG,
            configure=_HISTORY,
            keyed=True,
            keeps="versions",
        ),
        Strategy(
            name="scd2-deletes",
            load_type="scd2",
            feed="versions and deletes",
            source={**_LAG, "cdc": {"operation_column": "operation"}},
            configure=_HISTORY,
            keyed=True,
            keeps="versions",
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One dataflow: how its source grows, and how it is loaded where."""

    name: str
    strategy: Strategy
    format: Format = "delta"
    partitioned: bool = False
    table: str = ""
    """Name of the destination; that of the flow when not given. Flows of one name write one table."""
    shard: int = 0
    shards: int = 1
    """Ids are `serial * shards + shard`: the flows of one table have no id in common, but share its files."""

    @property
    def destination(self) -> str:
        return self.table or self.name.replace("-", "_")

    @property
    def is_files(self) -> bool:
        """Whether it writes plain files."""
        return self.format in FILES


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
    """State stores; with several, racers do not see each other's leases, as on machines that share only the tables."""
    loses_state: bool = False
    """Between runs the state store is deleted, rebuilt from the tables, or an older copy restored."""
    replays: bool = False
    """All of the source is there at once, and replayed in windows; the position must stay unmoved."""
    watched: bool = False
    """A reader polls the tables all the while, and must see each increment entirely or not at all."""
    sweeps: bool = False
    """Whether every failpoint that its flow comes by must be met."""
    rows: int = 2_400
    """Rows of the first increment; later ones have about as many, or a third where they change rows."""
    kills: int = 200
    """In the full form: at random times, besides those at failpoints."""
