"""JSON lines: one event a line, for logs and machines.

Every line has `event` and `at` (ISO 8601, UTC). The rest, by event; names are stable, new ones may be added:

| event | fields |
|---|---|
| `run_started` | `run_id`, `command`, `job_id`, `job_num`, `job_index`, `units`: list of `{name, stage, destination}` |
| `unit_started` | `run_id`, `dataflow_id`, `name`, `stage`, `destination`, `attempt` |
| `unit_progress` | `run_id`, `dataflow_id`, `name`, `phase`, `rows_in`, `rows_out`, `rows_total` |
| `unit_finished` | every field of `UnitReport`, `duration_seconds`, `rows_per_second` |
| `run_finished` | every field of `ExecutionResult` but `units`, `success_rate`, `exit_code` |
| `notice` | `level`, `message`, `code`, `hint` |
"""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any, TextIO

from tidegate.reporting.events import Event, RunFinished, RunStarted, UnitFinished, UnitProgress
from tidegate.reporting.run_report import timestamp

_PROGRESS_SECONDS = 5.0


def to_record(event: Event) -> dict[str, Any]:
    """Return an event as the JSON-ready record that its line holds."""
    head = {"event": event.kind, "at": timestamp(event.at)}
    match event:
        case RunStarted():
            units = [dict(zip(("name", "stage", "destination"), unit, strict=True)) for unit in event.units]
            job = {name: getattr(event, name) for name in ("command", "job_id", "job_num", "job_index")}
            return {**head, "run_id": event.run_id, "units": units, **job}
        case UnitFinished():
            return {**head, **event.report.to_dict()}
        case RunFinished():
            return {**head, **event.result.summary()}
        case _:
            return {
                **head,
                **{item.name: getattr(event, item.name) for item in fields(event) if item.name != "at"},
            }


class JsonLinesSink:
    """Writes each event as one line of ASCII JSON and flushes it, so that what was told survives a crash.

    Args:
        stream: Where to; stderr as it is at this moment when not given. It is flushed, never closed.
        progress_seconds: The least time between two progress lines of a unit in one phase; 0 writes all.
    """

    def __init__(self, stream: TextIO | None = None, *, progress_seconds: float = 0.0) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._pause = timedelta(seconds=progress_seconds)
        self._told: dict[str, UnitProgress] = {}

    def handle(self, event: Event, /) -> None:
        """Write the event, unless it is progress that was told a moment ago."""
        if isinstance(event, UnitProgress) and not self._is_news(event):
            return
        if isinstance(event, UnitFinished):
            self._told.pop(event.report.name, None)
        self._stream.write(json.dumps(to_record(event), allow_nan=False) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def _is_news(self, event: UnitProgress) -> bool:
        last = self._told.get(event.name)
        if last is not None and last.phase == event.phase and event.at - last.at < self._pause:
            return False
        self._told[event.name] = event
        return True


class EventFileSink:
    """Writes the events of each run to `<log path>/events/run_date=YYYY-MM-DD/<run id>.jsonl`.

    Args:
        log_path: The folder; it is created by the first run.
    """

    def __init__(self, log_path: str | Path) -> None:
        self._root = Path(log_path) / "events"
        self._file: TextIO | None = None
        self._lines: JsonLinesSink | None = None

    def handle(self, event: Event, /) -> None:
        """Write the event to the file of its run; what is told between runs is not written."""
        if isinstance(event, RunStarted):
            self.close()
            folder = self._root / f"run_date={event.at.astimezone(UTC):%Y-%m-%d}"
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / f"{event.run_id}.jsonl").open("a", encoding="ascii", newline="\n")
            self._lines = JsonLinesSink(self._file, progress_seconds=_PROGRESS_SECONDS)
        if self._lines:
            self._lines.handle(event)
        if isinstance(event, RunFinished):
            self.close()

    def close(self) -> None:
        """Close the file."""
        file, self._file, self._lines = self._file, None, None
        if file:
            file.close()
