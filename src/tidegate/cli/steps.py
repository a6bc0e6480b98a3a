"""What to do next: commands that work where they are typed."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from os.path import relpath
from pathlib import Path

from tidegate.cli.terminal import styled, tell

Step = tuple[str, str]
"""A command, and what it does; empty where that goes without saying."""


def tell_steps(steps: Sequence[Step]) -> None:
    """Write steps, one a line, what they do in a column of its own."""
    width = max(len(command) for command, _ in steps) + 2
    for command, what in steps:
        remark = styled(f"# {what}", "dim") if what else ""
        tell(f"  {styled(f'{command:<{width}}', 'cyan')}{remark}".rstrip())


def step_into(folder: Path) -> list[Step]:
    """Return the step into a folder; none when that is here."""
    here = Path.cwd()
    if folder.resolve() == here:
        return []
    short = min(relpath(folder, here), str(folder.resolve()), key=len)
    return [(f"cd {shlex.quote(short)}", "")]


def as_typed(folder: Path) -> str:
    """Return the command `tidegate` as it works in this folder: by name, or by path where it is not on the PATH."""
    program = Path(sys.argv[0])
    found = shutil.which("tidegate")
    if program.name != "tidegate" or not program.exists() or (found and Path(found).samefile(program)):
        return "tidegate"
    relative, absolute = relpath(program.absolute(), folder.absolute()), str(program.absolute())
    return min(relative, absolute, key=len)
