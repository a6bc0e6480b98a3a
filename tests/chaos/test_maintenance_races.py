"""Maintenance that is killed, and maintenance beside loads: real processes, and no row lost or doubled."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.behaviour.project import Project, data_files
from tests.chaos.maintaining import flows, maintain
from tidegate.destinations.maintenance import LEAST_ORPHAN_HOURS
from tidegate.orchestration.planner import table_of
from tidegate.platforms.local import LocalPlatform

ROOT = Path(__file__).parents[2]
FORMATS = ("delta", "iceberg")
LOADS = 6
MOMENTS = {
    "delta": [
        "tidegate.engines.polars:PolarsEngine.write after",
        "tidegate.platforms.local:LocalPlatform.put_if_absent after",
        "tidegate.platforms.local:LocalPlatform.remove after",
    ],
    "iceberg": [
        "tidegate.engines.polars:PolarsEngine.write after",
        "pyiceberg.catalog:MetastoreCatalog._write_metadata after",
        "pyiceberg.catalog.sql:SqlCatalog.commit_table after",
        "tidegate.destinations.iceberg_maintenance:IcebergUpkeep._remove_snapshots after",
        "tidegate.platforms.local:LocalPlatform.remove after",
    ],
}


@pytest.fixture(params=FORMATS)
def project(tmp_path, request):
    return Project(tmp_path / "disturbed", request.param)


def start(project, *arguments):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.maintaining", str(project.root), project.destination_format, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def load(project, number):
    """Load the next file into all tables: some new keys, some that change, and one that comes late."""
    rows = [
        f"{key},{number * 10 + key},{number},2024-01-{number % 27 + 1:02}T00:00:00Z"
        for key in range(number, number + 4)
    ]
    rows.append(f"0,{number},{number},2023-01-{27 - number % 27:02}T00:00:00Z")
    project.csv(f"events/{number:02}.csv", "id,value,number,at", *rows)
    result = project.run(*flows(project), retry_count=2, retry_delay=0)
    assert result.failed == 0, result.errors


def rows_of(project):
    return [project.rows(flow) for flow in flows(project)]


def test_loads_beside_compactions_come_to_the_same_tables(project, tmp_path):
    undisturbed = Project(tmp_path / "undisturbed", project.destination_format)
    for number in range(2):
        load(project, number)
    with start(project) as process:
        for number in range(2, LOADS):
            load(project, number)
        process.stdin.close()
        merged = int(process.stdout.readline())
    assert process.returncode == 0
    assert merged > 0
    for number in range(LOADS):
        load(undisturbed, number)
    assert rows_of(project) == rows_of(undisturbed)
    for flow in flows(project):
        assert table_of(flow, LocalPlatform()).last_commit(flow.dataflow_id).sequence == LOADS


def test_a_kill_at_any_moment_leaves_the_tables_right(project):
    load(project, 0)
    for number, moment in enumerate(MOMENTS[project.destination_format], 1):
        load(project, number)
        rows = rows_of(project)
        with start(project, moment) as process:
            process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, moment
        assert rows_of(project) == rows, moment
        for flow in flows(project):
            commit = table_of(flow, LocalPlatform()).last_commit(flow.dataflow_id)
            assert commit.sequence == number + 1, moment
    _grow_old(project.destination_root)
    maintain(project, retention_hours=0)
    assert rows_of(project) == rows
    for flow in flows(project):
        needed = {file.path for file in table_of(flow, LocalPlatform()).snapshot().files()}
        assert {str(path) for path in data_files(project.data_root(flow.destination.table), "parquet")} == needed


def _grow_old(folder):
    moment = time.time() - 3600 * (LEAST_ORPHAN_HOURS + 1)
    for path in folder.rglob("*"):
        os.utime(path, (moment, moment))
