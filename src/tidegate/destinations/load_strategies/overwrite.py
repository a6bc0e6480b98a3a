"""overwrite (full_load): the batch replaces all rows of the table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tidegate.destinations.commit import Change, Snapshot
from tidegate.destinations.load_strategies.append import Append

if TYPE_CHECKING:
    from tidegate.models import DataFlow


class Overwrite(Append):
    """Adds the new files and removes all others, in one commit; until then readers see the old rows."""

    @classmethod
    def describe(cls, flow: DataFlow) -> str:  # noqa: ARG003 - the same for every dataflow
        """Say what is done."""
        return "replace all rows"

    def change(self, snapshot: Snapshot) -> Change:
        """Add the files, remove what the snapshot has."""
        return replace(super().change(snapshot), removed=tuple(snapshot.files()), replaces_all=True)
