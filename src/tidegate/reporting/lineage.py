"""Where the columns of a destination come from: the values that a run tells and that sinks pass on.

The names follow OpenLineage: a dataset is a *namespace* (where) and a *name* (what); the uses of a column are the
transformation subtypes of its column lineage facet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Use = Literal["IDENTITY", "TRANSFORMATION", "FILTER", "SORT", "GROUP_BY", "JOIN"]
"""What a column of the source is used for.

Direct, its values are in the values that result: `IDENTITY` unchanged, `TRANSFORMATION` computed. Indirect, they only
decide about rows: `FILTER` which ones stay, `GROUP_BY` and `SORT` which one of several is the latest, `JOIN` which row
of the table is meant.
"""

_DIRECT = frozenset({"IDENTITY", "TRANSFORMATION"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A table, folder or file.

    Attributes:
        namespace: Where it is: `file`, `s3://bucket`, `postgres://host:5432`.
        name: Its name there: a path, or `database.schema.table`.
        columns: Name and type of each column, as far as known; the type is empty where only the name is.
        table: Namespace and name of the table in its catalog, where `name` is a location.
    """

    namespace: str
    name: str
    columns: tuple[tuple[str, str], ...] = ()
    table: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputColumn:
    """A column of the source, and what it is used for.

    Attributes:
        column: Its name at the source.
        use: What for.
        description: The expression that uses it, where there is one.
    """

    column: str
    use: Use
    description: str = ""

    @property
    def is_direct(self) -> bool:
        """Whether its values are in the values that result."""
        return self.use in _DIRECT


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnLineage:
    """A column of the destination, and the columns of the source that its values come from; none for a constant."""

    column: str
    inputs: tuple[InputColumn, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """What one unit reads and writes.

    Attributes:
        source: What is read.
        destination: What is written.
        columns: The columns that are written; empty when no rows were to be written, or nothing is known of them.
        row_inputs: Columns of the source that decide about rows, and so bear on every column.
    """

    source: Dataset
    destination: Dataset
    columns: tuple[ColumnLineage, ...] = ()
    row_inputs: tuple[InputColumn, ...] = ()
