"""What a run tells while it runs, and the stream that carries it to those who listen.

::

    RunStarted ─> (UnitStarted ─> UnitProgress* ─> UnitFinished)* ─> RunFinished        Notice at any time

A unit is known by its name, which is unique within its run. A retry starts it again with the next `attempt`.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar

from tidegate.errors import TidegateError
from tidegate.masking import get_registered_secret_values, mask
from tidegate.reporting.lineage import Lineage
from tidegate.reporting.run_report import ExecutionResult, UnitReport

Phase = Literal["planning", "reading", "writing", "committing"]
PlannedUnit = tuple[str, str | None, str]
"""Name, stage and destination of a unit that is about to run."""

Value = TypeVar("Value")

_NO_TEXT = frozenset({"status", "phase", "level", "use"})
"""Fields that hold one of our own words: a secret that happens to be part of one must not change it."""


def utc_now() -> datetime:
    """Return the present as an aware UTC time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A run begins; these units are to be carried out."""

    kind: ClassVar[str] = "run_started"
    run_id: str
    units: tuple[PlannedUnit, ...]
    command: str = "run"
    """What was asked for: `run`, `replay`, ..."""
    job_id: str | None = None
    job_num: int = 1
    """Number of jobs that share the dataflows."""
    job_index: int = 0
    at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStarted:
    """A unit begins, for the first time or again."""

    kind: ClassVar[str] = "unit_started"
    run_id: str
    dataflow_id: str
    name: str
    stage: str | None = None
    destination: str = ""
    attempt: int = 1
    at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitProgress:
    """How far a unit is: counts since its start, None where not known."""

    kind: ClassVar[str] = "unit_progress"
    run_id: str
    dataflow_id: str
    name: str
    phase: Phase
    rows_in: int | None = None
    rows_out: int | None = None
    rows_total: int | None = None
    """Rows that will be read in all, where the source says so."""
    at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFinished:
    """A unit ended, one way or another; it is not tried again."""

    kind: ClassVar[str] = "unit_finished"
    report: UnitReport
    lineage: Lineage | None = None
    """What was read and written, column by column; None where that is not known."""

    @property
    def at(self) -> datetime:
        """When the unit ended."""
        return self.report.ended_at


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """A run ended, one way or another."""

    kind: ClassVar[str] = "run_finished"
    result: ExecutionResult
    at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something a person should know that is no unit's end."""

    kind: ClassVar[str] = "notice"
    level: Literal["info", "warning", "error"]
    message: str
    code: str | None = None
    hint: str | None = None
    at: datetime = field(default_factory=utc_now)


Event = RunStarted | UnitStarted | UnitProgress | UnitFinished | RunFinished | Notice


class Sink(Protocol):
    """Someone who listens. The stream calls it from many threads, but never from two at once."""

    def handle(self, event: Event, /) -> None:
        """Take note of an event, quickly: the loads wait meanwhile."""

    def close(self) -> None:
        """Write what is left. Called once, after the last event; also when the run was interrupted."""


class EventStream:
    """Carries events to sinks: in one order for all of them, with secrets masked.

    A sink that raises never stops a load. Its first failure is told on stderr; it still gets the events that
    follow, so that a log outlives a moment without disk. What is emitted after :meth:`close` is dropped.
    """

    def __init__(self, sinks: Iterable[Sink] = ()) -> None:
        self._sinks = tuple(sinks)
        self.wants_lineage = any(getattr(sink, "wants_lineage", False) for sink in self._sinks)
        """Whether anyone listens who does something with lineage; finding it takes time."""
        self._failed: set[int] = set()
        self._closed = False
        # Reentrant: a signal handler may emit while its own thread is emitting.
        self._lock = threading.RLock()

    def emit(self, event: Event) -> None:
        """Hand an event to every sink. Never raises but for what is no Exception (an interrupt)."""
        event = _masked(event)
        with self._lock:
            if not self._closed:
                for index, sink in enumerate(self._sinks):
                    with self._surviving(index):
                        sink.handle(event)

    def close(self) -> None:
        """Close every sink. Doing so again does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for index, sink in enumerate(self._sinks):
                with self._surviving(index):
                    sink.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _surviving(self, index: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever a sink does, the load goes on
            if index not in self._failed:
                self._failed.add(index)
                _tell_failure(self._sinks[index], error)


def _tell_failure(sink: Sink, error: Exception) -> None:
    with contextlib.suppress(Exception):  # stderr may be what failed
        cause = error.render() if isinstance(error, TidegateError) else f"{type(error).__name__}: {error}"
        print(mask(f"warning: {type(sink).__name__} failed, the run goes on: {cause}"), file=sys.stderr)  # noqa: T201


def _masked(value: Value) -> Value:
    """Return an event with every text in it masked; itself when there is nothing to hide."""
    return _mask_inside(value) if get_registered_secret_values() else value


def _mask_inside(value: Any) -> Any:
    match value:
        case str():
            return mask(value)
        case tuple() | list():
            return type(value)(map(_mask_inside, value))
        case dict():
            return {_mask_inside(key): _mask_inside(item) for key, item in value.items()}
        case _ if is_dataclass(value) and not isinstance(value, type):
            names = [item.name for item in fields(value) if item.name not in _NO_TEXT]
            return replace(value, **{name: _mask_inside(getattr(value, name)) for name in names})
        case _:
            return value
