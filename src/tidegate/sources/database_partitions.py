"""Reads over several connections that see one snapshot: ranges of one column, each streamed by a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

from tidegate.errors import SourceError
from tidegate.expressions.data_type import describe_type

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.connections import Database, Dialect, Session

_WAITING = 4
"""Batches that connections are ahead of the reader."""

_MOST_DIGITS = 200_000
"""Of a number: PostgreSQL has 131,072 before the point, and 16,383 behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partitions:
    """Ranges of a column."""

    column: str
    dtype: pa.DataType
    count: int
    rows: str
    """What is read, as the FROM clause has it."""
    dialect: Dialect
    place: str

    def bounds(self, session: Session) -> list[tuple[Any, Any]]:
        """Return half-open ranges that hold all values; None is no bound. Rows without a value are a part of their own.

        Raises:
            SourceError: the column cannot be cut into ranges (TG728).
        """
        name = self.dialect.quoted(self.column)
        [(least, greatest)] = session.fetch(f"SELECT MIN({name}), MAX({name}) FROM {self.rows}")
        if least is None:
            return [(None, None)]
        if isinstance(least, bool) or not isinstance(least, int | Decimal | date):
            msg = (
                f"partition_column {self.column!r} is {describe_type(self.dtype)}, which has no ranges of equal length"
            )
            hint = "name a column of whole numbers, dates or times"
            raise SourceError(msg, {"column": self.column}, code="TG728", where=self.place, hint=hint)
        if isinstance(least, Decimal) and not (least.is_finite() and greatest.is_finite()):
            return [(None, None)]
        with localcontext(prec=_MOST_DIGITS):
            cuts = self._cuts(least, greatest)
        return list(zip([None, *cuts], [*cuts, None], strict=True))

    def _cuts(self, least: Any, greatest: Any) -> list[Any]:
        span = greatest - least
        if type(least) is date:
            steps = [timedelta(days=span.days * index // self.count) for index in range(1, self.count)]
        else:
            steps = [span * index // self.count for index in range(1, self.count)]
        return [least + step for step in dict.fromkeys(steps) if step]


class PartReader:
    """Reads the parts of one snapshot, each over a connection of its own."""

    def __init__(self, database: Database, snapshot: str, columns: Mapping[str, pa.DataType], batch_rows: int) -> None:
        self._database = database
        self._snapshot = snapshot
        self._columns = columns
        self._batch_rows = batch_rows
        self._found: queue.Queue[pa.RecordBatch | BaseException | None] = queue.Queue(maxsize=_WAITING)
        self._stopped = threading.Event()

    def batches(self, queries: Sequence[tuple[str, list[Any]]]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of several queries as they come."""
        with ThreadPoolExecutor(max_workers=len(queries), thread_name_prefix="tidegate-read") as pool:
            try:
                for sql, parameters in queries:
                    pool.submit(self._read, sql, parameters)
                running = len(queries)
                while running:
                    item = self._found.get()
                    if isinstance(item, BaseException):
                        raise item
                    if item is None:
                        running -= 1
                    else:
                        yield item
            finally:
                self._stopped.set()

    def _read(self, sql: str, parameters: list[Any]) -> None:
        try:
            with self._database.session(snapshot=self._snapshot, read_only=True) as session:
                for batch in session.stream(sql, parameters, columns=self._columns, batch_rows=self._batch_rows):
                    if not self._put(batch):
                        return
            self._put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised where the rows are read
            self._put(error)

    def _put(self, item: pa.RecordBatch | BaseException | None) -> bool:
        """Hand on, and tell whether anyone still takes it."""
        while not self._stopped.is_set():
            with suppress(queue.Full):
                self._found.put(item, timeout=0.1)
                return True
        return False
