"""When a run is killed: at a random time, within a phase, at a failpoint, or beside a foreign compaction."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from chaos.cases import Flow
from chaos.failpoints import COMPACTION, FAILPOINTS, RECOVERING, call_of, on_the_way_of
from chaos.phases import Profile, reached, read_events
from chaos.processes import Run

_WEIGHTS = {"lease": 1, "planning": 2, "reading": 2, "writing": 4, "committing": 6, "ending": 1}
"""How often a phase is aimed at: the short ones, in which most can go wrong, more than their length gives them."""
_GLANCE = 0.001
"""Seconds between two looks at a run's events."""
_MOST_TRIES = 25
"""Runs that are sent to a failpoint, until one meets it or it counts as never reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One way to die. Exactly one of `after`, `phase` and `call` is set."""

    after: float | None = None
    """Seconds since the process started."""
    phase: str | None = None
    flow: str | None = None
    delay: float = 0.0
    """Seconds since `flow` reached `phase`."""
    failpoint: str | None = None
    """What it counts as."""
    call: int | None = None
    """At which call of the failpoint's functions the process kills itself."""
    cold: bool = False
    """In a process that starts from nothing."""
    spares_load: bool = False
    """Whether the foreign compaction dies, and not the load."""

    @property
    def armed(self) -> tuple[str, int] | None:
        """The failpoint, and at which call, if the process kills itself."""
        return (self.failpoint, self.call) if self.failpoint and self.call else None

    def strike(self, run: Run) -> None:
        """Wait for the moment and kill the run, unless it ends before."""
        if self.spares_load:
            run.wait()
        elif self.after is not None:
            _sleep(run, run.started + self.after - time.time())
        elif self.phase is not None:
            while not run.ended and not reached(read_events(run.events), self.phase, self.flow):
                time.sleep(_GLANCE)
            _sleep(run, self.delay)
        else:
            run.wait()
        if not run.ended:
            run.kill()


class Moments:
    """Draws moments so that all phases, failpoints and ways of starting get their share.

    Args:
        flows: What runs.
        chance: Draws.
        sweeps: How many failpoints must be met before the others are no longer preferred; all, when not given.
    """

    def __init__(self, flows: Sequence[Flow], chance: random.Random, *, sweeps: int | None = None) -> None:
        self._chance = chance
        known = on_the_way_of(flows)
        self.pending = chance.sample(known, k=len(known))
        """Failpoints that were not met yet, those that were tried least first."""
        self._optional = 0 if sweeps is None else max(len(known) - sweeps, 0)
        self._known = known
        self._tries: Counter[str] = Counter()

    @property
    def is_done(self) -> bool:
        """Whether all failpoints that must be met were met."""
        return len(self.pending) <= self._optional

    @property
    def given_up(self) -> list[str]:
        """Failpoints that many runs were sent to, and none reached."""
        return [name for name in self.pending if self._tries[name] >= _MOST_TRIES]

    def met(self, failpoint: str) -> None:
        """Take note that a process died at a failpoint."""
        if failpoint in self.pending:
            self.pending.remove(failpoint)

    def draw(self, profile: Profile, flows: Sequence[str], *, first_load: bool, is_recovery: bool) -> Moment:
        """Return when to kill a run.

        Args:
            profile: How long it would last.
            flows: What it runs; all when empty.
            first_load: Whether its tables are not there yet.
            is_recovery: Whether the run before it died after its commit.
        """
        lot = self._chance.random()
        if lot < (0.2 if self.is_done else 0.6) and (name := self._next(first_load, is_recovery)):
            return self._at(name, profile)
        if lot > 0.995:
            return Moment(after=self._chance.uniform(0, 3 * profile.cold_seconds), cold=True)
        if lot > 0.8:
            flow = self._chance.choice(list(flows) or list(profile.phases))
            (phase,) = self._chance.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()))
            return Moment(phase=phase, flow=flow, delay=self._chance.uniform(0, profile.phases[flow].get(phase, 0.01)))
        return Moment(after=self._chance.uniform(profile.first_unit, profile.last_unit))

    def _next(self, first_load: bool, is_recovery: bool) -> str | None:  # noqa: FBT001
        """Return a failpoint that this run can come by; one that was not met yet, if there is any."""
        others = self._chance.sample(self._known, k=len(self._known))
        if RECOVERING in self.pending:  # what it needs is a run before that died after its commit
            others.sort(key=lambda name: not FAILPOINTS[name].commits)
        for name in (*self.pending, *others):
            point = FAILPOINTS[name]
            if (point.first_load or not first_load) and (is_recovery or not point.recovers):
                if name in self.pending:
                    self.pending.remove(name)
                    self.pending.append(name)
                self._tries[name] += 1
                return name
        return None

    def _at(self, name: str, profile: Profile) -> Moment:
        if name == COMPACTION:
            after = self._chance.uniform(profile.first_unit, 1.5 * profile.last_unit)
            return Moment(failpoint=name, after=after, spares_load=self._chance.random() < 0.5)
        return Moment(failpoint=name, call=call_of(name, self._chance))


def is_after_commit(name: str | None) -> bool:
    """Tell whether a run that died at the failpoint had committed, and not stored its position."""
    return name is not None and name != RECOVERING and FAILPOINTS[name].commits


def _sleep(run: Run, seconds: float) -> None:
    """Sleep, but not past the run's end."""
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0 and not run.ended:
        time.sleep(min(left, 0.005))
