"""Declarations as rows: of a sheet, where `source.table` is a column, or of a table, where `source` is JSON text.

Reading takes both everywhere, and also `source_table`, as older metadata have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from tidegate.metadata.cells import Cell, Kind, cell_of, kind_of, node_of_cell
from tidegate.metadata.finding import Findings, Place
from tidegate.metadata.node import Node, Path
from tidegate.metadata.wording import model_at
from tidegate.models import Connection, DataFlow, Metadata, SchemaHint, SchemaHintSection

if TYPE_CHECKING:
    from pydantic import BaseModel

MODELS: Mapping[str, type[BaseModel]] = {"connections": Connection, "dataflows": DataFlow, "schema_hints": SchemaHint}
"""The sections that are tables, with what a row declares. A row of schema hints names its table, too."""
SETTINGS = ("triggers", "quality", "variables", "profiles", "state", "compat")
"""The sections that are not."""

_SECTION_FIELDS = tuple(SchemaHintSection.model_fields)
_PARTS = ("source", "destination")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What one cell says: the name of its column, its value, and where both are."""

    column: str
    value: Any
    place: Place
    column_place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The cells of a row that hold something."""

    place: Place
    fields: Sequence[Field]


# -- reading ------------------------------------------------------------------------------------------------------


def items_of(section: str, rows: Iterable[Row], findings: Findings, *, typed: bool) -> Node:
    """Return the declarations that rows say, as the list of their section.

    Args:
        section: One of `MODELS`.
        rows: The rows, in order.
        findings: Takes TG105 for what two columns say of one field.
        typed: Whether cells tell numbers from texts.
    """
    items = [_item(MODELS[section], row, findings, typed=typed) for row in rows]
    if section == "schema_hints":
        items = _grouped(items)
    for index, item in enumerate(items):
        item.index = index
    return Node(items, items[0].place if items else Place(""))


def name_connections(content: Mapping[str, Node]) -> None:
    """Let sources and destinations that say a `connection_id` name the connection, as everywhere else."""
    connections = content["connections"].items if "connections" in content else []
    names = {item.text("connection_id"): item.text("name") for item in connections}
    for flow in content["dataflows"].items if "dataflows" in content else []:
        for part in _PARTS:
            written = flow.fields.get(part) or flow
            identifier = written.text("connection_id")
            if identifier and (name := names.get(identifier)):
                known = written.fields.pop("connection_id")
                written.fields.setdefault("connection_name", Node(name, known.place, known.key_place))


def _item(model: type[BaseModel], row: Row, findings: Findings, *, typed: bool) -> Node:
    item = Node({}, row.place)
    cells = [(path_of(model, field.column), field) for field in row.fields]
    for path, field in sorted(cells, key=lambda cell: len(cell[0])):  # an object first, then fields within it
        node = node_of_cell(_kind_at(model, path), field.value, field.place, findings, typed=typed)
        node.key_place = field.column_place
        _put(item, path, node, findings)
    return item


def path_of(model: type[BaseModel], column: str) -> tuple[str, ...]:
    """Return the field that a column means: ``source.table``, ``source_table`` and ``Source Table`` are one.

    >>> path_of(DataFlow, "source_table"), path_of(DataFlow, "load type")
    (('source', 'table'), ('load type',))
    """
    plain = column.strip().lower().replace(" ", "_")
    for separator in (".", "_"):
        if path := _known(model, plain, separator):
            return path
    return tuple(part.strip() for part in column.split("."))


def _known(model: type[BaseModel] | None, name: str, separator: str) -> tuple[str, ...] | None:
    if model is None:
        return None
    if name in model.model_fields or (model is SchemaHint and name in _SECTION_FIELDS):
        return (name,)
    for part in model.model_fields:
        if name.startswith(f"{part}{separator}") and kind_of(model, part) == "object":
            rest = name[len(part) + 1 :]
            if part in _PARTS and rest == "connection_id":
                return part, rest
            if within := _known(model_at(model, (part,)), rest, separator):
                return part, *within
    return None


def _kind_at(model: type[BaseModel], path: Path) -> Kind:
    if model is SchemaHint and path[0] in _SECTION_FIELDS:
        model = SchemaHintSection
    return kind_of(model_at(model, path[:-1]), str(path[-1]))


def _put(item: Node, path: tuple[str, ...], node: Node, findings: Findings) -> None:
    for step in path[:-1]:
        if step not in item.fields:
            item.value[step] = Node({}, node.place, node.key_place)
        item = item.fields[step]
    if isinstance(item.value, dict) and path[-1] not in item.value:
        item.value[path[-1]] = node
        return
    message = f"{'.'.join(path)} is said by two columns"
    hint = f"the other is at {item.fields[path[-1]].place if path[-1] in item.fields else item.place}"
    findings.add("TG105", node.place, message, hint=hint)


def _grouped(rows: Iterable[Node]) -> list[Node]:
    """Return the sections of schema hints: neighbours of one table are one section."""
    sections: list[Node] = []
    before: dict[str, Any] | None = None
    for row in rows:
        table = {key: node for key, node in row.fields.items() if key not in SchemaHint.model_fields}
        hint = Node({key: node for key, node in row.fields.items() if key in SchemaHint.model_fields}, row.place)
        if not hint.value or "hints" in table:  # all hints of the table, as JSON text
            sections.append(row)
            before = None
            continue
        said = {key: node.plain() for key, node in table.items()}
        if said != before:
            sections.append(Node({**table, "hints": Node([], row.place)}, row.place))
            before = said
        hints = sections[-1].fields["hints"].items
        hint.index = len(hints)
        hints.append(hint)
    return sections


# -- writing ------------------------------------------------------------------------------------------------------


def rows_of(section: str, items: Iterable[Mapping[str, Any]], *, typed: bool) -> list[dict[str, Cell]]:
    """Return declarations as rows: column → cell.

    Args:
        section: One of `MODELS`.
        items: The declarations, as they are written.
        typed: Whether cells tell numbers from texts. Then every known field has a column; else every one of a
            declaration, and what is within is JSON text.

    Raises:
        MetadataError: No cell can hold a value (TG145).
    """
    model = MODELS[section]
    if section == "schema_hints":
        items = chain.from_iterable(_hints(items))
    return [dict(_cells(model, item, "", typed=typed)) for item in items]


def _cells(
    model: type[BaseModel] | None, item: Mapping[str, Any], prefix: str, *, typed: bool
) -> Iterator[tuple[str, Cell]]:
    for name, value in item.items():
        kind = _kind_at(model, (name,)) if model else "any"
        within = model_at(model, (name,)) if model and kind == "object" else None
        if typed and within and isinstance(value, dict) and value and _is_known(within, value):
            yield from _cells(within, value, f"{prefix}{name}.", typed=typed)
        elif value is not None:
            yield f"{prefix}{name}", cell_of(kind, value, typed=typed)


def _is_known(model: type[BaseModel], value: Mapping[str, Any]) -> bool:
    return all(name in model.model_fields and field is not None for name, field in value.items())


def _hints(sections: Iterable[Mapping[str, Any]]) -> Iterator[Iterator[Mapping[str, Any]]]:
    before: Mapping[str, Any] | None = None
    for section in sections:
        table = {key: value for key, value in section.items() if key != "hints" and value is not None}
        hints = section.get("hints")
        if table != before and isinstance(hints, list | tuple) and hints and all(map(_is_plain_hint, hints)):
            yield ({**table, **hint} for hint in hints)
            before = table
        else:  # as JSON text, so that two sections of one table stay two
            yield iter([{**table, **({} if hints is None else {"hints": hints})}])
            before = None


def _is_plain_hint(hint: object) -> bool:
    return isinstance(hint, dict) and "column_name" in hint and hint.keys() <= SchemaHint.model_fields.keys()


def without_references(content: Mapping[str, Any], metadata: Metadata) -> dict[str, Any]:
    """Return declarations with numbers and truth values in the place of references to them.

    Columns of numbers hold no text. Texts stay as they are written.

    Args:
        content: The sections as they are declared.
        metadata: What they come to.
    """
    fitted = dict(content)
    for section in ("connections", "dataflows"):
        if content.get(section):
            fitted[section] = list(map(_resolved, content[section], getattr(metadata, section)))
    if content.get("schema_hints"):
        fitted["schema_hints"] = [
            {**table, "hints": list(map(_resolved, table["hints"], known.hints))}
            if isinstance(table.get("hints"), list)
            else table
            for table, known in zip(content["schema_hints"], metadata.schema_hints, strict=True)
        ]
    return fitted


def _resolved(item: Mapping[str, Any], model: BaseModel) -> dict[str, Any]:
    known = type(model)
    return {
        name: getattr(model, name) if value is not None and kind_of(known, name) == "scalar" else value
        for name, value in item.items()
    }
