"""The table `_tidegate_loads`: what is known of the tables beside it.

It has one row per table and dataflow: the sequence of its last commit, and the record that travels with it. One more
row per table, of no dataflow, counts the table's versions, also past a table that is dropped: whoever commits moves it
on from the version that was read, and so has its turn; another one finds no such row any more. Its record tells which
table it was, where the database gives tables an identity.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from tidegate.destinations.table import StaleSnapshotError
from tidegate.errors import TidegateError

if TYPE_CHECKING:
    from tidegate.connections import Dialect, Session, TableTraits

LOADS = "_tidegate_loads"
_COLUMNS = ("table_name", "dataflow_id", "sequence", "record")
_OF_THE_TABLE = ""
"""Stands for a dataflow in the row that counts a table's versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of one table."""

    version: int | None = None
    """How many commits were counted; None where nobody counts yet."""
    sequences: Mapping[str, int] = field(default_factory=dict)
    """Dataflow → sequence of its last commit."""
    identity: str | None = None
    """Which table it was at the last commit, and beside which table of loads."""

    def is_of_another(self, loads: TableTraits, table: TableTraits) -> bool:
        """Tell whether the table is surely another one than it was at the last commit.

        A copy of the whole database, restored from a dump, has new identities throughout: that tells nothing.
        """
        identity = _identity(loads, table)
        if not (self.identity and identity):
            return False
        was, now = json.loads(self.identity), json.loads(identity)
        return bool(was["loads"] == now["loads"] and was["table"] != now["table"])


def _identity(loads: TableTraits, table: TableTraits) -> str | None:
    """Return which table it is; None where the database does not tell."""
    if not (loads.identity and table.identity):
        return None
    return json.dumps({"loads": loads.identity, "table": table.identity})


@dataclass(frozen=True, slots=True, kw_only=True)
class Loads:
    """Access to what is known of one table, within a session."""

    session: Session
    dialect: Dialect
    schema: str | None
    table: str
    """Its name, as the database spells it."""

    @property
    def name(self) -> str:
        """The name of the table of loads, quoted."""
        return self.dialect.quoted(self.schema, LOADS)

    def exist(self) -> bool:
        """Tell whether there is such a table."""
        return self.session.columns(self.schema, LOADS) is not None

    def make(self) -> None:
        """Make it, if it is not there."""
        if self.exist():
            return
        text, key = self.dialect.type_name(pa.string()), self.dialect.type_name(pa.string(), key=True)
        types = (f"{key} NOT NULL", f"{key} NOT NULL", f"{self.dialect.type_name(pa.int64())} NOT NULL", text)
        columns = ", ".join(f"{name} {dtype}" for name, dtype in zip(_COLUMNS, types, strict=True))
        primary_key = "PRIMARY KEY (table_name, dataflow_id)"
        try:
            self.session.execute(f"CREATE TABLE {self.name} ({columns}, {primary_key}){self.dialect.table_options}")
        except TidegateError:
            if not self.exist():  # else another process was quicker
                raise

    def known(self) -> Known:
        """Return what is known."""
        if not self.exist():
            return Known()
        query = f"SELECT dataflow_id, sequence FROM {self.name} WHERE {self._condition('table_name')}"
        sequences = {flow: int(sequence) for flow, sequence in self.session.fetch(query, [self.table])}
        version = sequences.pop(_OF_THE_TABLE, None)
        return Known(version=version, sequences=sequences, identity=self._record())

    def records(self) -> list[str]:
        """Return the record of each dataflow's last commit."""
        condition = f"{self._condition('table_name')} AND dataflow_id <> {self.dialect.placeholder(1)}"
        found = self.session.fetch(f"SELECT record FROM {self.name} WHERE {condition}", [self.table, _OF_THE_TABLE])
        return [record for (record,) in found]

    def traits(self) -> tuple[TableTraits, TableTraits]:
        """Return what there is to know of the table of loads, and of the table."""
        return self.session.traits(self.schema, LOADS), self.session.traits(self.schema, self.table)

    def take_turn(self, seen: int | None) -> int:
        """Move the version on from the one that was seen, and return the new one.

        Raises:
            StaleSnapshotError: it is not at that version any more.
        """
        version = (seen or 0) + 1
        if seen is None:
            self._insert(_OF_THE_TABLE, version, None)
            return version
        now, name, flow, before = map(self.dialect.placeholder, range(4))
        moved_on = self.session.execute(
            f"UPDATE {self.name} SET sequence = {now} "
            f"WHERE table_name = {name} AND dataflow_id = {flow} AND sequence = {before}",
            [version, self.table, _OF_THE_TABLE, seen],
        )
        if moved_on != 1:
            raise StaleSnapshotError
        return version

    def retire(self) -> None:
        """Remove what the table of this name had that is gone. Only for whoever has the turn."""
        condition = f"{self._condition('table_name')} AND dataflow_id <> {self.dialect.placeholder(1)}"
        self.session.execute(f"DELETE FROM {self.name} WHERE {condition}", [self.table, _OF_THE_TABLE])

    def identify(self, known: Known) -> None:
        """Keep which table it is now."""
        identity = _identity(*self.traits())
        if identity == known.identity:
            return
        record, name, flow = map(self.dialect.placeholder, range(3))
        self.session.execute(
            f"UPDATE {self.name} SET record = {record} WHERE table_name = {name} AND dataflow_id = {flow}",
            [identity, self.table, _OF_THE_TABLE],
        )

    def record(self, dataflow_id: str, sequence: int, record: str) -> None:
        """Keep a dataflow's last commit."""
        condition = f"{self._condition('table_name')} AND dataflow_id = {self.dialect.placeholder(1)}"
        self.session.execute(f"DELETE FROM {self.name} WHERE {condition}", [self.table, dataflow_id])
        self._insert(dataflow_id, sequence, record)

    def _record(self) -> str | None:
        condition = f"{self._condition('table_name')} AND dataflow_id = {self.dialect.placeholder(1)}"
        found = self.session.fetch(f"SELECT record FROM {self.name} WHERE {condition}", [self.table, _OF_THE_TABLE])
        return found[0][0] if found else None

    def _condition(self, column: str) -> str:
        return f"{column} = {self.dialect.placeholder(0)}"

    def _insert(self, dataflow_id: str, sequence: int, record: str | None) -> None:
        values = ", ".join(map(self.dialect.placeholder, range(len(_COLUMNS))))
        statement = f"INSERT INTO {self.name} ({', '.join(_COLUMNS)}) VALUES ({values})"
        self.session.execute(statement, [self.table, dataflow_id, sequence, record])
