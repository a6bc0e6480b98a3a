"""The state store in SQL: the one implementation, over any database that the port fits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from tidegate.errors import LeaseHeldError
from tidegate.state import sql_leases, sql_runs, sql_units
from tidegate.state.database import Database, Session, T, Work, from_json
from tidegate.state.lease import LEASE_SECONDS, new_owner
from tidegate.state.position import Position
from tidegate.state.store import DONE, FlowState, Lease, Replay, RunRecord, UnitMark, UnitRecord


class SqlStateStore:
    """A :class:`~tidegate.state.StateStore` in a database; see there for what each method does.

    Args:
        database: Where it is kept.
        lease_seconds: How long a lease lives without renewal.
    """

    def __init__(self, database: Database, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.database = database
        self._lease_seconds = lease_seconds
        self._given_up: set[str] = set()
        """Owners of leases under which this process works no more, though the database may not know it."""

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

    # -- positions ------------------------------------------------------------------------------------------------

    def read(self, dataflow_id: str) -> FlowState | None:
        """Return the state of the dataflow, or None when it never loaded."""

        def find(session: Session) -> FlowState | None:
            row = session.row("SELECT * FROM main.flows WHERE dataflow_id = ?", (dataflow_id,))
            return _state(row) if row else None

        return self._find(find, None)

    def states(self) -> Sequence[FlowState]:
        """Return all states, by name."""

        def find(session: Session) -> list[FlowState]:
            return [_state(row) for row in session.rows("SELECT * FROM main.flows ORDER BY name, dataflow_id")]

        return self._find(find, [])

    def write(self, lease: Lease, state: FlowState) -> None:
        """Store the state, on condition that the lease is still held."""

        def work(session: Session) -> None:
            if not sql_leases.keeps(session, lease):
                raise sql_leases.taken_over(f"dataflow {state.name!r}")
            session.change(
                "INSERT INTO main.flows (dataflow_id, name, sequence, position, version, origin, run_id, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (dataflow_id) DO UPDATE SET name = excluded.name,"
                " sequence = excluded.sequence, position = excluded.position, version = excluded.version,"
                " origin = excluded.origin, run_id = excluded.run_id, updated_at = excluded.updated_at",
                (
                    state.dataflow_id,
                    state.name,
                    state.sequence,
                    json.dumps(state.position.to_data(), separators=(",", ":")),
                    state.version,
                    state.origin,
                    state.run_id,
                    session.now().isoformat(),
                ),
            )

        self.database.write(work)

    # -- leases ---------------------------------------------------------------------------------------------------

    def acquire(self, key: str) -> Lease:
        """Take the lease; a dead owner's, an expired one, or one given up here is taken over with a higher epoch."""
        with self._new_owner() as owner:
            return self.database.write(lambda session: self._take(session, sql_leases.lock(session, key), owner))

    def renew(self, leases: Sequence[Lease]) -> None:
        """Prolong the leases that are still held."""
        if leases:
            self.database.write(lambda session: sql_leases.renew(session, leases, self._lease_seconds))

    def release(self, lease: Lease) -> None:
        """Let the lease go, if it is still held."""
        self._given_up.add(lease.owner)  # first: whatever becomes of the release, nobody works under it any more
        self.database.write(lambda session: sql_leases.release(session, lease))
        self._given_up.discard(lease.owner)

    def holds(self, lease: Lease) -> bool:
        """Tell whether the lease is still this owner's."""
        return self._find(lambda session: sql_leases.is_held(session, lease), False)

    def live_owners(self, prefix: str) -> list[str]:
        """Return, as people read them, the living owners of leases whose key starts with `prefix`."""
        return self._find(lambda session: sql_leases.live_owners(session, prefix, self._given_up), [])

    def _take(self, session: Session, row: Any, owner: str) -> Lease:
        return sql_leases.take(session, row, owner, self._lease_seconds, self._given_up)

    @contextmanager
    def _new_owner(self) -> Iterator[str]:
        """Return an owner for one lease: threads of this process keep each other out as other processes do.

        When nobody can tell whether it got the lease, it has given it up.
        """
        owner = new_owner()
        try:
            yield owner
        except LeaseHeldError:
            raise
        except BaseException:
            self._given_up.add(owner)
            raise

    # -- the ledger -----------------------------------------------------------------------------------------------

    def claim(self, key: str, scope: str) -> Lease | None:
        """Take the lease of a unit that is not done; None when the ledger says it is."""

        def work(session: Session, owner: str) -> Lease | None:
            row = sql_leases.lock(session, key)  # first: who had it before has then said whether it is done
            if sql_units.done(session, [key]):
                return None
            lease = self._take(session, row, owner)
            sql_units.plan(session, key, scope)
            return lease

        if self.should_skip(key):
            return None
        with self._new_owner() as owner:
            return self.database.write(lambda session: work(session, owner))

    def mark(self, record: UnitRecord, lease: Lease | None = None) -> None:
        """Store what is now true of a unit; with a lease, on condition that it is held, and release that."""

        def work(session: Session) -> None:
            if lease is not None and not sql_leases.keeps(session, lease):
                raise sql_leases.taken_over(f"unit {record.key}")
            sql_units.mark(session, record)
            if lease is not None:
                sql_leases.release(session, lease)

        self.database.write(work)

    def done(self, keys: Iterable[str]) -> set[str]:
        """Return those of the keys whose units are done."""
        asked = list(dict.fromkeys(keys))
        return self._find(lambda session: sql_units.done(session, asked), set())

    def should_skip(self, key: str) -> bool:
        """Tell whether the unit is done."""
        return bool(self.done([key]))

    def unit(self, key: str) -> UnitRecord | None:
        """Return what the ledger says of a unit; None when it says nothing."""
        return self._find(lambda session: sql_units.unit(session, key), None)

    def units(
        self, scope: str, *, statuses: Iterable[UnitMark] | None = None, after: str | None = None, limit: int = 1000
    ) -> Sequence[UnitRecord]:
        """Return one page of the units of a scope, by key."""
        wanted = list(statuses) if statuses is not None else None
        return self._find(lambda session: sql_units.units(session, scope, wanted, after, limit), [])

    def counts(self, scope: str) -> dict[str, int]:
        """Return how many units of a scope have each mark."""
        return self._find(lambda session: sql_units.counts(session, scope), {})

    def begin_replay(self, replay: Replay) -> Replay:
        """Store a replay if there is none of its id, and return the one that is stored."""
        return self.database.write(lambda session: sql_units.begin_replay(session, replay))

    def end_replay(self, replay_id: str) -> None:
        """Say that a replay is done."""
        self.database.write(lambda session: sql_units.end_replay(session, replay_id))

    def replays(self, dataflow_id: str) -> Sequence[Replay]:
        """Return the replays of a dataflow, the newest first."""
        return self._find(lambda session: sql_units.replays(session, dataflow_id), [])

    # -- runs -----------------------------------------------------------------------------------------------------

    def finish(self, lease: Lease | None, report: dict[str, Any], record: UnitRecord | None = None) -> None:
        """Record what happened to a unit of work, mark it in the ledger, and release the lease, in one step."""

        def work(session: Session) -> None:
            still_ours = lease is None or sql_leases.keeps(session, lease)
            sql_runs.add_report(session, report)
            if record is not None and still_ours:
                sql_units.mark(session, record)
            if lease is not None:
                sql_leases.release(session, lease, for_good=record is not None and record.status in DONE)

        self.database.write(work)

    def last_reports(self) -> dict[str, dict[str, Any]]:
        """Return the newest unit report of every dataflow, by dataflow id."""
        return self._find(sql_runs.last_reports, {})

    def reports(self, run_id: str) -> list[dict[str, Any]]:
        """Return the unit reports of a run, in the order in which they were recorded."""
        return self._find(lambda session: sql_runs.reports(session, run_id), [])

    def begin_run(self, record: RunRecord) -> None:
        """Record that a run begins."""
        self.database.write(lambda session: sql_runs.begin_run(session, record))

    def end_run(self, run_id: str, ended_at: datetime, summary: Mapping[str, Any] | None = None) -> None:
        """Record that a run has ended, and what came of it."""
        self.database.write(lambda session: sql_runs.end_run(session, run_id, ended_at, summary))

    def runs(self, *, limit: int = 20, job_id: str | None = None) -> Sequence[RunRecord]:
        """Return runs, the newest first; only those of a job when one is given."""
        return self._find(lambda session: sql_runs.runs(session, limit, job_id), [])

    def run(self, run_id: str) -> RunRecord:
        """Return a run by its id, or by the beginning of it."""
        found = self._find(lambda session: sql_runs.run(session, run_id), None)
        if found is None:
            raise sql_runs.no_run(run_id)
        return found

    def _find(self, work: Work[T], nothing: T) -> T:
        """Return what is found, or `nothing` where there is no state yet: to look creates none."""
        return self.database.read(work) if self.database.exists() else nothing


def _state(row: Any) -> FlowState:
    return FlowState(
        dataflow_id=row["dataflow_id"],
        name=row["name"],
        sequence=row["sequence"],
        position=Position.from_data(from_json(row["position"], "position")),
        version=row["version"],
        origin=row["origin"],
        run_id=row["run_id"],
        updated_at=datetime.fromisoformat(row["updated_at"]),
    )
