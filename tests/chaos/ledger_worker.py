"""A process that claims units of work and does them until all are done: `ledger_worker.py STATE FOLDER UNITS`.

What it holds it locks in the file system too, where the kernel lets go when it is killed. So it sees whether the ledger
gave one unit to two owners at a time, or a second time after it was done, and says so in `violations`.
"""

from __future__ import annotations

import fcntl
import os
import random
import sys
import time
from pathlib import Path

from tidegate.errors import LeaseHeldError
from tidegate.state import Ledger, open_state_store


def main(url: str, folder: Path, units: int) -> None:
    """Work until every unit is done."""
    store = open_state_store(url, root=folder, profile=None)
    ledger = Ledger(store, "chaos")
    while store.counts("chaos").get("written", 0) < units:
        for number in sorted(range(units), key=lambda number: number + random.uniform(0, 6)):  # all want the same ones
            key = f"unit {number:04d}"
            try:
                lease = ledger.claim(key)
            except LeaseHeldError:
                continue
            if lease is None:
                continue
            with (folder / "locks" / key).open("w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    violated(folder, f"{key} has two owners")
                if (folder / "done" / key).exists():
                    violated(folder, f"{key} was claimed after it was done")
                time.sleep(random.uniform(0, 0.015))
                ledger.mark(key, run_id=str(os.getpid()), lease=lease)
                (folder / "done" / key).open("x").close()
    store.close()


def violated(folder: Path, what: str) -> None:
    """Say what must not be."""
    with (folder / "violations").open("a") as file:
        file.write(f"{what}\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
