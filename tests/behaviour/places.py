"""Places of every kind to load from and into, filled and looked at without Tidegate: each by a library of its own."""

from __future__ import annotations

import json
import math
import sqlite3
import struct
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import polars as pl
import pyarrow as pa

from tests.behaviour.every_type import COLUMNS
from tidegate import Connection
from tidegate.transformers.system_columns import SYSTEM_COLUMNS


class Place(ABC):
    """One place with tables: a folder, a catalog or a database.

    Args:
        where: A folder, or the URL of a database.
    """

    format = "sql"
    reads_hints = False
    """Whether types have to be declared when Tidegate reads it."""

    def __init__(self, where: Path | str) -> None:
        self.where = where

    @property
    def configure(self) -> dict[str, Any]:
        """What the connection's `configure` says."""
        return {"base_path": str(self.where)}

    def connection(self, name: str) -> Connection:
        """Return a connection to it."""
        return Connection(name=name, format=self.format, configure=self.configure)

    @abstractmethod
    def fill(self, table: str, rows: pa.Table) -> None:
        """Make a table of these rows, in the types that others would declare there."""

    @abstractmethod
    def read(self, table: str) -> pl.DataFrame:
        """Return the columns of `COLUMNS` that a table has, as its own types give them."""

    def declared(self, table: str) -> dict[str, str]:
        """Return the types that a table declares for its columns, in the words of the place; {} where it has none."""
        return {}


class ParquetFolder(Place):
    """Files below a folder."""

    format = "parquet"

    def fill(self, table: str, rows: pa.Table) -> None:
        import pyarrow.parquet as pq

        folder = Path(self.where, table)
        folder.mkdir(parents=True)
        pq.write_table(rows, folder / "1.parquet")

    def read(self, table: str) -> pl.DataFrame:
        import pyarrow.parquet as pq

        files = sorted(Path(self.where, table).rglob("*.parquet"))
        return _own(pa.concat_tables([pq.read_table(file, partitioning=None) for file in files]))


class CsvFolder(Place):
    """Files below a folder: text between quotes, NULL without any."""

    format = "csv"
    reads_hints = True

    def fill(self, table: str, rows: pa.Table) -> None:
        folder = Path(self.where, table)
        folder.mkdir(parents=True)
        columns = [[_csv_field(value) for value in column.to_pylist()] for column in rows.columns]
        lines = [",".join(rows.column_names), *map(",".join, zip(*columns, strict=True))]
        (folder / "1.csv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")

    def read(self, table: str) -> pl.DataFrame:
        files = [str(file) for file in sorted(Path(self.where, table).rglob("*.csv"))]
        options = "all_varchar=true, allow_quoted_nulls=false, max_line_size=20000000, buffer_size=40000000"
        with duckdb.connect() as connection:
            found = connection.sql(f"SELECT * FROM read_csv(?, header=true, quote='\"', {options})", params=[files])
            columns = _own(found.to_arrow_table()).to_dict(as_series=False)
        return _from_text(columns, columns.keys())


