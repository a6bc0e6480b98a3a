"""The rules over the fields of one declaration, and over what it refers to."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tidegate.errors import ConfigurationError
from tidegate.metadata.declared import Declared
from tidegate.metadata.expression_rules import check_data_type, check_expression, check_replacement
from tidegate.metadata.finding import suggestion
from tidegate.metadata.node import Path
from tidegate.metadata.not_run import (
    NotRun,
    connection_not_run,
    dataflow_not_run,
    destination_not_run,
    source_not_run,
)
from tidegate.models import Connection, DataFlow, Destination, SchemaHint, SchemaHintSection, Source, Transform
from tidegate.models.connection import TYPE_OF_FORMAT, LookBack, LookBackFields
from tidegate.models.load_rules import LoadFault, destination_faults, source_faults, transform_faults
from tidegate.models.options import WRITE_OPTIONS
from tidegate.state.watermark import parse_duration, seconds_of

_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?")
_NEVER_DESTINATIONS = frozenset({"api", "function", "excel", "avro"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredFlow:
    """A dataflow, and those parts of it that hold when the whole does not.

    Attributes:
        declared: What is written.
        dataflow: The dataflow, or None when it is broken.
        source: Its source, or None when that is broken; the same for destination and transform.
    """

    declared: Declared
    dataflow: DataFlow | None
    source: Source | None
    destination: Destination | None
    transform: Transform | None

    @property
    def is_active(self) -> bool:
        """Whether it would run. What is broken counts as active, so that everything is said of it."""
        return self.dataflow is None or self.dataflow.is_active


def check_connection(declared: Declared, connection: Connection) -> None:
    """Check the fields of a connection: TG102, TG103, TG113, TG119."""
    if connection.format is None and connection.connection_type is None:
        if not declared.is_refused("connection_type"):
            declared.report("TG103", "format is missing", "format", hint=f"formats: {', '.join(TYPE_OF_FORMAT)}")
    elif connection.format and connection.format not in TYPE_OF_FORMAT and connection.connection_type != "streaming":
        hint = suggestion(connection.format, TYPE_OF_FORMAT, otherwise="formats")
        declared.report("TG102", f"unknown format {connection.format!r}", "format", hint=hint)
    _check_look_back(declared, connection.settings, ())
    if not connection.is_active:
        return
    _report_not_run(declared, connection_not_run(connection))
    stands_on_path = connection.connection_type in {"file", "lakehouse"} and not (
        connection.catalog or connection.names_a_catalog
    )
    if stands_on_path and not connection.settings.base_path:
        message = f"a connection of format {connection.format} needs configure.base_path"
        declared.report("TG119", message, "configure", "base_path", hint="name the folder that its tables are below")


def check_section(declared: Declared, section: SchemaHintSection, connection: Connection | None) -> None:
    """Check a shared section of schema hints: TG102, TG305."""
    _check_hints(declared, section.hints, connection, ("hints",))


def check_flow(flow: DeclaredFlow) -> None:
    """Check everything of a dataflow that holds."""
    if flow.source:
        _check_source(flow, flow.source)
    if flow.transform:
        _check_transform(flow, flow.transform)
    if flow.destination:
        _check_destination(flow, flow.destination)
    if flow.dataflow:
        _report_faults(flow.declared, transform_faults(flow.dataflow))
        for index, rule in enumerate(flow.dataflow.quality):
            check_expression(flow.declared, rule.expression, ("quality", index, "expression"))
        _check_timeout(flow.declared, flow.dataflow.timeout)
        if flow.is_active:
            _report_not_run(flow.declared, dataflow_not_run(flow.dataflow))


def _check_source(flow: DeclaredFlow, source: Source) -> None:
    """TG102, TG103, TG108, TG109, TG113, TG116, TG117, TG120."""
    declared, connection = flow.declared, source.connection
    _check_unique(declared, source.watermark_columns, ("source", "watermark_columns"))
    check_expression(declared, source.filter_expression, ("source", "filter_expression"))
    _check_watermark_lag(declared, source)
    kinds = [kind for kind in ("table", "query", "python_function") if getattr(source, kind)]
    if len(kinds) > 1:
        declared.report("TG116", f"source: {' and '.join(kinds)} exclude each other", "source", kinds[1])
    _check_look_back(declared, source.settings, ("source",))
    if _looks_back_at_nothing(source):
        hint = "add source.watermark_columns, or remove it: nothing else starts at a date"
        message = "source.configure: backward has no watermark_columns to act on"
        declared.report("TG120", message, "source", "configure", hint=hint)
    if connection and connection.connection_type in {"file", "lakehouse"} and not kinds:
        hint = "name a file, folder or glob below the connection's base_path"
        declared.report("TG103", "source.table is missing", "source", "table", hint=hint)
    if connection and connection.connection_type in {"database", "mongodb"} and not kinds:
        declared.report("TG103", "source.table is missing", "source", "table", hint="name a table, or write a query")
    if connection and connection.connection_type == "function" and not source.python_function:
        hint = "name a function of yours: package.module.function"
        declared.report("TG103", "source.python_function is missing", "source", "python_function", hint=hint)
    if flow.is_active:
        _check_connection_is_active(declared, connection, "source")
        _report_not_run(declared, source_not_run(source, connection))


def _check_transform(flow: DeclaredFlow, transform: Transform) -> None:
    """TG102, TG108, TG109, TG305."""
    declared = flow.declared
    for field in ("deduplicate_columns", "latest_data_columns", "select_columns", "drop_columns"):
        _check_unique(declared, getattr(transform, field), ("transform", field))
    check_expression(declared, transform.filter_expression, ("transform", "filter_expression"))
    path = ("transform", "additional_columns")
    _check_unique(declared, [added.column for added in transform.additional_columns], path)
    for index, added in enumerate(transform.additional_columns):
        check_expression(declared, added.expression, (*path, index, "expression"))
    for index, rule in enumerate(transform.value_rules):
        check_replacement(declared, rule.pattern, rule.replacement, ("transform", "value_rules", index, "pattern"))
    connection = flow.source.connection if flow.source else None
    _check_hints(declared, transform.schema_hints, connection, ("transform", "schema_hints"))


def _check_destination(flow: DeclaredFlow, destination: Destination) -> None:
    """TG102, TG106, TG107, TG108, TG109, TG113, TG116, TG117, TG122."""
    declared, connection = flow.declared, destination.connection
    _check_unique(declared, destination.merge_keys, ("destination", "merge_keys"))
    _check_partitions(declared, destination)
    _report_faults(declared, destination_faults(destination))
    if flow.source:
        _report_faults(declared, source_faults(flow.source, destination))
    can_be_written = _check_format(declared, connection)
    if flow.is_active:
        _check_connection_is_active(declared, connection, "destination")
        _report_not_run(declared, destination_not_run(connection if can_be_written else None))


def _check_partitions(declared: Declared, destination: Destination) -> None:
    path: Path = ("destination", "partition_columns")
    if not destination.partition_columns:
        path = ("destination", "configure", "partition_columns")
    elif destination.settings.partition_columns:
        message = "destination: partition_columns and configure.partition_columns exclude each other"
        declared.report("TG116", message, "destination", "configure", "partition_columns")
    _check_unique(declared, [partition.column for partition in destination.partitions], path)
    for index, partition in enumerate(destination.partitions):
        check_expression(declared, partition.expression, (*path, index, "expression"))


def _check_format(declared: Declared, connection: Connection | None) -> bool:
    """Report what no version can write (TG107); return whether the format can be a destination."""
    if connection is None or connection.format is None:
        return True
    if connection.format in _NEVER_DESTINATIONS:
        message = f"a connection of format {connection.format} cannot be a destination"
        hint = f"write to one of {', '.join(WRITE_OPTIONS)}"
        declared.report("TG107", message, "destination", "connection_name", hint=hint)
        return False
    return True


def _check_connection_is_active(declared: Declared, connection: Connection | None, part: str) -> None:
    if connection and not connection.is_active:
        message = f"{part}: connection {connection.name!r} is inactive"
        hint = "activate the connection, or deactivate the dataflow"
        declared.report("TG117", message, part, "connection_name", hint=hint)


def _check_timeout(declared: Declared, timeout: float | str | None) -> None:
    if timeout is not None and not seconds_of(timeout):
        hint = "write seconds, or a number and a unit: 90s, 30min, 2h"
        declared.report("TG132", f"timeout is {timeout!r}, which is no time that a load can take", "timeout", hint=hint)


def _check_watermark_lag(declared: Declared, source: Source) -> None:
    lag, path = source.watermark_lag, ("source", "watermark_lag")
    if lag is None:
        return
    if _is_number(lag) and not 0 <= float(lag) < math.inf:
        declared.report("TG120", f"source.watermark_lag is {lag}; it must be at least 0", *path)
    elif isinstance(lag, str) and not _is_number(lag) and parse_duration(lag) is None:
        hint = "write a number and a unit (90s, 30min, 2h, 3d, 1w), or a bare number for a numeric watermark"
        declared.report("TG120", f"source.watermark_lag is {lag!r}, which is not a duration", *path, hint=hint)
    elif not source.watermark_columns:
        hint = "add source.watermark_columns, or remove watermark_lag"
        declared.report("TG120", "source.watermark_lag has no watermark_columns to act on", *path, hint=hint)


def _check_look_back(declared: Declared, settings: LookBackFields, path: Path) -> None:
    singles = [name for name in sorted(settings.model_fields_set) if name.startswith("backward_")]
    for single in singles if settings.backward is not None else ():
        message = f"{'.'.join(map(str, (*path, 'configure')))}: backward and {single} exclude each other"
        declared.report("TG116", message, *path, "configure", single)


def _looks_back_at_nothing(source: Source) -> bool:
    """Tell whether a source of its own declares a look-back, and nothing that it moves."""
    named = source.settings.model_fields_set & LookBackFields.model_fields.keys()
    declared = any(getattr(source.settings, name) not in (None, 0, LookBack()) for name in named)
    dated = source.connection and source.connection.settings.date_folder_partitions
    return declared and not source.watermark_columns and not dated


def _is_number(lag: float | str) -> bool:
    return isinstance(lag, float) or _NUMBER.fullmatch(lag) is not None


def _check_hints(declared: Declared, hints: Sequence[SchemaHint], connection: Connection | None, path: Path) -> None:
    _check_unique(declared, [hint.column_name for hint in hints if hint.is_active], path)
    type_system = connection.settings.schema_hint_type_system if connection else None
    for index, hint in enumerate(hints):
        check_data_type(declared, hint.data_type, type_system, (*path, index, "data_type"))


def _check_unique(declared: Declared, names: Sequence[str], path: Path) -> None:
    if len(set(names)) < len(names):
        twice = next(name for position, name in enumerate(names) if name in names[:position])
        declared.report("TG102", f"{declared.name(path)} names {twice!r} twice", *path)


def _report_not_run(declared: Declared, fields: Iterable[NotRun]) -> None:
    for field in fields:
        message = f"{field.what}: declared, but this version of Tidegate does not run it"
        declared.report("TG113", message, *field.path, hint=field.hint)


def _report_faults(declared: Declared, faults: Iterable[LoadFault]) -> None:
    for fault in faults:
        declared.report(fault.code, fault.message, *fault.path, hint=fault.hint)


def destination_key(destination: Destination) -> str | None:
    """Return the physical destination, or None when its connection does not say where it is."""
    try:
        return destination.destination_key if destination.connection else None
    except ConfigurationError:
        return None
