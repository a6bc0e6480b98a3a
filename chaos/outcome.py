"""What happened in a case."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from chaos.cases import Case


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What happened in a case."""

    case: Case
    folder: Path
    wanted: int
    """Random kills that were asked for."""
    random_kills: int = 0
    failpoints: Counter[str] = field(default_factory=Counter)
    """Deaths at each failpoint."""
    bad_failpoints: set[str] = field(default_factory=set)
    """Those at which a process died in an increment that then differed."""
    unmet: list[str] = field(default_factory=list)
    """Those that no process died at, though one must have."""
    runs: int = 0
    campaigns: int = 0
    increments: int = 0
    recoveries: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    state_troubles: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    """Error codes that racing processes ended with."""
    sightings: int = 0
    rows_expected: int = 0
    rows_found: int = 0
    litter: int = 0
    seconds: float = 0.0
    differences: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """All processes that died of SIGKILL."""
        return self.random_kills + self.failpoints.total()

    @property
    def is_ok(self) -> bool:
        """Whether nothing differed, and every failpoint was met that must be."""
        return not self.differences and not self.unmet
