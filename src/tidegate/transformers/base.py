"""What a transformer is: one step between source and destination, written once for all engines.

Transformers run by their `order`, and because they are registered. Slots 40 to 50 are for plugins.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from tidegate.models import ColumnCaseMode, DataFlow
from tidegate.registry import PluginRegistry

if TYPE_CHECKING:
    from tidegate.engines.base import BaseEngine, Frame

METER_ORDER = 15
"""Where the meter sits: after types are converted, before rows are dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformContext:
    """What a step may know besides the rows."""

    flow: DataFlow
    engine: BaseEngine
    run_id: str
    started_at: datetime
    """When the load started, aware UTC: one instant for all of its rows."""
    column_name_mode: ColumnCaseMode
    scratch: str
    """A folder for files that a step needs; it is removed when the load has ended."""
    known_columns: frozenset[str] = frozenset()
    """Columns that the source had in earlier loads."""


class BaseTransformer(ABC):
    """One step. Instances hold nothing but the context.

    Attributes:
        name: What the plan calls the step.
        order: Where it runs: 5 column values, 10 schema conversion, 12 change data, 18 hash columns, 20 deduplicate,
            30 add columns, 35 row filter, 40 to 50 plugins, 60 SCD2 columns, 70 system columns, 80 partition columns,
            84 masking, 85 projection, 90 column names.
    """

    name: ClassVar[str]
    order: ClassVar[int]

    @classmethod
    @abstractmethod
    def describe(cls, flow: DataFlow) -> str | None:
        """Return what the step does for this dataflow, in a few words; None when it does nothing."""

    @abstractmethod
    def transform(self, frame: Frame, context: TransformContext) -> Frame:
        """Return the frame with the step added."""


transformer_registry: PluginRegistry[BaseTransformer] = PluginRegistry("tidegate.transformers", BaseTransformer)
for _name, _place in {
    "value_rule_applier": "value_rules:ValueRuleApplier",
    "schema_converter": "schema_converter:SchemaConverter",
    "change_data_marker": "change_data:ChangeDataMarker",
    "hash_column_adder": "hash_columns:HashColumnAdder",
    "deduplicator": "deduplicator:Deduplicator",
    "column_adder": "column_adder:ColumnAdder",
    "row_filter": "row_filter:RowFilter",
    "scd2_column_adder": "scd2_columns:SCD2ColumnAdder",
    "system_column_adder": "system_columns:SystemColumnAdder",
    "partition_handler": "partition_columns:PartitionHandler",
    "masker": "masking_rules:Masker",
    "projection": "projection:Projection",
    "column_name_sanitizer": "column_names:ColumnNameSanitizer",
}.items():
    transformer_registry.register_lazy(_name, f"tidegate.transformers.{_place}")
