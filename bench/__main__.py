"""``python -m bench``: Tidegate beside the best hand-written code, in one table."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench import report
from bench.cases import ALL
from bench.compare import compare, sides_of
from bench.databases import servers
from bench.measure import ChildFailedError, best_wall_seconds


def main() -> int:
    """Run the cases asked for and print the table; 1 when Tidegate or the yardstick failed or held other rows."""
    asked = _arguments()
    outcomes = []
    with servers():
        for name in asked.case or ALL:
            case = ALL[name]
            sides = sides_of(case, peer_only=asked.peer_only, every_peer=asked.all)
            outcomes.append(compare(case, short=asked.short, runs=asked.runs, sides=sides, tell=_tell))
    help_seconds, trouble = _help_seconds() if not asked.peer_only else (None, None)
    print(report.table(outcomes))
    print(*("", *report.notes(outcomes, help_seconds)), sep="\n")
    if trouble:
        print(f"FAILED tidegate --help: {trouble}")
    if asked.json:
        asked.json.write_text(json.dumps(report.as_json(outcomes, help_seconds), indent=2) + "\n")
    return 1 if trouble or any(outcome.failed for outcome in outcomes) else 0


def _arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="about a fiftieth of the rows: a check, not a measurement")
    parser.add_argument("--case", action="extend", nargs="+", choices=list(ALL), metavar="NAME", help=", ".join(ALL))
    parser.add_argument("--runs", type=int, default=3, help="how often each side runs (3)")
    parser.add_argument("--all", action="store_true", help="also the other hand-written ways, as extra lines")
    parser.add_argument("--peer-only", action="store_true", help="leave Tidegate out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement to FILE")
    return parser.parse_args()


def _help_seconds() -> tuple[float | None, str | None]:
    """The best of ten ``tidegate --help``, or why it could not be had."""
    _tell("tidegate --help: 10 runs")
    script = Path(sys.executable).with_name("tidegate")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "tidegate"]
    try:
        return best_wall_seconds([*command, "--help"], times=10), None
    except ChildFailedError as error:
        return None, str(error)


def _tell(line: str) -> None:
    """Progress, on stderr."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
