"""The one table that a person reads, the same as Markdown and JSON, and what it has no column for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from chaos.failpoints import FAILPOINTS, on_the_way_of
from chaos.outcome import Outcome

_LAST = ("random kills", "reader", "verdict")


def table(outcomes: Sequence[Outcome]) -> str:
    """One line a case, one column a failpoint; columns are numbered, and explained below."""
    numbers = [str(number) for number in range(1, len(FAILPOINTS) + 1)]
    lines = [("", *numbers, *_LAST), *(_line(outcome) for outcome in outcomes)]
    if len(outcomes) > 1:
        lines.append(_total(outcomes))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    ruled = [lines[0], tuple("-" * width for width in widths), *lines[1:]]
    text = [
        " ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in enumerate(cells))
        for cells in (list(zip(line, widths, strict=True)) for line in ruled)
    ]
    return "\n".join([*text, "", *_legend()])


def markdown(outcomes: Sequence[Outcome], seed: int) -> str:
    """The same table, and the notes, as Markdown."""
    lines = [("strategy and destination", *FAILPOINTS, *_LAST), *(_line(outcome) for outcome in outcomes)]
    if len(outcomes) > 1:
        lines.append(_total(outcomes))
    rule = ("---", *[":-:"] * len(FAILPOINTS), "--:", "--:", "---")
    text = [f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:])]
    return "\n".join([*text, "", f"Seed {seed}.", "", *(f"- {note}" for note in notes(outcomes, seed)), ""])


def as_json(outcomes: Sequence[Outcome], seed: int) -> str:
    """All that is known, for programs."""
    return json.dumps({"seed": seed, "ok": is_ok(outcomes), "cases": [_record(each) for each in outcomes]})


def notes(outcomes: Sequence[Outcome], seed: int) -> Iterator[str]:
    """Races, state stores, litter; and of every failed case the differences, the folder and the seed."""
    kills, rows = sum(outcome.kills for outcome in outcomes), sum(outcome.rows_found for outcome in outcomes)
    recovered = sum(outcome.recoveries for outcome in outcomes)
    yield f"{kills:,} kills, {recovered:,} positions recovered from destinations, {rows:,} rows compared"
    for outcome in outcomes:
        about = [
            f"racers told {_counted(outcome.told)}" if outcome.told else "",
            f"state store {_counted(outcome.state_troubles)}" if outcome.state_troubles else "",
        ]
        if any(about):
            yield f"{outcome.case.name}: {'; '.join(filter(None, about))}"
    for outcome in outcomes:
        if not outcome.is_ok:
            yield f"DIFFERENT {outcome.case.name} (--case {outcome.case.name} --seed {seed}), kept in {outcome.folder}"
            yield from (f"  never reached: {name}" for name in outcome.unmet)
            yield from (f"  {text}" for text in outcome.differences[:20])


def is_ok(outcomes: Sequence[Outcome]) -> bool:
    """Tell whether nothing differed and everything was met."""
    return all(outcome.is_ok for outcome in outcomes)


def _line(outcome: Outcome) -> tuple[str, ...]:
    return (
        outcome.case.name,
        *(_cell(outcome, name) for name in FAILPOINTS),
        str(outcome.random_kills),
        f"{outcome.sightings:,}" if outcome.case.watched else "",
        "ok" if outcome.is_ok else "DIFFERENT",
    )


def _cell(outcome: Outcome, name: str) -> str:
    """✓ and the kills; ✗ where an increment differed then, or nobody came by; nothing where no load comes by."""
    if name in outcome.bad_failpoints or name in outcome.unmet:
        return f"✗{outcome.failpoints[name]}"
    if name not in on_the_way_of(outcome.case.flows):
        return "·"
    return f"✓{outcome.failpoints[name]}" if outcome.failpoints[name] else ""


def _total(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    met = sum((outcome.failpoints for outcome in outcomes), Counter[str]())
    bad = sum(not outcome.is_ok for outcome in outcomes)
    return (
        "all",
        *(str(met[name] or "") for name in FAILPOINTS),
        f"{sum(outcome.random_kills for outcome in outcomes):,}",
        f"{sum(outcome.sightings for outcome in outcomes):,}",
        f"{bad} DIFFERENT" if bad else "ok",
    )


def _legend() -> Iterator[str]:
    """The names of the columns, five in a line."""
    names = [f"{number} {name}" for number, name in enumerate(FAILPOINTS, 1)]
    for first in range(0, len(names), 6):
        yield "   ".join(name.ljust(20) for name in names[first : first + 6]).rstrip()


def _record(outcome: Outcome) -> dict[str, Any]:
    return {
        "case": outcome.case.name,
        "strategies": sorted({flow.strategy.name for flow in outcome.case.flows}),
        "destinations": sorted({flow.format for flow in outcome.case.flows}),
        "failpoints": {name: outcome.failpoints[name] for name in on_the_way_of(outcome.case.flows)},
        "random_kills": outcome.random_kills,
        "phases": dict(outcome.phases),
        "runs": outcome.runs,
        "campaigns": outcome.campaigns,
        "increments": outcome.increments,
        "recovered": outcome.recoveries,
        "sightings": outcome.sightings,
        "state_troubles": dict(outcome.state_troubles),
        "told": dict(outcome.told),
        "rows_expected": outcome.rows_expected,
        "rows_found": outcome.rows_found,
        "unseen_files": outcome.litter,
        "seconds": round(outcome.seconds, 1),
        "never_reached": outcome.unmet,
        "differences": outcome.differences,
        "ok": outcome.is_ok,
    }


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {times}" for name, times in sorted(counter.items()))
