"""dlt: its own `sql_database` source into its `filesystem` destination. Runs in dlt's own environment.

The default is SQLAlchemy's rows; the other backends are those that its documentation calls the quick ones.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from bench.databases import table_of

if TYPE_CHECKING:
    from pathlib import Path

os.environ.update(RUNTIME__DLTHUB_TELEMETRY="false", RUNTIME__LOG_LEVEL="ERROR")

CHUNK_ROWS = 50_000


def to_delta(source: Path, destination: Path) -> None:
    _load(source, destination, {"table_format": "delta"})


def to_delta_by_pyarrow(source: Path, destination: Path) -> None:
    _load(source, destination, {"table_format": "delta"}, backend="pyarrow", chunk_size=CHUNK_ROWS)


def to_delta_by_connectorx(source: Path, destination: Path) -> None:
    _load(source, destination, {"table_format": "delta"}, **_connectorx(source))


def to_parquet(source: Path, destination: Path) -> None:
    _load(source, destination, {"file_format": "parquet"})


def to_parquet_by_pyarrow(source: Path, destination: Path) -> None:
    _load(source, destination, {"file_format": "parquet"}, backend="pyarrow", chunk_size=CHUNK_ROWS)


def to_parquet_by_connectorx(source: Path, destination: Path) -> None:
    _load(source, destination, {"file_format": "parquet"}, **_connectorx(source))


def _connectorx(source: Path) -> dict[str, Any]:
    url, _ = table_of(source)
    stream = {"conn": url, "return_type": "arrow_stream", "batch_size": CHUNK_ROWS}
    return {"backend": "connectorx", "chunk_size": CHUNK_ROWS, "backend_kwargs": stream}


def _load(source: Path, destination: Path, hints: dict[str, Any], **options: Any) -> None:
    import dlt
    from dlt.destinations import filesystem
    from dlt.sources.sql_database import sql_table

    destination.parent.rmdir()  # dlt makes it, and only if it is not there
    url, table = table_of(source)
    credentials = url.replace("mysql://", "mysql+pymysql://").replace("postgresql://", "postgresql+psycopg2://")
    rows = sql_table(credentials=credentials, table=table, **options)
    rows.apply_hints(table_name=destination.name, **hints)
    pipeline = dlt.pipeline(
        "orders",
        destination=filesystem(bucket_url=destination.parent.parent.as_uri()),
        dataset_name=destination.parent.name,
        pipelines_dir=str(destination.parent.parent / "pipelines"),
    )
    pipeline.run(rows, write_disposition="append", loader_file_format=hints.get("file_format"))
