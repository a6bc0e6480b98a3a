"""Looking back: `tidegate runs` and `tidegate show`, over runs that were recorded."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidegate.masking import register_secret_values
from tidegate.orchestration.run_lease import holding_run
from tidegate.reporting import ErrorReport, ExecutionResult, UnitReport
from tidegate.state import RunRecord, SQLiteStateStore
from tidegate.state.lease import Heartbeat

START = datetime(2026, 3, 1, 6, tzinfo=UTC)


@contextmanager
def opened(project: Path) -> Iterator[SQLiteStateStore]:
    store = SQLiteStateStore(project / ".tidegate" / "state.db")
    try:
        yield store
    finally:
        store.close()


def unit(run_id: str, name: str, status: str = "succeeded", **more: object) -> UnitReport:
    more = {"rows_in": 10, "rows_out": 9, **more}
    return UnitReport(
        run_id=run_id, dataflow_id=name, name=name, status=status, started_at=START,
        ended_at=START + timedelta(seconds=2), **more,
    )  # fmt: skip


def failed(run_id: str, name: str = "bad") -> UnitReport:
    error = ErrorReport(code="TG201", message="no such file", where="landing/x", hint="look there")
    return unit(run_id, name, "failed", rows_in=None, rows_out=None, error=error, attempts=3)


def record(run_id: str, minute: int = 0, **more: object) -> RunRecord:
    return RunRecord(run_id=run_id, command="run", started_at=START + timedelta(minutes=minute), **more)


def kept(project: Path, run: RunRecord, *units: UnitReport) -> None:
    """Record a run as a driver does, to its end."""
    with opened(project) as store:
        store.begin_run(run)
        for one in units:
            store.finish(None, one.to_dict())
        end = run.started_at + timedelta(seconds=90)
        store.end_run(run.run_id, end, ExecutionResult.from_units(units, run_id=run.run_id).summary())


class TestRuns:
    def test_says_what_was_run_the_newest_first(self, project, tidegate):
        kept(project, record("aaaaaaaa1111", 0), unit("aaaaaaaa1111", "orders"))
        kept(project, record("bbbbbbbb2222", 1), unit("bbbbbbbb2222", "orders"), failed("bbbbbbbb2222"))
        answer = tidegate("runs")
        _, newest, oldest = answer.out.splitlines()
        assert answer.code == 0
        assert newest.split()[:5] == ["bbbbbbbb", "2026-03-01", "06:01Z", "run", "failed"]
        assert newest.split()[-4:] == ["1", "1", "10", "9"]
        assert oldest.split()[4] == "succeeded"

    def test_json_has_everything(self, project, tidegate):
        kept(project, record("aaaaaaaa1111", flows=("orders",)), unit("aaaaaaaa1111", "orders"))
        (run,) = tidegate("runs", "--output", "json").json
        assert run["run_id"] == "aaaaaaaa1111"
        assert run["started_at"] == "2026-03-01T06:00:00.000000+00:00"
        assert (run["status"], run["total"], run["rows_in"], run["flows"]) == ("succeeded", 1, 10, 1)

    def test_the_limit_keeps_the_newest(self, project, tidegate):
        for number in range(5):
            kept(project, record(f"run{number}", number))
        assert [run["run_id"] for run in tidegate("runs", "-n", 2, "-o", "json").json] == ["run4", "run3"]

    def test_a_run_that_goes_on_is_running_and_one_that_was_broken_off_is_interrupted(self, project, tidegate):
        with opened(project) as store:
            heartbeat = Heartbeat(store)
            with holding_run(store, heartbeat, "run1"):
                store.begin_run(record("run1"))
                store.finish(None, unit("run1", "orders").to_dict())
                (run,) = tidegate("runs", "-o", "json").json
                assert (run["status"], run["succeeded"], run["rows_out"]) == ("running", 1, 9)
            heartbeat.close()
        (run,) = tidegate("runs", "-o", "json").json
        assert (run["status"], run["ended_at"], run["succeeded"]) == ("interrupted", None, 1)

    def test_a_run_whose_process_was_killed_is_interrupted(self, project, tidegate):
        code = (
            "import os, signal, sys; from pathlib import Path; from datetime import UTC, datetime\n"
            "from tidegate.orchestration.run_lease import holding_run\n"
            "from tidegate.state import RunRecord, SQLiteStateStore\n"
            "from tidegate.state.lease import Heartbeat\n"
            "store = SQLiteStateStore(Path('.tidegate/state.db'))\n"
            "store.begin_run(RunRecord(run_id='killed', command='run', started_at=datetime.now(UTC)))\n"
            "with holding_run(store, Heartbeat(store), 'killed'):\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False, cwd=project).returncode == -9
        assert "interrupted" in tidegate("runs").out

    def test_what_ended_before_a_kill_is_there(self, project, tidegate):
        """Each unit's record is durable before the next begins (defect 25)."""
        code = (
            "import os, signal; from tidegate import create_driver\n"
            "class Kill:\n"
            "    ended = 0\n"
            "    def handle(self, event, /):\n"
            "        self.ended += event.kind == 'unit_finished'\n"
            "        if self.ended == 2:\n"
            "            os.kill(os.getpid(), signal.SIGKILL)\n"
            "    def close(self): pass\n"
            "create_driver(metadata_provider='.', sinks=[Kill()], max_workers=1).run()\n"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False, cwd=project).returncode == -9
        shown = tidegate("show", "last", "-o", "json").json
        assert [unit["status"] for unit in shown["units"]] == ["succeeded", "succeeded"]
        assert "interrupted" in tidegate("runs").out

    def test_nothing_has_run_yet(self, project, tidegate):
        answer = tidegate("runs")
        assert (answer.code, "Nothing has run yet" in answer.out) == (0, True)
        assert not (project / ".tidegate").exists()


