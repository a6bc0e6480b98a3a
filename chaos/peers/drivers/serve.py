"""Forks a process for each load, so that a tool is imported once and kills land in its work, not in its start-up.

A request is a line of JSON on stdin, its answers are lines on stdout: the id of the process, and how it ended.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def serve(load: Callable[[str, str, Path, Path], int]) -> None:
    """Call `load(destination, strategy, source, work)` in a new process for each request; it returns the exit code."""
    ended = None
    for line in sys.stdin:
        if ended is not None:
            os.waitpid(ended, 0)
        request = json.loads(line)
        process = os.fork()
        if not process:
            os.setpgid(0, 0)
            _become(request)
            sys.exit(load(request["destination"], request["strategy"], Path(request["source"]), Path(request["work"])))
        os.setpgid(process, process)
        _answer(process=process)
        # Not yet reaped, so that its id names no other process if it is killed now.
        end = os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        assert end is not None
        _answer(code=end.si_status if end.si_code == os.CLD_EXITED else -end.si_status)
        ended = process


def _become(request: dict[str, Any]) -> None:
    """Have a folder and an output of its own."""
    os.chdir(request["work"])
    with open(os.devnull, "rb") as nothing, open(request["output"], "wb") as output:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)


def _answer(**answer: int) -> None:
    print(json.dumps(answer), flush=True)