class JsonLinesFolder(Place):
    """Files below a folder: an object a line; what JSON has no type for is text."""

    format = "jsonl"
    reads_hints = True

    def fill(self, table: str, rows: pa.Table) -> None:
        folder = Path(self.where, table)
        folder.mkdir(parents=True)
        lines = [json.dumps({name: _json_value(value) for name, value in row.items()}) for row in rows.to_pylist()]
        (folder / "1.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def read(self, table: str) -> pl.DataFrame:
        files = sorted(Path(self.where, table).rglob("*.jsonl"))
        rows = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").split("\n") if line]
        names = [name for name in COLUMNS if rows and name in rows[0]]
        columns = {name: [row[name] for row in rows] for name in names}
        return _from_text(columns, {"f32", "wide", "price", "day", "instant", "wall", "clock"} & set(names))


class DeltaLake(Place):
    """Delta tables below a folder."""

    format = "delta"

    def fill(self, table: str, rows: pa.Table) -> None:
        from deltalake import write_deltalake

        write_deltalake(f"{self.where}/{table}", _cast(rows, {pa.uint64(): pa.decimal128(20, 0)}))

    def read(self, table: str) -> pl.DataFrame:
        from deltalake import DeltaTable

        return _own(DeltaTable(f"{self.where}/{table}").to_pyarrow_table())


class IcebergLake(Place):
    """Iceberg tables in a SQL catalog below a folder."""

    format = "iceberg"

    def fill(self, table: str, rows: pa.Table) -> None:
        with self._catalog() as catalog:
            catalog.create_namespace_if_not_exists("default")
            rows = _cast(rows, {pa.uint64(): pa.decimal128(20, 0), pa.int8(): pa.int32(), pa.int16(): pa.int32()})
            catalog.create_table(f"default.{table}", rows.schema, location=f"{self.where}/{table}").append(rows)

    def read(self, table: str) -> pl.DataFrame:
        with self._catalog() as catalog:
            return _own(catalog.load_table(f"default.{table}").scan().to_arrow())

    @contextmanager
    def _catalog(self) -> Iterator[Any]:
        from pyiceberg.catalog.sql import SqlCatalog

        catalog = SqlCatalog("default", uri=f"sqlite:///{self.where}/catalog.db", warehouse=str(self.where))
        try:
            catalog.create_tables()
            yield catalog
        finally:
            catalog.close()


class SQLiteFile(Place):
    """A SQLite file. Its types are words; what stands for those that it lacks is in the documentation."""

    WORDS: Mapping[str, str] = {
        **dict.fromkeys(("id", "i8", "i16", "i32", "i64"), "INTEGER"),
        "u64": "DECIMAL_TEXT(20, 0)",
        **dict.fromkeys(("f32", "f64"), "DOUBLE"),
        "wide": "DECIMAL_TEXT(38, 10)",
        "price": "DECIMAL(5, 2)",
        "flag": "BOOLEAN",
        "words": "TEXT",
        "bytes": "BLOB",
        "day": "DATE",
        "instant": "TIMESTAMPTZ",
        "wall": "TIMESTAMP",
        "clock": "TIME",
    }

    @property
    def configure(self) -> dict[str, Any]:
        return {"database_type": "sqlite", "database": f"{self.where}/shop.db"}

    def fill(self, table: str, rows: pa.Table) -> None:
        columns = [[_sqlite_value(value) for value in column.to_pylist()] for column in rows.columns]
        with self._connected() as connection:
            definitions = ", ".join(f'"{name}" {self.WORDS[name]}' for name in rows.column_names)
            connection.execute(f'CREATE TABLE "{table}" ({definitions})')
            marks = ", ".join("?" * len(columns))
            connection.executemany(f'INSERT INTO "{table}" VALUES ({marks})', zip(*columns, strict=True))
            connection.commit()

    def read(self, table: str) -> pl.DataFrame:
        with self._connected() as connection:
            names = [name for name in self.declared(table) if name in COLUMNS]
            quoted = ", ".join(f'"{name}"' for name in names)
            rows = connection.execute(f'SELECT {quoted} FROM "{table}"').fetchall()
        columns = _by_column(names, rows)
        for name, values in columns.items():
            if name in _NUMBERS_OR_TEXT:
                columns[name] = [None if value is None else _NUMBERS_OR_TEXT[name](value) for value in values]
        return _from_text(columns, {"day", "instant", "wall", "clock", "u64", "wide", "price"} & set(names))

    def declared(self, table: str) -> dict[str, str]:
        with self._connected() as connection:
            return dict(connection.execute("SELECT name, type FROM pragma_table_info(?)", [table]).fetchall())

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(f"{self.where}/shop.db")) as connection:
            yield connection


