"""A merge of 1 % updates and 0.1 % inserts into a Delta table of ten files."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, ClassVar

from bench import data
from bench.cases.base import Case, Workspace, declare, flow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class ScatteredMerge(Case):
    """The changes touch every file of the table."""

    name = "merge-scattered"
    title = "merge 1 %, scattered"
    size = 10_000_000
    short_size = 200_000
    warm_size = 1_000
    cap_mib = 2048
    clustered: ClassVar[bool] = False
    peers: ClassVar[Mapping[str, str]] = {
        "own, file by file": "bench.peers.merges:copy_on_write",
        "own, by anti join": "bench.peers.merges:copy_on_write_by_anti_join",
        "own, into one file": "bench.peers.merges:copy_on_write_in_one_file",
        "DeltaTable.merge": "bench.peers.merges:delta_merge",
    }

    def source(self, workspace: Workspace) -> Path:
        return data.changes(workspace.size, clustered=self.clustered)

    def stage(self, workspace: Workspace) -> None:
        """Lay the table."""
        super().stage(workspace)
        lay_links(data.delta_orders(workspace.size), self.destination(workspace))

    def result_rows(self, size: int) -> int:
        return size + data.change_counts(size)[1]

    def metadata(self, workspace: Workspace) -> dict[str, Any]:
        source = self.source(workspace)
        writes = {"table": self.table, "load_type": "merge_upsert", "merge_keys": ["id"]}
        orders = flow("orders", reads={"table": source.name}, writes=writes)
        return declare(workspace, source=source.parent, formats=("parquet", "delta"), flows=[orders])


class ClusteredMerge(ScatteredMerge):
    """The changes touch the last file of the table alone."""

    name = "merge-clustered"
    title = "merge 1 %, clustered"
    clustered = True


def lay_links(standing: Path, table: Path) -> None:
    """Lay a copy of a Delta table: its log copied, its data files linked (Delta never changes a data file)."""
    shutil.copytree(standing, table, copy_function=os.link, ignore=shutil.ignore_patterns("_delta_log"))
    shutil.copytree(standing / "_delta_log", table / "_delta_log")
