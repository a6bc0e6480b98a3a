"""The lease that a run holds while it goes on: a run without an end whose lease nobody holds was broken off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tidegate.errors import TidegateError

if TYPE_CHECKING:
    from tidegate.state import StateStore
    from tidegate.state.lease import Heartbeat


def run_key(run_id: str) -> str:
    """Return the key of a run's lease."""
    return f"run|{run_id}"


@contextmanager
def holding_run(state: StateStore, heartbeat: Heartbeat, run_id: str) -> Iterator[None]:
    """Hold the lease of a run. That it cannot be taken or released stops no run."""
    lease = None
    with suppress(TidegateError):
        lease = state.acquire(run_key(run_id))
        heartbeat.add(lease)
    try:
        yield
    finally:
        if lease:
            heartbeat.remove(lease)
            with suppress(TidegateError):
                state.release(lease)
