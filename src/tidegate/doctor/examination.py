"""The examination: all probes at the same time, none of which can hold up the rest."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from tidegate.doctor.diagnosis import Diagnosis, failed, ok
from tidegate.doctor.probe import ConnectionUse, probe_registry
from tidegate.doctor.state import state_diagnoses
from tidegate.errors import ConfigurationError, MetadataError, PlaceUnavailableError, TidegateError
from tidegate.metadata.finding import suggestion
from tidegate.models.destination import physical_key
from tidegate.secrets import native_provider, registered_resolver, resolve_secrets

if TYPE_CHECKING:
    from tidegate.metadata import BaseMetadataProvider
    from tidegate.models import Connection, DataFlow

STATE, MACHINE = "state", "this machine"
SECONDS = 30.0
"""How long a probe may take."""
_LIBRARIES = ("tidegate", "polars", "deltalake")

Work = Callable[[], Iterator[Diagnosis]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was examined, and what was found."""

    subject: str
    """The name of a connection, or what else is looked at."""
    diagnoses: tuple[Diagnosis, ...]


def examine(
    metadata: BaseMetadataProvider, *, names: Collection[str] | None = None, seconds: float = SECONDS
) -> list[Examined]:
    """Probe the active connections of a project, its state store, and this machine. Nothing is left behind.

    Args:
        metadata: The project.
        names: Only these connections, active or not, and nothing else.
        seconds: How long each probe may take.

    Raises:
        MetadataError: the metadata do not hold, or there is no connection of a name (TG104).
    """
    flows = metadata.get_dataflows()
    works: dict[str, Work] = {}
    if not names:
        works[MACHINE] = _of_machine
        works[STATE] = lambda: state_diagnoses(metadata.state_url, root=metadata.root, profile=metadata.profile)
    for connection in _chosen(metadata.get_connections(), names):
        works[connection.name] = _of_connection(connection, flows)
    return [
        Examined(subject=subject, diagnoses=found) for subject, found in _all_at_once(works, seconds=seconds).items()
    ]


def _chosen(connections: Sequence[Connection], names: Collection[str] | None) -> list[Connection]:
    if not names:
        return [connection for connection in connections if connection.is_active]
    by_name = {connection.name: connection for connection in connections}
    for name in names:
        if name not in by_name:
            hint = suggestion(name, by_name, otherwise="connections")
            raise MetadataError(f"there is no connection {name!r}", code="TG104", hint=hint)
    return [by_name[name] for name in dict.fromkeys(names)]


def _of_machine() -> Iterator[Diagnosis]:
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    yield ok("version", f"Python {platform.python_version()}, {libraries}, {platform.system()} {platform.machine()}")


def _of_connection(connection: Connection, flows: Sequence[DataFlow]) -> Work:
    def work() -> Iterator[Diagnosis]:
        there = connection
        if connection.secrets_ref:
            there = connection.with_resolved()
            try:
                resolve_secrets(there, native_provider(), resolver_lookup=registered_resolver)
            except TidegateError as error:
                yield failed("secrets", error)
                return
            yield ok(
                "secrets", f"resolved: {', '.join(name for names in there.secrets_ref.values() for name in names)}"
            )
        kind = there.connection_type or ""
        if not probe_registry.is_available(kind):
            msg, hint = f"nothing looks at connections of type {kind!r}", "a package may register a tidegate.probes"
            yield failed("probe", ConfigurationError(msg, code="TG610", hint=hint))
            return
        yield from probe_registry.load(kind)(_use(there, flows)).diagnoses()

    return work


def _use(connection: Connection, flows: Sequence[DataFlow]) -> ConnectionUse:
    """Return a connection with the dataflows that use it, which have it with its secrets."""
    name = connection.name
    reads, writes, written = [], [], set()
    for flow in flows:
        source, destination = flow.source, flow.destination
        if source.connection_name == name:
            reads.append(flow.model_copy(update={"source": source.model_copy(update={"connection": connection})}))
        if destination.connection_name == name:
            there = destination.model_copy(update={"connection": connection})
            writes.append(flow.model_copy(update={"destination": there}))
            written.add(physical_key(connection, destination.schema_name, destination.table) or "")
    return ConnectionUse(
        connection=connection, reads=tuple(reads), writes=tuple(writes), written=frozenset(written - {""})
    )


def _all_at_once(works: dict[str, Work], *, seconds: float) -> dict[str, tuple[Diagnosis, ...]]:
    """Return what each work yields; one that takes too long is left to itself, and what it has yielded counts."""
    found: dict[str, list[Diagnosis]] = {subject: [] for subject in works}
    threads = {
        subject: threading.Thread(target=_gather, args=(work, found[subject]), name=f"doctor {subject}", daemon=True)
        for subject, work in works.items()
    }
    for thread in threads.values():
        thread.start()
    ends_at = time.monotonic() + seconds
    for subject, thread in threads.items():
        thread.join(max(0.0, ends_at - time.monotonic()))
        if thread.is_alive():
            msg = f"the rest was not found out in {seconds:g} seconds"
            hint = "what would come next waits for an answer; --timeout SECONDS waits longer"
            found[subject] = [*found[subject], failed("time", PlaceUnavailableError(msg, code="TG765", hint=hint))]
    return {subject: tuple(diagnoses) for subject, diagnoses in found.items()}


def _gather(work: Work, found: list[Diagnosis]) -> None:
    try:
        for diagnosis in work():
            found.append(diagnosis)  # noqa: PERF402 - what there is so far counts when time is up
        if not found:
            found.append(ok("use", "no active dataflow uses it, and nothing else is to be tried"))
    except Exception as error:  # noqa: BLE001 - the boundary: a probe that fails is a finding
        found.append(failed(_check_of(error), _ours(error)))


def _check_of(error: Exception) -> str:
    """Return what was looked at when an error ended a probe."""
    if isinstance(error, ConfigurationError):
        return "settings"
    return "reach" if getattr(error, "transient", False) else "sign in"


def _ours(error: Exception) -> TidegateError:
    if isinstance(error, TidegateError):
        return error
    from tidegate.engines import engine_registry

    return engine_registry.get_or_create("polars").translate(error)
