"""The explainer: the visitor that says what the stages of a plan will do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidegate.orchestration.stages import (
    CommitLoad,
    CommitWindow,
    Idle,
    KeepSourceRows,
    KeepWindow,
    Meter,
    Read,
    Recover,
    Stage,
    Transform,
    UnitPlan,
    Write,
)
from tidegate.state.watermark import render_value

if TYPE_CHECKING:
    from collections.abc import Mapping


def explain(plan: UnitPlan) -> dict[str, Any]:
    """Return a plan as JSON-ready data: the dataflow, and per stage its name and what it does."""
    return {
        "name": plan.flow.name,
        "dataflow_id": plan.flow.dataflow_id,
        "stage": plan.flow.stage,
        "load_type": plan.flow.destination.load_type,
        "destination": plan.table.place,
        "position": plan.state.position.render(),
        "idle": any(isinstance(stage, Idle) for stage in plan.stages),
        "steps": [explain_stage(stage) for stage in plan.stages],
        "notes": [*filter(None, [plan.takes_over]), *plan.notes],
    }


def explain_stage(stage: Stage) -> dict[str, Any]:  # noqa: C901, PLR0911 - one case a stage
    """Return a stage as JSON-ready data: `step`, `text`, and the figures behind the text."""
    match stage:
        case Recover(state=state):
            text = f"the destination has load {state.sequence} already: take over {state.position.render()}"
            return {"step": "recover", "text": text, "sequence": state.sequence}
        case Idle(plan=read, reason=reason):
            about = read.describe()
            return {"step": "idle", "text": f"{reason}; {_read_text(about)}", **about}
        case Read(plan=read):
            about = read.describe()
            return {"step": "read", "text": _read_text(about), **about}
        case KeepSourceRows(expression=expression):
            return {"step": "keep source rows", "text": expression}
        case KeepWindow(window=window):
            return {"step": "keep window", "text": f"{window.column} in {window.window}", "window": str(window.window)}
        case Meter():
            return {"step": "meter", "text": _meter_text(stage)}
        case Transform(name=name, detail=detail):
            return {"step": name, "text": detail}
        case Write():
            return {"step": "write", "text": _write_text(stage), "strategy": stage.strategy, "place": stage.place}
        case CommitLoad(sequence=sequence, window=window):
            text = f"load {sequence}: rows, sequence and position in one step"
            text += f"; the position moves to {window.window.upper}" if window else ""
            return {"step": "commit", "text": text, "sequence": sequence}
        case CommitWindow(window=window):
            text = f"{window.window}: rows, and that the window is in, in one step; the position stays"
            return {"step": "commit", "text": text, "window": str(window.window)}


def _read_text(about: Mapping[str, Any]) -> str:
    text = str(about["read"])
    if "files" in about:
        total = about["files"] + about["files skipped"]
        text += f": {about['files']} of {total} file{'s' if total != 1 else ''}, {about['bytes']:,} bytes"
        skipped = [
            f"{about[kind]} {kind}" for kind in ("unchanged", "older by name", "older by statistics") if about[kind]
        ]
        text += f" (skipped: {', '.join(skipped)})" if skipped else ""
    return text


def _meter_text(stage: Meter) -> str:
    if not stage.columns:
        return "all rows"
    if not stage.start:
        return f"all rows; find the greatest {', '.join(stage.columns)}"
    bounds = " or ".join(f"{column} >= {render_value(value)}" for column, value in stage.start.items())
    return f"rows with {bounds}" + (", without those that are loaded already" if stage.recognises else "")


def _write_text(stage: Write) -> str:
    verb = "create" if stage.creates else stage.strategy
    partitions = f", partitioned by {', '.join(stage.partition_by)}" if stage.partition_by else ""
    return f"{verb} {stage.place}: {stage.detail}{partitions}"
