"""Maintenance of Iceberg tables: compaction as a `replace` snapshot; snapshots expire, and their files go after them.

Files are removed only after the catalog has taken the step that makes them unnecessary. Source of the rules: Iceberg
specification, "Snapshots", "Snapshot References", "Snapshot Retention Policy".
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from pyiceberg.manifest import ManifestContent
from pyiceberg.table.update import AssertRefSnapshotId, AssertTableUUID, RemoveSnapshotsUpdate
from pyiceberg.utils.properties import property_as_bool

from tidegate.connections.iceberg import local_path
from tidegate.destinations.commit import MOST_ATTEMPTS
from tidegate.destinations.iceberg_history import TableHistory
from tidegate.destinations.iceberg_rules import data_folder
from tidegate.destinations.iceberg_transaction import commit_compaction, manifest_target_size
from tidegate.destinations.maintenance import CleanedUp, Upkeep, before, old_files, remove_files
from tidegate.destinations.table import Change, Snapshot, StaleSnapshotError
from tidegate.errors import CommitConflictError

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot as IcebergSnapshot
    from pyiceberg.table.update import TableRequirement

    from tidegate.connections.iceberg import TableInCatalog
    from tidegate.destinations.iceberg import IcebergTable

_MANY_MANIFESTS = 10
"""Small manifests that are worth a commit of their own to merge them."""
_MAY_REMOVE = "gc.enabled"
"""Property of a table whose files may belong to others too, such as a clone of it, when it is false."""
_DATA = re.compile(r"tg-.*")
"""Names of data files that loads write."""
_METADATA = re.compile(r".*\.avro|.*\.metadata\.json")


class IcebergUpkeep(Upkeep):
    """How an Iceberg table is maintained."""

    def __init__(self, table: IcebergTable, where: TableInCatalog) -> None:
        super().__init__(table)
        self._iceberg = table
        self._where = where

    def snapshot(self) -> Snapshot:
        """Return the table as it is now, if its rows may be read and written anew."""
        return self._iceberg.snapshot(rewrites=True)

    def commit(self, snapshot: Snapshot, change: Change) -> None:
        """Write one new version of the table's metadata, with a snapshot of the same rows."""
        with self._iceberg.conflicts(None), self._where.opened():
            commit_compaction(snapshot.handle, change)

    def has_scattered_metadata(self, snapshot: Snapshot) -> bool:
        """Tell whether the table has many small manifests."""
        table: Table | None = snapshot.handle.table if snapshot.handle else None
        current = table.current_snapshot() if table else None
        if table is None or current is None:
            return False
        small = manifest_target_size(table.properties) / 2
        manifests = [manifest for manifest in current.manifests(table.io) if manifest.content == ManifestContent.DATA]
        return sum(manifest.manifest_length < small for manifest in manifests) >= _MANY_MANIFESTS

    def clean_up(self, retention_hours: int, *, dry_run: bool) -> CleanedUp:
        """Let snapshots expire that were replaced before the retention began; then remove what no snapshot needs."""
        table = self._load()
        if table is None:
            return CleanedUp()
        if not property_as_bool(table.properties, _MAY_REMOVE, True):
            return CleanedUp(note=f"nothing removed: {_MAY_REMOVE} is false")
        old = set(self._old_files(table, retention_hours))  # before the metadata are read that tell which are needed
        expired, released, after = self._expire(retention_hours, dry_run=dry_run)
        kept = [snapshot for snapshot in after.metadata.snapshots if snapshot.snapshot_id not in expired]
        needed = set(_files(after, kept)) | set(_metadata_files(after))
        cleaned = remove_files((released | old) - needed, self.table.platform, dry_run=dry_run)
        return replace(cleaned, snapshots=len(expired))

    def _load(self) -> Table | None:
        snapshot = self.table.snapshot()
        return snapshot.handle.table if snapshot.handle else None

    def _expire(self, retention_hours: int, *, dry_run: bool) -> tuple[set[int], set[str], Table]:
        """Return the ids of snapshots that expire, the files that they refer to, and the table once they have."""
        limit_ms = int(before(retention_hours).timestamp() * 1000)
        for attempt in range(MOST_ATTEMPTS):
            if attempt:
                time.sleep(random.uniform(0, min(0.01 * 2**attempt, 1.0)))  # noqa: S311 - jitter
            table = self._load()
            if table is None:
                break
            expired = list(_expirable(table.metadata, limit_ms, self.table.place))
            ids = {snapshot.snapshot_id for snapshot in expired}
            released = set(_files(table, expired))
            if not dry_run and ids:
                try:
                    self._remove_snapshots(table, ids)
                except StaleSnapshotError:
                    continue
                table = self._load()
            if table is not None:
                return ids, released, table
        msg = f"other writers of {self.table.place} came first {MOST_ATTEMPTS} times; no snapshot expired"
        raise CommitConflictError(msg, where=self.table.place, hint="run again, or write to it less often")

    def _remove_snapshots(self, table: Table, ids: Collection[int]) -> None:
        """Remove them from the metadata, on condition that branches and tags are where they were."""
        metadata = table.metadata
        requirements: tuple[TableRequirement, ...] = (
            AssertTableUUID(uuid=metadata.table_uuid),
            *(AssertRefSnapshotId(ref=name, snapshot_id=ref.snapshot_id) for name, ref in metadata.refs.items()),
        )
        with self._iceberg.conflicts(None), self._where.opened() as catalog:
            catalog.commit_table(table, requirements, (RemoveSnapshotsUpdate(snapshot_ids=list(ids)),))

    def _old_files(self, table: Table, retention_hours: int) -> Iterator[str]:
        """Yield the files in the table's own folders that a load under way cannot have written.

        Folders that a property names may be those of several tables: what lies there is left alone.
        """
        location, platform = table.location().rstrip("/"), self.table.platform
        metadata = table.properties.get("write.metadata.path", f"{location}/metadata").rstrip("/")
        for folder, own, names in (
            (data_folder(table), f"{location}/data", _DATA),
            (metadata, f"{location}/metadata", _METADATA),
        ):
            path = local_path(own)
            if folder == own and path is not None and platform.is_folder(path):
                files = (file for file in platform.files_below(path) if names.fullmatch(file.path.rpartition("/")[2]))
                yield from (file.path for file in old_files(files, retention_hours))


