"""Which tables a SQL query reads. Import this module late: sqlglot takes a quarter of a second."""

from __future__ import annotations

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

_DIALECTS = {"postgresql": "postgres", "mssql": "tsql"}
"""Database types that sqlglot calls otherwise."""


def tables_of(query: str, database_type: str | None = None) -> list[tuple[str | None, str]]:
    """Return the schema and name of every table that a query reads, without its own common table expressions.

    A query that cannot be parsed names no table here: it is the database that knows whether it is right.

    >>> tables_of("WITH recent AS (SELECT * FROM sales.orders) SELECT * FROM recent JOIN customers USING (id)")
    [(None, 'customers'), ('sales', 'orders')]
    """
    try:
        tree = parse_one(query, dialect=_DIALECTS.get(database_type or "", database_type))
    except SqlglotError:
        return []
    own = {expression.alias_or_name.lower() for expression in tree.find_all(exp.CTE)}
    found = {(table.db or None, table.name) for table in tree.find_all(exp.Table) if table.name}
    return sorted(
        (table for table in found if table[0] or table[1].lower() not in own),
        key=lambda table: (table[0] or "", table[1]),
    )
