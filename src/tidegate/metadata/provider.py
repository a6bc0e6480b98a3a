"""Metadata providers: where declarations are kept."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from tidegate.errors import MetadataError
from tidegate.metadata.finding import suggestion
from tidegate.metadata.schema_hints import SharedHints, with_hints
from tidegate.models import Connection, DataFlow, Metadata
from tidegate.registry import PluginRegistry
from tidegate.state.opening import ENVIRONMENT_VARIABLE
from tidegate.state.watermark import Value


class BaseMetadataProvider(ABC):
    """Declarations, validated, and dataflows chosen from them.

    What is read is kept: a provider shows the metadata as they were when it was first asked. :meth:`load` reads anew.

    Attributes:
        root: The project folder: state lives in ``root/.tidegate``, and relative paths are resolved against it.
    """

    root: Path
    profile: str | None = None
    """The environment whose values are laid over the rest; None when there is none."""
    state: str | None = None
    """Where state is kept, over what the metadata declare; None when the caller did not say."""

    @property
    def state_url(self) -> str | None:
        """Where state is kept, for :func:`~tidegate.state.open_state_store`; None for the default.

        It is what the caller said, else what ``TIDEGATE_STATE`` says, else what the metadata declare. An empty text
        that was said is handed on, and refused there.

        Raises:
            MetadataError: As :meth:`read`, when the metadata are asked.
        """
        for said in (self.state, os.environ.get(ENVIRONMENT_VARIABLE)):
            if said is not None:
                return said
        return self._declared.state

    @abstractmethod
    def read(self) -> Metadata:
        """Read all declarations, checked, with the connections attached, and shared schema hints not yet.

        Raises:
            MetadataError: Something does not hold. The code is that of the first error; ``details["findings"]`` has
                them all.
        """

    def load(self) -> Metadata:
        """Read all declarations anew, checked, with connections and shared schema hints attached.

        Raises:
            MetadataError: As :meth:`read`.
        """
        self.__dict__.pop("_declared", None)
        metadata = self._declared
        return metadata.model_copy(update={"dataflows": tuple(self._with_hints(metadata.dataflows))})

    def get_connections(self) -> list[Connection]:
        """Return all connections, in the order in which they are declared.

        Raises:
            MetadataError: As :meth:`read`.
        """
        return list(self._declared.connections)

    def get_dataflows(
        self,
        stage: str | Sequence[str] | None = None,
        *,
        names: str | Sequence[str] | None = None,
        active_only: bool = True,
        attach_schema_hints: bool = True,
    ) -> list[DataFlow]:
        """Return the dataflows of some stages, or those of some names, in the order in which they are declared.

        Args:
            stage: A stage, several separated by commas, or a list of them; all when None.
            names: Dataflows by name, in the same ways; all when None.
            active_only: Whether to leave out inactive dataflows.
            attach_schema_hints: Whether to attach the shared schema hints of the tables that are read.

        Raises:
            MetadataError: TG114 for an unknown stage, TG115 for an unknown dataflow or, with `active_only`, for an
                inactive one; else as :meth:`read`.
        """
        dataflows: Iterable[DataFlow] = self._declared.dataflows
        if stage is not None:
            stages = _listed(stage)
            _require_known(stages, self.get_stages(), "stage", "TG114")
            dataflows = [dataflow for dataflow in dataflows if dataflow.stage in stages]
        if names is not None:
            asked = _listed(names)
            _require_known(asked, [dataflow.name for dataflow in self._declared.dataflows], "dataflow", "TG115")
            dataflows = [dataflow for dataflow in dataflows if dataflow.name in asked]
            if active_only and (inactive := [dataflow.name for dataflow in dataflows if not dataflow.is_active]):
                message = f"dataflow {inactive[0]!r} is inactive"
                raise MetadataError(message, code="TG115", hint="set its is_active to true, or do not ask for it")
        if active_only:
            dataflows = [dataflow for dataflow in dataflows if dataflow.is_active]
        return self._with_hints(dataflows) if attach_schema_hints else list(dataflows)

    def get_stages(self) -> list[str]:
        """Return the names of all stages, in the order in which they first appear.

        Raises:
            MetadataError: As :meth:`read`.
        """
        return list(dict.fromkeys(dataflow.stage for dataflow in self._declared.dataflows if dataflow.stage))

    # -- watermarks: kept beside the declarations by those that are more than files ---------------------------------

    @property
    def keeps_watermarks(self) -> bool:
        """Whether watermarks are kept beside the declarations, as other systems may have left them."""
        return False

    def read_watermark(self, dataflow_id: str) -> Mapping[str, Value] | None:
        """Return the watermark that is kept of a dataflow; None when there is none.

        Raises:
            WatermarkError: What is kept is not a watermark (TG504). It never means that there is none.
            MetadataError: The place where it is kept cannot be used.
        """
        return None

    def write_watermark(  # noqa: B027 - most keep none
        self, dataflow_id: str, watermark: Mapping[str, Value]
    ) -> None:
        """Store the watermark of a dataflow; does nothing where none are kept.

        Raises:
            MetadataError: It could not be stored.
        """

    @cached_property
    def _declared(self) -> Metadata:
        return self.read()

    def _with_hints(self, dataflows: Iterable[DataFlow]) -> list[DataFlow]:
        shared = SharedHints(self._declared.schema_hints)
        return [with_hints(dataflow, shared.of(dataflow.source)) for dataflow in dataflows]


metadata_registry: PluginRegistry[BaseMetadataProvider] = PluginRegistry("tidegate.metadata", BaseMetadataProvider)
"""The metadata providers, by name."""

metadata_registry.register_lazy("file", "tidegate.metadata.file:FileMetadata")
metadata_registry.register_lazy("database", "tidegate.metadata.database:DatabaseMetadata [sql]")
metadata_registry.register_lazy("api", "tidegate.metadata.api:ApiMetadata [api]")


def _listed(names: str | Sequence[str]) -> list[str]:
    if isinstance(names, str):
        return [name.strip() for name in names.split(",") if name.strip()]
    return list(names)


def _require_known(asked: Sequence[str], known: Sequence[str], kind: str, code: str) -> None:
    for name in asked:
        if name not in known:
            near = suggestion(name, known, otherwise=f"{kind}s") or f"the metadata declares no {kind}s"
            listed = f" {kind}s: {', '.join(known)}" if near.startswith("did you mean") else ""
            raise MetadataError(f"unknown {kind} {name!r}", {"known": list(known)}, code=code, hint=near + listed)
