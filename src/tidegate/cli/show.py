"""``tidegate show``: what happened to every unit of one run."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tidegate.cli.numbers import positive
from tidegate.cli.options import WHAT, add_metadata, add_output, add_project, listed, metadata_of, naming
from tidegate.cli.runs import STYLES, record_of
from tidegate.cli.table import Cell, Column, compact, tell_table
from tidegate.cli.terminal import styled, tell, tell_json
from tidegate.errors import WatermarkError

if TYPE_CHECKING:
    from tidegate.cli.parser import Parser
    from tidegate.state import RunRecord, StateStore

USAGE = "RUN [OPTIONS]"
_LAST = "last"
_PAGE = 50
_ERRORS = 10
_UNITS = (
    Column(title="unit", shrinks_to=24),
    Column(title="status"),
    Column(title="rows in", align=">", priority=3),
    Column(title="rows out", align=">", priority=2),
    Column(title="took", align=">", priority=4),
    Column(title="tries", align=">", priority=6),
    Column(title="load", align=">", priority=7),
    Column(title="before", style="dim", shrinks_to=20, priority=8),
    Column(title="after", style="dim", shrinks_to=20, priority=1),
    Column(title="detail", style="dim", shrinks_to=20, priority=5),
)
_FLOWS = (
    Column(title="flow", shrinks_to=24),
    Column(title="units", align=">"),
    Column(title="succeeded", align=">", priority=2),
    Column(title="failed", align=">"),
    Column(title="skipped", align=">", priority=4),
    Column(title="rows in", align=">", priority=5),
    Column(title="rows out", align=">", priority=3),
    Column(title="took", align=">", priority=6),
)


def configure(parser: Parser) -> None:
    """Set up the command line."""
    parser.option(WHAT, "run", metavar="RUN", help="a run's id, the beginning of it, or `last`")
    parser.option(WHAT, "--flow", "-f", action="append", type=naming, metavar="NAME", help="only units of this flow")
    parser.option(WHAT, "--failed", action="store_true", help="only units that failed")
    parser.option(
        WHAT, "--limit", "-n", type=positive, default=_PAGE, metavar="N", help=f"units on a page; default {_PAGE}"
    )
    parser.option(WHAT, "--page", type=positive, metavar="N", help="which page; default 1")
    add_project(parser)
    add_metadata(parser)
    add_output(parser)
    parser.set_defaults(execute=_show)


def _show(options: Namespace) -> int:
    from tidegate.cli.project import state_store

    with state_store(metadata_of(options)) as store:
        run = _run(store, options.run)
        record, reports = record_of(store, run), store.reports(run.run_id)
    chosen = _chosen(reports, listed(options.flow), failed=options.failed)
    number = options.page or 1
    page = chosen[(number - 1) * options.limit : number * options.limit]
    if options.output == "json":
        flows = {"by_flow": _by_flow(reports), "matching": len(chosen), "page": number}
        tell_json({**record, **flows, "units": page})
        return 0
    _tell_head(record)
    is_chosen = bool(options.flow or options.failed or options.page)
    if len(reports) > options.limit and not is_chosen:
        _tell_flows(_by_flow(reports), options)
    elif page:
        tell_table(_UNITS, [_row(report) for report in page])
        _tell_errors(page)
        _tell_where(len(chosen), number, options.limit)
    else:
        tell("no unit fits" if reports else "no unit has ended")
    return 0


def _run(store: StateStore, name: str) -> RunRecord:
    if name != _LAST:
        return store.run(name)
    for newest in store.runs(limit=1):
        return newest
    hint = "`tidegate run` loads everything for the first time"
    raise WatermarkError("nothing has run yet", code="TG510", hint=hint)


def _chosen(reports: Sequence[dict[str, Any]], flows: list[str] | None, *, failed: bool) -> list[dict[str, Any]]:
    from tidegate.reporting.run_report import flow_of

    return [
        report
        for report in reports
        if (not failed or report["status"] == "failed")
        and (not flows or report["name"] in flows or flow_of(report["name"]) in flows)
    ]


def _by_flow(reports: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sum units up by flow, those with failures first."""
    from tidegate.reporting.run_report import flow_of

    flows: dict[str, dict[str, Any]] = {}
    for report in reports:
        name = flow_of(report["name"])
        flow = flows.setdefault(
            name,
            {"flow": name, "units": 0, "succeeded": 0, "failed": 0, "skipped": 0}
            | {"rows_in": 0, "rows_out": 0, "duration_seconds": 0.0},
        )
        flow["units"] += 1
        flow[report["status"]] += 1
        for figure in ("rows_in", "rows_out", "duration_seconds"):
            flow[figure] += report.get(figure) or 0
    return sorted(flows.values(), key=lambda flow: not flow["failed"])


