"""``tidegate runs``: what was run, and what came of it."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tidegate.cli.failure import FAILED
from tidegate.cli.numbers import positive
from tidegate.cli.options import WHAT, add_metadata, add_output, add_path, metadata_of, naming
from tidegate.cli.table import Cell, Column, tell_table
from tidegate.cli.terminal import styled, tell, tell_json

if TYPE_CHECKING:
    from tidegate.cli.parser import Parser
    from tidegate.state import RunRecord, StateStore

USAGE = "[PATH] [OPTIONS]"
STYLES = {"succeeded": "green", "failed": "red", "interrupted": "yellow", "running": "cyan", "skipped": "yellow"}
_SHORT = 8
_ALL = 1_000_000
_FIGURES = ("total", "succeeded", "failed", "skipped", "rows_in", "rows_out")
_COLUMNS = (
    Column(title="run"),
    Column(title="started"),
    Column(title="command", priority=5),
    Column(title="status"),
    Column(title="took", align=">", priority=3),
    Column(title="succeeded", align=">", priority=2),
    Column(title="failed", align=">", priority=1),
    Column(title="skipped", align=">", priority=7),
    Column(title="rows in", align=">", priority=6),
    Column(title="rows out", align=">", priority=4),
    Column(title="job", priority=8, style="dim"),
)


def configure(parser: Parser) -> None:
    """Set up the command line."""
    add_path(parser)
    parser.option(WHAT, "--limit", "-n", type=positive, default=20, metavar="N", help="how many; default 20")
    about = "all runs of this job, and whether each of its shards ran and none failed; else exit code 1"
    parser.option(WHAT, "--job", type=naming, metavar="ID", help=about)
    add_metadata(parser)
    add_output(parser)
    parser.set_defaults(execute=_runs)


def _runs(options: Namespace) -> int:
    from tidegate.cli.project import state_store

    with state_store(metadata_of(options)) as store:
        runs = store.runs(limit=_ALL if options.job else options.limit, job_id=options.job)
        records = [record_of(store, run) for run in runs]
    shards = _shards(options.job, records) if options.job else None
    if options.output == "json":
        tell_json({"job": shards, "runs": records} if shards else records)
    else:
        _tell(records, shards)
    return 0 if shards is None or shards["complete"] else FAILED


def record_of(store: StateStore, run: RunRecord) -> dict[str, Any]:
    """Return a run as JSON-ready data, with what became of it also where it did not come to its end."""
    from tidegate.reporting.run_report import timestamp

    figures = dict(run.summary or {}) if run.ended_at else _so_far(store.reports(run.run_id))
    ended = run.ended_at
    return {
        "run_id": run.run_id,
        "command": run.command,
        "status": _status(store, run, figures),
        "started_at": timestamp(run.started_at),
        "ended_at": timestamp(ended) if ended else None,
        "duration_seconds": max(0.0, (ended - run.started_at).total_seconds()) if ended else None,
        "flows": len(run.flows),
        **{name: figures.get(name, 0) for name in _FIGURES},
        "job_id": run.job_id,
        "job_num": run.job_num,
        "job_index": run.job_index,
    }


def _status(store: StateStore, run: RunRecord, figures: dict[str, Any]) -> str:
    if run.ended_at:
        return "failed" if figures.get("failed") else "succeeded"
    from tidegate.orchestration.run_lease import run_key

    return "running" if store.live_owners(run_key(run.run_id)) else "interrupted"


def _so_far(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    figures: Counter[str] = Counter(report["status"] for report in reports)
    figures["total"] = len(reports)
    for name in ("rows_in", "rows_out"):
        figures[name] = sum(report.get(name) or 0 for report in reports)
    return figures


def _shards(job_id: str, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return which shards of a job ran to their end, by the newest run of each, and which of them failed.

    The runs must agree about how many there are.
    """
    numbers = sorted({record["job_num"] for record in records})
    newest = {record["job_index"]: record for record in reversed(records)}
    ran = [index for index, record in sorted(newest.items()) if record["ended_at"]]
    failed = [index for index in ran if newest[index]["status"] == "failed"]
    missing = [index for index in range(max(numbers, default=0)) if index not in ran]
    return {
        "job_id": job_id,
        "job_num": numbers[0] if len(numbers) == 1 else numbers,
        "ran": ran,
        "failed": failed,
        "missing": missing,
        "begun": {str(index): newest[index]["status"] for index in missing if index in newest},
        "complete": len(numbers) == 1 and not missing and not failed,
    }


def _tell(records: Sequence[dict[str, Any]], shards: dict[str, Any] | None) -> None:
    if records:
        tell_table(_COLUMNS, [_row(record) for record in records])
    if shards is not None:
        tell(("\n" if records else "") + _shards_text(shards))
    elif not records:
        tell(f"Nothing has run yet. {styled('tidegate run', 'bold')} loads everything for the first time.")


def _row(record: dict[str, Any]) -> list[str | Cell]:
    from tidegate.reporting.figures import counted, spanned

    shard = f" {record['job_index']}/{record['job_num']}" if record["job_num"] > 1 else ""
    return [
        record["run_id"][:_SHORT],
        f"{record['started_at'][:16].replace('T', ' ')}Z",
        record["command"],
        Cell(record["status"], STYLES[record["status"]]),
        spanned(record["duration_seconds"]),
        *(counted(record[name] or None) for name in ("succeeded", "failed", "skipped")),
        counted(record["rows_in"]),
        counted(record["rows_out"]),
        f"{record['job_id'] or ''}{shard}".strip(),
    ]


def _shards_text(shards: dict[str, Any]) -> str:
    from tidegate.reporting.figures import plural

    number = shards["job_num"]
    if not number:
        return styled(f"no run of job {shards['job_id']!r}", "red")
    if isinstance(number, list):
        return styled(f"its runs disagree: the job has {' or '.join(map(str, number))} shards", "red")
    text = f"{len(shards['ran']):,} of {plural(number, 'shard')} ran"
    if shards["complete"]:
        return styled(text, "green")
    if shards["failed"]:
        text += f", {len(shards['failed']):,} failed"
    if not shards["missing"]:
        return styled(text, "red")
    named = ", ".join(
        f"{index} ({shards['begun'][str(index)]})" if str(index) in shards["begun"] else str(index)
        for index in shards["missing"]
    )
    return styled(f"{text}; missing {named}", "red")
