"""``tidegate metadata``: declarations moved between files, workbooks, databases and services."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.cli.failure import MISUSED, warn
from tidegate.cli.metadata_import import configure_import
from tidegate.cli.options import OPTIONS, WHAT, add_output, located, naming, variables_of
from tidegate.cli.parser import Parser
from tidegate.cli.terminal import styled, tell, tell_json
from tidegate.errors import ConfigurationError

if TYPE_CHECKING:
    from tidegate.metadata.convert import Converted

USAGE = "ACTION [OPTIONS]"
_ACTIONS = {
    "convert": ("FROM TO", "Copy metadata to another file, database or service; ids are kept"),
    "import": ("CONNECTION|URL --to CONNECTION", "Propose dataflows for the tables of a database, as YAML"),
    "template": ("FILE", "Write an Excel workbook to fill in, with an example"),
}
_PLACE = "file (.yaml, .json, .xlsx), project folder, database URL, or https://.../workspaces/NAME"


def configure(parser: Parser) -> None:
    """Set up the command line."""
    actions = parser.add_subparsers(title="Actions", metavar="ACTION", parser_class=Parser)
    configures = {"convert": _configure_convert, "import": configure_import, "template": _configure_template}
    for name, (usage, summary) in _ACTIONS.items():
        about: dict[str, Any] = {"usage": f"{usage} [OPTIONS]", "summary": f"{summary}.", "help": summary}
        action: Parser = actions.add_parser(name, prog=f"tidegate metadata {name}", **about)
        configures[name](action)
        add_output(action)
        action.set_defaults(parser=action)
    parser.add_help_option(OPTIONS)
    parser.set_defaults(execute=lambda _: _no_action(parser))


def _no_action(parser: Parser) -> int:
    parser.print_help()
    return MISUSED


# -- convert ------------------------------------------------------------------------------------------------------


def _configure_convert(action: Parser) -> None:
    action.option(WHAT, "source", type=located, metavar="FROM", help=_PLACE)
    action.option(WHAT, "target", type=located, metavar="TO", help="likewise, but no folder")
    about = "workspace, where a URL does not say; databases have one called default"
    action.option(OPTIONS, "--workspace", "-w", type=naming, metavar="NAME", help=about)
    action.option(OPTIONS, "--replace", action="store_true", help="write in place of what is there")
    action.option(OPTIONS, "--profile", "-p", metavar="NAME", help="profile to check them with; all are copied")
    action.option(OPTIONS, "--var", action="append", metavar="NAME=VALUE", help="variable to check them with")
    action.set_defaults(execute=_convert)


def _convert(options: Namespace) -> int:
    from tidegate.metadata.convert import convert

    converted = convert(
        options.source,
        options.target,
        workspace=options.workspace,
        profile=options.profile,
        variables=variables_of(options.var),
        replace=options.replace,
    )
    counts = {
        "connections": len(converted.metadata.connections),
        "dataflows": len(converted.metadata.dataflows),
        "schema_hints": sum(len(section.hints) for section in converted.metadata.schema_hints),
    }
    target = _shown(options.target)
    if options.output == "json":
        tell_json({"target": target, **counts})
    else:
        said = ", ".join(_counted(count, name.removesuffix("s").replace("_", " ")) for name, count in counts.items())
        tell(f"{styled(target, 'bold')}: {said}")
    _tell_of_paths(converted, options.target)
    return 0


def _tell_of_paths(converted: Converted, target: str | Path) -> None:
    """Warn where relative paths mean another folder than before."""
    before, after = converted.root.absolute(), (target.parent if isinstance(target, Path) else Path()).absolute()
    if before.resolve() != after.resolve():
        what = "the folder of the file" if isinstance(target, Path) else "the folder where tidegate is called"
        warn(f"paths that were relative to {before} are now relative to {what}", f"now that is {after}")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _shown(target: str | Path) -> str:
    if isinstance(target, Path):
        return str(target)
    from tidegate.masking import mask
    from tidegate.state.opening import hide_password

    hide_password(target)
    return mask(target)


# -- template -----------------------------------------------------------------------------------------------------


def _configure_template(action: Parser) -> None:
    action.option(WHAT, "target", type=Path, metavar="FILE", help="the workbook, for instance metadata.xlsx")
    action.option(OPTIONS, "--replace", action="store_true", help="write in place of what is there")
    action.set_defaults(execute=_template)


def _template(options: Namespace) -> int:
    from tidegate.metadata.xlsx_template import write_template

    file: Path = options.target
    if file.suffix.lower() != ".xlsx":
        raise ConfigurationError(f"{file} is no name of a workbook", hint=f"{file.with_suffix('.xlsx')}")
    if file.exists() and not options.replace:
        raise ConfigurationError(f"{file} is there already", hint="`--replace` writes in its place")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_template(file)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror or error}") from error
    if options.output == "json":
        tell_json({"target": str(file)})
        return 0
    tell(f"Wrote {styled(str(file), 'bold')}. Fill it in, then:")
    tell(f"  {styled(f'tidegate check {file}', 'cyan')}")
    return 0
