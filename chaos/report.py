"""The table that a person reads, and what it has no column for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from chaos.campaign import Outcome
from chaos.failpoints import FAILPOINTS
from chaos.phases import PHASES, START_UP

_HEADINGS = ("case", "kills", *(START_UP, *PHASES), "recovered", "rows expected", "rows found", "verdict")


def table(outcomes: Sequence[Outcome]) -> str:
    """One line a case; phases in percent of the units that a kill met."""
    lines = [_HEADINGS, *(_line(outcome) for outcome in outcomes)]
    if len(outcomes) > 1:
        lines.append(_total(outcomes))
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    ruled = [lines[0], tuple("-" * width for width in widths), *lines[1:]]
    return "\n".join(
        "  ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in enumerate(cells))
        for cells in (list(zip(line, widths, strict=True)) for line in ruled)
    )


def notes(outcomes: Sequence[Outcome], seed: int) -> Iterator[str]:
    """Failpoints, races, readers, litter; and of every failed case the differences, the folder and the seed."""
    failpoints = sum((outcome.failpoints for outcome in outcomes), Counter[str]())
    missed = [name for name in FAILPOINTS if name not in failpoints]
    yield f"failpoints: {failpoints.total()} deaths at {len(failpoints)} of {len(FAILPOINTS)}" + (
        f" (not met: {', '.join(missed)})" if missed else ""
    )
    for outcome in outcomes:
        about = [
            f"{outcome.increments} increments, {outcome.runs} disturbed runs, {outcome.seconds:.0f} s",
            f"reader: {outcome.sightings} versions seen" if outcome.case.watched else "",
            f"state store: {_counted(outcome.state_troubles)}" if outcome.state_troubles else "",
            f"racers told: {_counted(outcome.told)}" if outcome.told else "",
            f"{outcome.litter} unseen files left behind" if outcome.litter else "",
        ]
        yield f"{outcome.case.name}: {'; '.join(filter(None, about))}"
    for outcome in outcomes:
        if outcome.differences:
            yield f"DIFFERENT {outcome.case.name} (seed {seed}), kept in {outcome.folder}"
            yield from (f"  {text}" for text in outcome.differences[:20])


def _line(outcome: Outcome) -> tuple[str, ...]:
    return (
        outcome.case.name,
        str(outcome.kills),
        *_shares(outcome.phases),
        str(outcome.recoveries),
        f"{outcome.rows_expected:,}",
        f"{outcome.rows_found:,}",
        "DIFFERENT" if outcome.differences else "ok",
    )


def _total(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    met = sum((outcome.phases for outcome in outcomes), Counter[str]())
    kills, recovered = (sum(getattr(outcome, name) for outcome in outcomes) for name in ("kills", "recoveries"))
    bad = sum(bool(outcome.differences) for outcome in outcomes)
    return ("all", str(kills), *_shares(met), str(recovered), "", "", f"{bad} DIFFERENT" if bad else "ok")


def _shares(met: Counter[str]) -> list[str]:
    total = met.total() or 1
    return [f"{100 * met[phase] / total:.0f}%" if met[phase] else "" for phase in (START_UP, *PHASES)]


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {times}" for name, times in sorted(counter.items()))
