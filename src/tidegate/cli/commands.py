"""The table of commands: what there is, said once for the help and for the loading of their modules."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """One command, or one group of commands."""

    name: str
    module: str
    """Where its `app` is."""
    summary: str


SECTIONS: dict[str, tuple[Command, ...]] = {
    "Begin": (
        Command("demo", "tidegate.cli.demo", "Load New York's flights, and see what an increment is"),
        Command("init", "tidegate.cli.init", "Write a new project: a small file and its metadata"),
    ),
    "Load": (
        Command("check", "tidegate.cli.check", "Find everything that is wrong in the metadata"),
        Command("doctor", "tidegate.cli.doctor", "Try every connection: names, credentials, rights, clocks"),
        Command("plan", "tidegate.cli.plan", "Show what a run would do now; change nothing"),
        Command("run", "tidegate.cli.run", "Load what is new, each flow in one atomic commit"),
        Command("replay", "tidegate.cli.replay", "Load a range of history again, in windows"),
    ),
    "Look": (
        Command("status", "tidegate.cli.status", "Show where each flow stands, and its last run"),
        Command("runs", "tidegate.cli.runs", "List what was run, and what came of it"),
        Command("show", "tidegate.cli.show", "Show what happened to every unit of one run"),
        Command("state", "tidegate.cli.state", "List, set, rewind or rebuild positions"),
    ),
    "Keep": (
        Command("maintain", "tidegate.cli.maintain", "Merge small files, and remove those that no reader needs"),
        Command("metadata", "tidegate.cli.metadata", "Move metadata between files, Excel, databases and services"),
    ),
    "Learn": (
        Command("explain", "tidegate.cli.explain", "Say what a code such as TG101 means, and what to do"),
        Command("schema", "tidegate.cli.schema", "Print the JSON Schema of metadata, for editors"),
        Command("plugins", "tidegate.cli.plugins", "List engines, sources, destinations and the rest"),
    ),
}

COMMANDS: dict[str, Command] = {command.name: command for section in SECTIONS.values() for command in section}
