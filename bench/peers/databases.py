"""Databases by hand: a table into files, and files into a table."""

from __future__ import annotations

import queue
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import adbc_driver_postgresql.dbapi
import connectorx
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import write_deltalake

from bench.data import TYPES
from bench.databases import mysql_arguments, table_of
from bench.peers.delta import commit_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

AMOUNT = pa.decimal128(12, 2)
BATCH_ROWS = 65_536
NAMES = ", ".join(TYPES)
BATCH_BYTES = 8 << 20
WAITING = 4


def postgresql_to_delta(source: Path, destination: Path) -> None:
    """A thread reads, another one writes the file; delta-rs commits it."""
    commit_files(destination, [_write(_adbc_rows(source), destination)])


def postgresql_to_delta_by_write_deltalake(source: Path, destination: Path) -> None:
    """The plain delta-rs way, fed with a stream."""
    rows = _adbc_rows(source)
    first = next(rows)
    stream = pa.RecordBatchReader.from_batches(first.schema, _chained(first, rows))
    write_deltalake(str(destination), stream, mode="append")


def postgresql_to_delta_by_connectorx(source: Path, destination: Path) -> None:
    """One connection of connectorx reads: several would not see one snapshot."""
    commit_files(destination, [_write(_connectorx_rows(*table_of(source)), destination)])


def mariadb_to_parquet(source: Path, destination: Path) -> None:
    """One connection of connectorx reads; the closed file appears under its name in one step."""
    _appear(_write(_connectorx_rows(*table_of(source)), destination / "_unfinished"), destination)


def mariadb_to_parquet_by_pymysql(source: Path, destination: Path) -> None:
    """Python rows of a server-side cursor."""
    import pymysql
    import pymysql.cursors

    url, table = table_of(source)
    words = {"bigint": pa.int64(), "int": pa.int32(), "double": pa.float64(), "date": pa.date32()}
    types = [words.get(kind, pa.string()) for kind in TYPES.values()]
    types = [
        {"updated_at": pa.timestamp("us"), "is_paid": pa.int8(), "amount": AMOUNT}.get(name, kind)
        for name, kind in zip(TYPES, types, strict=True)
    ]

    def rows() -> Iterator[pa.RecordBatch]:
        with (
            pymysql.connect(**mysql_arguments(url), cursorclass=pymysql.cursors.SSCursor) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(f"SELECT {NAMES} FROM {table}")
            while found := cursor.fetchmany(BATCH_ROWS):
                columns = zip(zip(*found, strict=True), types, strict=True)
                batch = pa.record_batch([pa.array(column, kind) for column, kind in columns], list(TYPES))
                yield _cast(batch, {"is_paid": pa.bool_()})

    _appear(_write(rows(), destination / "_unfinished"), destination)


def parquet_to_postgresql(source: Path, destination: Path) -> None:
    """The driver makes the table, and copies in binary."""
    url, table = table_of(destination)
    with adbc_driver_postgresql.dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest(table, _parquet_rows(source), mode="create")
        connection.commit()


def parquet_to_postgresql_by_csv(source: Path, destination: Path) -> None:
    """Psycopg copies what pyarrow writes."""
    import psycopg

    url, table = table_of(destination)
    options = pyarrow.csv.WriteOptions(include_header=False)
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} ({_definitions()})".encode())
        with cursor.copy(f"COPY {table} FROM STDIN (FORMAT csv)".encode()) as copy:
            for batch in _parquet_rows(source):
                text = pa.BufferOutputStream()
                pyarrow.csv.write_csv(batch, text, options)
                copy.write(memoryview(text.getvalue()))


def merge_by_conflict(source: Path, destination: Path) -> None:
    """Changes into a temporary table, and from there by the primary key."""
    sets = ", ".join(f"{name} = excluded.{name}" for name in TYPES if name != "id")
    _merge(source, destination, f"INSERT INTO {{table}} SELECT * FROM changes ON CONFLICT (id) DO UPDATE SET {sets}")


