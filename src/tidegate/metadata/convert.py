"""Moving declarations from where they are kept to another place, as they are written: references stay references."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import replace as with_other
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import yaml

from tidegate.errors import MetadataError
from tidegate.metadata.cells import json_of
from tidegate.metadata.checked import CheckedMetadata, error_of
from tidegate.metadata.document import SECTIONS
from tidegate.metadata.finding import Findings
from tidegate.metadata.opening import open_metadata
from tidegate.metadata.project import project_of
from tidegate.metadata.xlsx import write_xlsx
from tidegate.models import Metadata

Content = dict[str, Any]
"""The sections of a project as they are declared, without places."""

_NOT_RUN = "TG113"
"""What can be declared and is not run can be kept, too."""
_PARTS = ("source", "destination")
_PLAIN = re.compile(r"[A-Za-z_][\w./ -]*[\w/]|[A-Za-z_]")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


@runtime_checkable
class WritableMetadata(Protocol):
    """A provider that can also be written to."""

    def write(self, content: Mapping[str, Any], metadata: Metadata, *, replace: bool = False) -> None:
        """Write declarations, in place of what is there when `replace` says so.

        Args:
            content: The sections as they are declared, without places.
            metadata: What they come to, for places that cannot hold references.
            replace: Whether they take the place of what is there.

        Raises:
            MetadataError: There are metadata already, and `replace` is false (TG145); the place cannot be used.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What was moved.

    Attributes:
        metadata: The declarations, as they hold where they came from.
        root: The folder against which relative paths were resolved there.
    """

    metadata: Metadata
    root: Path


def convert(
    source: str | Path,
    target: str | Path,
    *,
    workspace: str | None = None,
    profile: str | None = None,
    variables: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> Converted:
    """Copy declarations. Ids are kept: those that were derived are written down, so that a renaming moves no state.

    Args:
        source: Where they are: whatever :func:`~tidegate.metadata.opening.open_metadata` takes.
        target: A file (`.yaml`, `.yml`, `.json`, `.xlsx`) or a URL.
        workspace: The workspace, where a URL does not say.
        profile: The profile with which they are checked; all profiles are copied.
        variables: The variables with which they are checked.
        replace: Whether to write in place of what is there.

    Raises:
        MetadataError: They do not hold; there is something already (TG145); a place cannot be used.
    """
    content, converted = _read(
        open_metadata(source, workspace=workspace, profile=profile, variables=variables), variables
    )
    if isinstance(target, Path):
        _write_file(target, content, replace=replace)
        return converted
    provider = open_metadata(target, workspace=workspace)
    if not isinstance(provider, WritableMetadata):
        _write_file(Path(target), content, replace=replace)
        return converted
    provider.write(content, converted.metadata, replace=replace)
    return converted


def _read(provider: CheckedMetadata, variables: Mapping[str, Any] | None) -> tuple[Content, Converted]:
    """Return the declarations as they are written, after it was seen that they hold."""
    findings = Findings()
    document = provider.document(findings)
    content: Content = document.content.plain()
    project = project_of(document, findings, profile=provider.profile, variables=variables)
    held = with_other(project, findings=tuple(finding for finding in project.findings if finding.code != _NOT_RUN))
    if held.errors:
        raise error_of(held)
    for section, identifier in (("connections", "connection_id"), ("dataflows", "dataflow_id")):
        for item, model in zip(content.get(section, ()), getattr(project.metadata, section), strict=True):
            _identify(item, identifier, getattr(model, identifier))
    for flow in content.get("dataflows", ()):
        for part in _PARTS:
            if isinstance(flow[part], dict) and "connection" in flow[part]:
                flow[part] = {"connection_name": flow[part].pop("connection"), **flow[part]}
    ordered = {section: content[section] for section in SECTIONS if content.get(section) not in (None, [], {})}
    return ordered, Converted(metadata=project.metadata, root=document.root)


def _identify(item: dict[str, Any], identifier: str, value: str) -> None:
    """Write an id down, after the name."""
    rest = {name: field for name, field in item.items() if name not in {"name", identifier}}
    name = item["name"]
    item.clear()
    item.update({"name": name, identifier: value, **rest})


# -- files --------------------------------------------------------------------------------------------------------


def _write_file(path: Path, content: Content, *, replace: bool) -> None:
    """Write a metadata file, whole or not at all.

    Raises:
        MetadataError: It is there already, no format is named so, or it cannot be written (TG145).
    """
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        hint = f"a file is called {', '.join(f'*{suffix}' for suffix in _WRITERS)}; else it is a URL"
        raise MetadataError(f"{path} says no format of metadata", code="TG145", hint=hint)
    if path.exists() and not replace:
        raise MetadataError(f"{path} is there already", code="TG145", hint="`--replace` writes in its place")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(draft, content)
        draft.replace(path)
    except OSError as error:
        raise MetadataError(f"{path} cannot be written: {error.strerror or error}", code="TG145") from error
    finally:
        draft.unlink(missing_ok=True)


def _write_json(path: Path, content: Content) -> None:
    json_of(content)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_yaml(path: Path, content: Content) -> None:
    text = yaml.dump(content, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
    path.write_text(text, encoding="utf-8")


class Dumper(yaml.SafeDumper):
    """Writes YAML that means the same to readers of 1.1 and of 1.2: text is quoted unless it looks like a name."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write what occurs twice in both places."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


Dumper.add_representer(str, _text)
_WRITERS: dict[str, Callable[[Path, Content], None]] = {
    ".yaml": _write_yaml,
    ".yml": _write_yaml,
    ".json": _write_json,
    ".xlsx": write_xlsx,
}
