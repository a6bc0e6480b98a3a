"""Positions looked at and moved by hand, and what the next run makes of them."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import UTC, datetime

import polars as pl
import pytest

from tidegate.errors import WatermarkError
from tidegate.state import FlowState, SQLiteStateStore
from tidegate.state.typed_text import parse_value
from tidegate.state.watermark import decode_value


@pytest.fixture
def loaded(project, tidegate):
    """The project after its first run."""
    assert tidegate("run").code == 0
    return project


def rows(project, table):
    return pl.read_delta(str(project / "lake" / table)).height


def arrive(project, name="2", text="id,amount,updated_at\n1,99,2026-03-04T06:00:00Z\n3,30,2026-03-03T06:00:00Z\n"):
    (project / f"landing/orders/{name}.csv").write_text(text)


class TestListAndGet:
    def test_before_the_first_run_there_is_nothing_and_nothing_is_created(self, project, tidegate):
        assert tidegate("state", "list").out == "No positions yet: nothing was loaded.\n"
        assert tidegate("state", "get", "orders").json is None
        assert not (project / ".tidegate").exists()

    def test_list_shows_every_position(self, loaded, tidegate):
        lines = tidegate("state", "list").out.splitlines()[1:]
        assert [line.split()[:3] for line in lines] == [
            ["events", "1", "number=2"],
            ["orders", "1", "updated_at=2026-03-02"],
            ["shops", "1", "1"],
        ]

    def test_get_keeps_types_and_counts_what_is_remembered(self, loaded, tidegate):
        state = tidegate("state", "get", "orders").json
        assert state["watermark"] == {"updated_at": {"__datetime__": "2026-03-02T06:00:00+00:00"}}
        assert (state["sequence"], state["remembered_rows"], state["remembered_files"]) == (1, 1, 1)
        assert state["columns"]["updated_at"] == "timestamp"

    def test_a_flow_is_found_by_its_id(self, loaded, tidegate):
        state = tidegate("state", "get", "orders").json
        assert tidegate("state", "get", state["dataflow_id"]).json == state

    def test_an_unknown_flow_exits_2_with_the_nearest(self, loaded, tidegate):
        answer = tidegate("state", "get", "order")
        assert answer.code == 2
        assert "error TG115: unknown dataflow 'order'" in answer.err
        assert "did you mean 'orders'?" in answer.err

    def test_another_folder_is_given_with_project(self, loaded, tmp_path_factory, monkeypatch, tidegate):
        monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
        assert len(tidegate("state", "list", "--project", loaded, "-o", "json").json) == 3


class TestSet:
    def test_the_next_run_reads_from_there(self, loaded, tidegate):
        arrive(loaded)
        answer = tidegate("state", "set", "orders", "updated_at=2026-03-04")
        assert (answer.code, "updated_at=2026-03-04 00:00Z" in answer.out) == (0, True)
        assert "the position went forward" in answer.err
        state = tidegate("state", "get", "orders").json
        assert (state["origin"], state["sequence"], state["remembered_rows"]) == ("set", 1, 0)
        tidegate("run", "-f", "orders")
        assert pl.read_delta(str(loaded / "lake/orders")).sort("id")["id"].to_list() == [1, 2]

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ("updated_at=yesterday", "'yesterday' is not a value of column updated_at, which is timestamp"),
            ("id=7", "'id' is not a watermark column of dataflow 'orders'"),
        ],
    )
    def test_a_value_that_does_not_fit_exits_2_and_changes_nothing(self, value, message, loaded, tidegate):
        before = tidegate("state", "get", "orders").json
        answer = tidegate("state", "set", "orders", value)
        assert (answer.code, f"error TG508: {message}" in answer.err) == (2, True)
        assert tidegate("state", "get", "orders").json == before

    def test_before_the_first_load_the_type_is_that_of_a_schema_hint(self, project, tidegate):
        assert tidegate("state", "set", "orders", "updated_at=2026-03-02T00:00:00Z").code == 0
        assert tidegate("run", "-f", "orders", "-o", "json").json["units"][0]["rows_out"] == 1

    def test_before_the_first_load_the_type_can_be_given(self, project, tidegate):
        answer = tidegate("state", "set", "events", "number=2")
        assert (answer.code, "number:timestamp=VALUE" in answer.err) == (2, True)
        assert tidegate("state", "set", "events", "number:bigint=2").code == 0
        assert tidegate("run", "-f", "events", "-o", "json").json["units"][0]["rows_out"] == 1

    def test_an_append_is_not_moved_back_without_yes(self, loaded, tidegate):
        for value in ("number=1", "number=2"):  # at the very value reached, the rows that tie would be doubled
            answer = tidegate("state", "set", "events", value)
            assert (answer.code, "error TG509" in answer.err) == (2, True)
        assert tidegate("state", "set", "events", "number=3").code == 0

    def test_a_flow_without_watermark_columns_cannot_be_set(self, loaded, tidegate):
        answer = tidegate("state", "set", "shops", "shop=Graz")
        assert (answer.code, "has no watermark columns" in answer.err) == (2, True)

    def test_a_run_that_holds_the_lease_is_left_alone(self, loaded, tidegate):
        dataflow_id = tidegate("state", "get", "orders").json["dataflow_id"]
        store = SQLiteStateStore(loaded / ".tidegate/state.db")
        lease = store.acquire(dataflow_id)
        try:
            for arguments in (["set", "orders", "updated_at=2026-03-01"], ["rewind", "orders"]):
                answer = tidegate("state", *arguments)
                assert (answer.code, "error TG502" in answer.err) == (1, True)
            answer = tidegate("state", "rebuild", "-f", "orders")
            assert (answer.code, "error TG502" in answer.err) == (1, True)
        finally:
            store.release(lease)
            store.close()

    def test_a_store_that_is_behind_its_destination_takes_the_newer_sequence(self, loaded, tidegate):
        shutil.copytree(loaded / ".tidegate", loaded / "before")
        arrive(loaded)
        tidegate("run", "-f", "orders")
        shutil.rmtree(loaded / ".tidegate")
        (loaded / "before").rename(loaded / ".tidegate")
        tidegate("state", "set", "orders", "updated_at=2026-03-01")
        assert tidegate("state", "get", "orders").json["sequence"] == 2
        unit = tidegate("run", "-f", "orders", "-o", "json").json["units"][0]
        assert (unit["sequence"], unit["rows_in"]) == (3, 4)


class TestRewind:
    def test_a_merge_loads_again_and_doubles_nothing(self, loaded, tidegate):
        answer = tidegate("state", "rewind", "orders")
        assert (answer.code, "-> start" in answer.out) == (0, True)
        unit = tidegate("run", "-f", "orders", "-o", "json").json["units"][0]
        assert (unit["rows_in"], rows(loaded, "orders")) == (2, 2)

    @pytest.mark.parametrize("to", ["2026-03-02", "updated_at=2026-03-02T00:00:00Z"])
    def test_to_a_value(self, to, loaded, tidegate):
        assert tidegate("state", "rewind", "orders", "--to", to).code == 0
        assert tidegate("run", "-f", "orders", "-o", "json").json["units"][0]["rows_in"] == 1

    def test_a_value_ahead_is_refused(self, loaded, tidegate):
        answer = tidegate("state", "rewind", "orders", "--to", "2027-01-01")
        assert (answer.code, "is past the position" in answer.err) == (2, True)

    def test_an_append_needs_yes_and_then_doubles_as_it_was_told(self, loaded, tidegate):
        answer = tidegate("state", "rewind", "events")
        assert (answer.code, "error TG509" in answer.err) == (2, True)
        assert tidegate("state", "get", "events").json["position"] == "number=2"
        answer = tidegate("state", "rewind", "events", "--yes")
        assert (answer.code, "in the table twice" in answer.err) == (0, True)
        tidegate("run", "-f", "events")
        assert rows(loaded, "events") == 4

    def test_json_has_both_positions(self, loaded, tidegate):
        moved = tidegate("state", "rewind", "orders", "-o", "json").json
        assert (moved["before"]["position"], moved["after"]["position"]) == (
            "updated_at=2026-03-02 06:00:00+00:00",
            "start",
        )


class TestRebuild:
    def positions(self, tidegate):
        return {
            state["name"]: (state["sequence"], state["position"], state["remembered_rows"])
            for state in tidegate("state", "list", "-o", "json").json
        }

    @pytest.mark.parametrize("how", ["missing", "not a database", "truncated", "a damaged position"])
    def test_every_position_comes_back(self, how, loaded, tidegate):
        before = self.positions(tidegate)
        store = loaded / ".tidegate/state.db"
        match how:
            case "missing":
                shutil.rmtree(loaded / ".tidegate")
            case "not a database":
                store.write_bytes(b"\x00 this is not SQLite" * 500)
            case "truncated":
                content = store.read_bytes()
                for file in store.parent.glob("state.db*"):
                    file.unlink()
                store.write_bytes(content[: len(content) // 2])
            case "a damaged position":
                with sqlite3.connect(store) as connection:
                    connection.execute("""UPDATE flows SET position = '{"watermark": 3}' WHERE name = 'orders'""")
                connection.close()
        if how != "missing":
            answer = tidegate("state", "list")
            assert (answer.code, "`tidegate state rebuild`" in answer.err) == (1, True)
        answer = tidegate("state", "rebuild")
        assert answer.code == 0, answer.err
        assert answer.out.count("restored") == 3
        assert self.positions(tidegate) == before
        aside = [
            path for path in (loaded / ".tidegate").glob("state.db.damaged-*") if path.suffix not in {"-wal", "-shm"}
        ]
        assert bool(aside) == (how != "missing")
        units = tidegate("run", "-o", "json").json["units"]
        assert {unit["name"]: unit["rows_in"] for unit in units} == {"orders": 0, "events": 0, "shops": 2}

    def test_a_store_that_is_behind_is_brought_up(self, loaded, tidegate):
        shutil.copytree(loaded / ".tidegate", loaded / "before")
        arrive(loaded)
        tidegate("run", "-f", "orders")
        after = self.positions(tidegate)
        shutil.rmtree(loaded / ".tidegate")
        (loaded / "before").rename(loaded / ".tidegate")
        outcomes = {flow["name"]: flow["outcome"] for flow in tidegate("state", "rebuild", "-o", "json").json["flows"]}
        assert outcomes == {"orders": "restored", "events": "unchanged", "shops": "unchanged"}
        assert self.positions(tidegate) == after

    def test_a_destination_that_was_removed_is_loaded_from_the_start(self, loaded, tidegate):
        shutil.rmtree(loaded / "lake/events")
        answer = tidegate("run", "-f", "events")
        assert (answer.code, "TG506" in answer.out) == (1, True)
        assert tidegate("state", "rebuild", "--flow", "events").code == 0
        assert tidegate("run", "-f", "events").code == 0
        assert rows(loaded, "events") == 2

    def test_a_destination_that_cannot_be_read_exits_1_and_the_others_are_rebuilt(self, loaded, tidegate):
        shutil.rmtree(loaded / ".tidegate")
        shutil.rmtree(loaded / "lake/events/_delta_log")
        (loaded / "lake/events/notes.txt").write_text("mine")
        answer = tidegate("state", "rebuild")
        assert answer.code == 1
        assert "events: error TG402" in answer.err
        assert set(self.positions(tidegate)) == {"orders", "shops"}

    def test_a_dataflow_that_is_no_longer_declared_is_named(self, loaded, tidegate):
        metadata = loaded / "tidegate.yaml"
        metadata.write_text(metadata.read_text().replace("name: orders", "name: sales"))
        assert "orders: committed load 1 here, and is not declared" in tidegate("state", "rebuild").err

    def test_a_store_of_a_newer_tidegate_is_left_alone(self, loaded, tidegate):
        store = loaded / ".tidegate/state.db"
        with sqlite3.connect(store) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
        answer = tidegate("state", "rebuild")
        assert (answer.code, "error TG505" in answer.err) == (1, True)
        assert not list(store.parent.glob("*damaged*"))

    def test_set_repairs_a_damaged_position(self, loaded, tidegate):
        with sqlite3.connect(loaded / ".tidegate/state.db") as connection:
            connection.execute("""UPDATE flows SET position = '{"watermark": 3}' WHERE name = 'orders'""")
        connection.close()
        assert tidegate("state", "set", "orders", "updated_at=2026-03-02T00:00:00Z").code == 0
        assert tidegate("run", "-f", "orders", "-o", "json").json["units"][0]["rows_in"] == 1


class TestTypedText:
    @pytest.mark.parametrize(
        ("text", "type_name", "expected"),
        [
            ("42", "bigint", 42),
            ("-7", "int", -7),
            ("2.5", "double", 2.5),
            ("10.5", "decimal(10,2)", {"__decimal__": "10.50"}),
            ("2026-03-31", "date", {"__date__": "2026-03-31"}),
            ("06:00", "time", {"__time__": "06:00:00"}),
            ("2026-03-31T06:00:00Z", "timestamp", {"__datetime__": "2026-03-31T06:00:00+00:00"}),
            ("2026-03-31 08:00+02:00", "timestamp", {"__datetime__": "2026-03-31T06:00:00+00:00"}),
            ("2026-03-31 06:00", "timestamp", {"__datetime__": "2026-03-31T06:00:00+00:00"}),
            ("2026-03-31T06:00", "timestamp_ntz", {"__datetime__": "2026-03-31T06:00:00"}),
            (" a b ", "string", " a b "),
        ],
    )
    def test_a_value_has_the_type_of_its_column(self, text, type_name, expected):
        value = parse_value("column", text, type_name)
        assert (value, type(value)) == (decode_value(expected), type(decode_value(expected)))

    @pytest.mark.parametrize(
        ("text", "type_name"),
        [
            ("4.5", "int"),
            ("1_000", "int"),
            ("3000000000", "int"),
            ("-1", "uint"),
            ("nan", "double"),
            ("10.555", "decimal(10,2)"),
            ("123456789", "decimal(10,2)"),
            ("Infinity", "decimal(10,2)"),
            ("31.3.2026", "date"),
            ("2026-02-30", "timestamp"),
            ("2026-03-31T06:00Z", "timestamp_ntz"),
            ("", "bigint"),
            ("x", "boolean"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, text, type_name):
        with pytest.raises(WatermarkError, match=type_name.split("(")[0]) as refused:
            parse_value("column", text, type_name)
        assert refused.value.code == "TG508"


def test_reading_a_store_that_does_not_exist_creates_nothing(tmp_path):
    store = SQLiteStateStore(tmp_path / "state/state.db")
    assert (store.read("x"), list(store.states()), store.last_reports()) == (None, [], {})
    assert not (tmp_path / "state").exists()
    lease = store.acquire("x")
    store.write(lease, FlowState(dataflow_id="x", name="x", updated_at=datetime.now(UTC)))
    assert store.read("x")
    store.close()
