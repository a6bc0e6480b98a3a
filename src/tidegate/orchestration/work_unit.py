"""Units of work: one dataflow, one operation, one window."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tidegate.models import DataFlow
    from tidegate.sources.base import ColumnWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkUnit:
    """What is planned, carried out, committed and recorded as one."""

    flow: DataFlow
    operation: Literal["load", "replay"] = "load"
    window: ColumnWindow | None = None
    """What is loaded again; None for what is new."""
    chain: str = ""
    """Id of the sequence of commits that it belongs to, where that is not the dataflow's own."""
    strategy: str = ""
    """Load strategy, where it is not the one that the dataflow declares."""

    @property
    def name(self) -> str:
        """What people call it; unique within a run."""
        return f"{self.flow.name} {self.window.window}" if self.window else self.flow.name

    @property
    def key(self) -> str:
        """What tells it from all others: in the ledger, in the names of its files, and to who else may run it."""
        return f"{self.chain_id}|{self.operation}|{self.window.window}" if self.window else self.flow.dataflow_id

    @property
    def chain_id(self) -> str:
        """Id of the sequence of commits that it belongs to."""
        return self.chain or self.flow.dataflow_id

    @property
    def load_strategy(self) -> str:
        """The load strategy that carries it out, by its registered name."""
        return self.strategy or self.flow.destination.strategy


def config_hash(flow: DataFlow) -> str:
    """Return a short hash of what decides which rows a dataflow makes: source, transform and destination."""
    declared = flow.model_dump(mode="json", include={"source", "transform", "destination"})
    return hashlib.sha256(json.dumps(declared, sort_keys=True, default=str).encode()).hexdigest()[:12]
