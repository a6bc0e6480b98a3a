"""What happened: events while a run goes on, reports when it has ended, and the sinks that show them.

Importing this room loads no third-party library; rich is loaded by :mod:`tidegate.reporting.console` alone.
"""

from tidegate.reporting.events import (
    Event,
    EventStream,
    Notice,
    RunFinished,
    RunStarted,
    Sink,
    UnitFinished,
    UnitProgress,
    UnitStarted,
)
from tidegate.reporting.jsonl import JsonLinesSink
from tidegate.reporting.progress import progress_sink
from tidegate.reporting.run_report import ErrorReport, ExecutionResult, UnitReport

__all__ = [
    "ErrorReport",
    "Event",
    "EventStream",
    "ExecutionResult",
    "JsonLinesSink",
    "Notice",
    "RunFinished",
    "RunStarted",
    "Sink",
    "UnitFinished",
    "UnitProgress",
    "UnitReport",
    "UnitStarted",
    "progress_sink",
]
