"""The state store's file: one that is none, one of another version, one of the first version."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.test_state_store import at_once
from tidegate.errors import WatermarkError
from tidegate.state import FlowState, Position, SQLiteStateStore, UnitRecord
from tidegate.state.lease import new_owner
from tidegate.state.repair import damage_of

FIRST_FORMAT = """
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
"""What Tidegate 0.1 wrote."""
POSITION = (
    '{"watermark":{"id":7},"seen_rows":{"columns":[],"generations":[],"since":{}},'
    '"seen_files":"","cursor_columns":[],"columns":{"id":"bigint"}}'
)


@pytest.fixture
def first_format(tmp_path: Path) -> Path:
    """A file of the first format, in use: a position, a lease that is held, one that is not, and reports."""
    path = tmp_path / "state.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(FIRST_FORMAT)
        row = ("flow", "Flow", 3, POSITION, 12, "commit", "r", "2026-01-02T03:04:05+00:00")
        connection.execute("INSERT INTO flows VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        held = ("flow", new_owner(), 5, "2999-01-01T00:00:00+00:00")
        connection.executemany("INSERT INTO leases VALUES (?, ?, ?, ?)", [held, ("b", None, 8, held[3])])
        reports = [("r", "flow", '{"n":1}'), ("r", "b", '{"n":2}'), ("s", "flow", '{"n":3}')]
        connection.executemany("INSERT INTO units (run_id, dataflow_id, report) VALUES (?, ?, ?)", reports)
        connection.execute("PRAGMA user_version = 1")
    return path


class TestFirstFormat:
    def test_it_is_brought_up_to_date_where_it_is(self, first_format: Path) -> None:
        """Positions, leases with their epochs, and reports stay; the ledger begins."""
        with closing(SQLiteStateStore(first_format)) as store:
            state = store.read("flow")
            assert state is not None
            assert (state.sequence, state.position.watermark, state.version) == (3, {"id": 7}, 12)
            assert store.last_reports() == {"flow": {"n": 3}, "b": {"n": 2}}
            assert store.reports("r") == [{"n": 1}, {"n": 2}]
            assert len(store.live_owners("")) == 1
            with pytest.raises(WatermarkError) as raised:
                store.acquire("flow")
            assert raised.value.code == "TG502"
            assert store.acquire("b").epoch == 9
            store.mark(UnitRecord(key="u", scope="s", status="written"))
            assert store.should_skip("u")
        with closing(sqlite3.connect(first_format)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (2,)

    def test_it_has_then_what_a_new_file_has(self, first_format: Path, tmp_path: Path) -> None:
        """Tables, columns and indices."""
        new = SQLiteStateStore(tmp_path / "new.db")
        new.acquire("flow")
        old = SQLiteStateStore(first_format)
        old.states()
        shapes = []
        for store in (new, old):
            with closing(sqlite3.connect(store.path)) as connection:
                columns = (
                    "SELECT m.type, m.name, p.name, p.type, p.pk FROM sqlite_master m, pragma_table_xinfo(m.name) p"
                    " UNION ALL SELECT m.type, m.name, p.name, '', p.seqno"
                    " FROM sqlite_master m, pragma_index_xinfo(m.name) p ORDER BY 1, 2, 3"
                )
                shapes.append(connection.execute(columns).fetchall())
            store.close()
        assert shapes[0] == shapes[1]

    def test_many_open_it_at_once(self, first_format: Path) -> None:
        """It is brought up to date once."""

        def use(_: int) -> int:
            with closing(SQLiteStateStore(first_format)) as store:
                return len(store.states())

        assert at_once(6, use) == [1] * 6

    def test_it_stays_as_it_was_when_that_fails(self, first_format: Path) -> None:
        """One transaction: a file is of one format or of the other."""
        with closing(sqlite3.connect(first_format)) as connection, connection:
            connection.execute("CREATE TABLE runs (another)")  # in the way
        with closing(SQLiteStateStore(first_format)) as store, pytest.raises(WatermarkError, match="runs"):
            store.acquire("b")
        with closing(sqlite3.connect(first_format)) as connection:
            assert connection.execute("SELECT count(*) FROM units").fetchone() == (3,)
            assert connection.execute("PRAGMA user_version").fetchone() == (1,)


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

    def test_a_newer_format_is_refused(self, tmp_path: Path) -> None:
        """A store of a newer version is left alone."""
        with closing(SQLiteStateStore(tmp_path / "state.db")) as store:
            store.acquire("flow")
        with closing(sqlite3.connect(store.path)) as connection:
            connection.execute("PRAGMA user_version = 99")
        with closing(SQLiteStateStore(store.path)) as newer, pytest.raises(WatermarkError) as raised:
            newer.states()
        assert raised.value.code == "TG505"

    def test_a_database_of_something_else_is_left_alone(self, tmp_path: Path) -> None:
        """It is neither written to, nor taken for a damaged store that may be set aside."""
        path = tmp_path / "app.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("CREATE TABLE runs (id)")
        before = path.read_bytes()
        with closing(SQLiteStateStore(path)) as store:
            for use in (lambda: store.acquire("x"), lambda: damage_of(path)):
                with pytest.raises(WatermarkError, match="something else") as raised:
                    use()
                assert raised.value.code == "TG513"
        assert path.read_bytes() == before

    def test_a_store_that_was_closed_keeps_no_connection(self, tmp_path: Path) -> None:
        """Not even one that a thread still had."""
        store = SQLiteStateStore(tmp_path / "state.db")
        lease = store.acquire("flow")
        store.database.write(lambda _: store.close())
        store.write(lease, FlowState(dataflow_id="flow", name="flow", position=Position()))
        assert not (tmp_path / "state.db-wal").exists()
