"""``tidegate plugins``: what is registered, of our own and of installed packages."""

from __future__ import annotations

from argparse import Namespace
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from tidegate.cli.options import add_output
from tidegate.cli.terminal import columns, styled, tell, tell_json

if TYPE_CHECKING:
    from tidegate.cli.parser import Parser
    from tidegate.registry import PluginRegistry

USAGE = "[OPTIONS]"


def configure(parser: Parser) -> None:
    """Set up the command line."""
    add_output(parser)
    parser.set_defaults(execute=_plugins)


def _plugins(options: Namespace) -> int:
    found = _found()
    if options.output == "json":
        tell_json(found)
        return 0
    width = max(map(len, found)) + 2
    for kind, names in found.items():
        lines = wrap(", ".join(names) or "none", columns() - width, break_long_words=False, break_on_hyphens=False)
        tell(f"{styled(f'{kind:<{width}}', 'bold')}{lines[0]}")
        for line in lines[1:]:
            tell(f"{'':<{width}}{line}")
    return 0


def _found() -> dict[str, list[str]]:
    from tidegate.connections import database_registry
    from tidegate.destinations import strategy_registry, table_registry
    from tidegate.doctor import probe_registry
    from tidegate.engines import engine_registry
    from tidegate.metadata import metadata_registry
    from tidegate.platforms import platform_registry
    from tidegate.secrets import resolver_registry, secret_provider_registry
    from tidegate.sources import source_registry
    from tidegate.timegrid.calendar import calendar_registry
    from tidegate.transformers import transformer_registry

    registries: dict[str, PluginRegistry[Any]] = {
        "engines": engine_registry,
        "sources": source_registry,
        "destinations": table_registry,
        "load strategies": strategy_registry,
        "transformers": transformer_registry,
        "metadata providers": metadata_registry,
        "secret providers": secret_provider_registry,
        "secret resolvers": resolver_registry,
        "databases": database_registry,
        "platforms": platform_registry,
        "probes": probe_registry,
        "calendars": calendar_registry,
    }
    return {kind: registry.list_plugins() for kind, registry in registries.items()}
