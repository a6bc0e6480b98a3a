"""The state store in SQLite: states, leases, and what happens when the file is not one."""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidegate.errors import LeaseHeldError, WatermarkError
from tidegate.state import FlowState, Position, SQLiteStateStore
from tidegate.state.lease import Heartbeat, is_dead, new_owner


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStateStore]:
    """A store in a folder that does not exist yet."""
    opened = SQLiteStateStore(tmp_path / "deep" / "state.db")
    yield opened
    opened.close()


def another(store: SQLiteStateStore) -> SQLiteStateStore:
    """Open the same file a second time, as another process would."""
    return SQLiteStateStore(store.path)


class TestStates:
    def test_a_flow_that_never_loaded_has_none(self, store: SQLiteStateStore) -> None:
        """No state is not an empty state."""
        assert store.read("flow") is None
        assert list(store.states()) == []

    def test_a_state_comes_back(self, store: SQLiteStateStore) -> None:
        """All fields, from another connection too."""
        lease = store.acquire("flow")
        state = FlowState(
            dataflow_id="flow",
            name="Flow ü",
            sequence=7,
            position=Position(watermark={"a": 1}),
            origin="read",
            run_id="r",
        )
        store.write(lease, state)
        other = another(store)
        found = other.read("flow")
        other.close()
        assert found is not None
        assert found.updated_at is not None
        assert found.updated_at.utcoffset() is not None
        assert FlowState(**{name: getattr(found, name) for name in state.__slots__} | {"updated_at": None}) == state

    def test_reports_of_units(self, store: SQLiteStateStore) -> None:
        """The newest report of each flow is kept, and the lease ends with it."""
        for number in range(3):
            lease = store.acquire("flow")
            store.finish(lease, {"run_id": str(number), "dataflow_id": "flow", "n": number})
            assert not store.holds(lease)
        assert store.last_reports() == {"flow": {"run_id": "2", "dataflow_id": "flow", "n": 2}}


class TestLeases:
    def test_one_at_a_time(self, store: SQLiteStateStore) -> None:
        """A second owner is told who holds the lease, and that it may try again."""
        other = another(store)
        lease = store.acquire("flow")
        with pytest.raises(LeaseHeldError, match=f"process {os.getpid()} on ") as raised:
            other.acquire("flow")
        assert (raised.value.code, raised.value.transient) == ("TG502", True)
        store.release(lease)
        assert other.acquire("flow").epoch == lease.epoch + 1
        other.close()

    def test_flows_do_not_hinder_each_other(self, store: SQLiteStateStore) -> None:
        """A lease is for one flow."""
        assert {store.acquire(name).dataflow_id for name in ("a", "b")} == {"a", "b"}

    def test_an_old_owner_is_fenced(self, store: SQLiteStateStore) -> None:
        """Once taken over, neither release nor renewal nor a write of the old owner has any effect."""
        short = SQLiteStateStore(store.path, lease_seconds=0)
        lease = short.acquire("flow")
        taken = store.acquire("flow")
        short.release(lease)
        short.renew([lease])
        assert (short.holds(lease), store.holds(taken)) == (False, True)
        with pytest.raises(WatermarkError) as raised:
            short.write(lease, FlowState(dataflow_id="flow", name="flow"))
        assert raised.value.code == "TG503"
        assert store.read("flow") is None
        short.close()

    def test_a_dead_owner_loses_it_at_once(self, store: SQLiteStateStore) -> None:
        """A process that is gone does not make others wait for its lease to end."""
        imports = "import pathlib, sys; from tidegate.state import SQLiteStateStore as Store"
        script = f"{imports}; Store(pathlib.Path(sys.argv[1])).acquire('flow')"
        subprocess.run([sys.executable, "-c", script, str(store.path)], check=True)
        assert store.acquire("flow").epoch == 2

    def test_a_reused_process_id_is_not_the_owner(self) -> None:
        """The same number with another start is another process."""
        owner = json.loads(new_owner())
        assert not is_dead(json.dumps(owner))
        if owner["machine"] is None:
            pytest.skip("this system does not tell boots and process starts apart")
        assert is_dead(json.dumps({**owner, "started": "1"}))
        assert not is_dead(json.dumps({**owner, "machine": "another"}))
        assert not is_dead("not JSON")

    def test_threads_race_for_it(self, store: SQLiteStateStore) -> None:
        """Of many threads that ask at once, one gets it."""
        barrier, results = threading.Barrier(8), []

        def ask() -> None:
            barrier.wait()
            try:
                results.append(store.acquire("flow"))
            except LeaseHeldError:
                results.append(None)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(result is not None for result in results) == 1

    def test_processes_race_to_create_the_store(self, tmp_path: Path) -> None:
        """Of processes that open a new store at once, each works, and one gets the lease."""
        context = multiprocessing.get_context("spawn")
        with context.Pool(3) as pool:
            found = pool.map(_try, [str(tmp_path / "new" / "state.db")] * 3)
        assert sorted(found) == ["TG502", "TG502", "held"]

    def test_a_heartbeat_keeps_it(self, store: SQLiteStateStore) -> None:
        """A lease is prolonged from the background until it is let go."""
        lease = store.acquire("flow")
        renewed = threading.Event()

        class Watched:
            def renew(self, leases: Any) -> None:
                store.renew(leases)
                renewed.set()

        heartbeat = Heartbeat(Watched(), seconds=0.001)  # type: ignore[arg-type]
        heartbeat.add(lease)
        assert renewed.wait(30)
        heartbeat.remove(lease)
        heartbeat.close()
        with store._reading() as connection:
            (expires_at,) = connection.execute("SELECT expires_at FROM leases").fetchone()
        assert expires_at > lease.expires_at.isoformat()


