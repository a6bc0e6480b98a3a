"""Starts runs of Tidegate as real processes, and kills them.

A *warm* run is forked from a server that has imported everything and done nothing; a *cold* one is the console script.
"""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Protocol

from chaos import child
from chaos.cases import Flow
from chaos.project import Project

_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(["chaos.child"])
_LONGEST = 300.0
"""Seconds after which a run counts as hung."""


class _Process(Protocol):
    """What `ForkServerProcess` and our wrapper of `Popen` have in common."""

    @property
    def exitcode(self) -> int | None: ...

    def kill(self) -> None: ...

    def join(self, timeout: float | None = None) -> None: ...


@dataclass(slots=True)
class _Command:
    """A `Popen` with the manners of a `multiprocessing` process."""

    command: subprocess.Popen[bytes]

    @property
    def exitcode(self) -> int | None:
        return self.command.poll()

    def kill(self) -> None:
        self.command.kill()

    def join(self, timeout: float | None = None) -> None:
        self.command.wait(timeout)


@dataclass(slots=True, kw_only=True)
class Run:
    """One process under way, or ended."""

    process: _Process
    events: Path
    """What it writes to stderr: JSON lines."""
    started: float = field(default_factory=time.time)

    @property
    def ended(self) -> bool:
        return self.process.exitcode is not None

    @property
    def was_killed(self) -> bool:
        return self.process.exitcode == -signal.SIGKILL

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        """Wait for the end, and return the exit code."""
        self.process.join(_LONGEST)
        if self.process.exitcode is None:
            self.process.kill()
            message = f"a run did not end within {_LONGEST:.0f} seconds; its events are in {self.events}"
            raise TimeoutError(message)
        return self.process.exitcode


def start(
    project: Project,
    events: Path,
    *,
    flows: Sequence[str] = (),
    failpoint: tuple[str, int] | None = None,
    cold: bool = False,
) -> Run:
    """Start `tidegate run` on a project, or `tidegate replay`."""
    arguments = [*project.command, *(word for name in flows for word in ("--flow", name))]
    if cold:
        script = Path(sys.executable).with_name("tidegate")
        with events.open("wb") as file:
            process = subprocess.Popen([str(script), *arguments], stdout=subprocess.DEVNULL, stderr=file)
        return Run(process=_Command(process), events=events)
    return _start(arguments, events, failpoint)


def start_rebuild(project: Project, events: Path) -> Run:
    """Start `tidegate state rebuild` on a project."""
    return _start(["state", "rebuild", "--project", str(project.metadata)], events, None)


def start_reader(tables: Sequence[tuple[Path, Flow]], sightings: Path) -> ForkServerProcess:
    """Start the reader that polls tables until it is killed."""
    return _start_daemon(child.watch, tables, sightings)


def start_compaction(tables: Sequence[tuple[Path, Flow]], failures: Path) -> ForkServerProcess:
    """Start a compaction of tables that goes on until it is killed."""
    return _start_daemon(child.compact, tables, failures)


def stop(process: ForkServerProcess) -> None:
    """SIGKILL, and wait until the process is gone."""
    process.kill()
    process.join()


def _start(arguments: Sequence[str], events: Path, failpoint: tuple[str, int] | None) -> Run:
    process = _FORKED.Process(target=child.command, args=(tuple(arguments), str(events), failpoint))
    process.start()
    return Run(process=process, events=events)


def _start_daemon(target: object, tables: Sequence[tuple[Path, Flow]], file: Path) -> ForkServerProcess:
    process = _FORKED.Process(target=target, args=(list(tables), str(file)), daemon=True)  # type: ignore[arg-type]
    process.start()
    return process
