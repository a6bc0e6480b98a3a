"""Named moments inside a run at which its process can be made to die, without a line in Tidegate for it.

A failpoint names functions of Tidegate, or of PyIceberg below it, and kills the process (SIGKILL) before or after one
of their calls. A new one is one line here; a name that no longer exists fails loudly when it is armed.
"""

from __future__ import annotations

import functools
import os
import random
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from inspect import getattr_static
from typing import Any, Literal

from chaos.cases import Flow
from tidegate.destinations import strategy_registry, table_registry

When = Literal["before", "after"]
Only = Literal["rewriting", "iceberg", "files", "sql"]
COMPACTION = "compaction"
"""No function: a foreign compaction runs beside the load, and one of the two is killed."""
RECOVERING = "recovering"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failpoint:
    """The functions, and whether the process dies before or after one of their calls."""

    targets: tuple[str, ...]
    when: When
    most: int = 1
    """Calls of a run that are worth a death."""
    least: int = 1
    """The first of them; earlier ones are another failpoint's."""
    only: Only | None = None
    """The loads that come by here; None when all do."""
    first_load: bool = True
    """Whether the first load of a table comes by here."""
    loses_race: bool = False
    """Whether the run first loses a race: another writer commits right before its own commit."""
    recovers: bool = False
    """Whether only a run comes by here that follows one which died after its commit."""
    commits: bool = False
    """Whether the load is in by then, and its position is not stored."""


_STATE = "tidegate.state.sql_store:SqlStateStore"
_TABLE = "tidegate.destinations.table:BaseTable"
_STRATEGY = "tidegate.destinations.strategy:LoadStrategy"
_FILES = "tidegate.destinations.files:FileTable"
_LOCAL = "tidegate.platforms.local:LocalPlatform"
_REWRITE = "tidegate.destinations.load_strategies.copy_on_write:CopyOnWrite"
_PRODUCER = "pyiceberg.table.update.snapshot:_SnapshotProducer"
_CATALOG = "pyiceberg.catalog"
_SESSION = "tidegate.connections.database:Session"


def _at(when: When, *targets: str, **about: Any) -> Failpoint:
    return Failpoint(targets=targets, when=when, **about)


FAILPOINTS = {
    "lease taken": _at("after", f"{_STATE}.acquire", most=2),
    "planned": _at("after", "tidegate.orchestration.planner:Planner.plan"),
    "source opened": _at("after", "tidegate.sources.files:FileSource.open"),
    "mid-read": _at("before", "tidegate.engines.meter:Meter.__call__", most=3),
    "mid-file": _at("after", "tidegate.engines.polars_files:_NewFiles._name", most=4),
    "rows written": _at("after", "tidegate.engines.polars:PolarsEngine.write"),
    "source checked": _at("after", "tidegate.sources.files:FileSource.finish"),
    "staged": _at("after", f"{_REWRITE}.stage", most=2, only="rewriting", first_load=False),
    "joined": _at("after", f"{_REWRITE}.replacement", only="rewriting", first_load=False),
    "rewriting": _at("after", f"{_REWRITE}.put", most=2, only="rewriting", first_load=False),
    "uncommitted": _at("before", f"{_TABLE}.commit"),
    "manifests written": _at("after", f"{_PRODUCER}._manifests", only="iceberg"),
    "snapshot made": _at("after", f"{_PRODUCER}._commit", only="iceberg"),
    "metadata written": _at("after", f"{_CATALOG}:MetastoreCatalog._write_metadata", only="iceberg"),
    "catalog swapped": _at("after", f"{_CATALOG}.sql:SqlCatalog.commit_table", only="iceberg", commits=True),
    "record put": _at("after", f"{_LOCAL}.put_if_absent", only="files", commits=True),
    "files moving": _at("before", f"{_LOCAL}.move", most=3, only="files", commits=True),
    "published": _at("after", f"{_FILES}._publish", only="files", commits=True),
    "statement": _at("after", f"{_SESSION}.execute", most=10, only="sql"),
    "rows sent": _at("after", f"{_SESSION}.insert", only="sql"),
    "uncommitted rows": _at("before", f"{_SESSION}.commit", only="sql"),
    "committed rows": _at("after", f"{_SESSION}.commit", only="sql", commits=True),
    "race lost": _at("after", f"{_STRATEGY}.change", least=2, most=2, first_load=False, loses_race=True),
    "retrying": _at("before", f"{_TABLE}.commit", least=2, most=2, first_load=False, loses_race=True),
    "race won": _at("after", f"{_TABLE}.commit", first_load=False, loses_race=True, commits=True),
    COMPACTION: _at("after", first_load=False),
    "committed": _at("after", f"{_TABLE}.commit", commits=True),
    RECOVERING: _at("before", f"{_STATE}.write", recovers=True),
    "state stored": _at("after", f"{_STATE}.write"),
    "clearing up": _at("before", "tidegate.orchestration.runner:_Load.clean_up"),
    "finishing": _at("before", f"{_STATE}.finish"),
    "finished": _at("after", f"{_STATE}.finish"),
}


