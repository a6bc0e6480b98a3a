"""Databases in tests: connections to them, and tables in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
