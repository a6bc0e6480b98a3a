"""Findings: what a check has to say about a declaration, and where."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from tidegate.masking import mask

Severity = Literal["error", "warning", "note"]


class Place(NamedTuple):
    """A place in a file; line and column count from 1, and are 0 where there is no file to point into."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Return ``file:line:column``, as editors and terminals link it."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Cell(Place):
    """A place in a workbook: `file` is ``metadata.xlsx:sheet``, `line` the row, `column` the column."""

    __slots__ = ()

    def __str__(self) -> str:
        """Return ``file:sheet!B7``, as spreadsheets name it."""
        return f"{self.file}!{letters_of(self.column)}{self.line}"


def letters_of(column: int) -> str:
    """Return the letters of a column that is counted from 1.

    >>> letters_of(2), letters_of(28)
    ('B', 'AB')
    """
    letters = ""
    while column > 0:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a check found.

    Attributes:
        code: A stable code; ``tidegate explain`` says more.
        severity: An error refuses the metadata, a warning and a note do not.
        message: What was found, in one line, secrets masked.
        where: The place to look at.
        hint: What to do about it.
    """

    code: str
    severity: Severity
    message: str
    where: Place
    hint: str | None = None

    def render(self) -> str:
        """Return the finding as a person reads it: place, code and cause; and the hint on a line of its own."""
        label = "" if self.severity == "error" else f" {self.severity}:"
        text = f"{self.where}: {self.code}{label} {self.message}"
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class Findings:
    """The findings of one run, in the order of their places, each once."""

    def __init__(self) -> None:
        self._findings: dict[Finding, None] = {}

    def add(
        self, code: str, where: Place, message: str, *, hint: str | None = None, severity: Severity = "error"
    ) -> None:
        """Add a finding; one that is already there is not repeated."""
        finding = Finding(
            code=code,
            severity=severity,
            message=mask(message),
            where=where,
            hint=mask(hint) if hint else None,
        )
        self._findings.setdefault(finding)

    def soften(self, *codes: str) -> None:
        """Make the findings with these codes warnings."""
        self._findings = {
            replace(finding, severity="warning") if finding.code in codes else finding: None
            for finding in self._findings
        }

    def __iter__(self) -> Iterator[Finding]:
        return iter(sorted(self._findings, key=lambda finding: (finding.where, finding.code)))

    def has(self, *codes: str) -> bool:
        """Tell whether there is a finding with one of these codes."""
        return any(finding.code in codes for finding in self._findings)


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` is most likely meant to be, or None when none is near.

    >>> closest("watermarkColums", ["watermark_columns", "query"])
    'watermark_columns'
    """
    by_plain = {_plain(candidate): candidate for candidate in known}
    near = difflib.get_close_matches(_plain(word), by_plain, n=1, cutoff=0.66)
    return by_plain[near[0]] if near else None


def suggestion(word: str, known: Iterable[str], *, otherwise: str = "known") -> str | None:
    """Return a hint for a word that is not known: the closest one, else all of them."""
    words = list(known)
    if near := closest(word, words):
        return f"did you mean {near!r}?"
    return f"{otherwise}: {', '.join(words)}" if words else None


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "").replace(" ", "")
