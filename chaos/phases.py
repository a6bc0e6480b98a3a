"""What a run's events tell: how long its phases last, and where it was when it died."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

Events = Sequence[Mapping[str, Any]]

PHASES = ("lease", "planning", "reading", "writing", "committing", "ending")
"""`lease`: before planning. `ending`: after the unit's end, while others run or the process closes."""
START_UP = "start-up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How an undisturbed run went, in seconds since its process started."""

    first_unit: float
    """When the first unit started."""
    last_unit: float
    """When the last one ended."""
    phases: Mapping[str, Mapping[str, float]]
    """Flow → phase → how long it lasted."""
    cold_seconds: float = 1.2
    """About how long a process takes to import everything."""


def read_events(path: Path) -> list[dict[str, Any]]:
    """Return the events in a run's stderr so far; a line cut off by a kill is left out."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines[:-1] if line.startswith(b"{")]


def profile(events: Events, started: float, ended: float) -> Profile:
    """Measure an undisturbed run."""
    marks: dict[str, list[tuple[str, float]]] = {}
    for event in events:
        if phase := _phase(event):
            told = marks.setdefault(event["name"], [])
            if not told or told[-1][0] != phase:
                told.append((phase, _time(event) - started))
    phases = {
        name: {
            phase: following - began
            for (phase, began), (_, following) in zip(told, [*told[1:], ("", ended - started)], strict=True)
        }
        for name, told in marks.items()
    }
    first = min(told[0][1] for told in marks.values())
    last = max(told[-1][1] for told in marks.values())
    return Profile(first_unit=first, last_unit=last, phases=phases)


def reached(events: Events, phase: str, flow: str | None) -> bool:
    """Tell whether a flow has come to a phase, or past it."""
    place = PHASES.index(phase)
    return any(
        PHASES.index(there) >= place
        for event in events
        if (there := _phase(event)) and (flow is None or event["name"] == flow)
    )


def where(events: Events) -> Counter[str]:
    """Return in which phase each unit under way was at the last event: one entry a unit."""
    last = {event["name"]: there for event in events if (there := _phase(event))}
    under_way = Counter(there for there in last.values() if there != "ending")
    return under_way or Counter({"ending" if last else START_UP: 1})


def recoveries(events: Events) -> int:
    """Count the units that took their position from the destination."""
    return sum("recovered" in (event.get("detail") or "") for event in events if event["event"] == "unit_finished")


def failures(events: Events) -> list[tuple[str, str, str]]:
    """Return name, code and message of the units that failed."""
    return [
        (event["name"], str(event["error"].get("code")), event["error"]["message"])
        for event in events
        if event["event"] == "unit_finished" and event.get("error")
    ]


def _phase(event: Mapping[str, Any]) -> str | None:
    match event["event"]:
        case "unit_started":
            return "lease"
        case "unit_progress":
            return str(event["phase"])
        case "unit_finished":
            return "ending"
        case _:
            return None


def _time(event: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(event["at"]).timestamp()
