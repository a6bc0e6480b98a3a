"""The table of units: which columns a width has room for, and how each cell looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from rich.cells import cell_len, set_cell_size
from rich.table import Table
from rich.text import Text

from tidegate.reporting.board import Row
from tidegate.reporting.figures import counted, one_line, spanned

STYLES = {
    "waiting": "dim",
    "running": "cyan",
    "interrupted": "yellow",
    "succeeded": "green",
    "failed": "red",
    "skipped": "dim",
}
_GAP = 2
_CUT_AT_MOST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbols:
    """The signs beside status words; neither a colour nor a sign ever carries the meaning alone."""

    waiting: str
    interrupted: str
    succeeded: str
    failed: str
    skipped: str
    running: str
    """Frames of a small movement, one character each."""
    ellipsis: str

    def of(self, row: Row, now: datetime) -> str:
        """Return the sign of a row's status; it moves while the unit runs."""
        if row.is_running:
            return self.running[int(now.timestamp() * 10) % len(self.running)]
        return str(getattr(self, row.status))


UNICODE = Symbols(
    waiting="·", interrupted="!", succeeded="✓", failed="✗", skipped="–", running="⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", ellipsis="…"
)
ASCII = Symbols(waiting=".", interrupted="!", succeeded="+", failed="x", skipped="-", running="|/-\\", ellipsis="...")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: what it shows, and how soon it gives way when the table is too wide."""

    title: str
    cell: Callable[[Row, datetime], str]
    priority: int
    """The lowest stays longest; 0 always stays."""
    align: Literal["left", "right"] = "right"
    style: str = ""
    width_at_least: int = 0
    shrinks_to: int | None = None
    """How far its text may be cut; None where it never is."""
    keeps_end: bool = False
    """Whether cut text loses its middle rather than its end: names often differ in their last letters."""
    shown: Literal["always", "filled", "live"] = "always"
    """Whether it stands even when it is empty, only when it is not, or only while the run goes on."""


_FLOW = Column(title="flow", cell=lambda row, _: row.name, priority=0, align="left", shrinks_to=18, keeps_end=True)
_STAGE = Column(
    title="stage", cell=lambda row, _: row.stage or "", priority=7, align="left", style="dim", shown="filled"
)
_STATUS = Column(title="status", cell=lambda row, _: row.status, priority=0, align="left", width_at_least=12)
_ROWS_IN = Column(title="rows in", cell=lambda row, _: counted(row.rows_in), priority=3, width_at_least=9)
_ROWS_OUT = Column(title="rows out", cell=lambda row, _: counted(row.rows_out), priority=1, width_at_least=9)
_PACE = Column(title="rows/s", cell=lambda row, now: counted(row.rows_per_second(now)), priority=4, width_at_least=7)
_ELAPSED = Column(title="elapsed", cell=lambda row, now: spanned(row.elapsed_seconds(now)), priority=2)
_ETA = Column(
    title="ETA",
    cell=lambda row, now: spanned(row.remaining_seconds(now)),
    priority=5,
    style="cyan",
    width_at_least=6,
    shown="live",
)
_POSITION = Column(
    title="position",
    cell=lambda row, _: row.remark,
    priority=6,
    align="left",
    style="dim",
    shrinks_to=24,
    shown="filled",
)
_COLUMNS = (_FLOW, _STAGE, _STATUS, _ROWS_IN, _ROWS_OUT, _PACE, _ELAPSED, _ETA, _POSITION)


def unit_table(rows: Sequence[Row], *, width: int, symbols: Symbols, now: datetime, live: bool = False) -> Table:
    """Draw rows, one line each, in at most `width` columns of a terminal; other columns give way by priority.

    Args:
        rows: What to draw.
        width: Terminal cells in a line.
        symbols: The signs that the terminal can show.
        now: The present, for what is running.
        live: Whether the run goes on.
    """
    texts = {column: [_text(column, row, now, symbols) for row in rows] for column in _COLUMNS}
    shown = {"always": True, "live": live}
    widths = _fitted(
        {
            column: max(len(column.title), column.width_at_least, *map(cell_len, column_texts))
            for column, column_texts in texts.items()
            if shown.get(column.shown, any(column_texts))
        },
        width,
    )
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="dim")
    for column, size in widths.items():
        table.add_column(column.title, justify=column.align, style=column.style, width=size, no_wrap=True)
    for index, row in enumerate(rows):
        cells = (
            Text(
                shortened(texts[column][index], size, symbols.ellipsis, keeps_end=column.keeps_end),
                style=_style(column, row),
            )
            for column, size in widths.items()
        )
        table.add_row(*cells, style="dim" if row.status == "waiting" else "")
    return table


def shortened(text: str, width: int, ellipsis: str, *, keeps_end: bool = False) -> str:
    """Cut text that is wider than `width` terminal cells, and show where it was cut.

    >>> shortened("flights_daily_by_carrier", 12, "..."), shortened("orders_0017", 8, "~", keeps_end=True)
    ('flights_d...', 'orde~017')
    """
    if cell_len(text) <= width:
        return text
    room = width - len(ellipsis)
    if room < 1:
        return set_cell_size(text, max(0, width))
    tail = room // 2 if keeps_end else 0
    return set_cell_size(text, room - tail) + ellipsis + set_cell_size(text[::-1], tail)[::-1]


def _text(column: Column, row: Row, now: datetime, symbols: Symbols) -> str:
    text = one_line(column.cell(row, now))
    return f"{symbols.of(row, now)} {text}" if column is _STATUS else text


def _style(column: Column, row: Row) -> str:
    if column is _STATUS:
        return STYLES["running" if row.is_running else row.status]
    if column is _POSITION and row.status == "failed":
        return "not dim " + STYLES["failed"]
    return ""


def _fitted(natural: dict[Column, int], width: int) -> dict[Column, int]:
    """Return the columns that fit, in their order, with their widths; what is left over widens cut ones."""
    cut_to = max(_CUT_AT_MOST, width // 3)
    least = {
        column: min(size, column.shrinks_to, cut_to) if column.shrinks_to else size for column, size in natural.items()
    }
    kept: dict[Column, int] = {}
    for column in sorted(natural, key=lambda column: column.priority):
        spare = width - sum(size + _GAP for size in kept.values()) - least[column]
        if column.priority and spare < 0:
            break
        kept[column] = least[column]
    spare = width + _GAP - sum(size + _GAP for size in kept.values())
    for column in [column for column in kept if column.shrinks_to]:
        given = max(1 - kept[column], min(spare, natural[column] - kept[column]))
        kept[column] += given
        spare -= given
    return {column: kept[column] for column in natural if column in kept}
