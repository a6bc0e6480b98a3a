"""A hundred thousand windows: what is asked of table and state store does not grow with those that are done."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.behaviour.project import Project
from tests.behaviour.replaying import commits_of, covered, replayed
from tidegate import DataFlow, create_driver
from tidegate.destinations.delta import DeltaTable
from tidegate.models import ReplayConfig
from tidegate.orchestration.replays import ReplayPlan
from tidegate.state import SQLiteStateStore

MANY = 100_000


@pytest.fixture
def flow(project: Project) -> DataFlow:
    """A flow over a row in every hundredth window."""
    project.parquet("events/1.parquet", pl.DataFrame({"id": range(MANY // 100), "n": range(0, MANY, 100)}))
    return project.flow(format="parquet", watermark="n")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the state store and the table were asked for what."""
    counts: Counter[str] = Counter()

    def counting(owner: type, name: str) -> None:
        real: Callable[..., Any] = getattr(owner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            counts[name] += 1
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, call)

    for name in ("done", "claim", "unit", "units"):
        counting(SQLiteStateStore, name)
    for name in ("snapshot", "last_commit", "commits"):
        counting(DeltaTable, name)
    return counts


def plan(project: Project, flow: DataFlow) -> ReplayPlan:
    """Plan the replay of all windows."""
    with create_driver(root=project.root) as driver:
        (found,) = driver.plan_replay([flow], ReplayConfig(start=0, end=MANY, chunk_interval={"step": 1}))
    return found


def test_a_plan_does_not_ask_window_by_window(project: Project, flow: DataFlow, asked: Counter[str]) -> None:
    """The ledger once, and the table once."""
    found = plan(project, flow)
    assert (found.windows, found.done, str(found.first), str(found.last)) == (MANY, 0, "0--1", "99999--100000")
    assert asked == {"units": 1, "snapshot": 2}


def test_windows_that_are_in_are_passed_over_without_a_question(
    project: Project, flow: DataFlow, asked: Counter[str]
) -> None:
    """Nearly all of them at once, the last one alone; then a hundred thousand are one range."""
    replayed(project, flow, start=0, end=MANY, by={"step": MANY - 1})
    assert plan(project, flow).done == MANY
    asked.clear()
    result = replayed(project, flow, start=0, end=MANY, by={"step": 1})
    assert (result.total, result.skipped) == (MANY, MANY)
    assert asked["claim"] == 0
    assert asked["snapshot"] <= 3


def test_empty_windows_make_no_holes_in_what_a_commit_says(project: Project) -> None:
    """Each commit says which windows are done: were the empty ones missing, the log would grow with their square."""
    project.parquet("events/1.parquet", pl.DataFrame({"id": range(50), "n": range(0, 100, 2)}))
    flow = project.flow(format="parquet", watermark="n")
    replayed(project, flow, start=0, end=100, by={"step": 1})
    assert covered(flow) == ["0--99"]
    assert max(len(json.dumps(commit["replays"])) for commit in commits_of(flow)) < 70


def test_empty_windows_are_known_again_a_thousand_at_a_time(
    project: Project, flow: DataFlow, asked: Counter[str]
) -> None:
    """Those after the last commit are in the ledger alone."""
    with create_driver(root=project.root) as driver:
        driver.run_replay([flow], ReplayConfig(start=0, end=300, chunk_interval={"step": 1}))
    asked.clear()
    result = replayed(project, flow, start=0, end=300, by={"step": 1})
    assert (result.total, result.skipped) == (300, 300)
    assert asked["claim"] == 0
    assert Path(str(flow.destination.path)).exists()
