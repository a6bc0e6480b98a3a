"""What happened to every unit of a run, and the result that sums it up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal, Self

from tidegate.errors import TidegateError
from tidegate.masking import mask

UnitStatus = Literal["succeeded", "failed", "skipped"]


_WINDOW = re.compile(r" \S+--\S+$")


def flow_of(unit_name: str) -> str:
    """Return the name of the dataflow in the name of a unit, which ends with its window where it has one.

    >>> flow_of("orders"), flow_of("orders 2026-01-01--2026-02-01")
    ('orders', 'orders')
    """
    return _WINDOW.sub("", unit_name)


def timestamp(moment: datetime) -> str:
    """Return an aware time as ISO 8601 in UTC with microseconds, so that text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReport:
    """Why a unit failed: what a :class:`TidegateError` says, without the exception. Secrets are masked."""

    code: str
    message: str
    where: str | None = None
    hint: str | None = None

    def __post_init__(self) -> None:
        _mask_fields(self, "message", "where", "hint")

    @classmethod
    def from_exception(cls, error: BaseException) -> Self:
        """Describe any exception; one that is not ours is `TG001`, its class named in the message."""
        if isinstance(error, TidegateError):
            return cls(code=error.code, message=error.message, where=error.where, hint=error.hint)
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return cls(code=TidegateError.default_code, message=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitReport:
    """What happened to one unit of work: one dataflow, one operation, one window.

    Counts are None where they are not known. Times are aware; a naive one raises ValueError. Secrets are
    masked in every free text.

    Attributes:
        name: What people call the unit; unique within its run.
        operation: What was done: `load`, `replay` or `maintenance`.
        source: What was read, as text.
        destination: What was written, as text.
        window: The half-open window that was loaded, its bounds rendered; None when the load took what is new.
        detail: A remark in a few words: `nothing new`, `lease held by worker-3`.
        rows_in: Rows read from the source.
        rows_out: Rows that came to the destination; merges, mirrors and histories may find that some change nothing.
        rows_updated: Rows of the table that were replaced, or given other values.
        rows_deleted: Rows of the table that are gone at the source, and were removed or marked.
        files_removed: Files that maintenance removed from the destination.
        bytes_freed: Their size.
        sequence: The number of the commit; None when nothing was committed.
        position_before: The position that the load started from, rendered: `updated_at=2013-02-28 23:00`.
        position_after: The position that it committed.
        attempts: How often the unit was tried; 1 when the first try settled it.
    """

    run_id: str
    dataflow_id: str
    name: str
    status: UnitStatus
    started_at: datetime
    ended_at: datetime
    stage: str | None = None
    operation: str = "load"
    load_type: str | None = None
    source: str = ""
    destination: str = ""
    window: tuple[str, str] | None = None
    detail: str | None = None
    rows_in: int | None = None
    rows_out: int | None = None
    rows_updated: int | None = None
    rows_deleted: int | None = None
    files_read: int | None = None
    files_skipped: int | None = None
    bytes_written: int | None = None
    files_removed: int | None = None
    bytes_freed: int | None = None
    sequence: int | None = None
    position_before: str | None = None
    position_after: str | None = None
    attempts: int = 1
    error: ErrorReport | None = None

    def __post_init__(self) -> None:
        for name in ("started_at", "ended_at"):
            if getattr(self, name).utcoffset() is None:
                raise ValueError(f"{name} of unit {self.name!r} has no time zone")
        _mask_fields(self, "source", "destination", "detail", "position_before", "position_after")

    @property
    def duration_seconds(self) -> float:
        """Wall time of the unit, all attempts included; never negative, whatever the clock did."""
        return max(0.0, (self.ended_at - self.started_at).total_seconds())

    @property
    def rows_per_second(self) -> float | None:
        """Rows read each second; None when either is not known."""
        if self.rows_in is None or not self.duration_seconds:
            return None
        return self.rows_in / self.duration_seconds

    def to_dict(self) -> dict[str, Any]:
        """Return every field and both derived figures as JSON-ready values; times as ISO 8601 UTC."""
        return {
            **asdict(self),
            "started_at": timestamp(self.started_at),
            "ended_at": timestamp(self.ended_at),
            "duration_seconds": self.duration_seconds,
            "rows_per_second": self.rows_per_second,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what :meth:`to_dict` returned. Keys that are no fields are left out."""
        known = {item.name: record[item.name] for item in fields(cls) if item.name in record}
        for name in ("started_at", "ended_at"):
            known[name] = datetime.fromisoformat(known[name])
        if known.get("window") is not None:
            known["window"] = tuple(known["window"])
        if known.get("error") is not None:
            known["error"] = ErrorReport(**known["error"])
        return cls(**known)


@dataclass
class ExecutionResult:
    """The statistics of a run, and the reports they were counted from.

    Attributes:
        total: Units in all; the sum of the other three.
        errors: The message of each failed unit, by the unit's name.
        duration_seconds: Wall time of the run.
    """

    # Not frozen, and fields by position: the seed's contract, which callers may already rely on.
    total: int = 0
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    errors: dict[str, str] = field(default_factory=dict)
    duration_seconds: float = 0.0
    units: list[UnitReport] = field(default_factory=list, kw_only=True)
    run_id: str = field(default="", kw_only=True)
    counted_in: str = field(default="flow", kw_only=True)
    """What a unit is, for people: `flow`; `window` for a replay."""
    interrupted: bool = field(default=False, kw_only=True)
    """Whether the run was broken off; what it did not come to is counted as skipped."""

    @classmethod
    def from_units(
        cls, units: Iterable[UnitReport], *, run_id: str | None = None, duration_seconds: float | None = None
    ) -> Self:
        """Count reports.

        Args:
            units: The reports, in the order in which they shall be shown.
            run_id: The run's id; that of the first report when not given.
            duration_seconds: The run's wall time; from the first start to the last end when not given.
        """
        units = list(units)
        if duration_seconds is None and units:
            span = max(unit.ended_at for unit in units) - min(unit.started_at for unit in units)
            duration_seconds = span.total_seconds()
        return cls(
            total=len(units),
            succeeded=sum(unit.status == "succeeded" for unit in units),
            failed=sum(unit.status == "failed" for unit in units),
            skipped=sum(unit.status == "skipped" for unit in units),
            errors=_messages(units),
            duration_seconds=duration_seconds or 0.0,
            units=units,
            run_id=run_id if run_id is not None else next((unit.run_id for unit in units), ""),
        )

    @property
    def success_rate(self) -> float:
        """Percentage of units that succeeded, 0 to 100; 0 when there were none."""
        return 100.0 * self.succeeded / self.total if self.total else 0.0

    @property
    def exit_code(self) -> int:
        """What a command that ran this to its end exits with: 0 when nothing failed, else 1."""
        return 1 if self.failed or self.interrupted else 0

    def summary(self) -> dict[str, Any]:
        """Return the statistics as JSON-ready values, without the units."""
        return {
            "run_id": self.run_id,
            "total": self.total,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "skipped": self.skipped,
            "interrupted": self.interrupted,
            "rows_in": sum(unit.rows_in or 0 for unit in self.units),
            "rows_out": sum(unit.rows_out or 0 for unit in self.units),
            "errors": dict(self.errors),
            "duration_seconds": self.duration_seconds,
            "success_rate": self.success_rate,
            "exit_code": self.exit_code,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the statistics and every unit as JSON-ready values."""
        return {**self.summary(), "units": [unit.to_dict() for unit in self.units]}


def _mask_fields(report: ErrorReport | UnitReport, *names: str) -> None:
    for name in names:
        text = getattr(report, name)
        if text:
            object.__setattr__(report, name, mask(text))


def _messages(units: list[UnitReport]) -> dict[str, str]:
    messages: dict[str, str] = {}
    for unit in units:
        if unit.status == "failed":
            message = unit.error.message if unit.error else unit.detail or "failed"
            earlier = messages.get(unit.name)
            messages[unit.name] = f"{earlier}; {message}" if earlier else message
    return messages
