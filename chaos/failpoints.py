"""Named moments inside a run at which its process can be made to die, without a line in Tidegate for it.

A failpoint names a function of Tidegate and kills the process (SIGKILL) before or after one of its calls. A new one is
one line here; a name that no longer exists fails loudly when it is armed.
"""

from __future__ import annotations

import functools
import os
import random
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from chaos.cases import Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class Failpoint:
    """The function, and whether the process dies before or after it; `most` calls of a run are worth a death."""

    targets: tuple[str, ...]
    when: Literal["before", "after"]
    most: int = 1
    only: Literal["files", "merge"] | None = None
    """The loads that come by here; None when all do."""


_STATE = "tidegate.state.sqlite:SQLiteStateStore"
_TABLES = ("tidegate.destinations.delta:DeltaTable", "tidegate.destinations.files:FileTable")
_LOCAL = "tidegate.platforms.local:LocalPlatform"
_FILES = "tidegate.destinations.files:FileTable"
_MERGE = "tidegate.destinations.load_strategies.merge_upsert:MergeUpsert"


def _at(when: Literal["before", "after"], *targets: str, most: int = 1, only: Any = None) -> Failpoint:
    return Failpoint(targets=targets, when=when, most=most, only=only)


FAILPOINTS = {
    "lease taken": _at("after", f"{_STATE}.acquire"),
    "planned": _at("after", "tidegate.orchestration.planner:Planner.plan"),
    "source opened": _at("after", "tidegate.sources.files:FileSource.open"),
    "mid-read": _at("before", "tidegate.engines.meter:Meter.__call__", most=2),
    "file written": _at("after", "tidegate.engines.polars_files:_NewFiles._name", most=4),
    "rows written": _at("after", "tidegate.engines.polars:PolarsEngine.write", most=3),
    "source checked": _at("after", "tidegate.sources.files:FileSource.finish"),
    "merge joined": _at("after", f"{_MERGE}._matching_rows", only="merge"),
    "merge rewriting": _at("after", f"{_MERGE}._write", most=2, only="merge"),
    "uncommitted": _at("before", *(f"{table}.commit" for table in _TABLES)),
    "record put": _at("after", f"{_LOCAL}.put_if_absent", only="files"),
    "files moving": _at("before", f"{_LOCAL}.move", most=5, only="files"),
    "files removing": _at("before", f"{_LOCAL}.remove", most=3),
    "published": _at("after", f"{_FILES}._publish", most=2, only="files"),
    "committed": _at("after", *(f"{table}.commit" for table in _TABLES)),
    "state stored": _at("after", f"{_STATE}.write"),
    "finishing": _at("before", f"{_STATE}.finish"),
    "finished": _at("after", f"{_STATE}.finish"),
}


def on_the_way_of(flows: Sequence[Flow]) -> list[str]:
    """Return the failpoints that a run of these flows comes by."""
    passed = {None, *(["files"] if any(flow.format != "delta" for flow in flows) else [])}
    passed |= {"merge"} if any(flow.load_type.startswith("merge") for flow in flows) else set()
    return [name for name, point in FAILPOINTS.items() if point.only in passed]


def call_of(name: str, chance: random.Random) -> int:
    """Draw at which call of the failpoint's function the process dies, counted from 1."""
    return chance.randint(1, FAILPOINTS[name].most)


def arm(name: str, call: int) -> None:
    """Let this process die at the failpoint."""
    point = FAILPOINTS[name]
    fuse = _Fuse(call)
    for target in point.targets:
        module, _, path = target.partition(":")
        owner_path, _, attribute = path.rpartition(".")
        owner: Any = import_module(module)
        for part in owner_path.split("."):
            owner = getattr(owner, part)
        setattr(owner, attribute, _deadly(getattr(owner, attribute), fuse, before=point.when == "before"))


class _Fuse:
    """Burns once per call, in whatever thread, and ends the process at the given one."""

    def __init__(self, calls: int) -> None:
        self._left = calls
        self._lock = threading.Lock()

    def burn(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def _deadly(function: Callable[..., Any], fuse: _Fuse, *, before: bool) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before:
            fuse.burn()
        result = function(*args, **kwargs)
        if not before:
            fuse.burn()
        return result

    return wrapped
