"""The history of a key, in ten lines: what an scd2 table must hold, whatever came before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deltalake

from tests.behaviour.databases import frame_of
from tests.behaviour.project import Project, iceberg_table
from tidegate import DataFlow
from tidegate.connections import database_of


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """What a key was from `start` until before `end`; None: until now."""

    start: Any
    end: Any
    content: Any


def told(versions: Iterable[Version], batch: Mapping[Any, Any]) -> list[Version]:
    """Return the versions of one key after a batch: time → content, None for a delete."""
    versions = list(versions)
    events = {version.end: None for version in versions if version.end is not None}
    events |= {version.start: version.content for version in versions}
    events |= batch
    times = sorted(events)
    changes = [at for before, at in zip([None, *times], times, strict=False) if events[at] != events.get(before)]
    ends = [*changes[1:], None]
    return [Version(at, end, events[at]) for at, end in zip(changes, ends, strict=False) if events[at] is not None]


def history(project: Project, table: str = "events", *, effective: str | None = "at", **options: Any) -> DataFlow:
    """Declare a flow that keeps history."""
    options.setdefault("keys", ["id"])
    settings = {"scd2_effective_column": effective, **options.pop("settings", {})}
    return project.flow(table, load_type="scd2", settings=settings, **options)


def versions(project: Project, flow: DataFlow, *columns: str) -> list[tuple[Any, ...]]:
    """Return the versions in the table, key by key as time goes by: these columns, then from when to when they hold.

    Each must be the current one exactly if it has no end.
    """
    frame = project.frame(flow).sort(*flow.destination.merge_keys, "__valid_from")
    assert (frame["__is_current"] == frame["__valid_to"].is_null()).all()
    return frame.select(*columns, "__valid_from", "__valid_to").rows()


def live_files(flow: DataFlow) -> set[str]:
    """Return the names of the files that make up the table; of a database, its rows."""
    if flow.destination.connection.format == "sql":  # type: ignore[union-attr]
        rows = frame_of(database_of(flow.destination.connection), flow.destination.table)  # type: ignore[arg-type]
        return set(map(repr, rows.rows()))
    if flow.destination.connection.format == "iceberg":  # type: ignore[union-attr]
        return {Path(task.file.file_path).name for task in iceberg_table(flow).scan().plan_files()}
    return {Path(uri).name for uri in deltalake.DeltaTable(str(flow.destination.path)).file_uris()}
