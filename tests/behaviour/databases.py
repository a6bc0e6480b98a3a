"""Databases in tests: connections to them, and tables in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import polars as pl
import pyarrow as pa

from tidegate.connections import Database, Session, database_of
from tidegate.models import Connection


def connected(**configure: Any) -> Database:
    return database_of(Connection(name="shop", format="sql", configure=configure))


@contextmanager
def writing(database: Database) -> Iterator[Session]:
    with database.session() as session:
        session.begin()
        yield session
        session.commit()


def keep(session: Session, database: Database, rows: pa.Table, table: str = "orders") -> str:
    """Make a table of rows, and return its quoted name."""
    name, columns = database.dialect.quoted(table), dict(zip(rows.column_names, rows.schema.types, strict=True))
    session.execute(database.dialect.create_table(name, columns))
    assert session.insert(name, columns, rows.to_batches()) == rows.num_rows
    return name


def read(session: Session, sql: str, parameters: Any = (), **options: Any) -> pa.Table:
    columns = session.describe(sql, parameters)
    batches = list(session.stream(sql, parameters, columns=columns, **options))
    return pa.Table.from_batches(batches, pa.schema(list(columns.items())))


def frame_of(database: Database, table: str, schema: str | None = None) -> pl.DataFrame:
    """The rows of a table; none where there is no table."""
    if not database.exists():
        return pl.DataFrame()
    with database.session(read_only=True) as session:
        if session.columns(schema, table) is None:
            return pl.DataFrame()
        return pl.DataFrame(read(session, f"SELECT * FROM {database.dialect.quoted(schema, table)}"))


def all_tables(database: Database) -> dict[str, Any]:
    """All tables of a database, each with its columns and its rows, sorted."""
    if not database.exists():
        return {}
    with database.session(read_only=True) as session:
        names = [table for _, table in session.tables()]
    frames = {name: frame_of(database, name) for name in names}
    return {
        name: (frame.schema, sorted(map(repr, frame.rows())))
        for name, frame in frames.items()
        if frame.height or name != "_tidegate_loads"
    }