class TestJobs:
    def shards(self, project: Path, *indices: int, number: int = 4) -> None:
        for index in indices:
            run = record(f"run{index}", index, job_id="nightly", job_num=number, job_index=index)
            kept(project, run, unit(run.run_id, "orders"))

    def test_all_shards_ran(self, project, tidegate):
        self.shards(project, 0, 1, 2, 3)
        answer = tidegate("runs", "--job", "nightly")
        assert (answer.code, answer.out.splitlines()[-1]) == (0, "4 of 4 shards ran")

    def test_a_missing_shard_is_named(self, project, tidegate):
        self.shards(project, 0, 1, 3)
        kept(project, record("other"))
        answer = tidegate("runs", "--job", "nightly")
        assert (answer.code, answer.out.splitlines()[-1]) == (1, "3 of 4 shards ran; missing 2")
        assert "other" not in answer.out

    def test_a_shard_that_was_broken_off_is_missing(self, project, tidegate):
        self.shards(project, 0, 1, 3)
        with opened(project) as store:
            store.begin_run(record("run2", job_id="nightly", job_num=4, job_index=2))
        answer = tidegate("runs", "--job", "nightly", "-o", "json")
        assert answer.code == 1
        assert answer.json["job"]["begun"] == {"2": "interrupted"}
        assert "missing 2 (interrupted)" in tidegate("runs", "--job", "nightly").out

    def test_a_shard_that_failed_is_told_until_a_newer_run_of_it_succeeds(self, project, tidegate):
        self.shards(project, 0, 1, number=3)
        kept(project, record("run2", 2, job_id="nightly", job_num=3, job_index=2), failed("run2"))
        answer = tidegate("runs", "--job", "nightly")
        assert (answer.code, answer.out.splitlines()[-1]) == (1, "3 of 3 shards ran, 1 failed")
        job = tidegate("runs", "--job", "nightly", "-o", "json").json["job"]
        assert (job["ran"], job["failed"], job["complete"]) == ([0, 1, 2], [2], False)

        kept(project, record("run3", 3, job_id="nightly", job_num=3, job_index=2), unit("run3", "orders"))
        answer = tidegate("runs", "--job", "nightly")
        assert (answer.code, answer.out.splitlines()[-1]) == (0, "3 of 3 shards ran")

    def test_a_shard_that_goes_on_has_not_failed(self, project, tidegate):
        self.shards(project, 0, number=2)
        with opened(project) as store:
            heartbeat = Heartbeat(store)
            with holding_run(store, heartbeat, "run1"):
                store.begin_run(record("run1", 1, job_id="nightly", job_num=2, job_index=1))
                answer = tidegate("runs", "--job", "nightly")
            heartbeat.close()
        assert answer.out.splitlines()[-1] == "1 of 2 shards ran; missing 1 (running)"

    def test_shards_that_disagree_about_their_number_are_told(self, project, tidegate):
        self.shards(project, 0, 1)
        self.shards(project, 2, number=3)
        answer = tidegate("runs", "--job", "nightly")
        assert answer.code == 1
        assert "disagree: the job has 3 or 4 shards" in answer.out

    def test_the_limit_does_not_hide_a_shard(self, project, tidegate):
        self.shards(project, *range(30), number=30)
        assert tidegate("runs", "--job", "nightly", "-n", 5).code == 0

    def test_an_unknown_job_is_not_complete(self, project, tidegate):
        kept(project, record("run1"))
        answer = tidegate("runs", "--job", "daily")
        assert (answer.code, answer.out.strip()) == (1, "no run of job 'daily'")


