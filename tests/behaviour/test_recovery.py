"""Exactly once: whatever dies, is restored, renamed or runs at the same time, each row is there once."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import deltalake
import pytest

from tests.behaviour.project import Project, tree
from tidegate.state import FlowState, Position

HOME = Path(__file__).parents[2]


class Process:
    """A load in a process of its own, held up before its commit."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self._running = running
        self.pid = running.pid

    def go_on(self) -> dict[str, Any]:
        """Let it commit, and return its report."""
        out, error = self._running.communicate("\n", timeout=60)
        assert self._running.returncode == 0, error
        report: dict[str, Any] = json.loads(out.splitlines()[-1])
        return report

    def kill(self) -> None:
        """End it without a chance to clean up."""
        self._running.send_signal(signal.SIGKILL)
        self._running.wait(timeout=60)


@contextmanager
def paused(project: Project, state: Path | None = None, **options: Any) -> Iterator[Process]:
    """Start a load and hold it before its commit."""
    of_project = [str(project.root), project.destination_format, project.url or "", str(state or project.state_path)]
    command = [sys.executable, "-m", "tests.behaviour.paused_load", *of_project]
    environment = {**os.environ, "PYTHONPATH": f"{HOME}{os.pathsep}{HOME / 'src'}"}
    with subprocess.Popen(
        [*command, json.dumps(options)],
        cwd=HOME, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as running:  # fmt: skip
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "ready\n", running.stderr and running.stderr.read()
            yield Process(running)
        finally:
            running.kill()


class TestStateWasNotWritten:
    @pytest.mark.parametrize("load_type", ["append", "overwrite"])
    def test_the_next_run_sees_its_own_commit(self, any_project: Project, load_type: str) -> None:
        """The commit is in, the state is older: the position comes from the commit, and no row twice (defect 4)."""
        any_project.csv("events/a.csv", "id,at", "1,1", "2,2")
        flow = any_project.flow(watermark="at", load_type=load_type)
        any_project.load(flow)
        older = any_project.copy_state()
        any_project.csv("events/b.csv", "id,at", "3,2", "4,4")
        any_project.load(flow)
        any_project.restore_state(older)
        report = any_project.load(flow)
        assert "recovered load 2" in str(report.detail)
        assert any_project.rows(flow, "id") == [1, 2, 3, 4]
        assert any_project.position(flow).sequence == (2 if load_type == "append" else 3)  # type: ignore[union-attr]

    def test_a_lost_state_is_no_first_run(self, any_project: Project) -> None:
        """Without its state store the flow goes on where the destination says it stands, loading what is new."""
        any_project.csv("events.csv", "id,at", "1,1", "2,2")
        flow = any_project.flow(watermark="at")
        any_project.load(flow)
        any_project.forget_state()
        any_project.more("events.csv", "3,2")
        report = any_project.load(flow)
        assert (report.rows_out, report.detail) == (1, "recovered load 1; 1 row was loaded before")
        assert any_project.rows(flow, "id") == [1, 2, 3]

    def test_a_merge_too(self, project: Project) -> None:
        """A merge whose state was lost is not applied twice."""
        project.csv("events/a.csv", "id,v", "1,a")
        flow = project.merge()
        project.load(flow)
        older = project.copy_state()
        project.csv("events/b.csv", "id,v", "1,b")
        project.load(flow)
        version = deltalake.DeltaTable(str(flow.destination.path)).version()
        project.restore_state(older)
        project.load(flow)
        assert deltalake.DeltaTable(str(flow.destination.path)).version() == version
        assert project.rows(flow, "v") == ["b"]

    def test_the_plan_says_that_it_will_recover(self, project: Project) -> None:
        """`plan` shows the recovery before it happens."""
        project.csv("events.csv", "id", "1")
        flow = project.flow()
        project.load(flow)
        project.forget_state()
        assert project.plan(flow)["steps"][0]["step"] == "recover"

    def test_recovery_looks_past_other_commits(self, project: Project) -> None:
        """The flow's own commit is found below those of others, and of OPTIMIZE."""
        project.csv("events.csv", "id", "1")
        flow = project.flow()
        project.load(flow)
        for number in range(12):
            project.csv(f"more{number}.csv", "id", str(number))
            project.load(project.flow("events", source=f"more{number}", name=f"other{number}"))
        deltalake.DeltaTable(str(flow.destination.path)).optimize.compact()
        project.forget_state()
        assert project.load(flow).detail == "recovered load 1; nothing new"


class TestDestinationIsBehind:
    def test_a_restored_table_is_noticed(self, project: Project) -> None:
        """The state knows loads that the table does not: refused, with the repair, instead of a hole (TG506)."""
        project.csv("events/a.csv", "id", "1")
        flow = project.flow()
        project.load(flow)
        project.csv("events/b.csv", "id", "2")
        project.load(flow)
        (project.destination_root / "events" / "_delta_log" / "00000000000000000001.json").unlink()
        error = project.fail(flow)
        assert error.code == "TG506"
        assert "state rebuild" in str(error.hint)

    def test_a_deleted_table_is_noticed(self, any_project: Project) -> None:
        """A destination that is gone is not quietly begun anew with the newest rows only."""
        any_project.csv("events/a.csv", "id", "1")
        flow = any_project.flow()
        any_project.load(flow)
        flow = any_project.flow(destination_root=any_project.root / "elsewhere")
        assert any_project.fail(flow).code == "TG506"


class TestStateIsDamaged:
    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(b"this is no database, not even nearly one", id="other content"),
            pytest.param(b"SQLite format 3\x00" + b"\x00" * 84, id="cut off"),
        ],
    )
    def test_it_is_an_error_that_names_the_repair(self, project: Project, content: bytes) -> None:
        """A state store that cannot be read is never taken for a first run (defect 14)."""
        project.csv("events.csv", "id", "1")
        flow = project.flow()
        project.load(flow)
        project.forget_state()
        project.state_path.write_bytes(content)
        before = tree(project.destination_root)
        (unit,) = project.run(flow).units
        assert unit.error is not None
        assert unit.error.code == "TG501"
        assert str(project.state_path) in unit.error.message
        assert "state rebuild" in str(unit.error.hint)
        assert tree(project.destination_root) == before
        assert project.state_path.read_bytes() == content

    def test_an_empty_state_file_loses_nothing(self, project: Project) -> None:
        """A file of no bytes is an empty store; the destination says where the flow stands (defect 14)."""
        project.csv("events.csv", "id,at", "1,1")
        flow = project.flow(watermark="at")
        project.load(flow)
        project.forget_state()
        project.state_path.touch()
        project.more("events.csv", "2,1")
        assert project.load(flow).rows_out == 1
        assert project.rows(flow, "id") == [1, 2]

    def test_a_damaged_position_is_an_error(self, project: Project) -> None:
        """A position that cannot be read stops its flow, and only that one."""
        project.csv("events.csv", "id", "1")
        flow, other = project.flow(), project.flow("other", source="events")
        project.load(flow)
        with closing(sqlite3.connect(project.state_path)) as connection, connection:
            connection.execute("UPDATE flows SET position = '{}'")
        result = project.run(flow, other)
        assert [unit.status for unit in result.units] == ["failed", "succeeded"]
        assert result.units[0].error is not None
        assert result.units[0].error.code == "TG504"


