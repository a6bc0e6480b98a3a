"""Which sink shows a run's progress."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from tidegate.reporting.events import Sink
from tidegate.reporting.jsonl import JsonLinesSink

_LOG_PROGRESS_SECONDS = 5.0


def progress_sink(stream: TextIO | None = None) -> Sink:
    """Return the live table for a terminal, JSON lines for everything else.

    Args:
        stream: Where progress is shown; stderr when not given. With `TERM=dumb` a terminal gets JSON lines.
    """
    stream = stream if stream is not None else sys.stderr
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        from tidegate.reporting.console import ConsoleSink

        return ConsoleSink(stream)
    return JsonLinesSink(stream, progress_seconds=_LOG_PROGRESS_SECONDS)
