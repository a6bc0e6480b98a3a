"""Maintenance of Delta tables: compaction as one log entry of our own, cleanup by what delta-rs says is garbage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltalake.exceptions import DeltaError

from tidegate.destinations.delta import addition, is_ours
from tidegate.destinations.delta_log import compaction_entry
from tidegate.destinations.maintenance import LEAST_ORPHAN_HOURS, CleanedUp, Upkeep, old_files, remove_files
from tidegate.destinations.table import Change, Snapshot, StaleSnapshotError
from tidegate.errors import DestinationError

if TYPE_CHECKING:
    import deltalake

_ABOUT = {"operation": "OPTIMIZE", "operationParameters": {"predicate": "[]"}, "engineInfo": "tidegate"}
_DRAFT = ".draft"
"""End of the names of log entries that were being written."""


class DeltaUpkeep(Upkeep):
    """How a Delta table is maintained."""

    def snapshot(self) -> Snapshot:
        """Return the table as it is now."""
        return self.table.snapshot()

    def commit(self, snapshot: Snapshot, change: Change) -> None:
        """Write the next log entry, or none when there is one."""
        assert snapshot.version is not None, "an empty table has no files"  # noqa: S101
        added = [addition(file, self.table.place, data_change=False) for file in change.added]
        entry = compaction_entry(snapshot.handle, added, change.removed, about=_ABOUT)
        if not self.table.platform.put_if_absent(f"{self._log}/{snapshot.version + 1:020d}.json", entry):
            raise StaleSnapshotError

    def clean_up(self, retention_hours: int, *, dry_run: bool) -> CleanedUp:
        """Remove files that were replaced before the retention began, and what killed loads left.

        The log stays as it is: delta-rs removes old entries itself, and positions are in the others.
        """
        snapshot = self.table.snapshot()
        if snapshot.version is None:
            return CleanedUp()
        garbage = self._garbage(snapshot.handle, retention_hours)
        live = {file.path for file in self.table.snapshot().files()}  # as it is after the look at the folder
        return remove_files(garbage - live, self.table.platform, dry_run=dry_run)

    @property
    def _log(self) -> str:
        return f"{self.table.place}/_delta_log"

    def _garbage(self, table: deltalake.DeltaTable, retention_hours: int) -> set[str]:
        orphan_hours = max(retention_hours, LEAST_ORPHAN_HOURS)
        try:
            replaced = table.vacuum(retention_hours, enforce_retention_duration=False)
            unknown = table.vacuum(orphan_hours, enforce_retention_duration=False, full=True)
        except (DeltaError, OSError) as error:
            msg = f"what can be removed was not found: {str(error).strip().splitlines()[0]}"
            hint = "nothing was removed; run again"
            raise DestinationError(msg, code="TG401", where=self.table.place, hint=hint) from error
        ours = (name for name in unknown if is_ours(name.rpartition("/")[2]))
        return {f"{self.table.place}/{name}" for name in (*replaced, *ours)} | self._drafts(retention_hours)

    def _drafts(self, retention_hours: int) -> set[str]:
        platform = self.table.platform
        names = (name for name in platform.names_in(self._log) if name.endswith(_DRAFT))
        files = (platform.file(f"{self._log}/{name}") for name in names)
        return {file.path for file in old_files(filter(None, files), retention_hours)}
