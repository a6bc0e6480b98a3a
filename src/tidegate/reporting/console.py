"""The terminal: one live table while a run goes on, then its errors in full and one line that sums it up.

With :mod:`tidegate.reporting.unit_table` the one place that imports rich: import it where something is shown.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TextIO

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from tidegate.reporting.board import Board, Row
from tidegate.reporting.events import Event, Notice, RunFinished, RunStarted, utc_now
from tidegate.reporting.figures import counted, one_line, plural, spanned
from tidegate.reporting.run_report import ErrorReport, ExecutionResult
from tidegate.reporting.unit_table import ASCII, STYLES, UNICODE, Symbols, unit_table

_REFRESH_PER_SECOND = 8
_LINES_BESIDE_ROWS = 4
"""Header, an empty line, the counts, and the line on which the cursor waits."""
_NAMES_PER_ERROR = 5
_UNLIMITED = 10_000
_FOOTER_ORDER = ("failed", "running", "succeeded", "skipped", "interrupted", "waiting")
"""The most important first: a narrow terminal cuts the end."""
_LEVEL_STYLES = {"info": "cyan", "warning": "yellow", "error": "red"}


class ConsoleSink:
    """Shows a run on a terminal.

    The table lives at the bottom of the terminal and never has more lines than it. Notices stand above it.
    When the run ends the table stays, and the errors and the summary follow. One run at a time: a second start
    replaces the first table.

    Args:
        stream: The terminal; stderr as it is at this moment when not given.
        console: A rich console to draw on instead.
        now: The clock, for elapsed times.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        console: Console | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._console = console or Console(file=stream if stream is not None else sys.stderr, highlight=False)
        self._now = now
        self._board = Board()
        self._live: Live | None = None
        # Guards the board between loads and the thread that draws. Nothing is printed while it is held:
        # printing waits for the drawing thread.
        self._lock = threading.Lock()

    def handle(self, event: Event, /) -> None:
        """Take an event in; the table shows it at its next refresh."""
        if isinstance(event, RunStarted):
            self._stop()
        with self._lock:
            self._board.apply(event)
        match event:
            case RunStarted():
                self._start()
            case Notice():
                self._console.print(_notice(event), soft_wrap=True)
            case RunFinished(result=result):
                self._stop()
                self._console.print(_Closing(result))
            case _:
                pass

    def close(self) -> None:
        """Leave the terminal as it was found; a run that is still going on is shown as interrupted."""
        with self._lock:
            self._board.interrupt()
        self._stop()

    def _start(self) -> None:
        self._live = Live(
            get_renderable=self._draw,
            console=self._console,
            refresh_per_second=_REFRESH_PER_SECOND,
            # What is printed meanwhile goes above the table, but never from a piped stdout into the terminal.
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=sys.stderr.isatty(),
        )
        self._live.start(refresh=True)

    def _stop(self) -> None:
        live, self._live = self._live, None
        if live:
            live.stop()

    def _draw(self) -> RenderableType:
        now, symbols, size = self._now(), _symbols(self._console), self._console.size
        with self._lock:
            rows = self._board.visible(max(1, size.height - _LINES_BESIDE_ROWS))
            table = unit_table(rows, width=size.width, symbols=symbols, now=now, live=not self._board.is_finished)
            footer = _footer(self._board, len(rows), now)
        return Group(table, "", footer) if footer else table


def final_table(result: ExecutionResult) -> RenderableType:
    """Return the finished table of a run, its errors and its summary, to be printed on any rich console."""
    return _FinalTable(result)


def print_result(result: ExecutionResult, stream: TextIO | None = None) -> None:
    """Print :func:`final_table` on a stream; stdout when not given.

    On a terminal it fits the terminal. Elsewhere it is plain text of whatever width it needs, so that nothing
    is cut from a file or pipe.
    """
    stream = stream if stream is not None else sys.stdout
    console = Console(file=stream, highlight=False, width=None if stream.isatty() else _UNLIMITED)
    if stream.isatty():
        console.print(final_table(result))
        return
    with console.capture() as captured:
        console.print(final_table(result), soft_wrap=True)
    stream.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


