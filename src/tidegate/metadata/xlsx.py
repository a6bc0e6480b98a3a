"""Metadata in Excel workbooks: a sheet for each section, a row for each declaration, a column for each field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.errors import ConfigurationError, MetadataError, first_line
from tidegate.metadata.cells import Cell as Value
from tidegate.metadata.cells import cell_of, node_of_cell
from tidegate.metadata.finding import Cell, Findings, Place, closest, letters_of
from tidegate.metadata.node import Node
from tidegate.metadata.reading import UnreadableError
from tidegate.metadata.rows import MODELS, SETTINGS, Field, Row, items_of, name_connections, rows_of

VARIABLES = "variables"
REST = "settings"
"""The sheet of the sections that have none of their own."""
SHEETS = (*MODELS, VARIABLES, REST)

_NAME, _VALUE = "name", "value"
_WIDEST, _NARROWEST = 60, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    place: str
    cells: Sequence[Sequence[Any]]

    def at(self, row: int, column: int) -> Cell:
        return Cell(self.place, row + 1, column + 1)


# -- reading ------------------------------------------------------------------------------------------------------


def read_xlsx(path: Path, findings: Findings, *, section: str | None = None) -> Node:
    """Return the sections that a workbook holds.

    Sheets that are named as no section are notes. When none is named as one, and the name of the file or its folder
    says a section, the first sheet holds it.

    Args:
        path: The workbook.
        findings: Takes TG101 for sheets that are most likely meant to be a section, TG102 and TG105 for rows.
        section: The section that the name of the file or its folder says.

    Raises:
        UnreadableError: It is no workbook.
        ConfigurationError: What reads it is not installed (TG612).
    """
    sheets = {name.strip().lower(): sheet for name, sheet in _sheets(path)}
    if section in MODELS and sheets and not sheets.keys() & set(SHEETS):
        sheets = {str(section): next(iter(sheets.values()))}
    content: dict[str, Node] = {}
    for name, sheet in sheets.items():
        if name in MODELS:
            content[name] = items_of(name, _rows(sheet), findings, typed=True)
            content[name].place = sheet.at(0, 0)
        elif name in {VARIABLES, REST}:
            values = _values(sheet, findings)
            content |= {VARIABLES: values} if name == VARIABLES else values.fields
        elif near := closest(name, SHEETS):
            findings.add("TG101", Place(sheet.place), f"unknown sheet {name!r}", hint=f"did you mean {near!r}?")
    name_connections(content)
    return Node(content, Place(str(path)))


def _sheets(path: Path) -> Iterator[tuple[str, _Sheet]]:
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError as error:
        raise _extra_missing(error) from error
    path.stat()  # a file that is not there is said as that
    try:
        workbook = CalamineWorkbook.from_path(path)
        for name in workbook.sheet_names:
            cells = workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
            yield name, _Sheet(place=f"{path}:{name}", cells=cells)
    except CalamineError as error:
        message = f"not an Excel workbook: {first_line(error)}"
        raise UnreadableError(message, Place(str(path)), "save it as .xlsx, without a password") from error


def _rows(sheet: _Sheet) -> Iterator[Row]:
    header, *rows = sheet.cells or [[]]
    columns = [(index, str(name).strip()) for index, name in enumerate(header) if str(name).strip()]
    for number, row in enumerate(rows, start=1):
        fields = [
            Field(column=name, value=row[index], place=sheet.at(number, index), column_place=sheet.at(0, index))
            for index, name in columns
            if row[index] not in {"", None}
        ]
        if fields:
            yield Row(place=sheet.at(number, 0), fields=fields)


def _values(sheet: _Sheet, findings: Findings) -> Node:
    """Return the object that a sheet of names and values says."""
    values = Node({}, sheet.at(0, 0))
    for row in _rows(sheet):
        fields = {field.column.lower(): field for field in row.fields}
        if (name := fields.get(_NAME)) is None:
            findings.add("TG103", row.place, f"{_NAME} is missing", hint=f"the columns are {_NAME} and {_VALUE}")
            continue
        key = str(name.value).strip()
        if key in values.fields:
            message = f"{key!r} is given twice in one sheet"
            findings.add("TG105", name.place, message, hint=f"the first is at {values.fields[key].key_place}")
            continue
        value = fields.get(_VALUE)
        node = Node(None, name.place)
        if value:
            node = node_of_cell("any", value.value, value.place, findings, typed=True)
        node.key_place = name.place
        values.value[key] = node
    return values


# -- writing ------------------------------------------------------------------------------------------------------


def write_xlsx(path: Path, content: Mapping[str, Any]) -> None:
    """Write the sections of a project as a workbook, as :func:`read_xlsx` reads them.

    Args:
        path: The file to write, in place of what is there.
        content: The sections as they are declared, without places.

    Raises:
        MetadataError: A cell cannot hold a value (TG145).
        ConfigurationError: What writes it is not installed (TG612).
    """
    tables = {section: _table(section, content[section]) for section in MODELS if content.get(section)}
    rest = {name: content[name] for name in SETTINGS if name != VARIABLES and content.get(name) is not None}
    for name, values in ((VARIABLES, content.get(VARIABLES)), (REST, rest)):
        if values:
            tables[name] = [[_NAME, _VALUE], *([key, _cell_of(value)] for key, value in values.items())]
    workbook = new_workbook(path)
    bold = workbook.add_format({"bold": True, "bottom": 1})
    for name, table in (tables or {"dataflows": [["name"]]}).items():
        sheet = workbook.add_worksheet(name)
        sheet.freeze_panes(1, 1)
        for index, column in enumerate(zip(*table, strict=True)):
            longest = max(len(str(value)) for value in column if value is not None)
            sheet.set_column(index, index, min(max(longest + 2, _NARROWEST), _WIDEST))
            for number, value in enumerate(column):
                if value is not None:
                    write_cell(sheet, number, index, value, bold if number == 0 else None)
    workbook.close()


def new_workbook(path: Path) -> Any:
    """Return a new workbook, in which a text is a text, whatever it begins with.

    Raises:
        ConfigurationError: What writes it is not installed (TG612).
    """
    try:
        import xlsxwriter
    except ImportError as error:
        raise _extra_missing(error) from error
    return xlsxwriter.Workbook(str(path), {"strings_to_formulas": False, "strings_to_urls": False})


def write_cell(sheet: Any, row: int, column: int, value: Value, form: Any = None) -> None:
    """Write one cell, counted from 0.

    Raises:
        MetadataError: The text is longer than a cell holds (TG145).
    """
    kind = "boolean" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"
    if getattr(sheet, f"write_{kind}")(row, column, value, form):
        size = f"a text of {len(value):,} characters" if isinstance(value, str) else "a value"
        message = f"{size} does not fit into cell {letters_of(column + 1)}{row + 1} of an Excel workbook"
        raise MetadataError(message, code="TG145", hint="keep these metadata in YAML, JSON or a database")


def _table(section: str, items: Sequence[Mapping[str, Any]]) -> list[list[Value | None]]:
    """Return the rows of a section below their header, columns in the order of the model's fields."""
    rows = rows_of(section, items, typed=True)
    header = list(dict.fromkeys(column for row in rows for column in row))
    return [list(header), *([row.get(column) for column in header] for row in rows)]


def _cell_of(value: Any) -> Value | None:
    return None if value is None else cell_of("any", value, typed=True)


def _extra_missing(error: ImportError) -> ConfigurationError:
    message = f"metadata in Excel needs an extra that is not installed: {error}"
    return ConfigurationError(message, code="TG612", hint="pip install 'tidegate[excel]'")
