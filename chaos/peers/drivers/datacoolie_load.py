"""One load with DataCoolie, as its documentation advises: metadata in a file, Polars, a watermark on `changed_at`.

- Watermarks are kept in files beside the tables. There is no option that ties them to the destination's commit.
- Delta: `append`, `merge_upsert`, `scd2` (with its effective column) and `overwrite`; parquet files: those without
  keys. Merges and scd2 are for lakehouse tables only.
- A failed flow does not raise: this script ends with 1 unless the flow succeeded, or was skipped, having nothing new.
"""

import json
from pathlib import Path
from typing import Any

import deltalake  # noqa: F401
from datacoolie.engines.polars_engine import PolarsEngine
from datacoolie.metadata.file_provider import FileProvider
from datacoolie.orchestration.driver import DataCoolieDriver
from datacoolie.platforms.local_platform import LocalPlatform
from serve import serve

_LOAD_TYPES = {"append": "append", "merge": "merge_upsert", "scd2": "scd2", "overwrite": "overwrite"}


def load(destination: str, strategy: str, source: Path, work: Path) -> int:
    metadata = work / "metadata.json"
    draft = metadata.with_suffix(".draft")
    draft.write_text(json.dumps(_declared(destination, strategy, source, work)), encoding="utf-8")
    draft.replace(metadata)
    platform = LocalPlatform()
    provider = FileProvider(config_path=str(metadata), platform=platform, watermark_base_path=str(work / "watermarks"))
    with DataCoolieDriver(engine=PolarsEngine(platform=platform), metadata_provider=provider) as driver:
        result = driver.run(stage="load")
    print(result)
    return 0 if result.total == result.succeeded + result.skipped == 1 else 1


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
            _connection("source", "file", "parquet", source.parent),
            _connection("lake", "lakehouse" if destination == "delta" else "file", destination, work / "lake"),
        ],
        "dataflows": [
            {"name": "orders", "stage": "load", "source": read_from, "destination": write_to, "transform": {}}
        ],
    }


def _connection(name: str, kind: str, file_format: str, folder: Path) -> dict[str, Any]:
    return {"name": name, "connection_type": kind, "format": file_format, "configure": {"base_path": str(folder)}}


if __name__ == "__main__":
    serve(load)
