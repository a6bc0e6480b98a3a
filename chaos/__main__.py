"""``python -m chaos``: kill real runs at every moment; no row may be lost or doubled."""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from chaos import report
from chaos.campaign import run_case
from chaos.cases import CASES, SHORT

_SHORT_ROWS = 12_000


def main() -> int:
    """Run the cases asked for and print the table; 1 on any difference."""
    asked = _arguments()
    root = Path(tempfile.mkdtemp(prefix="tidegate-chaos-", dir=asked.folder))
    seed = secrets.randbelow(1_000_000) if asked.seed is None else asked.seed
    _tell(f"seed {seed}, folder {root}")
    kills = SHORT if asked.short else dict.fromkeys(CASES, 100)
    outcomes = [
        run_case(
            replace(CASES[name], rows=_SHORT_ROWS) if asked.short else CASES[name],
            kills=asked.kills or kills.get(name, 3),
            seed=seed,
            folder=root / name,
            tell=_tell,
        )
        for name in asked.case or kills
    ]
    print(report.table(outcomes))
    print(*("", *report.notes(outcomes, seed)), sep="\n")
    if any(outcome.differences for outcome in outcomes):
        return 1
    shutil.rmtree(root)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few kills in a few cases, for CI (half a minute)")
    parser.add_argument("--kills", type=int, metavar="N", help="kills a case (100)")
    parser.add_argument("--seed", type=int, metavar="S", help="repeats the sources and the drawn moments of a run")
    parser.add_argument(
        "--case", action="extend", nargs="+", choices=list(CASES), metavar="NAME", help=", ".join(CASES)
    )
    parser.add_argument("--folder", type=Path, help="where to work; the system's temporary folder when not given")
    return parser.parse_args()


def _tell(line: str) -> None:
    """Progress, on stderr."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
