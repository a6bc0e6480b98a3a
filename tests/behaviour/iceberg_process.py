"""A process that loads a source of its own into one Iceberg table, several times.

Arguments: the project's folder, the process's number, the load type, how many loads, and at which step to die: a step
is the begin or the end of a call that reads or writes something that lasts; 0 is none. Prints `ready`, begins when a
line comes, and prints at the end how many steps it was.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table.update.snapshot import _SnapshotProducer
from sqlalchemy.orm import Session

from tests.behaviour.project import Project
from tidegate.engines.polars import PolarsEngine
from tidegate.platforms.local import LocalPlatform
from tidegate.state import SQLiteStateStore


def main() -> None:
    """Load."""
    root, number, load_type = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    loads = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    project = Project(root, "iceberg")
    keys = ["id"] if load_type == "merge_upsert" else []
    flow = project.flow("events", source=str(number), name=f"load_{number}", load_type=load_type, keys=keys)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    steps = Steps(int(sys.argv[5]) if len(sys.argv) > 5 else 0)
    for load in range(loads):
        if not (project.source_root / f"{number}/{load}.csv").exists():
            project.csv(f"{number}/{load}.csv", "id,owner", *(f"{load * 10 + row},{number}" for row in range(10)))
        project.load(flow, state=root / f"state-{number}.db")
    sys.stdout.write(f"{steps.count}\n")


LASTING: tuple[tuple[Any, str], ...] = (
    (SqlCatalog, "create_tables"),
    (SqlCatalog, "create_namespace"),
    (SqlCatalog, "load_table"),
    (SqlCatalog, "commit_table"),
    (SqlCatalog, "_write_metadata"),
    (Session, "commit"),
    (_SnapshotProducer, "new_manifest_output"),
    (_SnapshotProducer, "_commit"),
    (LocalPlatform, "remove"),
    (LocalPlatform, "make_folder"),
    (PolarsEngine, "write"),
    (SQLiteStateStore, "write"),
)


class Steps:
    """Counts steps, and kills the process at one of them."""

    def __init__(self, last: int) -> None:
        self.count = 0
        self._last = last
        for owner, name in LASTING:
            original = inspect.getattr_static(owner, name)
            counted = self._counted(original.__func__ if isinstance(original, staticmethod) else original)
            setattr(owner, name, staticmethod(counted) if isinstance(original, staticmethod) else counted)

    def _counted(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            self._step()
            result = original(*args, **options)
            self._step()
            return result

        return counted

    def _step(self) -> None:
        self.count += 1
        if self.count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
