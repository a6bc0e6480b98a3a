"""Iceberg: a million rows merged by key into a table of a million, in a SQL catalog on SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bench import data
from bench.cases.base import Case, Workspace, declare, flow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class IcebergUpsert(Case):
    """Half of the rows are updates, half are new."""

    name = "iceberg-upsert"
    title = "Iceberg upsert, 1 M"
    size = 1_000_000
    short_size = 20_000
    warm_size = 1_000
    destination_format = "iceberg"
    cap_mib = 2048
    peers: ClassVar[Mapping[str, str]] = {
        "own join + overwrite": "bench.peers.iceberg:join_and_overwrite",
        "Table.upsert": "bench.peers.iceberg:upsert",
    }

    def source(self, workspace: Workspace) -> Path:
        return data.upserts(workspace.size)

    def stage(self, workspace: Workspace) -> None:
        """Create the catalog and the table with its rows."""
        from bench.peers.iceberg import create

        super().stage(workspace)
        create(self.destination(workspace), data.parquet_orders(workspace.size))

    def result_rows(self, size: int) -> int:
        return size + size // 2

    def metadata(self, workspace: Workspace) -> dict[str, Any]:
        source = self.source(workspace)
        writes = {"table": self.table, "load_type": "merge_upsert", "merge_keys": ["id"]}
        orders = flow("orders", reads={"table": source.name}, writes=writes)
        return declare(workspace, source=source.parent, formats=("parquet", "iceberg"), flows=[orders])
