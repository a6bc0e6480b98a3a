"""replace_window: the rows of the table in a window are replaced by the batch. Only replays use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tidegate.destinations.load_strategies.copy_on_write import Columns, CopyOnWrite, Replacement
from tidegate.destinations.selection import RowsWithin

if TYPE_CHECKING:
    from tidegate.destinations.selection import Selection
    from tidegate.destinations.strategy import Replays
    from tidegate.destinations.table import DataFile
    from tidegate.models import DataFlow


class ReplaceWindow(CopyOnWrite):
    """Makes one window of the table equal to the source's, whatever was loaded of it before; the rest stays.

    Rows without a value in the window's column lie in no window, and stay.
    """

    replays: ClassVar[Replays | None] = "any order"

    commits_nothing: ClassVar[bool] = True
    replaces_windows: ClassVar[bool] = True

    @classmethod
    def describe(cls, flow: DataFlow) -> str:  # noqa: ARG003 - the same for every dataflow
        """Say what is done."""
        return "replace the rows of the window"

    def examine_batch(self) -> None:
        """Refuse keys that occur twice, where there are keys."""
        if self.context.keys:
            super().examine_batch()

    def selection(self) -> Selection:
        """Return the rows of the window."""
        column, lower, upper = self._bounds()
        return RowsWithin(column=column, lower=lower, upper=upper)

    def identity(self) -> tuple[str, ...]:
        """Tell that the window goes whole."""
        return ()

    def replacement(self, candidates: Sequence[DataFile], columns: Columns) -> Replacement:
        """Keep what lies outside the window, and add the batch."""
        column, lower, upper = self._bounds()
        return Replacement(
            touched=candidates,
            keep=lambda rows, _: self.engine.in_window(rows, column, lower, upper, inside=False),
            come=self.put(self.read(self.batch, columns), "new") if self.batch.rows else (),
        )

    def _bounds(self) -> tuple[str, Any, Any]:
        ((column, lower),) = self.context.window.items()
        return column, lower, self.context.until[column]
