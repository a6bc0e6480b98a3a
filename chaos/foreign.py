"""Other writers of the tables: a commit that comes right before a load's own, and compactions beside it."""

from __future__ import annotations

import fcntl
import functools
import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table
from sqlalchemy.exc import OperationalError

from chaos import failpoints, iceberg_tables
from chaos.cases import Flow
from chaos.reading import lives_on

_STRANGER = "0000-another-flow"


def come_first() -> None:
    """Let another writer commit, in this process, right before a load's first commit to a table that is there."""
    turns = itertools.count()

    def outrun(commit: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(commit)
        def wrapped(table: Any, snapshot: Any, change: Any, own: Any) -> int:
            if snapshot.version is not None and next(turns) == 0:
                _commit_another(table, commit, own)
            return commit(table, snapshot, change, own)

        return wrapped

    failpoints.wrap("tidegate.destinations.table:BaseTable.commit", outrun)


def _commit_another(table: Any, commit: Callable[..., int], own: Any) -> None:
    match type(table).__name__:
        case "DeltaTable":
            if not _compact_delta(Path(table.place)):
                _append_nothing(table.place)
        case "IcebergTable":
            with suppress(CommitFailedException):  # a third one was quicker: the race is lost in any case
                there = open_iceberg(Path(table.place))
                there.append(there.schema().as_arrow().empty_table())
        case _:
            from tidegate.destinations.table import Change

            snapshot = table.snapshot()
            nothing = Change(columns=snapshot.columns, partition_by=snapshot.partition_by)
            stranger = replace(
                own,
                dataflow_id=_STRANGER,
                sequence=snapshot.sequences(_STRANGER) + 1,
                load_id=own.load_id.replace("tg-", "tg-0", 1),
            )
            commit(table, snapshot, nothing, stranger)


def _append_nothing(path: str) -> None:
    table = deltalake.DeltaTable(path)
    with suppress(CommitFailedError):
        deltalake.write_deltalake(table, pa.schema(table.schema()).empty_table(), mode="append")


def compact_until_killed(tables: Sequence[tuple[Path, Flow]], failures: Path) -> None:
    """Compact tables that another writes, until killed or left alone; other failures than lost races go into a file."""
    while lives_on():
        for path, flow in tables:
            try:
                _compact(path, flow)
            except Exception as error:  # noqa: BLE001 - whatever it is, a compaction has met it
                with failures.open("a", encoding="utf-8") as file:
                    file.write(f"{path.name}: {error!r}\n")
        time.sleep(random.uniform(0, 0.02))


def _compact(path: Path, flow: Flow) -> None:
    if flow.format == "delta" and path.exists():
        with suppress(TableNotFoundError):
            _compact_delta(path)
            deltalake.DeltaTable(path).vacuum(dry_run=False)  # keeps what was written in the last week
    elif flow.format == "iceberg" and iceberg_tables.metadata_location(path) is not None:
        with suppress(CommitFailedException, OperationalError):
            _compact_iceberg(open_iceberg(path))


def _compact_delta(path: Path) -> bool:
    """Compact a table, and return whether there was anything to do."""
    with _alone(path), suppress(CommitFailedError):
        return bool(deltalake.DeltaTable(path).optimize.compact()["numFilesAdded"])
    return True


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one compaction of a table run at a time: delta-rs lets two into the log, which doubles all rows."""
    with path.with_name(f".{path.name}.compaction").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a process that dies lets go
        yield


def _compact_iceberg(table: Table) -> None:
    """Write all rows into new files, in the place of the old ones, on condition of the version that was read."""
    if len(list(table.scan().plan_files())) < 2:
        return
    once = {**table.metadata.properties, "commit.retry.num-retries": "0"}
    table.metadata = table.metadata.model_copy(update={"properties": once})
    table.overwrite(table.scan().to_arrow())


def open_iceberg(path: Path) -> Table:
    """Open an Iceberg table as another program does."""
    catalog = SqlCatalog("default", uri=f"sqlite:///{path.with_name(iceberg_tables.CATALOG)}?timeout=30")
    return catalog.load_table((iceberg_tables.namespace(path), path.name))