def _expirable(metadata: TableMetadata, limit_ms: int, place: str) -> Iterator[IcebergSnapshot]:
    """Yield the snapshots that were replaced before `limit_ms`: who began to read one later can still do so."""
    older = [snapshot for snapshot in metadata.snapshots if snapshot.timestamp_ms <= limit_ms]
    needed = TableHistory(metadata, place).needed() | {ref.snapshot_id for ref in metadata.refs.values()}
    if older:
        needed.add(max(older, key=lambda snapshot: snapshot.timestamp_ms).snapshot_id)
    yield from (snapshot for snapshot in older if snapshot.snapshot_id not in needed)


def _files(table: Table, snapshots: Iterable[IcebergSnapshot]) -> Iterator[str]:
    """Yield the paths of all files that these snapshots refer to."""
    seen: set[str] = set()
    ids = set()
    for snapshot in snapshots:
        ids.add(snapshot.snapshot_id)
        yield _path(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path in seen:
                continue
            seen.add(manifest.manifest_path)
            yield _path(manifest.manifest_path)
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
                yield _path(entry.data_file.file_path)
    statistics = [*table.metadata.statistics, *table.metadata.partition_statistics]
    yield from (_path(about.statistics_path) for about in statistics if about.snapshot_id in ids)


def _metadata_files(table: Table) -> Iterator[str]:
    """Yield the paths of the table's metadata files: the current one, and those that its log names."""
    yield _path(table.metadata_location)
    yield from (_path(entry.metadata_file) for entry in table.metadata.metadata_log)


def _path(location: str) -> str:
    return local_path(location) or location
