"""Who holds a lease, whether that owner still lives, and the heartbeat that keeps leases alive."""

from __future__ import annotations

import json
import os
import socket
import threading
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.state.store import Lease, StateStore

LEASE_SECONDS = 60
"""How long a lease lives without a heartbeat. An owner that is seen to be dead loses it at once."""


def new_owner() -> str:
    """Return a new owner's name: machine, process and start, so that others on the machine can see whether it lives."""
    return json.dumps(
        {"host": socket.gethostname(), "machine": _machine(), "pid": os.getpid(), "started": _started(os.getpid()),
         "id": uuid.uuid4().hex[:12]}
    )  # fmt: skip


def is_dead(owner: str) -> bool:
    """Tell whether the owner surely lives no more: a process of this machine that is gone, or whose pid was reused."""
    try:
        about = json.loads(owner)
        pid = int(about["pid"])
        machine = _machine()
        on_this_machine: bool = machine is not None and about["machine"] == machine
    except (ValueError, KeyError, TypeError):
        return False
    if not on_this_machine:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return bool(_started(pid) != about["started"])


def describe_owner(owner: str) -> str:
    """Return the owner as people read it."""
    try:
        about = json.loads(owner)
        return f"process {about['pid']} on {about['host']}"
    except (ValueError, KeyError, TypeError):
        return owner


def is_used_once(key: str) -> bool:
    """Tell whether nobody will ever ask for this lease again, so that nothing of it need be kept."""
    return key.startswith("run|") or "|at work|" in key


class Heartbeat:
    """Renews the leases that are held, from one background thread, at a third of their life."""

    def __init__(self, store: StateStore, seconds: float = LEASE_SECONDS / 3) -> None:
        self._store = store
        self._seconds = seconds
        self._leases: dict[str, Lease] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, lease: Lease) -> None:
        """Keep this lease alive from now on."""
        with self._lock:
            self._leases[lease.key] = lease
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat, name="tidegate-heartbeat", daemon=True)
                self._thread.start()

    def remove(self, lease: Lease) -> None:
        """Let this lease go."""
        with self._lock:
            self._leases.pop(lease.key, None)

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self._seconds):
            with self._lock:
                leases = list(self._leases.values())
            with suppress(Exception):  # the next beat tries again; a lost lease shows at the commit
                self._store.renew(leases)


def _machine() -> str | None:
    """Identify this boot of this machine, and its process namespace: pids are only comparable within one."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """Return when the process started, in clock ticks since boot (/proc/PID/stat, field 22); None when dead."""
    try:
        about = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return None if about[0] in {"Z", "X"} else about[19]  # killed, and its parent has not looked yet
    except (OSError, IndexError):
        return None
