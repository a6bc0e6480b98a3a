"""What every state store does: states, leases, the ledger, replays and runs; in SQLite and in PostgreSQL."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.errors import LeaseHeldError, StateUnavailableError, WatermarkError
from tidegate.state import (
    FlowState,
    Ledger,
    Position,
    Replay,
    RunRecord,
    SQLiteStateStore,
    StateStore,
    UnitRecord,
    open_state_store,
)
from tidegate.state.database import Database, Session
from tidegate.state.lease import Heartbeat, is_dead, new_owner
from tidegate.state.sql_store import SqlStateStore
from tidegate.state.store import DONE

Open = Callable[..., SqlStateStore]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where nothing is yet: a file in a folder that does not exist, or an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/deep/state.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def another(url: str) -> Iterator[Open]:
    """Opens the store once more, as another process would."""
    opened: list[SqlStateStore] = []

    def open_it(lease_seconds: float = 60) -> SqlStateStore:
        store = open_state_store(url, root=Path("/"), profile=None)
        assert isinstance(store, SqlStateStore)
        store._lease_seconds = lease_seconds
        opened.append(store)
        return store

    yield open_it
    for store in opened:
        store.close()


class Outage:
    """A database whose server goes away, as often as it is told, before a transaction commits or after it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.strikes: list[Literal["before", "after"]] = []

    def write(self, work: Callable[[Session], Any]) -> Any:
        """Lose the change, or only the answer."""
        strike = self.strikes.pop(0) if self.strikes else None
        found = None if strike == "before" else self._database.write(work)
        if strike:
            raise StateUnavailableError("the server is gone")
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


@pytest.fixture
def store(another: Open) -> SqlStateStore:
    """A store in which nothing is yet."""
    return another()


def sql(store: SqlStateStore, statement: str, *values: Any) -> list[Any]:
    """Reach behind the store's back."""
    database = store.database
    if statement.startswith("SELECT"):
        return database.read(lambda session: [tuple(dict(row).values()) for row in session.rows(statement, values)])
    database.write(lambda session: session.change(statement, values))
    return []


def code_of(use: Callable[[], object]) -> str:
    """Return the code of the error that a call raises."""
    with pytest.raises(WatermarkError) as raised:
        use()
    return raised.value.code


class TestStates:
    def test_reading_creates_nothing(self, store: SqlStateStore) -> None:
        """To look at the state of a project does not begin one."""
        assert store.read("flow") is None
        assert list(store.states()) == []
        assert (store.last_reports(), store.reports("r"), list(store.runs()), store.counts("s")) == ({}, [], [], {})
        assert (list(store.units("s")), store.unit("u"), store.should_skip("u")) == ([], None, False)
        assert (list(store.replays("f")), store.live_owners("")) == ([], [])
        assert code_of(lambda: store.run("r")) == "TG510"
        assert not store.database.exists()

    def test_a_state_comes_back(self, store: SqlStateStore, another: Open) -> None:
        """All fields, from another connection too."""
        lease = store.acquire("flow")
        state = FlowState(
            dataflow_id="flow",
            name="Flow ü %s ? '",
            sequence=2**40,
            position=Position(watermark={"a": "\0"}),
            origin="read",
            run_id="r",
        )
        store.write(lease, state)
        found = another().read("flow")
        assert found is not None
        assert found.updated_at is not None
        assert found.updated_at.utcoffset() == timedelta(0)
        assert FlowState(**{name: getattr(found, name) for name in state.__slots__} | {"updated_at": None}) == state

    def test_states_are_in_the_order_of_their_names(self, store: SqlStateStore) -> None:
        """That of code points, whatever the server's language is."""
        for name in ("b", "B", "a", "ä", "_"):
            store.write(store.acquire(name), FlowState(dataflow_id=name, name=name))
        assert [state.name for state in store.states()] == ["B", "_", "a", "b", "ä"]

    def test_reports_of_units(self, store: SqlStateStore) -> None:
        """The newest report of each flow is kept at hand, all of them by run, and the lease ends with each."""
        for number in range(3):
            for flow in ("flow", "other"):
                lease = store.acquire(flow)
                store.finish(lease, {"run_id": str(number), "dataflow_id": flow, "n": number})
                assert not store.holds(lease)
        store.finish(None, {"run_id": "2", "dataflow_id": "flow", "n": 9})
        assert store.last_reports() == {
            "flow": {"run_id": "2", "dataflow_id": "flow", "n": 9},
            "other": {"run_id": "2", "dataflow_id": "other", "n": 2},
        }
        assert [(report["dataflow_id"], report["n"]) for report in store.reports("2")] == [
            ("flow", 2), ("other", 2), ("flow", 9)
        ]  # fmt: skip

    def test_a_damaged_position_is_an_error(self, store: SqlStateStore) -> None:
        """A row that cannot be read is not a flow that never loaded."""
        store.write(store.acquire("flow"), FlowState(dataflow_id="flow", name="flow"))
        for text in ("", "{", "{}", "null"):
            sql(store, "UPDATE main.flows SET position = ?", text)
            assert code_of(lambda: store.read("flow")) == "TG504"


