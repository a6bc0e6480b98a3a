"""The files of a project, read into one tree that remembers where everything stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tidegate.metadata.finding import Findings, Place, suggestion
from tidegate.metadata.json_reader import read_embedded_json, read_json
from tidegate.metadata.node import Node, overlay
from tidegate.metadata.reading import UnreadableError
from tidegate.metadata.xlsx import read_xlsx
from tidegate.metadata.yaml_reader import read_yaml

LIST_SECTIONS = ("connections", "dataflows", "schema_hints", "triggers", "quality")
OBJECT_SECTIONS = ("variables", "profiles")
SECTIONS = (*LIST_SECTIONS, *OBJECT_SECTIONS, "state", "compat")

_TEXT_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_WORKBOOK = ".xlsx"
_WORKBOOK_NAMES = ("tidegate", "metadata")
"""A workbook in the project folder holds metadata when it is called so, or as a section; else it holds data."""
_PROJECT_FILES = ("tidegate.yaml", "tidegate.yml", "tidegate.json", "tidegate.xlsx")
_SECTION_OF_NAME = {
    **{section: section for section in (*LIST_SECTIONS, *OBJECT_SECTIONS)},
    "connection": "connections",
    "dataflow": "dataflows",
    "schema_hint": "schema_hints",
    "trigger": "triggers",
}
_TEXT_OBJECTS = frozenset(
    {
        "source",
        "destination",
        "transform",
        "configure",
        "secrets_ref",
        "cdc",
        "backward",
        "read_options",
        "write_options",
        "merge_options",
        "params",
        "token_request_extras",
        "watermark_param_mapping",
    }
)
"""Fields whose object may be written as JSON text, as database and spreadsheet metadata hold it."""


@dataclass(frozen=True, slots=True)
class Document:
    """What the files of a project hold.

    Attributes:
        root: The project folder.
        content: An object with every section of `SECTIONS` that some file has.
    """

    root: Path
    content: Node


def read_document(path: Path, findings: Findings) -> Document:
    """Read a metadata file, or all metadata of a project folder.

    In a folder that is ``tidegate.yaml`` (``.yml``, ``.json``, ``.xlsx``) or, when there is none, every YAML and JSON
    file, and workbooks named ``metadata`` or as a section; and the files below the sub-folders that are named as a
    section (``connections/``, ``dataflows/``, ...). Hidden files and folders are left out.

    Args:
        path: The file or folder. Places show it as it is written here.
        findings: Takes TG100 for what cannot be read, TG101 for unknown sections, TG102 for sections that are not
            lists (or objects), and TG105 for what is given twice.
    """
    content = Node({}, Place(str(path)))
    for file, section in _files(path, findings):
        tree = _read(file, section, findings)
        if tree is not None:
            _add(content, _sections_of(tree, section, file, findings), findings)
    expand_json_text(content, findings)
    return Document(path if path.is_dir() else path.parent, content)


def _files(path: Path, findings: Findings) -> Iterator[tuple[Path, str | None]]:
    """Yield the files to read, with the section that the name of file or folder says they hold."""
    if not path.is_dir():
        yield path, _section_named(path)
        return
    found = False
    projects = [path / name for name in _PROJECT_FILES if (path / name).is_file()]
    if len(projects) > 1:
        message = f"{projects[0].name} and {projects[1].name}: a project has one of them"
        findings.add("TG100", Place(str(projects[1])), message, hint="remove one of the files")
    for file in projects[:1] or _metadata_files(path, path.iterdir()):
        found = True
        yield file, None if projects else _section_named(file)
    for folder in sorted(path.iterdir()):
        section = _SECTION_OF_NAME.get(folder.name)
        if section and folder.is_dir():
            for file in _metadata_files(path, folder.rglob("*")):
                found = True
                yield file, section
    if not found:
        hint = "give the folder of a project, or begin one with `tidegate init`"
        findings.add("TG100", Place(str(path)), "no metadata in this folder", hint=hint)


def _metadata_files(root: Path, paths: Iterable[Path]) -> list[Path]:
    return sorted(
        path
        for path in paths
        if _holds_metadata(path, root)
        and path.is_file()
        and not any(part.startswith((".", "~$")) for part in path.relative_to(root).parts)
    )


def _holds_metadata(path: Path, root: Path) -> bool:
    if path.suffix.lower() == _WORKBOOK:
        return path.parent != root or path.stem in _WORKBOOK_NAMES or _section_named(path) is not None
    return path.suffix.lower() in _TEXT_SUFFIXES


def _section_named(file: Path) -> str | None:
    """Return the section that a file's name says: `connections.yaml`, `sales.dataflows.json`, or its folder."""
    return _SECTION_OF_NAME.get(file.stem.rpartition(".")[2]) or _SECTION_OF_NAME.get(file.parent.name)


