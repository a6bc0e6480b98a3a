"""``tidegate metadata import``: dataflows proposed for the tables of a database."""

from __future__ import annotations

import shlex
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.cli.failure import warn
from tidegate.cli.options import OPTIONS, WHAT, listed, located, metadata_of, naming
from tidegate.cli.steps import tell_steps
from tidegate.cli.terminal import note, styled, tell, tell_json
from tidegate.errors import MetadataError

if TYPE_CHECKING:
    from tidegate.cli.parser import Parser
    from tidegate.models import Metadata
    from tidegate.orchestration.importing import Imported


def configure_import(action: Parser) -> None:
    """Set up the command line."""
    about = "a connection of the project, or the URL of a database"
    action.option(WHAT, "place", metavar="CONNECTION|URL", help=about)
    about = "connection of the project to load into; or a path such as ./lake, for Delta tables"
    action.option(WHAT, "--to", required=True, type=naming, metavar="CONNECTION", help=about)
    action.option(WHAT, "--schema", type=naming, metavar="NAME", help="only tables of this schema of the database")
    about = "only tables of these names, for instance order*; commas or repeat for several"
    action.option(WHAT, "--tables", action="append", type=naming, metavar="GLOB", help=about)
    action.option(OPTIONS, "--out", type=Path, metavar="FILE", help="write there instead of to stdout")
    action.option(OPTIONS, "--force", action="store_true", help="write in place of a file that is there")
    about = "metadata file or project folder whose connections and dataflows are known; here when not given"
    action.option(OPTIONS, "--project", type=located, metavar="PATH", dest="path", help=about)
    action.option(OPTIONS, "--profile", "-p", metavar="NAME", help="profile of the metadata; $TIDEGATE_PROFILE")
    action.option(OPTIONS, "--var", action="append", metavar="NAME=VALUE", help="value of a variable of the metadata")
    action.set_defaults(execute=_import)


def _import(options: Namespace) -> int:
    from tidegate.orchestration.importing import import_tables

    out: Path | None = options.out
    if out and out.exists() and not options.force:
        raise MetadataError(f"{out} is there already", code="TG145", hint="`--force` writes in its place")
    project, folder = _project(options)
    if out and out.exists():
        project = _without(project, out)
    root = _root(folder, out)
    imported = import_tables(
        options.place,
        to=options.to,
        project=project,
        root=root,
        schema=options.schema,
        patterns=listed(options.tables) or (),
    )
    if out and imported.text:
        _write(out, imported.text)
    if options.output == "json":
        about = {"flows": imported.flows, "known": imported.known, "variable": imported.variable}
        tell_json({"target": str(out) if out else None, **about, "yaml": imported.text})
        return 0
    if imported.text and not out:
        tell(imported.text.rstrip())
    _tell_of(imported, out, root)
    return 0


def _root(project: Path | None, out: Path | None) -> Path:
    """Return the folder to which relative paths in the file will be relative."""
    from tidegate.metadata.document import LIST_SECTIONS

    if project is None or out is None:
        return project or (out.parent if out else Path())
    here, home = out.parent.resolve(), project.resolve()
    is_part = any(here.is_relative_to(home / section) for section in LIST_SECTIONS)
    return project if is_part else out.parent


def _project(options: Namespace) -> tuple[Metadata, Path | None]:
    """Return the metadata of the project, and its folder; nothing where none was named and there is none here."""
    from tidegate.models import Metadata

    is_here = options.path is None
    if is_here:  # a file with the name of a project's own is one of itself
        is_own = options.out and options.out.name in {"tidegate.yaml", "tidegate.yml"}
        options.path = options.out.parent if is_own else Path()
    provider = metadata_of(options)
    try:
        return provider.read(), provider.root
    except MetadataError as error:
        has_none = not options.path.exists() or (error.code == "TG100" and error.where == str(options.path))
        if is_here and has_none:
            return Metadata(), None
        raise


def _without(project: Metadata, file: Path) -> Metadata:
    """Return the metadata but for what a file declares that will be replaced."""
    from tidegate.metadata.document import read_document
    from tidegate.metadata.finding import Findings

    content = read_document(file, Findings()).content.plain()
    replaced = {
        section: {item.get("name") for item in content.get(section) or () if isinstance(item, dict)}
        for section in ("connections", "dataflows")
    }
    return project.model_copy(
        update={
            section: tuple(item for item in getattr(project, section) if item.name not in names)
            for section, names in replaced.items()
        }
    )


def _write(file: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    draft = file.with_name(f".{file.name}.draft")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise MetadataError(f"{file} cannot be written: {error.strerror or error}", code="TG145") from error


def _tell_of(imported: Imported, out: Path | None, root: Path) -> None:
    """Say what was left alone, and what there is to do."""
    for table, flow in imported.known.items():
        note(f"{table}: loaded by {flow} already")
    if not imported.text:
        note("nothing to import: each of these tables has its dataflow")
        return
    if imported.variable:
        warn("the password is not written", f"set the variable {imported.variable} of the environment to it")
    if out:
        count = len(imported.flows)
        tell(f"Wrote {styled(str(out), 'bold')}: {count} dataflow{'' if count == 1 else 's'}")
        place = "" if root.resolve() == Path.cwd() else f" {shlex.quote(str(root))}"
        steps = {"check": "what is wrong in it, if anything", "plan": "what a run would load"}
        tell_steps([(f"tidegate {command}{place}", what) for command, what in steps.items()])
