"""SCD2: twenty thousand changes into a Delta table of versions of ten files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bench import data
from bench.cases.base import Case, Workspace, declare, flow
from bench.cases.merges import lay_links

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class LongHistory(Case):
    """Nine tenths of the changes are of old orders, scattered over the table; one tenth are new ones."""

    name = "scd2-10m"
    title = "SCD2, 20 k into 10 M"
    size = 10_000_000
    short_size = 200_000
    warm_size = 1_000
    cap_mib = 2048
    peers: ClassVar[Mapping[str, str]] = {
        "own, file by file": "bench.peers.histories:copy_on_write",
        "DeltaTable.merge, staged": "bench.peers.histories:delta_merge",
    }

    def source(self, workspace: Workspace) -> Path:
        return data.history_changes(workspace.size)

    def stage(self, workspace: Workspace) -> None:
        """Lay the table."""
        super().stage(workspace)
        lay_links(data.delta_history(workspace.size), self.destination(workspace))

    def result_rows(self, size: int) -> int:
        return size + data.history_change_count(size)

    def metadata(self, workspace: Workspace) -> dict[str, Any]:
        source = self.source(workspace)
        writes = {
            "table": self.table,
            "load_type": "scd2",
            "merge_keys": ["id"],
            "configure": {"scd2_effective_column": "updated_at"},
        }
        orders = flow("orders", reads={"table": source.name}, writes=writes)
        return declare(workspace, source=source.parent, formats=("parquet", "delta"), flows=[orders])


class ShortHistory(LongHistory):
    """The same changes are a larger part of a smaller table."""

    name = "scd2-1m"
    title = "SCD2, 20 k into 1 M"
    size = 1_000_000
    short_size = 50_000
