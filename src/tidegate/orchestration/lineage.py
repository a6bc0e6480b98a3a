"""Which columns of the source the columns of the destination come from: read off the plan that was carried out.

A third visitor of the stages, after the explainer and the runner. It looks at no row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tidegate.engines.base import FILE_INFO_COLUMNS
from tidegate.expressions.data_type import describe_type
from tidegate.expressions.nodes import Column
from tidegate.expressions.sql import parse_expression
from tidegate.models.destination import KEYED_LOAD_TYPES
from tidegate.orchestration.stages import KeepSourceRows, KeepWindow, Meter, Stage, Transform, UnitPlan, Write
from tidegate.reporting.datasets import destination_dataset, source_dataset
from tidegate.reporting.lineage import ColumnLineage, InputColumn, Lineage, Use
from tidegate.transformers.column_names import sanitized
from tidegate.transformers.deduplicator import deciding_columns
from tidegate.transformers.scd2_columns import IS_CURRENT, SCD2_COLUMNS, VALID_FROM, VALID_TO
from tidegate.transformers.system_columns import DELETED_AT, SYSTEM_COLUMNS, marks_deleted
from tidegate.transformers.value_rules import in_order

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.models import ColumnCaseMode

Inputs = tuple[InputColumn, ...]

_ALWAYS_KEPT = frozenset({*SYSTEM_COLUMNS, DELETED_AT, *SCD2_COLUMNS})


def lineage_of(
    plan: UnitPlan,
    *,
    mode: ColumnCaseMode,
    read: Mapping[str, pa.DataType] | None = None,
    written: Mapping[str, pa.DataType] | None = None,
) -> Lineage:
    """Return what a plan reads and writes, column by column.

    Args:
        plan: The plan.
        mode: How column names are written at the destination.
        read: Column → type of the source as it was read; those of earlier loads when not given.
        written: Column → type as they were written; when not given, all that the plan leads to, and types only of
            columns that the table had before.
    """
    columns = _described(read) if read else plan.state.position.columns
    types = _described(written or plan.snapshot.columns)
    source, destination = source_dataset(plan.flow.source), destination_dataset(plan.flow.destination)
    source = replace(source, columns=tuple((name, text) for name, text in columns.items() if _is_stored(name)))
    trace = _Trace(plan, columns, mode)
    for stage in plan.stages:
        trace.visit(stage)
    # a query's own columns may be computed: what its tables hold is not known here
    if not any(isinstance(stage, Write) for stage in plan.stages) or plan.flow.source.query:
        return Lineage(source=source, destination=replace(destination, columns=tuple(types.items())))
    ignores_new = plan.flow.destination.settings.schema_policy == "ignore" and plan.snapshot.columns
    spelling = {name.lower(): name for name in types}
    found = {spelling.get(name.lower(), name): inputs for name, inputs in trace.columns.items()}
    if written or ignores_new:
        found = {name: inputs for name, inputs in found.items() if name in types}
    return Lineage(
        source=source,
        destination=replace(destination, columns=tuple((name, types.get(name, "")) for name in found)),
        columns=tuple(ColumnLineage(column=name, inputs=inputs) for name, inputs in found.items()),
        row_inputs=_each_once(trace.row_inputs),
    )


class _Trace:
    """The columns at one point between source and destination, and where each comes from."""

    def __init__(self, plan: UnitPlan, columns: Iterable[str], mode: ColumnCaseMode) -> None:
        self._flow = plan.flow
        self._mode = mode
        self.columns: dict[str, Inputs] = {
            name: (InputColumn(column=name, use="IDENTITY"),) if _is_stored(name) else () for name in columns
        }
        self.row_inputs: list[InputColumn] = []
        self._steps: Mapping[str, Callable[[], None]] = {
            "value_rule_applier": self._shape,
            "schema_converter": self._convert,
            "change_data_marker": self._mark_deletes,
            "hash_column_adder": self._add_hash_columns,
            "deduplicator": self._deduplicate,
            "column_adder": self._add_columns,
            "row_filter": self._keep_rows,
            "scd2_column_adder": self._add_scd2_columns,
            "system_column_adder": self._add_system_columns,
            "partition_handler": self._add_partition_columns,
            "masker": self._mask,
            "projection": self._project,
            "column_name_sanitizer": self._sanitize,
        }

    def visit(self, stage: Stage) -> None:
        match stage:
            case KeepSourceRows(expression=expression):
                self._rows(self._used_by(expression), "FILTER", expression)
            case KeepWindow(window=window):
                self._rows([window.column], "FILTER", f"rows of {window.window}")
            case Meter(start=start):
                self._rows(start, "FILTER", "rows from the position on")
            case Transform(plugin=plugin):
                self._steps.get(plugin, self._change_anything)()
            case Write(strategy=strategy) if strategy in KEYED_LOAD_TYPES:
                keys = {key.lower() for key in self._flow.destination.merge_keys}
                renamed = {old.lower(): new for old, new in self._flow.transform.rename_columns.items()}
                keys |= {sanitized(renamed.get(key, key), self._mode).lower() for key in keys}
                self._rows([name for name in self.columns if name.lower() in keys], "JOIN", "merge key")
            case _:
                pass

    # -- steps ---------------------------------------------------------------------------------------------------

    def _shape(self) -> None:
        for rule in in_order(self._flow):
            self._transform(rule.columns, rule.operation)

    def _convert(self) -> None:
        """A declared type says how values are read, and does not change them; a default takes the place of NULL."""
        for hint in self._flow.transform.schema_hints:
            if hint.is_active and hint.default_value is not None:
                self._transform([hint.column_name], f"{hint.default_value} for NULL")

    def _mark_deletes(self) -> None:
        if cdc := self._flow.source.cdc:
            self._rows([cdc.operation_column], "FILTER", f"deleted where {', '.join(cdc.delete_values)}")

    def _add_hash_columns(self) -> None:
        self.columns |= {
            one.target_column: self._inputs(one.columns, one.algorithm) for one in self._flow.transform.hash_columns
        }

    def _deduplicate(self) -> None:
        self._rows(self._flow.deduplicate_columns, "GROUP_BY", "latest row of each key")
        self._rows(deciding_columns(self._flow), "SORT", "latest row of each key")

    def _add_columns(self) -> None:
        for added in self._flow.transform.additional_columns:
            self.columns[added.column] = self._computed(added.expression)

    def _keep_rows(self) -> None:
        if condition := self._flow.transform.filter_expression:
            self._rows(self._used_by(condition), "FILTER", condition)

    def _add_scd2_columns(self) -> None:
        effective = self._flow.destination.settings.scd2_effective_column
        name = self._spelled(effective) if effective else None
        self.columns[VALID_FROM] = self.columns[name] if name else ()
        follows = self._inputs([name], f"follows from {VALID_FROM}") if name else ()
        self.columns |= {VALID_TO: follows, IS_CURRENT: follows}

    def _add_system_columns(self) -> None:
        self.columns |= dict.fromkeys((*SYSTEM_COLUMNS, *([DELETED_AT] if marks_deleted(self._flow) else [])), ())

    def _add_partition_columns(self) -> None:
        self.columns |= {
            part.column: self._computed(part.expression)
            for part in self._flow.destination.partitions
            if part.expression
        }

    def _mask(self) -> None:
        for rule in self._flow.transform.masking_rules:
            self._transform(rule.columns, f"masked: {rule.operation}")

    def _project(self) -> None:
        transform, cdc, before = self._flow.transform, self._flow.source.cdc, self.columns
        dropped = set(self._all_spelled(transform.drop_columns))
        dropped |= {name for name in before if cdc and name.lower() == cdc.operation_column.lower()}
        renamed = {self._spelled(old): new for old, new in transform.rename_columns.items()}
        kept = list(before)
        if transform.select_columns:
            chosen = self._all_spelled(transform.select_columns)
            kept = [*chosen, *(name for name in before if name in _ALWAYS_KEPT and name not in chosen)]
        self.columns = {renamed.get(name, name): before[name] for name in kept if name not in dropped}

    def _sanitize(self) -> None:
        self.columns = {sanitized(name, self._mode): inputs for name, inputs in self.columns.items()}

    def _change_anything(self) -> None:
        """Take a step that is not ours for one that may have changed every value; what it adds is not known."""
        self._transform(list(self.columns), "")

    # -- columns -------------------------------------------------------------------------------------------------

    def _spelled(self, name: str) -> str | None:
        if name in self.columns:
            return name
        return next((column for column in self.columns if column.lower() == name.lower()), None)

    def _all_spelled(self, names: Iterable[str]) -> list[str]:
        return [found for name in names if (found := self._spelled(name)) is not None]

    def _used_by(self, expression: str) -> tuple[str, ...]:
        return parse_expression(expression).columns

    def _rows(self, names: Iterable[str], use: Use, description: str) -> None:
        """Note that these columns decide about rows."""
        inputs = (known for name in self._all_spelled(names) for known in self.columns[name])
        self.row_inputs += (InputColumn(column=known.column, use=use, description=description) for known in inputs)

    def _transform(self, names: Iterable[str], description: str) -> None:
        for name in self._all_spelled(names):
            self.columns[name] = self._inputs([name], description)

    def _computed(self, expression: str) -> Inputs:
        parsed = parse_expression(expression)
        if isinstance(parsed.tree, Column) and (name := self._spelled(parsed.tree.name)):
            return self.columns[name]
        return self._inputs(parsed.columns, expression)

    def _inputs(self, names: Iterable[str], description: str) -> Inputs:
        """Return all that goes into these columns as inputs of one computation."""
        return _each_once(
            InputColumn(
                column=known.column,
                use="TRANSFORMATION",
                description=description or known.description,
            )
            for name in self._all_spelled(names)
            for known in self.columns[name]
        )


def _described(columns: Mapping[str, pa.DataType]) -> dict[str, str]:
    return {name: describe_type(dtype) for name, dtype in columns.items()}


def _is_stored(column: str) -> bool:
    """Tell whether a column of a read is one of the source, and not about the file it is in."""
    return column not in FILE_INFO_COLUMNS


def _each_once(inputs: Iterable[InputColumn]) -> Inputs:
    return tuple(dict.fromkeys(inputs))