class TestLeases:
    def test_one_at_a_time(self, store: SqlStateStore, another: Open) -> None:
        """A second owner is told who holds the lease, and that it may try again."""
        other = another()
        lease = store.acquire("flow")
        with pytest.raises(LeaseHeldError, match=f"process {os.getpid()} on ") as raised:
            other.acquire("flow")
        assert (raised.value.code, raised.value.transient) == ("TG502", True)
        store.release(lease)
        assert other.acquire("flow").epoch == lease.epoch + 1

    @pytest.mark.parametrize("strike", ["before", "after"])
    def test_one_that_could_not_be_released_does_not_lock_its_owner_out(
        self, store: SqlStateStore, another: Open, strike: Literal["before", "after"]
    ) -> None:
        """Nobody works under it: it is taken again, and fenced; another process waits until it ends."""
        other = another()
        store.database = outage = Outage(store.database)
        lease = store.acquire("flow")
        outage.strikes = [strike]
        assert code_of(lambda: store.release(lease)) == "TG501"
        assert store.live_owners("flow") == []
        if strike == "before":
            assert attempt(lambda: other.acquire("flow")) == "TG502"
        again = store.acquire("flow")
        assert again.epoch == lease.epoch + 1
        store.release(lease)
        assert (store.holds(lease), store.holds(again)) == (False, True)
        assert attempt(lambda: store.acquire("flow")) == "TG502"

    @pytest.mark.parametrize(
        "take",
        [
            pytest.param(lambda store: store.acquire("flow"), id="acquire"),
            pytest.param(lambda store: store.claim("flow", "scope"), id="claim"),
        ],
    )
    @pytest.mark.parametrize("strike", ["before", "after"])
    def test_one_whose_taking_nobody_answered_does_not_lock_its_owner_out(
        self, store: SqlStateStore, another: Open, strike: Literal["before", "after"], take: Callable[..., Any]
    ) -> None:
        """It is taken, or not: whoever asked for it has gone away empty-handed."""
        other = another()
        store.database = outage = Outage(store.database)
        outage.strikes = [strike]
        assert code_of(lambda: take(store)) == "TG501"
        assert attempt(lambda: take(other).epoch) == {"before": 1, "after": "TG502"}[strike]
        if strike == "after":
            assert take(store).epoch == 2

    def test_what_a_thread_could_not_release_gives_no_right_to_what_another_has_taken(
        self, store: SqlStateStore
    ) -> None:
        """Of all threads that ask for a lease that was given up, one gets it."""
        store.database = outage = Outage(store.database)
        lease = store.acquire("flow")
        outage.strikes = ["before"]
        assert code_of(lambda: store.release(lease)) == "TG501"
        results = at_once(8, lambda _: attempt(lambda: store.acquire("flow")))
        assert sorted(map(str, results)).count("TG502") == 7

    def test_keys_do_not_hinder_each_other(self, store: SqlStateStore) -> None:
        """A lease is for one key."""
        assert {store.acquire(name).key for name in ("a", "b")} == {"a", "b"}

    def test_an_old_owner_is_fenced(self, store: SqlStateStore, another: Open) -> None:
        """Once taken over, nothing that the old owner does has any effect."""
        short = another(lease_seconds=0)
        lease = short.acquire("flow")
        taken = store.acquire("flow")
        short.release(lease)
        short.renew([lease])
        assert (short.holds(lease), store.holds(taken)) == (False, True)
        assert code_of(lambda: short.write(lease, FlowState(dataflow_id="flow", name="flow"))) == "TG503"
        assert store.read("flow") is None
        assert code_of(lambda: short.mark(UnitRecord(key="u", scope="s", status="written"), lease)) == "TG503"
        assert store.unit("u") is None
        assert store.holds(taken)

    def test_an_owner_that_did_not_renew_keeps_it_until_someone_takes_it(self, another: Open) -> None:
        """An expired lease is not lost by itself."""
        short = another(lease_seconds=0)
        lease = short.acquire("flow")
        assert short.holds(lease)
        short._lease_seconds = 60
        short.renew([lease])
        with pytest.raises(LeaseHeldError):
            another().acquire("flow")

    def test_a_dead_owner_loses_it_at_once(self, store: SqlStateStore, url: str) -> None:
        """A process that is gone does not make others wait for its lease to end."""
        imports = "import pathlib, sys; from tidegate.state import open_state_store as opened"
        script = f"{imports}; opened(sys.argv[1], root=pathlib.Path('/'), profile=None).acquire('flow')"
        subprocess.run([sys.executable, "-W", "ignore", "-c", script, url], check=True)
        assert store.live_owners("") == []
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

    def test_who_lives(self, store: SqlStateStore, another: Open) -> None:
        """Those with a lease below a prefix, once each; expired and released leases are nobody's."""
        leases = [store.acquire(key) for key in ("maintain|a", "maintain|b", "maintain", "other")]
        another(lease_seconds=0).acquire("maintain|c")
        assert [owner.split()[:2] for owner in store.live_owners("maintain|")] == [["process", str(os.getpid())]]
        for lease in leases[:2]:
            store.release(lease)
        assert store.live_owners("maintain|") == []
        assert len(store.live_owners("main")) == 1

    def test_threads_race_for_it(self, store: SqlStateStore) -> None:
        """Of many threads that ask at once, one gets it."""
        results = at_once(8, lambda _: attempt(lambda: store.acquire("flow")))
        assert sorted(map(str, results)).count("TG502") == 7

    def test_processes_race_to_create_the_store(self, url: str) -> None:
        """Of processes that open a new store at once, each works, and one gets the lease."""
        context = multiprocessing.get_context("spawn")
        with context.Pool(3) as pool:
            found = pool.map(_try, [url] * 3)
        assert sorted(found) == ["TG502", "TG502", "held"]

    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_a_forked_process_is_another_owner(self, store: SqlStateStore) -> None:
        """It has connections and a name of its own, and leaves those of its parent alone."""
        lease = store.acquire("flow")
        child = os.fork()
        if child == 0:  # pragma: no cover - the child
            held = attempt(lambda: store.acquire("flow")) == "TG502"
            other = store.acquire("child")
            os._exit(0 if held and json.loads(other.owner)["pid"] == os.getpid() else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert store.holds(lease)
        assert store.acquire("child").epoch == 2

    def test_a_heartbeat_keeps_it(self, store: SqlStateStore) -> None:
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
        assert sql(store, "SELECT expires_at FROM main.leases") > [(lease.expires_at.isoformat(),)]

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        steps=st.lists(
            st.tuples(st.sampled_from(["take", "release", "fail to release", "write", "expire"]), st.integers(0, 2)),
            max_size=12,
        )
    )
    def test_whatever_owners_do_one_of_them_may_write(
        self, another: Open, steps: list[tuple[str, int]], request: pytest.FixtureRequest
    ) -> None:
        """Against a model with one holder: who has taken it last, and has not let go, and nobody else."""
        stores = request.node.__dict__.setdefault("stores", None) or [another() for _ in range(3)]
        if request.node.stores is None:
            for store in stores:
                store.database = Outage(store.database)
        request.node.stores = stores
        key = os.urandom(8).hex()
        leases: dict[int, Any] = {}
        holder, expired, epoch = None, True, 0
        given_up = False
        for step, who in steps:
            if step == "take":
                got = attempt(partial(stores[who].acquire, key))
                assert (got == "TG502") == (holder is not None and not expired and not (holder == who and given_up))
                if got != "TG502":
                    epoch += 1
                    assert got.epoch == epoch
                    leases[who], holder, expired, given_up = got, who, False, False
            elif step == "expire":
                sql(stores[0], "UPDATE main.leases SET expires_at = '2000-01-01T00:00:00+00:00' WHERE key = ?", key)
                expired = True
            elif who in leases:
                if step == "release":
                    stores[who].release(leases[who])
                    holder = None if holder == who else holder
                elif step == "fail to release":
                    stores[who].database.strikes.append("before")
                    assert attempt(partial(stores[who].release, leases[who])) == "TG501"
                    given_up = given_up or holder == who
                else:
                    refused = attempt(partial(stores[who].write, leases[who], _state(key, epoch))) == "TG503"
                    assert refused == (holder != who)
            assert [who for who, lease in leases.items() if stores[who].holds(lease)] == (
                [] if holder is None else [holder]
            )


