"""Which settings of a dataflow do not go together: one list for `check` and for the planner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tidegate.models.connection import FILE_FORMATS
from tidegate.models.dataflow import DataFlow
from tidegate.models.destination import KEYED_LOAD_TYPES, WINDOW_LOAD_TYPES, Destination
from tidegate.models.source import Source

_APPLIES_CHANGES = ("merge_delete", "scd2")
_FILE_COLUMNS = frozenset({"__file_name", "__file_path", "__file_modification_time"})
_MARKS_DELETED = ("merge_delete", "snapshot")
_COMPARES = ("scd2", "snapshot")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFault:
    """Settings that do not go together: the error's code, where it is in the dataflow, what is wrong, what to do."""

    code: str
    path: tuple[str | int, ...]
    message: str
    hint: str


def destination_faults(destination: Destination) -> Iterator[LoadFault]:
    """Yield what does not go together within the destination (TG106, TG107, TG122)."""
    load_type, settings = destination.load_type, destination.settings
    windowed = settings.replace_by_watermark
    if load_type in KEYED_LOAD_TYPES and not destination.merge_keys and not (windowed and _may_window(destination)):
        yield LoadFault(
            code="TG106",
            path=("destination", "merge_keys"),
            message=f"load_type {load_type} needs destination.merge_keys",
            hint="name the columns that identify a row",
        )
    yield from _files_take(destination)
    if windowed and not _may_window(destination):
        yield _misfit(
            ("replace_by_watermark",),
            f"replace_by_watermark does not go with load_type {load_type}",
            f"it goes with {' and '.join(sorted(WINDOW_LOAD_TYPES))}",
        )
    if settings.delete_mode == "soft" and load_type not in _MARKS_DELETED:
        also = "; scd2 closes versions, which are kept" if load_type == "scd2" else ""
        yield _misfit(
            ("delete_mode",),
            f"delete_mode soft does not go with load_type {load_type}",
            f"it goes with {' and '.join(_MARKS_DELETED)}{also}",
        )
    if settings.scd2_effective_column and load_type != "scd2":
        message = f"scd2_effective_column does not go with load_type {load_type}"
        yield _misfit(("scd2_effective_column",), message, "declare load_type scd2, or remove it")
    if "compare_columns" in settings.merge_options and load_type not in _COMPARES:
        message = f"compare_columns does not go with load_type {load_type}, which compares no content"
        yield _misfit(("merge_options", "compare_columns"), message, f"it goes with {' and '.join(_COMPARES)}")
    if destination.strategy == "overwrite_partitions" and not destination.partitions:
        message = "partition_overwrite_mode dynamic needs partition_columns"
        yield _misfit(("write_options",), message, "name the partition columns, or replace all rows (static)")


def source_faults(source: Source, destination: Destination) -> Iterator[LoadFault]:
    """Yield what does not go together between source and destination (TG122)."""
    load_type = destination.load_type
    if source.cdc and load_type not in _APPLIES_CHANGES:
        yield LoadFault(
            code="TG122",
            path=("source", "cdc"),
            message=f"source.cdc does not go with load_type {load_type}: deletes would not be applied",
            hint=f"declare load_type {' or '.join(_APPLIES_CHANGES)}, or remove cdc to load the changes as rows",
        )
    if load_type == "merge_delete" and not source.cdc:
        yield LoadFault(
            code="TG122",
            path=("destination", "load_type"),
            message="load_type merge_delete needs source.cdc, which says what rows delete",
            hint="add source.cdc: {operation_column: ..., delete_values: [...], sequence_by: [...]}",
        )
    if destination.strategy == "replace_by_watermark" and (
        len(source.watermark_columns) != 1 or set(source.watermark_columns) & _FILE_COLUMNS
    ):
        message = "replace_by_watermark needs one watermark column of the rows, which the destination keeps"
        yield _misfit(("replace_by_watermark",), message, "name it in source.watermark_columns")


def transform_faults(flow: DataFlow) -> Iterator[LoadFault]:
    """Yield rules for values that change what tells rows, or loads, apart (TG308, TG309), and those said twice."""
    watermark = {column.lower() for column in flow.source.watermark_columns}
    for index, rule in enumerate(flow.transform.value_rules):
        for column in rule.columns:
            if column.lower() in watermark:
                yield LoadFault(
                    code="TG309",
                    path=("transform", "value_rules", index, "columns"),
                    message=f"a value rule changes the watermark column {column!r}",
                    hint="compute a column from it instead (additional_columns), or correct its values at the source",
                )
    targets = [hashed.target_column.lower() for hashed in flow.transform.hash_columns]
    for index, target in enumerate(targets):
        if target in targets[:index]:
            path = ("transform", "hash_columns", index, "target_column")
            message = f"two hash columns are called {target!r}"
            yield LoadFault(code="TG116", path=path, message=message, hint="give one of them another name")
    yield from _masking_faults(flow)


def _masking_faults(flow: DataFlow) -> Iterator[LoadFault]:
    renamed = {old.lower(): new.lower() for old, new in flow.transform.rename_columns.items()}
    effective = flow.destination.settings.scd2_effective_column
    roles = {
        **{part.column.lower(): "a partition column" for part in flow.destination.partitions},
        **{key.lower(): "a merge key" for key in flow.destination.merge_keys},
        **({effective.lower(): "the effective column, whose values __valid_from holds"} if effective else {}),
    }
    masked: set[str] = set()
    for index, rule in enumerate(flow.transform.masking_rules):
        path = ("transform", "masking_rules", index, "columns")
        for column in rule.columns:
            name = column.lower()
            role = roles.get(name) or roles.get(renamed.get(name, name))
            if name.startswith("__"):
                role = "a system column"
            if role:
                message = f"column {column!r} is {role}, and cannot be masked"
                hint = "mask another column; to hide a key, hash it (hash_columns) and drop the original"
                yield LoadFault(code="TG308", path=path, message=message, hint=hint)
            elif name in masked:
                message = f"column {column!r} has two masking rules"
                yield LoadFault(code="TG116", path=path, message=message, hint="keep one of them")
            masked.add(name)


def load_faults(flow: DataFlow) -> Iterator[LoadFault]:
    """Yield everything in a dataflow that does not go together."""
    yield from destination_faults(flow.destination)
    yield from source_faults(flow.source, flow.destination)
    yield from transform_faults(flow)


def _files_take(destination: Destination) -> Iterator[LoadFault]:
    file_format = destination.connection.format if destination.connection else None
    if file_format not in FILE_FORMATS:
        return
    hint = "rows are merged into delta and iceberg tables; files take append, overwrite and full_load"
    if destination.load_type in KEYED_LOAD_TYPES:
        message = f"load_type {destination.load_type} is impossible with {file_format} files"
        yield LoadFault(code="TG107", path=("destination", "load_type"), message=message, hint=hint)
    elif destination.settings.replace_by_watermark:
        message = f"replace_by_watermark is impossible with {file_format} files"
        path = ("destination", "configure", "replace_by_watermark")
        yield LoadFault(code="TG107", path=path, message=message, hint=hint)


def _may_window(destination: Destination) -> bool:
    return destination.load_type in WINDOW_LOAD_TYPES


def _misfit(path: tuple[str, ...], message: str, hint: str) -> LoadFault:
    return LoadFault(code="TG122", path=("destination", "configure", *path), message=message, hint=hint)
