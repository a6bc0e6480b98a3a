"""The command line: ``tidegate``.

Starting must cost next to nothing: help and version are answered from the table of commands alone, and a command's
module, with what it imports, is loaded when that command is called.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tidegate.cli.terminal import BrokenPipeSilenced, ready, tell


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``tidegate`` and return its exit code.

    0: all is well. 1: a flow failed. 2: bad usage or metadata. 130: interrupted. 143: ended by SIGTERM.

    Args:
        arguments: What follows ``tidegate``; those of this process when not given.
    """
    ready()
    with BrokenPipeSilenced():
        return _answer(list(sys.argv[1:] if arguments is None else arguments))
    return 0


def _answer(arguments: list[str]) -> int:
    match arguments:
        case [] | ["help"] | [("--help" | "-h"), *_]:
            from tidegate.cli.help import overview

            tell(overview())
            return 0
        case [("--version" | "-V"), *_]:
            from tidegate import __version__

            tell(f"tidegate {__version__}")
            return 0
        case ["help", *names]:
            arguments = [*names, "--help"]
        case _:
            pass
    from tidegate.cli.application import run

    return run(arguments)
