"""What can be declared and this version does not run. Nothing of it is ignored in silence: a check refuses it.

The tables shrink as Tidegate grows; when one is empty, its lines here go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidegate.metadata.node import Node
from tidegate.models import Connection, DataFlow, Source
from tidegate.models.connection import LookBackFields
from tidegate.models.options import READ_OPTIONS, WRITE_OPTIONS
from tidegate.models.source import SourceSettings

if TYPE_CHECKING:
    from pydantic import BaseModel

SOURCE_FORMATS = tuple(READ_OPTIONS)
DESTINATION_FORMATS = tuple(WRITE_OPTIONS)
ENGINES = ("polars",)

_SECTIONS = frozenset({"triggers", "quality"})
_CONNECTION = frozenset({"catalog"})
_ICEBERG_SETTINGS = frozenset({"catalog_type", "catalog_properties"})
_OF_FILES = frozenset({"date_folder_partitions"})
_DATAFLOW = frozenset({"configure", "quality"})
_SOURCE_FIELDS = frozenset({"query", "python_function"})
_SOURCE_FIELDS_OF = {
    **dict.fromkeys(("database", "file", "lakehouse", "mongodb"), frozenset({"query"})),
    "function": frozenset({"python_function"}),
}
_OF_APIS = frozenset(SourceSettings.model_fields) - {"read_options", *LookBackFields.model_fields}


@dataclass(frozen=True, slots=True)
class NotRun:
    """Something declared that this version does not run.

    Attributes:
        path: Where it is, from the declaration it belongs to.
        what: What it is, in the words of the file.
        hint: What this version runs instead.
    """

    path: tuple[str, ...]
    what: str
    hint: str | None = None


def sections_not_run(sections: Mapping[str, Node]) -> Iterator[NotRun]:
    """Yield the sections of a project that hold something and are not run."""
    yield from (NotRun((name,), name) for name in sorted(_SECTIONS) if name in sections and sections[name].value)


def connection_not_run(connection: Connection) -> Iterator[NotRun]:
    """Yield the fields of a connection that are not run."""
    iceberg = connection.format == "iceberg"
    yield from _given(connection, frozenset() if iceberg else _CONNECTION, ())
    settings = frozenset() if iceberg else _ICEBERG_SETTINGS
    settings |= frozenset() if connection.connection_type == "file" else _OF_FILES
    yield from _given(connection.settings, settings, ("configure",))


def source_not_run(source: Source, connection: Connection | None) -> Iterator[NotRun]:
    """Yield what is not run of a source: its fields, and the format of its connection."""
    kind = connection.connection_type if connection is not None else None
    yield from _given(source, _SOURCE_FIELDS - _SOURCE_FIELDS_OF.get(kind or "", frozenset()), ("source",))
    of_api = connection is not None and connection.connection_type == "api"
    yield from _given(source.settings, frozenset() if of_api else _OF_APIS, ("source", "configure"))
    yield from _format(connection, "source", SOURCE_FORMATS)


def destination_not_run(connection: Connection | None) -> Iterator[NotRun]:
    """Yield what is not run of a destination: the format of its connection."""
    yield from _format(connection, "destination", DESTINATION_FORMATS)


def dataflow_not_run(dataflow: DataFlow) -> Iterator[NotRun]:
    """Yield the fields and values of the dataflow itself that are not run."""
    yield from _given(dataflow, _DATAFLOW, ())
    yield from _other_value(dataflow.engine, ENGINES, ("engine",))
    yield from _other_value(dataflow.processing_mode, ("batch",), ("processing_mode",))


def _given(model: BaseModel, fields: frozenset[str], prefix: tuple[str, ...]) -> Iterator[NotRun]:
    """Yield the fields that are given a value other than their default."""
    for name in sorted(fields & model.model_fields_set):
        if getattr(model, name) != type(model).model_fields[name].get_default(call_default_factory=True):
            yield NotRun((*prefix, name), ".".join((*prefix, name)))


def _format(connection: Connection | None, part: str, formats: tuple[str, ...]) -> Iterator[NotRun]:
    if connection is None or connection.connection_type is None:
        return
    if connection.format not in formats or connection.connection_type == "streaming":
        what = f"a {part} of {f'format {connection.format}' if connection.format else connection.connection_type}"
        yield NotRun((part, "connection_name"), what, f"formats of a {part}: {', '.join(formats)}")


def _other_value(value: str | None, values: tuple[str, ...], path: tuple[str, ...]) -> Iterator[NotRun]:
    if value is not None and value not in values:
        yield NotRun(path, f"{'.'.join(path)} {value}", f"this version runs: {', '.join(values)}")
