"""Tables in plain text: columns that fit the terminal; in files and pipes nothing is cut."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tidegate.cli.terminal import columns as terminal_width
from tidegate.cli.terminal import styled, tell

_GAP = 2
_WHOLE_MINUTE_UTC = re.compile(r"(\d\d:\d\d):00\+00:00")
_ELLIPSIS = "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table."""

    title: str
    align: str = "<"
    """`<` or `>`."""
    style: str = ""
    priority: int = 0
    """The greatest gives way first where a terminal is narrow; 0 always stays."""
    shrinks_to: int | None = None
    """How far its texts may be cut; None where they never are."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A text with a style of its own."""

    text: str
    style: str


Row = Sequence[str | Cell]


def tell_table(columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """Write a table to stdout. A column that is empty in all rows is left out."""
    for line in table_lines(columns, rows, width=terminal_width() if sys.stdout.isatty() else None):
        tell(line)


def table_lines(columns: Sequence[Column], rows: Sequence[Row], *, width: int | None) -> Iterator[str]:
    """Yield the lines of a table.

    Args:
        columns: The columns, from left to right.
        rows: A text for each column.
        width: Terminal cells in a line; None for as many as it takes.
    """
    texts = [[cell.text if isinstance(cell, Cell) else cell for cell in row] for row in rows]
    natural = {
        index: max([_cells(column.title), *(_cells(row[index]) for row in texts)])
        for index, column in enumerate(columns)
        if not texts or any(row[index] for row in texts)
    }
    widths = natural if width is None else _fitted(columns, natural, width)
    yield _line((styled(_padded(columns[index], columns[index].title, size), "dim") for index, size in widths.items()))
    for row, plain in zip(rows, texts, strict=True):
        cells = []
        for index, size in widths.items():
            cell, column = row[index], columns[index]
            style = cell.style if isinstance(cell, Cell) else column.style
            cells.append(styled(_padded(column, plain[index], size), *([style] if style else [])))
        yield _line(cells)


def compact(position: str) -> str:
    """Return a rendered position with its times in UTC as short as they can be; `state set` reads them back.

    >>> compact("time_hour=2013-03-01 04:00:00+00:00, seen=2013-03-01 04:00:07.5+00:00")
    'time_hour=2013-03-01 04:00Z, seen=2013-03-01 04:00:07.5Z'
    """
    return _WHOLE_MINUTE_UTC.sub(r"\1Z", position).replace("+00:00", "Z")


def _fitted(columns: Sequence[Column], natural: dict[int, int], width: int) -> dict[int, int]:
    least = {index: min(size, columns[index].shrinks_to or size) for index, size in natural.items()}
    kept = set(natural)
    for index in sorted(natural, key=lambda index: -columns[index].priority):
        if sum(least[kept_index] + _GAP for kept_index in kept) - _GAP <= width or not columns[index].priority:
            break
        kept.discard(index)
    spare = width + _GAP - sum(least[index] + _GAP for index in kept)
    widths = {}
    for index, size in natural.items():
        if index in kept:
            widths[index] = least[index] + max(0, min(spare, size - least[index]))
            spare -= widths[index] - least[index]
    return widths


def _padded(column: Column, text: str, size: int) -> str:
    length = _cells(text)
    if length > size:
        text, length = _shortened(text, size), size
    padding = " " * (size - length)
    return padding + text if column.align == ">" else text + padding


def _line(cells: Iterator[str] | Sequence[str]) -> str:
    return (" " * _GAP).join(cells).rstrip()


def _cells(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _shortened(text: str, size: int) -> str:
    from tidegate.reporting.unit_table import shortened

    return shortened(text, size, _ELLIPSIS)
