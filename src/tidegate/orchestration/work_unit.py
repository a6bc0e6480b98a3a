"""Units of work: one dataflow, one operation, one window."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tidegate.destinations.turns import replay_chain, replay_scope
from tidegate.timegrid import WindowSet

if TYPE_CHECKING:
    from tidegate.destinations.turns import Meets
    from tidegate.models import DataFlow
    from tidegate.sources.base import ColumnWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkUnit:
    """What is planned, carried out, committed and recorded as one."""

    flow: DataFlow
    operation: Literal["load", "replay"] = "load"
    window: ColumnWindow | None = None
    """What is loaded again; None for what is new."""
    replay_id: str = ""
    """The replay that it is a window of; empty for what moves the dataflow's own position."""
    strategy: str = ""
    """Load strategy, where it is not the one that the dataflow declares."""
    empty: WindowSet = field(default_factory=WindowSet)
    """Windows of its replay that are known to hold no rows: its commit is to say so too."""
    must_not_meet: Meets = "nothing"

    @property
    def name(self) -> str:
        """What people call it; unique within a run."""
        return f"{self.flow.name} {self.window.window}" if self.window else self.flow.name

    @property
    def key(self) -> str:
        """What tells it from all others: in the ledger, in the names of its files, and to who else may run it."""
        return f"{self.scope}|{self.operation}|{self.window.window}" if self.window else self.flow.dataflow_id

    @property
    def chain_id(self) -> str:
        """Id of the sequence of commits that it belongs to."""
        return replay_chain(self.flow.dataflow_id) if self.replay_id else self.flow.dataflow_id

    @property
    def scope(self) -> str:
        """Under which name the ledger knows the units that it belongs to."""
        identity = self.flow.dataflow_id
        return replay_scope(identity, self.replay_id) if self.replay_id else identity

    @property
    def load_strategy(self) -> str:
        """The load strategy that carries it out, by its registered name."""
        return self.strategy or self.flow.destination.strategy


def config_hash(flow: DataFlow) -> str:
    """Return a short hash of what decides which rows a dataflow makes: source, transform and destination."""
    declared = flow.model_dump(mode="json", include={"source", "transform", "destination"})
    return hashlib.sha256(json.dumps(declared, sort_keys=True, default=str).encode()).hexdigest()[:12]
