"""Runs in SQL: what was called, and what happened to each unit of work."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tidegate.errors import WatermarkError
from tidegate.state.database import Session, from_json
from tidegate.state.store import RunRecord

_MOST_NAMED = 5
"""Runs that an error names."""

_LAST_REPORTS = """
WITH RECURSIVE known(dataflow_id) AS (
    SELECT min(dataflow_id) FROM main.reports
    UNION ALL
    SELECT (SELECT min(dataflow_id) FROM main.reports WHERE dataflow_id > known.dataflow_id)
    FROM known WHERE known.dataflow_id IS NOT NULL
)
SELECT dataflow_id, report FROM main.reports WHERE id IN (
    SELECT (SELECT max(id) FROM main.reports WHERE dataflow_id = known.dataflow_id) FROM known
)
"""
"""Steps from flow to flow in the index, instead of reading all of it: there are many more reports than flows."""


def add_report(session: Session, report: dict[str, Any]) -> None:
    """Keep what happened to a unit of work."""
    session.change(
        "INSERT INTO main.reports (run_id, dataflow_id, report) VALUES (?, ?, ?)",
        (report["run_id"], report["dataflow_id"], json.dumps(report, separators=(",", ":"))),
    )


def last_reports(session: Session) -> dict[str, dict[str, Any]]:
    """Return the newest unit report of every dataflow, by dataflow id."""
    return {row["dataflow_id"]: from_json(row["report"], "report") for row in session.rows(_LAST_REPORTS)}


def reports(session: Session, run_id: str) -> list[dict[str, Any]]:
    """Return the unit reports of a run, in the order in which they were recorded."""
    rows = session.rows("SELECT report FROM main.reports WHERE run_id = ? ORDER BY id", (run_id,))
    return [from_json(row["report"], "report") for row in rows]


def begin_run(session: Session, record: RunRecord) -> None:
    """Record that a run begins."""
    session.change(
        "INSERT INTO main.runs (run_id, command, started_at, ended_at, job_id, job_num, job_index, flows, summary)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            record.run_id,
            record.command,
            _text(record.started_at),
            _text(record.ended_at) if record.ended_at else None,
            record.job_id,
            record.job_num,
            record.job_index,
            json.dumps(record.flows),
            _json(record.summary),
        ),
    )


def end_run(session: Session, run_id: str, ended_at: datetime, summary: Mapping[str, Any] | None) -> None:
    """Record that a run has ended."""
    values = (_text(ended_at), _json(summary), run_id)
    if not session.change("UPDATE main.runs SET ended_at = ?, summary = ? WHERE run_id = ?", values):
        raise no_run(run_id, runs(session, _MOST_NAMED, None))


def runs(session: Session, limit: int, job_id: str | None) -> list[RunRecord]:
    """Return runs, the newest first."""
    sql, values = "SELECT * FROM main.runs", list[Any]()
    if job_id is not None:
        sql, values = f"{sql} WHERE job_id = ?", [job_id]
    rows = session.rows(f"{sql} ORDER BY started_at DESC, run_id DESC LIMIT ?", [*values, limit])
    return [_record(row) for row in rows]


def run(session: Session, run_id: str) -> RunRecord:
    """Return a run by its id, or by the beginning of it."""
    row = session.row("SELECT * FROM main.runs WHERE run_id = ?", (run_id,))
    if row:
        return _record(row)
    sql = "SELECT * FROM main.runs WHERE run_id >= ? AND substr(run_id, 1, ?) = ? ORDER BY run_id LIMIT ?"
    rows = session.rows(sql, (run_id, len(run_id), run_id, _MOST_NAMED + 1)) if run_id else []
    if not rows:
        raise no_run(run_id, runs(session, _MOST_NAMED, None))
    if len(rows) > 1:
        names = [row["run_id"] for row in rows[:_MOST_NAMED]]
        more = ", ..." if len(rows) > _MOST_NAMED else ""
        msg = f"several runs begin with {run_id!r}: {', '.join(names)}{more}"
        raise WatermarkError(msg, {"runs": names}, code="TG510", hint="give more of its id")
    return _record(rows[0])


def no_run(run_id: str, newest: Sequence[RunRecord] = ()) -> WatermarkError:
    """Return the error of an id that no run has."""
    known = ", ".join(record.run_id for record in newest)
    hint = f"the newest runs: {known}" if known else "no run is recorded yet"
    return WatermarkError(f"there is no run {run_id!r}", {"run_id": run_id}, code="TG510", hint=hint)


def _record(row: Any) -> RunRecord:
    return RunRecord(
        run_id=row["run_id"],
        command=row["command"],
        started_at=datetime.fromisoformat(row["started_at"]),
        ended_at=datetime.fromisoformat(row["ended_at"]) if row["ended_at"] else None,
        job_id=row["job_id"],
        job_num=row["job_num"],
        job_index=row["job_index"],
        flows=tuple(from_json(row["flows"], "run")),
        summary=from_json(row["summary"], "run") if row["summary"] else None,
    )


def _json(value: Mapping[str, Any] | None) -> str | None:
    return json.dumps(dict(value)) if value is not None else None


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
