"""All trials of the tools asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

from chaos.peers import report
from chaos.peers.moments import Series
from chaos.peers.tools import TOOLS, Load
from chaos.peers.trial import Outcome, run_trial

KILLS = 30
"""Kills of a trial, unless told otherwise."""


def compare_tools(
    names: Sequence[str], *, kills: int, seed: int, folder: Path, output: str, tell: Callable[[str], None]
) -> int:
    """Run the trials one after another and print the result; 1 if Tidegate's tables were ever not as they must be."""
    chosen = [tool for name, tool in TOOLS.items() if not names or name in names]
    for tool in chosen:
        tool.prepare(tell)
    libraries = {f"{tool.name} {tool.version}": tool.libraries() for tool in chosen}
    outcomes: list[Outcome] = []
    for tool in chosen:
        for destination, strategy in tool.loads:
            load = Load(tool=tool.name, destination=destination, strategy=strategy)
            if not tool.runs(load):
                tell(f"{load.name}: this version of {tool.name} does not run it")
                continue
            outcomes += [
                run_trial(
                    tool, load, series, kills=kills, seed=seed, folder=folder.resolve() / load.name / series, tell=tell
                )
                for series in get_args(Series)
            ]
    if output == "json":
        print(report.as_json(outcomes, seed=seed, libraries=libraries))
    else:
        print(report.table(outcomes))
        print("", f"seed {seed}", *report.notes(outcomes), sep="\n")
        print(*(f"{name}: {', '.join(map(' '.join, each.items()))}" for name, each in libraries.items()), sep="\n")
    own = [outcome for outcome in outcomes if outcome.load.tool == "tidegate"]
    return int(any(each.damaged or each.stuck or each.calm_damaged for each in own))