def _read(file: Path, section: str | None, findings: Findings) -> Node | None:
    try:
        if file.suffix.lower() == _WORKBOOK:
            return read_xlsx(file, findings, section=section)
        text = file.read_text(encoding="utf-8-sig")
        reader = read_json if file.suffix.lower() == ".json" else read_yaml
        return reader(text, str(file), findings)
    except UnreadableError as error:
        findings.add("TG100", error.place, error.message, hint=error.hint)
    except FileNotFoundError:
        hint = "give the path of a metadata file or project folder"
        findings.add("TG100", Place(str(file)), "no such file", hint=hint)
    except UnicodeDecodeError as error:
        message = f"not UTF-8 text: byte {error.start} is 0x{error.object[error.start]:02x}"
        findings.add("TG100", Place(str(file)), message, hint="save the file as UTF-8")
    except OSError as error:
        findings.add("TG100", Place(str(file)), f"cannot be read: {error.strerror or error}")
    return None


def _sections_of(tree: Node, section: str | None, file: Path, findings: Findings) -> dict[str, Node]:
    """Return the sections of one file, whichever way it is written."""
    if tree.value is None:
        return {}
    is_document = isinstance(tree.value, dict) and "name" not in tree.value and tree.value.keys() & set(SECTIONS)
    if section and not is_document:
        if section in LIST_SECTIONS and isinstance(tree.value, dict):
            tree = Node([tree], tree.place)
        return _checked(section, tree, findings)
    if not isinstance(tree.value, dict):
        hint = f"a list stands below `connections:` or `dataflows:`, or in a file of that name, not in {file.name}"
        findings.add("TG100", tree.place, "a metadata file holds an object", hint=hint)
        return {}
    sections: dict[str, Node] = {}
    for key, node in tree.value.items():
        if key in SECTIONS:
            sections |= _checked(key, node, findings)
        elif key != "$schema":
            near = suggestion(key, SECTIONS, otherwise="sections")
            findings.add("TG101", node.key_place or node.place, f"unknown section {key!r}", hint=near)
    return sections


def _checked(section: str, node: Node, findings: Findings) -> dict[str, Node]:
    """Return the section when it is the list (or object) it should be, else report it and return nothing."""
    if node.value is None:
        return {}
    if section in LIST_SECTIONS and not isinstance(node.value, list):
        hint = "put '- ' before each of its items"
        findings.add("TG102", node.place, f"{section} must be a list", hint=hint)
        return {}
    if section in OBJECT_SECTIONS and not isinstance(node.value, dict):
        findings.add("TG102", node.place, f"{section} must be an object: names and values")
        return {}
    return {section: node}


def _add(content: Node, sections: dict[str, Node], findings: Findings) -> None:
    """Add the sections of one more file."""
    for section, node in sections.items():
        present = content.fields.get(section)
        if present is None:
            content.value[section] = node
        elif section in LIST_SECTIONS:
            content.value[section] = Node([*present.items, *node.items], present.place)
        else:
            if section == "variables":
                for name in present.fields.keys() & node.fields.keys():
                    first, second = present.fields[name], node.fields[name]
                    message = f"variable {name!r} is given in two files"
                    hint = f"the first is at {first.key_place}"
                    findings.add("TG105", second.key_place or second.place, message, hint=hint)
            content.value[section] = overlay(present, node)


def expand_json_text(node: Node, findings: Findings) -> None:
    """Turn every field that is an object written as JSON text into the object."""
    for key, field in node.fields.items():
        if key in _TEXT_OBJECTS and isinstance(field.value, str) and field.value.lstrip().startswith("{"):
            with suppress(UnreadableError):  # the model says what is wrong with the text
                field.value = read_embedded_json(field.value, field.place, findings).value
        expand_json_text(field, findings)
    for item in node.items:
        expand_json_text(item, findings)
