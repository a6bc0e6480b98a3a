"""A trial: one tool fills one table, is killed again and again, and the table is compared with its source."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from chaos.peers.feed import Feed
from chaos.peers.moments import Course, Moment, Series
from chaos.peers.reader import Watch
from chaos.peers.server import Run, Server
from chaos.peers.tables import Difference, compare, read_rows
from chaos.peers.tools import Load, Tool

ROWS = 60_000
"""Rows of the first increment."""
_INCREMENTS = 5
"""Then a campaign begins anew with an empty table: first loads are part of the picture."""
_MOST_KILLS_AN_INCREMENT = 3
_TRIES = 5
"""Undisturbed runs, one after another, that a load has to end with 0."""
_RUNS_A_KILL = 8
"""A trial ends when it has made that many runs for each kill wanted, whatever came of them."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What happened in a trial."""

    load: Load
    version: str
    series: Series
    kills: int = 0
    runs: int = 0
    """Runs of the disturbed project, killed or not."""
    increments: int = 0
    rows_expected: int = 0
    """Rows that the tables must hold at the ends of all campaigns."""
    rows_lost: int = 0
    rows_doubled: int = 0
    rows_wrong: int = 0
    damaged: int = 0
    """Increments after which the table was not as its source says."""
    broken_files: int = 0
    """Files among those of a table that cannot be read, after all runs have ended."""
    holes: int | None = 0
    """Runs in which a reader met a hole; `None` when nothing can read meanwhile."""
    stuck: int = 0
    """Increments that could not be loaded any more."""
    calm_damaged: int = 0
    """The same as `damaged`, of the project that nobody disturbs: must be 0, or the comparison says nothing."""
    healed: int = 0
    """Increments that were right only after one more run."""
    seconds: list[float] = field(default_factory=list)
    """Length of undisturbed loads, without the start of the interpreter and imports."""
    holes_met: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    """What runs said that failed."""


def run_trial(
    tool: Tool, load: Load, series: Series, *, kills: int, seed: int, folder: Path, tell: Callable[[str], None]
) -> Outcome:
    """Run campaigns until the kills are spent."""
    outcome = Outcome(load=load, version=tool.version, series=series, holes=0 if load.watched else None)
    # Seeded without the tool's name: every tool begins with the same rows, and the same parts of a load's length.
    chance = random.Random(f"{load.strategy}:{series}:{seed}")
    folder.mkdir(parents=True)
    server = Server(tool, load, home=folder)
    try:
        for number in count():
            if outcome.kills >= kills or outcome.runs >= kills * _RUNS_A_KILL or outcome.calm_damaged > _TRIES:
                break
            _Campaign(server, outcome, kills=kills, chance=chance, folder=folder / f"{number:03d}").run()
            shutil.rmtree(folder / f"{number:03d}")
            tell(
                f"{load.name}, {series}: {outcome.kills} kills, {outcome.increments} increments,"
                f" {outcome.rows_lost} rows lost, {outcome.rows_doubled} doubled, {outcome.rows_wrong} wrong,"
                f" stuck {outcome.stuck}, holes in {outcome.holes} of {outcome.runs} runs"
            )
    finally:
        server.close()
    return outcome


