"""Which dated folders of a source are looked into: those from a date on, and all that have none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.models.date_folders import DateFolders
from tidegate.sources.look_back import declared_look_back, look_back_start

if TYPE_CHECKING:
    from tidegate.models import Source
    from tidegate.platforms import BasePlatform, FileInfo
    from tidegate.state import Position


@dataclass(slots=True, kw_only=True)
class DatedListing:
    """Lists the files below a folder without looking into dated folders that lie before a time.

    A folder whose name holds no date, and a file outside of dated folders, are as they were in a source without them.
    """

    platform: BasePlatform
    folders: DateFolders
    start: datetime
    older: int = 0
    """How many folders were not looked into; one of a year counts as one."""

    def files(self, root: str) -> list[FileInfo]:
        """Return the files below the source's folder, sorted by path."""
        whole: list[str] = []
        looked_into: list[tuple[str, ...]] = [()]
        while looked_into:
            inside = self.platform.map(lambda names: self.platform.names_in("/".join((root, *names))), looked_into)
            entries = [(*names, name) for names, inner in zip(looked_into, inside, strict=True) for name in inner]
            looked_into = []
            for names in entries:
                span = self.folders.span(names)
                if names[-1].startswith((".", "_")):
                    continue
                if span and span[1] <= self.start:
                    self.older += 1
                elif span and len(names) < len(self.folders.levels):
                    looked_into.append(names)
                else:
                    whole.append("/".join((root, *names)))
        found = self.platform.map(self._all, whole)
        return sorted((file for files in found for file in files), key=lambda file: file.path)

    def notes(self) -> tuple[str, ...]:
        """Return what a plan says of the folders that were not looked into."""
        if not self.older:
            return ()
        which = "1 dated folder lies" if self.older == 1 else f"{self.older} dated folders lie"
        remedy = "a longer look-back (backward_days) finds files that came there late"
        return (f"{which} before {self.start:%Y-%m-%d %H:%M} and will not be looked into; {remedy}",)

    def _all(self, path: str) -> list[FileInfo]:
        file = self.platform.file(path)
        if file:
            return [file]
        return self.platform.files_below(path) if self.platform.is_folder(path) else []  # it may be gone by now


def dated_listing(source: Source, position: Position, platform: BasePlatform) -> DatedListing | None:
    """Return what lists only newer folders; None without dates, and after a position was moved by hand."""
    folders = _folders(source)
    if folders is None or position.date_folder is None or not position.seen_files:
        return None
    rules = declared_look_back(source)
    start = look_back_start(position.date_folder, rules) if rules else position.date_folder
    return DatedListing(platform=platform, folders=folders, start=start)


def newest_folder(source: Source, position: Position, files: Sequence[FileInfo], root: str) -> datetime | None:
    """Return the newest date of the folders that files lie in, or that was read before; None without dates."""
    folders = _folders(source)
    if folders is None:
        return None
    depth = len(folders.levels)
    within = {tuple(filter(None, file.path.removeprefix(root).split("/")[:-1]))[:depth] for file in files}
    spans = [folders.span(names) for names in within if len(names) == depth]
    return max(filter(None, (position.date_folder, *(span[0] for span in spans if span))), default=None)


def _folders(source: Source) -> DateFolders | None:
    pattern = source.connection.settings.date_folder_partitions if source.connection else None
    return DateFolders.parse(pattern) if pattern else None
