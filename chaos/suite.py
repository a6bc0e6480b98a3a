"""Runs cases side by side, in as many processes."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from chaos.campaign import run_case
from chaos.matrix import CASES
from chaos.outcome import Outcome

_SHORT_KILLS = 5
_SHORT_SWEEPS = 6
"""Failpoints that a case of the short form must meet; which ones, the seed says."""
_SHORT_ROWS = 1_200


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What was asked for of every case."""

    kills: int | None
    """At random times; what the case says when not given."""
    short: bool
    seed: int
    root: Path

    def __call__(self, name: str) -> Outcome:
        """Run a case."""
        case = replace(CASES[name], rows=min(CASES[name].rows, _SHORT_ROWS)) if self.short else CASES[name]
        wanted = (_SHORT_KILLS if self.short else case.kills) if self.kills is None else self.kills
        sweeps = _SHORT_SWEEPS if self.short else None
        return run_case(case, kills=wanted, sweeps=sweeps, seed=self.seed, folder=self.root / name, tell=tell)


def run_all(names: Sequence[str], task: Task, *, jobs: int) -> list[Outcome]:
    """Run cases, so many at a time."""
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawned) as pool:
        return list(pool.map(task, names))


def tell(line: str) -> None:
    """Progress, on stderr."""
    print(line, file=sys.stderr, flush=True)
