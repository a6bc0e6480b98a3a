"""When a run is killed: at a random time, within a phase, or at a failpoint."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from chaos.cases import Flow
from chaos.failpoints import call_of, on_the_way_of
from chaos.phases import Profile, reached, read_events
from chaos.processes import Run

_WEIGHTS = {"lease": 1, "planning": 2, "reading": 2, "writing": 4, "committing": 6, "ending": 1}
"""How often a phase is aimed at: the short ones, in which most can go wrong, more than their length gives them."""
_GLANCE = 0.001
"""Seconds between two looks at a run's events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One way to die. Exactly one of `after`, `phase` and `failpoint` is set."""

    after: float | None = None
    """Seconds since the process started."""
    phase: str | None = None
    flow: str | None = None
    delay: float = 0.0
    """Seconds since `flow` reached `phase`."""
    failpoint: tuple[str, int] | None = None
    """Name, and at which call; the process kills itself."""
    cold: bool = False
    """In a process that starts from nothing."""

    def strike(self, run: Run) -> None:
        """Wait for the moment and kill the run, unless it ends before."""
        if self.after is not None:
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
    """Draws moments so that all phases, failpoints and ways of starting get their share."""

    def __init__(self, flows: Sequence[Flow], chance: random.Random) -> None:
        self._chance = chance
        self._known = on_the_way_of(flows)
        self._left: list[str] = []

    def draw(self, profile: Profile, flows: Sequence[str] = ()) -> Moment:
        """Return when to kill a run of some flows, or all, that would last as `profile` says."""
        lot = self._chance.random()
        if lot < 0.03:
            return Moment(after=self._chance.uniform(0, 3 * profile.cold_seconds), cold=True)
        if lot < 0.40:
            return Moment(after=self._chance.uniform(profile.first_unit, profile.last_unit))
        if lot < 0.75:
            flow = self._chance.choice(list(flows) or list(profile.phases))
            (phase,) = self._chance.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()))
            return Moment(phase=phase, flow=flow, delay=self._chance.uniform(0, profile.phases[flow].get(phase, 0.01)))
        name = self._next_failpoint()
        return Moment(failpoint=(name, call_of(name, self._chance)))

    def _next_failpoint(self) -> str:
        """Return each failpoint once before any comes again."""
        if not self._left:
            self._left = self._chance.sample(self._known, k=len(self._known))
        return self._left.pop()


def _sleep(run: Run, seconds: float) -> None:
    """Sleep, but not past the run's end."""
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0 and not run.ended:
        time.sleep(min(left, 0.005))
