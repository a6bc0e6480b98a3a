"""Processes that share a ledger, and are killed at any moment: each unit has one owner at a time, and is done once."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tidegate.state import open_state_store

WORKER = Path(__file__).with_name("ledger_worker.py")
UNITS = 500
PROCESSES = 4
KILLS = 12
PATIENCE_SECONDS = 120


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where nothing is yet."""
    return f"sqlite:///{tmp_path}/state.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


def test_every_unit_is_done_once(url: str, tmp_path: Path) -> None:
    """Four processes, a dozen kills, five hundred units."""
    for folder in ("locks", "done"):
        (tmp_path / folder).mkdir()
    command = [sys.executable, str(WORKER), url, str(tmp_path), str(UNITS)]
    workers = [subprocess.Popen(command) for _ in range(PROCESSES)]
    give_up, killed = time.monotonic() + PATIENCE_SECONDS, 0
    try:
        while any(worker.poll() is None for worker in workers):
            assert time.monotonic() < give_up
            time.sleep(random.uniform(0.05, 0.2))
            begun = len(list((tmp_path / "locks").iterdir()))
            victim = random.randrange(PROCESSES)
            if (
                killed < KILLS and begun * KILLS > UNITS * killed and workers[victim].poll() is None
            ):  # all along the way
                workers[victim].kill()
                workers[victim].wait()
                workers[victim] = subprocess.Popen(command)
                killed += 1
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert [worker.returncode for worker in workers] == [0] * PROCESSES
    assert killed > 0
    assert not (tmp_path / "violations").exists(), (tmp_path / "violations").read_text()
    with closing(open_state_store(url, root=tmp_path, profile=None)) as store:
        assert store.counts("chaos") == {"written": UNITS}
        assert store.live_owners("") == []
    done = {path.name for path in (tmp_path / "done").iterdir()}
    assert UNITS - killed <= len(done) <= UNITS  # a process may die between the mark and the note of it
