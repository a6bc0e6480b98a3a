"""replace_by_watermark: the rows from where the read started are replaced by the batch; earlier rows stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import narwhals as nw

from tidegate.destinations.load_strategies.copy_on_write import Columns, CopyOnWrite, Replacement

if TYPE_CHECKING:
    from tidegate.destinations.strategy import Replays
    from tidegate.destinations.table import DataFile, Snapshot
    from tidegate.models import DataFlow
    from tidegate.sources.base import ReadScope
    from tidegate.state.watermark import Value


class ReplaceByWatermark(CopyOnWrite):
    """Mirrors the end of the source: what was corrected, came late or is gone there is so in the table too.

    The window begins at the position less `watermark_lag`, both closed. A first load has no position: its window begins
    at the batch's smallest value. Rows without a watermark are read every time, and so belong to every window.
    """

    replays: ClassVar[Replays | None] = "replacing"

    reads: ClassVar[ReadScope] = "window"
    commits_nothing: ClassVar[bool] = True

    @classmethod
    def describe(cls, flow: DataFlow) -> str:
        """Name the watermark."""
        lag = f" less {flow.source.watermark_lag}" if flow.source.watermark_lag else ""
        return f"replace the rows from the position in {', '.join(flow.source.watermark_columns)}{lag} on"

    def examine_batch(self) -> None:
        """Refuse keys that occur twice, where there are keys."""
        if self.context.keys:
            super().examine_batch()

    def candidates(self, snapshot: Snapshot) -> list[DataFile]:
        """Return the files that are not proved to lie before the window."""
        starts = self._starts()
        return [file for file in snapshot.files() if not _lies_before(file, starts)]

    def replacement(self, candidates: Sequence[DataFile], columns: Columns) -> Replacement:
        """Keep what lies before the window, and add the batch."""
        starts = self._starts()
        return Replacement(
            touched=candidates,
            keep=lambda rows, _: self.engine.before(rows, starts),
            come=self.put(self.read(self.batch, columns), "new") if self.batch.rows else (),
        )

    def _starts(self) -> dict[str, Value | None]:
        """Return where the window begins; None where it holds only rows without a watermark."""
        starts = dict(self.context.window)
        for column in [column for column, start in starts.items() if start is None and self.batch.rows]:
            known = self.read(self.batch, self.narrow(self.columns, [column])).filter(~nw.col(column).is_null())
            bounds = self.engine.key_ranges(known, [column])[column]
            starts[column] = bounds[0] if bounds else None
        return starts


def _lies_before(file: DataFile, starts: Mapping[str, Value | None]) -> bool:
    """Tell whether statistics prove that every row is set and before the window."""
    return all(
        file.nulls.get(column) == 0 and _is_before(file.upper.get(column), start) for column, start in starts.items()
    )


def _is_before(upper: Any, start: Value | None) -> bool:
    """Tell whether a bound proves that all values are before the start; a float proves nothing: NaN is in no bound."""
    if upper is None or isinstance(upper, float) or isinstance(start, float):
        return False
    try:
        return start is None or bool(upper < start)
    except TypeError:
        return False
