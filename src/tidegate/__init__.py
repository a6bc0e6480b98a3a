"""Tidegate: metadata-driven ETL whose loads are one atomic commit each.

Names are imported when they are first used, so that ``import tidegate`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.errors import TidegateError as TidegateError
    from tidegate.metadata import FileMetadata as FileMetadata
    from tidegate.metadata import check as check
    from tidegate.models import ColumnCaseMode as ColumnCaseMode
    from tidegate.models import Connection as Connection
    from tidegate.models import DataFlow as DataFlow
    from tidegate.models import Destination as Destination
    from tidegate.models import ReplayConfig as ReplayConfig
    from tidegate.models import RunConfig as RunConfig
    from tidegate.models import SchemaHint as SchemaHint
    from tidegate.models import Source as Source
    from tidegate.models import Transform as Transform
    from tidegate.orchestration.driver import Driver as Driver
    from tidegate.orchestration.driver import create_driver as create_driver
    from tidegate.orchestration.retry_handler import RetryPolicy as RetryPolicy
    from tidegate.reporting import ExecutionResult as ExecutionResult
    from tidegate.timegrid import BaseCalendar as BaseCalendar
    from tidegate.timegrid import Interval as Interval
    from tidegate.timegrid import Window as Window

__version__ = "0.1.0"

_HOMES = {
    "BaseCalendar": "tidegate.timegrid",
    "ColumnCaseMode": "tidegate.models",
    "Connection": "tidegate.models",
    "DataFlow": "tidegate.models",
    "Destination": "tidegate.models",
    "Driver": "tidegate.orchestration.driver",
    "ExecutionResult": "tidegate.reporting",
    "FileMetadata": "tidegate.metadata",
    "Interval": "tidegate.timegrid",
    "ReplayConfig": "tidegate.models",
    "RetryPolicy": "tidegate.orchestration.retry_handler",
    "RunConfig": "tidegate.models",
    "SchemaHint": "tidegate.models",
    "Source": "tidegate.models",
    "TidegateError": "tidegate.errors",
    "Transform": "tidegate.models",
    "Window": "tidegate.timegrid",
    "check": "tidegate.metadata",
    "create_driver": "tidegate.orchestration.driver",
}

__all__ = [*sorted(_HOMES), "__version__"]  # noqa: PLE0604 - names, all of them


def __getattr__(name: str) -> object:
    """Import a public name from its room."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