class _FinalTable:
    def __init__(self, result: ExecutionResult) -> None:
        self._result = result

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = [Row.of(report) for report in self._result.units]
        if rows:
            yield unit_table(rows, width=options.max_width, symbols=_symbols(console), now=utc_now())
        yield _Closing(self._result)


class _Closing:
    """What follows the table: each different error once, with all units that it stopped; then the summary."""

    def __init__(self, result: ExecutionResult) -> None:
        self._result = result

    def __rich_console__(self, console: Console, _: ConsoleOptions) -> RenderResult:
        symbols = _symbols(console)
        for error, names in _failures(self._result).items():
            yield Text("")
            yield Text.assemble((f"{symbols.failed} {_listed(names)}", STYLES["failed"]))
            yield Padding(_error(error), (0, 0, 0, 2), expand=False)
        yield Text("")
        yield _summary(self._result, symbols)


def _symbols(console: Console) -> Symbols:
    return ASCII if console.options.ascii_only else UNICODE


def _footer(board: Board, shown: int, now: datetime) -> Text:
    counts, parts = board.counts(), []
    if not board.is_finished:  # then the summary says it
        statuses = [status for status in _FOOTER_ORDER if counts[status]]
        parts += [(f"{counts[status]:,} {status}", STYLES[status]) for status in statuses]
        if board.started_at:
            parts.append((spanned(max(0.0, (now - board.started_at).total_seconds())), "dim"))
    if shown < counts.total():
        parts.append((f"{shown:,} of {plural(counts.total(), 'flow')} shown", "dim"))
    return Text("  ", overflow="crop", no_wrap=True).join(Text(text, style=style) for text, style in parts)


def _failures(result: ExecutionResult) -> dict[ErrorReport, list[str]]:
    failures: dict[ErrorReport, list[str]] = {}
    for unit in result.units:
        if unit.error:
            failures.setdefault(unit.error, []).append(unit.name)
    return failures


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(one_line, names[:_NAMES_PER_ERROR]))
    more = len(names) - _NAMES_PER_ERROR
    return f"{shown} and {more:,} more" if more > 0 else shown


def _error(error: ErrorReport) -> Text:
    return Text("\n").join(_error_lines(error))


def _error_lines(error: ErrorReport) -> Iterator[Text]:
    first, *rest = error.message.splitlines() or [""]
    yield Text.assemble((error.code, "bold"), " ", one_line(first))
    for line in rest:
        yield Text("  " + one_line(line))
    if error.where:
        yield Text.assemble(("at ", "dim"), one_line(error.where))
    if error.hint:
        yield Text.assemble(("hint: ", "cyan"), one_line(error.hint))


def _notice(notice: Notice) -> Text:
    text = Text.assemble((notice.level, _LEVEL_STYLES[notice.level]), ": ")
    if notice.code:
        text.append(f"{notice.code} ", style="bold")
    text.append(one_line(notice.message))
    if notice.hint:
        text.append("\n  hint: ", style="cyan").append(one_line(notice.hint))
    return text


def _summary(result: ExecutionResult, symbols: Symbols) -> Text:
    status = "interrupted" if result.interrupted else "failed" if result.failed else "succeeded"
    units = plural(result.total, result.counted_in) + (", interrupted" if result.interrupted else "")
    counts = [
        f"{count:,} {word}"
        for word, count in (
            ("succeeded", result.succeeded),
            ("failed", result.failed),
            ("skipped", result.skipped),
        )
        if count
    ]
    rows_in = sum(unit.rows_in or 0 for unit in result.units)
    rows_out = sum(unit.rows_out or 0 for unit in result.units)
    text = Text.assemble((f"{getattr(symbols, status)} {units}", f"bold {STYLES[status]}"))
    text.append(f": {', '.join(counts)}" if counts else "")
    text.append(f"   {counted(rows_in)} rows in, {counted(rows_out)} out", style="dim")
    text.append(f"   {spanned(result.duration_seconds)}", style="dim")
    return text
