"""``tidegate status``: where each flow stands."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidegate.cli.options import add_choice_of_flows, add_metadata, add_output, add_path, listed, metadata_of
from tidegate.cli.table import Cell, Column, compact, tell_table
from tidegate.cli.terminal import styled, tell, tell_json

if TYPE_CHECKING:
    from tidegate.cli.parser import Parser
    from tidegate.models import DataFlow
    from tidegate.state import FlowState

USAGE = "[PATH] [OPTIONS]"
_STYLES = {"succeeded": "green", "failed": "red", "never run": "dim", "inactive": "dim", "skipped": "yellow"}
_REPORTED = ("run_id", "status", "started_at", "ended_at", "duration_seconds", "rows_in", "rows_out", "error")
_COLUMNS = (
    Column(title="flow", shrinks_to=18),
    Column(title="stage", style="dim", priority=7),
    Column(title="last run"),
    Column(title="ago", align=">", priority=4),
    Column(title="rows in", align=">", priority=3),
    Column(title="rows out", align=">", priority=2),
    Column(title="took", align=">", priority=6),
    Column(title="load", align=">", priority=8),
    Column(title="position", style="dim", shrinks_to=24, priority=1),
)


def configure(parser: Parser) -> None:
    """Set up the command line."""
    add_path(parser)
    add_choice_of_flows(parser)
    add_metadata(parser)
    add_output(parser)
    parser.set_defaults(execute=_status)


def _status(options: Namespace) -> int:
    from tidegate.cli.project import state_store

    metadata = metadata_of(options)
    flows = metadata.get_dataflows(listed(options.stage), names=listed(options.flow), active_only=False)
    with state_store(metadata) as store:
        states = {state.dataflow_id: state for state in store.states()}
        reports = store.last_reports()
    records = [_record(flow, states.get(flow.dataflow_id), reports.get(flow.dataflow_id)) for flow in flows]
    if options.output == "json":
        tell_json(records)
        return 0
    tell_table(_COLUMNS, [_row(record) for record in records])
    _tell_errors(records)
    if not reports:
        tell(f"\nNothing has run yet. {styled('tidegate run', 'bold')} loads everything for the first time.")
    return 0


def _record(flow: DataFlow, state: FlowState | None, report: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "name": flow.name,
        "dataflow_id": flow.dataflow_id,
        "stage": flow.stage,
        "is_active": flow.is_active,
        "load_type": flow.destination.load_type,
        "destination": flow.destination.path or flow.destination.table,
        "position": state.position.render() if state else None,
        "sequence": state.sequence if state else 0,
        "origin": state.origin if state else None,
        "last_run": {name: report[name] for name in _REPORTED} if report else None,
    }


def _row(record: Mapping[str, Any]) -> list[str | Cell]:
    from tidegate.reporting.figures import counted, spanned

    last = record["last_run"] or {}
    status = last.get("status", "never run") if record["is_active"] else "inactive"
    shown = f"{status} {last['error']['code']}" if status == "failed" and last.get("error") else status
    return [
        record["name"],
        record["stage"] or "",
        Cell(shown, _STYLES.get(status, "")),
        _ago(datetime.fromisoformat(last["ended_at"])) if last else "",
        counted(last.get("rows_in")),
        counted(last.get("rows_out")),
        spanned(last.get("duration_seconds")),
        counted(record["sequence"] or None),
        compact(record["position"] or ""),
    ]


def _ago(moment: datetime) -> str:
    """Return how long ago that was, in one unit."""
    seconds = max(0, int((datetime.now(UTC) - moment).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _tell_errors(records: list[dict[str, Any]]) -> None:
    for record in records:
        error = (record["last_run"] or {}).get("error")
        if error:
            tell(f"\n{styled(record['name'], 'red')}  {styled(error['code'], 'bold')} {error['message']}")
            if error.get("where"):
                tell(f"  {styled('at', 'dim')} {error['where']}")
            if error.get("hint"):
                tell(f"  {styled('hint:', 'cyan')} {error['hint']}")
