"""init and demo: projects that are written, and what they do when their own next steps are typed in."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime

import polars as pl
import pytest

from tests.cli.conftest import TIDEGATE
from tidegate.cli.steps import as_typed

YEAR = datetime(2013, 1, 1, 10, tzinfo=UTC), datetime(2014, 1, 1, 4, tzinfo=UTC)
"""From the first departure to the last, the hours that they were scheduled for, in UTC."""


class TestInit:
    @pytest.fixture(autouse=True)
    def _here(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    def test_it_writes_a_project_that_holds(self, tmp_path, tidegate):
        answer = tidegate("init", "shop")
        assert answer.code == 0
        written = {path.relative_to(tmp_path / "shop").as_posix() for path in (tmp_path / "shop").rglob("*")}
        assert {"tidegate.yaml", ".gitignore", "landing/orders", "arrivals"} <= written
        assert ".tidegate/" in (tmp_path / "shop/.gitignore").read_text().splitlines()
        assert tidegate("check", "shop").code == 0

    @pytest.mark.parametrize(("sample", "rows"), [("orders", 13), ("flights", 51_955), ("year", 336_688)])
    def test_its_next_steps_work_as_they_are_printed(self, sample, rows, tmp_path, tidegate):
        steps = tidegate("init", "new", "--sample", sample, "-o", "json").json["next"]
        script = "set -e\n" + "\n".join(step["command"].replace("tidegate ", f"'{TIDEGATE}' ") for step in steps)
        ended = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        table = tmp_path / "new/lake" / ("orders" if sample == "orders" else "bronze/flights")
        assert pl.read_delta(str(table)).height == rows

    @pytest.mark.parametrize("sample", ["orders", "flights", "year"])
    def test_every_sample_holds_and_says_where_its_data_come_from(self, sample, tmp_path, tidegate):
        tidegate("init", "--sample", sample)
        assert tidegate("check").code == 0
        assert (tmp_path / "ORIGIN.md").exists() is (sample != "orders")

    def test_the_year_is_whole(self, tmp_path, tidegate):
        tidegate("init", "--sample", "year")
        flights = pl.read_parquet(tmp_path / "landing/flights/*.parquet")
        assert flights.height == 336_776
        assert flights.select("time_hour", "carrier", "flight").is_unique().all()
        assert flights["time_hour"].is_between(*YEAR, closed="both").all()

    def test_a_changed_order_replaces_the_one_that_was_there(self, tmp_path, tidegate):
        tidegate("init")
        tidegate("run")
        for file in (tmp_path / "arrivals").iterdir():
            file.rename(tmp_path / "landing/orders" / file.name)
        tidegate("run")
        orders = pl.read_delta(str(tmp_path / "lake/orders")).sort("order_id")
        assert orders["order_id"].to_list() == list(range(1001, 1014))
        assert orders.filter(order_id=1010)["status"].to_list() == ["cancelled"]
        assert str(orders.filter(order_id=1003)["amount"].item()) == "79.80"

    def test_it_never_replaces_a_file_and_names_those_that_are_there(self, tmp_path, tidegate):
        (tmp_path / "tidegate.yaml").write_text("mine")
        answer = tidegate("init")
        assert (answer.code, answer.out) == (2, "")
        assert "has 1 of the files already: tidegate.yaml" in answer.err
        assert [path.name for path in tmp_path.iterdir()] == ["tidegate.yaml"]

    def test_a_file_in_place_of_the_folder_exits_2(self, tmp_path, tidegate):
        (tmp_path / "shop").write_text("")
        assert tidegate("init", "shop").code == 2


class TestDemo:
    def test_it_proves_itself_and_starts_afresh_when_repeated(self, tmp_path, monkeypatch, tidegate):
        monkeypatch.chdir(tmp_path)
        for _ in range(2):
            answer = tidegate("demo")
            assert answer.code == 0, answer.out + answer.err
            assert answer.out.count("6 flows: 6 succeeded") == 3
            assert answer.out.count("equal") == 6
            assert "not equal" not in answer.out
            assert answer.out.count("\n✓ B6 727 and B6 739") == 1
            assert answer.out.count("\n✓ Plane N178JB") == 1
        assert [path.name for path in tmp_path.iterdir()] == ["tidegate-demo"]

        steps = [line.split("#")[0].strip() for line in answer.out.partition("What to try next")[2].splitlines()]
        script = "set -e\n" + "\n".join(
            step.replace(f"{as_typed(tmp_path / 'tidegate-demo')} ", f"'{TIDEGATE}' ") for step in steps
        )
        ended = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        assert pl.read_delta(str(tmp_path / "tidegate-demo/lake/bronze/planes")).height == 3322

    def test_it_leaves_a_folder_alone_that_is_not_its_own(self, tmp_path, tidegate):
        (tmp_path / "tidegate.yaml").write_text("mine")
        answer = tidegate("demo", tmp_path)
        assert (answer.code, "was not made by `tidegate demo`" in answer.err) == (2, True)
        assert (tmp_path / "tidegate.yaml").read_text() == "mine"

    def test_what_the_user_added_stays(self, tmp_path, tidegate):
        folder = tmp_path / "demo"
        tidegate("demo", folder)
        changed = (folder / "tidegate.yaml").read_text() + "# mine\n"
        (folder / "tidegate.yaml").write_text(changed)
        (folder / "notes.txt").write_text("mine")
        answer = tidegate("demo", folder)
        assert answer.code == 0
        assert (folder / "notes.txt").read_text() == "mine"
        assert (folder / "tidegate.yaml.changed").read_text() == changed
