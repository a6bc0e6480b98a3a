"""Run a case on both sides in turn, A B A B, and hold their results against each other."""

from __future__ import annotations

import shutil
import statistics
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cap import Cap, memory_cap
from bench.child import TIDEGATE
from bench.data import cache_folder
from bench.measure import ChildFailedError, Measurement, run_child
from bench.tools import python_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bench.cases import Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All that was measured of one case."""

    case: Case
    size: int
    asked: list[str]
    """The sides that were to run, in order."""
    sides: dict[str, list[Measurement]] = field(default_factory=dict)
    """Side to its runs, in order; the first side is the yardstick."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Side and what was wrong with it."""
    cap: Cap | None = None

    @property
    def yardstick(self) -> str:
        """The hand-written way that Tidegate is compared with."""
        return next(iter(self.case.peers))

    @property
    def failed(self) -> bool:
        """Whether the comparison failed: another hand-written way than the yardstick may fail, which only says so."""
        return any(side in {self.yardstick, TIDEGATE} for side, _ in self.failures)

    def median(self, side: str, what: str) -> float | None:
        """The median over the runs of one field of `Measurement`, or None when the side did not run."""
        runs = self.sides.get(side)
        return statistics.median(getattr(run, what) for run in runs) if runs else None

    def ratio(self, side: str, what: str) -> float | None:
        """The median of the pairwise ratios of `side` to the yardstick, or None without a whole pair."""
        pairs = zip(self.sides.get(self.yardstick, []), self.sides.get(side, []), strict=False)
        ratios = [getattr(theirs, what) / getattr(ours, what) for ours, theirs in pairs]
        return statistics.median(ratios) if ratios else None


def compare(case: Case, *, short: bool, runs: int, sides: list[str], tell: Callable[[str], None]) -> Outcome:
    """Run `case` on each of `sides` in turn, `runs` times over, and check that all hold the same rows.

    A side that fails, breaks the memory cap or holds other rows than the yardstick is in `Outcome.failures`.
    """
    size = case.short_size if short else case.size
    cap = memory_cap(case.cap_mib) if case.cap_mib else None
    outcome = Outcome(case=case, size=size, asked=sides, cap=cap)
    tell(f"{case.name}: preparing {size:,} {case.unit}")
    with _folder() as folder:
        run_child(["prepare", case.name, str(size), str(folder)])
    pythons = {side: python_of(side, tell) for side in sides}
    alive = list(sides)
    for number in range(1, runs + 1):
        expected: Any = None
        for side in list(alive):
            tell(f"{case.name}: run {number} of {runs}, {side}")
            with _folder() as folder:
                arguments = [case.name, str(size), str(folder)]
                try:
                    measured = run_child([side, *arguments], prefix=cap.prefix if cap else (), python=pythons[side])
                    held = run_child(["digest", *arguments]).answer
                except ChildFailedError as error:
                    outcome.failures.append((side, str(error)))
                    alive.remove(side)
                    continue
            outcome.sides.setdefault(side, []).append(measured)
            if cap and cap.broken_by(measured.peak_mib):
                outcome.failures.append((side, f"peak {measured.peak_mib:.0f} MiB is over the cap of {cap.mib} MiB"))
            expected = held if expected is None else expected
            if wrong := _wrong(case, size, expected, held):
                outcome.failures.append((side, wrong))
                alive.remove(side)
    return outcome


def sides_of(case: Case, *, peer_only: bool, every_peer: bool) -> list[str]:
    """The sides to run, the yardstick first."""
    peers = list(case.peers)
    return [peers[0], *([] if peer_only else [TIDEGATE]), *(peers[1:] if every_peer else [])]


def _wrong(case: Case, size: int, expected: Mapping[str, Any], held: Mapping[str, Any]) -> str | None:
    """What is wrong with the digests `held`: other content than `expected`, or not the rows that the job must leave."""
    for name, digest in expected.items():
        if held.get(name) != digest:
            return f"other rows in table {name}: expected {digest}, found {held.get(name)}"
    found, right = sum(rows for rows, *_ in held.values()), case.result_rows(size)
    return None if found == right else f"{found} rows where the job must leave {right}"


@contextmanager
def _folder() -> Iterator[Path]:
    """A new folder beside the cached inputs (so that they can be linked into it), removed afterwards."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=cache_folder()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
