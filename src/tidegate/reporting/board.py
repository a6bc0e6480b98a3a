"""Where every unit of a run stands: what the live table shows, before it is drawn."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Literal, Self

from tidegate.reporting.events import Event, RunFinished, RunStarted, UnitFinished, UnitProgress, UnitStarted
from tidegate.reporting.run_report import UnitReport

Status = Literal[
    "waiting", "planning", "reading", "writing", "committing", "interrupted", "succeeded", "failed", "skipped"
]
RUNNING = frozenset({"planning", "reading", "writing", "committing"})
_ENDED = frozenset({"succeeded", "skipped", "interrupted"})
_FAILURES_KEPT = 3
_MOST_ROWS = 1000
"""Rows that are kept; a replay may have a hundred thousand."""


@dataclass(slots=True)
class Row:
    """One unit as the table shows it."""

    name: str
    stage: str | None = None
    status: Status = "waiting"
    rows_in: int | None = None
    rows_out: int | None = None
    rows_total: int | None = None
    started_at: datetime | None = None
    report: UnitReport | None = None

    @classmethod
    def of(cls, report: UnitReport) -> Self:
        """Return the row of a unit that ended."""
        row = cls(name=report.name)
        row.finish(report)
        return row

    def finish(self, report: UnitReport) -> None:
        """Show how the unit ended."""
        self.stage, self.status, self.report = report.stage, report.status, report
        self.rows_in, self.rows_out, self.started_at = report.rows_in, report.rows_out, report.started_at

    @property
    def is_running(self) -> bool:
        """Whether the unit is being carried out."""
        return self.status in RUNNING

    def elapsed_seconds(self, now: datetime) -> float | None:
        """Return how long the unit took or has taken; None when it did not start."""
        if self.report:
            return self.report.duration_seconds
        return max(0.0, (now - self.started_at).total_seconds()) if self.started_at else None

    def rows_per_second(self, now: datetime) -> float | None:
        """Return the rows read each second so far; None when not known."""
        seconds = self.elapsed_seconds(now)
        return self.rows_in / seconds if self.rows_in and seconds else None

    def remaining_seconds(self, now: datetime) -> float | None:
        """Return when a running unit will have read its rows, at its pace so far; None when not known."""
        pace = self.rows_per_second(now)
        if not (pace and self.rows_in and self.rows_total and self.is_running):
            return None
        return max(0, self.rows_total - self.rows_in) / pace

    @property
    def remark(self) -> str:
        """Return the error of a unit that failed, else its detail and its position; empty while it runs."""
        report = self.report
        if report is None:
            return ""
        if report.error:
            return f"{report.error.code} {report.error.message}"
        return " · ".join(part for part in (report.detail, report.position_after) if part)


class Board:
    """The rows of one run, in the order in which they were announced."""

    def __init__(self) -> None:
        self.started_at: datetime | None = None
        self.is_finished = False
        self._rows: dict[str, Row] = {}
        self._forgotten: Counter[str] = Counter()

    def apply(self, event: Event) -> None:
        """Take an event in. Progress of a unit that has ended comes too late and is ignored."""
        match event:
            case RunStarted():
                self.started_at, self.is_finished = event.at, False
                self._forgotten.clear()
                self._rows = {name: Row(name=name, stage=stage) for name, stage, _ in event.units}
            case UnitStarted():
                row = Row(name=event.name, stage=event.stage, status="planning", started_at=event.at)
                self._rows[event.name] = row
            case UnitProgress():
                self._advance(event)
            case UnitFinished(report=report):
                self._rows.setdefault(report.name, Row(name=report.name)).finish(report)
                self._forget_one()
            case RunFinished():
                self.is_finished = True
                self.interrupt()
            case _:
                pass

    def _forget_one(self) -> None:
        """Drop the row that ended well first, when there are more than anyone looks at; it stays counted."""
        if len(self._rows) <= _MOST_ROWS:
            return
        for name, row in self._rows.items():
            if row.status in _ENDED:
                self._forgotten[row.status] += 1
                del self._rows[name]
                return

    def interrupt(self) -> None:
        """Nothing runs any more: what was running has been interrupted."""
        for row in self._rows.values():
            if row.is_running:
                row.status = "interrupted"

    @property
    def rows(self) -> list[Row]:
        """All rows."""
        return list(self._rows.values())

    def counts(self) -> Counter[str]:
        """Return how many units are `running`, and how many have each other status."""
        return self._forgotten + Counter("running" if row.is_running else row.status for row in self._rows.values())

    def visible(self, limit: int) -> list[Row]:
        """Return at most `limit` rows, those that matter most.

        That is all rows where they fit. Else the running ones (room is kept for the last failures), the
        failures, then what ended last, then what comes next; of what ended, the latest is lowest.
        """
        rows = self.rows
        if len(rows) <= limit:
            return rows
        running = [row for row in rows if row.is_running]
        failed = sorted((row for row in rows if row.status == "failed"), key=_end)
        ended = sorted((row for row in rows if row.status in _ENDED), key=_end)
        waiting = [row for row in rows if row.status == "waiting"]
        failed = _last(failed, min(limit, max(_FAILURES_KEPT, limit - len(running))))
        running = running[: limit - len(failed)]
        ended = _last(ended, limit - len(failed) - len(running))
        waiting = waiting[: limit - len(failed) - len(running) - len(ended)]
        return [*ended, *failed, *running, *waiting]

    def _advance(self, event: UnitProgress) -> None:
        row = self._rows.setdefault(event.name, Row(name=event.name))
        if row.report is None:
            row.status = event.phase
            row.started_at = row.started_at or event.at
            row.rows_in, row.rows_out = event.rows_in, event.rows_out
            row.rows_total = event.rows_total if event.rows_total is not None else row.rows_total


def _end(row: Row) -> float:
    return row.report.ended_at.timestamp() if row.report else inf


def _last(rows: list[Row], count: int) -> list[Row]:
    return rows[len(rows) - min(count, len(rows)) :]