def merge_by_update(source: Path, destination: Path) -> None:
    """The same with two statements, which need no primary key."""
    sets = ", ".join(f"{name} = s.{name}" for name in TYPES if name != "id")
    _merge(
        source,
        destination,
        "ANALYZE changes",
        f"UPDATE {{table}} t SET {sets} FROM changes s WHERE t.id = s.id",
        "INSERT INTO {table} SELECT * FROM changes s WHERE NOT EXISTS (SELECT 1 FROM {table} t WHERE t.id = s.id)",
    )


def merge(source: Path, destination: Path) -> None:
    """The same with the statement that has the name."""
    sets = ", ".join(f"{name} = s.{name}" for name in TYPES if name != "id")
    values = ", ".join(f"s.{name}" for name in TYPES)
    _merge(
        source,
        destination,
        "ANALYZE changes",
        f"MERGE INTO {{table}} t USING changes s ON t.id = s.id WHEN MATCHED THEN UPDATE SET {sets} "
        f"WHEN NOT MATCHED THEN INSERT VALUES ({values})",
    )


def _merge(source: Path, destination: Path, *statements: str) -> None:
    url, table = table_of(destination)
    with adbc_driver_postgresql.dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE changes ({_definitions()})")
        cursor.adbc_ingest("changes", _parquet_rows(source), mode="append", temporary=True)
        for statement in statements:
            cursor.execute(statement.format(table=table))
        connection.commit()


def _definitions() -> str:
    from bench.databases import definitions

    return definitions("postgresql", "double")


def _parquet_rows(source: Path) -> pa.RecordBatchReader:
    return ds.dataset(source).scanner(batch_size=BATCH_ROWS, batch_readahead=2, fragment_readahead=1).to_reader()


def _adbc_rows(source: Path) -> Iterator[pa.RecordBatch]:
    """Batches of a few megabytes; money comes as text, which is the quickest exact way."""
    url, table = table_of(source)
    names = NAMES.replace("amount", "amount::text AS amount")
    with adbc_driver_postgresql.dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": BATCH_BYTES})
        cursor.execute(f"SELECT {names} FROM {table}")
        for batch in cursor.fetch_record_batch():
            yield _cast(batch, {"amount": AMOUNT})


def _connectorx_rows(url: str, table: str) -> Iterator[pa.RecordBatch]:
    """Batches of connectorx: with money of 38 digits, the zone +00:00, and flags as numbers."""
    query = f"SELECT {NAMES} FROM {table}"
    for batch in connectorx.read_sql(url, query, return_type="arrow_stream", batch_size=BATCH_ROWS):
        kinds = {"amount": AMOUNT, "is_paid": pa.bool_()}
        if batch["updated_at"].type.tz:
            kinds["updated_at"] = pa.timestamp("us", "UTC")
        yield _cast(batch, kinds)


def _cast(batch: pa.RecordBatch, kinds: dict[str, pa.DataType]) -> pa.RecordBatch:
    for name, kind in kinds.items():
        batch = batch.set_column(batch.schema.get_field_index(name), name, batch[name].cast(kind))
    return batch


def _write(rows: Iterator[pa.RecordBatch], folder: Path) -> Path:
    """Write one Parquet file, while a thread reads ahead."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid.uuid4()}.parquet"
    with ThreadPoolExecutor(1) as pool, path.open("wb") as file:
        ahead: queue.Queue[Any] = queue.Queue(WAITING)
        reading = pool.submit(_read_ahead, rows, ahead)
        first = ahead.get()
        with pq.ParquetWriter(file, first.schema, compression="zstd", compression_level=1) as writer:
            while first is not None:
                writer.write_batch(first)
                first = ahead.get()
        reading.result()
    return path


def _read_ahead(rows: Iterator[pa.RecordBatch], ahead: queue.Queue[Any]) -> None:
    try:
        for batch in rows:
            ahead.put(batch)
    finally:
        ahead.put(None)


def _chained(first: pa.RecordBatch, rows: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rows


def _appear(hidden: Path, destination: Path) -> None:
    hidden.rename(destination / hidden.name)
    hidden.parent.rmdir()
