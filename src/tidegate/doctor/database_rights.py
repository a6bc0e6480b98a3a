"""What the user of a database may do, tried with statements that change nothing, and are undone all the same."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from tidegate.connections import Database, Session
from tidegate.destinations.database_loads import LOADS
from tidegate.doctor.probe import named
from tidegate.errors import PlatformError, TidegateError

if TYPE_CHECKING:
    from tidegate.models import DataFlow

_COLUMNS_TRIED = 5
_COLUMNS: dict[str, pa.DataType] = {"id": pa.int64()}


def refusals(session: Session, database: Database, flows: Sequence[DataFlow]) -> Iterator[TidegateError]:
    """Yield what keeps dataflows from loading into a database, each thing once."""
    schemas = list(dict.fromkeys(flow.destination.schema_name for flow in flows))
    loads = {schema: list(session.columns(schema, LOADS) or ()) for schema in schemas}
    makes_in = {schema: not loads[schema] for schema in schemas}
    for schema in schemas:
        if loads[schema] and (error := _change(session, database, (schema, LOADS), loads[schema], merges=True)):
            yield error
    for flow in flows:
        schema, table = flow.destination.schema_name, flow.destination.table
        columns = list(session.columns(schema, table) or ())
        makes_in[schema] |= not columns
        merges = not flow.destination.appends
        if columns and (error := _change(session, database, (schema, table), columns, merges=merges)):
            yield named(flow, error)
    for schema in schemas:
        if makes_in[schema] and (error := _make(session, database, schema)):
            yield error


def _make(session: Session, database: Database, schema: str | None) -> TidegateError | None:
    """Make a table, and undo it, or drop it where the database cannot; return what it refuses."""
    name = f"_tidegate_probe_{uuid.uuid4().hex[:12]}"
    table = database.dialect.quoted(schema, name)
    create = database.dialect.create_table(table, _COLUMNS)
    if database.dialect.ddl_in_transaction:
        return _refusal(session, create)
    try:
        session.execute(create)
    except TidegateError as error:
        return error
    try:
        session.execute(f"DROP TABLE {table}")
    except TidegateError as error:
        msg = f"the table {name} was made, and cannot be dropped again: {error.message}"
        return PlatformError(msg, code=error.code, hint=f"it is empty: DROP TABLE {table}")
    return None


def _change(
    session: Session, database: Database, place: tuple[str | None, str], columns: list[str], *, merges: bool
) -> TidegateError | None:
    """Add no row, change none and remove none; return what the database refuses."""
    table = database.dialect.quoted(*place)
    # A column that the database computes takes no values; those that it numbers are often the first.
    names = [database.dialect.quoted(column) for column in reversed(columns[-_COLUMNS_TRIED:])]
    names.append(", ".join(map(database.dialect.quoted, columns)))  # MySQL wants each that has no default
    inserts = [f"INSERT INTO {table} ({name}) SELECT {name} FROM {table} WHERE 1 = 0" for name in names]
    updates = [f"UPDATE {table} SET {name} = {name} WHERE 1 = 0" for name in names[:-1]]
    delete = f"DELETE FROM {table} WHERE 1 = 0"
    scratch = database.dialect.temporary_table(f"_tidegate_probe_{uuid.uuid4().hex[:12]}", _COLUMNS)
    for alternatives in (inserts, updates, [delete], [scratch]) if merges else (inserts,):
        refused = [_refusal(session, alternatives[0])]
        while refused[-1] and len(refused) < len(alternatives):
            refused.append(_refusal(session, alternatives[len(refused)]))
        if refused[-1]:
            return refused[0]
    return None


def _refusal(session: Session, statement: str) -> TidegateError | None:
    """Carry a statement out, and undo it; return why it cannot be."""
    try:
        session.begin()
        try:
            session.execute(statement)
        finally:
            session.rollback()
    except TidegateError as error:
        return error
    return None
