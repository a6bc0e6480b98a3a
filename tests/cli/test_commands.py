"""check, plan, run, status, and the commands that tell: what they print, and with which exit code they end."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest

import tidegate as tidegate_package
from tests.cli.conftest import METADATA, TIDEGATE
from tests.cli.test_runs import unit
from tidegate.cli.watch import Watch
from tidegate.reporting import JsonLinesSink, RunStarted, UnitFinished

_REGISTRY = re.compile(r"^(\w+): PluginRegistry\[", re.MULTILINE)


def break_orders(project):
    (project / "landing/orders/2.csv").write_text("id,amount,updated_at\n3,x,not a time\n")


def rows(project, table):
    path = project / "lake" / table
    return pl.read_delta(str(path)).height if path.exists() else None


class TestCheck:
    def test_sound_metadata_exit_0(self, project, tidegate):
        answer = tidegate("check")
        assert (answer.code, answer.out, answer.err) == (0, "No findings: the metadata hold.\n", "")

    def test_every_error_has_place_code_and_hint_and_exits_2(self, project, tidegate):
        text = METADATA.replace("watermark_columns: [updated_at]", "watermark_colums: [updated_at]")
        (project / "tidegate.yaml").write_text(text.replace("load_type: append", "load_type: apend"))
        answer = tidegate("check")
        assert answer.code == 2
        lines = answer.out.splitlines()
        assert lines[0].endswith(
            "tidegate.yaml:7:55: error TG101 dataflow 'orders': unknown field source.watermark_colums"
        )
        assert lines[1] == "  hint: did you mean 'watermark_columns'?"
        assert "error TG102" in lines[2]
        assert lines[-1] == "2 errors"

    def test_a_note_is_no_error(self, project, tidegate):
        (project / "tidegate.yaml").write_text(METADATA.replace("table: events, load", "table: orders, load"))
        answer = tidegate("check", project)
        assert answer.code == 0
        assert "note TG112" in answer.out

    def test_json_has_the_findings_and_their_number(self, project, tidegate):
        (project / "tidegate.yaml").write_text(METADATA.replace("format: csv", "format: csvv"))
        answer = tidegate("check", "--output", "json")
        assert answer.code == 2
        assert answer.json["errors"] == len(answer.json["findings"]) == 1
        assert answer.json["findings"][0]["where"]["line"] == 2

    def test_variables_reach_the_metadata(self, project, tidegate):
        (project / "tidegate.yaml").write_text(METADATA.replace("base_path: lake", 'base_path: "${var:lake}"'))
        assert tidegate("check").code == 2
        assert tidegate("check", "--var", "lake=elsewhere").code == 0


class TestPlan:
    def test_it_tells_what_a_run_would_do_and_changes_nothing(self, project, tidegate):
        before = sorted(project.rglob("*"))
        answer = tidegate("plan")
        assert answer.code == 0
        assert "orders  bronze, merge_upsert" in answer.out
        assert "  read        landing/orders: 1 of 1 file" in answer.out
        assert "  commit      load 1" in answer.out
        assert answer.out.endswith("3 flows: 3 to load. Nothing was changed.\n")
        assert sorted(project.rglob("*")) == before

    def test_after_a_run_it_tells_what_is_skipped(self, project, tidegate):
        tidegate("run")
        answer = tidegate("plan", "--flow", "events")
        assert "position    number=2" in answer.out
        assert "(skipped: 1 unchanged)" in answer.out
        assert answer.out.endswith("1 flow: 1 with nothing new. Nothing was changed.\n")

    def test_a_flow_that_cannot_be_planned_exits_1_and_the_others_are_shown(self, project, tidegate):
        (project / "landing/shops.csv").unlink()
        answer = tidegate("plan")
        assert answer.code == 1
        assert "error       TG201" in answer.out
        assert answer.out.endswith("3 flows: 2 to load, 1 cannot be planned. Nothing was changed.\n")

    def test_json_has_steps_or_the_error(self, project, tidegate):
        (project / "landing/shops.csv").unlink()
        flows = {flow["name"]: flow for flow in tidegate("plan", "-o", "json").json}
        assert flows["events"]["steps"][0]["step"] == "read"
        assert flows["events"]["error"] is None
        assert flows["shops"]["error"]["code"] == "TG201"


class TestGraph:
    def test_one_is_one(self, project, tidegate):
        assert tidegate("plan", "--graph", "--flow", "shops").out.endswith("1 flow, 0 dependencies\n")


class TestRun:
    def test_twice_in_a_row_nothing_is_loaded_twice(self, project, tidegate):
        first, second = tidegate("run", "-o", "json"), tidegate("run", "-o", "json")
        assert (first.code, second.code) == (0, 0)
        rows = [{unit["name"]: unit["rows_out"] for unit in answer.json["units"]} for answer in (first, second)]
        assert rows == [{"orders": 2, "events": 2, "shops": 2}, {"orders": 0, "events": 0, "shops": 2}]
        assert pl.read_delta(str(project / "lake/events")).height == 2

    def test_progress_is_json_lines_on_stderr_and_the_table_on_stdout(self, project, tidegate):
        answer = tidegate("run", project / "tidegate.yaml")
        events = [json.loads(line)["event"] for line in answer.err.splitlines()]
        assert (events[0], events[-1]) == ("run_started", "run_finished")
        assert answer.out.splitlines()[0].split()[:3] == ["flow", "stage", "status"]
        assert "3 flows: 3 succeeded" in answer.out

    def test_a_failed_flow_exits_1_and_the_others_finish(self, project, tidegate):
        break_orders(project)
        answer = tidegate("run")
        assert answer.code == 1
        assert "3 flows: 2 succeeded, 1 failed" in answer.out
        assert "\n✗ orders\n" in answer.out
        assert rows(project, "orders") is None

    @pytest.mark.parametrize(
        ("arguments", "names"),
        [
            (["--stage", "bronze"], ["orders"]),
            (["--stage", "bronze,silver"], ["orders", "events"]),
            (["-s", "bronze", "-s", "silver"], ["orders", "events"]),
            (["--flow", "shops,events"], ["events", "shops"]),
            (["--flow", "shops", "-f", "orders"], ["orders", "shops"]),
        ],
    )
    def test_flows_are_chosen_by_stage_or_name(self, arguments, names, project, tidegate):
        assert [unit["name"] for unit in tidegate("run", *arguments, "-o", "json").json["units"]] == names

    @pytest.mark.parametrize(
        ("arguments", "code", "hint"),
        [
            (["--stage", "bronce"], "TG114", "did you mean 'bronze'?"),
            (["--flow", "ordres"], "TG115", "did you mean 'orders'?"),
        ],
    )
    def test_an_unknown_stage_or_flow_exits_2(self, arguments, code, hint, project, tidegate):
        """Never a run of nothing that ends well (defect 24)."""
        answer = tidegate("run", *arguments)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith(f"error {code}: ")
        assert hint in answer.err
        assert not (project / ".tidegate/state.db").exists()

    def test_bad_metadata_exit_2_before_anything_runs(self, project, tidegate):
        (project / "tidegate.yaml").write_text(METADATA.replace("merge_keys", "merge_kyes"))
        answer = tidegate("run")
        assert (answer.code, answer.out) == (2, "")
        assert not (project / "lake").exists()

    def test_a_dry_run_is_the_plan(self, project, tidegate):
        assert tidegate("run", "--dry-run").out == tidegate("plan").out
        assert not (project / "lake").exists()

    def test_column_names_are_as_asked(self, project, tidegate):
        (project / "landing/shops.csv").write_text("ShopName\nGraz\n")
        tidegate("run", "-f", "shops", "--column-names", "snake")
        assert "shop_name" in pl.read_delta(str(project / "lake/shops")).columns

    def test_stop_on_error_starts_nothing_new(self, project, tidegate):
        break_orders(project)
        answer = tidegate("run", "--stop-on-error", "--max-workers", 1, "-o", "json")
        assert answer.code == 1
        assert [unit["status"] for unit in answer.json["units"]] == ["failed", "skipped", "skipped"]
        shown = tidegate("show", "last", "-o", "json").json
        assert [unit["detail"] for unit in shown["units"]][1:] == ["not started: an earlier dataflow failed"] * 2
        last = {flow["name"]: flow["last_run"]["status"] for flow in tidegate("status", "-o", "json").json}
        assert last == {"orders": "failed", "events": "skipped", "shops": "skipped"}

    def test_jobs_share_the_flows(self, project, tidegate):
        names = [
            unit["name"]
            for index in (0, 1)
            for unit in tidegate("run", "--job-num", 2, "--job-index", index, "-o", "json").json["units"]
        ]
        assert sorted(names) == ["events", "orders", "shops"]

    def test_the_console_script_runs_it(self, project, console_script):
        ended = console_script("run", "-o", "json", cwd=project)
        assert (ended.returncode, json.loads(ended.stdout)["succeeded"]) == (0, 3)


class TestInterrupt:
    """Real processes and real signals, in the middle of many small flows."""

    FLOWS = 150

    @pytest.fixture
    def running(self, project):
        """A run of many flows, one at a time, of which some have ended."""
        flows = [
            {
                "name": f"copy{number}",
                "source": {"connection_name": "landing", "table": "orders"},
                "destination": {"connection_name": "lake", "table": f"copy{number}"},
            }
            for number in range(self.FLOWS)
        ]
        declared = METADATA.partition("dataflows:")[0]
        (project / "tidegate.yaml").write_text(f"{declared}dataflows: {json.dumps(flows)}\n")
        process = subprocess.Popen(
            [TIDEGATE, "run", "--max-workers", "1", "-o", "json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr
        while '"unit_finished"' not in process.stderr.readline():
            assert process.poll() is None
        yield process
        process.kill()
        process.communicate()

    def everything_is_loaded_once(self, project, tidegate):
        assert tidegate("run", "-o", "json").json["failed"] == 0
        once = rows(project, "copy0")
        return once > 0 and {rows(project, f"copy{number}") for number in range(self.FLOWS)} == {once}

    def test_the_first_lets_what_runs_finish_and_starts_nothing_new(self, running, project, tidegate):
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
        assert running.returncode == 130
        assert "interrupted: " in err
        assert "were not started" in err
        assert "hint: run again" in err
        self.is_interrupted(json.loads(out), 130)
        (run,) = tidegate("runs", "-o", "json").json
        assert (run["status"], run["total"]) == ("interrupted", self.FLOWS)
        statuses = [flow["last_run"]["status"] for flow in tidegate("status", "-o", "json").json]
        assert sorted(set(statuses)) == ["skipped", "succeeded"]
        assert self.everything_is_loaded_once(project, tidegate)

    def is_interrupted(self, result, exit_code):
        loaded = [unit for unit in result["units"] if unit["status"] == "succeeded"]
        assert (result["exit_code"], result["interrupted"], len(result["units"])) == (exit_code, True, self.FLOWS)
        assert 1 <= result["succeeded"] == len(loaded) < self.FLOWS
        assert result["success_rate"] == pytest.approx(100 * len(loaded) / self.FLOWS)
        assert {unit["detail"] for unit in result["units"] if unit not in loaded} == {
            "not started: the run was interrupted"
        }

    def test_sigterm_does_the_same_and_says_so(self, running, project, tidegate):
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=60)
        assert running.returncode == 143
        assert "\nterminated: " in err
        assert "were not started" in err
        self.is_interrupted(json.loads(out), 143)
        assert self.everything_is_loaded_once(project, tidegate)

    def test_a_replay_is_counted_in_windows_and_untold_units_as_skipped(self):
        watch = Watch(JsonLinesSink(io.StringIO()))
        watch.handle(RunStarted(run_id="run1", command="replay", units=(("a", None, ""), ("b", None, ""))))
        watch.handle(UnitFinished(report=unit("run1", "a")))
        result = watch.result()
        assert (result.total, result.succeeded, result.skipped, result.success_rate) == (2, 1, 1, 50)
        assert (result.interrupted, result.counted_in, result.exit_code) == (True, "window", 1)

    def test_a_second_signal_of_either_kind_ends_at_once(self, running, project, tidegate):
        running.send_signal(signal.SIGINT)
        time.sleep(0.001)
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=60)
        assert running.returncode in {143, 130}  # it may have ended before the second
        assert "not started" in err
        assert self.everything_is_loaded_once(project, tidegate)

    def test_the_second_ends_at_once_and_the_next_run_goes_on(self, running, project, tidegate):
        running.send_signal(signal.SIGINT)
        time.sleep(0.001)  # two signals at the same instant are one
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
        assert running.returncode == 130
        assert "interrupted: " in err
        assert self.everything_is_loaded_once(project, tidegate)


class TestStatus:
    def test_before_the_first_run_it_says_so_and_creates_nothing(self, project, tidegate):
        answer = tidegate("status")
        assert answer.code == 0
        assert answer.out.count("never run") == 3
        assert "Nothing has run yet." in answer.out
        assert not (project / ".tidegate").exists()

    def test_after_runs_it_shows_position_and_last_run(self, project, tidegate):
        tidegate("run", "-f", "events")
        break_orders(project)
        tidegate("run", "-f", "orders")
        answer = tidegate("status")
        flows = {line.split()[0]: line for line in answer.out.partition("\n\n")[0].splitlines()}
        assert "succeeded" in flows["events"]
        assert "number=2" in flows["events"]
        assert "failed TG" in flows["orders"]
        assert "never run" in flows["shops"]

    def test_json_has_position_sequence_and_error(self, project, tidegate):
        tidegate("run", "-f", "events")
        flows = {flow["name"]: flow for flow in tidegate("status", "-o", "json").json}
        assert (flows["events"]["sequence"], flows["events"]["position"]) == (1, "number=2")
        assert flows["events"]["last_run"]["rows_out"] == 2
        assert flows["events"]["last_run"]["error"] is None
        assert (flows["orders"]["position"], flows["orders"]["last_run"]) == (None, None)


class TestExplain:
    @pytest.mark.parametrize("code", ["TG101", "tg101", "101"])
    def test_it_says_what_why_and_what_to_do(self, code, tidegate):
        answer = tidegate("explain", code)
        assert answer.code == 0
        assert answer.out.startswith("TG101  Unknown field")
        for title in ("What", "Why", "Example", "What to do"):
            assert f"\n{title}\n" in answer.out

    def test_it_lists_all_codes(self, tidegate):
        answer = tidegate("explain")
        assert [entry["code"] for entry in tidegate("explain", "-o", "json").json] == [
            line.split()[0] for line in answer.out.splitlines()
        ]

    def test_an_unknown_code_exits_2_and_names_near_ones(self, tidegate):
        answer = tidegate("explain", "TG1O1")
        assert (answer.code, "did you mean" in answer.err) == (2, True)


class TestSchemaAndPlugins:
    def test_the_schema_is_json_and_may_be_written_to_a_file(self, tmp_path, tidegate):
        file = tmp_path / "schema.json"
        answer = tidegate("schema", "-o", file)
        assert (answer.code, answer.out) == (0, "")
        assert f"# yaml-language-server: $schema={file}" in answer.err
        assert json.loads(file.read_text()) == tidegate("schema").json
        assert "dataflows" in tidegate("schema").json["properties"]

    def test_plugins_are_listed_by_kind(self, tidegate):
        found = tidegate("plugins", "-o", "json").json
        assert "polars" in found["engines"]
        assert {"append", "overwrite", "merge_upsert"} <= set(found["load strategies"])
        assert all(found.values())
        assert "load strategies" in tidegate("plugins").out

    def test_every_registry_is_listed(self):
        """A new one must not be forgotten there."""
        source = Path(tidegate_package.__file__).parent
        made = [name for path in source.rglob("*.py") for name in _REGISTRY.findall(path.read_text())]
        listing = (source / "cli" / "plugins.py").read_text()
        assert [name for name in made if f": {name}," not in listing] == []