class DuckDBFile(Place):
    """A DuckDB file."""

    @property
    def configure(self) -> dict[str, Any]:
        return {"database_type": "duckdb", "database": f"{self.where}/shop.duckdb"}

    def fill(self, table: str, rows: pa.Table) -> None:
        with self._connected() as connection:
            connection.register("rows", rows)
            connection.execute(f'CREATE TABLE "{table}" AS SELECT * FROM rows')

    def read(self, table: str) -> pl.DataFrame:
        with self._connected() as connection:
            return _own(connection.sql(f'SELECT * FROM "{table}"').to_arrow_table())

    def _connected(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(f"{self.where}/shop.duckdb")


class PostgreSQL(Place):
    """A database of a PostgreSQL server."""

    WORDS: Mapping[str, str] = {
        **dict.fromkeys(("id", "i64"), "bigint"),
        **dict.fromkeys(("i8", "i16"), "smallint"),
        "i32": "integer",
        "u64": "numeric(20,0)",
        "f32": "real",
        "f64": "double precision",
        "wide": "numeric(38,10)",
        "price": "numeric(5,2)",
        "flag": "boolean",
        "words": "text",
        "bytes": "bytea",
        "day": "date",
        "instant": "timestamptz",
        "wall": "timestamp",
        "clock": "time",
    }

    @property
    def configure(self) -> dict[str, Any]:
        return {"url": str(self.where)}

    def fill(self, table: str, rows: pa.Table) -> None:
        with self._connected() as connection:
            definitions = ", ".join(f'"{name}" {self.WORDS[name]}' for name in rows.column_names)
            connection.execute(f'CREATE TABLE "{table}" ({definitions})')
            columns = [column.to_pylist() for column in rows.columns]
            with connection.cursor().copy(f'COPY "{table}" FROM STDIN') as copy:
                for row in zip(*columns, strict=True):
                    copy.write_row(row)

    def read(self, table: str) -> pl.DataFrame:
        names = [name for name in self.declared(table) if name in COLUMNS]
        with self._connected() as connection:
            quoted = ", ".join(f'"{name}"' for name in names)
            rows = connection.cursor(binary=True).execute(f'SELECT {quoted} FROM "{table}"').fetchall()
        return _typed(_by_column(names, rows), _COUNTS)

    def declared(self, table: str) -> dict[str, str]:
        sql = """SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
                 WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum"""
        with self._connected() as connection:
            return dict(connection.execute(sql, [f'"{table}"']).fetchall())

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        import psycopg

        with psycopg.connect(str(self.where), options="-c timezone=UTC") as connection:
            yield connection


class MariaDB(Place):
    """A database of a MariaDB server. Instants are walls of UTC: its own end in 2038."""

    WORDS: Mapping[str, str] = {
        **dict.fromkeys(("id", "i64"), "BIGINT"),
        "i8": "TINYINT",
        "i16": "SMALLINT",
        "i32": "INT",
        "u64": "BIGINT UNSIGNED",
        "f32": "FLOAT",
        "f64": "DOUBLE",
        "wide": "DECIMAL(38,10)",
        "price": "DECIMAL(5,2)",
        "flag": "BOOLEAN",
        "words": "LONGTEXT",
        "bytes": "LONGBLOB",
        "day": "DATE",
        "instant": "DATETIME(6)",
        "wall": "DATETIME(6)",
        "clock": "TIME(6)",
    }

    @property
    def configure(self) -> dict[str, Any]:
        return {"url": str(self.where)}

    def fill(self, table: str, rows: pa.Table) -> None:
        instants = {pa.timestamp("us", "UTC"): pa.timestamp("us")}
        columns = [column.to_pylist() for column in _cast(rows, instants).columns]
        with self._connected() as connection, connection.cursor() as cursor:
            definitions = ", ".join(f"`{name}` {self.WORDS[name]}" for name in rows.column_names)
            cursor.execute(f"CREATE TABLE `{table}` ({definitions}) CHARACTER SET utf8mb4")
            marks = ", ".join(["%s"] * len(columns))
            cursor.executemany(f"INSERT INTO `{table}` VALUES ({marks})", list(zip(*columns, strict=True)))
            connection.commit()

    def read(self, table: str) -> pl.DataFrame:
        names = [name for name in self.declared(table) if name in COLUMNS]
        with self._connected() as connection, connection.cursor() as cursor:
            # a FLOAT is written with six digits, unless it is made a DOUBLE
            quoted = ", ".join("`f32` * 1e0" if name == "f32" else f"`{name}`" for name in names)
            cursor.execute(f"SELECT {quoted} FROM `{table}`")
            columns = _by_column(names, cursor.fetchall())
        for name in {"flag", "clock"} & columns.keys():
            made: Callable[[Any], Any] = _BITS.__getitem__ if name == "flag" else _of_day
            columns[name] = [None if value is None else made(value) for value in columns[name]]
        return _typed(columns, {**_COUNTS, "instant": pl.Datetime("us")})

    def declared(self, table: str) -> dict[str, str]:
        with self._connected() as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT column_name, column_type FROM information_schema.columns "
                "WHERE table_schema = database() AND table_name = %s ORDER BY ordinal_position",
                [table],
            )
            return dict(cursor.fetchall())

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        import pymysql

        url = urlsplit(str(self.where))
        address: dict[str, Any] = {
            "host": url.hostname,
            "port": url.port,
            "user": url.username,
            "database": url.path[1:],
        }
        with pymysql.connect(**address, charset="utf8mb4", max_allowed_packet=64 << 20) as connection:
            yield connection


