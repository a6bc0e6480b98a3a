"""How Polars reads sheets of Excel and OpenDocument: whole, one at a time; a sheet has a million rows at most."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import polars as pl

from tidegate.engines.polars_frames import frame_of_files
from tidegate.engines.polars_types import polars_type
from tidegate.errors import ConfigurationError, SourceError

if TYPE_CHECKING:
    import fastexcel

    from tidegate.engines.base import FileGroup
    from tidegate.platforms import BasePlatform

_TIME_WITHOUT_DAY = (date(1899, 12, 30), date(1899, 12, 31))
"""The days that a time of day is given, by the workbook's program."""
_EXACT = 2**53
"""Up to here a cell holds whole numbers."""
_ERROR = re.compile(r"Error\((\w+)\)")
_ERRORS: Mapping[str, str] = MappingProxyType(
    {
        "Div0": "#DIV/0!",
        "NA": "#N/A",
        "Name": "#NAME?",
        "Null": "#NULL!",
        "Num": "#NUM!",
        "Ref": "#REF!",
        "Value": "#VALUE!",
        "GettingData": "#GETTING_DATA",
    }
)


def read_sheet(path: str, options: Mapping[str, Any], platform: BasePlatform) -> pl.DataFrame:
    """Return the rows of a sheet, with types found in all of its cells; rows and columns without values are none.

    Whole numbers are integers; times at midnight are dates, and those of no day times of day. Durations are ISO 8601
    text, which tables have no type for, and a column of several kinds is text.

    Raises:
        SourceError: the file is none of a spreadsheet (TG204), the sheet or a column does not exist (TG213), is empty
            (TG202), has values in a column without a name (TG214), or an error in a cell (TG206).
    """
    try:
        import fastexcel
    except ModuleNotFoundError:
        message = "files of format excel need fastexcel, which is not installed"
        raise ConfigurationError(message, code="TG612", hint="pip install 'tidegate[excel]'") from None
    logging.getLogger("fastexcel").setLevel(logging.ERROR)  # it warns of each column without values
    try:
        sheet = _loaded(fastexcel.read_excel(platform.read(path)), options)
        batch, errors = sheet.to_arrow_with_errors()
    except (fastexcel.SheetNotFoundError, fastexcel.ColumnNotFoundError) as error:
        raise _missing(path, error) from None
    except fastexcel.FastExcelError as error:
        cause = str(error).splitlines()[0].removeprefix("calamine error: ")
        hint = "is it complete, without a password, and a sheet of cells? xlsx, xlsm, xlsb, xls and ods are read"
        msg = f"the file cannot be read as excel: {cause}"
        raise SourceError(msg, {"file": path}, code="TG204", where=path, hint=hint) from error
    if not batch.num_columns:
        hint = "name the sheet that holds the rows: read_options: {sheet: ...}"
        raise SourceError(f"the sheet is empty: {path}", {"file": path}, code="TG202", where=path, hint=hint)
    if errors and errors.errors and options.get("error_cells", "fail") == "fail":
        raise _error_cell(path, sheet, errors.errors[0])
    rows = pl.DataFrame(batch)
    rows = rows.filter(~pl.all_horizontal(pl.all().is_null()))
    rows = _named(rows, sheet, path) if options.get("has_header", True) else _numbered(rows)
    return rows.select(_typed(column) for column in rows)


def read_excel(group: FileGroup, path_column: str | None) -> pl.LazyFrame:
    """Return the rows of files with equal columns, with their path if asked for."""

    def frames(path: str, wanted: Sequence[str]) -> Iterator[pl.DataFrame]:
        yield read_sheet(path, group.options, group.platform).select(wanted)

    schema = {column: polars_type(dtype) for column, dtype in group.columns.items()}
    return frame_of_files(group.paths, schema, frames, path_column)


def _loaded(book: fastexcel.ExcelReader, options: Mapping[str, Any]) -> fastexcel.ExcelSheet:
    which, above = options.get("sheet", 1), options.get("skip_rows", 0)
    has_header = options.get("has_header", True)
    return book.load_sheet(
        which - 1 if isinstance(which, int) else which,
        header_row=above if has_header else None,
        skip_rows=None if has_header else above or None,
        use_columns=options.get("columns"),
        schema_sample_rows=None,
    )


def _named(rows: pl.DataFrame, sheet: fastexcel.ExcelSheet, path: str) -> pl.DataFrame:
    """Leave out columns without name and values; one that has values is in no table with this header."""
    for column in sheet.selected_columns:
        if column.column_name_from != "generated":
            continue
        values = rows[column.name].drop_nulls()
        if len(values):
            letters = _letters(column.absolute_index)
            msg = f"column {letters} of the sheet has values and no name: {values[0]!r} is the first"
            hint = "which row holds the names? read_options: skip_rows, columns (A:D), or has_header: false"
            raise SourceError(msg, {"file": path, "column": letters}, code="TG214", where=path, hint=hint)
        rows = rows.drop(column.name)
    return rows


def _numbered(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.rename({name: f"column_{number}" for number, name in enumerate(rows.columns, 1)})


def _typed(column: pl.Series) -> pl.Series:
    values = column.drop_nulls()
    if not len(values):
        return pl.Series(column.name, [None] * len(column), dtype=pl.Null())
    if column.dtype.is_float():
        is_whole = ((values == values.round()) & (values.abs() <= _EXACT)).all()
        return column.cast(pl.Int64) if is_whole else column
    if isinstance(column.dtype, pl.Duration):
        return column.dt.to_string("iso")
    if not isinstance(column.dtype, pl.Datetime):
        return column
    if values.dt.date().is_in(_TIME_WITHOUT_DAY).all():
        return column.dt.time()
    return column.dt.date() if (values.dt.time() == time.min).all() else column.dt.cast_time_unit("us")


def _letters(index: int) -> str:
    """Return the name that a column has in a sheet.

    >>> _letters(0), _letters(25), _letters(26), _letters(702)
    ('A', 'Z', 'AA', 'AAA')
    """
    before, last = divmod(index, 26)
    return (_letters(before - 1) if before else "") + chr(ord("A") + last)


def _error_cell(path: str, sheet: fastexcel.ExcelSheet, error: Any) -> SourceError:
    row, index = error.offset_position[0] + 1, error.offset_position[1]
    column = next(column.name for column in sheet.selected_columns if column.index == index)
    found = _ERROR.search(error.detail)
    value = _ERRORS.get(found[1], f"#{found[1].upper()}!") if found else error.detail
    msg = f"column {column!r}: the cell holds an error, {value}"
    hint = "correct the cell, or take errors for NULL: read_options: {error_cells: 'null'}"
    details = {"file": path, "row": row, "column": column, "value": value}
    return SourceError(msg, details, code="TG206", where=f"{path}, row {row}, column {column}", hint=hint)


def _missing(path: str, error: Exception) -> SourceError:
    cause, *context = (line.strip() for line in str(error).splitlines() if line.strip())
    names = re.findall(r'name: "([^"]*)"', str(error))
    hint = f"columns: {', '.join(names)}" if names else re.sub(r"^\d+: ", "", context[-1]) if context else None
    return SourceError(cause, {"file": path}, code="TG213", where=path, hint=hint)
