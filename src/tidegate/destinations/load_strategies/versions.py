"""The versions of a table, before and after: which of them go, which end at another time, and which stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import narwhals as nw
import pyarrow as pa

from tidegate.destinations.load_strategies.copy_on_write import FILE, Columns
from tidegate.destinations.load_strategies.timeline import (
    DONOR,
    IS_TWIN,
    KIND,
    OLD_CURRENT,
    OLD_TO,
    REST,
    STATE,
    VERSION,
    same,
)
from tidegate.engines.base import ColumnCast
from tidegate.transformers.scd2_columns import IS_CURRENT, VALID_FROM, VALID_TO
from tidegate.transformers.system_columns import CREATED_AT

if TYPE_CHECKING:
    from tidegate.engines.base import BaseEngine, Frame

_NEW_TO = "__tidegate_new_to"
_NEW_CURRENT = "__tidegate_new_current"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryColumns:
    """The columns of a history, by what they are for."""

    all: Columns
    """Of the table once the change is made."""
    keys: Sequence[str]
    order: Sequence[str]
    """That say which of two rows is the later one."""
    compared: Sequence[str]
    """Of the content, as far as the batch has it."""
    lacking: Sequence[str] = ()
    """That the batch does not have."""
    compared_lacking: Sequence[str] = ()
    """Of the content, that the batch does not have."""

    @property
    def identity(self) -> list[str]:
        """What tells one version from all others."""
        return [*self.keys, VALID_FROM]

    def of(self, *names: Sequence[str]) -> Columns:
        """Return these columns with their types, each once."""
        return {name: self.all[name] for group in names for name in group}

    def there(self) -> Columns:
        """Return the columns of the table's versions that timelines need."""
        named = self.of(self.identity, (VALID_TO, IS_CURRENT, CREATED_AT), self.order)
        return {**named, FILE: pa.string(), STATE: pa.uint64(), **({REST: pa.uint64()} if self.lacking else {})}

    def news(self) -> Columns:
        """Return the columns of the batch that timelines need."""
        return {**self.of(self.identity, (CREATED_AT,)), STATE: pa.uint64()}

    def told(self) -> Columns:
        """Return the columns of versions as timelines give them."""
        at = self.all[VALID_FROM]
        old = {OLD_TO: at, OLD_CURRENT: pa.bool_(), IS_TWIN: pa.bool_(), **({DONOR: at} if self.lacking else {})}
        return {**self.of(self.identity, (VALID_TO, IS_CURRENT, CREATED_AT)), KIND: pa.int8(), **old}

    def fates(self) -> Columns:
        """Return the columns of versions that leave the table as they are."""
        new = {_NEW_TO: self.all[VALID_FROM], _NEW_CURRENT: pa.bool_()}
        return {**self.of(self.identity), FILE: pa.string(), **new}


def fates(engine: BaseEngine, there: Frame, told: Frame, columns: HistoryColumns) -> Frame:
    """Return which versions of the table go, and which get another end: all but those that are told as they are."""
    identity = columns.identity
    remaining = told.filter((nw.col(KIND) == VERSION) & ~nw.col(IS_TWIN))
    is_as_before = same(VALID_TO, OLD_TO) & same(IS_CURRENT, OLD_CURRENT)
    leaving = engine.without_matches(there.select(*identity, FILE), remaining.filter(is_as_before), identity)
    found = engine.keeping(leaving, _ends(remaining.filter(~is_as_before), columns), identity, [_NEW_TO, _NEW_CURRENT])
    return found.select(list(columns.fates()))


def staying(
    engine: BaseEngine,
    rows: Frame,
    fates: Frame,
    columns: HistoryColumns,
    stamp: Mapping[str, str | datetime],
) -> Frame:
    """Return the rows of the table's files that stay, those with another end changed so."""
    identity = columns.identity
    ends = fates.filter(~nw.col(_NEW_CURRENT).is_null()).select(*identity, _NEW_TO, _NEW_CURRENT)
    ended = engine.keeping(engine.matches(rows, ends, identity), ends, identity, [_NEW_TO, _NEW_CURRENT])
    unchanged = engine.without_matches(rows, fates, identity).select(list(columns.all))
    return nw.concat([unchanged, _with_ends(engine, ended, columns, stamp)])


def one_of_twins(
    engine: BaseEngine,
    rows: Frame,
    twins: Frame,
    columns: HistoryColumns,
    stamp: Mapping[str, str | datetime],
) -> Frame:
    """Return, of the rows that begin together, the one that counts, with its end."""
    ends = _ends(twins, columns, OLD_TO)
    found = engine.keeping(rows, ends, columns.identity, [OLD_TO, _NEW_TO, _NEW_CURRENT])
    counts = ~nw.col(_NEW_CURRENT).is_null() & same(VALID_TO, OLD_TO)
    single = found.filter(counts).drop(OLD_TO).unique(columns.identity, keep="any")
    return _with_ends(engine, single, columns, stamp)


def _ends(versions: Frame, columns: HistoryColumns, *others: str) -> Frame:
    new = (nw.col(VALID_TO).alias(_NEW_TO), nw.col(IS_CURRENT).alias(_NEW_CURRENT))
    return versions.select(*columns.identity, *others, *new)


def _with_ends(engine: BaseEngine, rows: Frame, columns: HistoryColumns, stamp: Mapping[str, str | datetime]) -> Frame:
    """Return rows with their new ends, and with the stamp of the load that gave these to them."""
    ended = rows.with_columns(nw.col(_NEW_TO).alias(VALID_TO), nw.col(_NEW_CURRENT).alias(IS_CURRENT))
    stamped = engine.with_constants(ended, stamp)  # in the table's types: not every one keeps a zone
    types = {name: ColumnCast(type=columns.all[name]) for name in stamp}
    return engine.cast(stamped, types).select(list(columns.all))
