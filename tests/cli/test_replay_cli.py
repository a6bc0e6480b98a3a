"""`tidegate replay`: a range of history, in windows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pytest

from tests.cli.conftest import TIDEGATE, Tidegate

RANGE = ("--from", "2026-01-01", "--to", "2026-04-01", "--by", "1mo")
METADATA = """\
connections:
  - {name: landing, format: parquet, configure: {base_path: landing}}
  - {name: lake, format: delta, configure: {base_path: lake}}
dataflows:
  - name: orders
    source: {connection_name: landing, table: orders, watermark_columns: [at]}
    destination: {connection_name: lake, table: orders, load_type: append}
  - name: days
    source: {connection_name: landing, table: orders, watermark_columns: [at]}
    destination: {connection_name: lake, table: days, load_type: merge_upsert, merge_keys: [id]}
  - name: mirror
    is_active: false
    source: {connection_name: landing, table: orders}
    destination: {connection_name: lake, table: mirror, load_type: snapshot, merge_keys: [id]}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One row a day, from December to May; the working directory."""
    (tmp_path / "tidegate.yaml").write_text(METADATA)
    orders = tmp_path / "landing" / "orders" / "1.parquet"
    orders.parent.mkdir(parents=True)
    at = pl.datetime_range(pl.datetime(2025, 12, 1), pl.datetime(2026, 5, 31), "1d", eager=True, time_zone="UTC")
    pl.DataFrame({"id": range(len(at)), "at": at}).write_parquet(orders)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ids(table: str = "orders") -> list[int]:
    """Return the ids in a table of the working directory."""
    return sorted(pl.read_delta(f"lake/{table}")["id"])


IN_RANGE = list(range(31, 121))


class TestRun:
    def test_loads_each_window(self, project: Path, tidegate: Tidegate) -> None:
        """A line a window; the position stays."""
        answer = tidegate("replay", "--flow", "orders", *RANGE, "-o", "table")
        assert answer.code == 0, answer.err
        assert all(f"2026-0{month}-01" in answer.out for month in (1, 2, 3))
        assert ids() == IN_RANGE
        assert "orders" in tidegate("status").out

    def test_json_counts_windows(self, project: Path, tidegate: Tidegate) -> None:
        """And has the window of each unit."""
        result = tidegate("replay", *RANGE, "-o", "json").json
        assert (result["total"], result["succeeded"], result["failed"], result["exit_code"]) == (6, 6, 0, 0)
        assert {unit["operation"] for unit in result["units"]} == {"replay"}
        assert {tuple(unit["window"]) for unit in result["units"]} >= {("2026-01-01", "2026-02-01")}

    def test_many_windows_are_one_line_a_dataflow(self, project: Path, tidegate: Tidegate) -> None:
        """Nobody reads ninety lines."""
        answer = tidegate("replay", "--flow", "orders", *RANGE[:4], "--by", "1d", "-o", "table")
        assert answer.code == 0
        assert "90 windows loaded, 0 done before, 0 failed" in answer.out
        assert len(answer.out.splitlines()) < 10

    @pytest.mark.parametrize("by", ["1mo", "2w", "7d", "6h", "weekdays", "MS", "1y", "month"])
    def test_sizes_as_people_write_them(self, project: Path, tidegate: Tidegate, by: str) -> None:
        """Whatever the size, the rows are the same."""
        start = ("--from", "2026-01-01T00:00Z", "--to", "2026-04-01T00:00Z")
        answer = tidegate("replay", "--flow", "orders", *start, "--by", by)
        assert answer.code == 0, answer.err
        assert ids() == IN_RANGE

    def test_numbers(self, project: Path, tidegate: Tidegate) -> None:
        """`--by 25` over a column of numbers."""
        answer = tidegate("replay", "--flow", "orders", "--from", "0", "--to", "100", "--by", "25", "--column", "id")
        assert answer.code == 0, answer.err
        assert ids() == list(range(100))

    def test_save_watermark_lets_loads_go_on(self, project: Path, tidegate: Tidegate) -> None:
        """A first load in windows, and then what is new."""
        assert tidegate("replay", "--flow", "orders", *RANGE, "--save-watermark").code == 0
        assert tidegate("run", "--flow", "orders").code == 0
        assert ids() == list(range(31, 182))

    def test_the_hint_of_a_refused_first_load_works(self, project: Path, tidegate: Tidegate) -> None:
        """Copied as it stands."""
        import shlex

        assert tidegate("replay", "--flow", "orders", *RANGE).code == 0
        refused = tidegate("run", "--flow", "orders", "-o", "json").json
        (unit,) = refused["units"]
        assert unit["error"]["code"] == "TG509"
        command = shlex.split(unit["error"]["hint"].split("`")[1])
        answer = tidegate(*command[1:])
        assert answer.code == 0, answer.err
        assert tidegate("run", "--flow", "orders").code == 0
        assert ids() == list(range(31, 182))


class TestDryRun:
    def test_says_which_windows_and_changes_nothing(self, project: Path, tidegate: Tidegate) -> None:
        """No table, no record."""
        (plan,) = tidegate("replay", "--flow", "orders", *RANGE, "--dry-run", "-o", "json").json
        assert (plan["windows"], plan["planned"], plan["checkpoint"]) == (3, 3, 0)
        assert (plan["first"], plan["last"]) == ("2026-01-01--2026-02-01", "2026-03-01--2026-04-01")
        assert (plan["column"], plan["strategy"]) == ("at", "append")
        assert not (project / "lake").exists()
        assert tidegate("replay", "--flow", "orders", *RANGE, "--dry-run").out.count("\n") >= 2

    def test_says_what_is_done(self, project: Path, tidegate: Tidegate) -> None:
        """Nothing is left."""
        tidegate("replay", "--flow", "orders", *RANGE)
        (plan,) = tidegate("replay", "--flow", "orders", *RANGE, "--dry-run", "-o", "json").json
        assert (plan["windows"], plan["planned"], plan["checkpoint"], plan["first"]) == (3, 0, 3, None)


class TestGoingOn:
    def test_it_does_not_guess(self, project: Path, tidegate: Tidegate) -> None:
        """Replayed before: whether to go on or to begin anew is for the user to say."""
        assert tidegate("replay", "--flow", "days", *RANGE).code == 0
        answer = tidegate("replay", "--flow", "days", *RANGE)
        assert answer.code == 2
        assert "was replayed before, in 3 windows" in answer.err
        assert "--resume" in answer.err
        assert "--restart" in answer.err

    def test_resume_loads_what_is_left(self, project: Path, tidegate: Tidegate) -> None:
        """Here nothing."""
        tidegate("replay", "--flow", "days", *RANGE)
        result = tidegate("replay", "--flow", "days", *RANGE, "--resume", "-o", "json").json
        assert (result["succeeded"], result["skipped"]) == (0, 3)

    def test_restart_loads_all_of_it_again(self, project: Path, tidegate: Tidegate) -> None:
        """And of an append it is refused, unless it replaces."""
        tidegate("replay", *RANGE)
        assert tidegate("replay", "--flow", "days", *RANGE, "--restart", "-o", "json").json["succeeded"] == 3
        answer = tidegate("replay", "--flow", "orders", *RANGE, "--restart")
        assert answer.code == 2
        assert "TG509" in answer.err
        answer = tidegate("replay", "--flow", "orders", *RANGE, "--replace")
        assert answer.code == 0, answer.err
        assert ids() == IN_RANGE


class TestMisuse:
    @pytest.mark.parametrize(
        ("arguments", "what"),
        [
            (("--from", "2026-01-01"), "--to"),
            (("--from", "2026-04-01", "--to", "2026-01-01"), "TG627"),
            ((*RANGE[:4], "--by", "0mo"), "TG621"),
            (("--from", "soon", "--to", "2026-01-01"), "TG623"),
            ((*RANGE[:4], "--by", "mnth"), "TG620"),
            ((*RANGE[:4], "--by", "100"), "TG625"),
            ((*RANGE, "--save-watermark", "--backward"), "TG635"),
            ((*RANGE, "--parallel", "0"), "parallel"),
            ((*RANGE, "--resume", "--restart"), "--re"),
        ],
        ids=lambda value: value if isinstance(value, str) else None,
    )
    def test_is_refused_with_exit_code_2(
        self, project: Path, tidegate: Tidegate, arguments: tuple[str, ...], what: str
    ) -> None:
        """Before anything is loaded."""
        answer = tidegate("replay", "--flow", "orders", *arguments)
        assert answer.code == 2, answer.err
        assert what in answer.err
        assert not (project / "lake").exists()

    def test_a_failed_window_is_exit_code_1(self, project: Path, tidegate: Tidegate) -> None:
        """The column is not there."""
        answer = tidegate("replay", "--flow", "orders", *RANGE, "--column", "att")
        assert answer.code == 1
        assert "did you mean 'at'" in answer.err + answer.out


class TestInterrupt:
    def test_ctrl_c_says_how_to_go_on_and_that_works(self, project: Path, console_script: Any) -> None:
        """SIGINT to a real process; the command that it prints finishes the replay."""
        range_ = ("--from", "2025-12-01", "--to", "2026-06-01", "--by", "1d")
        command = [TIDEGATE, "replay", "--flow", "orders", *range_]
        environment = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        ) as running:
            give_up = time.monotonic() + 60
            while not deltalake.DeltaTable.is_deltatable("lake/orders"):
                assert time.monotonic() < give_up
                assert running.poll() is None
                time.sleep(0.02)
            running.send_signal(signal.SIGINT)
            summary, told = running.communicate(timeout=60)
        assert running.returncode == 130, told
        assert "interrupted: " in summary
        assert "Traceback" not in told
        assert "--resume" in told
        hint = next(line for line in told.splitlines() if "go on with:" in line)
        assert "tidegate replay --flow orders" in hint
        done = len(ids())
        assert 0 < done < 182
        (status,) = [
            flow for flow in json.loads(console_script("status", "-o", "json").stdout) if flow["name"] == "orders"
        ]
        assert status["last_run"]["status"] == "skipped"
        answer = console_script("replay", "--flow", "orders", *range_, "--resume", "-o", "json")
        assert answer.returncode == 0, answer.stderr
        assert ids() == list(range(182))
