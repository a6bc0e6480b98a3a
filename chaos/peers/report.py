"""The table that a person reads, the same as JSON, and what there is to say besides."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from chaos.peers.trial import Outcome

_HEADINGS = (
    "tool",
    "version",
    "destination",
    "strategy",
    "killed",
    "kills",
    "runs",
    "rows expected",
    "rows lost",
    "rows doubled",
    "rows wrong",
    "broken files",
    "loads",
    "loads damaged",
    "runs with holes",
    "could not go on",
)
_WORDS = 5
"""Columns at the left that hold words."""


def table(outcomes: Sequence[Outcome]) -> str:
    """One line a trial, as a Markdown table."""
    lines = [_HEADINGS, *(_line(outcome) for outcome in outcomes)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    rule = tuple("-" * width if column < _WORDS else "-" * (width - 1) + ":" for column, width in enumerate(widths))
    return "\n".join(
        "| "
        + " | ".join(
            cell.ljust(width) if column < _WORDS else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in (lines[0], rule, *lines[1:])
    )


def notes(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """How long loads last, what the reader met, how runs failed, and whether undisturbed loads were right."""
    for outcome in outcomes:
        about = [
            f"a load lasts {median(outcome.seconds):.2f} s",
            f"the reader met {_counted(outcome.holes_met)}" if outcome.holes_met else "",
            f"runs failed: {_counted(outcome.failures)}" if outcome.failures else "",
            f"right only after one more run: {outcome.healed}" if outcome.healed else "",
            f"UNDISTURBED LOADS WERE WRONG: {outcome.calm_damaged}" if outcome.calm_damaged else "",
        ]
        yield f"{outcome.load.name}, {outcome.series}: {'; '.join(filter(None, about))}"


def as_json(outcomes: Sequence[Outcome], *, seed: int, libraries: Mapping[str, Mapping[str, str]]) -> str:
    """Everything of the table and the notes."""
    return json.dumps({"seed": seed, "libraries": libraries, "trials": [_data(each) for each in outcomes]}, indent=2)


def _line(outcome: Outcome) -> tuple[str, ...]:
    return (
        outcome.load.tool,
        outcome.version,
        outcome.load.destination,
        outcome.load.strategy,
        outcome.series,
        str(outcome.kills),
        str(outcome.runs),
        f"{outcome.rows_expected:,}",
        f"{outcome.rows_lost:,}",
        f"{outcome.rows_doubled:,}",
        f"{outcome.rows_wrong:,}",
        str(outcome.broken_files),
        str(outcome.increments),
        str(outcome.damaged),
        "not read" if outcome.holes is None else str(outcome.holes),
        str(outcome.stuck),
    )


def _data(outcome: Outcome) -> dict[str, Any]:
    return {
        "tool": outcome.load.tool,
        "version": outcome.version,
        "destination": outcome.load.destination,
        "strategy": outcome.load.strategy,
        "killed": outcome.series,
        "kills": outcome.kills,
        "runs": outcome.runs,
        "rows_expected": outcome.rows_expected,
        "rows_lost": outcome.rows_lost,
        "rows_doubled": outcome.rows_doubled,
        "rows_wrong": outcome.rows_wrong,
        "loads": outcome.increments,
        "loads_damaged": outcome.damaged,
        "broken_files": outcome.broken_files,
        "loads_right_after_one_more_run": outcome.healed,
        "runs_with_holes": outcome.holes,
        "could_not_go_on": outcome.stuck,
        "undisturbed_loads_wrong": outcome.calm_damaged,
        "seconds_of_a_load": round(median(outcome.seconds), 3),
        "holes_met": dict(outcome.holes_met),
        "failures": dict(outcome.failures),
    }


def _counted(counter: Mapping[str, int]) -> str:
    return ", ".join(
        f"{times} times {what!r}" for what, times in sorted(counter.items(), key=lambda each: -each[1])[:5]
    )
