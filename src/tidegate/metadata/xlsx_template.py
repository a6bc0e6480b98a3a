"""A workbook to begin with: headers that explain themselves, lists to choose from, and an example that runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from tidegate.metadata.cells import Cell, Kind, kind_of
from tidegate.metadata.rows import MODELS, path_of
from tidegate.metadata.wording import model_at
from tidegate.metadata.xlsx import VARIABLES, new_workbook, write_cell
from tidegate.models import SchemaHintSection
from tidegate.models.connection import TYPE_OF_FORMAT

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

_SHEETS: Mapping[str, tuple[str, ...]] = {
    "connections": ("name", "format", "configure.base_path", "configure", "secrets_ref", "is_active"),
    "dataflows": (
        "name",
        "stage",
        "description",
        "is_active",
        "source.connection_name",
        "source.schema_name",
        "source.table",
        "source.watermark_columns",
        "source.filter_expression",
        "source.configure",
        "transform.filter_expression",
        "transform.additional_columns",
        "transform.select_columns",
        "transform.drop_columns",
        "transform.rename_columns",
        "destination.connection_name",
        "destination.schema_name",
        "destination.table",
        "destination.load_type",
        "destination.merge_keys",
        "destination.partition_columns",
        "destination.configure",
        "depends_on",
        "tags",
    ),
    "schema_hints": (
        "connection_name",
        "schema_name",
        "table_name",
        "column_name",
        "data_type",
        "format",
        "precision",
        "scale",
        "default_value",
        "is_active",
    ),
    VARIABLES: ("name", "value"),
}
_EXAMPLE: Mapping[str, tuple[Mapping[str, Cell], ...]] = {
    "connections": (
        {"name": "landing", "format": "csv", "configure.base_path": "${var:landing}", "is_active": True},
        {"name": "lake", "format": "delta", "configure.base_path": "lake", "is_active": True},
    ),
    "dataflows": (
        {
            "name": "orders",
            "stage": "bronze",
            "description": "an example: replace it with what you load",
            "is_active": True,
            "source.connection_name": "landing",
            "source.table": "orders",
            "source.watermark_columns": "updated_at",
            "transform.filter_expression": "amount > 0",
            "destination.connection_name": "lake",
            "destination.table": "orders",
            "destination.load_type": "merge_upsert",
            "destination.merge_keys": "id",
        },
    ),
    "schema_hints": (
        {
            "connection_name": "landing",
            "table_name": "orders",
            "column_name": "updated_at",
            "data_type": "timestamp",
            "is_active": True,
        },
    ),
    VARIABLES: ({"name": "landing", "value": "landing"},),
}
_WRITTEN: Mapping[Kind, str] = {
    "text": "Text.",
    "scalar": "A number, or TRUE or FALSE.",
    "list": "Names, separated by commas; or a list as JSON text.",
    "object": "An object as JSON text; or a column for each of its fields.",
    "any": "Text or a number; lists and objects as JSON text.",
}
_ROWS_WITH_CHOICES = 1000
_FIRST_WIDTH, _MARGIN = 14, 4


def write_template(path: Path) -> None:
    """Write the workbook, in place of what is there.

    Raises:
        ConfigurationError: What writes it is not installed (TG612).
    """
    workbook = new_workbook(path)
    header = workbook.add_format({"bold": True, "bottom": 1, "bg_color": "#DCE9F5"})
    for name, columns in _SHEETS.items():
        sheet = workbook.add_worksheet(name)
        sheet.freeze_panes(1, 1)
        for index, column in enumerate(columns):
            write_cell(sheet, 0, index, column, header)
            sheet.set_column(index, index, max(_FIRST_WIDTH, len(column) + _MARGIN))
            sheet.write_comment(0, index, _about(name, column), {"x_scale": 2})
            if choices := list(_choices(name, column)):
                rule = {"validate": "list", "source": choices, "error_type": "warning"}
                sheet.data_validation(1, index, _ROWS_WITH_CHOICES, index, rule)
            for number, row in enumerate(_EXAMPLE[name], start=1):
                if column in row:
                    write_cell(sheet, number, index, row[column])
    workbook.close()


def _about(sheet: str, column: str) -> str:
    model, field = _field(sheet, column)
    if field is None or model is None:
        return {"name": "For ${var:name} in any cell.", "value": _WRITTEN["any"]}[column]
    required = "Required. " if field.is_required() else ""
    described = " ".join((field.description or "").replace("`", "").split())
    return f"{required}{described} {_WRITTEN[kind_of(model, column.rpartition('.')[2])]}".strip()


def _choices(sheet: str, column: str) -> Iterator[str]:
    if (sheet, column) == ("connections", "format"):
        yield from TYPE_OF_FORMAT
        return
    _, field = _field(sheet, column)
    if field is None:
        return
    for annotation in _alternatives(field.annotation):
        if get_origin(annotation) is Literal:
            yield from get_args(annotation)
        elif annotation is bool:
            yield from ("TRUE", "FALSE")


def _alternatives(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in {Union, UnionType}:
        for choice in get_args(annotation):
            yield from _alternatives(choice)
    elif get_origin(annotation) is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    else:
        yield annotation


def _field(sheet: str, column: str) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    if sheet not in MODELS:
        return None, None
    model = MODELS[sheet]
    path = path_of(model, column)
    if sheet == "schema_hints" and column in SchemaHintSection.model_fields:
        model = SchemaHintSection
    owner = model_at(model, path[:-1])
    return owner, owner.model_fields[path[-1]] if owner else None