class TestLedger:
    def test_a_unit_is_claimed_until_it_is_done(self, store: SqlStateStore, another: Open) -> None:
        """One owner at a time; and nobody once it is done."""
        lease = store.claim("u", "s")
        assert lease is not None
        assert (lease.key, lease.epoch, store.counts("s")) == ("u", 1, {"planned": 1})
        with pytest.raises(LeaseHeldError, match="u"):
            another().claim("u", "s")
        store.mark(UnitRecord(key="u", scope="s", status="written"), lease)
        assert not store.holds(lease)
        assert another().claim("u", "s") is None
        assert store.counts("s") == {"written": 1}

    @pytest.mark.parametrize(
        "status",
        ["planned", "checkpoint", "exists", "database", "written", "upserted", "failed", "retried", "cancelled"],
    )
    def test_which_marks_mean_done(self, store: SqlStateStore, status: Any) -> None:
        """A failed unit is claimed again, with a higher epoch; a done one is not."""
        first = store.claim("u", "s")
        store.mark(UnitRecord(key="u", scope="s", status=status), first)
        again = store.claim("u", "s")
        assert (again is None) == store.should_skip("u") == (status in DONE)
        assert again is None or again.epoch == 2

    def test_a_record_comes_back(self, store: SqlStateStore, another: Open) -> None:
        """All fields; and the last mark is the one that counts."""
        at = datetime(2026, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))
        record = UnitRecord(key="a|b", scope="s", status="failed", run_id="r", detail="TG401: 100 % ? ü", at=at)
        store.mark(record)
        assert another().unit("a|b") == record
        store.mark(UnitRecord(key="a|b", scope="t", status="written"))
        found = store.unit("a|b")
        assert found is not None
        assert found.at is not None
        assert abs(found.at - datetime.now(UTC)) < timedelta(minutes=5)
        assert (found.scope, found.status, found.run_id, found.detail) == ("t", "written", None, None)
        assert store.counts("s") == {}

    def test_pages_of_units(self, store: SqlStateStore) -> None:
        """By key, each unit once, in the same order everywhere."""
        keys = ["B", "_", "a", "b", "ä", "\U0001d518"]
        for key in keys:
            store.mark(UnitRecord(key=key, scope="s", status="failed" if key in "ab" else "written"))
        store.mark(UnitRecord(key="c", scope="other", status="written"))
        pages, after = [], None
        while page := store.units("s", after=after, limit=4):
            pages.append([record.key for record in page])
            after = page[-1].key
        assert pages == [keys[:4], keys[4:]]
        assert [record.key for record in store.units("s", statuses=["failed"])] == ["a", "b"]
        assert [record.key for record in store.units("s", statuses=["failed"], after="a")] == ["b"]
        assert list(store.units("s", statuses=[])) == []
        assert store.counts("s") == {"failed": 2, "written": 4}

    def test_many_keys_are_asked_at_once(self, store: SqlStateStore) -> None:
        """More than a statement takes."""
        keys = [f"unit {number}" for number in range(1203)]
        for key in keys[::100]:
            store.mark(UnitRecord(key=key, scope="s", status="written"))
        assert store.done(keys) == set(keys[::100])
        assert store.done([]) == set()

    def test_a_report_a_mark_and_the_end_of_the_lease_are_one_step(self, store: SqlStateStore, another: Open) -> None:
        """An owner that lost its lease leaves its report, and the ledger to the new owner."""
        report = {"run_id": "r", "dataflow_id": "flow"}
        record = UnitRecord(key="u", scope="s", status="written")
        late = another(lease_seconds=0).claim("u", "s")
        lease = store.claim("u", "s")
        assert lease is not None
        store.finish(late, report, record)
        assert (store.should_skip("u"), store.holds(lease), len(store.reports("r"))) == (False, True, 1)
        store.finish(lease, report, record)
        assert (store.should_skip("u"), store.holds(lease), len(store.reports("r"))) == (True, False, 2)
        store.finish(None, report, UnitRecord(key="v", scope="s", status="failed"))
        assert store.counts("s") == {"failed": 1, "written": 1}

    def test_threads_race_for_units(self, store: SqlStateStore) -> None:
        """Each unit is done once, whoever gets it."""
        done: list[str] = []

        def work(number: int) -> None:
            for unit in range(20):
                key = f"unit {(unit + number * 7) % 20}"
                try:
                    lease = store.claim(key, "s")
                except LeaseHeldError:
                    continue
                if lease is not None:
                    done.append(key)
                    store.mark(UnitRecord(key=key, scope="s", status="written"), lease)

        at_once(6, work)
        assert sorted(done) == sorted(set(done))
        assert len(done) == 20

    def test_decisions(self, store: SqlStateStore) -> None:
        """Destinations are asked only about what no checkpoint says; and what they say is remembered."""
        ledger, asked = Ledger(store, "s"), []
        ledger.mark("done")
        ledger.mark("failed", "failed", run_id="r", detail="why")

        def exists(key: str) -> bool:
            asked.append(key)
            return key == "file"

        def decided(**options: Any) -> list[tuple[str, str]]:
            keys = ["row", "done", "new", "file", "failed"]
            decisions = ledger.decide(keys, exists, lambda key: key == "row", **options)
            assert [decision.skips for decision in decisions] == [
                decision.status != "planned" for decision in decisions
            ]
            return [(decision.key, decision.status) for decision in decisions]

        first = [("row", "database"), ("done", "checkpoint"), ("new", "planned"), ("file", "exists")]
        assert decided(dry_run=True) == decided() == [*first, ("failed", "planned")]
        assert "done" not in asked
        assert [decision[1] for decision in decided()] == [
            "checkpoint",
            "checkpoint",
            "planned",
            "checkpoint",
            "planned",
        ]
        assert ledger.should_skip("row")
        lease = ledger.claim("new")
        ledger.mark("new", lease=lease)
        assert ledger.claim("new") is None
        assert store.counts("s") == {"database": 1, "exists": 1, "failed": 1, "written": 2}