class TestShow:
    def test_says_what_happened_to_every_unit(self, project, tidegate):
        good = unit(
            "run1", "orders", sequence=7, position_before="at=2026-02-28 00:00:00+00:00",
            position_after="at=2026-03-01 00:00:00+00:00", detail="1 row was loaded before",
        )  # fmt: skip
        kept(project, record("run1"), good, failed("run1"))
        answer = tidegate("show", "run1")
        head, _, _, first, second, _, *error = answer.out.splitlines()
        assert answer.code == 0
        assert head.startswith("run1  failed  run at 2026-03-01 06:00:00Z")
        assert "at=2026-02-28 00:00Z" in first
        assert first.split()[:6] == ["orders", "succeeded", "10", "9", "2.0s", "7"]
        assert second.split() == ["bad", "failed", "TG201", "2.0s", "3"]
        assert error == ["bad  TG201 no such file", "  at landing/x", "  hint: look there"]

    def test_a_prefix_or_last_is_enough(self, project, tidegate):
        kept(project, record("aaaa1", 0), unit("aaaa1", "orders"))
        kept(project, record("bbbb2", 1), unit("bbbb2", "orders"))
        assert tidegate("show", "aa", "-o", "json").json["run_id"] == "aaaa1"
        assert tidegate("show", "last", "-o", "json").json["run_id"] == "bbbb2"

    def test_before_the_first_run_it_says_so(self, project, tidegate):
        answer = tidegate("show", "last")
        assert (answer.code, answer.out) == (1, "")
        assert "nothing has run yet" in answer.err

    def test_an_unknown_or_ambiguous_run_is_refused(self, project, tidegate):
        kept(project, record("aaaa1"))
        kept(project, record("aaaa2"))
        assert "error TG510" in tidegate("show", "zzz").err
        answer = tidegate("show", "aaaa")
        assert answer.code != 0
        assert "several runs begin with 'aaaa'" in answer.err

    def test_a_run_of_many_units_is_summed_up_by_flow(self, project, tidegate):
        units = [unit("run1", f"orders 2026-01-{day:02}--2026-01-{day + 1:02}") for day in range(1, 30)]
        units += [unit("run1", f"events {number}--{number + 1}") for number in range(40)] + [failed("run1")]
        kept(project, record("run1"), *units)
        _, _, _, *flows, _, hint = tidegate("show", "run1").out.splitlines()
        assert [line.split()[:2] for line in flows] == [["bad", "1"], ["orders", "29"], ["events", "40"]]
        assert hint.startswith("70 units: --flow NAME or --failed")

        page = tidegate("show", "run1", "--flow", "orders", "-n", 10, "--page", 3)
        assert sum(line.startswith("orders 2026") for line in page.out.splitlines()) == 9
        assert page.out.splitlines()[-1] == "page 3 of 3: 29 units"
        assert tidegate("show", "run1", "--page", 1).out.splitlines()[-1] == "page 1 of 2: 70 units"

    def test_only_failures(self, project, tidegate):
        kept(project, record("run1"), unit("run1", "orders"), failed("run1"), failed("run1", "worse"))
        answer = tidegate("show", "run1", "--failed")
        assert "orders" not in answer.out
        assert "bad and 1 more  TG201 no such file" in answer.out
        json = tidegate("show", "run1", "--failed", "-o", "json").json
        assert [one["name"] for one in json["units"]] == ["bad", "worse"]
        assert [one["flow"] for one in json["by_flow"]] == ["bad", "worse", "orders"]

    def test_no_unit_fits(self, project, tidegate):
        kept(project, record("run1"), unit("run1", "orders"))
        assert "no unit fits" in tidegate("show", "run1", "--flow", "events").out

    def test_a_hundred_thousand_units(self, project, tidegate):
        reports = [unit("run1", f"orders {number}--{number + 1}") for number in range(100_000)]
        kept(project, record("run1"))
        with opened(project) as store:
            _insert(store, reports)
        answer = tidegate("show", "last")
        assert "100,000 units" in answer.out
        assert len(answer.out.splitlines()) == 6

    def test_secrets_that_were_in_a_report_are_not_shown(self, project, tidegate):
        register_secret_values("hunter-show-1")
        error = ErrorReport(code="TG401", message="refused: hunter-show-1")
        kept(project, record("run1"), unit("run1", "a", "failed", position_before="p=hunter-show-1", error=error))
        assert "hunter-show-1" not in tidegate("show", "run1").out
        assert "refused: ***" in tidegate("show", "run1").out


def _insert(store: SQLiteStateStore, reports: list[UnitReport]) -> None:
    """Put many reports in at once: a hundred thousand commits would take a minute."""
    import json
    import sqlite3

    with sqlite3.connect(store.path) as connection:
        connection.executemany(
            "INSERT INTO reports (run_id, dataflow_id, report) VALUES (?, ?, ?)",
            [(report.run_id, report.dataflow_id, json.dumps(report.to_dict())) for report in reports],
        )


class TestTheLeaseOfARun:
    def test_a_state_store_that_fails_stops_no_run(self, tmp_path):
        (tmp_path / "state.db").write_text("no database")
        store = SQLiteStateStore(tmp_path / "state.db")
        heartbeat = Heartbeat(store)
        with holding_run(store, heartbeat, "run1"):
            pass
        heartbeat.close()

    def test_it_is_released_also_when_the_run_is_broken_off(self, project):
        with opened(project) as store:
            heartbeat = Heartbeat(store)
            with pytest.raises(KeyboardInterrupt), holding_run(store, heartbeat, "run1"):
                raise KeyboardInterrupt
            assert not store.live_owners("run|run1")
            heartbeat.close()
