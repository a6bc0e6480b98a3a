"""Run one child process and say what it cost: its own seconds, the whole process's seconds, and its peak memory.

This process must stay small and import nothing heavy: on Linux a child's ``ru_maxrss`` starts at the resident
size its parent had when it spawned it, so a fat parent would hide a lean child.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REPOSITORY = Path(__file__).resolve().parent.parent
LONGEST_SECONDS = 1800.0


class ChildFailedError(RuntimeError):
    """A measured process ended badly; the message is the tail of what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one process cost."""

    work_seconds: float
    """The measured section alone: after imports, before the interpreter ends."""
    process_seconds: float
    """The whole process: start-up, imports, work, end."""
    peak_mib: float
    """The largest resident size the process reached."""
    answer: Mapping[str, Any]
    """The JSON object the process printed as its last line."""


def run_child(arguments: Sequence[str], *, prefix: Sequence[str] = (), python: str = sys.executable) -> Measurement:
    """Run ``python -m bench.child`` with `arguments` and wait for it.

    Args:
        arguments: what follows ``python -m bench.child``.
        prefix: a command that runs the child for us (a memory cap), or nothing.
        python: the interpreter.

    Raises:
        ChildFailedError: the child ended with another code than 0, or answered nothing.
    """
    command = [*prefix, python, "-m", "bench.child", *arguments]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.sync()
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=REPOSITORY, env=_environment(), stdout=out, stderr=err)
        patience = threading.Timer(LONGEST_SECONDS, process.kill)
        patience.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        finally:
            patience.cancel()
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        said, complained = _text(out), _text(err)
    if process.returncode != 0 or not said.strip():
        ending = "\n".join((complained or said).strip().splitlines()[-25:])
        message = f"{' '.join(arguments)}: exit code {process.returncode}\n{ending}"
        raise ChildFailedError(message)
    answer = json.loads(said.strip().splitlines()[-1])
    return Measurement(
        work_seconds=answer.get("seconds", seconds),
        process_seconds=seconds,
        peak_mib=used.ru_maxrss / 1024,
        answer=answer,
    )


def best_wall_seconds(command: Sequence[str], *, times: int) -> float:
    """The shortest of `times` whole runs of `command`, whose output is thrown away.

    Raises:
        ChildFailedError: a run ended with another code than 0.
    """
    shortest = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        ended = subprocess.run(command, cwd=REPOSITORY, env=_environment(), capture_output=True, text=True, check=False)
        shortest = min(shortest, time.perf_counter() - began)
        if ended.returncode != 0:
            raise ChildFailedError(f"{' '.join(command)}: exit code {ended.returncode}\n{ended.stderr[-2000:]}")
    return shortest


def _environment() -> dict[str, str]:
    """Our environment, with the repository and its ``src`` importable whether Tidegate is installed or not."""
    found = os.environ.get("PYTHONPATH")
    paths = [*([found] if found else []), str(REPOSITORY), str(REPOSITORY / "src")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "NO_COLOR": "1"}


def _text(file: IO[bytes]) -> str:
    """All that was written to a temporary file."""
    file.seek(0)
    return file.read().decode(errors="replace")
