"""What runs in a fresh process: make a case's inputs, do its job once on one side, or digest its result.

``python -m bench.child prepare|digest|SIDE CASE SIZE FOLDER``, where SIDE is ``tidegate`` or the name of a
hand-written way. The last line of stdout is a JSON object.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cases import ALL, Case, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIDEGATE = "tidegate"


def prepare(case: Case, workspace: Workspace) -> dict[str, Any]:
    """Generate the inputs, of the job and of its warm-up, that are not in the cache yet."""
    for size in (workspace.size, case.warm_size):
        trial = Workspace(folder=workspace.folder / str(size), size=size)
        case.source(trial)
        case.stage(trial)
    return {}


def work(side: str, case: Case, workspace: Workspace) -> dict[str, Any]:
    """Do the job once, after the same job in miniature has loaded every library, and time it."""
    do = _tidegate if side == TIDEGATE else _by_hand(case.peers[side])
    warm = Workspace(folder=workspace.folder / "warm", size=case.warm_size)
    case.stage(warm)
    _seconds(do, case, warm)
    case.stage(workspace)
    gc.collect()
    return {"seconds": _seconds(do, case, workspace)}


def digest(case: Case, workspace: Workspace) -> dict[str, Any]:
    """Row count and order-independent hash of the business columns of every table of the job."""
    from bench.digest import digest_table

    return {path.name: digest_table(path, case.destination_format) for path in case.tables(workspace)}


def _seconds(do: Callable[[Case, Workspace], None], case: Case, workspace: Workspace) -> float:
    """Seconds that the steps of the job take; the arrival of their sources is not counted."""
    if do is _tidegate:
        workspace.metadata_file.write_text("\n".join(yaml_lines(case.metadata(workspace))) + "\n")
    spent = 0.0
    for step in range(case.steps(workspace)):
        case.arrive(workspace, step)
        began = time.perf_counter()
        do(case, workspace)
        spent += time.perf_counter() - began
    return spent


def _tidegate(case: Case, workspace: Workspace) -> None:  # noqa: ARG001 -- both sides are called alike
    """The job as a Tidegate user runs it."""
    from tidegate import create_driver

    with create_driver(metadata_provider=str(workspace.metadata_file)) as driver:
        result = driver.run()
    if result.failed != 0:
        message = f"Tidegate reports {result.failed} failed flows: {result}"
        raise RuntimeError(message)


def _by_hand(path: str) -> Callable[[Case, Workspace], None]:
    """The job by the hand-written way at ``module:function``."""
    module, _, name = path.partition(":")
    peer = getattr(importlib.import_module(module), name)
    return lambda case, workspace: peer(case.source(workspace), case.destination(workspace))


def yaml_lines(value: Any, indent: str = "") -> Iterator[str]:
    """`value` as block YAML, the way a person writes it (no YAML library is needed on the hand-written side)."""
    items = value.items() if isinstance(value, dict) else ((None, each) for each in value)
    for key, each in items:
        head = f"{indent}- " if key is None else f"{indent}{key}: "
        if isinstance(each, dict | list) and each:
            nested = list(yaml_lines(each, indent + "  "))
            if key is None:
                yield head + nested[0].lstrip()
                yield from nested[1:]
            else:
                yield head.rstrip()
                yield from nested
        else:
            yield head + json.dumps(each)


def main() -> None:
    """Do what the command line says and answer in JSON."""
    action, name, size, folder = sys.argv[1:]
    case, workspace = ALL[name], Workspace(folder=Path(folder), size=int(size))
    actions = {"prepare": prepare, "digest": digest}
    answer = actions[action](case, workspace) if action in actions else work(action, case, workspace)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
