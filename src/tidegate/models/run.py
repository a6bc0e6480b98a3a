"""How a run is carried out: the run's own options, and those of a replay."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, model_validator

from tidegate.models.base import Declaration, Names, broken_rule


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
    """Seconds before the first retry."""
    backoff_multiplier: float = Field(default=2.0, ge=1)
    """Factor by which each further wait grows."""
    max_delay: float = Field(default=60.0, ge=0)
    """Longest wait in seconds."""
    jitter_ratio: float = Field(default=0.0, ge=0, le=1)
    """How far a wait may be off its length by chance, so that many do not come back at once: 0.1 for a tenth."""
    retryable_exceptions: Names = ()
    """Names of exception classes that are tried again too, besides what is known to pass by itself."""


class RunConfig(RetrySettings):
    """Options of one run."""

    job_id: str | None = None
    job_num: int = Field(default=1, ge=1)
    """Number of jobs that share the dataflows."""
    job_index: int = Field(default=0, ge=0)
    """Which of the jobs this is, from 0."""
    distribution: Literal["hash", "balanced"] = "hash"
    """How dataflows are shared out: by `group_number`, else a hash of the id; or `balanced`: evenly, and what depends
    on each other, shares a group or writes one destination stays in one job."""
    max_workers: int = Field(default=8, ge=1)
    """Dataflows that run at the same time."""
    stop_on_error: bool = False
    """Start nothing new after the first failure."""
    dry_run: bool = False
    """Plan, and change nothing."""
    retention_hours: int = Field(default=168, ge=0)
    allowed_function_prefixes: Names = ()


ChunkUnit = Literal["years", "months", "weeks", "days", "hours", "minutes", "step"]


class ReplayConfig(Declaration):
    """A range of history to load again, `[start, end)`, in windows."""

    start: datetime | date | int | str
    """First moment, day or number of the range."""
    end: datetime | date | int | str
    """The first one that is no longer part of it."""
    chunk_interval: dict[ChunkUnit, int] | None = None
    """Size of the windows, which are aligned to the calendar; without it the range is one window."""
    save_watermark: bool = False
    """Move the dataflow's position to the end of each window: for a first load in windows, never beside other loads."""
    chunk_column: str | None = None
    """The column that the range is over; without it the first watermark column."""
    direction: Literal["forward", "backward"] = "forward"
    calendar: str | None = None
    """A calendar or an interval that cuts the range instead of `chunk_interval`: `weekdays`, `2W`, `MS`."""
    parallel: int = Field(default=1, ge=1)
    """Windows of one dataflow that are loaded at the same time, also by several processes."""
    resume: bool = True
    """Load only what an earlier replay of the same range has left; without it, load all of it again."""
    replace: bool = False
    """Replace the rows of each window in the table, for dataflows that append."""
    append_again: bool = False
    """Append windows although rows of them may be in the table already."""

    @model_validator(mode="after")
    def _one_way_to_cut(self) -> Self:
        if self.chunk_interval and self.calendar:
            raise broken_rule("TG116", "chunk_interval and calendar exclude each other", field="calendar")
        return self