class TestReplays:
    def test_the_first_one_stands(self, store: SqlStateStore, another: Open) -> None:
        """A replay that was begun is gone on with, as it was asked for then."""
        spec = {"start": "2026-01-01", "chunk_interval": {"days": 1}}
        begun = store.begin_replay(Replay(replay_id="a", dataflow_id="flow", spec=spec))
        again = another().begin_replay(Replay(replay_id="a", dataflow_id="flow", spec={}))
        assert begun == again
        assert (again.spec, again.status) == (spec, "running")
        store.end_replay("a")
        assert store.begin_replay(begun).status == "done"

    def test_the_newest_first(self, store: SqlStateStore) -> None:
        """Of one dataflow."""
        for number, name in enumerate(("b", "a", "c")):
            at = datetime(2026, 1, 1 + number, tzinfo=UTC)
            store.begin_replay(Replay(replay_id=name, dataflow_id="flow", spec={}, created_at=at))
        store.begin_replay(Replay(replay_id="z", dataflow_id="other", spec={}))
        assert [replay.replay_id for replay in store.replays("flow")] == ["c", "a", "b"]

    def test_one_that_is_not_there_cannot_end(self, store: SqlStateStore) -> None:
        """A name that was mistyped is told."""
        assert code_of(lambda: store.end_replay("a")) == "TG512"


