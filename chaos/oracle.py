"""What a table must hold, found without Tidegate: row by row, in plain Python, one increment after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import polars as pl

from chaos.cases import LAG_SECONDS, Flow
from chaos.rows import BUSINESS, DELETED, VERSIONS, Row, frame, time_of
from chaos.versions import History


class Oracle:
    """Takes the increments of a flow's source, and says after each what the table must hold."""

    def __init__(self, flow: Flow) -> None:
        self.tables: list[pl.DataFrame] = []
        """After each increment."""
        self._flow = flow
        self._rows: list[Row] = []
        """Of tables in which rows have no identity."""
        self._by_id: dict[int, Row] = {}
        self._deleted: set[int] = set()
        """Ids of rows that are kept, marked as deleted."""
        self._history = History()

    def take(self, rows: list[Row], second: int) -> None:
        """Take an increment whose rows begin at a second, but for late ones."""
        apply: dict[str, Callable[[list[Row], datetime], None]] = {
            "append": self._append,
            "append-late": self._replace_all,
            "overwrite": self._replace_all,
            "overwrite-partitions": self._replace_partitions,
            "merge-upsert": self._merge,
            "merge-overwrite": self._merge,
            "merge-overwrite-groups": self._replace_groups,
            "merge-delete": self._merge_changes,
            "merge-delete-soft": self._merge_changes,
            "snapshot": self._mirror,
            "snapshot-soft": self._mirror,
            "replace-by-watermark": self._replace_tail,
            "scd2": self._add_versions,
            "scd2-deletes": self._add_versions,
        }
        apply[self._flow.strategy.name](rows, time_of(second - LAG_SECONDS))
        self.tables.append(self._table())

    def _table(self) -> pl.DataFrame:
        match self._flow.strategy.keeps:
            case "versions":
                return self._history.table()
            case "deleted rows":
                rows = sorted(self._by_id.items())
                marks = pl.Series("deleted", [key in self._deleted for key, _ in rows], dtype=DELETED["deleted"])
                return frame(row for _, row in rows).with_columns(marks)
            case _:
                return frame([*self._rows, *self._by_id.values()])

    # ---- one increment each

    def _append(self, rows: list[Row], _: datetime) -> None:
        self._rows += rows

    def _replace_all(self, rows: list[Row], _: datetime) -> None:
        self._rows = list(rows)

    def _replace_partitions(self, rows: list[Row], _: datetime) -> None:
        regions = {row.region for row in rows}
        self._rows = [row for row in self._rows if row.region not in regions] + rows

    def _replace_tail(self, rows: list[Row], begin: datetime) -> None:
        first = not self._rows
        kept = [row for row in self._rows if row.changed_at < begin]
        self._rows = kept + [row for row in rows if first or row.changed_at >= begin]

    def _replace_groups(self, rows: list[Row], _: datetime) -> None:
        keys = {row.id for row in rows}
        self._rows = [row for row in self._rows if row.id not in keys] + rows

    def _merge(self, rows: list[Row], _: datetime) -> None:
        for row in _latest(rows, lambda row: row.changed_at):
            known = self._by_id.get(row.id)
            if known is None or known.changed_at <= row.changed_at:
                self._by_id[row.id] = row

    def _merge_changes(self, rows: list[Row], _: datetime) -> None:
        keeps = self._flow.strategy.keeps == "deleted rows"
        for row in _latest(rows, lambda row: row.revision):
            known = self._by_id.get(row.id)
            if known is not None and known.revision > row.revision:
                continue
            if row.operation != "D":
                self._by_id[row.id] = row
                self._deleted.discard(row.id)
            elif keeps:
                self._by_id[row.id] = known._replace(revision=row.revision) if known else row
                self._deleted.add(row.id)
            else:
                self._by_id.pop(row.id, None)

    def _mirror(self, rows: list[Row], _: datetime) -> None:
        keeps = self._flow.strategy.keeps == "deleted rows"
        there = {row.id: row for row in rows}
        self._deleted = self._by_id.keys() - there if keeps else set()
        self._by_id = {**self._by_id, **there} if keeps else there

    def _add_versions(self, rows: list[Row], _: datetime) -> None:
        self._history.take(rows)


def _latest(rows: Iterable[Row], order: Callable[[Row], object]) -> Iterable[Row]:
    """Return of each id the row that is the latest; in a feed no two are equally late."""
    return {row.id: row for row in sorted(rows, key=order)}.values()


def columns_of(flow: Flow) -> dict[str, pl.DataType]:
    """Return the columns that are compared of a flow's table."""
    kept = {"deleted rows": DELETED, "versions": VERSIONS, None: {}}[flow.strategy.keeps]
    return {**BUSINESS, **kept}


def is_current(flow: Flow) -> pl.Expr:
    """Return the condition for rows that are current: what a reader takes the table to hold."""
    match flow.strategy.keeps:
        case "versions":
            return pl.col("is_current")
        case "deleted rows":
            return ~pl.col("deleted")
        case _:
            return pl.lit(value=True)
