"""Command lines: argparse, with errors that suggest, and help that is worth reading.

Not typer: its every command loads pydantic to read its options, 0.3 s before anything happens; this takes 0.04 s.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from tidegate.cli.terminal import columns, styled, tell
from tidegate.cli.words import closest

Execute = Callable[[argparse.Namespace], int]
"""Carries out a command, and returns its exit code."""

_WIDEST = 100
_HEADING = re.compile(r"^([A-Z][\w ]*):$", re.MULTILINE)
_ACTIONS = re.compile(r"^  ACTION\n((?:    .*\n)+)", re.MULTILINE)
_CHOICE = re.compile(r"invalid choice: '(?P<word>.*?)'.* \(choose from (?P<known>.*)\)")
_OPTION = re.compile(r"^(  )(-[^\n]*?|[A-Z][A-Z=.\[\]:]+(?: \.\.\.)?|[a-z]+)(?=  +\S|$)", re.MULTILINE)


class UsageError(Exception):
    """A command line that cannot be understood."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class HelpShown(Exception):  # noqa: N818 - no error
    """Help was asked for and shown: there is nothing left to do."""


class Parser(argparse.ArgumentParser):
    """The parser of one command.

    Args:
        prog: The command as it is typed: `tidegate run`.
        usage: What follows it.
        summary: What it does.
    """

    def __init__(self, prog: str, *, usage: str = "", summary: str = "", **_: object) -> None:
        plain: dict[str, Any] = {"color": False} if sys.version_info >= (3, 14) else {}
        super().__init__(
            prog=prog,
            usage=f"{prog} {usage}".rstrip(),
            description=summary,
            formatter_class=_Formatter,
            allow_abbrev=False,
            add_help=False,
            **plain,
        )
        self._groups: dict[str, Any] = {}

    def option(self, group: str, *names: str, **about: Any) -> None:
        """Add an option or argument under the heading of a group."""
        if group not in self._groups:
            self._groups[group] = self.add_argument_group(group)
        self._groups[group].add_argument(*names, **about)

    def add_help_option(self, group: str = "Options") -> None:
        """Add `--help`, the last of all options."""
        self.option(group, "--help", "-h", action="help", help="show this and end")

    def understood(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Return what the arguments say.

        Raises:
            UsageError: They make no sense.
            HelpShown: They asked for help.
        """
        options, unknown = self.parse_known_args(arguments)
        if unknown:
            parser = getattr(options, "parser", self)
            raise parser.not_known(unknown[0])
        return options

    def not_known(self, word: str) -> UsageError:
        """Return the error for an argument that means nothing here."""
        if not word.startswith("-"):
            return UsageError(f"unexpected argument {word!r}", f"`{self.prog} --help`")
        name, _, _ = word.partition("=")
        near = closest(name, self._option_string_actions)
        return UsageError(f"unknown option {name}", f"did you mean {near}?" if near else f"`{self.prog} --help`")

    def error(self, message: str) -> NoReturn:
        """Raise the error that argparse found."""
        if choice := _CHOICE.search(message):
            known = re.findall(r"[\w-]+", choice["known"])
            near = closest(choice["word"], known)
            hint = f"did you mean {near}?" if near else f"one of {', '.join(known)}"
            raise UsageError(f"{message[: choice.start()].replace('argument ', '', 1)}unknown {choice['word']!r}", hint)
        raise UsageError(message.replace("argument ", "", 1), f"`{self.prog} --help`")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End, after help was shown."""
        raise HelpShown

    def print_help(self, file: Any = None) -> None:
        """Write the help to stdout."""
        tell(self.format_help().rstrip())

    def format_help(self) -> str:
        """Return the help, with headings and options set off where the terminal can."""
        formatter = self._get_formatter()
        formatter.add_text(self.description)
        formatter.add_usage(self.usage, self._actions, self._mutually_exclusive_groups, prefix="Usage: ")
        for group in self._action_groups:
            formatter.start_section(group.title)
            formatter.add_text(group.description)
            formatter.add_arguments(group._group_actions)  # noqa: SLF001 - as argparse itself does
            formatter.end_section()
        text = _ACTIONS.sub(lambda found: re.sub("(?m)^  ", "", found[1]), formatter.format_help())
        text = re.sub(r"(?m)^Usage:", styled("Usage:", "bold"), text)
        text = _HEADING.sub(lambda found: styled(found[1], "bold"), text)
        return _OPTION.sub(lambda found: found[1] + styled(found[2], "cyan"), text)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str, **about: Any) -> None:
        super().__init__(prog, **{**about, "max_help_position": 28, "width": min(columns(), _WIDEST)})

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return str(action.metavar or action.dest)
        value = "" if action.nargs == 0 else f" {action.metavar or self._get_default_metavar_for_optional(action)}"
        if action.choices is not None and not action.metavar:
            value = f" {'|'.join(map(str, action.choices))}"
        return ", ".join(action.option_strings) + value
