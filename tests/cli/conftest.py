"""A small project, and `tidegate` called in this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tidegate.cli import main

TIDEGATE = str(Path(sys.executable).with_name("tidegate"))

METADATA = """\
connections:
  - {name: landing, format: csv, configure: {base_path: landing}}
  - {name: lake, format: delta, configure: {base_path: lake}}
dataflows:
  - name: orders
    stage: bronze
    source: {connection_name: landing, table: orders, watermark_columns: [updated_at]}
    transform: {schema_hints: [{column_name: updated_at, data_type: timestamp}]}
    destination: {connection_name: lake, table: orders, load_type: merge_upsert, merge_keys: [id]}
  - name: events
    stage: silver
    source: {connection_name: landing, table: events, watermark_columns: [number]}
    destination: {connection_name: lake, table: events, load_type: append}
  - name: shops
    source: {connection_name: landing, table: shops.csv}
    destination: {connection_name: lake, table: shops, load_type: overwrite}
"""


@dataclass
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Tidegate = Callable[..., Answer]


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    for name in ("TIDEGATE_PROFILE", "TIDEGATE_STATE", "TIDEGATE_DEBUG", "COLUMNS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def tidegate(capsys, monkeypatch) -> Tidegate:
    """Call the command line in this process."""

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Answer(code, *capsys.readouterr())

    return call


@pytest.fixture
def console_script() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Call the installed console script in a process of its own."""

    def call(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **options.pop("env", {})}
        return subprocess.run(
            [TIDEGATE, *map(str, arguments)],
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=environment,
            check=False,
            timeout=120,
            **options,
        )

    return call


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project of three dataflows that has never run; the working directory."""
    (tmp_path / "tidegate.yaml").write_text(METADATA)
    for name, text in {
        "orders/1.csv": "id,amount,updated_at\n1,10.5,2026-03-01T06:00:00Z\n2,20,2026-03-02T06:00:00Z\n",
        "events/1.csv": "number,what\n1,opened\n2,closed\n",
        "shops.csv": "shop\nBergen\nGraz\n",
    }.items():
        file = tmp_path / "landing" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path
