"""Iceberg tables as PyIceberg reads them: found in the catalog's SQLite file, without Tidegate."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import ManifestEntryStatus
from pyiceberg.table import StaticTable

CATALOG = "catalog.db"


def metadata_location(path: Path) -> str | None:
    """Return where the catalog says that the newest metadata of the table in this folder is."""
    return _of_catalog(path, "metadata_location")


def namespace(path: Path) -> str:
    """Return the namespace of the table in this folder."""
    return _of_catalog(path, "table_namespace") or ""


def _of_catalog(path: Path, column: str) -> str | None:
    catalog = path.with_name(CATALOG)
    if not catalog.exists():
        return None
    # not read-only: whoever opens it first after a kill rolls back what was under way
    with closing(sqlite3.connect(f"{catalog.as_uri()}?mode=rw", uri=True, timeout=30)) as connection:
        query = f"SELECT {column} FROM iceberg_tables WHERE table_name = ?"
        try:
            found = connection.execute(query, (path.name,)).fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # the catalog is being made
                return None
            raise
    return str(found[0]) if found else None


def open_table(path: Path) -> StaticTable | None:
    """Return the table as it is now, None when there is none."""
    location = metadata_location(path)
    return None if location is None else StaticTable.from_metadata(location)


def records(path: Path) -> list[dict[str, Any]]:
    """Return what Tidegate's commits say of themselves in the summaries of snapshots."""
    table = open_table(path)
    snapshots = table.metadata.snapshots if table else []
    summaries = [snapshot.summary.additional_properties for snapshot in snapshots if snapshot.summary]
    return [json.loads(summary["tidegate.commit"]) for summary in summaries if "tidegate.commit" in summary]


def data_files(path: Path) -> list[str]:
    """Return the files that a scan of the table reads."""
    table = open_table(path)
    return [] if table is None else files_of(table)


def files_of(table: StaticTable) -> list[str]:
    """Return the files that a scan of this version reads."""
    return [local(task.file.file_path) for task in table.scan().plan_files()]


def local(location: str) -> str:
    """Return the path of a file of this machine."""
    return location.removeprefix("file://").removeprefix("file:")


def sequence_of(path: Path, dataflow_id: str) -> int:
    """Return the sequence number of the flow's last commit, as the table's properties have it."""
    table = open_table(path)
    text = table.metadata.properties.get(f"tidegate.flow.{dataflow_id}") if table else None
    return int(json.loads(text)["sequence"]) if text else 0


def faults(path: Path) -> Iterator[str]:
    """Yield what is wrong: files that are listed twice, absent, or added by two snapshots; a broken line of parents."""
    table = open_table(path)
    if table is None:
        yield "the catalog does not know the table"
        return
    active = files_of(table)
    yield from (f"active twice: {file}" for file, times in Counter(active).items() if times > 1)
    yield from (f"active, but absent: {file}" for file in active if not Path(file).exists())
    added = {(each.snapshot_id, each.data_file.file_path) for each in _entries(table)}
    times_added = Counter(file for _, file in added)
    yield from (f"added by two snapshots: {file}" for file, times in times_added.items() if times > 1)
    parents = Counter(snapshot.parent_snapshot_id for snapshot in table.metadata.snapshots)
    yield from (f"two snapshots follow {parent}" for parent, times in parents.items() if times > 1)


def _entries(table: StaticTable) -> Iterator[Any]:
    """Yield the entries of all manifests that add a file."""
    io = PyArrowFileIO()
    manifests = {
        manifest.manifest_path: manifest for snapshot in table.metadata.snapshots for manifest in snapshot.manifests(io)
    }
    for manifest in manifests.values():
        for entry in manifest.fetch_manifest_entry(io, discard_deleted=True):
            if entry.status == ManifestEntryStatus.ADDED:
                yield entry


def litter(path: Path) -> int:
    """Count data files that no snapshot ever added."""
    table = open_table(path)
    known = set() if table is None else {local(entry.data_file.file_path) for entry in _entries(table)}
    return sum(str(file) not in known for file in path.rglob("*.parquet"))
