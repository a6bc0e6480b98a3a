"""scd2: the table keeps the history of each key, as versions that each hold from one time until the next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import narwhals as nw
import pyarrow as pa

from tidegate.destinations.load_strategies.content import compared_columns
from tidegate.destinations.load_strategies.copy_on_write import FILE, Columns, CopyOnWrite, Replacement, together
from tidegate.destinations.load_strategies.layout import ROWS_PER_REWRITE
from tidegate.destinations.load_strategies.timeline import (
    DONOR,
    IS_TWIN,
    KIND,
    NEWS,
    REST,
    STATE,
    batch_events,
    completed,
    table_events,
    timelines,
)
from tidegate.destinations.load_strategies.versions import HistoryColumns, fates, one_of_twins, staying
from tidegate.engines.base import FileTarget, Written
from tidegate.errors import DestinationError
from tidegate.transformers.change_data import IS_DELETE
from tidegate.transformers.scd2_columns import IS_CURRENT, SCD2_COLUMNS, VALID_FROM, VALID_TO
from tidegate.transformers.system_columns import CREATED_AT

if TYPE_CHECKING:
    from tidegate.destinations.strategy import Replays
    from tidegate.destinations.table import Change, DataFile, Snapshot
    from tidegate.engines.base import Frame, WrittenFile
    from tidegate.models import DataFlow

_EVENTS_AT_ONCE = 2_000_000
"""Keys are taken in shares of about this many events, which are sorted in memory."""
_SHARE = "__tidegate_share"
_ONE_AT_A_TIME = (
    "a key can change once at a time; declare which row wins: source.cdc.sequence_by or transform.latest_data_columns; "
    "or name a finer destination.configure.scd2_effective_column"
)


class Scd2(CopyOnWrite):
    """Makes of the versions that are there, and of the rows that come, the versions that tell the same story.

    A row says what its key is from its `__valid_from` on; a delete, that it is no more. An unchanged row makes no
    version, a late one splits the version that it falls into, one at the begin of a version corrects it, and
    neighbours that say the same are one. Many loads, in whatever order, come to what one load of all their rows comes
    to, except for what leaves no trace in a table: an observation that changed nothing, and the delete of a key that
    was not there.

    A column that the batch lacks is as it was in the version before. Where two rows say different things of one time,
    that of the batch counts, unless the columns that order changes say that the table's is later. Without an effective
    column rows hold from the time of their load, and one that is older than a version of its key is no news.
    """

    replays: ClassVar[Replays | None] = "any order"

    @classmethod
    def describe(cls, flow: DataFlow) -> str:
        """Name the keys, and from when on versions hold."""
        effective = flow.destination.settings.scd2_effective_column
        return f"versions by {', '.join(flow.destination.merge_keys)}, each from {effective or 'its load'} to the next"

    def write(self, frame: Frame, snapshot: Snapshot) -> Written:
        """Keep the batch; an empty table takes it as it is, if each of its keys has one row."""
        self._refuse_other_tables(snapshot)
        return super().write(frame, snapshot)

    def examine_batch(self) -> None:
        """Refuse rows without a time, and two of one key at one time."""
        if not self.batch.rows:
            return
        self._refuse_undated()
        keys = self.context.keys
        if self.engine.repeated_key(self.read(self.batch, self.narrow(self.columns, keys)), keys) is not None:
            self.refuse_repeated((*keys, VALID_FROM), hint=_ONE_AT_A_TIME)
            self.leave_place()

    def identity(self) -> tuple[str, ...]:
        """Return what tells one version from all others."""
        return (*self.context.keys, VALID_FROM)

    def change(self, snapshot: Snapshot) -> Change:
        """Rewrite the files of this snapshot that hold versions which change."""
        self._refuse_other_tables(snapshot)
        return super().change(snapshot)

    def replacement(self, candidates: Sequence[DataFile], columns: Columns) -> Replacement:
        """Compare the timelines of the batch's keys before and after."""
        if not self.batch.rows:
            return Replacement(touched=(), keep=lambda rows, _: rows, come=(), updated=0)
        history = self._history(columns)
        keys = self.narrow(columns, self.context.keys)
        files = self.files_of(self.matching(candidates, self.batch, keys, "found"), candidates)
        there = self._there(files, history)
        made, twins, changed = self._timelines(there, self._news(there, history), history)
        touched = self.files_of(together(changed), files)
        return Replacement(
            touched=touched,
            keep=lambda rows, group: self._staying(rows, group, together(changed), history),
            come=(*self._made(made, files, history), *self._single(together(twins), touched, history)),
            updated=together(changed).rows,
            rows_at_once=ROWS_PER_REWRITE,
        )

    def _history(self, columns: Columns) -> HistoryColumns:
        flow = self.table.flow
        computed = {part.column.lower() for part in flow.destination.partitions if part.expression}
        ignores = {*self.context.moments, *(column for column in columns if column.lower() in computed)}
        lacking = [column for column in columns if column not in self.columns]
        compares_all = not flow.destination.compare_columns
        return HistoryColumns(
            all=columns,
            keys=self.context.keys,
            order=self.context.order,
            compared=compared_columns(flow, self.written_columns(), self.context, ignores=ignores),
            lacking=lacking,
            compared_lacking=compared_columns(flow, lacking, self.context, ignores=ignores) if compares_all else (),
        )

    # ---- what is there, and what comes: narrow, with a hash of the content

    def _there(self, files: Sequence[DataFile], history: HistoryColumns) -> Written:
        """Stage the versions of the batch's keys."""
        wanted = history.there()
        named = [column for column in wanted if column in history.all]
        wide = history.of(named, history.compared, history.compared_lacking)
        rows = self.engine.matches(
            self.engine.read_table(files, wide, path_column=FILE),
            self.read(self.batch, history.of(history.keys)),
            history.keys,
        )
        rows = self.engine.with_content_hash(rows, history.compared, STATE)
        if history.lacking:
            rows = self.engine.with_content_hash(rows, history.compared_lacking, REST)
        return self.stage(rows.select(list(wanted)), "there")

    def _news(self, there: Written, history: HistoryColumns) -> Written:
        """Stage what the batch says, without what the table knows better."""
        wanted = {**history.of(history.identity, (CREATED_AT,), history.compared)}
        deletes = {IS_DELETE: pa.bool_()} if IS_DELETE in self.columns else {}
        rows = self.engine.with_content_hash(self.read(self.batch, {**wanted, **deletes}), history.compared, STATE)
        if deletes:
            rows = rows.with_columns(nw.when(~nw.col(IS_DELETE)).then(nw.col(STATE)).alias(STATE))
        if history.order and there.rows:
            rows = self.engine.without_matches(rows, self._outranked(there, history), history.identity)
        return self.stage(rows.select(list(history.news())), "news")

    def _outranked(self, there: Written, history: HistoryColumns) -> Frame:
        """Return the identity of rows of the batch that are older than what the table has."""
        is_dated = self.table.flow.destination.settings.scd2_effective_column is not None
        rivals = history.identity if is_dated else history.keys
        batch = self.read(self.batch, history.of(history.identity, history.order))
        old = self.read(there, history.of(rivals, history.order))
        outranked = self.engine.outranked(batch, old, rivals, history.order)
        return outranked if is_dated else self.engine.matches(batch, outranked, rivals)

    # ---- before and after

    def _timelines(self, there: Written, news: Written, history: HistoryColumns) -> tuple[list[Written], ...]:
        """Stage in shares: versions that rows of the batch become, twins that count, and versions that do not stay."""
        shares = 1 + (2 * there.rows + news.rows) // _EVENTS_AT_ONCE
        made, twins, changed = [], [], []
        for share, (versions, rows) in enumerate(
            zip(
                self._shared(there, history.there(), "there", shares),
                self._shared(news, history.news(), "news", shares),
                strict=True,
            )
        ):
            old = self.read(versions, history.there())
            staged = self.stage(self._told(old, self.read(rows, history.news()), history), f"told{share}")
            told = self.read(staged, history.told())
            made.append(self.stage(told.filter(nw.col(KIND) == NEWS), f"made{share}"))
            twins.append(self.stage(told.filter(nw.col(IS_TWIN)), f"twins{share}"))
            changed.append(self.stage(fates(self.engine, old, told, history), f"changed{share}"))
        return made, twins, changed

    def _shared(self, rows: Written, columns: Columns, name: str, shares: int) -> list[Written]:
        """Stage rows in shares, by their keys."""
        if shares == 1:
            return [rows]
        hashed = self.engine.with_content_hash(self.read(rows, columns), self.context.keys, _SHARE)
        target = FileTarget(
            folder=self.context.scratch, prefix=f"{name}-shared", compression="lz4", partition_by=(_SHARE,)
        )
        written = self.engine.write(hashed.with_columns(nw.col(_SHARE) % shares), target)
        found: list[list[WrittenFile]] = [[] for _ in range(shares)]
        for file in written.files:
            found[int(file.partition[_SHARE] or 0)].append(file)
        return [Written(rows=sum(file.rows or 0 for file in files), files=tuple(files)) for files in found]

    def _told(self, versions: Frame, news: Frame, history: HistoryColumns) -> Frame:
        events = nw.concat([table_events(self.engine, versions, history.keys), batch_events(news, history.keys)])
        if history.lacking:
            events = completed(self.engine, events, versions, history.keys)
        return timelines(self.engine, events, history.keys).select(list(history.told()))

    # ---- the rows that stay, and those that come

    def _staying(self, rows: Frame, files: Sequence[DataFile], changed: Written, history: HistoryColumns) -> Frame:
        of_files = nw.col(FILE).is_in([file.path for file in files])
        fate = self.read(changed, history.fates()).filter(of_files)
        return staying(self.engine, rows, fate, history, self.context.stamp)

    def _made(
        self, made: Sequence[Written], files: Sequence[DataFile], history: HistoryColumns
    ) -> tuple[WrittenFile, ...]:
        """Write the versions that rows of the batch become; many of them in shares."""
        if sum(share.rows for share in made) <= _EVENTS_AT_ONCE:
            return self._opened(self.batch, together(made), files, history, "new")
        batch = self._shared(self.batch, self.columns, "batch", len(made))
        return tuple(
            file
            for share, (rows, versions) in enumerate(zip(batch, made, strict=True))
            for file in self._opened(rows, versions, files, history, f"new{share}")
        )

    def _opened(
        self, batch: Written, made: Written, files: Sequence[DataFile], history: HistoryColumns, part: str
    ) -> tuple[WrittenFile, ...]:
        donor = (DONOR,) if history.lacking else ()
        versions = self.read(made, history.told())
        given = (VALID_TO, IS_CURRENT, CREATED_AT, KIND, *donor)
        rows = self.engine.keeping(self.read(batch, history.all), versions, history.identity, given)
        rows = rows.filter(~nw.col(KIND).is_null())
        if history.lacking:
            rows = self._completed(rows, versions, files, history)
        return self.put(rows.select(list(history.all)), part)

    def _completed(self, rows: Frame, made: Frame, files: Sequence[DataFile], history: HistoryColumns) -> Frame:
        """Return rows with the columns that the batch lacks, from their donors."""
        identity, columns = history.identity, history.of(history.identity, history.lacking)
        donors = made.filter(~nw.col(DONOR).is_null()).select(*history.keys, nw.col(DONOR).alias(VALID_FROM))
        there = self.engine.matches(self.engine.read_table(files, columns), donors, identity)
        given = self.stage(there, "given")
        renamed = self.read(given, columns).rename({VALID_FROM: DONOR})
        return self.engine.keeping(rows, renamed, [*history.keys, DONOR], history.lacking)

    def _single(self, twins: Written, files: Sequence[DataFile], history: HistoryColumns) -> tuple[WrittenFile, ...]:
        """Write one of those versions of the table that begin together."""
        if not twins.rows:
            return ()
        there = self.read(twins, history.told())
        rows = self.engine.matches(self.engine.read_table(files, history.all), there, history.identity)
        return self.put(one_of_twins(self.engine, rows, there, history, self.context.stamp), "single")

    # ---- what has no right outcome

    def _refuse_undated(self) -> None:
        """Refuse a row whose time is NULL or not a finite number: there is no place for it in a history."""
        dated = self.narrow(self.columns, [VALID_FROM])
        bounds = self.engine.key_ranges(self.read(self.batch, dated), [VALID_FROM])[VALID_FROM]
        if bounds is not None and not any(isinstance(bound, float) and math.isinf(bound) for bound in bounds):
            return
        effective = self.table.flow.destination.settings.scd2_effective_column
        msg = f"a row of the batch does not say from when it holds: {effective} is NULL or no finite number"
        hint = (
            f"leave such rows out (source.filter_expression: {effective} IS NOT NULL), or give them a time "
            f"(schema_hints: [{{column_name: {effective}, default_value: ...}}])"
        )
        raise DestinationError(msg, {"column": effective}, code="TG417", where=self.table.place, hint=hint)

    def _refuse_other_tables(self, snapshot: Snapshot) -> None:
        """Refuse a table whose rows do not say from when to when they hold."""
        missing = [column for column in SCD2_COLUMNS if column not in snapshot.columns]
        if not missing or not snapshot.files():
            return
        msg = f"{self.table.place} holds rows that have no {', '.join(missing)}: it is not a history"
        hint = "load into a new table, or add the columns to this one and fill them"
        raise DestinationError(msg, {"columns": missing}, code="TG418", where=self.table.place, hint=hint)