class TestRenaming:
    def test_a_flow_that_keeps_its_id_keeps_its_position(self, project: Project) -> None:
        """State belongs to the id, not to the name (defect 17)."""
        project.csv("events.csv", "id,at", "1,1")
        project.load(project.flow(watermark="at", name="old", dataflow_id="flow-1"))
        project.more("events.csv", "2,1")
        renamed = project.flow(watermark="at", name="new", dataflow_id="flow-1")
        assert project.load(renamed).rows_out == 1
        assert project.rows(renamed, "id") == [1, 2]


class TestTwoProcesses:
    def test_one_loads_and_the_other_is_told_who_does(self, project: Project) -> None:
        """While one process loads, another that runs the flow fails, naming it, and changes nothing (defect 15)."""
        project.csv("events.csv", "id", "1", "2", "3")
        flow = project.flow()
        with paused(project, table="events") as process:
            (unit,) = project.run(flow).units
            assert unit.error is not None
            assert unit.error.code == "TG502"
            assert f"process {process.pid} on " in unit.error.message
            report = process.go_on()
        assert (report["status"], report["rows_out"]) == ("succeeded", 3)
        assert project.load(flow).detail == "nothing new"
        assert project.rows(flow) == [1, 2, 3]

    @pytest.mark.parametrize("load_type", ["append", "overwrite", "merge_upsert"])
    @pytest.mark.parametrize("loaded_before", [False, True])
    def test_without_a_common_lease_the_commit_itself_refuses(
        self,
        project: Project,
        load_type: str,
        loaded_before: bool,  # noqa: FBT001
    ) -> None:
        """Two state stores know nothing of each other; the destination lets one of the two in (defect 15)."""
        options: dict[str, Any] = {"load_type": load_type, "keys": ["id"] if load_type == "merge_upsert" else []}
        flow = project.flow(**options)
        expected = [1, 2, 3]
        if loaded_before:
            project.csv("events/0.csv", "id", "0")
            project.load(flow)
            expected = [0, 1, 2, 3]
        project.csv("events/1.csv", "id", "1", "2", "3")
        other_state = project.root / "other" / "state.db"
        with paused(project, state=other_state, table="events", **options) as process:
            assert project.load(flow).rows_out == (len(expected) if load_type == "overwrite" else 3)
            report = process.go_on()
        assert report["status"] == "failed"
        assert report["error"]["code"] == "TG405"
        assert project.rows(flow) == expected

    def test_the_same_with_plain_files(self, project: Project) -> None:
        """The commit record of a folder is created once."""
        project.csv("events.csv", "id", "1", "2")
        flow = project.flow(to="parquet")
        with paused(project, state=project.root / "other.db", table="events", to="parquet") as process:
            project.load(flow)
            assert process.go_on()["error"]["code"] == "TG405"
        assert project.rows(flow) == [1, 2]

    @pytest.mark.parametrize("partitions", [[], ["city"]])
    @pytest.mark.parametrize("to", ["delta", "parquet"])
    def test_a_dead_process_holds_nothing_up(self, project: Project, to: str, partitions: list[str]) -> None:
        """A load that was killed before its commit left no row, and its lease ends with it; the next run loads all."""
        project.csv("events.csv", "id,city", "1,Oslo", "2,")
        flow = project.flow(to=to, partitions=partitions)
        with paused(project, table="events", to=to, partitions=partitions) as process:
            process.kill()
        report = project.load(flow)
        assert report.rows_out == 2
        assert project.rows(flow, "id") == [1, 2]

    def test_another_writer_between_read_and_commit(self, project: Project) -> None:
        """A commit of someone else is no conflict for an append, and none that a merge loses rows by."""
        project.csv("events/0.csv", "id,v", "1,a", "2,a")
        options: dict[str, Any] = {"load_type": "merge_upsert", "keys": ["id"]}
        flow = project.flow(**options)
        project.load(flow)
        project.csv("events/1.csv", "id,v", "2,b", "3,b")
        project.csv("others.csv", "id,v", "1,c", "4,c")
        with paused(project, table="events", **options) as process:
            project.load(project.flow("events", source="others", name="other", **options))
            assert process.go_on()["status"] == "succeeded"
        assert project.rows(flow, "id", "v") == [(1, "c"), (2, "b"), (3, "b"), (4, "c")]


