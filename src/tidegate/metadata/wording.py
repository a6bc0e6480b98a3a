"""Plain words for what pydantic refuses: what is wanted, what was found, and what a field path is called."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from pydantic import BaseModel

from tidegate.metadata.finding import closest
from tidegate.metadata.node import Node, Path
from tidegate.models import Connection, DataFlow, Destination, Source, Transform
from tidegate.models.base import TypedBy

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

OBJECT_OR_ITS_TEXT = "an object, or the JSON text of one"
_WANTED: Mapping[str, str] = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of at most 4300 digits",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "an object: names and values",
    "model_type": "an object: fields and values",
    "model_attributes_type": "an object: fields and values",
    "greater_than": "greater than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
}
_QUOTED = re.compile(r"'([^']*)'")
_LONGEST_SHOWN = 60
_HOMES: Mapping[str, type[BaseModel]] = {
    "source": Source,
    "destination": Destination,
    "transform": Transform,
    "the dataflow itself": DataFlow,
}


def wanted(error: ErrorDetails) -> tuple[str, str | None]:
    """Return what a field takes, and a hint, for an error that is neither a missing nor an unknown field."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in {"literal_error", "enum"}:
        allowed = _QUOTED.findall(str(context.get("expected", "")))
        near = closest(error["input"], allowed) if isinstance(error["input"], str) else None
        return f"one of {', '.join(allowed)}", f"did you mean {near!r}?" if near else None
    if kind == "value_error" and "error" in context:
        return OBJECT_OR_ITS_TEXT, str(context["error"])
    return _WANTED.get(kind, "another kind of value").format(**context), None


def shown(value: Any) -> str:
    """Return a value as a message shows it: short, and in the words of the file."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def dotted(node: Node, path: Path) -> str:
    """Return a path as people write it, ``transform.schema_hints[2].data_type``; positions are those in the file."""
    text = ""
    current: Node | None = node
    for step in path:
        current = current.child(step) if current else None
        if isinstance(step, int):
            text += f"[{current.index if current else step}]"
        else:
            text += f".{step}" if text else step
    return text


def home_of(field: str, path: Path) -> str | None:
    """Return the part of a dataflow that has a field which stands at the wrong `path`."""
    for part, model in _HOMES.items():
        if field in model.model_fields and path[:1] != (part,):
            return part
    return None


def model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """Return the model of the object at `path`, or None for free-form objects."""
    current: type[BaseModel] | None = model
    for step in path:
        if current is not None and isinstance(step, str):
            current = _model_of_field(current, step)
    return current


@cache
def _model_of_field(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    field = model.model_fields.get(name)
    if field is None:
        return None
    for marker in field.metadata:
        if isinstance(marker, TypedBy):
            return marker.model
    return _model_in(field.annotation)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return None if annotation is Connection else annotation  # in metadata, a connection is a name
    if get_origin(annotation) in {tuple, list, Union, types.UnionType}:
        return next((found for argument in get_args(annotation) if (found := _model_in(argument))), None)
    return None
