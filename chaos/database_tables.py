"""What a reader finds in a SQLite database, without Tidegate."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl

DATABASE = "lake.sqlite"
"""Name of the file, beside which nothing is in the lake; a table's path is a name below the same folder."""


def rows(path: Path) -> pl.DataFrame:
    """Return all rows of a table, times as text and flags as numbers, as they are kept."""
    with _opened(path) as connection:
        cursor = connection.execute(f'SELECT * FROM "{path.name}"')
        names = [column[0] for column in cursor.description]
        return pl.DataFrame(cursor.fetchall(), schema=names, orient="row", infer_schema_length=None)


def as_times(column: str) -> pl.Expr:
    """Return the values of a column of times, which are texts, with a zone or without."""
    text = pl.col(column).cast(pl.String).str.slice(0, 26)
    return text.str.to_datetime(time_unit="us", format="%Y-%m-%d %H:%M:%S%.f")


def state(path: Path) -> int | None:
    """Return a number that changes with each commit to the table; None as long as there is no table."""
    with _opened(path) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", [path.name]).fetchone():
            return None
        return _number(connection, path.name, "")


def sequence_of(path: Path, dataflow_id: str) -> int:
    """Return the sequence number of a flow's last commit."""
    with _opened(path) as connection:
        return _number(connection, path.name, dataflow_id)


def faults(path: Path) -> Iterator[str]:
    """Yield what is wrong with the database, and with the records of loads."""
    with _opened(path) as connection:
        yield from (f"integrity: {text}" for (text,) in connection.execute("PRAGMA integrity_check") if text != "ok")
        found = connection.execute("SELECT dataflow_id, sequence, record FROM _tidegate_loads WHERE dataflow_id <> ''")
        for flow, sequence, record in found:
            if json.loads(record)["sequence"] != sequence:
                yield f"the record of {flow} is not that of load {sequence}"


def _number(connection: sqlite3.Connection, table: str, flow: str) -> int:
    query = "SELECT sequence FROM _tidegate_loads WHERE table_name = ? AND dataflow_id = ?"
    found: Any = connection.execute(query, [table, flow]).fetchone()
    return int(found[0]) if found else 0


def _opened(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(path.with_name(DATABASE), timeout=30))
