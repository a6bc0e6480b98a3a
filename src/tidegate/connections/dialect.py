"""How SQL is written for one database.

In statements that join two tables, ``t`` is the table that is changed and ``s`` the one that the changes come from.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import pyarrow as pa


class Dialect(ABC):
    """The words of one database. What is here is what most have in common."""

    sqlglot: ClassVar[str]
    """Its name in sqlglot, for rendering filter expressions."""
    quotes: ClassVar[tuple[str, str]] = ('"', '"')
    """Around names. The second one is doubled within a name."""
    ddl_in_transaction: ClassVar[bool] = True
    """Whether CREATE and ALTER TABLE are undone by a rollback. Temporary tables never end a transaction."""
    longest_name: ClassVar[int] = 63
    """Bytes of a name of a table or column, at most."""

    table_options: ClassVar[str] = ""
    """What stands behind the columns of each CREATE TABLE."""

    # -- names and values -----------------------------------------------------------------------------------------

    def quoted(self, *parts: str | None) -> str:
        """Return a name, quoted part by part; parts that are None or empty are left out.

        For instance ``"schema"."table"``.
        """
        before, behind = self.quotes
        return ".".join(f"{before}{part.replace(behind, behind * 2)}{behind}" for part in parts if part)

    def placeholder(self, index: int) -> str:
        """Return what stands for a parameter of a statement.

        Args:
            index: Its place in the parameters, from 0.
        """
        return "?"

    def same(self, left: str, right: str) -> str:
        """Return the condition that two expressions are equal, or both NULL."""
        return f"{left} IS NOT DISTINCT FROM {right}"

    def equal(self, left: str, right: str, *, is_loose: bool, is_null_safe: bool) -> str:
        """Return the condition that two columns of one type have the same value.

        Args:
            left: A column of the table.
            right: The other column.
            is_loose: The column's own comparison takes texts for equal that are not the same. It narrows the rows
                down, by an index if there is one.
            is_null_safe: NULL equals NULL; else it equals nothing.
        """
        sides = [(left, right)]
        if is_loose:
            sides.append((self.in_code_point_order(left), self.in_code_point_order(right)))
        return " AND ".join(self.same(*side) if is_null_safe else " = ".join(side) for side in sides)

    def in_code_point_order(self, text: str) -> str:
        """Return a text expression that is compared as Arrow and Polars compare text, whatever the collation.

        Bounds of a text watermark are compared through it: in another order rows would be passed over.
        """
        return text

    def ordered(self, expression: str, dtype: pa.DataType) -> str | None:
        """Return an expression that compares as values of its Arrow type do; None where the database cannot."""
        import pyarrow as pa

        is_text = pa.types.is_string(dtype) or pa.types.is_large_string(dtype)
        return self.in_code_point_order(expression) if is_text else expression

    # -- types ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def type_name(self, dtype: pa.DataType, *, key: bool = False) -> str:
        """Return the column type that keeps all values of a :meth:`storable` Arrow type.

        Args:
            dtype: What is kept.
            key: The column is part of a key, so it must take an index and be compared exactly.
        """

    @abstractmethod
    def storable(self, dtype: pa.DataType) -> pa.DataType | None:
        """Return the type as which the database gives back what it keeps as :meth:`type_name`; None: it cannot be kept.

        Every value comes back equal in it: an unsigned integer in a wider one, a timestamp in microseconds. One that
        would be rounded (a timestamp with digits finer than the database has) is refused when it is inserted (TG725).
        `tidegate.connections.exact.plain_type` is what most databases have.
        """

    # -- statements -----------------------------------------------------------------------------------------------

    def create_table(self, table: str, columns: Mapping[str, pa.DataType], *, keys: Sequence[str] = ()) -> str:
        """Return the statement that makes a table.

        Args:
            table: Its name, quoted.
            columns: Names, not quoted, and storable types.
            keys: Columns that must take an index (see :meth:`type_name`). None of them becomes a primary key: a key
                may be NULL.
        """
        return f"CREATE TABLE {table} ({self._definitions(columns, keys)}){self.table_options}"

    def temporary_name(self, name: str) -> str:
        """Return the name, quoted, of a temporary table in statements."""
        return self.quoted(name)

    def temporary_table(self, name: str, columns: Mapping[str, pa.DataType], *, keys: Sequence[str] = ()) -> str:
        """Return the statement that makes a table of this session alone; afterwards it is :meth:`temporary_name`.

        Args:
            name: Not quoted.
            columns: As for :meth:`create_table`.
            keys: As for :meth:`create_table`.
        """
        definitions = self._definitions(columns, keys)
        return f"CREATE TEMPORARY TABLE {self.temporary_name(name)} ({definitions}){self.table_options}"

    def temporary_copy(
        self, name: str, table: str, columns: Mapping[str, pa.DataType], *, keys: Sequence[str] = ()
    ) -> str:
        """Return the statement that makes a temporary table for rows that go into columns of another table.

        Args:
            name: As for :meth:`temporary_table`.
            table: Quoted; its columns may have types that there are no Arrow types of.
            columns: As for :meth:`create_table`.
            keys: As for :meth:`create_table`.
        """
        return self.temporary_table(name, columns, keys=keys)

    def after_filling(self, table: str, keys: Sequence[str]) -> list[str]:
        """Return the statements that make a temporary table fast to join by its keys, once it has its rows.

        Args:
            table: As :meth:`temporary_name` has it.
            keys: Not quoted.
        """
        return []

    def create_index(self, table: str, name: str, keys: Sequence[str]) -> str | None:
        """Return the statement that lets a new table find rows by keys, which may repeat and be NULL; None for none.

        Args:
            table: Quoted.
            name: What the table is called, not quoted.
            keys: Not quoted.
        """
        index = self.quoted(f"{name[: self.longest_name - 5]}_keys")
        return f"CREATE INDEX {index} ON {table} ({', '.join(map(self.quoted, keys))})"

    def add_column(self, table: str, column: str, dtype: pa.DataType) -> str:
        """Return the statement that adds a column, NULL in the rows there are.

        Args:
            table: Quoted.
            column: Not quoted.
            dtype: A storable type.
        """
        return f"ALTER TABLE {table} ADD COLUMN {self.quoted(column)} {self.type_name(dtype)}"

    def widen(self, table: str, column: str, dtype: pa.DataType, attributes: str = "") -> list[str] | None:
        """Return the statements that give a column a wider type; None when the database cannot.

        Args:
            table: Quoted.
            column: Not quoted.
            dtype: A storable type that holds all values of the column.
            attributes: Of the column, as `Session.column_attributes` has them.
        """
        return [f"ALTER TABLE {table} ALTER COLUMN {self.quoted(column)} TYPE {self.type_name(dtype)}"]

    def update_from(self, table: str, source: str, on: str, assignments: Mapping[str, str]) -> str:
        """Return the statement that changes the rows of a table that match rows of another one.

        Args:
            table: Quoted; its rows are ``t``.
            source: Quoted, or a query in brackets; its rows are ``s``. No row of `table` matches two of them.
            on: The condition, over ``t`` and ``s``.
            assignments: Columns, not quoted, and expressions over ``t`` and ``s``.
        """
        sets = ", ".join(f"{self.quoted(column)} = {value}" for column, value in assignments.items())
        return f"UPDATE {table} AS t SET {sets} FROM {source} AS s WHERE {on}"

    def delete_from(self, table: str, source: str, on: str) -> str:
        """Return the statement that removes the rows of a table that match any row of another one.

        Args:
            table: Quoted; its rows are ``t``.
            source: Quoted, or a query in brackets; its rows are ``s``.
            on: The condition, over ``t`` and ``s``.
        """
        return f"DELETE FROM {table} AS t WHERE EXISTS (SELECT 1 FROM {source} AS s WHERE {on})"

    def _definitions(self, columns: Mapping[str, pa.DataType], keys: Sequence[str]) -> str:
        return ", ".join(
            f"{self.quoted(name)} {self.type_name(dtype, key=name in keys)}" for name, dtype in columns.items()
        )
