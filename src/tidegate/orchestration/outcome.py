"""What a unit of work has done, before it is a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.state import Position


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a unit has done."""

    rows_in: int = 0
    rows_out: int = 0
    rows_updated: int | None = None
    rows_deleted: int | None = None
    files_read: int | None = None
    files_skipped: int | None = None
    bytes_written: int = 0
    sequence: int | None = None
    position: Position | None = None
    columns_read: Mapping[str, pa.DataType] = field(default_factory=dict)
    columns_written: Mapping[str, pa.DataType] = field(default_factory=dict)
    is_committed: bool = False
    """Whether the table was changed, or created."""
    detail: str | None = None


def rendered(outcome: Outcome) -> Mapping[str, Any]:
    """Return the outcome as fields of a unit report."""
    return {
        "rows_in": outcome.rows_in,
        "rows_out": outcome.rows_out,
        "rows_updated": outcome.rows_updated,
        "rows_deleted": outcome.rows_deleted,
        "files_read": outcome.files_read,
        "files_skipped": outcome.files_skipped,
        "bytes_written": outcome.bytes_written,
        "sequence": outcome.sequence,
        "position_after": outcome.position.render() if outcome.position else None,
        "detail": outcome.detail,
    }
