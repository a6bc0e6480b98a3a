"""Transformers that are not ours run because they are registered, in the slot that they ask for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import narwhals as nw
import pytest

from tests.behaviour.project import Project
from tidegate.models import DataFlow
from tidegate.transformers import BaseTransformer, TransformContext, transformer_registry

PACKAGE = '''
"""A package that somebody else wrote."""

import narwhals as nw

from tidegate.transformers import BaseTransformer


class Shouter(BaseTransformer):
    name = "shout"
    order = 42

    @classmethod
    def describe(cls, flow):
        return "names in capitals"

    def transform(self, frame, context):
        return frame.with_columns(nw.col("name").str.to_uppercase())
'''
METADATA = """\
connections:
  - {name: landing, format: csv, configure: {base_path: landing}}
  - {name: lake, format: delta, configure: {base_path: lake}}
dataflows:
  - name: people
    source: {connection_name: landing, table: people.csv}
    transform: {additional_columns: [{column: name, expression: trim(name)}]}
    destination: {connection_name: lake, table: people}
"""


class Tenfold(BaseTransformer):
    """A step between the row filter and the system columns."""

    name = "tenfold"
    order = 45

    @classmethod
    def describe(cls, flow: DataFlow) -> str | None:
        """Leave dataflows alone that do not ask for it."""
        return "amount × 10" if "tenfold" in flow.tags else None

    def transform(self, frame: Any, context: TransformContext) -> Any:
        """Look at what the steps before have left, and add a step."""
        assert "gross" in context.engine.schema(frame)
        assert "__created_at" not in context.engine.schema(frame)
        return frame.with_columns(nw.col("amount") * 10)


@pytest.fixture
def _tenfold() -> Iterator[None]:
    transformer_registry.register("tenfold", Tenfold)
    yield
    transformer_registry.unregister("tenfold")


class TestRegistered:
    @pytest.mark.usefixtures("_tenfold")
    def test_a_class_runs_in_its_slot(self, project: Project) -> None:
        """After computed columns, before system columns; only for the dataflows that it describes itself for."""
        project.csv("events.csv", "amount", "2")
        flow = project.flow(additional_columns=[{"column": "gross", "expression": "amount + 1"}])
        asked = flow.model_copy(update={"tags": ("tenfold",)})
        assert [step["step"] for step in project.plan(asked)["steps"]][2:5] == [
            "add columns",
            "tenfold",
            "add system columns",
        ]
        project.load(asked)
        assert project.rows(asked, "amount", "gross") == [(20, 3)]
        other = project.flow("other", source="events.csv")
        project.load(other)
        assert project.rows(other, "amount") == [2]


class TestInstalled:
    def test_an_entry_point_is_found_planned_listed_and_run(self, tmp_path: Path) -> None:
        """Installing the package is all; another process, as it is looked for once."""
        site = tmp_path / "site"
        about = site / "shouter-1.0.dist-info"
        about.mkdir(parents=True)
        (site / "shouter.py").write_text(PACKAGE)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: shouter\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text("[tidegate.transformers]\nshouter = shouter:Shouter\n")
        (tmp_path / "landing").mkdir()
        (tmp_path / "landing" / "people.csv").write_text("name\n ada \n")
        (tmp_path / "tidegate.yaml").write_text(METADATA)

        def tidegate(*arguments: str) -> Any:
            done = subprocess.run(
                [Path(sys.executable).with_name("tidegate"), *arguments, "--output", "json"],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(site)},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            return json.loads(done.stdout)

        assert "shouter" in json.dumps(tidegate("plugins"))
        assert "names in capitals" in json.dumps(tidegate("plan"), ensure_ascii=False)
        tidegate("run")
        import polars as pl

        assert pl.read_delta(str(tmp_path / "lake" / "people"))["name"].to_list() == ["ADA"]
