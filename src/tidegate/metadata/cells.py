"""Values of fields as single cells: what a spreadsheet or a column of a database can hold, and back.

A list of names is text with commas; an object, or a list that commas cannot say, is JSON text.
"""

from __future__ import annotations

import json
import math
import re
import types
from contextlib import suppress
from datetime import date, datetime, time
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from tidegate.errors import MetadataError
from tidegate.metadata.finding import Findings, Place
from tidegate.metadata.json_reader import read_embedded_json
from tidegate.metadata.node import Node, node_of
from tidegate.metadata.reading import UnreadableError
from tidegate.models import Connection

Kind = Literal["text", "scalar", "list", "object", "any"]
Cell = str | int | float | bool

_EMPTY_TEXT = '""'
"""A text without characters, in a sheet: there, a cell that holds nothing is not given."""
_BIGGEST = 10**15
_SAID_AS_JSON = re.compile(r'[{\["]|-?\d[\d.eE+-]{15,}$')
"""Texts of a sheet that mean JSON: objects, lists, quoted texts, and numbers of more digits than its cells have."""


@cache
def kind_of(model: type[BaseModel] | None, name: str) -> Kind:
    """Return how a field of a model is written as a cell."""
    field = model.model_fields.get(name) if model else None
    return _kind_of(field.annotation) if field else "any"


def _kind_of(annotation: Any) -> Kind:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kind_of(get_args(annotation)[0])
    if origin in {Union, types.UnionType}:
        kinds = {_kind_of(choice) for choice in get_args(annotation) if choice is not types.NoneType}
        return kinds.pop() if len(kinds) == 1 else "any"
    if origin in {tuple, list}:
        return "list"
    if origin is dict:
        return "object"
    if origin is Literal or annotation in {str, Connection}:  # in metadata, a connection is a name
        return "text"
    if annotation in {int, float, bool}:
        return "scalar"
    return "object" if isinstance(annotation, type) and issubclass(annotation, BaseModel) else "any"


def node_of_cell(kind: Kind, value: Any, place: Place, findings: Findings, *, typed: bool) -> Node:
    """Return the value of a field from its cell.

    Args:
        kind: What the field takes.
        value: What the cell holds: not None.
        place: Where the cell is.
        findings: Takes keys that stand twice in a JSON text.
        typed: Whether cells tell numbers from texts, as sheets do; columns of text do not.
    """
    if isinstance(value, dict | list):  # a database that knows JSON
        return node_of(value, place)
    value = _plain(value)
    if not isinstance(value, str):
        return Node(_as_text(value) if kind in {"text", "list"} else value, place)
    if kind == "text":
        return Node(_unquoted(value) if typed else value, place)
    if _may_be_json(kind, value, typed=typed):
        with suppress(UnreadableError):  # the model says what is wrong with the text
            return read_embedded_json(value, place, findings)
    return Node(value, place)


def cell_of(kind: Kind, value: Any, *, typed: bool) -> Cell:
    """Return the cell from which :func:`node_of_cell` reads `value`.

    Args:
        kind: What the field takes.
        value: What is declared: not None.
        typed: As for :func:`node_of_cell`.

    Raises:
        MetadataError: No cell can hold it (TG145).
    """
    if isinstance(value, str):
        return _cell_of_text(kind, value, typed=typed)
    if typed and kind == "list" and _fits_commas(value):
        return ", ".join(value)
    if isinstance(value, dict | list | tuple) or (kind == "any" and not typed):
        return json_of(value)
    if typed and not isinstance(value, bool) and not _fits_sheet(value):
        return json_of(value)
    return value  # type: ignore[no-any-return]  # a number or a truth value


def json_of(value: Any) -> str:
    """Return a value as JSON text.

    Raises:
        MetadataError: JSON has no word for it (TG145).
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        message = f"a value cannot be kept there: {error}"
        raise MetadataError(message, code="TG145", hint="infinity and NaN can be kept in YAML only") from None


def _cell_of_text(kind: Kind, text: str, *, typed: bool) -> str:
    match kind:
        case "text":
            return json.dumps(text) if typed and (not text or _unquoted(text) != text) else text
        case "list" if not text or _may_be_json(kind, text, typed=typed):
            return json_of([part.strip() for part in text.split(",") if part.strip()])
        case "object" if not text.strip():
            return "{}"
        case "any" if not text or _may_be_json(kind, text, typed=typed):
            return json_of(text)
        case _:
            return text


def _may_be_json(kind: Kind, text: str, *, typed: bool) -> bool:
    match kind:
        case "list":
            return text.lstrip().startswith("[")
        case "object":
            return text.lstrip().startswith("{")
        case "any":
            return not typed or bool(_SAID_AS_JSON.match(text))
        case _:
            return False


def _unquoted(text: str) -> str:
    """Return the text of a cell; only one of nothing but quotes is quoted, as SQL begins with quotes, too."""
    if text.startswith(_EMPTY_TEXT[0]) and not text.strip('"\\'):
        with suppress(json.JSONDecodeError):
            return str(json.loads(text))
    return text


def _plain(value: Any) -> Any:
    """Return what a cell holds as JSON would: whole numbers whole, dates and times as text."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def _as_text(value: Any) -> Any:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _fits_commas(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(isinstance(name, str) and name and name == name.strip() and "," not in name for name in value)
        and not value[0].startswith("[")
    )


def _fits_sheet(number: float) -> bool:
    """Tell whether a cell of a sheet, which holds 15 digits, holds the number."""
    whole = isinstance(number, int)
    return abs(number) < _BIGGEST if whole else math.isfinite(number) and float(f"{number:.15G}") == number
