"""Runs one flow in a process of its own that stops short of its commit until it is told to go on.

Arguments: the project's folder, its destination format, the URL of its database or nothing, the state file, the flow
as JSON. Prints `ready` before the commit, waits for a line,
then prints the report.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.behaviour.project import Project
from tidegate import create_driver
from tidegate.reporting.events import UnitProgress
from tidegate.state import SQLiteStateStore


class PauseBeforeCommit:
    """A sink that holds the load up when its rows are written."""

    def handle(self, event: object, /) -> None:
        """Wait for a line on stdin at the commit."""
        if isinstance(event, UnitProgress) and event.phase == "committing":
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            sys.stdin.readline()

    def close(self) -> None:
        """Nothing is open."""


def main() -> None:
    """Run the flow."""
    root, destination_format, url, state, options = sys.argv[1:]
    flow = Project(Path(root), destination_format, url=url or None).flow(**json.loads(options))
    store = SQLiteStateStore(Path(state))
    with create_driver(root=Path(state).parent, state=store, sinks=[PauseBeforeCommit()]) as driver:
        (unit,) = driver.run(dataflows=[flow]).units
    sys.stdout.write(json.dumps(unit.to_dict()) + "\n")


if __name__ == "__main__":
    main()
