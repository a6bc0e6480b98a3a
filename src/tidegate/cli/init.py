"""``tidegate init``: a new project."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.cli.files import flights_files, quickstart_files, refuse_to_replace, write_files, year_files
from tidegate.cli.options import OPTIONS, WHAT, add_output
from tidegate.cli.steps import Step, as_typed, step_into, tell_steps
from tidegate.cli.terminal import styled, tell, tell_json

if TYPE_CHECKING:
    from tidegate.cli.parser import Parser

USAGE = "[DIR] [OPTIONS]"
_SAMPLES = {"orders": quickstart_files, "flights": flights_files, "year": year_files}
_ABOUT = {
    "tidegate.yaml": "what is loaded, and where to",
    "landing/": "files as they arrive",
    "arrivals/": "files that arrive later",
    ".gitignore": "keeps state and tables out of git",
    "ORIGIN.md": "where the data comes from",
}
_ARRIVE = {"orders": "cp arrivals/* landing/orders/", "flights": "cp -r arrivals/* landing/"}
_ARRIVED = {
    "orders": "the next day: 3 new orders, 3 changed ones",
    "flights": "February's flights and weather, corrected planes",
}
_REPLAY = "replay --from 2013-01-01 --to 2014-01-01 --by 1mo"


def configure(parser: Parser) -> None:
    """Set up the command line."""
    parser.option(WHAT, "folder", nargs="?", type=Path, default=Path(), metavar="DIR", help="here when not given")
    about = "a shop's orders, which is the default; the flights of `tidegate demo`; or a year of them, to backfill"
    parser.option(OPTIONS, "--sample", choices=tuple(_SAMPLES), default="orders", help=about)
    add_output(parser)
    parser.set_defaults(execute=_init)


def _init(options: Namespace) -> int:
    folder: Path = options.folder.resolve()
    files = _SAMPLES[options.sample]()
    refuse_to_replace(folder, files)
    write_files(folder, files)
    steps = _steps(folder, options.sample)
    if options.output == "json":
        steps_data = [{"command": command, "what": what} for command, what in steps]
        tell_json({"folder": str(folder), "files": list(files), "next": steps_data})
        return 0
    tell(f"A new project in {styled(str(folder), 'bold')}")
    tell()
    parts = dict.fromkeys(place.partition("/")[0] + ("/" if "/" in place else "") for place in files)
    for part in sorted(parts, key=list(_ABOUT).index):
        tell(f"  {part:<15}{styled(_ABOUT[part], 'dim')}")
    tell(f"\n{styled('Next', 'bold')}")
    tell_steps(steps)
    return 0


def _steps(folder: Path, sample: str) -> list[Step]:
    program = as_typed(folder)
    if sample == "year":
        return [
            *step_into(folder),
            (f"{program} plan --graph", "which flow waits for which"),
            (f"{program} {_REPLAY} --dry-run", "the windows; changes nothing"),
            (f"{program} {_REPLAY}", "load the year, month by month"),
            (f"{program} show last", "what was done"),
        ]
    return [
        *step_into(folder),
        (f"{program} plan", "what a run would do; changes nothing"),
        (f"{program} run", "load what is there"),
        (_ARRIVE[sample], _ARRIVED[sample]),
        (f"{program} run", "load only what is new"),
        (f"{program} status", "where each flow stands"),
    ]
