"""`tidegate maintain`."""

import pytest

from tidegate.state import SQLiteStateStore


@pytest.fixture
def loaded(project, tidegate):
    """The project, with three loads in `events`."""
    for number in range(3, 6):
        assert tidegate("run").code == 0
        (project / "landing" / "events" / f"{number}.csv").write_text(f"number,what\n{number},more\n")
    return project


def test_it_says_what_it_did_to_each_table(loaded, tidegate):
    answer = tidegate("maintain")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0].split() == ["table", "status", "took", "what"]
    (events,) = [line for line in lines if line.startswith("lake/events")]
    assert events.endswith("3 files -> 1")
    assert lines[-1] == "3 tables: 0 files removed, 0 B freed."


def test_json_has_the_figures(loaded, tidegate):
    tidegate("maintain")
    answer = tidegate("maintain", "--retention", "0d", "--output", "json")
    by_name = {unit["name"]: unit for unit in answer.json["units"]}
    assert by_name["events"]["files_removed"] == 3
    assert by_name["events"]["bytes_freed"] > 0
    assert answer.json["exit_code"] == 0


def test_a_dry_run_changes_nothing(loaded, tidegate):
    files = sorted((loaded / "lake").rglob("*"))
    answer = tidegate("maintain", "--dry-run", "--no-cleanup")
    assert "dry run: 3 files -> 1" in answer.out
    assert sorted((loaded / "lake").rglob("*")) == files


def test_the_last_load_stays_the_last_run(loaded, tidegate):
    before = [flow["last_run"]["run_id"] for flow in tidegate("status", "--output", "json").json]
    tidegate("maintain")
    assert [flow["last_run"]["run_id"] for flow in tidegate("status", "--output", "json").json] == before


def test_nothing_to_maintain_is_said(project, tidegate):
    answer = tidegate("maintain", "--connection", "landing")
    assert answer.code == 0
    assert answer.out.startswith("There is nothing to maintain: ")
    assert '"level": "warning", "message": "there is nothing to maintain' in answer.err


def test_who_else_is_at_a_table_is_said_without_its_key(loaded, tidegate):
    store, lake = SQLiteStateStore(loaded / ".tidegate" / "state.db"), str(loaded / "lake" / "events").lower()
    lease = store.acquire(f"maintain|path:{lake}")
    answer = tidegate("maintain", "--output", "json")
    store.release(lease)
    store.close()
    (events,) = [unit for unit in answer.json["units"] if unit["name"] == "events"]
    assert events["status"] == "skipped"
    assert f"maintenance of {lake} is under way: process " in events["detail"]
    assert "|" not in answer.out


def test_an_unknown_connection_is_refused(project, tidegate):
    answer = tidegate("maintain", "--connection", "sea")
    assert answer.code == 2
    assert "TG104: unknown connection 'sea'" in answer.err
    assert "landing, lake" in answer.err


@pytest.mark.parametrize("text", ["a week", "-1h", "7w", ""])
def test_a_retention_is_a_number_of_hours_or_days(project, tidegate, text):
    answer = tidegate("maintain", f"--retention={text}")
    assert answer.code == 2
    assert "is not a number of hours or days" in answer.err
