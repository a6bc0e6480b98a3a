"""What a table format must be able to do so that its tables can be maintained, and how their garbage is removed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tidegate.errors import TidegateError

if TYPE_CHECKING:
    from tidegate.destinations.table import BaseTable, Change, Snapshot
    from tidegate.platforms import BasePlatform
    from tidegate.platforms.base import FileInfo

LEAST_ORPHAN_HOURS = 24
"""A file that no commit refers to may be one that a load has just written: younger ones stay in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanedUp:
    """What a cleanup removed, or would remove."""

    files: int = 0
    bytes: int = 0
    snapshots: int = 0
    """Older versions of the table that can no longer be read."""
    note: str | None = None
    """Why nothing was looked for."""


class Upkeep(ABC):
    """How a table of one format is maintained."""

    def __init__(self, table: BaseTable) -> None:
        self.table = table

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """Return the table as it is now.

        Raises:
            DestinationError: its files cannot be read and written anew without breaking a rule of the table (TG407).
        """

    @abstractmethod
    def commit(self, snapshot: Snapshot, change: Change) -> None:
        """Put files in the place of others with the same rows, in one atomic step.

        Raises:
            StaleSnapshotError: the table is no longer at the snapshot's version; nothing was changed.
        """

    @abstractmethod
    def clean_up(self, retention_hours: int, *, dry_run: bool) -> CleanedUp:
        """Remove the files that only versions need which were replaced longer ago, and what killed loads left.

        Args:
            retention_hours: How long a version that was replaced can still be read.
            dry_run: Only say what would be removed.
        """

    def has_scattered_metadata(self, snapshot: Snapshot) -> bool:
        """Tell whether a commit without any files would make the table's own lists of files noticeably fewer."""
        return False


def before(hours: float) -> datetime:
    """Return the time that many hours ago."""
    return datetime.now(UTC) - timedelta(hours=hours)


def old_files(files: Iterable[FileInfo], retention_hours: int) -> list[FileInfo]:
    """Return those of the files that no load under way can have written."""
    limit_ns = before(max(retention_hours, LEAST_ORPHAN_HOURS)).timestamp() * 1e9
    return [file for file in files if file.modified_ns < limit_ns]


def remove_files(paths: Collection[str], platform: BasePlatform, *, dry_run: bool) -> CleanedUp:
    """Remove files, and return how many there were; what cannot be removed is left to the next cleanup."""
    count = size = 0
    for path in sorted(paths):
        with suppress(OSError, TidegateError):
            file = platform.file(path)
            if file is None:
                continue
            if not dry_run:
                platform.remove(path)
            count += 1
            size += file.size
    return CleanedUp(files=count, bytes=size)
