"""The record of runs in Parquet files, for analysts: one file for each run in each of two tables.

::

    <log path>/unit_runs/run_date=2026-03-01/<run id>.parquet     a row for each unit
    <log path>/runs/run_date=2026-03-01/<run id>.parquet          one row

While a run goes on, every unit is a line of `unit_runs/run_date=.../.<run id>.jsonl`, written before the next unit is
told; readers of ``**/*.parquet`` do not see it. Its process holds a lock on that file. When the run ends the lines
become Parquet. A file that is not locked is what a killed run left: the next run makes Parquet of it.
"""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from tidegate.reporting.events import Event, RunFinished, RunStarted, UnitFinished
from tidegate.reporting.record import TABLES, RecordColumn, unit_row
from tidegate.reporting.run_report import timestamp
from tidegate.state.lease import is_dead, new_owner

_ROWS_AT_ONCE = 10_000
_TYPES = {
    "string": pa.string(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "timestamp": pa.timestamp("us", "UTC"),
}
_STATUSES = ("succeeded", "failed", "skipped")
_SUMMED = ("rows_in", "rows_out", "rows_updated", "rows_deleted", "bytes_written")


def schema_of(table: str) -> pa.Schema:
    """Return the schema of `unit_runs` or `runs`, without the partition column `run_date`."""
    return pa.schema([(column.name, _TYPES[column.type]) for column in TABLES[table]])


class ParquetSink:
    """Keeps the record of runs below a folder.

    Args:
        log_path: The folder; it is created by the first run. Processes may share it.
    """

    def __init__(self, log_path: str | Path) -> None:
        self._root = Path(log_path)
        self._lines: _Lines | None = None
        self._told: set[str] = set()

    def handle(self, event: Event, /) -> None:
        """Write the line of a unit that ended; make Parquet of all lines when the run has."""
        match event:
            case RunStarted():
                self.close()
                self._lines = _Lines.begin(self._root, event)
                self._told = set()
                _publish_abandoned(self._root)
            case UnitFinished(report=report) if self._lines:
                self._told.add(report.name)
                self._lines.write({"unit": unit_row(report)})
            case RunFinished(result=result) if self._lines:
                for report in result.units:
                    if report.name not in self._told:  # it was never started
                        self._lines.write({"unit": unit_row(report)})
                self._end("failed" if result.failed else "succeeded", event.at)
            case _:
                pass

    def close(self) -> None:
        """Make Parquet of a run that did not come to its end."""
        if self._lines:
            self._end("interrupted", datetime.now(UTC))

    def _end(self, status: str, at: datetime) -> None:
        lines, self._lines = self._lines, None
        if lines:
            with lines:
                lines.write({"end": {"status": status, "ended_at": timestamp(at)}})
                _publish(self._root, lines.path)
            lines.path.unlink(missing_ok=True)


class _Lines:
    """The file of one run under way: a line about the run, then a line for each unit; locked while it is open."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path = path
        self._file = file
        self._torn = False

    @classmethod
    def begin(cls, root: Path, started: RunStarted) -> _Lines:
        folder = root / "unit_runs" / f"run_date={started.at.astimezone(UTC):%Y-%m-%d}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f".{_file_name(started.run_id)}.jsonl"
        if sys.platform == "win32":
            lines = cls(path, path.open("xb", buffering=0))
            lines.write(_head(started))
            return lines
        # locked, and with its first line, before it has the name under which others look for it
        draft = path.with_suffix(".new")
        lines = cls(path, draft.open("wb", buffering=0))
        _is_free(lines._file, "")
        lines.write(_head(started))
        draft.rename(path)
        return lines

    def write(self, record: Mapping[str, Any]) -> None:
        """Hand a line to the operating system, so that it outlives this process."""
        line = ("\n" if self._torn else "") + json.dumps(record, allow_nan=False, separators=(",", ":")) + "\n"
        data = line.encode()
        self._torn = True
        if self._file.write(data) != len(data):
            raise OSError(f"no space left for {self.path}")
        self._torn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _head(started: RunStarted) -> dict[str, Any]:
    owner = new_owner()
    about = json.loads(owner)
    run = {
        "run_id": started.run_id,
        "command": started.command,
        "started_at": timestamp(started.at),
        "units": len(started.units),
        "host": about["host"],
        "process_id": about["pid"],
        "version": version("tidegate"),
        "job_id": started.job_id,
        "job_num": started.job_num,
        "job_index": started.job_index,
    }
    return {"run": run, "owner": owner}


def _publish_abandoned(root: Path) -> None:
    """Make Parquet of what runs of processes that live no more have left."""
    for path in sorted(root.glob("unit_runs/run_date=*/.*.jsonl")):
        try:
            with path.open("rb") as file:
                head = next(_records(file), {})
                # another process may have made Parquet of it since it was listed
                if not (head.get("run") and _is_free(file, head["owner"]) and path.exists()):
                    continue
                _publish(root, path)
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            continue
        except (KeyError, TypeError, ValueError, AttributeError):  # not written by this version; the others go on
            with suppress(OSError):
                path.rename(path.with_suffix(".damaged"))


def _is_free(file: IO[bytes], owner: str) -> bool:
    """Lock a file, and tell whether that was possible; where files have no locks, whether its owner is dead."""
    if sys.platform == "win32":
        return is_dead(owner)
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return is_dead(owner)
    return True


def _publish(root: Path, path: Path) -> None:
    """Make both Parquet files of the lines of a run. Doing so again changes nothing."""
    with path.open("rb") as file:
        run: dict[str, Any] = next(_records(file), {}).get("run", {})
        totals: Counter[str] = Counter()
        end: dict[str, Any] = {"status": "interrupted", "ended_at": None}
        job = {name: run.get(name) for name in ("job_id", "job_num", "job_index")}

        def units() -> Iterator[dict[str, Any]]:
            for record in _records(file):
                if unit := record.get("unit"):
                    totals[unit["status"]] += 1
                    totals.update({name: unit[name] for name in _SUMMED if unit.get(name)})
                    end["ended_at"] = max(end["ended_at"] or "", unit["ended_at"])
                    yield {**unit, **job}
                end.update(record.get("end", {}))

        folder, name = path.parent.name, f"{_file_name(run['run_id'])}.parquet"
        _write(root / "unit_runs" / folder / name, "unit_runs", units())
    counts = {column: totals[column] for column in (*_STATUSES, *_SUMMED)}
    units = max(run["units"], sum(totals[status] for status in _STATUSES))  # a replay finds its units on the way
    row = {**run, **counts, **end, "units": units, "duration_seconds": _seconds(run["started_at"], end["ended_at"])}
    _write(root / "runs" / folder / name, "runs", iter([row]))


def _write(path: Path, table: str, rows: Iterator[dict[str, Any]]) -> None:
    """Write a Parquet file that is there as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns, schema = TABLES[table], schema_of(table)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with draft.open("wb") as file:
            with pq.ParquetWriter(file, schema, compression="zstd") as writer:
                batch: list[dict[str, Any]] = []
                for row in rows:
                    batch.append(_typed(row, columns))
                    if len(batch) == _ROWS_AT_ONCE:
                        writer.write_table(pa.Table.from_pylist(batch, schema))
                        batch = []
                writer.write_table(pa.Table.from_pylist(batch, schema))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _typed(row: Mapping[str, Any], columns: Sequence[RecordColumn]) -> dict[str, Any]:
    return {
        column.name: datetime.fromisoformat(row[column.name])
        if column.type == "timestamp" and row.get(column.name)
        else row.get(column.name)
        for column in columns
    }


def _records(file: IO[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the records of lines, from where the file stands; one that was broken off is none."""
    for line in file:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record


def _seconds(begin: str, end: str | None) -> float | None:
    if end is None:
        return None
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds())


def _file_name(run_id: str) -> str:
    return re.sub(r"[^\w.-]", "_", run_id)
