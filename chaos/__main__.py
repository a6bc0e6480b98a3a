"""``python -m chaos``: kill real runs at every moment; no row may be lost or doubled."""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from chaos import report
from chaos.matrix import CASES, SHORT
from chaos.peers.campaign import KILLS, compare_tools
from chaos.peers.tools import TOOLS
from chaos.suite import Task, run_all, tell


def main() -> int:
    """Run the cases asked for and print the table; 1 on any difference."""
    asked = _arguments()
    root = Path(tempfile.mkdtemp(prefix="tidegate-chaos-", dir=asked.folder))
    seed = secrets.randbelow(1_000_000) if asked.seed is None else asked.seed
    tell(f"seed {seed}, folder {root}")
    if asked.peers is not None:
        return _compare(asked, seed, root)
    names = asked.case or (SHORT if asked.short else tuple(CASES))
    task = Task(kills=asked.kills, short=asked.short, seed=seed, root=root)
    outcomes = run_all(names, task, jobs=asked.jobs)
    if asked.output == "json":
        print(report.as_json(outcomes, seed))
    else:
        print(report.table(outcomes))
        print(*("", *report.notes(outcomes, seed)), sep="\n")
    if asked.markdown:
        asked.markdown.write_text(report.markdown(outcomes, seed), encoding="utf-8")
    if not report.is_ok(outcomes):
        return 1
    shutil.rmtree(root)
    return 0


def _compare(asked: argparse.Namespace, seed: int, root: Path) -> int:
    """Put other tools, and Tidegate, to the same kills; the folder goes in any case, for the table tells all."""
    try:
        return compare_tools(
            asked.peers, kills=asked.kills or KILLS, seed=seed, folder=root, output=asked.output, tell=tell
        )
    finally:
        shutil.rmtree(root)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few kills in a few cases, for CI (about a minute)")
    parser.add_argument("--kills", type=int, metavar="N", help="kills of a case at random times (200; in races fewer)")
    parser.add_argument("--seed", type=int, metavar="S", help="repeats the sources and the drawn moments of a run")
    parser.add_argument(
        "--case", action="extend", nargs="+", choices=list(CASES), metavar="NAME", help=", ".join(CASES)
    )
    parser.add_argument(
        "--peers", nargs="*", choices=list(TOOLS), metavar="TOOL", help=f"compare with other tools: {', '.join(TOOLS)}"
    )
    parser.add_argument("--jobs", type=int, metavar="N", default=os.cpu_count(), help="cases at a time (one per core)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there as Markdown, too")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="how the result is written")
    parser.add_argument("--folder", type=Path, help="where to work; the system's temporary folder when not given")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
