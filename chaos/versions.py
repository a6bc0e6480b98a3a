"""The history of rows that a slowly changing dimension (type 2) must hold."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from itertools import pairwise

import polars as pl

from chaos.rows import BUSINESS, VERSIONS, Row

_Story = dict[datetime, Row | None]
"""What a key is from when on, until the next entry; None: it is no more."""


class History:
    """Of each id its versions, by the time from which they hold.

    What says again what was known makes no version. A late version splits the one it falls into, and one that begins
    with another takes its place. A delete ends the version it falls into. A table remembers no more than that.
    """

    def __init__(self) -> None:
        self._stories: dict[int, _Story] = defaultdict(dict)

    def take(self, rows: list[Row]) -> None:
        """Take an increment."""
        for row in rows:
            self._stories[row.id][row.changed_at] = None if row.operation == "D" else row
        for key in {row.id for row in rows}:
            self._stories[key] = _told_once(self._stories[key])

    def table(self) -> pl.DataFrame:
        """Return all versions, with the time until which they hold: NULL for the current ones."""
        found = [
            (*row[: len(BUSINESS)], begin, end, end is None)
            for story in self._stories.values()
            for (begin, row), (end, _) in pairwise([*story.items(), (None, None)])
            if row is not None
        ]
        return pl.DataFrame(found, schema={**BUSINESS, **VERSIONS}, orient="row")


def _told_once(story: _Story) -> _Story:
    """Return a story in the order of time, without what changes nothing."""
    told: _Story = {}
    before = None
    for time, row in sorted(story.items(), key=lambda entry: entry[0]):
        content = row and (row.region, row.revision, row.amount, row.note)
        if content != before:
            told[time] = row
        before = content
    return told
