"""What the user declares, validated and immutable."""

from tidegate.models.connection import Connection, ConnectionSettings
from tidegate.models.dataflow import DataFlow, Metadata
from tidegate.models.destination import Destination, DestinationSettings, PartitionColumn
from tidegate.models.quality import QualityRule
from tidegate.models.run import ColumnCaseMode, ReplayConfig, RetrySettings, RunConfig
from tidegate.models.source import ChangeData, Source, SourceSettings
from tidegate.models.transform import (
    AdditionalColumn,
    HashColumn,
    MaskingRule,
    SchemaHint,
    SchemaHintSection,
    Transform,
    TransformSettings,
    ValueRule,
)

__all__ = [
    "AdditionalColumn",
    "ChangeData",
    "ColumnCaseMode",
    "Connection",
    "ConnectionSettings",
    "DataFlow",
    "Destination",
    "DestinationSettings",
    "HashColumn",
    "MaskingRule",
    "Metadata",
    "PartitionColumn",
    "QualityRule",
    "ReplayConfig",
    "RetrySettings",
    "RunConfig",
    "SchemaHint",
    "SchemaHintSection",
    "Source",
    "SourceSettings",
    "Transform",
    "TransformSettings",
    "ValueRule",
]