class MongoDB(Place):
    """A database of a MongoDB replica set. What BSON lacks of a time stands in a field beside."""

    format = "mongodb"
    reads_hints = True
    BESIDE = "_tidegate_us"

    @property
    def configure(self) -> dict[str, Any]:
        return {"url": str(self.where)}

    def fill(self, table: str, rows: pa.Table) -> None:
        with self._connected() as database:
            database.create_collection(table)
            documents = [_document(row) for row in rows.to_pylist()]
            if documents:
                database[table].insert_many(documents)

    def read(self, table: str) -> pl.DataFrame:
        with self._connected() as database:
            rows = [_row_of(document) for document in database[table].find()]
        names = [name for name in COLUMNS if any(name in row for row in rows)]
        columns = {name: [row.get(name) for row in rows] for name in names}
        return _from_text(columns, {"clock"} & set(names))

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        from pymongo import MongoClient

        client: MongoClient[dict[str, Any]] = MongoClient(str(self.where), tz_aware=True)
        with client:
            yield client.get_default_database()


PLACES: Mapping[str, type[Place]] = {
    "csv": CsvFolder,
    "parquet": ParquetFolder,
    "delta": DeltaLake,
    "iceberg": IcebergLake,
    "postgresql": PostgreSQL,
    "mariadb": MariaDB,
    "sqlite": SQLiteFile,
    "mongodb": MongoDB,
    "jsonl": JsonLinesFolder,
    "duckdb": DuckDBFile,
}


PlaceOf = Callable[[str], Place]


def postgresql_at(port: int) -> PostgreSQL:
    """Return a new database of a server."""
    import psycopg

    name, server = f"pairs_{uuid.uuid4().hex}", f"postgresql://postgres@127.0.0.1:{port}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return PostgreSQL(f"{server}/{name}")


def mariadb_at(port: int) -> MariaDB:
    """Return a new database of a server."""
    import pymysql

    name = f"pairs_{uuid.uuid4().hex}"
    with pymysql.connect(host="127.0.0.1", port=port, user="root", autocommit=True) as connection:
        connection.query(f"CREATE DATABASE {name}")
    return MariaDB(f"mysql://root@127.0.0.1:{port}/{name}")


def mongodb_at(port: int) -> MongoDB:
    """Return a new database of a server."""
    return MongoDB(f"mongodb://127.0.0.1:{port}/pairs_{uuid.uuid4().hex}?replicaSet=rs0")


# -- values ----------------------------------------------------------------------------------------------------------

