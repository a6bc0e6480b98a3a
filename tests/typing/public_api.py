"""The public contract, as a type checker reads it: `make check` runs mypy --strict over this file."""

from __future__ import annotations

from typing import assert_type

import tidegate
from tidegate import (
    ColumnCaseMode,
    Connection,
    DataFlow,
    Destination,
    Driver,
    ExecutionResult,
    FileMetadata,
    RunConfig,
    SchemaHint,
    Source,
    Transform,
    create_driver,
)


def declared() -> DataFlow:
    landing = Connection(name="landing", format="csv", configure={"base_path": "landing"})
    lake = Connection(name="lake", format="delta", configure={"base_path": "lake"})
    return DataFlow(
        name="orders",
        source=Source(connection_name="landing", connection=landing, table="orders", watermark_columns=("updated_at",)),
        transform=Transform(schema_hints=(SchemaHint(column_name="updated_at", data_type="timestamp"),)),
        destination=Destination(
            connection_name="lake", connection=lake, table="orders", load_type="merge_upsert", merge_keys=("id",)
        ),
    )


def run() -> None:
    with create_driver(metadata_provider="tidegate.yaml", max_workers=4) as driver:
        assert_type(driver, Driver)
        assert_type(driver.load_dataflows(stage=["bronze", "silver"]), list[DataFlow])
        result = driver.run(stage="bronze", column_name_mode=ColumnCaseMode.SNAKE)
        assert_type(result, ExecutionResult)
        assert_type(result.errors, dict[str, str])
        assert_type(result.success_rate, float)
        assert_type(driver.run_dataflow(dataflows=[declared()]), ExecutionResult)


def configured() -> Driver:
    config = RunConfig(job_num=4, job_index=0, stop_on_error=True)
    return create_driver("polars", "local", FileMetadata("tidegate.yaml", profile="prod"), config=config)


assert_type(tidegate.__version__, str)
