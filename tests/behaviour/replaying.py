"""Replaying in the behaviour suite: a project's flows over a range, and what the tables say of it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, timedelta
from typing import Any

import deltalake
import polars as pl

from tests.behaviour.project import Project, iceberg_table
from tidegate import DataFlow, RunConfig, create_driver
from tidegate.destinations.turns import replay_chain
from tidegate.models import ReplayConfig
from tidegate.orchestration.planner import table_of
from tidegate.platforms import platform_registry
from tidegate.reporting import ErrorReport, ExecutionResult

MONTHS = {"months": 1}


def replay(
    project: Project, *flows: DataFlow, start: Any = "2025-01-01", end: Any = "2025-04-01", by: Any = MONTHS,
    max_workers: int = 8, stop_on_error: bool = False, **config: Any,
) -> ExecutionResult:  # fmt: skip
    """Replay flows in a driver of their own, as a process would."""
    run_config = RunConfig(max_workers=max_workers, stop_on_error=stop_on_error)
    with create_driver(root=project.root, config=run_config) as driver:
        interval = None if "calendar" in config else by
        return driver.run_replay(list(flows), ReplayConfig(start=start, end=end, chunk_interval=interval, **config))


def replayed(project: Project, *flows: DataFlow, **config: Any) -> ExecutionResult:
    """Replay flows, all of whose windows must succeed."""
    result = replay(project, *flows, **config)
    assert result.failed == 0, result.errors
    return result


def failure(result: ExecutionResult) -> ErrorReport:
    """Return why the one window failed."""
    (error,) = [unit.error for unit in result.units if unit.error]
    return error


def days(first: str, last: str, *, at: str = "at", start_id: int = 1) -> pl.DataFrame:
    """Return one row a day, both days included, at noon."""
    lower, upper = date.fromisoformat(first), date.fromisoformat(last)
    count = (upper - lower).days + 1
    noons = pl.Series(at, [lower + timedelta(days=number) for number in range(count)], dtype=pl.Date)
    ids = pl.Series("id", range(start_id, start_id + count), dtype=pl.Int64)
    return pl.DataFrame([ids, noons.cast(pl.Datetime("us")) + timedelta(hours=12)])


def windows_of(flow: DataFlow) -> Counter[str]:
    """Return how often each window was committed by a replay, from the table's own log."""
    commits = commits_of(flow)
    return Counter(
        "--".join(commit["window"]) for commit in commits if commit["dataflow_id"] == replay_chain(flow.dataflow_id)
    )


def commits_of(flow: DataFlow) -> list[dict[str, Any]]:
    """Return the record of each commit in the table's log."""
    if flow.destination.connection.format == "delta":  # type: ignore[union-attr]
        history = deltalake.DeltaTable(str(flow.destination.path)).history()
        return [entry["tidegate"] for entry in history if "tidegate" in entry]
    records = [
        snapshot.summary.additional_properties for snapshot in iceberg_table(flow).snapshots() if snapshot.summary
    ]
    return [json.loads(record["tidegate.commit"]) for record in records if "tidegate.commit" in record]


def covered(flow: DataFlow) -> list[str]:
    """Return the ranges that the replays of a flow have put into its table."""
    table = table_of(flow, platform_registry.get_or_create("local"))
    commit = table.last_commit(replay_chain(flow.dataflow_id))
    replays = commit.replays.values() if commit else ()
    return sorted(str(window) for replay in replays for window in replay.windows)


def restore(flow: DataFlow, version: int) -> None:
    """Take a Delta table back."""
    deltalake.DeltaTable(str(flow.destination.path)).restore(version)
