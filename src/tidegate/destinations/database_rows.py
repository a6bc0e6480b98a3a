"""Rows of a database table: selected, removed, merged and added, within one session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tidegate.destinations.selection import RowsFrom, RowsWithin, RowsWithKeys, Selection
from tidegate.errors import PlatformError

if TYPE_CHECKING:
    from tidegate.connections import Dialect, Session, TableTraits
    from tidegate.destinations.table import RowChange
    from tidegate.engines.base import WrittenFile

Columns = Mapping[str, pa.DataType]

_BATCH_ROWS = 65_536
_READ_BYTES = 1 << 20
"""Of a file, at once: left to itself Arrow keeps all that it has read of it."""
_KEYS = "_tidegate_keys"
_MERGED = "_tidegate_merged"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowAccess:
    """Access to the rows of one table."""

    session: Session
    dialect: Dialect
    table: str
    """Its name, quoted."""
    columns: Columns
    """Its columns, with the types as which rows are read and written."""
    traits: TableTraits
    place: str
    """It, as people write it."""

    def selected(self, selection: Selection, columns: Columns) -> Iterator[pa.RecordBatch]:
        """Yield these columns of the selected rows."""
        names = ", ".join(f"t.{self.dialect.quoted(column)}" for column in columns)
        query = f"SELECT {names} FROM {self.table} t"
        if isinstance(selection, RowsWithKeys):
            for source, on in self._matched(_KEYS, selection.keys, selection.files):
                matched = f"{query} WHERE EXISTS (SELECT 1 FROM {source} s WHERE {on})"
                yield from self.session.stream(matched, columns=columns)
            return
        condition, parameters = self._condition(selection)
        yield from self.session.stream(f"{query}{condition}", parameters, columns=columns)

    def apply(self, change: RowChange, loaded: Columns, others: Columns) -> None:
        """Make a change. Columns that no row brings keep their values, or get their defaults.

        Args:
            change: What becomes of rows.
            loaded: The columns that each row which comes has.
            others: Those besides that these rows may have values for.
        """
        if change.removed is not None:
            self._remove(change.removed)
        if change.merged:
            self._merge(change.merged, change.identity, loaded, others)
        come = {**loaded, **_with_values(change.added, others)}
        for files, columns in ((change.added, come), (change.kept, self.columns)):  # a NULL that was there stays one
            if files:
                self.session.insert(self.table, columns, self._exact_batches(files, columns))

    def _remove(self, selection: Selection) -> None:
        if isinstance(selection, RowsWithKeys):
            for source, on in self._matched(_KEYS, selection.keys, selection.files):
                self.session.execute(self.dialect.delete_from(self.table, source, on))
            return
        condition, parameters = self._condition(selection, row="")
        self.session.execute(f"DELETE FROM {self.table}{condition}", parameters)

    def _merge(self, files: Sequence[WrittenFile], identity: Sequence[str], loaded: Columns, others: Columns) -> None:
        quoted, columns = self.dialect.quoted, {**loaded, **others}
        values = {column: f"s.{quoted(column)}" for column in columns if column not in identity}
        matched = list(self._matched(_MERGED, identity, files, columns))
        if values:
            for source, on in matched:
                self.session.execute(self.dialect.update_from(self.table, source, on, values))
        names = ", ".join(map(quoted, {**loaded, **_with_values(files, others)}))
        for source, on in matched:
            self.session.execute(
                f"INSERT INTO {self.table} ({names}) SELECT {names} FROM {source} s "
                f"WHERE NOT EXISTS (SELECT 1 FROM {self.table} t WHERE {on})"
            )

    def _matched(
        self, name: str, keys: Sequence[str], files: Iterable[WrittenFile], columns: Columns | None = None
    ) -> Iterator[tuple[str, str]]:
        """Put rows into a temporary table, and yield what joins them with the table: a source, and its condition.

        Rows with a NULL in their key are a source of their own: no database joins fast where NULL equals NULL.
        """
        dialect, session = self.dialect, self.session
        columns = columns or {key: self.columns[key] for key in keys}
        there = dialect.temporary_name(name)
        session.execute(dialect.temporary_copy(name, self.table, columns, keys=keys))
        session.insert(there, columns, self._exact_batches(files, columns))
        for statement in dialect.after_filling(there, keys):
            session.execute(statement)
        has_null = " OR ".join(f"{dialect.quoted(key)} IS NULL" for key in keys)
        [(without_key,)] = session.fetch(f"SELECT COUNT(*) FROM {there} WHERE {has_null}")
        plain = self._equal(keys, is_null_safe=False)
        if not without_key:
            yield there, plain
            return
        yield f"(SELECT * FROM {there} WHERE NOT ({has_null}))", plain
        yield f"(SELECT * FROM {there} WHERE {has_null})", self._equal(keys, is_null_safe=True)

    def _equal(self, keys: Sequence[str], *, is_null_safe: bool) -> str:
        quoted, equal, loose = self.dialect.quoted, self.dialect.equal, self.traits.loose_texts
        return " AND ".join(
            equal(f"t.{quoted(key)}", f"s.{quoted(key)}", is_loose=key in loose, is_null_safe=is_null_safe)
            for key in keys
        )

    def _exact_batches(self, files: Iterable[WrittenFile], columns: Columns) -> Iterator[pa.RecordBatch]:
        """Yield the rows of files; a time that a column would round is refused.

        Raises:
            PlatformError: TG725.
        """
        rows = 0
        for batch in batches_of(files, columns):
            for name, step in self.traits.time_steps.items():
                if name in columns and (row := _first_between(batch.column(name), step)) is not None:
                    value, where = batch.column(name)[row].as_py(), rows + row + 1
                    msg = f"column {name!r} has {value} in row {where}, which the table's column would round"
                    hint = "give the column six digits of a second (ALTER TABLE), or cut the time (additional_columns)"
                    raise PlatformError(msg, {"column": name}, code="TG725", where=self.place, hint=hint)
            yield batch
            rows += batch.num_rows

    def _condition(self, selection: Selection, row: str = "t.") -> tuple[str, list[Any]]:
        """Return the WHERE clause of a selection with its parameters.

        What the database cannot compare is selected too: rows that then turn out to stay are put back.
        """
        match selection:
            case RowsWithin(column=column, lower=lower, upper=upper):
                bounds = [(">=", lower), ("<", upper)]
                parts = [self._compared(column, sign, index, row) for index, (sign, _) in enumerate(bounds)]
                known = [part for part in parts if part]
                return (f" WHERE {' AND '.join(known)}", [lower, upper]) if len(known) == len(parts) else ("", [])
            case RowsFrom(starts=starts):
                clauses: list[str] = []
                parameters: list[Any] = []
                for column, start in starts.items():
                    clauses.append(f"{row}{self.dialect.quoted(column)} IS NULL")
                    if start is None:
                        continue
                    compared = self._compared(column, ">=", len(parameters), row)
                    if compared is None:
                        return "", []
                    clauses.append(compared)
                    parameters.append(start)
                return f" WHERE {' OR '.join(clauses)}", parameters
            case _:
                return "", []

    def _compared(self, column: str, sign: str, index: int, row: str) -> str | None:
        dtype = self.columns[column]
        value = self.dialect.ordered(f"{row}{self.dialect.quoted(column)}", dtype)
        return value and f"{value} {sign} {self.dialect.ordered(self.dialect.placeholder(index), dtype)}"


def _first_between(times: pa.Array, step: int) -> int | None:
    """Return the first row whose time is between two that a column keeps.

    Args:
        times: In microseconds; else it is none of the column's, and is refused as such.
        step: Microseconds from one that it keeps to the next.
    """
    import pyarrow.compute as pc

    if not (pa.types.is_timestamp(times.type) or pa.types.is_time64(times.type)):
        return None
    numbers = times.view(pa.int64())
    is_kept = pc.equal(pc.multiply(pc.divide(numbers, step), step), numbers)
    row = int(pc.index(is_kept, False).as_py())
    return row if row >= 0 else None


def _with_values(files: Iterable[WrittenFile], columns: Columns) -> Columns:
    """Return those of the columns in which the files may have a value, by their footers."""
    import pyarrow.parquet as pq

    found: set[str] = set()
    for file in files:
        footer = pq.read_metadata(file.path)
        for group in map(footer.row_group, range(footer.num_row_groups)):
            for chunk in map(group.column, range(group.num_columns)):
                nulls = chunk.statistics.null_count if chunk.statistics else None
                found |= set() if nulls == group.num_rows else {chunk.path_in_schema.partition(".")[0]}
    return {column: dtype for column, dtype in columns.items() if column in found}


def batches_of(files: Iterable[WrittenFile], columns: Columns) -> Iterator[pa.RecordBatch]:
    """Yield the rows of Parquet files in these columns and types; a column that a file lacks is NULL."""
    import pyarrow.parquet as pq

    schema = pa.schema(list(columns.items()))
    for file in files:
        with pq.ParquetFile(file.path, pre_buffer=False, buffer_size=_READ_BYTES) as parquet:
            there = [name for name in columns if name in parquet.schema_arrow.names]
            for batch in parquet.iter_batches(_BATCH_ROWS, columns=there):
                yield pa.record_batch(
                    [
                        batch.column(name).cast(dtype) if name in there else pa.nulls(batch.num_rows, dtype)
                        for name, dtype in columns.items()
                    ],
                    schema=schema,
                )