class TestRuns:
    def test_a_run_comes_back(self, store: SqlStateStore, another: Open) -> None:
        """All fields, before its end and after; a second beginning changes nothing."""
        record = RunRecord(
            run_id="abc",
            command="tidegate run",
            started_at=datetime(2026, 5, 1, tzinfo=UTC),
            job_id="nightly",
            job_num=3,
            job_index=2,
            flows=("a", "ü"),
        )
        store.begin_run(record)
        store.begin_run(RunRecord(run_id="abc", command="other", started_at=datetime.now(UTC)))
        assert another().run("abc") == record
        end = datetime(2026, 5, 1, 0, 0, 1, tzinfo=UTC)
        store.end_run("abc", end, {"succeeded": 2})
        found = another().run("a")
        assert (found.ended_at, found.summary, found.command) == (end, {"succeeded": 2}, "tidegate run")

    def test_the_newest_first(self, store: SqlStateStore) -> None:
        """As many as are asked for; of one job, or of all. The zone of a time does not matter."""
        for number in range(4):
            at = datetime(2026, 1, 1, 12, number, tzinfo=timezone(timedelta(hours=number)))
            job = "odd" if number % 2 else None
            store.begin_run(RunRecord(run_id=str(number), command="run", started_at=at, job_id=job))
        assert [run.run_id for run in store.runs()] == ["0", "1", "2", "3"]
        assert [run.run_id for run in store.runs(limit=2)] == ["0", "1"]
        assert [run.run_id for run in store.runs(job_id="odd")] == ["1", "3"]

    def test_a_name_that_means_none_or_several(self, store: SqlStateStore) -> None:
        """The error names those that it may mean."""
        for name in ("ab1", "ab2", "c"):
            store.begin_run(RunRecord(run_id=name, command="run", started_at=datetime.now(UTC)))
        store.begin_run(RunRecord(run_id="ab", command="run", started_at=datetime.now(UTC)))
        assert store.run("ab").run_id == "ab"
        with pytest.raises(WatermarkError, match=r"several runs begin with 'a': ab, ab1, ab2") as raised:
            store.run("a")
        assert raised.value.code == "TG510"
        for name in ("x", ""):
            with pytest.raises(WatermarkError) as raised:
                store.run(name)
            assert "ab1" in str(raised.value.hint)
        assert code_of(lambda: store.end_run("x", datetime.now(UTC), None)) == "TG510"


def attempt(use: Callable[[], Any]) -> Any:
    """Return what a call returns, or the code of its error."""
    try:
        return use()
    except WatermarkError as error:
        return error.code


def at_once(count: int, use: Callable[[int], Any]) -> list[Any]:
    """Return what threads find that all begin at the same time."""
    barrier, results = threading.Barrier(count), []

    def begin(number: int) -> None:
        barrier.wait()
        results.append(use(number))

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == count
    return results


def _state(key: str, sequence: int) -> FlowState:
    return FlowState(dataflow_id=key, name=key, sequence=sequence)


def _try(url: str) -> str:
    store = open_state_store(url, root=Path("/"), profile=None)
    try:
        store.acquire("flow")
    except WatermarkError as error:
        return error.code
    finally:
        store.close()
    return "held"


def test_both_are_state_stores() -> None:
    """The protocol is what they have."""
    store: StateStore = SQLiteStateStore(Path("unused"))
    assert isinstance(store, SqlStateStore)
