"""The table that a person reads, and the same numbers as JSON."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.child import TIDEGATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.compare import Outcome

HEADINGS = ("case", "rows", "side", "work s", "process s", "peak MiB", "ratio", "memory ratio", "verdict")
TIDEGATE_FLOW_GOAL_MS = 5.0
HELP_GOAL_SECONDS = 0.150


def table(outcomes: Sequence[Outcome]) -> str:
    """One line a side: medians over the runs, and the median of the pairwise ratios to the hand-written line above."""
    lines = [HEADINGS, *(line for outcome in outcomes for line in _lines(outcome))]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    ruled = [lines[0], tuple("-" * width for width in widths), *lines[1:]]
    return "\n".join(_line(cells, widths) for cells in ruled)


def notes(outcomes: Sequence[Outcome], help_seconds: float | None) -> Iterator[str]:
    """What the table has no column for: time per flow, the memory cap, ``--help``, and every failure in full."""
    for outcome in outcomes:
        if outcome.case.unit == "flows":
            yield _per_flow(outcome)
        if outcome.cap:
            yield f"{outcome.case.name}: memory cap {outcome.cap.how}"
    if help_seconds is not None:
        verdict = "within" if help_seconds < HELP_GOAL_SECONDS else "OVER"
        yield f"tidegate --help: {help_seconds * 1000:.0f} ms, best of 10 ({verdict} {HELP_GOAL_SECONDS * 1000:.0f} ms)"
    for outcome in outcomes:
        yield from (f"FAILED {outcome.case.name}, {side}: {what}" for side, what in outcome.failures)


def as_json(outcomes: Sequence[Outcome], help_seconds: float | None) -> dict[str, Any]:
    """Every single measurement, and the machine it was taken on."""
    return {
        "machine": {"platform": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()},
        "help_seconds": help_seconds,
        "cases": [
            {
                "case": outcome.case.name,
                "size": outcome.size,
                "unit": outcome.case.unit,
                "rows": outcome.case.rows(outcome.size),
                "yardstick": outcome.yardstick,
                "sides": {side: [asdict(run) for run in runs] for side, runs in outcome.sides.items()},
                "ratio": outcome.ratio(TIDEGATE, "work_seconds"),
                "process_ratio": outcome.ratio(TIDEGATE, "process_seconds"),
                "memory_ratio": outcome.ratio(TIDEGATE, "peak_mib"),
                "cap": outcome.cap and outcome.cap.how,
                "failures": [{"side": side, "what": what} for side, what in outcome.failures],
            }
            for outcome in outcomes
        ],
    }


def _lines(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    """The lines of one case: the yardstick, Tidegate, then the other hand-written ways that were asked for."""
    for side in outcome.asked:
        first = side == outcome.asked[0]
        compared = side != outcome.yardstick
        yield (
            outcome.case.title if first else "",
            f"{outcome.case.rows(outcome.size):,}" if first else "",
            side,
            _number(outcome.median(side, "work_seconds"), ".3f"),
            _number(outcome.median(side, "process_seconds"), ".3f"),
            _number(outcome.median(side, "peak_mib"), ".0f"),
            _number(outcome.ratio(side, "work_seconds") if compared else None, ".2f"),
            _number(outcome.ratio(side, "peak_mib") if compared else None, ".2f"),
            "FAILED" if any(side == failed for failed, _ in outcome.failures) else "ok",
        )


def _per_flow(outcome: Outcome) -> str:
    """Milliseconds a flow on either side, and the difference: a framework's own time."""
    by_hand = outcome.median(outcome.yardstick, "work_seconds")
    tidegate = outcome.median(TIDEGATE, "work_seconds")
    said = f"{outcome.case.name}: {_per(by_hand, outcome.size)} ms a flow by hand"
    if by_hand is None or tidegate is None:
        return said
    own = (tidegate - by_hand) / outcome.size * 1000
    verdict = "within" if own < TIDEGATE_FLOW_GOAL_MS else "OVER"
    return (
        f"{said}, {_per(tidegate, outcome.size)} ms by Tidegate: "
        f"{own:.2f} ms of its own ({verdict} {TIDEGATE_FLOW_GOAL_MS:.0f} ms)"
    )


def _per(seconds: float | None, flows: int) -> str:
    """Milliseconds a flow, as text."""
    return _number(seconds / flows * 1000 if seconds is not None else None, ".2f")


def _number(value: float | None, form: str) -> str:
    """A number, or a dash where none was measured."""
    return "–" if value is None else format(value, form)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """One line of the table: words to the left, numbers to the right."""
    words = {0, 2, 8}
    placed = (
        cell.ljust(width) if column in words else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(placed).rstrip()
