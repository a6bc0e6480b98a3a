"""What the reader process does: it looks at tables again and again, and writes down what each new state holds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chaos import database_tables, iceberg_tables, tables
from chaos.cases import Flow

_PAUSE = 0.005
_CURRENT = {"deleted rows": "__deleted_at", "versions": "__is_current", None: None}
"""Column by which a reader knows the rows that are current."""

Sight = dict[str, Any]


def poll(watched: Sequence[tuple[Path, Flow]], sightings: Path) -> None:
    """Look every five milliseconds until killed, or left alone; write a line for what is new."""
    looks = [_LOOKS.get(flow.format, _Files)(path, flow) for path, flow in watched]
    with sightings.open("w", encoding="utf-8") as file:
        while lives_on():
            for look in looks:
                for sight in look():
                    file.write(json.dumps({"table": look.path.name, **sight}) + "\n")
                    file.flush()
            time.sleep(_PAUSE)


def lives_on() -> bool:
    """Tell whether the process that started this one is alive."""
    parent = parent_process()
    return parent is not None and parent.is_alive()


class _Look:
    """Looks at one table. A failure is a sight too: a reader has met it."""

    def __init__(self, path: Path, flow: Flow) -> None:
        self.path = path
        self.flow = flow
        self._seen: Any = None

    def __call__(self) -> Iterator[Sight]:
        try:
            yield from self.sights()
        except Exception as error:  # noqa: BLE001 - whatever it is, a reader has met it
            yield {"failure": repr(error)}

    def sights(self) -> Iterator[Sight]:
        raise NotImplementedError

    def _rows(self, files: Sequence[str]) -> Sight:
        """Return how many rows are current, and the sum of their revisions, which tells increments apart."""
        column = _CURRENT[self.flow.strategy.keeps]
        rows = revisions = 0
        for path in files:
            table = pq.ParquetFile(path).read(columns=["revision", *([column] if column else [])])
            if column:
                marks = table[column]
                table = table.filter(marks if column == "__is_current" else pc.is_null(marks))
            rows += table.num_rows
            revisions += pc.sum(table["revision"]).as_py() or 0
        return {"rows": rows, "revisions": revisions}


class _Delta(_Look):
    def sights(self) -> Iterator[Sight]:
        log = self.path / "_delta_log"
        state = sorted(entry.name for entry in log.iterdir()) if log.is_dir() else []
        if state == self._seen or not deltalake.DeltaTable.is_deltatable(str(self.path)):
            return
        self._seen = state
        table = deltalake.DeltaTable(self.path)
        yield self._rows(tables.delta_files(table, self.path))


class _Iceberg(_Look):
    def sights(self) -> Iterator[Sight]:
        location = iceberg_tables.metadata_location(self.path)
        if location is None or location == self._seen:
            return
        self._seen = location
        yield self._rows(iceberg_tables.files_of(iceberg_tables.StaticTable.from_metadata(location)))


class _Files(_Look):
    """A folder of plain files: those that are there are whole, from the first sight on. That is all it promises."""

    def sights(self) -> Iterator[Sight]:
        seen: dict[Path, int] = self._seen or {}
        for file in tables.files_in(self.path, self.flow.format) if self.path.is_dir() else ():
            with suppress(FileNotFoundError):  # replaced since the look
                size = file.stat().st_size
                if file not in seen:
                    tables.read_file(file, self.path, self.flow)
                    yield {"file": file.name}
                elif seen[file] != size:
                    yield {"failure": f"{file.name} had {seen[file]} bytes when it appeared, and now {size}"}
                seen[file] = size
        self._seen = seen


class _Database(_Look):
    def sights(self) -> Iterator[Sight]:
        if not self.path.with_name(database_tables.DATABASE).exists():
            return
        state = database_tables.state(self.path)
        if state is None or state == self._seen:
            return
        self._seen = state
        rows = database_tables.rows(self.path)
        column = _CURRENT[self.flow.strategy.keeps]
        if column:
            rows = rows.filter(pl.col(column) == 1 if column == "__is_current" else pl.col(column).is_null())
        yield {"rows": rows.height, "revisions": int(rows["revision"].sum() or 0)}


_LOOKS: dict[str, Callable[[Path, Flow], _Look]] = {"delta": _Delta, "iceberg": _Iceberg, "sql": _Database}
