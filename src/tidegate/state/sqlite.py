"""The state store in one SQLite file, the default: `.tidegate/state.db` beside the metadata."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tidegate.errors import LeaseHeldError, WatermarkError
from tidegate.state.lease import LEASE_SECONDS, describe_owner, is_dead, new_owner
from tidegate.state.position import Position
from tidegate.state.store import FlowState, Lease

FORMAT_VERSION = 1
_WAIT_SECONDS = 30.0
"""How long a statement waits for other processes."""


def state_path_of(root: Path, profile: str | None) -> Path:
    """Return where the state store of a project is: each profile, being an environment, has one of its own."""
    home = root.absolute() / ".tidegate"
    return (home / "profiles" / profile if profile else home) / "state.db"


_SCHEMA = """
CREATE TABLE IF NOT EXISTS flows (
    dataflow_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    position TEXT NOT NULL,
    version INTEGER,
    origin TEXT NOT NULL,
    run_id TEXT,
    updated_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases (
    dataflow_id TEXT PRIMARY KEY,
    owner TEXT,
    epoch INTEGER NOT NULL,
    expires_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS units (
    id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL,
    dataflow_id TEXT NOT NULL,
    report TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS units_by_flow ON units (dataflow_id, id);
"""


class SQLiteStateStore:
    """A state store in a SQLite file in WAL mode; one connection a thread.

    `synchronous=NORMAL` survives the death of a process at any moment. A power cut may take the newest writes with
    it, which is harmless: the destinations hold the truth.

    Args:
        path: The file; it and its folder are created when first written.
        lease_seconds: How long a lease lives without renewal.

    Raises:
        WatermarkError: the file is not a state store, or of a newer version (TG501, TG505).
    """

    def __init__(self, path: Path, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.path = path
        self.owner = new_owner()
        self._lease_seconds = lease_seconds
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    def read(self, dataflow_id: str) -> FlowState | None:
        """Return the state of the dataflow, or None when it never loaded."""
        if not self.path.exists():  # reading creates nothing
            return None
        with self._reading() as connection:
            row = connection.execute("SELECT * FROM flows WHERE dataflow_id = ?", (dataflow_id,)).fetchone()
            return _state(row) if row else None

    def states(self) -> Sequence[FlowState]:
        """Return all states, by name."""
        if not self.path.exists():
            return []
        with self._reading() as connection:
            return [_state(row) for row in connection.execute("SELECT * FROM flows ORDER BY name")]

    def acquire(self, dataflow_id: str) -> Lease:
        """Take the lease; a dead owner's, or an expired one, is taken over with a higher epoch."""
        now = datetime.now(UTC)
        with self._writing() as connection:
            row = connection.execute("SELECT * FROM leases WHERE dataflow_id = ?", (dataflow_id,)).fetchone()
            if row and row["owner"] and row["expires_at"] > now.isoformat() and not is_dead(row["owner"]):
                raise _held(row["owner"], row["expires_at"])
            expires_at = now + timedelta(seconds=self._lease_seconds)
            lease = Lease(
                dataflow_id=dataflow_id, owner=self.owner, epoch=(row["epoch"] if row else 0) + 1, expires_at=expires_at
            )
            connection.execute(
                "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)",
                (dataflow_id, lease.owner, lease.epoch, expires_at.isoformat()),
            )
        return lease

    def renew(self, leases: Sequence[Lease]) -> None:
        """Prolong the leases that are still held."""
        expires_at = (datetime.now(UTC) + timedelta(seconds=self._lease_seconds)).isoformat()
        with self._writing() as connection:
            connection.executemany(
                "UPDATE leases SET expires_at = ? WHERE dataflow_id = ? AND owner = ? AND epoch = ?",
                [(expires_at, lease.dataflow_id, lease.owner, lease.epoch) for lease in leases],
            )

    def release(self, lease: Lease) -> None:
        """Let the lease go, if it is still held."""
        with self._writing() as connection:
            _release(connection, lease)

    def holds(self, lease: Lease) -> bool:
        """Tell whether the lease is still this owner's."""
        with self._reading() as connection:
            return _holds(connection, lease)

    def write(self, lease: Lease, state: FlowState) -> None:
        """Store the state, on condition that the lease is still held."""
        with self._writing() as connection:
            if not _holds(connection, lease):
                msg = f"the lease of dataflow {state.name!r} was taken over; its position is left as it is"
                raise WatermarkError(msg, code="TG503", hint="the process that took it over goes on; run again later")
            connection.execute(
                "INSERT OR REPLACE INTO flows VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    state.dataflow_id,
                    state.name,
                    state.sequence,
                    json.dumps(state.position.to_data(), separators=(",", ":")),
                    state.version,
                    state.origin,
                    state.run_id,
                    datetime.now(UTC).isoformat(),
                ),
            )

    def finish(self, lease: Lease | None, report: dict[str, Any]) -> None:
        """Record what happened to a unit of work, and release the lease, in one step."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO units (run_id, dataflow_id, report) VALUES (?, ?, ?)",
                (report["run_id"], report["dataflow_id"], json.dumps(report, separators=(",", ":"))),
            )
            if lease is not None:
                _release(connection, lease)

    def last_reports(self) -> dict[str, dict[str, Any]]:
        """Return the newest unit report of every dataflow, by dataflow id."""
        if not self.path.exists():
            return {}
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT dataflow_id, report FROM units WHERE id IN (SELECT max(id) FROM units GROUP BY dataflow_id)"
            )
            return {row["dataflow_id"]: json.loads(row["report"]) for row in rows}

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
            self._local = threading.local()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with _translated(self.path):
            yield self._connection()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with _translated(self.path):
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._opened()
            self._local.connection = connection
        return connection

    def _opened(self) -> sqlite3.Connection:
        with self._lock:  # two threads that create the file would wait for each other's locks
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self.path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.row_factory = sqlite3.Row
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connections.append(connection)
            return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA synchronous = NORMAL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == FORMAT_VERSION:
            return
        if version > FORMAT_VERSION:
            msg = (
                f"{self.path} was written by a newer Tidegate (state format {version}, this one knows {FORMAT_VERSION})"
            )
            raise WatermarkError(msg, code="TG505", hint="upgrade this installation of Tidegate")
        _switch_to_wal(connection)
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {FORMAT_VERSION}; COMMIT;")


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Wait for others who create the file at the same time: for this one statement SQLite's own timeout does not."""
    give_up = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.005)
        else:
            return


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.DatabaseError, OSError, json.JSONDecodeError) as error:
        msg = f"the state store {path} cannot be used: {error}"
        hint = "`tidegate state rebuild` sets it aside and reads the positions from the destinations"
        raise WatermarkError(msg, {"file": str(path)}, code="TG501", hint=hint) from error


