"""The state store in PostgreSQL: schemas, connections that break, and servers that are not there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

psycopg = pytest.importorskip("psycopg")

from tests.services import free_port  # noqa: E402
from tests.unit.test_state_store import attempt  # noqa: E402
from tidegate.errors import LeaseHeldError, WatermarkError  # noqa: E402
from tidegate.state import FlowState, UnitRecord, open_state_store  # noqa: E402
from tidegate.state.postgresql import PostgreSQLStateStore, schema_for_profile  # noqa: E402


@pytest.fixture
def store(postgres_url: str) -> Iterator[PostgreSQLStateStore]:
    """A store in which nothing is yet."""
    with closing(PostgreSQLStateStore(postgres_url)) as opened:
        yield opened


@pytest.fixture
def server(postgres_url: str) -> Iterator[Any]:
    """The server, seen by its administrator."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


def cut(server: Any) -> int:
    """End all other connections to the database, and return how many there were."""
    ended = server.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return len(ended.fetchall())


class TestSchemas:
    def test_each_profile_has_its_own(self, postgres_url: str) -> None:
        """The state of one environment is never that of another."""
        profiles = [None, "prod", "Prod", 'odd "name" 100%?', "x" * 80 + "a", "x" * 80 + "b"]
        for number, profile in enumerate(profiles):
            with closing(PostgreSQLStateStore(postgres_url, profile=profile)) as store:
                assert store.read("flow") is None
                store.write(store.acquire("flow"), FlowState(dataflow_id="flow", name="flow", sequence=number))
        for number, profile in enumerate(profiles):
            with closing(PostgreSQLStateStore(postgres_url, profile=profile)) as store:
                state = store.read("flow")
                assert state is not None
                assert state.sequence == number

    def test_the_url_may_name_it(self, postgres_url: str, server: Any) -> None:
        """Several projects in one database; parameters of libpq beside it count as ever."""
        url = f"{postgres_url}?schema=sales%20eu&application_name=etl"
        with closing(PostgreSQLStateStore(url, profile="prod")) as store:
            store.acquire("flow")
            found = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'etl'"
            assert server.execute(found).fetchone() == (1,)
        assert server.execute('SELECT count(*) FROM "sales eu_prod".leases').fetchone() == (1,)

    @pytest.mark.parametrize("profile", ["prod", "ü" * 40, "x" * 63])
    def test_names_fit(self, profile: str) -> None:
        """PostgreSQL would cut them short."""
        assert len(schema_for_profile("tidegate", profile).encode()) <= 63

    def test_a_user_who_may_not_create_one_is_told(self, postgres_url: str, server: Any) -> None:
        """In a schema that was made for the user, no more rights are needed."""
        role = f"role_{postgres_url[-8:]}"
        server.execute(f"CREATE ROLE {role} LOGIN")
        try:
            url = postgres_url.replace("postgres@", f"{role}@")
            with closing(PostgreSQLStateStore(url)) as store:
                with pytest.raises(WatermarkError, match="permission denied") as raised:
                    store.acquire("flow")
                assert (raised.value.code, "right to create" in str(raised.value.hint)) == ("TG501", True)
                server.execute(f"CREATE SCHEMA tidegate AUTHORIZATION {role}")
                assert store.acquire("flow").epoch == 1
        finally:
            server.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")

    def test_a_newer_format_is_refused(self, store: PostgreSQLStateStore, postgres_url: str, server: Any) -> None:
        """A store of a newer version is left alone."""
        store.acquire("flow")
        server.execute("UPDATE tidegate.state_format SET version = 99")
        with closing(PostgreSQLStateStore(postgres_url)) as newer, pytest.raises(WatermarkError) as raised:
            newer.states()
        assert raised.value.code == "TG505"


