"""Dataflows: one source, one destination, and what happens in between."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from tidegate.models.base import Declaration, FromText, Name, Names, Options, derived_id
from tidegate.models.connection import Connection
from tidegate.models.destination import Destination
from tidegate.models.quality import QualityRule
from tidegate.models.run import RetrySettings
from tidegate.models.source import Source
from tidegate.models.transform import SchemaHintSection, Transform


class DataFlow(Declaration):
    """One load: read `source`, apply `transform`, commit to `destination`.

    State is keyed by `dataflow_id`: a dataflow that keeps its id can be renamed without losing its position.
    """

    name: Name
    dataflow_id: str = ""
    workspace_id: str | None = None
    description: str | None = None
    stage: str | None = None
    group_number: int | None = None
    execution_order: int | None = None
    processing_mode: str = "batch"
    is_active: bool = True
    source: Annotated[Source, FromText]
    destination: Annotated[Destination, FromText]
    transform: Annotated[Transform, FromText] = Field(default_factory=Transform)
    configure: Options = Field(default_factory=dict)
    depends_on: Names = ()
    retry: RetrySettings | None = None
    timeout: str | float | None = None
    """Seconds, or a duration such as `30m`."""
    quality: tuple[QualityRule, ...] = ()
    tags: Names = ()
    engine: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _derive_id(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("dataflow_id") and isinstance(data.get("name"), str):
            return {**data, "dataflow_id": derived_id("dataflow", data["name"])}
        return data

    @property
    def deduplicate_columns(self) -> tuple[str, ...]:
        """The declared columns, else the merge keys; and for history the effective column: a key has many versions."""
        destination = self.destination
        if self.transform.deduplicate_columns or destination.load_type != "scd2":
            return self.transform.deduplicate_columns or destination.merge_keys
        effective = destination.settings.scd2_effective_column
        return (*destination.merge_keys, *([effective] if effective else []))

    @property
    def latest_data_columns(self) -> tuple[str, ...]:
        """The declared columns, else those that order change data, else the watermark columns."""
        sequence = self.source.cdc.sequence_by if self.source.cdc else ()
        return self.transform.latest_data_columns or sequence or self.source.watermark_columns


class Metadata(Declaration):
    """All that was declared in one project: the root of a metadata file."""

    connections: tuple[Connection, ...] = ()
    dataflows: tuple[DataFlow, ...] = ()
    schema_hints: tuple[SchemaHintSection, ...] = ()
    triggers: tuple[Options, ...] = ()
    quality: tuple[QualityRule, ...] = ()
    variables: dict[str, Any] = Field(default_factory=dict)
    profiles: dict[str, Any] = Field(default_factory=dict)
    """Values per environment, laid over the rest: `{name: {variables: ..., connections: ...}}`."""
    state: str | None = Field(default=None, repr=False)
    """Where positions are kept: `postgresql://user@host/database`, `sqlite:///path`, or a path relative to the project
    folder; `.tidegate/state.db` when not given."""
    compat: str | None = None
    """`datacoolie`: unknown keys are warnings instead of errors."""
