"""The timeline of a key: what happened to it, and the versions that come of it.

An event says from when on a key has which content, or none. A table's versions are events, and so are the rows of a
batch; the versions of a key are a pure function of its events. So it does not matter in which order they arrive.

A frame of events has the keys and `EVENT_COLUMNS`; several events of one key at one time are ordered by `KIND`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import narwhals as nw

from tidegate.transformers.scd2_columns import IS_CURRENT, VALID_FROM, VALID_TO
from tidegate.transformers.system_columns import CREATED_AT

if TYPE_CHECKING:
    from tidegate.engines.base import BaseEngine, Frame

STATE = "__tidegate_state"
"""Hash of the content; NULL: the key has none, it is deleted."""
KIND = "__tidegate_kind"
"""Where an event comes from. Of two at one time the greater counts, unless both say the same."""
CLOSING, VERSION, NEWS = 0, 1, 2
OLD_TO = "__tidegate_old_to"
OLD_CURRENT = "__tidegate_old_current"
"""What the table has for a version: OLD_TO and OLD_CURRENT."""
IS_TWIN = "__tidegate_is_twin"
"""Whether other versions of the table begin with this one: Tidegate makes no such versions, and ends them."""
EVENT_COLUMNS = (VALID_FROM, STATE, KIND, OLD_TO, OLD_CURRENT, CREATED_AT, IS_TWIN)

DONOR = "__tidegate_donor"
"""Begin of the version that an event takes those columns from that its batch does not have."""
REST = "__tidegate_rest"
"""Hash of these columns."""

_BEFORE, _AFTER = "__tidegate_before_", "__tidegate_after_"
_IS_OPEN = "__tidegate_is_open"


def batch_events(news: Frame, keys: Sequence[str]) -> Frame:
    """Return the events that a batch tells of.

    Args:
        news: Keys, `VALID_FROM`, `STATE` and `CREATED_AT`.
        keys: Columns that identify a row.
    """
    events = news.with_columns(
        _kind(NEWS),
        _nothing(OLD_TO, like=VALID_FROM),
        nw.lit(value=False).alias(OLD_CURRENT),
        _nothing(CREATED_AT, like=CREATED_AT),
        nw.lit(value=False).alias(IS_TWIN),
    )
    return events.select(*keys, *EVENT_COLUMNS)


def table_events(engine: BaseEngine, versions: Frame, keys: Sequence[str]) -> Frame:
    """Return the events that a table's versions tell of: contents that begin, and ends that nothing follows at once.

    Versions may overlap, be empty or begin together, though Tidegate makes none that do: the later begin counts, an
    empty one says that there is nothing from its begin on, and of those that begin together the last to end counts.

    Args:
        engine: The engine.
        versions: Keys, the SCD2 columns, `STATE` and `CREATED_AT`.
        keys: Columns that identify a row.
    """
    is_empty = (nw.col(VALID_TO) <= nw.col(VALID_FROM)).fill_null(value=False)
    placed = engine.with_neighbours(
        versions.with_columns(
            _kind(VERSION),
            nw.col(VALID_TO).is_null().alias(_IS_OPEN),
            nw.when(~is_empty).then(nw.col(STATE)).alias(STATE),
        ),
        keys,
        [VALID_FROM, _IS_OPEN, VALID_TO],
        before={_BEFORE + KIND: KIND, _BEFORE + VALID_FROM: VALID_FROM},
        after={_AFTER + KIND: KIND, _AFTER + VALID_FROM: VALID_FROM},
    )
    has_before, has_after = ~nw.col(_BEFORE + KIND).is_null(), ~nw.col(_AFTER + KIND).is_null()
    begins_with_next = has_after & same(VALID_FROM, _AFTER + VALID_FROM)
    begins = placed.filter(~begins_with_next).with_columns(
        (has_before & same(VALID_FROM, _BEFORE + VALID_FROM)).alias(IS_TWIN),
        nw.col(VALID_TO).alias(OLD_TO),
        nw.col(IS_CURRENT).alias(OLD_CURRENT),
    )
    next_begins_later = (nw.col(_AFTER + VALID_FROM) > nw.col(VALID_TO)).fill_null(value=False)
    is_last = ~nw.col(VALID_TO).is_null() & (~has_after | next_begins_later)
    ends = begins.filter(is_last & ~nw.col(STATE).is_null()).with_columns(
        nw.col(VALID_TO).alias(VALID_FROM),
        _nothing(STATE, like=STATE),
        _kind(CLOSING),
        nw.lit(value=False).alias(IS_TWIN),
    )
    columns = [*keys, *EVENT_COLUMNS]
    return nw.concat([begins.select(columns), ends.select(columns)])


def completed(engine: BaseEngine, events: Frame, rests: Frame, keys: Sequence[str]) -> Frame:
    """Return events with the content of those columns that the batch does not have.

    A row of the batch takes them from the version that holds when it begins, or held last; else from the first one.

    Args:
        engine: The engine.
        events: The events.
        rests: Keys, `VALID_FROM` and `REST` of the table's versions.
        keys: Columns that identify a row.
    """
    is_version = nw.col(KIND) == VERSION
    known = engine.keeping(events, rests, [*keys, VALID_FROM], [REST]).with_columns(
        nw.when(is_version).then(nw.col(VALID_FROM)).alias(DONOR), nw.when(is_version).then(nw.col(REST)).alias(REST)
    )
    for direction in ("forward", "backward"):
        known = known.with_columns(
            nw.col(column).fill_null(strategy=direction).over(*keys, order_by=[VALID_FROM, KIND])
            for column in (DONOR, REST)
        )
    whole = "__tidegate_whole"
    hashed = engine.with_content_hash(known, [STATE, REST], whole)
    state = nw.when(~nw.col(STATE).is_null()).then(nw.col(whole)).alias(STATE)
    return hashed.with_columns(state).select(*keys, *EVENT_COLUMNS, DONOR)


def timelines(engine: BaseEngine, events: Frame, keys: Sequence[str]) -> Frame:
    """Return the versions that come of events: those that change the state of their key, each until the next one.

    A version keeps the columns of the event that it begins with, and gets `VALID_TO` and `IS_CURRENT`. One that takes
    the place of a version of the table, from the same time on, also takes its `CREATED_AT`.
    """
    decided = _one_a_time(engine, events, keys)
    told = engine.with_neighbours(decided, keys, [VALID_FROM], before={_BEFORE + STATE: STATE})
    changes = told.filter(~same(STATE, _BEFORE + STATE))
    dated = engine.with_neighbours(
        changes, keys, [VALID_FROM], after={VALID_TO: VALID_FROM, _AFTER + KIND: KIND}
    ).with_columns(nw.col(_AFTER + KIND).is_null().alias(IS_CURRENT))
    return dated.filter(~nw.col(STATE).is_null()).drop(_BEFORE + STATE, _AFTER + KIND)


def same(one: str, other: str) -> nw.Expr:
    """Return whether two columns hold the same, NULL included."""
    both_null = nw.col(one).is_null() & nw.col(other).is_null()
    return (nw.col(one) == nw.col(other)).fill_null(value=False) | both_null


def _one_a_time(engine: BaseEngine, events: Frame, keys: Sequence[str]) -> Frame:
    """Return, of the events of one key at one time, the one that counts: the first that says what the last says."""
    columns = (VALID_FROM, STATE, CREATED_AT)
    placed = engine.with_neighbours(
        events,
        keys,
        [VALID_FROM, KIND],
        before={_BEFORE + column: column for column in columns},
        after={_AFTER + column: column for column in columns},
    )
    with_before = _equal(VALID_FROM, _BEFORE + VALID_FROM)
    is_repeated = with_before & _equal(STATE, _BEFORE + STATE)
    is_overruled = _equal(VALID_FROM, _AFTER + VALID_FROM) & ~_equal(STATE, _AFTER + STATE)
    created = nw.when(with_before).then(nw.col(_BEFORE + CREATED_AT)).otherwise(nw.col(CREATED_AT)).alias(CREATED_AT)
    decided = placed.filter(~is_repeated & ~is_overruled).with_columns(created)
    return decided.drop(*(side + column for side in (_BEFORE, _AFTER) for column in columns))


def _equal(one: str, other: str) -> nw.Expr:
    return (nw.col(one) == nw.col(other)).fill_null(value=False)


def _kind(kind: int) -> nw.Expr:
    return nw.lit(kind).cast(nw.Int8).alias(KIND)


def _nothing(column: str, *, like: str) -> nw.Expr:
    """Return a column of NULL that has the type of another."""
    return nw.when(nw.lit(value=False)).then(nw.col(like)).alias(column)