class TestBrokenConnections:
    def test_the_next_use_opens_another(self, store: PostgreSQLStateStore, server: Any) -> None:
        """A server that was restarted between two uses is not noticed."""
        lease = store.acquire("flow")
        for use in (lambda: store.holds(lease), lambda: store.renew([lease]), lambda: store.release(lease)):
            assert cut(server) == 1
            use()
        assert store.live_owners("") == []

    def test_all_that_lay_idle_are_left(self, store: PostgreSQLStateStore, server: Any) -> None:
        """Not one after the other is tried."""
        barrier = threading.Barrier(4)

        def use() -> None:
            store.database.read(lambda _: barrier.wait())

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert cut(server) == 4
        assert store.acquire("flow").epoch == 1

    @pytest.mark.parametrize("step", [0, 1, 2])
    def test_a_transaction_that_broke_is_done_once(
        self, store: PostgreSQLStateStore, server: Any, monkeypatch: pytest.MonkeyPatch, step: int
    ) -> None:
        """It was undone for certain, and is done again: one report, one mark."""
        lease = store.claim("u", "s")
        assert lease is not None
        steps: list[str] = []

        def cutting(session: Any, sql: str, values: Any = ()) -> int:
            steps.append(sql)
            if len(steps) == step + 1:
                cut(server)
            return int(change(session, sql, values))

        from tidegate.state import postgresql

        change = postgresql._Session.change
        monkeypatch.setattr(postgresql._Session, "change", cutting)
        record = UnitRecord(key="u", scope="s", status="written")
        store.finish(lease, {"run_id": "r", "dataflow_id": "flow"}, record)
        monkeypatch.undo()
        assert (len(store.reports("r")), store.counts("s"), store.holds(lease)) == (1, {"written": 1}, False)

    def test_a_commit_that_broke_is_told_and_not_repeated(
        self, store: PostgreSQLStateStore, server: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody knows whether it happened; to do it again could do it twice."""
        lease = store.acquire("flow")

        def cutting(connection: Any, query: Any, *values: Any, **options: Any) -> Any:
            if query == "COMMIT":
                cut(server)
            return execute(connection, query, *values, **options)

        execute = psycopg.Connection.execute
        monkeypatch.setattr(psycopg.Connection, "execute", cutting)
        with pytest.raises(WatermarkError, match="broke during a commit") as raised:
            store.finish(lease, {"run_id": "r", "dataflow_id": "flow"})
        monkeypatch.undo()
        assert raised.value.code == "TG514"
        assert (store.reports("r"), store.holds(lease)) == ([], True)

    def test_an_interrupted_transaction_leaves_nothing(self, store: PostgreSQLStateStore) -> None:
        """Neither what it did, nor its locks."""
        lease = store.acquire("flow")

        def work(session: Any) -> None:
            session.change("UPDATE main.leases SET owner = NULL")
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            store.database.write(work)
        assert store.holds(lease)

    def test_a_process_that_stopped_within_a_transaction_does_not_hold_others_up(
        self, store: PostgreSQLStateStore, server: Any
    ) -> None:
        """The server ends its transaction."""
        store.release(store.acquire("flow"))
        shown = store.database.read(
            lambda session: [
                session.row(f"SHOW {name}")[name] for name in ("idle_in_transaction_session_timeout", "lock_timeout")
            ]
        )
        assert shown == ["20s", "30s"]

    def test_a_lease_is_locked_while_it_is_looked_at(self, store: PostgreSQLStateStore, server: Any) -> None:
        """Who comes second waits for the first, and then sees what the first has done."""
        store.release(store.acquire("flow"))
        server.execute("BEGIN")
        server.execute("SELECT 1 FROM tidegate.leases WHERE key = 'flow' FOR UPDATE")
        found: list[Any] = []
        second = threading.Thread(target=lambda: found.append(attempt(lambda: store.acquire("flow"))))
        second.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        with psycopg.connect(server.info.dsn, autocommit=True) as watcher:
            while watcher.execute(waiting).fetchone() == (0,):
                pass
        future = "to_char(now() + interval '1 hour', 'YYYY-MM-DD\"T\"HH24:MI:SS\"+00:00\"')"
        server.execute(f"UPDATE tidegate.leases SET owner = 'another', epoch = 9, expires_at = {future}")
        server.execute("COMMIT")
        second.join()
        assert found == ["TG502"]


class TestNoServer:
    def test_it_is_named_without_the_password(self) -> None:
        """Host, port and database; never what lets one in."""
        port = free_port()
        url = f"postgresql://ada:s3cr3t%21word@127.0.0.1:{port}/etl"
        store = open_state_store(url, root=Path(), profile="prod")
        uses: list[Callable[[], object]] = [lambda: store.read("x"), lambda: store.acquire("x"), store.last_reports]
        for use in uses:
            with pytest.raises(WatermarkError, match=rf"127\.0\.0\.1:{port}/etl") as raised:
                use()
            error = raised.value
            assert error.code == "TG501"
            assert not isinstance(error, LeaseHeldError)
            shown = f"{error.render()} {error.details} {error.__cause__}"
            assert "s3cr3t" not in shown
            assert "is the server up" in str(error.hint)
        store.close()

    def test_a_database_that_is_not_there(self, postgres_url: str) -> None:
        """The server says which."""
        with closing(PostgreSQLStateStore(f"{postgres_url}_not")) as store:
            with pytest.raises(WatermarkError, match=r"database .* does not exist") as raised:
                store.states()
            assert raised.value.code == "TG501"