class _Campaign:
    """From an empty table through some increments, or to the first damage."""

    def __init__(self, server: Server, outcome: Outcome, *, kills: int, chance: random.Random, folder: Path) -> None:
        self._server = server
        self._load = outcome.load
        self._outcome = outcome
        self._kills = kills
        self._chance = chance
        self._calm = folder / "calm"
        self._disturbed = folder / "disturbed"
        self._output = folder / "output.txt"
        self._feed = Feed(
            strategy=self._load.strategy, folder=folder / "source" / "arriving", kept=folder / "kept", rows=ROWS
        )
        for each in (self._calm, self._disturbed):
            each.mkdir(parents=True)
        table = self._load.table(self._disturbed)
        self._watch = Watch(load=self._load, table=table, sightings=folder / "sightings.jsonl")

    def run(self) -> None:
        """Go on until the kills are spent, the increments are, or the table is damaged."""
        self._watch.start()
        sound, number = True, 0
        try:
            while sound and number < _INCREMENTS and self._outcome.kills < self._kills:
                sound = self._increment(number)
                number += 1
        finally:
            self._watch.stop()
        self._outcome.rows_expected += self._feed.expected(number - 1).height

    def _increment(self, number: int) -> bool:
        """Let an increment arrive, load it among kills, and compare; return whether all is as it must be."""
        self._outcome.increments += 1
        self._feed.arrive(number, self._chance)
        calm = self._start(self._calm, None)
        self._outcome.seconds.append(calm.course.seconds)
        if calm.code or self._difference(self._calm, number):
            self._outcome.calm_damaged += 1
            return False
        runs = self._disturbed_runs(calm.course)
        ended = time.monotonic()
        difference = Difference()
        if stuck := runs[-1].code != 0:
            self._outcome.stuck += 1
        else:
            difference = self._judge(number)
        self._count_holes(runs, ended, number, surplus=bool(difference.doubled or difference.wrong))
        return not stuck and not difference

    def _disturbed_runs(self, course: Course) -> list[Run]:
        """Kill runs at drawn moments; then run undisturbed until a run ends with 0."""
        runs: list[Run] = []
        for _ in range(self._chance.randint(1, _MOST_KILLS_AN_INCREMENT)):
            moment = course.draw(self._outcome.series, self._chance)
            runs.append(self._disturb(moment if self._outcome.kills < self._kills else None))
            if not runs[-1].was_killed:
                break
        tries = 0
        while runs[-1].code and tries < _TRIES:
            runs.append(self._disturb(None))
            tries += 1
        return runs

    def _judge(self, number: int) -> Difference:
        difference = self._difference(self._disturbed, number)
        if difference:
            # What a further run heals is not held against the tool.
            self._disturb(None)
            difference = self._difference(self._disturbed, number)
            self._outcome.healed += not difference
        self._outcome.rows_lost += difference.lost
        self._outcome.rows_doubled += difference.doubled
        self._outcome.rows_wrong += difference.wrong
        self._outcome.broken_files += difference.broken_files
        self._outcome.damaged += bool(difference)
        return difference

    def _count_holes(self, runs: list[Run], ended: float, number: int, *, surplus: bool) -> None:
        if self._outcome.holes is None:
            return
        before, after = (self._current_rows(each) for each in (number - 1, number))
        ends = [*(run.started for run in runs[1:]), ended]
        spans = [(run.started, end) for run, end in zip(runs, ends, strict=True)]
        met = self._watch.holes(spans, before, after, surplus=surplus)
        self._outcome.holes += len(met)
        self._outcome.holes_met.update(met)

    def _current_rows(self, number: int) -> int:
        return self._feed.expected(number)["current"].sum()

    def _difference(self, work: Path, number: int) -> Difference:
        found, broken_files = read_rows(self._load.table(work), self._load.destination, self._load.strategy)
        return compare(found, self._feed.expected(number), broken_files=broken_files)

    def _disturb(self, moment: Moment | None) -> Run:
        run = self._start(self._disturbed, moment)
        self._outcome.runs += 1
        self._outcome.kills += run.was_killed
        if run.code and not run.was_killed:
            self._outcome.failures["hung" if run.hung else self._failure()] += 1
        return run

    def _start(self, work: Path, moment: Moment | None) -> Run:
        """Run one load to its end, or kill it at its moment."""
        return self._server.run(self._feed.folder, work, self._output, moment)

    def _failure(self) -> str:
        """Return the last line that names an error, and the one below it."""
        text = self._output.read_text(encoding="utf-8", errors="replace").replace(str(self._disturbed), "")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        named = [number for number, line in enumerate(lines) if "Error" in line or "Exception" in line]
        return " ".join(lines[named[-1] : named[-1] + 2] if named else lines[-1:])[:300]
