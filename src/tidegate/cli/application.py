"""Calling a command: its module is loaded, its command line read, its errors shown, its exit code returned."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from tidegate.cli.commands import COMMANDS
from tidegate.cli.failure import error_record, exit_code_of, interrupted, show_error
from tidegate.cli.parser import HelpShown, Parser, UsageError
from tidegate.cli.terminal import tell_json
from tidegate.cli.words import closest

_WRITE_FILES = frozenset({"schema"})
"""Commands whose `--output` is a file."""


def run(arguments: Sequence[str]) -> int:
    """Run a command, and return the exit code."""
    try:
        return _run(*arguments)
    except HelpShown:
        return 0
    except KeyboardInterrupt as interrupt:
        interrupted()
        return exit_code_of(interrupt)
    except BrokenPipeError:
        raise  # main() knows what to do
    except Exception as error:  # noqa: BLE001 - the last boundary: nobody meets a traceback unasked
        show_error(error)
        if _wants_json(*arguments):
            tell_json(error_record(error))
        return exit_code_of(error)


def parser_of(name: str) -> Parser:
    """Return the parser of a command, its module loaded."""
    command = COMMANDS[name]
    module = import_module(command.module)
    parser = Parser(f"tidegate {name}", usage=module.USAGE, summary=f"{command.summary}.")
    module.configure(parser)
    return parser


def _wants_json(name: str, *arguments: str) -> bool:
    """Tell whether a command line asks for JSON, even if it makes no sense otherwise."""
    if name in _WRITE_FILES:
        return False
    parser = Parser("")
    parser.add_argument("--output", "-o")
    try:
        return bool(parser.parse_known_args(arguments)[0].output == "json")
    except UsageError:
        return False


def _run(name: str, *arguments: str) -> int:
    if name not in COMMANDS:
        near = closest(name, COMMANDS)
        what = "option" if name.startswith("-") else "command"
        hint = f"did you mean `tidegate {near}`?" if near else "`tidegate --help`"
        raise UsageError(f"unknown {what} {name!r}", hint)
    options = parser_of(name).understood(arguments)
    return int(options.execute(options))
