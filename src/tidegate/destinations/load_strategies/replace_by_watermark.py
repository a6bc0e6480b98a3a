"""replace_by_watermark: the rows from where the read started are replaced by the batch; earlier rows stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import narwhals as nw

from tidegate.destinations.load_strategies.copy_on_write import Columns, CopyOnWrite, Replacement
from tidegate.destinations.selection import RowsFrom

if TYPE_CHECKING:
    from tidegate.destinations.selection import Selection
    from tidegate.destinations.strategy import Replays
    from tidegate.destinations.table import DataFile
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

    def selection(self) -> Selection:
        """Return the rows that do not lie before the window."""
        return RowsFrom(starts=self._starts())

    def identity(self) -> tuple[str, ...]:
        """Tell that the window goes whole."""
        return ()

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
