"""``tidegate schema``: the JSON Schema of metadata."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.cli.options import OPTIONS
from tidegate.cli.terminal import note, tell

if TYPE_CHECKING:
    from tidegate.cli.parser import Parser

USAGE = "[-o FILE]"


def configure(parser: Parser) -> None:
    """Set up the command line."""
    parser.option(OPTIONS, "--output", "-o", type=Path, metavar="FILE", help="file to write; stdout when not given")
    parser.add_help_option()
    parser.set_defaults(execute=_schema)


def _schema(options: Namespace) -> int:
    from tidegate.metadata import metadata_json_schema

    text = json.dumps(metadata_json_schema(), indent=2, ensure_ascii=False)
    if options.output is None:
        tell(text)
        return 0
    options.output.write_text(f"{text}\n", encoding="utf-8")
    note(f"Wrote {options.output}. With this as the first line of tidegate.yaml, editors complete and check it:")
    note(f"# yaml-language-server: $schema={options.output}")
    return 0
