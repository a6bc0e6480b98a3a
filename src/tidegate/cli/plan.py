"""``tidegate plan``: what a run would do now."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from tidegate.cli.failure import FAILED
from tidegate.cli.options import (
    OPTIONS,
    add_allowed_functions,
    add_choice_of_flows,
    add_metadata,
    add_output,
    add_path,
    listed,
    metadata_of,
)
from tidegate.cli.terminal import columns, styled, tell, tell_json
from tidegate.errors import TidegateError

if TYPE_CHECKING:
    from tidegate.cli.parser import Parser
    from tidegate.models import DataFlow
    from tidegate.orchestration.stages import UnitPlan

USAGE = "[PATH] [OPTIONS]"
_WIDEST = 120
_LABEL = 10
_WORDS = {
    "meter": "rows",
    "keep source rows": "where",
    "keep rows": "where",
    "convert types": "convert",
    "add columns": "add",
    "add system columns": "add",
    "add SCD2 columns": "add",
    "mark deletes": "deletes",
    "add partition columns": "add",
    "column names": "names",
    "deduplicate": "dedupe",
}
"""Steps in one word, so that what they do stands in one column."""


def configure(parser: Parser) -> None:
    """Set up the command line."""
    add_path(parser)
    add_choice_of_flows(parser)
    parser.option(OPTIONS, "--graph", action="store_true", help="draw which flow waits for which, and why")
    add_allowed_functions(parser, OPTIONS)
    add_metadata(parser)
    add_output(parser)
    parser.set_defaults(execute=_plan)


def _plan(options: Namespace) -> int:
    if options.graph:
        from tidegate.cli.graph import show_graph

        return show_graph(options)
    from tidegate.cli.run import allowed_functions

    return show_plan(options, allowed_functions(options))


def show_plan(options: Namespace, config: Mapping[str, Any]) -> int:
    """Write what a run with these options would do, and return the exit code.

    Args:
        options: As `tidegate plan` has them.
        config: Options of the run.
    """
    from tidegate.orchestration.driver import create_driver
    from tidegate.reporting import progress_sink

    with create_driver(metadata_provider=metadata_of(options), sinks=[progress_sink()], **config) as driver:
        plans = driver.plan(listed(options.stage), names=listed(options.flow))
        root = str(driver.root)
    if options.output == "json":
        tell_json([_record(flow, plan) for flow, plan in plans])
    else:
        for flow, plan in plans:
            for line in _block(flow, plan, root):
                tell(line)
            tell()
        tell(_summary(plans))
    return FAILED if any(isinstance(plan, TidegateError) for _, plan in plans) else 0


def _record(flow: DataFlow, plan: UnitPlan | TidegateError) -> dict[str, Any]:
    from tidegate.orchestration.explainer import explain

    if not isinstance(plan, TidegateError):
        return {**explain(plan), "error": None}
    error = {"code": plan.code, "message": plan.message, "where": plan.where, "hint": plan.hint}
    return {"name": flow.name, "dataflow_id": flow.dataflow_id, "stage": flow.stage, "error": error}


def _block(flow: DataFlow, plan: UnitPlan | TidegateError, root: str) -> Iterator[str]:
    about = f"{flow.stage}, {flow.destination.load_type}" if flow.stage else flow.destination.load_type
    yield f"{styled(flow.name, 'bold')}  {styled(about, 'dim')}"
    if isinstance(plan, TidegateError):
        yield from _aligned("error", f"{plan.code} {plan.message}", "red")
        if plan.where:
            yield from _aligned("at", _shortened(plan.where, root))
        if plan.hint:
            yield from _aligned("hint", plan.hint, "cyan")
        return
    from tidegate.orchestration.explainer import explain

    explained = explain(plan)
    if explained["position"] != "start":
        yield from _aligned("position", explained["position"])
    for step in explained["steps"]:
        style = "green" if step["step"] == "idle" else "yellow" if step["step"] == "recover" else ""
        yield from _aligned(_WORDS.get(step["step"], step["step"]), _shortened(step["text"], root), style)
    for note in explained["notes"]:
        yield from _aligned("note", note, "yellow")


def _aligned(label: str, text: str, style: str = "") -> Iterator[str]:
    indent = _LABEL + 4
    lines = wrap(text, min(columns(), _WIDEST) - indent, break_long_words=False, break_on_hyphens=False) or [""]
    if not sys.stdout.isatty():
        lines = [" ".join(text.split())]
    yield f"  {styled(f'{label:<{_LABEL}}', style or 'dim')}  {lines[0]}"
    for line in lines[1:]:
        yield f"{'':<{indent}}{line}"


def _shortened(text: str, root: str) -> str:
    """Return the text with paths below the project folder relative to it."""
    return text.replace(f"{root}{os.sep}", "")


def _summary(plans: list[tuple[DataFlow, UnitPlan | TidegateError]]) -> str:
    from tidegate.orchestration.stages import Idle

    failed = sum(isinstance(plan, TidegateError) for _, plan in plans)
    idle = sum(
        not isinstance(plan, TidegateError) and any(isinstance(stage, Idle) for stage in plan.stages)
        for _, plan in plans
    )
    parts = [
        (len(plans) - failed - idle, "to load", "bold"),
        (idle, "with nothing new", "green"),
        (failed, "cannot be planned", "red"),
    ]
    counted = [styled(f"{count} {what}", style) for count, what, style in parts if count]
    return f"{len(plans)} flow{'' if len(plans) == 1 else 's'}: {', '.join(counted) or 'none'}. Nothing was changed."
