"""What runs in a process of its own: `tidegate`, the reader that watches, and a foreign compaction.

The fork server imports this module, and with it all that a run imports: so a run starts in milliseconds, and kills land
in its work instead of its start-up. Nothing here starts a thread pool before the fork.
"""

from __future__ import annotations

import gc
import os
import pkgutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import tidegate
from chaos import foreign, reading
from chaos.cases import Flow
from chaos.failpoints import FAILPOINTS, arm

_FOREIGN = (
    "narwhals._arrow.dataframe",
    "narwhals._polars.dataframe",
    "polars._utils.parquet",
    "polars._utils.udfs",
    "pyiceberg.catalog.sql",
    "pyiceberg.io.pyarrow",
    "rich.live",
    "rich.table",
    "sqlalchemy.dialects.sqlite",
)
_OPTIONAL = frozenset({"tidegate.ccflow", "tidegate.demo", "tidegate.triggers", "tidegate.web"})
"""Rooms that a run does not enter."""


def _import_all() -> None:
    """Import what a run may import: all of Tidegate but for what needs libraries that are not installed."""
    for name in _FOREIGN:
        import_module(name)
    for module in pkgutil.walk_packages(tidegate.__path__, "tidegate."):
        if not any(f"{module.name}.".startswith(f"{room}.") for room in _OPTIONAL):
            with suppress(ModuleNotFoundError):
                import_module(module.name)
    gc.freeze()  # what all runs share stays shared


_import_all()


def command(arguments: Sequence[str], events: str, failpoint: tuple[str, int] | None) -> None:
    """Be `tidegate ARGUMENTS`, with stderr in a file; end with its exit code."""
    with Path(events).open("wb") as file, Path(os.devnull).open("wb") as nothing:
        os.dup2(file.fileno(), 2)
        os.dup2(nothing.fileno(), 1)
    if failpoint is not None:
        if FAILPOINTS[failpoint[0]].loses_race:
            foreign.come_first()
        arm(*failpoint)
    sys.argv = ["tidegate", *arguments]
    sys.exit(import_module("tidegate.cli").main())


def watch(tables: Sequence[tuple[Path, Flow]], sightings: str) -> None:
    """Poll tables until killed."""
    reading.poll(tables, Path(sightings))


def compact(tables: Sequence[tuple[Path, Flow]], failures: str) -> None:
    """Compact tables again and again until killed."""
    foreign.compact_until_killed(tables, Path(failures))