_COUNTS = {"u64": pl.Decimal(20, 0)}
"""Where 64 bits without a sign are a decimal."""
_BITS = {0: False, 1: True}
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a time of day has no zone
_NUMBERS_OR_TEXT: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("f32", "f64"), lambda value: float(value) if value == "NaN" else value),
    "price": str,
    "flag": _BITS.__getitem__,
}
_READ: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(("id", "i8", "i16", "i32", "i64", "u64"), int),
    "f32": lambda text: struct.unpack("f", struct.pack("f", float(text)))[0],
    "f64": float,
    **dict.fromkeys(("wide", "price"), Decimal),
    "flag": {"true": True, "false": False}.__getitem__,
    "words": str,
    "day": date.fromisoformat,
    **dict.fromkeys(("instant", "wall"), datetime.fromisoformat),
    "clock": time.fromisoformat,
}
"""Column → what its text stands for, where values are kept as text."""


def _of_day(since: timedelta) -> time:
    return (_EPOCH + since).time()


def _own(rows: pa.Table) -> pl.DataFrame:
    """Return a table without the columns that Tidegate adds."""
    names = [name for name in rows.column_names if name not in SYSTEM_COLUMNS]
    return pl.DataFrame(pl.from_arrow(rows.select(names)))


def _cast(rows: pa.Table, types: Mapping[pa.DataType, pa.DataType]) -> pa.Table:
    """Return a table with other types in place of some."""
    return rows.cast(pa.schema([field.with_type(types.get(field.type, field.type)) for field in rows.schema]))


def _by_column(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    values = map(list, zip(*rows, strict=True)) if rows else ([] for _ in names)
    return dict(zip(names, values, strict=True))


def _typed(columns: Mapping[str, list[Any]], others: Mapping[str, Any] | None = None) -> pl.DataFrame:
    """Return columns of Python's values, each of which must be of the column's type."""
    types = {name: column.compared for name, column in COLUMNS.items()} | dict(others or {})
    return pl.DataFrame([pl.Series(name, values, types[name], strict=True) for name, values in columns.items()])


def _from_text(columns: Mapping[str, list[Any]], of_text: Collection[str]) -> pl.DataFrame:
    """Return columns, those that are kept as text as what it stands for."""
    return _typed(
        {
            name: [None if value is None else _READ[name](value) for value in values] if name in of_text else values
            for name, values in columns.items()
        }
    )


def _csv_field(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case Decimal():
            return format(value, "f")
        case datetime() | date() | time():
            return value.isoformat()
        case str():
            doubled = value.replace('"', '""')
            return f'"{doubled}"'
        case _:
            return str(value)


def _json_value(value: Any) -> Any:
    match value:
        case Decimal():
            return format(value, "f")
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return value


def _document(row: Mapping[str, Any]) -> dict[str, Any]:
    from bson import Decimal128

    document: dict[str, Any] = {}
    beyond: dict[str, int] = {}
    for name, value in row.items():
        match value:
            case Decimal():
                document[name] = Decimal128(value)
            case datetime():
                document[name], beyond[name] = value, value.microsecond % 1000
            case date():
                document[name] = datetime.combine(value, time())
            case time():
                document[name] = value.isoformat()
            case int() if value >= 2**63:
                document[name] = Decimal128(str(value))
            case _:
                document[name] = value
    return {**document, MongoDB.BESIDE: beyond} if any(beyond.values()) else document


def _row_of(document: dict[str, Any]) -> dict[str, Any]:
    from bson import Decimal128

    beyond = document.pop(MongoDB.BESIDE, {})
    row: dict[str, Any] = {}
    for name, value in document.items():
        found: Any = value.to_decimal() if isinstance(value, Decimal128) else value
        if isinstance(found, datetime):
            found += timedelta(microseconds=beyond.get(name, 0))
        match name:
            case "u64" if found is not None:
                found = int(found)
            case "wall" | "day" if found is not None:
                found = found.replace(tzinfo=None) if name == "wall" else found.date()
        row[name] = found
    return row


def _sqlite_value(value: Any) -> Any:
    match value:
        case Decimal():
            return format(value, "f")
        case datetime() | date() | time():
            return value.isoformat()
        case float() if math.isnan(value):
            return "NaN"
        case bool():
            return int(value)
        case int() if value >= 2**63:
            return str(value)
        case _:
            return value
