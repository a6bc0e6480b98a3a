"""The database servers of a bench, and the tables of orders in them.

A table is passed on as a small file: it is called ``<table>.url``, and holds the URL of the database. The servers are
those of the tests, started by the first process that asks, and ended with the bench; what they hold goes with them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench import data

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

Kind = Literal["postgresql", "mysql"]

SERVERS_VARIABLE = "TIDEGATE_BENCH_SERVERS"
AMOUNT = "numeric(12,2)"
"""As databases keep money: in files it is a double."""
_WORDS = {
    "postgresql": {"int": "integer", "double": "double precision", "string": "text", "timestamp": "timestamptz"},
    "mysql": {"string": "varchar(60)", "timestamp": "datetime(6)"},
}


@contextmanager
def servers() -> Iterator[Path]:
    """A folder for the servers that the bench's processes start; they are ended afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="tidegate-bench-servers-"))
    os.environ[SERVERS_VARIABLE] = str(folder)
    try:
        yield folder
    finally:
        if any(folder.glob("*.server")):  # else pytest, which the servers come with, need not be loaded
            from tests.services import end_servers

            end_servers(folder)
        shutil.rmtree(folder, ignore_errors=True)


def url(kind: Kind) -> str:
    """The URL of the database of this kind."""
    folder = Path(os.environ[SERVERS_VARIABLE])
    known = folder / f"{kind}.url"
    if not known.exists():
        from tests.services import shared_mariadb, shared_postgres

        if kind == "postgresql":
            known.write_text(f"postgresql://postgres@127.0.0.1:{shared_postgres(folder).port}/postgres")
        else:
            known.write_text(f"mysql://root@127.0.0.1:{shared_mariadb(folder).port}/bench")
    return known.read_text()


def table_of(place: Path) -> tuple[str, str]:
    """URL and name of the table that a file stands for."""
    return place.read_text(), place.stem


def orders_table(kind: Kind, rows: int) -> Path:
    """A table of orders ``0 .. rows``, with a primary key; made when it is not there."""
    place = Path(os.environ[SERVERS_VARIABLE]) / kind / f"orders_{rows}.url"
    if not place.exists():
        found, source = url(kind), data.parquet_orders(rows)
        (_fill_postgresql if kind == "postgresql" else _fill_mysql)(found, place.stem, source)
        place.parent.mkdir(exist_ok=True)
        place.write_text(found)
    return place


def definitions(kind: Kind, amount: str = AMOUNT) -> str:
    """The columns of a table of orders, in the words of a database."""
    words = {**data.TYPES, "amount": amount}
    return ", ".join(f"{name} {_WORDS[kind].get(word, word)}" for name, word in words.items())


def postgresql_rows(place: Path, columns: str = "*") -> pl.DataFrame:
    """The rows of a PostgreSQL table."""
    import adbc_driver_postgresql.dbapi
    import polars as pl

    found, table = table_of(place)
    with adbc_driver_postgresql.dbapi.connect(found) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {table}")
        return pl.DataFrame(pl.from_arrow(cursor.fetch_arrow_table()))


def run_postgresql(*statements: str) -> None:
    """Carry out statements in the PostgreSQL database."""
    import psycopg

    with psycopg.connect(url("postgresql"), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def _fill_postgresql(found: str, table: str, source: Path) -> None:
    import adbc_driver_postgresql.dbapi
    import pyarrow.dataset as ds

    run_postgresql(
        "DROP TABLE IF EXISTS loaded",
        f"CREATE UNLOGGED TABLE loaded ({definitions('postgresql', 'double')})",
    )
    with adbc_driver_postgresql.dbapi.connect(found, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("loaded", ds.dataset(source).scanner(batch_size=65_536).to_reader(), mode="append")
    run_postgresql(
        f"DROP TABLE IF EXISTS {table}",  # of a process that died before it was full
        f"CREATE TABLE {table} ({definitions('postgresql')})",
        f"INSERT INTO {table} SELECT * FROM loaded",
        f"ALTER TABLE {table} ADD PRIMARY KEY (id)",
        "DROP TABLE loaded",
        f"VACUUM ANALYZE {table}",
    )


def _fill_mysql(found: str, table: str, source: Path) -> None:
    import io

    import polars as pl
    import pymysql

    with pymysql.connect(**mysql_arguments(found, database=None), autocommit=True) as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE DATABASE IF NOT EXISTS bench")
        cursor.execute(f"CREATE TABLE bench.{table} ({definitions('mysql')}, PRIMARY KEY (id))")
        cursor.execute("SET unique_checks = 0")
        for file in sorted(source.glob("*.parquet")):
            rows = pl.read_parquet(file).with_columns(pl.col("is_paid").cast(pl.Int8))
            with tempfile.NamedTemporaryFile() as held:
                text = io.BytesIO()
                rows.write_csv(text, include_header=False, null_value="\\N", datetime_format="%Y-%m-%d %H:%M:%S%.6f")
                held.write(text.getvalue())
                held.flush()
                cursor.execute(
                    f"LOAD DATA LOCAL INFILE '{held.name}' INTO TABLE bench.{table} FIELDS TERMINATED BY ','"
                )
        cursor.execute(f"ANALYZE TABLE bench.{table}")


def mysql_arguments(found: str, **others: Any) -> dict[str, Any]:
    """What PyMySQL connects by."""
    from urllib.parse import urlsplit

    parts = urlsplit(found)
    place = {"host": parts.hostname, "port": parts.port, "user": parts.username, "database": parts.path[1:]}
    return {**place, "local_infile": True, "charset": "utf8mb4", **others}
