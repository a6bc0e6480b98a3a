"""Whole-table loads: parquet to parquet, parquet to Delta (also under a memory cap), csv to Delta."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bench import data
from bench.cases.base import Case, Workspace, declare, flow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class ParquetToParquet(Case):
    """Copy a folder of parquet files into a table of parquet files."""

    name = "parquet-parquet"
    title = "parquet → parquet"
    size = 10_000_000
    short_size = 200_000
    destination_format = "parquet"
    peers: ClassVar[Mapping[str, str]] = {"sink_parquet": "bench.peers.copies:parquet_to_parquet"}
    source_format: ClassVar[str] = "parquet"
    hints: ClassVar[Mapping[str, str]] = {}

    def source(self, workspace: Workspace) -> Path:
        return data.parquet_orders(workspace.size)

    def metadata(self, workspace: Workspace) -> dict[str, Any]:
        source = self.source(workspace)
        writes = {"table": self.table, "load_type": "append"}
        orders = flow("orders", reads={"table": source.name}, writes=writes, hints=self.hints)
        formats = (self.source_format, self.destination_format)
        return declare(workspace, source=source.parent, formats=formats, flows=[orders])


class ParquetToDelta(ParquetToParquet):
    """Copy a folder of parquet files into a new Delta table."""

    name = "parquet-delta"
    title = "parquet → Delta"
    destination_format = "delta"
    peers: ClassVar[Mapping[str, str]] = {
        "sink_parquet + commit": "bench.peers.copies:parquet_to_delta",
        "sink_delta": "bench.peers.copies:parquet_to_delta_by_sink_delta",
        "write_deltalake": "bench.peers.copies:parquet_to_delta_by_write_deltalake",
    }


class ParquetToDeltaCapped(ParquetToDelta):
    """The same with three times the rows, in a process that may use 2 GiB."""

    name = "parquet-delta-capped"
    title = "parquet → Delta, 2 GiB cap"
    size = 30_000_000
    short_size = 600_000
    cap_mib = 2048


class CsvToDelta(ParquetToParquet):
    """Load a folder of csv files into a new Delta table, with typed columns."""

    name = "csv-delta"
    title = "csv → Delta"
    size = 5_000_000
    short_size = 100_000
    source_format = "csv"
    destination_format = "delta"
    hints = data.TYPES
    peers: ClassVar[Mapping[str, str]] = {
        "polars + commit": "bench.peers.copies:csv_to_delta",
        "duckdb + commit": "bench.peers.copies:csv_to_delta_by_duckdb",
        "sink_delta": "bench.peers.copies:csv_to_delta_by_sink_delta",
    }

    def source(self, workspace: Workspace) -> Path:
        return data.csv_orders(workspace.size)
