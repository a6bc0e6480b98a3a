"""A campaign: one case, from its empty tables through some increments to its verdict."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from chaos import phases
from chaos.cases import Case
from chaos.compare import count_rows, differences
from chaos.failpoints import COMPACTION
from chaos.feeds import Source
from chaos.moments import Moment, Moments, is_after_commit
from chaos.outcome import Outcome
from chaos.phases import Profile, read_events
from chaos.processes import Run, start, start_compaction, start_rebuild, stop
from chaos.project import REPLAYED, Project, StateTrouble
from chaos.reader import Watch
from chaos.tables import litter

_LEAST_INCREMENTS = 3
_MOST_INCREMENTS = 6
"""Then the campaign begins anew with empty tables: first loads, and small tables, are part of the picture."""
_MOST_CAMPAIGNS = 200
_MOST_KILLS_AN_INCREMENT = 16
_OF_A_RACE = frozenset({"TG404", "TG405", "TG502", "TG503"})
"""What a process may be told when another one was quicker."""


def run_case(
    case: Case, *, kills: int, sweeps: int | None, seed: int, folder: Path, tell: Callable[[str], None]
) -> Outcome:
    """Run campaigns until the kills are spent, or something is wrong; what differed stays in the folder.

    Args:
        case: What runs.
        kills: At random times.
        sweeps: How many failpoints must be met; all of a case that sweeps, when not given.
        seed: Of the sources and the drawn moments.
        folder: Where to work.
        tell: Takes a line of progress.
    """
    began = time.perf_counter()
    outcome = Outcome(case=case, folder=folder, wanted=kills)
    chance = random.Random(f"{case.name}:{seed}")
    moments = Moments(case.flows, chance, sweeps=sweeps if case.sweeps else 0)
    for number in range(_MOST_CAMPAIGNS):
        outcome.folder = folder / f"{number:02d}"
        Campaign(outcome, chance=chance, moments=moments, seed=seed + number).run()
        outcome.campaigns += 1
        is_over = outcome.random_kills >= kills and (moments.is_done or moments.given_up)
        if outcome.differences or is_over:
            break
        shutil.rmtree(outcome.folder)
    outcome.unmet = [] if outcome.differences or moments.is_done else moments.pending
    outcome.seconds = time.perf_counter() - began
    verdict = "ok" if outcome.is_ok else "; ".join(["DIFFERENT", *outcome.differences[:2]])
    tell(f"{case.name}: {verdict}, {outcome.kills} kills, {outcome.increments} increments, {outcome.seconds:.0f} s")
    return outcome


class Campaign:
    """Runs one case once: an undisturbed project and a disturbed one read the same growing sources."""

    def __init__(self, outcome: Outcome, *, chance: random.Random, moments: Moments, seed: int) -> None:
        case, folder = outcome.case, outcome.folder
        self.outcome = outcome
        self._case = case
        self._chance = chance
        self._moments = moments
        self._events = (folder / "events" / f"{number:05d}.jsonl" for number in count())
        (folder / "events").mkdir(parents=True)
        calm, disturbed, sources = folder / "calm", folder / "disturbed", folder / "sources"
        self._calm = Project(case=case, root=calm, lake=calm / "lake", sources=sources)
        self._disturbed = [
            Project(case=case, root=disturbed / f"project{number}", lake=disturbed / "lake", sources=sources)
            for number in range(case.stores)
        ]
        self._sources = {
            flow.name: Source(flow=flow, folder=sources / flow.name, rows=case.rows, seed=seed) for flow in case.flows
        }
        self._trouble = StateTrouble(self._disturbed[0], folder / "state copies", self._chance)
        self._watch = Watch(self._disturbed[0], self._sources, folder / "sightings.jsonl") if case.watched else None
        self._compaction_failures = folder / "compaction failures"
        self._met: set[str] = set()
        """Failpoints that were met in this increment."""
        self._must_recover = False

    def run(self) -> None:
        """Go on until the kills are spent, or something is wrong."""
        increments = 0
        self._counted = (self.outcome.rows_expected, self.outcome.rows_found, self.outcome.litter)
        for project in (self._calm, *self._disturbed):
            project.create()
        try:
            for number in range(1 if self._case.replays else _MOST_INCREMENTS):
                is_enough = self._is_enough and number >= _LEAST_INCREMENTS
                if is_enough or self.outcome.differences:
                    break
                self._increment(number)
                increments += 1
        except Exception as error:  # noqa: BLE001 - a hung or unreadable result is a difference too
            self._differ(f"{type(error).__name__}: {error}")
        finally:
            if self._watch is not None:
                self.outcome.differences += self._watch.end(increments)
                self.outcome.sightings += self._watch.sightings
            if self.outcome.differences:
                self.outcome.bad_failpoints |= self._met
            self.outcome.increments += increments

    @property
    def _is_enough(self) -> bool:
        is_over = self._moments.is_done or bool(self._moments.given_up)
        return self.outcome.random_kills >= self.outcome.wanted and is_over

    def _increment(self, number: int) -> None:
        self._met = set()
        first_load = number == 0 and not self._case.replays
        arriving = range(REPLAYED) if self._case.replays else (number,)
        for number in arriving:  # noqa: PLR1704 - the last one is what is compared
            for source in self._sources.values():
                source.arrive(number)
        profile = self._undisturbed()
        if self._watch is not None and number == 0:
            self._watch.start()
        until = self.outcome.kills + self._chance.randint(2, _MOST_KILLS_AN_INCREMENT)
        while self.outcome.kills < until and not self.outcome.differences and not self._is_enough:
            self._befall_state()
            if self._round(profile, first_load=first_load):
                break
        self._befall_state()
        self._finish()
        self.outcome.differences += differences(self._calm, self._disturbed, self._sources, number)
        self._count_rows(number)
        if self._case.loses_state:
            self._trouble.keep_copy(number)

    def _undisturbed(self) -> Profile:
        run = start(self._calm, next(self._events))
        self._require_success(run)
        return phases.profile(read_events(run.events), run.started, time.time())

    def _round(self, profile: Profile, *, first_load: bool) -> bool:
        """Run all racers at the same time, each with its own way to die; return whether none did."""
        racers = list(self._racers())
        moments = [
            self._moments.draw(profile, flows, first_load=first_load, is_recovery=self._must_recover)
            for _, flows, _ in racers
        ]
        compaction = self._compaction() if any(moment.failpoint == COMPACTION for moment in moments) else None
        with ThreadPoolExecutor(len(racers)) as pool:
            strikes = [pool.submit(self._disturb, racer, moment) for racer, moment in zip(racers, moments, strict=True)]
            for moment in moments:
                if compaction and moment.spares_load:
                    time.sleep(moment.after or 0)
                    stop(compaction)
            runs = [strike.result() for strike in strikes]
        if compaction:
            stop(compaction)
        for run, moment in zip(runs, moments, strict=True):
            self._record(run, moment)
        return not any(run.was_killed for run in runs)

    def _compaction(self) -> ForkServerProcess:
        lake = self._disturbed[0]
        tables = [(lake.table(flow), flow) for flow in self._case.flows if not flow.is_files]
        return start_compaction(tables, self._compaction_failures)

    def _racers(self) -> Iterator[tuple[Project, Sequence[str], Path]]:
        """Which project each process runs, which of its flows, and where its events go."""
        for number in range(self._case.racers):
            flows = (self._case.flows[number].name,) if self._case.flow_each else ()
            yield self._disturbed[number % len(self._disturbed)], flows, next(self._events)

    @staticmethod
    def _disturb(racer: tuple[Project, Sequence[str], Path], moment: Moment) -> Run:
        project, flows, events = racer
        run = start(project, events, flows=flows, failpoint=moment.armed, cold=moment.cold)
        moment.strike(run)
        return run

    def _record(self, run: Run, moment: Moment) -> None:
        events = read_events(run.events)
        self.outcome.runs += 1
        self.outcome.recoveries += phases.recoveries(events)
        if moment.failpoint and (run.was_killed or moment.spares_load):
            self._moments.met(moment.failpoint)
            self._met.add(moment.failpoint)
            self.outcome.failpoints[moment.failpoint] += 1
        if run.was_killed:
            self._must_recover = is_after_commit(moment.failpoint)
            self.outcome.phases += phases.where(events)
            if moment.failpoint is None:
                self.outcome.random_kills += 1
            return
        self._must_recover = False
        failures = phases.failures(events)
        self.outcome.told.update(code for _, code, _ in failures)
        if run.wait() not in {0, 1} or (run.wait() == 1 and not failures):
            self._differ(f"a run ended with code {run.wait()}: {_stderr(run)}")
        for name, code, message in failures:
            if self._case.racers == 1 or code not in _OF_A_RACE:
                self._differ(f"{name} failed: {code} {message} ({run.events})")

    def _finish(self) -> None:
        """Run without disturbance until all that has arrived is in."""
        for project in self._disturbed:
            run = start(project, next(self._events))
            self._require_success(run)
            self.outcome.recoveries += phases.recoveries(read_events(run.events))
        if self._compaction_failures.exists():
            self._differ(f"compaction: {self._compaction_failures.read_text(encoding='utf-8')}")

    def _require_success(self, run: Run) -> None:
        if code := run.wait():
            failures = "; ".join(": ".join(failure) for failure in phases.failures(read_events(run.events)))
            message = f"an undisturbed run ended with code {code}: {failures or _stderr(run)} ({run.events})"
            raise RuntimeError(message)

    def _befall_state(self) -> None:
        if not self._case.loses_state or not (what := self._trouble.strike()):
            return
        if self._chance.random() < 0.5:
            self._require_success(start_rebuild(self._disturbed[0], next(self._events)))
            what += ", rebuilt"
        self.outcome.state_troubles[what] += 1

    def _count_rows(self, number: int) -> None:
        tables = {flow.destination: flow for flow in self._case.flows}
        expected, found, left = self._counted
        self.outcome.rows_expected = expected + sum(source.expected(number).height for source in self._sources.values())
        lake = self._disturbed[0]
        self.outcome.rows_found = found + sum(count_rows(lake.table(flow), flow) for flow in tables.values())
        self.outcome.litter = left + sum(litter(lake.table(flow), flow) for flow in tables.values())

    def _differ(self, text: str) -> None:
        self.outcome.differences.append(text)


def _stderr(run: Run) -> str:
    text = run.events.read_text(encoding="utf-8", errors="replace").strip()
    lines = [line for line in text.splitlines() if not line.startswith("{")] or text.splitlines()
    return json.dumps(lines[-3:])
