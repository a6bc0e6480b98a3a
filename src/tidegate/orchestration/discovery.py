"""Tables of a database, and how each of them may be loaded: by its key, and by the columns that tell what is new."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from tidegate.errors import MetadataError
from tidegate.models.connection import FILE_FORMATS

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.connections import Database
    from tidegate.models import Connection

_OWN = "_tidegate_"
_CHANGED = re.compile(
    r"(last|row|record|sys|dw)?(updated?|modified|modification|modify|changed?|write)(at|on|ts|time|date|datetime|timestamp|utc)*"
    r"|(date|time)(updated|modified|changed)|mtime|systemmodstamp"
)
"""Names of columns with the time of a row's last change, without what parts their words."""
_ROW_VERSION = re.compile(r"row_?version|rv|timestamp")
_CREATED = re.compile(
    r"(row|record|sys|dw)?(created?|creation|inserted|insert|added|occurred|happened|logged|recorded|received|event|ingested)"
    r"(at|on|ts|time|date|datetime|timestamp|utc)+|(date|time)(created|added|inserted)|created|ts|timestamp"
)
"""Names of columns with the time at which a row came to be."""
_EVENTS = re.compile(r"(^|_)(events?|logs?|history|audits?|journal|clicks|visits|measurements|readings|messages)($|_)")
"""Names of tables whose rows are added, and not changed."""
_IN_FILES, _MAIN = frozenset({"sqlite", "duckdb"}), "main"
"""Databases of one file have one schema, as a rule, which need not be said."""
_LONG_NUMBER = "decimal(38, 10)"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTable:
    """A table or view of a database."""

    schema: str | None
    name: str
    columns: dict[str, pa.DataType]
    key: tuple[str, ...]
    """The columns of its primary key."""
    long_numbers: frozenset[str] = frozenset()
    """Columns of numbers of any length, which are read as text."""

    @property
    def qualified(self) -> str:
        """Schema and name."""
        return ".".join(filter(None, (self.schema, self.name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A dataflow that would load a table, and why so."""

    flow: dict[str, Any]
    reasons: tuple[str, ...] = field(default=())
    """Each a sentence for whoever reads the metadata."""


def found_tables(
    database: Database, *, schema: str | None = None, patterns: Sequence[str] = ()
) -> Iterator[FoundTable]:
    """Yield the tables and views of a database, but those that Tidegate keeps for itself.

    Args:
        database: Where to look. Nothing but its catalogue is read.
        schema: Only those of it.
        patterns: Globs of names, with or without the schema before them, in any case; all when there are none.

    Raises:
        MetadataError: there is none (TG766).
        TidegateError: the database does not answer, or refuses.
    """
    with database.session(read_only=True) as session:
        tables = [found for found in session.tables(schema) if not found[1].startswith(_OWN)]
        chosen = [(within, name) for within, name in tables if _fits(within, name, patterns)]
        if not chosen:
            there = ", ".join(name for _, name in tables[:20])
            what = f" of {', '.join(patterns)}" if patterns else ""
            msg = f"there are no tables{what} in {database.place()}{f', schema {schema}' if schema else ''}"
            raise MetadataError(msg, code="TG766", hint=f"tables there: {there}" if there else "check --schema")
        for within, name in chosen:
            columns = session.columns(within, name)
            if columns is None:  # it was dropped since it was listed
                continue
            rows = f"SELECT * FROM {database.dialect.quoted(within, name)}"  # noqa: S608 - quoted by the dialect
            key, long_numbers = session.primary_key(within, name), session.long_numbers(rows)
            own = None if within == _MAIN and database.kind in _IN_FILES else within
            yield FoundTable(schema=own, name=name, columns=columns, key=key, long_numbers=long_numbers)


def proposal(table: FoundTable, *, name: str, source: str, destination: Connection) -> Proposal:
    """Return how a table may be loaded.

    Args:
        table: What was found.
        name: What the dataflow is called.
        source: The name of the connection that it is read through.
        destination: The connection that it is loaded into; files take no merges.
    """
    merges = destination.format not in FILE_FORMATS
    load, watermark, reasons = _way_to_load(table, merges=merges)
    flow: dict[str, Any] = {
        "name": name,
        "source": {
            "connection_name": source,
            **({"schema_name": table.schema} if table.schema else {}),
            "table": table.name,
            **({"watermark_columns": [watermark]} if watermark else {}),
        },
        "destination": {
            "connection_name": destination.name,
            "table": name,
            "load_type": load,
            **({"merge_keys": list(table.key)} if load in {"merge_upsert", "snapshot"} else {}),
        },
    }
    if long := sorted(table.long_numbers):
        hints = [{"column_name": column, "data_type": _LONG_NUMBER} for column in long]
        flow["transform"] = {"schema_hints": hints}
        reasons.append(f"{', '.join(long)}: numbers of any length there; say how many digits they need.")
    return Proposal(flow=flow, reasons=tuple(reasons))


def _way_to_load(table: FoundTable, *, merges: bool) -> tuple[str, str | None, list[str]]:
    """Return load type, watermark column and reasons.

    Where a change could not be seen, all rows are read each time: that is slower, and never wrong.
    """
    key, changed, created = ", ".join(table.key), _changed(table), _created(table)
    if not merges and (table.key or changed or not created):
        return "overwrite", None, ["Files take no merges: each load replaces all rows."]
    if table.key and changed:
        return "merge_upsert", changed, [
            f"Key: {key}. {changed} tells which rows changed; rows that are deleted there stay (load_type: snapshot)."
        ]  # fmt: skip
    if table.key:
        new = created or _number(table)
        if new and _EVENTS.search(table.name.lower()):
            return "append", new, [f"{new} tells which rows are new. If rows change later, use load_type: snapshot."]
        reasons = [
            f"Key: {key}. No column tells what changed: each load reads all rows, and changes those that differ."
        ]
        if created:
            reasons.append(f"If rows never change, load_type: append by watermark_columns: [{created}] reads less.")
        return "snapshot", None, reasons
    reason = "No primary key: each load reads and replaces all rows."
    if changed:
        return "overwrite", None, [
            f"{reason} With merge_keys, merge_upsert by watermark_columns: [{changed}] reads only what changed."
        ]  # fmt: skip
    if created:
        return "append", created, [
            f"{created} tells which rows are new. If rows change later, use load_type: overwrite."
        ]  # fmt: skip
    return "overwrite", None, [f"{reason} If columns tell rows apart, name them: merge_keys, with load_type: snapshot."]


def _changed(table: FoundTable) -> str | None:
    from pyarrow import types

    for column, dtype in table.columns.items():
        if types.is_binary(dtype) and _ROW_VERSION.fullmatch(column.lower()):
            return column
    return _of_time(table, _CHANGED)


def _created(table: FoundTable) -> str | None:
    return _of_time(table, _CREATED)


def _of_time(table: FoundTable, names: re.Pattern[str]) -> str | None:
    """Return the column of a time, or else of a date, that is called so."""
    from pyarrow import types

    fitting = [column for column in table.columns if names.fullmatch(re.sub(r"[\W_]", "", column.lower()))]
    times = [column for column in fitting if types.is_timestamp(table.columns[column])]
    dates = [column for column in fitting if types.is_date(table.columns[column])]
    return next(iter(times + dates), None)


def _number(table: FoundTable) -> str | None:
    """Return the one column of the key, when it is a whole number."""
    from pyarrow import types

    return table.key[0] if len(table.key) == 1 and types.is_integer(table.columns[table.key[0]]) else None


def _fits(schema: str | None, name: str, patterns: Sequence[str]) -> bool:
    names = (name.lower(), f"{schema}.{name}".lower())
    return not patterns or any(fnmatchcase(text, pattern.lower()) for pattern in patterns for text in names)
