"""Parameters that are written into a statement, where a database takes none."""

from __future__ import annotations

import re
from collections.abc import Sequence


def pieces(of_database: str) -> re.Pattern[str]:
    """Return the pattern of the pieces of SQL in which a placeholder is none, and of placeholders.

    Args:
        of_database: Those besides comments, verbose; the number of a placeholder is the group `parameter`.
    """
    return re.compile(rf"--[^\n]* | /\*.*?\*/ | {of_database}", re.VERBOSE | re.DOTALL)


def with_parameters(sql: str, literals: Sequence[str], pattern: re.Pattern[str]) -> str:
    r"""Return a statement with its parameters written into it, but not into texts, names and comments.

    >>> with_parameters("SELECT '$1', $1 -- $1", ["7"], pieces(r"'[^']*' | \$(?P<parameter>\d+)"))
    "SELECT '$1', 7 -- $1"

    Args:
        sql: The statement. Its parameters are numbered from 1.
        literals: Their values, as the database writes them.
        pattern: As :func:`pieces` gives it.
    """

    def value(piece: re.Match[str]) -> str:
        number = piece["parameter"]
        return literals[int(number) - 1] if number else piece[0]

    return pattern.sub(value, sql) if literals else sql
