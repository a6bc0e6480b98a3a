"""The jobs that are measured, in the order of the report."""

from __future__ import annotations

from bench.cases.base import Case, Workspace
from bench.cases.copies import CsvToDelta, ParquetToDelta, ParquetToDeltaCapped, ParquetToParquet
from bench.cases.databases import (
    LongPostgreSQLToDelta,
    MariaDBToParquet,
    ParquetToPostgreSQL,
    PostgreSQLMerge,
    PostgreSQLToDelta,
)
from bench.cases.histories import LongHistory, ShortHistory
from bench.cases.iceberg import IcebergUpsert
from bench.cases.merges import ClusteredMerge, ScatteredMerge
from bench.cases.small import GrowingFolder, TinyFlows

ALL: dict[str, Case] = {
    case.name: case
    for case in (
        ParquetToParquet(),
        ParquetToDelta(),
        ParquetToDeltaCapped(),
        CsvToDelta(),
        ScatteredMerge(),
        ClusteredMerge(),
        ShortHistory(),
        LongHistory(),
        IcebergUpsert(),
        PostgreSQLToDelta(),
        LongPostgreSQLToDelta(),
        MariaDBToParquet(),
        ParquetToPostgreSQL(),
        PostgreSQLMerge(),
        TinyFlows(),
        GrowingFolder(),
    )
}

__all__ = ["ALL", "Case", "Workspace"]
