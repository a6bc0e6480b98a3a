"""One load with Tidegate: `tidegate run`, with a watermark on `changed_at` and no option beyond.

Called as `tidegate_load.py check DESTINATION STRATEGY FOLDER` it is `tidegate check`, which tells whether this version
runs such a load.
"""

import json
import sys
from pathlib import Path
from typing import Any

import deltalake  # noqa: F401
import polars as pl  # noqa: F401
from serve import serve

import tidegate.cli
import tidegate.cli.run
import tidegate.destinations.delta
import tidegate.destinations.files
import tidegate.engines.polars
import tidegate.metadata.file
import tidegate.orchestration.driver
import tidegate.sources.files

_LOAD_TYPES = {"append": "append", "merge": "merge_upsert", "scd2": "scd2", "overwrite": "overwrite"}


def load(destination: str, strategy: str, source: Path, work: Path) -> int:
    return _command("run", destination, strategy, source, work)


def _command(verb: str, destination: str, strategy: str, source: Path, work: Path) -> int:
    metadata = work / "tidegate.json"
    draft = metadata.with_suffix(".draft")
    draft.write_text(json.dumps(_declared(destination, strategy, source, work)), encoding="utf-8")
    draft.replace(metadata)
    sys.argv = ["tidegate", verb, str(metadata)]
    return tidegate.cli.main()


def _declared(destination: str, strategy: str, source: Path, work: Path) -> dict[str, Any]:
    read_from: dict[str, Any] = {"connection_name": "source", "table": source.name}
    write_to: dict[str, Any] = {
        "connection_name": "lake",
        "table": "orders",
        "load_type": _LOAD_TYPES[strategy],
    }
    if strategy != "overwrite":
        read_from["watermark_columns"] = ["changed_at"]
    if strategy in {"merge", "scd2"}:
        write_to["merge_keys"] = ["id"]
    if strategy == "scd2":
        write_to["configure"] = {"scd2_effective_column": "changed_at"}
    return {
        "connections": [
            {"name": "source", "format": "parquet", "configure": {"base_path": str(source.parent)}},
            {"name": "lake", "format": destination, "configure": {"base_path": str(work / "lake")}},
        ],
        "dataflows": [{"name": "orders", "source": read_from, "destination": write_to}],
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["check"]:
        folder = Path(sys.argv[4])
        sys.exit(_command("check", *sys.argv[2:4], folder / "source", folder))
    serve(load)
