"""A process that maintains the tables of a project.

Arguments: the project's folder, the format of its tables, and at which moment to die, `module:Class.method before` or
`... after`; without it, maintenance goes on until stdin is closed. Prints `ready` at the beginning, and at the end how
many files were put together.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from pathlib import Path

from chaos import failpoints
from tests.behaviour.project import Project
from tidegate import create_driver

STEADY_HOURS = 1


def flows(project: Project):
    """Return a flow of each kind: one that adds files, one that replaces some, one that rewrites histories."""
    return [
        project.flow("added", load_type="append", watermark="number", source="events"),
        project.flow("merged", load_type="merge_upsert", keys=["id"], watermark="number", source="events"),
        project.flow(
            "history",
            load_type="scd2",
            keys=["id"],
            watermark="number",
            source="events",
            hints={"at": "timestamp"},
            settings={"scd2_effective_column": "at"},
        ),
    ]


def maintain(project: Project, *, retention_hours: int) -> int:
    """Maintain the tables once, and return how many files were put together."""
    with create_driver(root=project.root, retention_hours=retention_hours, max_workers=1) as driver:
        result = driver.run_maintenance(dataflows=flows(project))
    assert result.failed == 0, result.errors
    return sum(unit.files_read or 0 for unit in result.units)


def main() -> None:
    """Maintain."""
    project = Project(Path(sys.argv[1]), sys.argv[2])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if len(sys.argv) > 3:
        die(*sys.argv[3].split())
        maintain(project, retention_hours=0)
        return
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    merged = 0
    while not ended.is_set():
        merged += maintain(project, retention_hours=STEADY_HOURS)
    sys.stdout.write(f"{merged}\n")


def die(target: str, when: str) -> None:
    """Kill this process before or after the first call of a method."""

    def deadly(method):
        @functools.wraps(method)
        def wrapped(*args, **options):
            if when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            method(*args, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        return wrapped

    failpoints.wrap(target, deadly)


if __name__ == "__main__":
    main()
