"""How a run is carried out: the run's own options, and those of a replay."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from tidegate.models.base import Declaration, Names


class ColumnCaseMode(StrEnum):
    """How column names are written at the destination."""

    LOWER = "lower"
    """Lower case, nothing inserted: `OrderID` becomes `orderid`."""
    SNAKE = "snake"
    """Snake case: `OrderID` becomes `order_id`."""


class RetrySettings(Declaration):
    """How often a dataflow that failed for a transient reason is tried again."""

    retry_count: int = Field(default=0, ge=0)
    retry_delay: float = Field(default=5.0, ge=0)
    """Seconds before the first retry; each further one waits twice as long, up to a minute."""


class RunConfig(RetrySettings):
    """Options of one run."""

    job_id: str | None = None
    job_num: int = Field(default=1, ge=1)
    """Number of jobs that share the dataflows."""
    job_index: int = Field(default=0, ge=0)
    """Which of the jobs this is, from 0."""
    max_workers: int = Field(default=8, ge=1)
    """Dataflows that run at the same time."""
    stop_on_error: bool = False
    """Start nothing new after the first failure."""
    dry_run: bool = False
    """Plan, and change nothing."""
    retention_hours: int = Field(default=168, ge=0)
    allowed_function_prefixes: Names = ()


class ReplayConfig(Declaration):
    """A range of history to load again, `[start, end)`, in windows."""

    start: datetime | date | int | str
    end: datetime | date | int | str
    chunk_interval: dict[Literal["years", "months", "weeks", "days", "hours", "minutes", "step"], int] | None = None
    save_watermark: bool = False
    chunk_column: str | None = None
    direction: Literal["forward", "backward"] = "forward"
    calendar: str | None = None
    parallel: int = Field(default=1, ge=1)
    resume: bool = True
