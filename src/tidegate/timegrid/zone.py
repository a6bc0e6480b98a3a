"""Wall clocks: what a time zone does to the times that they show.

Two rules hold everywhere. A wall time that the clocks skip stands for the first moment after the gap, and one that they
show twice for its first occurrence. Both together keep wall times in order.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from datetime import UTC, datetime, timedelta, tzinfo


def at_wall_time(wall: datetime, zone: tzinfo | None) -> datetime:
    """Return the moment at which the clocks of a zone first show `wall`, or have passed it.

    Args:
        wall: A wall time, without zone.
        zone: The zone; None leaves the wall time as it is.
    """
    return wall if zone is None else existing(wall.replace(tzinfo=zone, fold=0))


def existing(moment: datetime) -> datetime:
    """Return `moment`, which has a zone, or the first moment after the gap that it lies in."""
    if moment.tzinfo is UTC:
        return moment
    # In a gap, fold=0 reads the time by the offset before it, fold=1 by the one after it (PEP 495).
    other = moment.replace(fold=1 - moment.fold)
    before, after = map(_offset, (other, moment) if moment.fold else (moment, other))
    if before >= after:
        return moment
    early = (moment.replace(tzinfo=UTC, fold=0, microsecond=0)) - after
    seconds = range(math.ceil((after - before).total_seconds()) + 1)
    gap = bisect_left(seconds, after, key=lambda second: _offset(_plus(early, second).astimezone(moment.tzinfo)))
    return _plus(early, gap).astimezone(moment.tzinfo)


def wall_time(moment: datetime, zone: tzinfo | None) -> datetime:
    """Return what the clocks of a zone show; the last time of all when the moment lies beyond their calendar."""
    try:
        return moment if zone is None else moment.astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        return datetime.max  # noqa: DTZ901 - a wall time


def plus_elapsed(moment: datetime, span: timedelta) -> datetime:
    """Return the moment after `span` has passed, whatever the clocks did meanwhile."""
    return moment + span if moment.tzinfo is None else (moment.astimezone(UTC) + span).astimezone(moment.tzinfo)


def plus_wall(moment: datetime, span: timedelta) -> datetime:
    """Return the moment at which the clocks show `span` more."""
    return at_wall_time(moment.replace(tzinfo=None) + span, moment.tzinfo)


def _offset(moment: datetime) -> timedelta:
    return moment.utcoffset() or timedelta(0)


def _plus(moment: datetime, seconds: int) -> datetime:
    return moment + timedelta(seconds=seconds)
