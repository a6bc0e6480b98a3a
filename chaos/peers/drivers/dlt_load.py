"""One load with dlt, as its documentation advises.

- The source is a resource that yields Arrow tables. All but the full load have a cursor on `changed_at`
  (`dlt.sources.incremental`), and `id` as the primary key, by which rows at the cursor are recognised.
- The state is restored from the destination, dlt's default; the pipeline's folder is kept between runs as well.
- A package left behind by a run that died is loaded first; then the source is read. (`pipeline.run(data)` alone would
  load the package and end.)
- Delta: the `filesystem` destination with `table_format="delta"`; the merge is `upsert`, the strategy dlt has for it.
- parquet: the same destination. dlt has no merge there, and replaces by `truncate-and-insert` only.
- DuckDB: merge by `delete-insert`, dlt's default; replace by `insert-from-staging`, which is one transaction.
- scd2 is one of dlt's merge strategies for SQL databases only. Since the source holds changes, `merge_key` keeps rows
  that do not arrive from being retired; Arrow rows get their version from `add_row_hash_to_table`.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.update(
    RUNTIME__DLTHUB_TELEMETRY="false",
    RUNTIME__LOG_LEVEL="ERROR",
    DESTINATION__DUCKDB__REPLACE_STRATEGY="insert-from-staging",
)

import deltalake  # noqa: F401
import dlt
import dlt.common.libs.deltalake
import dlt.destinations.impl.duckdb.duck
import dlt.destinations.impl.filesystem.filesystem
import dlt.extract.incremental.transform
import pandas as pd  # noqa: F401
import pyarrow as pa
import pyarrow.dataset as ds  # noqa: F401
import pyarrow.parquet as pq
from dlt.destinations import duckdb, filesystem
from dlt.sources.helpers.transform import add_row_hash_to_table
from serve import serve

_DISPOSITIONS: dict[tuple[str, str], Any] = {
    ("delta", "merge"): {"disposition": "merge", "strategy": "upsert"},
    ("duckdb", "merge"): "merge",
    ("duckdb", "scd2"): {"disposition": "merge", "strategy": "scd2", "row_version_column_name": "row_hash"},
}


def load(destination: str, strategy: str, source: Path, work: Path) -> int:
    pipeline = dlt.pipeline(
        "orders",
        destination=duckdb(str(work / "lake.duckdb"))
        if destination == "duckdb"
        else filesystem(bucket_url=(work / "lake").as_uri()),
        dataset_name="sales",
        pipelines_dir=str(work / "pipelines"),
    )
    if pipeline.has_pending_data:
        pipeline.run()
    pipeline.run(_resource(destination, strategy, source))
    return 0


def _resource(destination: str, strategy: str, source: Path) -> Any:
    other = "replace" if strategy == "overwrite" else "append"
    hints: dict[str, Any] = {
        "name": "orders",
        "write_disposition": _DISPOSITIONS.get((destination, strategy), other),
        "merge_key" if strategy == "scd2" else "primary_key": "id",
    }
    if destination == "delta":
        hints["table_format"] = "delta"
    if destination == "parquet":
        hints["file_format"] = "parquet"
    resource = dlt.resource(_whole if strategy == "overwrite" else _changes, **hints)(source)
    return resource.add_map(add_row_hash_to_table("row_hash")) if strategy == "scd2" else resource


def _whole(source: Path) -> Iterator[pa.Table]:
    for file in sorted(source.glob("*.parquet")):
        yield pq.read_table(file)


def _changes(
    source: Path,
    changed_at: Any = dlt.sources.incremental("changed_at", primary_key="id"),  # noqa: ARG001, B008 - dlt's way
) -> Iterator[pa.Table]:
    yield from _whole(source)


if __name__ == "__main__":
    serve(load)
