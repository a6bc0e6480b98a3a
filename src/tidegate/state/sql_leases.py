"""Leases in SQL: who may work on what."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from tidegate.errors import LeaseHeldError, WatermarkError
from tidegate.state.database import Session
from tidegate.state.lease import describe_owner, is_dead, is_used_once
from tidegate.state.store import Lease

_FIND_HELD = "SELECT key FROM main.leases WHERE key = ? AND owner = ? AND epoch = ?"
_RENEW = "UPDATE main.leases SET expires_at = ? WHERE key = ? AND owner = ? AND epoch = ?"
_FORGET = "DELETE FROM main.leases WHERE key = ? AND owner = ? AND epoch = ?"
_RELEASE = "UPDATE main.leases SET owner = NULL WHERE key = ? AND owner = ? AND epoch = ?"


def lock(session: Session, key: str) -> Any:
    """Return the lease of this key, ever taken or not, and keep everybody else from it until the transaction ends."""
    nobodys = "INSERT INTO main.leases (key, owner, epoch, expires_at) VALUES (?, NULL, 0, '') ON CONFLICT DO NOTHING"
    session.change(nobodys, (key,))
    return session.locked("SELECT key, owner, epoch, expires_at FROM main.leases WHERE key = ?", (key,))


def take(session: Session, row: Any, owner: str, seconds: float, given_up: Collection[str] = ()) -> Lease:
    """Take a lease that :func:`lock` returned.

    Args:
        session: The transaction of the lock.
        row: What it returned.
        owner: Who takes it.
        seconds: How long it lives.
        given_up: Owners that work no more, though their leases may not say so.

    Raises:
        LeaseHeldError: a living owner holds it (TG502).
    """
    key, now = row["key"], session.now()
    if _is_living(row, now, given_up):
        raise _held(key, row["owner"], row["expires_at"])
    lease = Lease(key=key, owner=owner, epoch=row["epoch"] + 1, expires_at=now + timedelta(seconds=seconds))
    taken = session.change(
        "UPDATE main.leases SET owner = ?, epoch = ?, expires_at = ? WHERE key = ? AND epoch = ?",
        (owner, lease.epoch, lease.expires_at.isoformat(), key, row["epoch"]),
    )
    if not taken:
        raise _held(key, "another process", lease.expires_at.isoformat())
    return lease


def renew(session: Session, leases: Sequence[Lease], seconds: float) -> None:
    """Prolong those that are still held."""
    expires_at = (session.now() + timedelta(seconds=seconds)).isoformat()
    for lease in sorted(leases, key=lambda lease: lease.key):  # in one order, lest two transactions wait for each other
        session.change(_RENEW, (expires_at, *_identity(lease)))


def release(session: Session, lease: Lease, *, for_good: bool = False) -> None:
    """Let it go, if it is still held; and forget it where nobody will ask for it again."""
    session.change(_FORGET if for_good or is_used_once(lease.key) else _RELEASE, _identity(lease))


def is_held(session: Session, lease: Lease) -> bool:
    """Tell whether it is still this owner's."""
    return session.row(_FIND_HELD, _identity(lease)) is not None


def keeps(session: Session, lease: Lease) -> bool:
    """Tell whether it is still this owner's, and see to it that it stays so until the transaction ends."""
    return session.locked(_FIND_HELD, _identity(lease)) is not None


def live_owners(session: Session, prefix: str, given_up: Collection[str] = ()) -> list[str]:
    """Return, as people read them, the living owners of unexpired leases whose key starts with `prefix`."""
    rows = session.rows(
        "SELECT owner, expires_at FROM main.leases WHERE owner IS NOT NULL AND substr(key, 1, ?) = ? ORDER BY key",
        (len(prefix), prefix),
    )
    now = session.now()
    return list(dict.fromkeys(describe_owner(row["owner"]) for row in rows if _is_living(row, now, given_up)))


def taken_over(what: str) -> WatermarkError:
    """Return the error of an owner who has lost its lease."""
    msg = f"the lease of {what} was taken over; it is left as it is"
    return WatermarkError(msg, code="TG503", hint="the process that took it over goes on; run again later")


def _is_living(row: Any, now: datetime, given_up: Collection[str]) -> bool:
    owner = row["owner"]
    return bool(
        owner and owner not in given_up and datetime.fromisoformat(row["expires_at"]) > now and not is_dead(owner)
    )


def _identity(lease: Lease) -> tuple[str, str, int]:
    return lease.key, lease.owner, lease.epoch


def _under_way(key: str) -> str:
    """Return in words what the holder of a lease is at."""
    kind, bar, rest = key.partition("|")
    if kind == "maintain":
        return f"maintenance of {rest.partition(':')[2]} is under way"
    if rest.startswith("replay|"):
        return "this window is being loaded"
    return f"another {'replay' if bar else 'run'} of this dataflow is under way"


def _held(key: str, owner: str, expires_at: str) -> LeaseHeldError:
    until = datetime.fromisoformat(expires_at).strftime("%H:%M:%S UTC")
    msg = f"{_under_way(key)}: {describe_owner(owner)} holds its lease until {until}"
    details = {"key": key, "owner": owner}
    return LeaseHeldError(msg, details, hint="wait for it; the lease of a dead process ends by itself")
