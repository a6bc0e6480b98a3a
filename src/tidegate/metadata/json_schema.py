"""The JSON Schema of a metadata file, for editors: completion, descriptions, and typos underlined while typing.

In YAML, the first line ``# yaml-language-server: $schema=./tidegate.schema.json`` names it; in JSON, a ``$schema`` key.
"""

from __future__ import annotations

from typing import Any

from tidegate.metadata.document import LIST_SECTIONS
from tidegate.metadata.project import COMPATIBLE_WITH
from tidegate.models import Metadata
from tidegate.models.connection import TYPE_OF_FORMAT

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_Schema = dict[str, Any]

_REFERENCE_OR_TEXT = r"^\s*(\$\{|\{|\[)"  # ${var:name}, ${env:NAME}, or the JSON text of the value
_WRITTEN_AS_TEXT = ("Source", "Destination", "Transform", "ChangeData", "LookBack")
_PROFILE: _Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "variables": {"type": "object", "description": "Values that win over those of the file."},
        **{
            section: {
                "description": f"Fields by the name of one of the {section}; they are laid over what it declares.",
                "anyOf": [
                    {"type": "object", "additionalProperties": {"type": "object"}},
                    {"type": "array", "items": {"type": "object", "required": ["name"]}},
                ],
            }
            for section in ("connections", "dataflows")
        },
    },
}


def metadata_json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a metadata file."""
    schema = Metadata.model_json_schema(mode="validation")
    definitions = {name: _as_written(model) for name, model in schema["$defs"].items()}
    for name in _WRITTEN_AS_TEXT:
        definitions[name] |= {"type": ["object", "string"], "pattern": _REFERENCE_OR_TEXT}
    for name in ("Source", "Destination"):
        _let_connection_be_its_name(definitions[name])
    definitions["Connection"]["properties"]["format"] |= {"anyOf": _one_of([*TYPE_OF_FORMAT, None])}
    properties = schema["properties"]
    properties["profiles"] |= {"additionalProperties": _PROFILE}
    properties["compat"] = {"enum": list(COMPATIBLE_WITH), "description": properties["compat"]["description"]}
    for section in LIST_SECTIONS:
        properties[section] |= {"type": ["array", "null"]}
    return {
        "$schema": DIALECT,
        "title": "Tidegate metadata",
        "description": "Connections and dataflows of a Tidegate project.",
        "type": "object",
        "properties": {"$schema": {"type": "string"}, **properties},
        "additionalProperties": False,
        "$defs": definitions,
    }


def _as_written(model: _Schema) -> _Schema:
    """Return the schema of an object with its fields as a file may have them."""
    return {**model, "properties": {name: _field(name, field) for name, field in model["properties"].items()}}


def _field(name: str, field: _Schema) -> _Schema:
    """Return the schema of a field: also as a reference or text, several names as one, and nothing for its default.

    One list of types says so where it can, as editors explain that better than alternatives.
    """
    choices = [choice for choice in field.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        field = {key: value for key, value in field.items() if key != "anyOf"} | choices[0]
    nothing = ["null"] if field.get("default", ...) is not ... or "anyOf" in field else []
    if "properties" in field:
        field = _as_written(field)
    if "enum" in field:
        values = [*field.pop("enum"), *([None] if nothing else [])]
        return {**field, "type": ["string", *nothing], "anyOf": _one_of(values)}
    if name == "partition_columns":
        item = {"anyOf": [field["items"], {"type": "string"}]}
        return {**field, "type": ["array", "string", *nothing], "items": item}
    match field.get("type"):
        case "string":
            return {**field, "type": ["string", *nothing]} if nothing else field
        case "array" if field["items"].get("type") == "string":  # names, also separated by commas
            return {**field, "type": ["array", "string", *nothing]}
        case str(kind):
            return {**field, "type": [kind, "string", *nothing], "pattern": _REFERENCE_OR_TEXT}
    return field


def _one_of(values: list[str | None]) -> list[_Schema]:
    return [{"enum": values}, {"type": "string", "pattern": _REFERENCE_OR_TEXT}]


def _let_connection_be_its_name(model: _Schema) -> None:
    model["required"] = [name for name in model["required"] if name != "connection_name"]
    model["oneOf"] = [{"required": ["connection_name"]}, {"required": ["connection"]}, {"type": "string"}]
    model["properties"]["connection"] = {"type": "string", "description": "The same as `connection_name`."}