def _tell_head(record: dict[str, Any]) -> None:
    from tidegate.reporting.figures import spanned

    parts = [f"{styled(record['run_id'], 'bold')}  {styled(record['status'], STYLES[record['status']])}"]
    parts.append(f"{record['command']} at {record['started_at'][:19].replace('T', ' ')}Z")
    if record["duration_seconds"] is not None:
        parts.append(f"took {spanned(record['duration_seconds'])}")
    if record["job_id"] or record["job_num"] > 1:
        parts.append(f"job {record['job_id'] or ''} {record['job_index']}/{record['job_num']}".replace("  ", " "))
    tell("  ".join(parts) + "\n")


def _tell_flows(flows: Sequence[dict[str, Any]], options: Namespace) -> None:
    from tidegate.reporting.figures import counted, plural, spanned

    shown = flows[: options.limit]
    tell_table(
        _FLOWS,
        [
            [
                flow["flow"],
                counted(flow["units"]),
                *(counted(flow[status] or None) for status in ("succeeded", "failed", "skipped")),
                counted(flow["rows_in"]),
                counted(flow["rows_out"]),
                spanned(flow["duration_seconds"]),
            ]
            for flow in shown
        ],
    )
    units = sum(flow["units"] for flow in flows)
    more = f"; {plural(len(flows) - len(shown), 'flow')} more with a greater --limit" if len(flows) > len(shown) else ""
    tell(f"\n{plural(units, 'unit')}: --flow NAME or --failed shows units, --page 1 all of them in pages{more}")


def _row(report: dict[str, Any]) -> list[str | Cell]:
    from tidegate.reporting.figures import counted, spanned

    status, error = report["status"], report.get("error")
    tries = report.get("attempts") or 0
    return [
        report["name"],
        Cell(f"{status} {error['code']}" if error else status, STYLES[status]),
        counted(report.get("rows_in")),
        counted(report.get("rows_out")),
        spanned(report.get("duration_seconds")),
        counted(tries if tries > 1 else None),
        counted(report.get("sequence")),
        compact(report.get("position_before") or ""),
        compact(report.get("position_after") or ""),
        report.get("detail") or "",
    ]


def _tell_errors(reports: Sequence[dict[str, Any]]) -> None:
    """Write each different error once, with the units that it stopped."""
    stopped: dict[tuple[str, ...], list[str]] = {}
    for report in reports:
        if error := report.get("error"):
            key = tuple(str(error.get(part) or "") for part in ("code", "message", "where", "hint"))
            stopped.setdefault(key, []).append(report["name"])
    for (code, message, where, hint), names in list(stopped.items())[:_ERRORS]:
        more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        tell(f"\n{styled(names[0] + more, 'red')}  {styled(code, 'bold')} {message}")
        if where:
            tell(f"  {styled('at', 'dim')} {where}")
        if hint:
            tell(f"  {styled('hint:', 'cyan')} {hint}")
    if len(stopped) > _ERRORS:
        tell(f"\n{len(stopped) - _ERRORS:,} other errors: --failed --limit N, --output json")


def _tell_where(matching: int, number: int, limit: int) -> None:
    pages = -(-matching // limit)
    if pages > 1:
        tell(f"\npage {number} of {pages}: {matching:,} units")
