"""The overview that ``tidegate --help`` prints, made from the table of commands without loading any of them."""

from __future__ import annotations

from tidegate.cli.commands import COMMANDS, SECTIONS
from tidegate.cli.terminal import styled

_CLOSING = """\
`tidegate COMMAND --help` says more. PATH is a metadata file or a project folder; the current one when not given.
Results go to stdout, progress to stderr; `--output json` makes results readable to programs.
Exit codes: 0 all is well, 1 a flow failed, 2 bad usage or metadata, 130 interrupted,
143 ended by SIGTERM."""


def overview() -> str:
    """Return the help of ``tidegate`` itself."""
    from textwrap import fill

    from tidegate.cli.terminal import columns

    width = max(len(name) for name in COMMANDS) + 3
    lines = [
        "Load data from metadata: incrementally, in one atomic commit a load.",
        "",
        f"{styled('Usage:', 'bold')} tidegate COMMAND [PATH] [OPTIONS]",
    ]
    for title, commands in SECTIONS.items():
        lines += ["", styled(title, "bold")]
        lines += [f"  {styled(f'{command.name:<{width}}', 'cyan')}{command.summary}" for command in commands]
    lines += ["", *(fill(line, min(columns(), 100)) for line in _CLOSING.splitlines())]
    return "\n".join(lines)