def _try(path: str) -> str:
    store = SQLiteStateStore(Path(path))
    try:
        store.acquire("flow")
    except WatermarkError as error:
        return error.code
    return "held"


class TestDamage:
    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(b"text that is longer than a header, and no database at all" * 3, id="text"),
            pytest.param(b"SQLite format 3\x00garbage", id="header"),
        ],
    )
    def test_a_file_that_is_no_store(self, tmp_path: Path, content: bytes) -> None:
        """Every use is an error with the path and the repair; the file stays as it is."""
        path = tmp_path / "state.db"
        path.write_bytes(content)
        store = SQLiteStateStore(path)
        for use in (lambda: store.read("x"), store.states, lambda: store.acquire("x"), store.last_reports):
            with pytest.raises(WatermarkError, match=r"state\.db") as raised:
                use()
            assert raised.value.code == "TG501"
            assert "state rebuild" in str(raised.value.hint)
        store.close()
        assert path.read_bytes() == content

    def test_a_folder_in_its_place(self, tmp_path: Path) -> None:
        """A path that cannot be opened is the same error."""
        store = SQLiteStateStore(tmp_path)
        with pytest.raises(WatermarkError) as raised:
            store.read("x")
        assert raised.value.code == "TG501"

    def test_a_newer_format_is_refused(self, store: SQLiteStateStore) -> None:
        """A store of a newer version is left alone."""
        store.acquire("flow")
        store.close()
        connection = sqlite3.connect(store.path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        with pytest.raises(WatermarkError) as raised:
            another(store).states()
        assert raised.value.code == "TG505"

    def test_a_damaged_position_is_an_error(self, store: SQLiteStateStore) -> None:
        """A row that cannot be read is not a flow that never loaded."""
        store.write(store.acquire("flow"), FlowState(dataflow_id="flow", name="flow"))
        for text in ("", "{", "{}", "null"):
            with store._writing() as connection:
                connection.execute("UPDATE flows SET position = ?", (text,))
            with pytest.raises(WatermarkError) as raised:
                store.read("flow")
            assert raised.value.code in {"TG501", "TG504"}
