"""The ledger in SQL: units of work, what became of them, and the replays that they belong to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from tidegate.errors import WatermarkError
from tidegate.state.database import Session, from_json
from tidegate.state.store import DONE, Replay, UnitMark, UnitRecord

_MOST_KEYS = 500
"""Keys in one question: SQLite takes 999 values in a statement, or more."""


def plan(session: Session, key: str, scope: str) -> None:
    """Make sure that the ledger has the unit."""
    session.change(
        "INSERT INTO main.units (key, scope, status, marked_at) VALUES (?, ?, 'planned', ?) ON CONFLICT DO NOTHING",
        (key, scope, session.now().isoformat()),
    )


def mark(session: Session, record: UnitRecord) -> None:
    """Store what is now true of a unit."""
    session.change(
        "INSERT INTO main.units (key, scope, status, run_id, detail, marked_at) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (key) DO UPDATE SET scope = excluded.scope, status = excluded.status, run_id = excluded.run_id,"
        " detail = excluded.detail, marked_at = excluded.marked_at",
        (
            record.key,
            record.scope,
            record.status,
            record.run_id,
            record.detail,
            (record.at or session.now()).isoformat(),
        ),
    )


def done(session: Session, keys: Iterable[str]) -> set[str]:
    """Return those of the keys whose units are done."""
    asked, found = list(keys), set[str]()
    for start in range(0, len(asked), _MOST_KEYS):
        some = asked[start : start + _MOST_KEYS]
        sql = f"SELECT key FROM main.units WHERE key IN ({_marks(some)}) AND status IN ({_marks(DONE)})"  # noqa: S608
        found |= {row["key"] for row in session.rows(sql, (*some, *DONE))}
    return found


def unit(session: Session, key: str) -> UnitRecord | None:
    """Return what the ledger says of a unit."""
    row = session.row("SELECT * FROM main.units WHERE key = ?", (key,))
    return _record(row) if row else None


def units(
    session: Session, scope: str, statuses: Sequence[UnitMark] | None, after: str | None, limit: int
) -> list[UnitRecord]:
    """Return one page of the units of a scope, by key."""
    sql, values = "SELECT * FROM main.units WHERE scope = ?", [scope]
    if after is not None:
        sql, values = f"{sql} AND key > ?", [*values, after]
    if statuses is not None:
        if not statuses:
            return []
        sql, values = f"{sql} AND status IN ({_marks(statuses)})", [*values, *statuses]
    return [_record(row) for row in session.rows(f"{sql} ORDER BY key LIMIT ?", [*values, limit])]


def counts(session: Session, scope: str) -> dict[str, int]:
    """Return how many units of a scope have each mark."""
    sql = "SELECT status, count(*) AS units FROM main.units WHERE scope = ? GROUP BY status ORDER BY status"
    return {row["status"]: row["units"] for row in session.rows(sql, (scope,))}


def begin_replay(session: Session, replay: Replay) -> Replay:
    """Store a replay if there is none of its id, and return the one that is stored."""
    session.change(
        "INSERT INTO main.replays (replay_id, dataflow_id, spec, status, created_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (
            replay.replay_id,
            replay.dataflow_id,
            json.dumps(dict(replay.spec)),
            replay.status,
            (replay.created_at or session.now()).isoformat(),
        ),
    )
    return _replay(session.row("SELECT * FROM main.replays WHERE replay_id = ?", (replay.replay_id,)))


def end_replay(session: Session, replay_id: str) -> None:
    """Say that a replay is done."""
    if not session.change("UPDATE main.replays SET status = 'done' WHERE replay_id = ?", (replay_id,)):
        raise WatermarkError(f"there is no replay {replay_id!r}", {"replay_id": replay_id}, code="TG512")


def replays(session: Session, dataflow_id: str) -> list[Replay]:
    """Return the replays of a dataflow, the newest first."""
    sql = "SELECT * FROM main.replays WHERE dataflow_id = ? ORDER BY created_at DESC, replay_id DESC"
    return [_replay(row) for row in session.rows(sql, (dataflow_id,))]


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _record(row: Any) -> UnitRecord:
    return UnitRecord(
        key=row["key"],
        scope=row["scope"],
        status=row["status"],
        run_id=row["run_id"],
        detail=row["detail"],
        at=datetime.fromisoformat(row["marked_at"]),
    )


def _replay(row: Any) -> Replay:
    return Replay(
        replay_id=row["replay_id"],
        dataflow_id=row["dataflow_id"],
        spec=from_json(row["spec"], "replay"),
        status=row["status"],
        created_at=datetime.fromisoformat(row["created_at"]),
    )
