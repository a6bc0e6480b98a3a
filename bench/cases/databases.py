"""Databases: a whole table into Delta or Parquet, and files into a table, appended and merged by key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bench import data, databases
from bench.cases.base import Case, Workspace, flow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class PostgreSQLToDelta(Case):
    """Copy a table into a new Delta table."""

    name = "postgresql-delta"
    title = "PostgreSQL → Delta"
    size = 5_000_000
    short_size = 100_000
    peers: ClassVar[Mapping[str, str]] = {
        "ADBC + pyarrow + commit": "bench.peers.databases:postgresql_to_delta",
        "ADBC + write_deltalake": "bench.peers.databases:postgresql_to_delta_by_write_deltalake",
        "connectorx + commit": "bench.peers.databases:postgresql_to_delta_by_connectorx",
        "dlt, connectorx": "bench.peers.dlt:to_delta_by_connectorx",
        "dlt, pyarrow": "bench.peers.dlt:to_delta_by_pyarrow",
        "dlt, default": "bench.peers.dlt:to_delta",
    }
    kind: ClassVar[databases.Kind] = "postgresql"

    def source(self, workspace: Workspace) -> Path:
        return databases.orders_table(self.kind, workspace.size)

    def metadata(self, workspace: Workspace) -> dict[str, Any]:
        url, table = databases.table_of(self.source(workspace))
        orders = flow("orders", reads={"table": table}, writes={"table": self.table, "load_type": "append"})
        return {
            "connections": [
                {"name": "src", "format": "sql", "configure": {"url": url}},
                {"name": "lake", "format": self.destination_format, "configure": {"base_path": str(workspace.lake)}},
            ],
            "dataflows": [orders],
        }


class LongPostgreSQLToDelta(PostgreSQLToDelta):
    """The same with four times the rows, in no more memory."""

    name = "postgresql-delta-20m"
    title = "PostgreSQL → Delta, 20 M"
    size = 20_000_000
    short_size = 200_000
    cap_mib = 400
    peers: ClassVar[Mapping[str, str]] = {
        "ADBC + pyarrow + commit": "bench.peers.databases:postgresql_to_delta",
        "ADBC + write_deltalake": "bench.peers.databases:postgresql_to_delta_by_write_deltalake",
    }


class MariaDBToParquet(PostgreSQLToDelta):
    """Copy a table into a folder of Parquet files."""

    name = "mariadb-parquet"
    title = "MariaDB → parquet"
    short_size = 200_000
    destination_format = "parquet"
    peers: ClassVar[Mapping[str, str]] = {
        "connectorx + pyarrow": "bench.peers.databases:mariadb_to_parquet",
        "PyMySQL + pyarrow": "bench.peers.databases:mariadb_to_parquet_by_pymysql",
        "dlt, connectorx": "bench.peers.dlt:to_parquet_by_connectorx",
        "dlt, pyarrow": "bench.peers.dlt:to_parquet_by_pyarrow",
        "dlt, default": "bench.peers.dlt:to_parquet",
    }
    kind = "mysql"


class ParquetToPostgreSQL(Case):
    """Append a folder of Parquet files to a new table."""

    name = "parquet-postgresql"
    title = "parquet → PostgreSQL"
    size = 1_000_000
    short_size = 50_000
    destination_format = "postgresql"
    cap_mib = 400
    peers: ClassVar[Mapping[str, str]] = {
        "COPY through ADBC": "bench.peers.databases:parquet_to_postgresql",
        "COPY of csv": "bench.peers.databases:parquet_to_postgresql_by_csv",
    }
    load: ClassVar[Mapping[str, Any]] = {"load_type": "append"}

    def source(self, workspace: Workspace) -> Path:
        return data.parquet_orders(workspace.size)

    def destination(self, workspace: Workspace) -> Path:
        return workspace.lake / f"{self.table}.url"

    def stage(self, workspace: Workspace) -> None:
        """Forget what was loaded before."""
        super().stage(workspace)
        databases.run_postgresql(f"DROP TABLE IF EXISTS {self.table}, _tidegate_loads")
        self.destination(workspace).write_text(databases.url("postgresql"))

    def metadata(self, workspace: Workspace) -> dict[str, Any]:
        source = self.source(workspace)
        orders = flow("orders", reads={"table": source.name}, writes={"table": self.table, **self.load})
        return {
            "connections": [
                {"name": "src", "format": "parquet", "configure": {"base_path": str(source.parent)}},
                {"name": "lake", "format": "sql", "configure": {"url": databases.url("postgresql")}},
            ],
            "dataflows": [orders],
        }


class PostgreSQLMerge(ParquetToPostgreSQL):
    """Merge changes, nine tenths of them updates, into a table that is there."""

    name = "postgresql-merge"
    title = "PostgreSQL merge, 100 k"
    warm_size = 1_000
    load: ClassVar[Mapping[str, Any]] = {"load_type": "merge_upsert", "merge_keys": ["id"]}
    peers: ClassVar[Mapping[str, str]] = {
        "COPY + ON CONFLICT": "bench.peers.databases:merge_by_conflict",
        "COPY + UPDATE + INSERT": "bench.peers.databases:merge_by_update",
        "COPY + MERGE": "bench.peers.databases:merge",
    }

    def source(self, workspace: Workspace) -> Path:
        return data.tenth_changes(workspace.size)

    def stage(self, workspace: Workspace) -> None:
        """Lay the table."""
        super().stage(workspace)
        _, standing = databases.table_of(databases.orders_table("postgresql", workspace.size))
        databases.run_postgresql(
            f"CREATE TABLE {self.table} ({databases.definitions('postgresql', 'double')}, PRIMARY KEY (id))",
            f"INSERT INTO {self.table} SELECT * FROM {standing}",
            f"VACUUM ANALYZE {self.table}",
            "CHECKPOINT",
        )

    def rows(self, size: int) -> int:
        return size // 10

    def result_rows(self, size: int) -> int:
        return size + size // 100
