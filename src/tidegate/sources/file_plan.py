"""What a read of files will do, and what a plan says of files that it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidegate.errors import SourceError
from tidegate.sources.base import ReadPlan

if TYPE_CHECKING:
    from tidegate.engines.base import FileFormat
    from tidegate.engines.meter import Cursor
    from tidegate.platforms import FileInfo
    from tidegate.sources.file_listing import Selection
    from tidegate.state import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReadPlan(ReadPlan):
    """A read of files, fixed before it starts: files that come later are read the next time."""

    root: str
    """The folder below which files are known by their paths, and folders may be partitions."""
    format: FileFormat
    selection: Selection
    replaces_seen: tuple[FileInfo, ...] = ()
    """All files there are, when the position after the read knows only these: what was read before was read again."""
    older_folders: int | None = None
    """How many dated folders were not looked into; None where all were."""
    inspects_all: bool = False
    """Whether types are inferred from all of each file, which then is read twice."""

    def describe(self) -> dict[str, Any]:
        """Return what the plan prints, as label → value."""
        chosen = self.selection
        return {
            **ReadPlan.describe(self),
            "read": f"{self.place} (inspects all of each file)" if self.inspects_all else self.place,
            "format": self.format,
            "files": len(chosen.read),
            "bytes": sum(file.size for file in chosen.read),
            "files skipped": chosen.skipped,
            "unchanged": chosen.unchanged,
            **({} if self.older_folders is None else {"older folders": self.older_folders}),
            "older by name": len(chosen.older_by_name),
            "older by statistics": len(chosen.older_by_statistics),
        }


def late_notes(selection: Selection, *, appends: bool) -> tuple[str, ...]:
    """Return what a plan says of files that came too late."""
    late = len(selection.older_by_name) + len(selection.older_by_statistics)
    if not late:
        return ()
    which = "1 file lies" if late == 1 else f"{late} files lie"
    # an append remembers no rows for a lag that was declared, or grew, after they were loaded
    remedy = "`tidegate state rewind`" if appends else "`tidegate state rewind` or a longer watermark_lag"
    return (f"{which} before the position and will not be read; {remedy} would",)


def text_notes(columns: tuple[str, ...], position: Position, file_format: FileFormat) -> tuple[str, ...]:
    """Return what a plan says of watermarks that compare as text."""
    texts = [column for column in columns if position.columns.get(column) == "string"]
    if file_format != "csv" or not texts:
        return ()
    return (f"{', '.join(texts)} compares as text; declare its type in schema_hints if it is a number or a time",)


def refuse_doubling(selection: Selection, cursor: Cursor, position: Position) -> None:
    """Refuse to append a changed or moved file again when nothing tells its new rows from its old ones.

    Raises:
        SourceError: there is such a file (TG208).
    """
    is_told = cursor.columns and set(position.cursor_columns) == set(cursor.columns)
    if is_told:
        return
    if selection.moved:
        moved = selection.moved[0].path
        msg = f"the file looks like one that was loaded from another path, and none is known by its path: {moved}"
        hint = (
            "were the files moved or renamed? put them back as they were below the source's folder, declare "
            "merge_upsert with merge_keys, or `tidegate state rewind` to load all of them again"
        )
        raise SourceError(msg, {"file": moved}, code="TG208", where=moved, hint=hint)
    if selection.changed:
        changed = selection.changed[0].path
        msg = f"the file changed after it was loaded, and nothing tells its new rows from the old: {changed}"
        hint = "declare watermark_columns, or merge_upsert with merge_keys, or let new rows come in new files"
        raise SourceError(msg, {"file": changed}, code="TG208", where=changed, hint=hint)
