"""Options that several commands have."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.errors import ConfigurationError

if TYPE_CHECKING:
    from tidegate.cli.parser import Parser
    from tidegate.metadata import BaseMetadataProvider

WHAT = "What"
OPTIONS = "Options"
_PLACE = "metadata file, project folder, or URL of metadata; here when not given"


def add_path(parser: Parser) -> None:
    """Add the argument PATH."""
    parser.option(
        WHAT, "path", nargs="?", type=located, default=Path(), metavar="PATH", help=_PLACE,
    )  # fmt: skip


def add_project(parser: Parser) -> None:
    """Add `--project`, where PATH would be mistaken for something else."""
    parser.option(
        OPTIONS, "--project", type=located, default=Path(), metavar="PATH", dest="path", help=_PLACE,
    )  # fmt: skip


def add_choice_of_flows(parser: Parser) -> None:
    """Add `--stage` and `--flow`."""
    about = "only this stage; commas or repeat for several"
    parser.option(WHAT, "--stage", "-s", action="append", type=naming, metavar="STAGE", help=about)
    parser.option(WHAT, "--flow", "-f", action="append", type=naming, metavar="NAME", help="only this flow; likewise")


def add_metadata(parser: Parser) -> None:
    """Add `--profile`, `--state` and `--var`."""
    parser.option(OPTIONS, "--profile", "-p", metavar="NAME", help="profile of the metadata; $TIDEGATE_PROFILE")
    about = "where state is kept: postgresql://..., sqlite:///..., or a file; $TIDEGATE_STATE"
    parser.option(OPTIONS, "--state", metavar="URL", help=about)
    about = "value of a variable, over the declared one; may be repeated"
    parser.option(OPTIONS, "--var", action="append", metavar="NAME=VALUE", help=about)


def add_allowed_functions(parser: Parser, group: str) -> None:
    """Add `--allow-functions`."""
    about = "call only Python functions below this package or module; may be repeated"
    parser.option(
        group, "--allow-functions", action="append", type=naming, metavar="NAME", dest="allowed_function_prefixes",
        help=about,
    )  # fmt: skip


def add_output(parser: Parser, *, default: str | None = "table") -> None:
    """Add `--output`, and `--help` after it: what every command ends with."""
    about = "how the result is written to stdout"
    parser.option(OPTIONS, "--output", "-o", choices=("table", "json"), default=default, help=about)
    parser.add_help_option(OPTIONS)


def naming(text: str) -> str:
    """Return the value of an option that names something; nothing would be taken for everything.

    Raises:
        ArgumentTypeError: it names nothing.
    """
    if not text.replace(",", "").strip():
        raise ArgumentTypeError(f"{text!r} names nothing")
    return text


def located(text: str) -> str | Path:
    """Return where metadata are: a URL as it is, anything else as a path.

    >>> located("metadata.xlsx"), located("sqlite:///metadata.db")
    (PosixPath('metadata.xlsx'), 'sqlite:///metadata.db')
    """
    return text if "://" in text else Path(text)


def listed(values: Iterable[str] | None) -> list[str] | None:
    """Return names that were given with commas or by repetition; None when none were given.

    >>> listed(["bronze, silver", "gold"]), listed(None)
    (['bronze', 'silver', 'gold'], None)
    """
    names = [name.strip() for value in values or () for name in value.split(",")]
    return [name for name in names if name] or None


def variables_of(assignments: Iterable[str] | None) -> dict[str, str]:
    """Return ``NAME=VALUE`` texts as a mapping.

    Raises:
        ConfigurationError: one has no name, or no equals sign.
    """
    variables: dict[str, str] = {}
    for assignment in assignments or ():
        name, equals, value = assignment.partition("=")
        if not equals or not name.strip():
            raise ConfigurationError(f"--var {assignment} is not NAME=VALUE", hint=f"--var {name or 'NAME'}=VALUE")
        variables[name.strip()] = value
    return variables


def metadata_of(options: Namespace) -> BaseMetadataProvider:
    """Return the metadata that the options name; modules of the project can be imported from then on."""
    from tidegate.metadata import open_metadata

    provider = open_metadata(
        options.path,
        profile=getattr(options, "profile", None),
        variables=variables_of(getattr(options, "var", None)),
        state=_state_of(options),
    )
    if (root := str(provider.root.absolute())) not in sys.path:
        sys.path.append(root)  # functions of the project are found there; last, they hide no installed module
    return provider


def _state_of(options: Namespace) -> str | None:
    """Return where state is kept; a path is one from here, as all paths of the command line are."""
    from tidegate.state.opening import is_url

    given: str | None = getattr(options, "state", None)
    return str(Path(given).absolute()) if given and not is_url(given) else given
