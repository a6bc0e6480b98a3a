"""The record of runs as tables: which columns they have, and the rows that reports become.

Names and types are stable; new columns may be added at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tidegate.reporting.run_report import UnitReport

ColumnType = Literal["string", "bigint", "double", "timestamp"]


@dataclass(frozen=True, slots=True)
class RecordColumn:
    """A column of the record; every one can be NULL, where something is not known or does not apply."""

    name: str
    type: ColumnType
    about: str


_JOB = (
    RecordColumn("job_id", "string", "The job that the run was a part of."),
    RecordColumn("job_num", "bigint", "Number of jobs that shared the dataflows."),
    RecordColumn("job_index", "bigint", "Which of them this was, from 0."),
)

UNIT_COLUMNS = (
    RecordColumn("run_id", "string", "The run; `runs` has a row with the same id."),
    RecordColumn("dataflow_id", "string", "The dataflow; it keeps its id when it is renamed."),
    RecordColumn("name", "string", "What people call the unit; unique within its run."),
    RecordColumn("stage", "string", "The stage of the dataflow."),
    RecordColumn("operation", "string", "What was done: `load`, `replay` or `maintenance`."),
    RecordColumn("load_type", "string", "How rows became a change of the table."),
    RecordColumn("source", "string", "What was read."),
    RecordColumn("destination", "string", "What was written."),
    RecordColumn("status", "string", "`succeeded`, `failed` or `skipped`."),
    RecordColumn("detail", "string", "A remark in a few words."),
    RecordColumn("started_at", "timestamp", "When it began, UTC."),
    RecordColumn("ended_at", "timestamp", "When it ended, UTC."),
    RecordColumn("duration_seconds", "double", "Wall time, all attempts included."),
    RecordColumn("rows_per_second", "double", "Rows read each second."),
    RecordColumn("window_lower", "string", "Where the window that was loaded begins."),
    RecordColumn("window_upper", "string", "Where it ends; this value is outside of it."),
    RecordColumn("rows_in", "bigint", "Rows read from the source."),
    RecordColumn("rows_out", "bigint", "Rows that came to the destination."),
    RecordColumn("rows_updated", "bigint", "Rows of the table that were replaced, or given other values."),
    RecordColumn("rows_deleted", "bigint", "Rows of the table that are gone at the source."),
    RecordColumn("files_read", "bigint", "Files of the source that were read."),
    RecordColumn("files_skipped", "bigint", "Files of the source that held nothing new."),
    RecordColumn("bytes_written", "bigint", "Bytes of the data files that were written."),
    RecordColumn("files_removed", "bigint", "Files that maintenance removed."),
    RecordColumn("bytes_freed", "bigint", "Their size."),
    RecordColumn("sequence", "bigint", "Number of the commit; NULL when nothing was committed."),
    RecordColumn("position_before", "string", "The position that the load started from."),
    RecordColumn("position_after", "string", "The position that it committed."),
    RecordColumn("attempts", "bigint", "How often the unit was tried."),
    RecordColumn("error_code", "string", "Code of the error; `tidegate explain CODE` says more."),
    RecordColumn("error_message", "string", "What went wrong."),
    RecordColumn("error_where", "string", "The place of the error."),
    RecordColumn("error_hint", "string", "What to do about it."),
    *_JOB,
)
"""The table `unit_runs`: a row for each unit of work."""

RUN_COLUMNS = (
    RecordColumn("run_id", "string", "The run."),
    RecordColumn("command", "string", "What was asked for: `run`, `replay`, ..."),
    RecordColumn(
        "status", "string", "`succeeded`; `failed` when a unit failed; `interrupted` when it was broken off or killed."
    ),
    RecordColumn("started_at", "timestamp", "When it began, UTC."),
    RecordColumn("ended_at", "timestamp", "When it ended, UTC; of an interrupted run, when its last unit ended."),
    RecordColumn("duration_seconds", "double", "Wall time from begin to end."),
    RecordColumn("units", "bigint", "Units that were to be carried out."),
    RecordColumn("succeeded", "bigint", "Units that succeeded."),
    RecordColumn("failed", "bigint", "Units that failed."),
    RecordColumn("skipped", "bigint", "Units that were skipped."),
    RecordColumn("rows_in", "bigint", "Rows read, over all units."),
    RecordColumn("rows_out", "bigint", "Rows that came to destinations, over all units."),
    RecordColumn("rows_updated", "bigint", "Rows replaced, over all units."),
    RecordColumn("rows_deleted", "bigint", "Rows removed or marked, over all units."),
    RecordColumn("bytes_written", "bigint", "Bytes of data files, over all units."),
    RecordColumn("host", "string", "The machine."),
    RecordColumn("process_id", "bigint", "The process."),
    RecordColumn("version", "string", "The version of Tidegate."),
    *_JOB,
)
"""The table `runs`: a row for each run."""

TABLES: Mapping[str, tuple[RecordColumn, ...]] = {"unit_runs": UNIT_COLUMNS, "runs": RUN_COLUMNS}


def unit_row(report: UnitReport) -> dict[str, Any]:
    """Return a report as a flat JSON-ready row, without the columns of its job."""
    row = report.to_dict()
    error, window = row.pop("error") or {}, row.pop("window") or (None, None)
    return {
        **row,
        "window_lower": window[0],
        "window_upper": window[1],
        **{f"error_{part}": error.get(part) for part in ("code", "message", "where", "hint")},
    }
