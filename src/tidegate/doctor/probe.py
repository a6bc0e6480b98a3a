"""The port of probes: what looks at one kind of connection.

A probe is a class with one method. Those of installed packages join through the entry point group ``tidegate.probes``,
by the name of a `connection_type`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from tidegate.doctor.diagnosis import Diagnosis
from tidegate.errors import PlaceUnavailableError, PlatformError, TidegateError
from tidegate.models import Connection, DataFlow
from tidegate.registry import PluginRegistry


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionUse:
    """A connection, with its secrets in place, and the active dataflows that use it."""

    connection: Connection
    reads: tuple[DataFlow, ...] = ()
    writes: tuple[DataFlow, ...] = ()
    written: frozenset[str] = frozenset()
    """What the dataflows of the project write, as :func:`~tidegate.models.destination.physical_key` tells it."""


class BaseProbe(ABC):
    """Looks at one connection, and leaves nothing behind."""

    def __init__(self, use: ConnectionUse) -> None:
        self.use = use
        self.connection = use.connection

    @abstractmethod
    def diagnoses(self) -> Iterator[Diagnosis]:
        """Yield what is found, as it is found. An error that is raised ends the probe, and is its last finding."""


def named(flow: DataFlow, error: TidegateError) -> TidegateError:
    """Return an error that says which dataflow meets it."""
    kind = PlaceUnavailableError if error.transient else PlatformError
    return kind(f"{flow.name}: {error.message}", code=error.code, hint=error.hint)


probe_registry: PluginRegistry[BaseProbe] = PluginRegistry("tidegate.probes", BaseProbe)
for _type, _probe in {
    "api": "http:HttpProbe [api]",
    "database": "databases:DatabaseProbe",
    "file": "files:FileProbe",
    "function": "functions:FunctionProbe",
    "lakehouse": "files:FileProbe",
    "mongodb": "mongodb:MongoProbe [mongodb]",
}.items():
    probe_registry.register_lazy(_type, f"tidegate.doctor.{_probe}")
