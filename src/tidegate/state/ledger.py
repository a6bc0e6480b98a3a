"""The ledger of one scope: which units of work are done, and which are to be done now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.state.store import Lease, StateStore, UnitMark
from tidegate.state.store import UnitRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a unit is to be done, and if not, why."""

    key: str
    status: UnitMark
    """`planned`: to be done. Else skipped: by a `checkpoint`, or because the destination has it (`exists`), or its
    row is in a `database`."""

    @property
    def skips(self) -> bool:
        """Whether the unit is not to be done."""
        return self.status != "planned"


class Ledger:
    """Skips what was done before: asks before expensive or unrepeatable work, and remembers it afterwards.

    Args:
        store: Where it is kept.
        scope: What the units belong to.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from tidegate.state import open_state_store
        >>> with TemporaryDirectory() as folder:
        ...     store = open_state_store(Path(folder) / "state.db", root=Path(folder), profile=None)
        ...     ledger = Ledger(store, "letters")
        ...     ledger.mark("2026-05-01")
        ...     [(decision.key, decision.status) for decision in ledger.decide(["2026-05-01", "2026-05-02"])]
        ...     store.close()
        [('2026-05-01', 'checkpoint'), ('2026-05-02', 'planned')]
    """

    def __init__(self, store: StateStore, scope: str) -> None:
        self._store = store
        self.scope = scope

    def should_skip(self, key: str) -> bool:
        """Tell whether the unit is done."""
        return self._store.should_skip(key)

    def claim(self, key: str) -> Lease | None:
        """Take the lease of a unit that is not done; None when it is.

        Raises:
            LeaseHeldError: a living owner works on it (TG502).
        """
        return self._store.claim(key, self.scope)

    def mark(
        self,
        key: str,
        status: UnitMark = "written",
        *,
        run_id: str | None = None,
        detail: str | None = None,
        lease: Lease | None = None,
    ) -> None:
        """Store what is now true of a unit; with a lease, on condition that it is held, and release that in one step.

        Raises:
            WatermarkError: the lease was taken over (TG503).
        """
        record = UnitRecord(key=key, scope=self.scope, status=status, run_id=run_id, detail=detail)
        self._store.mark(record, lease)

    def decide(
        self,
        keys: Iterable[str],
        exists: Callable[[str], bool] | None = None,
        in_database: Callable[[str], bool] | None = None,
        *,
        dry_run: bool = False,
    ) -> list[Decision]:
        """Decide of each unit, in the order given, whether it is to be done.

        Args:
            keys: The units.
            exists: Whether the destination has a unit; asked only when no checkpoint says so.
            in_database: Whether a database has its row; asked after `exists`.
            dry_run: Whether to leave the ledger as it is. Else what was found to be there is marked so, and not asked
                again.
        """
        units = list(keys)
        done = self._store.done(units)
        decisions = [Decision(key=key, status=_status(key, done, exists, in_database)) for key in units]
        if not dry_run:
            for decision in decisions:
                if decision.status in ("exists", "database"):
                    self.mark(decision.key, decision.status)
        return decisions


def _status(
    key: str, done: set[str], exists: Callable[[str], bool] | None, in_database: Callable[[str], bool] | None
) -> UnitMark:
    if key in done:
        return "checkpoint"
    if exists is not None and exists(key):
        return "exists"
    if in_database is not None and in_database(key):
        return "database"
    return "planned"
