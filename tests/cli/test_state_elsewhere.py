"""State that is kept elsewhere: in PostgreSQL, or in a file of one's own choice."""

from __future__ import annotations

import psycopg
import pytest

LISTED = [
    ["events", "1", "number=2", "rebuilt"],
    ["orders", "1", "updated_at=2026-03-02", "rebuilt"],
    ["shops", "1", "1", "rebuilt"],
]


@pytest.fixture(params=["postgresql", "file"])
def place(request, tmp_path):
    """Where state is to be kept."""
    return request.getfixturevalue("postgres_url") if request.param == "postgresql" else "elsewhere/state.db"


@pytest.fixture
def project(project, tidegate):
    """The project, loaded, with its state where it always was."""
    assert tidegate("run").code == 0
    return project


def listed(answer):
    rows = [line.split() for line in answer.out.splitlines()[1:]]
    return [[*row[:3], next(word for word in row if word in {"rebuilt", "set", "rewound"})] for row in rows]


def test_all_that_looks_at_state_or_moves_it_goes_there(project, tidegate, place):
    assert tidegate("state", "list", "--state", place).out == "No positions yet: nothing was loaded.\n"
    assert tidegate("state", "rebuild", "--state", place).code == 0
    assert listed(tidegate("state", "list", "--state", place)) == LISTED
    assert tidegate("state", "set", "orders", "updated_at=2026-03-01T06:00:00Z", "--state", place).code == 0
    assert tidegate("state", "get", "orders", "--state", place).json["origin"] == "set"
    assert tidegate("state", "get", "orders").json["origin"] == "commit"
    assert tidegate("state", "rewind", "orders", "--state", place).code == 0
    (orders,) = tidegate("status", "--flow", "orders", "--state", place, "--output", "json").json
    assert (orders["origin"], orders["position"]) == ("rewound", "start")


@pytest.mark.parametrize("said_by", ["environment", "metadata"])
def test_it_need_not_be_said_each_time(project, tidegate, place, said_by, monkeypatch):
    if said_by == "environment":
        monkeypatch.setenv("TIDEGATE_STATE", place)
    else:
        file = project / "tidegate.yaml"
        file.write_text(f"state: {place}\n{file.read_text()}")
    assert tidegate("state", "rebuild").code == 0
    assert listed(tidegate("state", "list")) == LISTED
    assert listed(tidegate("state", "list", "--state", place)) == LISTED


def test_a_path_is_one_from_here(project, tidegate, tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    assert tidegate("state", "rebuild", "--project", project, "--state", "here.db").code == 0
    assert (tmp_path / "there/here.db").exists()


def test_rebuild_writes_damaged_positions_in_postgresql_anew(project, tidegate, postgres_url):
    assert tidegate("state", "rebuild", "--state", postgres_url).code == 0
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("UPDATE tidegate.flows SET position = '{'")
    answer = tidegate("state", "list", "--state", postgres_url)
    assert "TG504" in answer.err
    answer = tidegate("state", "rebuild", "--state", postgres_url, "--output", "json")
    assert [(flow["outcome"], flow["after"]["sequence"]) for flow in answer.json["flows"]] == [("restored", 1)] * 3
    assert answer.json["set_aside"] is None
    assert listed(tidegate("state", "list", "--state", postgres_url)) == LISTED


def test_what_cannot_be_reached_is_one_error_without_the_password(project, tidegate):
    answer = tidegate("state", "list", "--state", "postgresql://ada:hunter22@127.0.0.1:1/etl")
    assert answer.code != 0
    assert "TG501: the state store postgresql://127.0.0.1:1/etl (schema tidegate) cannot be used" in answer.err
    assert "hunter22" not in answer.err + answer.out
    answer = tidegate("state", "list", "--state", "mysql://ada:hunter22@db/etl")
    assert "TG511" in answer.err
    assert "hunter22" not in answer.err + answer.out
