"""``tidegate explain``: what a code means."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from textwrap import fill, indent
from typing import TYPE_CHECKING

from tidegate import catalogue
from tidegate.cli.options import WHAT, add_output
from tidegate.cli.terminal import columns, styled, tell, tell_json

if TYPE_CHECKING:
    from tidegate.catalogue import Explanation
    from tidegate.cli.parser import Parser

USAGE = "[CODE]"
_WIDEST = 100


def configure(parser: Parser) -> None:
    """Set up the command line."""
    parser.option(WHAT, "code", nargs="?", metavar="CODE", help="such as TG101, tg101 or 101; all codes when not given")
    add_output(parser)
    parser.set_defaults(execute=_explain)


def _explain(options: Namespace) -> int:
    if options.code is None:
        everything = catalogue.explanations().values()
        if options.output == "json":
            tell_json([asdict(explanation) for explanation in everything])
        else:
            for explanation in everything:
                tell(f"{styled(explanation.code, 'cyan')}  {explanation.title}")
        return 0
    explanation = catalogue.explain(options.code)
    if options.output == "json":
        tell_json(asdict(explanation))
    else:
        tell(_text(explanation))
    return 0


def _text(explanation: Explanation) -> str:
    width = min(columns(), _WIDEST)
    return "\n\n".join(
        (
            f"{styled(explanation.code, 'bold', 'cyan')}  {styled(explanation.title, 'bold')}",
            f"{styled('What', 'bold')}\n{_filled(explanation.what, width)}",
            f"{styled('Why', 'bold')}\n{_filled(explanation.why, width)}",
            f"{styled('Example', 'bold')}\n{indent(explanation.example, '    ')}",
            f"{styled('What to do', 'bold')}\n{_filled(explanation.fix, width)}",
        )
    )


def _filled(text: str, width: int) -> str:
    return "\n".join(
        fill(line, width, initial_indent="  ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    )