class TestOneProcess:
    @pytest.mark.parametrize("flows", [8])
    def test_many_flows_append_to_one_table(self, any_project: Project, flows: int) -> None:
        """Eight threads append to one table: all rows are there, once."""
        for number in range(flows):
            any_project.csv(f"part{number}.csv", "id", *(str(number * 100 + row) for row in range(100)))
        declared = [any_project.flow("events", source=f"part{number}", name=f"flow{number}") for number in range(flows)]
        result = any_project.run(*declared, max_workers=flows)
        assert (result.succeeded, result.errors) == (flows, {})
        assert any_project.rows(declared[0]) == list(range(flows * 100))
        assert any_project.run(*declared, max_workers=flows).succeeded == flows
        assert any_project.frame(declared[0]).height == flows * 100

    def test_flows_that_merge_into_one_table(self, project: Project) -> None:
        """Four flows merge overlapping keys at the same time: each key is there once (defect 16)."""
        for round_number in range(2):
            for number in range(4):
                project.csv(
                    f"part{number}/{round_number}.csv",
                    "id,v",
                    *(f"{row},{number}" for row in range(number * 50, number * 50 + 100)),
                )
            flows = [project.merge("events", source=f"part{number}", name=f"flow{number}") for number in range(4)]
            result = project.run(*flows, max_workers=4)
            assert result.errors == {}
        assert project.rows(flows[0], "id") == list(range(250))

    def test_one_flow_given_twice_loads_once(self, project: Project) -> None:
        """The lease holds within a process too."""
        project.csv("events.csv", "id", *map(str, range(1000)))
        flow = project.flow()
        project.run(flow, project.flow(name="twin", dataflow_id=flow.dataflow_id), max_workers=2)
        assert project.rows(flow) == list(range(1000))

    def test_a_lost_lease_stops_the_commit(self, project: Project) -> None:
        """A lease that was taken over fences its old owner: its write of the state is refused."""
        store, other = project.store(), project.store()
        lease = store.acquire("flow")
        with closing(sqlite3.connect(store.path)) as connection, connection:
            connection.execute("UPDATE leases SET expires_at = '2000-01-01T00:00:00+00:00'")
        taken = other.acquire("flow")
        assert taken.epoch == lease.epoch + 1
        assert (store.holds(lease), other.holds(taken)) == (False, True)
        with pytest.raises(Exception, match="taken over") as raised:
            store.write(lease, FlowState(dataflow_id="flow", name="flow", sequence=9, position=Position()))
        assert raised.value.code == "TG503"  # type: ignore[attr-defined]
        store.close()
        other.close()
