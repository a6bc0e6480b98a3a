"""The process that has imported a tool, and the loads that it forks."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.peers.moments import Course, Moment, state_of
from chaos.peers.tools import Load, Tool

_PAUSE = 0.001
_LONGEST = 120.0
"""Seconds after which a run counts as hung."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One ended run."""

    started: float
    course: Course
    code: int
    hung: bool = False
    """It did not end in time, and was ended by us: a failure, not a kill."""

    @property
    def was_killed(self) -> bool:
        return self.code == -signal.SIGKILL and not self.hung


class Server:
    """Starts loads of one tool, and kills them."""

    def __init__(self, tool: Tool, load: Load, *, home: Path) -> None:
        self._load = load
        self._process = subprocess.Popen(
            tool.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "HOME": str(home), "NO_COLOR": "1"},
        )

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def run(self, source: Path, work: Path, output: Path, moment: Moment | None) -> Run:
        """Run one load to its end, or kill it, and all that it started, at its moment."""
        stdin = self._process.stdin
        assert stdin is not None
        request = {
            "destination": self._load.destination,
            "strategy": self._load.strategy,
            "source": str(source),
            "work": str(work),
            "output": str(output),
        }
        stdin.write((json.dumps(request) + "\n").encode())
        group = self._answer()["process"]
        started = time.monotonic()
        changes, hung = self._attend(group, self._load.table(work), started, moment)
        return Run(
            started=started,
            code=self._answer()["code"],
            hung=hung,
            course=Course(seconds=time.monotonic() - started, changes=changes),
        )

    def _attend(self, group: int, table: Path, started: float, moment: Moment | None) -> tuple[int, bool]:
        """Stay until the load has ended or was killed; return the destination's changes, and whether it was hung."""
        changes, state = 0, state_of(table, self._load.destination)
        latest = started + _LONGEST
        due = started + moment.seconds if moment is not None and not moment.changes else latest
        while not select.select([self._process.stdout], [], [], max(min(_PAUSE, due - time.monotonic()), 0))[0]:
            now = time.monotonic()
            if now >= due:
                os.killpg(group, signal.SIGKILL)
                return changes, due == latest
            found = state_of(table, self._load.destination)
            if found != state:
                changes, state = changes + 1, found
                if moment is not None and moment.changes == changes:
                    due = now + moment.seconds
        return changes, False

    def _answer(self) -> dict[str, Any]:
        stdout = self._process.stdout
        assert stdout is not None
        line = stdout.readline()
        if not line:
            message = f"the driver of {self._load.tool} has ended"
            raise RuntimeError(message)
        answer: dict[str, Any] = json.loads(line)
        return answer