def on_the_way_of(flows: Sequence[Flow]) -> list[str]:
    """Return the failpoints that a run of these flows comes by."""
    passed: set[str | None] = {None, *(flow.format for flow in flows)}
    passed |= {"files"} if any(flow.is_files for flow in flows) else set()
    passed |= {"rewriting"} if any(flow.strategy.rewrites for flow in flows) else set()
    compacted = any(flow.format in {"delta", "iceberg"} for flow in flows)
    return [name for name, point in FAILPOINTS.items() if point.only in passed and (compacted or name != COMPACTION)]


def call_of(name: str, chance: random.Random) -> int:
    """Draw at which call of the failpoint's function the process dies, counted from 1."""
    return chance.randint(FAILPOINTS[name].least, FAILPOINTS[name].most)


def arm(name: str, call: int) -> None:
    """Let this process die at the failpoint."""
    point = FAILPOINTS[name]
    fuse = _Fuse(call)
    for target in point.targets:
        wrap(target, lambda function: _deadly(function, fuse, point.when))


def wrap(target: str, wrapper: Callable[[Any], Any]) -> None:
    """Replace a method, `module:Class.method`, there and in all classes of Tidegate that are derived from it."""
    for registry in (table_registry, strategy_registry):
        for name in registry.list_plugins():
            registry.load(name)
    module, _, path = target.partition(":")
    owner_name, _, attribute = path.rpartition(".")
    owner = getattr(import_module(module), owner_name)
    holders = [holder for holder in _with_subclasses(owner) if attribute in vars(holder)]
    if not holders:
        raise AttributeError(target)
    for holder in holders:
        _replace(holder, attribute, wrapper)


def _replace(owner: type, attribute: str, wrapper: Callable[[Any], Any]) -> None:
    found = getattr_static(owner, attribute)
    if isinstance(found, staticmethod):
        setattr(owner, attribute, staticmethod(wrapper(found.__func__)))
    else:
        setattr(owner, attribute, wrapper(found))


def _with_subclasses(owner: type) -> Iterator[type]:
    """Yield a class and all that are derived from it and loaded: each may have its own way."""
    yield owner
    children: Iterable[type] = owner.__subclasses__()
    for child in children:
        yield from _with_subclasses(child)


class _Fuse:
    """Burns once per call, in whatever thread, and ends the process at the given one."""

    def __init__(self, calls: int) -> None:
        self._left = calls
        self._lock = threading.Lock()
        self._within = threading.local()

    def burn(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def call(self, function: Callable[[], Any], when: When) -> Any:
        """Call the function, and burn before or after it; a function that calls its base's is one call."""
        if getattr(self._within, "depth", 0):
            return function()
        if when == "before":
            self.burn()
        self._within.depth = 1
        try:
            result = function()
        finally:
            self._within.depth = 0
        if when == "after":
            self.burn()
        return result


def _deadly(function: Callable[..., Any], fuse: _Fuse, when: When) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return fuse.call(lambda: function(*args, **kwargs), when)

    return wrapped
