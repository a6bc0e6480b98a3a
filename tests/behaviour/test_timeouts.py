"""Timeouts and cancelling: a load that takes too long ends before its commit, and has changed nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.behaviour.project import Project
from tidegate import DataFlow, create_driver
from tidegate.reporting import UnitReport
from tidegate.reporting.events import UnitProgress


class At:
    """A sink that does something when a load comes to a phase."""

    def __init__(self, phase: str, act: Callable[[], Any]) -> None:
        self._phase = phase
        self._act = act

    def handle(self, event: object, /) -> None:
        """Act."""
        if isinstance(event, UnitProgress) and event.phase == self._phase:
            self._act()

    def close(self) -> None:
        """Nothing is open."""


def run(project: Project, *flows: DataFlow, at: At | None = None, **options: Any) -> list[UnitReport]:
    """Run flows, and return their reports."""
    with create_driver(root=project.root, sinks=[at] if at else [], **options) as driver:
        return list(driver.run(dataflows=list(flows)).units)


def limited(project: Project, seconds: float, table: str = "events", **options: Any) -> DataFlow:
    """Return a flow with a timeout."""
    return project.flow(table, source="events", **options).model_copy(update={"timeout": seconds})


@pytest.mark.parametrize("phase", ["planning", "reading", "committing"])
def test_a_load_that_takes_too_long_changes_nothing(any_project: Project, phase: str) -> None:
    """Whatever it was at (TG614): the table is as before, and the next run loads the rows."""
    any_project.csv("events.csv", "id", "1", "2")
    (report,) = run(any_project, limited(any_project, 0.1), at=At(phase, lambda: time.sleep(0.2)))
    assert report.error is not None
    assert report.error.code == "TG614"
    flow = any_project.flow()
    assert any_project.position(flow) is None
    any_project.load(flow)
    assert any_project.rows(flow, "id") == [1, 2]


def test_a_load_in_time_is_not_touched(project: Project) -> None:
    """A minute is enough."""
    project.csv("events.csv", "id", "1")
    (report,) = run(project, limited(project, 60))
    assert report.status == "succeeded"


def test_retries_are_part_of_the_time(project: Project) -> None:
    """A wait of a minute before the next attempt ends with the timeout, and is its last."""
    project.csv("events.csv", "id", "1")
    flow = limited(project, 0.3)
    holder = project.store()
    lease = holder.acquire(flow.dataflow_id)
    try:
        began = time.monotonic()
        (report,) = run(project, flow, retry_count=3, retry_delay=60)
        assert report.error is not None
        assert report.error.code == "TG614"
        assert time.monotonic() - began < 30
    finally:
        holder.release(lease)
        holder.close()


def test_the_others_go_on(project: Project) -> None:
    """A timeout is one dataflow's own."""
    project.csv("events.csv", "id", "1")
    slow, fast = limited(project, 0.05, "slow"), project.flow("fast", source="events")
    reports = {report.name: report for report in run(project, slow, fast, at=At("planning", lambda: time.sleep(0.1)))}
    assert reports["load_slow"].status == "failed"
    assert reports["load_fast"].status == "succeeded"


def test_a_cancelled_run_commits_nothing_more(project: Project) -> None:
    """`driver.cancel()` (TG615)."""
    project.csv("events.csv", "id", "1")
    flow = project.flow()
    cancel = At("committing", lambda: driver.cancel())  # noqa: PLW0108 - the driver is made later
    with create_driver(root=project.root, sinks=[cancel]) as driver:
        (report,) = driver.run(dataflows=[flow]).units
    assert report.error is not None
    assert report.error.code == "TG615"
    project.load(flow)
    assert project.rows(flow, "id") == [1]
