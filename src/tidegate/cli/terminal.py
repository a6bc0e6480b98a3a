"""What is written where: plain text with a little colour, on streams that may be files, or may go away."""

from __future__ import annotations

import contextlib
import os
import sys
from types import TracebackType
from typing import Any, TextIO

_CODES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "cyan": 36}
_PLAIN_WIDTH = 80


def ready() -> None:
    """Let every character pass: one that the terminal cannot show becomes a question mark, not an exception."""
    if sys.stdout is None or sys.stderr is None:  # closed by whoever started this process
        nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - lives as long as the process
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]


def tell(text: str = "", *, stream: TextIO | None = None) -> None:
    """Write a line of a result to stdout, or to another stream."""
    stream = sys.stdout if stream is None else stream
    with contextlib.suppress(BrokenPipeError):  # main() sees to it
        stream.write(f"{text}\n")


def note(text: str = "") -> None:
    """Write a line that is no result to stderr."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    tell(text, stream=sys.stderr)


def tell_json(value: Any) -> None:
    """Write a result to stdout as JSON."""
    import json

    tell(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def has_colour(stream: TextIO | None = None) -> bool:
    """Tell whether the stream shows colours: a terminal, unless ``NO_COLOR`` is set."""
    stream = sys.stdout if stream is None else stream
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def styled(text: str, *styles: str, stream: TextIO | None = None) -> str:
    """Return the text in these styles, where the stream shows them."""
    if not (text and styles and has_colour(stream)):
        return text
    return f"\x1b[{';'.join(str(_CODES[style]) for style in styles)}m{text}\x1b[0m"


def wrapped(text: str, *, indent: int = 0, stream: TextIO | None = None) -> str:
    """Return the text broken between words to fit the terminal; as it is for files and pipes."""
    stream = sys.stdout if stream is None else stream
    if not stream.isatty():
        return text
    from textwrap import fill

    margin = " " * indent
    width = columns(stream)
    lines = text.splitlines()
    return "\n".join(
        fill(line, width, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False) for line in lines
    )


def columns(stream: TextIO | None = None) -> int:
    """Return the width of the terminal; 80 where there is none."""
    stream = sys.stdout if stream is None else stream
    if asked := os.environ.get("COLUMNS", ""):
        with contextlib.suppress(ValueError):
            return max(20, int(asked))
    try:
        return os.get_terminal_size(stream.fileno()).columns or _PLAIN_WIDTH
    except (OSError, ValueError, AttributeError):
        return _PLAIN_WIDTH


class BrokenPipeSilenced:
    """Goes on when the reader of stdout has gone, as `head` does: what is still written goes nowhere."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        if kind is not None and not issubclass(kind, BrokenPipeError):
            return False
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BrokenPipeError:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
        return kind is not None
