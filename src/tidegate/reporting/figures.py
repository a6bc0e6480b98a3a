"""Figures and texts as people read them."""

from __future__ import annotations

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_CENTISECONDS_BELOW = 1


def counted(number: float | None) -> str:
    """Return a number in whole units with thousands separators; nothing for None.

    >>> counted(1234567), counted(None)
    ('1,234,567', '')
    """
    return "" if number is None else f"{number:,.0f}"


def plural(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> plural(1, "flow"), plural(1200, "flow")
    ('1 flow', '1,200 flows')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def spanned(seconds: float | None) -> str:
    """Return a duration in at most seven characters up to 100 days; nothing for None.

    >>> spanned(0.042), spanned(9.96), spanned(59.97), spanned(7325), spanned(200_000)
    ('0.04s', '10.0s', '1m 00s', '2h 02m', '2d 07h')
    """
    if seconds is None:
        return ""
    if seconds < _CENTISECONDS_BELOW:
        return f"{seconds:.2f}s"
    if round(seconds, 1) < _MINUTE:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE}m {whole % _MINUTE:02}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h {whole % _HOUR // _MINUTE:02}m"
    return f"{whole // _DAY}d {whole % _DAY // _HOUR:02}h"


def one_line(text: str) -> str:
    r"""Return text without line breaks and without characters that could move a terminal's cursor.

    >>> one_line("two\nlines, \x1b[31mred")
    'two lines, ?[31mred'
    """
    return "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))
