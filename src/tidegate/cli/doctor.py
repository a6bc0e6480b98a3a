"""``tidegate doctor``: whether everything that the project reaches can be reached."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

from tidegate.cli.failure import FAILED
from tidegate.cli.options import OPTIONS, WHAT, add_metadata, add_output, add_path, listed, metadata_of, naming
from tidegate.cli.table import Cell, Column, tell_table
from tidegate.cli.terminal import styled, tell, tell_json

if TYPE_CHECKING:
    from tidegate.cli.parser import Parser
    from tidegate.doctor import Diagnosis, Examined, Status

USAGE = "[PATH] [OPTIONS]"
_COLUMNS = (
    Column(title="connection", shrinks_to=16),
    Column(title="check"),
    Column(title="result"),
    Column(title="found", style="dim", shrinks_to=30),
)
_RESULTS: dict[Status, Cell] = {
    "ok": Cell("✓ ok", "green"),
    "warning": Cell("! warning", "yellow"),
    "failed": Cell("✗ failed", "red"),
}
_STATUSES: tuple[Status, ...] = ("failed", "warning", "ok")


def configure(parser: Parser) -> None:
    """Set up the command line."""
    add_path(parser)
    about = "only this connection, active or not; commas or repeat for several"
    parser.option(WHAT, "--connection", "-c", action="append", type=naming, metavar="NAME", help=about)
    about = "how long each connection may take; 30 when not given"
    parser.option(OPTIONS, "--timeout", type=_seconds, default=30.0, metavar="SECONDS", help=about)
    add_metadata(parser)
    add_output(parser)
    parser.set_defaults(execute=_doctor)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


def _doctor(options: Namespace) -> int:
    from tidegate.doctor import examine

    examined = examine(metadata_of(options), names=listed(options.connection), seconds=options.timeout)
    counts = Counter(diagnosis.status for one in examined for diagnosis in one.diagnoses)
    if options.output == "json":
        tell_json(
            {
                "checks": [
                    {"subject": one.subject, **asdict(diagnosis)} for one in examined for diagnosis in one.diagnoses
                ],
                **{status: counts[status] for status in _STATUSES},
            }
        )
    else:
        _tell(examined, counts)
    return FAILED if counts["failed"] else 0


def _tell(examined: list[Examined], counts: Counter[Status]) -> None:
    tell_table(
        _COLUMNS,
        [
            (one.subject if first else "", diagnosis.check, _RESULTS[diagnosis.status], diagnosis.message)
            for one in examined
            for first, diagnosis in zip((True, *(False,) * len(one.diagnoses)), one.diagnoses, strict=False)
        ],
    )
    for one in examined:
        for diagnosis in one.diagnoses:
            if diagnosis.status != "ok":
                tell(f"\n{_text(one.subject, diagnosis)}")
    parts = [f"{counts[status]} {status}" for status in _STATUSES if counts[status]]
    style = "red" if counts["failed"] else "yellow" if counts["warning"] else "green"
    tell(f"\n{styled(', '.join(parts), style)}")


def _text(subject: str, diagnosis: Diagnosis) -> str:
    style = _RESULTS[diagnosis.status].style
    code = f"{styled(diagnosis.code, 'bold')} " if diagnosis.code else ""
    text = f"{styled(f'{subject} {diagnosis.check}', style)}  {code}{diagnosis.message}"
    return f"{text}\n  {styled('hint:', 'cyan')} {diagnosis.hint}" if diagnosis.hint else text