def _holds(connection: sqlite3.Connection, lease: Lease) -> bool:
    row = connection.execute("SELECT * FROM leases WHERE dataflow_id = ?", (lease.dataflow_id,)).fetchone()
    return bool(row and row["owner"] == lease.owner and row["epoch"] == lease.epoch)


def _release(connection: sqlite3.Connection, lease: Lease) -> None:
    connection.execute(
        "UPDATE leases SET owner = NULL WHERE dataflow_id = ? AND owner = ? AND epoch = ?",
        (lease.dataflow_id, lease.owner, lease.epoch),
    )


def _held(owner: str, expires_at: str) -> LeaseHeldError:
    until = datetime.fromisoformat(expires_at).strftime("%H:%M:%S UTC")
    msg = f"another run of this dataflow is under way: {describe_owner(owner)} holds its lease until {until}"
    return LeaseHeldError(msg, {"owner": owner}, hint="wait for it; the lease of a dead process ends by itself")


def _state(row: sqlite3.Row) -> FlowState:
    return FlowState(
        dataflow_id=row["dataflow_id"],
        name=row["name"],
        sequence=row["sequence"],
        position=Position.from_data(json.loads(row["position"])),
        version=row["version"],
        origin=row["origin"],
        run_id=row["run_id"],
        updated_at=datetime.fromisoformat(row["updated_at"]),
    )
