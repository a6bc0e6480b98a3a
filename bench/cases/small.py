"""Many small loads, where a framework's own time shows: a thousand tiny flows, and a growing folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

from bench import data
from bench.cases.base import Case, Workspace, declare, flow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class TinyFlows(Case):
    """A thousand flows of a ten-row csv file, each into a Delta table of its own, in one run."""

    name = "tiny-flows"
    title = "tiny flows, 10 rows each"
    size = 1_000
    short_size = 20
    warm_size = 1
    unit = "flows"
    table = ""
    peers: ClassVar[Mapping[str, str]] = {
        "write_deltalake, threads": "bench.peers.small:tiny_loads",
        "write_deltalake, in turn": "bench.peers.small:tiny_loads_in_turn",
        "own commit, threads": "bench.peers.small:tiny_loads_by_own_commit",
    }
    rows_each: ClassVar[int] = 10

    def source(self, workspace: Workspace) -> Path:
        return data.tiny_csvs(workspace.size, self.rows_each)

    def rows(self, size: int) -> int:
        return size * self.rows_each

    def tables(self, workspace: Workspace) -> list[Path]:
        return [workspace.lake / name for name in self._names(workspace)]

    def metadata(self, workspace: Workspace) -> dict[str, Any]:
        flows = [
            flow(name, reads={"table": f"{name}.csv"}, writes={"table": name, "load_type": "append"}, hints=data.TYPES)
            for name in self._names(workspace)
        ]
        return declare(workspace, source=self.source(workspace), formats=("csv", "delta"), flows=flows)

    def _names(self, workspace: Workspace) -> list[str]:
        return [f"t{number:04}" for number in range(workspace.size)]


class GrowingFolder(Case):
    """Ten runs of one incremental flow over a folder to which a csv file is added before each run."""

    name = "growing-folder"
    title = "ten csv increments → Delta"
    size = 3_000_000
    short_size = 60_000
    warm_size = 20
    peers: ClassVar[Mapping[str, str]] = {
        "new files only": "bench.peers.small:load_new_files",
        "filter all files": "bench.peers.small:load_by_filter",
    }
    increments: ClassVar[int] = 10

    def source(self, workspace: Workspace) -> Path:
        data.csv_increments(self.increments, workspace.size // self.increments)
        return workspace.inbox / "orders"

    def stage(self, workspace: Workspace) -> None:
        super().stage(workspace)
        self.source(workspace).mkdir(parents=True)

    def steps(self, workspace: Workspace) -> int:
        return self.increments

    def arrive(self, workspace: Workspace, step: int) -> None:
        arriving = data.csv_increments(self.increments, workspace.size // self.increments) / f"day-{step:04}.csv"
        os.link(arriving, self.source(workspace) / arriving.name)

    def metadata(self, workspace: Workspace) -> dict[str, Any]:
        orders = flow(
            "orders",
            reads={"table": "orders", "watermark_columns": ["updated_at"]},
            writes={"table": self.table, "load_type": "append"},
            hints=data.TYPES,
        )
        return declare(workspace, source=workspace.inbox, formats=("csv", "delta"), flows=[orders])
