"""What runs in a process of its own: `tidegate run`, and the reader that watches.

The fork server imports this module, and with it all that a run imports: so a run starts in milliseconds, and kills land
in its work instead of its start-up. Nothing here starts a thread pool before the fork.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chaos.failpoints import arm

HAS_CLI = find_spec("tidegate.cli") is not None and find_spec("tidegate.cli.run") is not None
_IMPORTED_BY_A_RUN = (
    "tidegate.destinations.delta",
    "tidegate.destinations.files",
    "tidegate.destinations.load_strategies.merge_upsert",
    "tidegate.destinations.load_strategies.overwrite",
    "tidegate.engines.polars",
    "tidegate.metadata.file",
    "tidegate.orchestration.driver",
    "tidegate.platforms.local",
    "tidegate.reporting.progress",
    "tidegate.sources.files",
    *(["tidegate.cli", "tidegate.cli.run"] if HAS_CLI else []),
)
for _name in _IMPORTED_BY_A_RUN:
    if find_spec(_name) is not None:
        import_module(_name)


def run(metadata: str, flows: Sequence[str], events: str, failpoint: tuple[str, int] | None) -> None:
    """Be `tidegate run METADATA [--flow NAME]...`, with stderr in a file; end with its exit code."""
    with Path(events).open("wb") as file, Path(os.devnull).open("wb") as nothing:
        os.dup2(file.fileno(), 2)
        os.dup2(nothing.fileno(), 1)
    if failpoint is not None:
        arm(*failpoint)
    if HAS_CLI:
        sys.argv = ["tidegate", *run_arguments(metadata, flows)]
        sys.exit(import_module("tidegate.cli").main())
    from tidegate import create_driver
    from tidegate.reporting import progress_sink

    with create_driver(metadata_provider=metadata, sinks=[progress_sink()]) as driver:
        result = driver.run(names=list(flows) or None)
    sys.exit(result.exit_code)


def run_arguments(metadata: str, flows: Sequence[str]) -> list[str]:
    """The command line of a run."""
    return ["run", metadata, *(word for name in flows for word in ("--flow", name))]


def watch(tables: Sequence[str], sightings: str) -> None:
    """Poll Delta tables until killed; write what each new version holds: rows and sum of revisions, or the failure."""
    versions: dict[str, int] = {}
    with Path(sightings).open("w", encoding="utf-8") as file:
        while True:
            for table in tables:
                seen = _look(table, versions)
                if seen is not None:
                    file.write(json.dumps({"table": Path(table).name, **seen}) + "\n")
                    file.flush()
            time.sleep(0.003)


def _look(table: str, versions: dict[str, int]) -> dict[str, Any] | None:
    try:
        if not deltalake.DeltaTable.is_deltatable(table):
            return None
        opened = deltalake.DeltaTable(table)
        if versions.get(table) == opened.version():
            return None
        versions[table] = opened.version()
        columns = [pq.read_table(path, columns=["revision"])["revision"] for path in active_files(opened, table)]
        return {"rows": sum(map(len, columns)), "revisions": sum(pc.sum(column).as_py() for column in columns)}
    except Exception as error:  # noqa: BLE001 - whatever it is, a reader has met it
        return {"failure": repr(error)}


def active_files(table: deltalake.DeltaTable, root: str) -> list[str]:
    """The files of this version of the table."""
    return [f"{root}/{row['path']}" for row in pa.table(table.get_add_actions()).to_pylist()]


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[3:], sys.argv[2], None)
