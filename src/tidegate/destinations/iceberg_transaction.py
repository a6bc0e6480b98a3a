"""One load as one transaction of an Iceberg table: schema, files, position, and the condition on what was read.

PyIceberg would repeat a transaction that lost a race, against rows that the load has not seen. It is not let to: a
lost race goes back to the commit loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyiceberg.expressions import AlwaysTrue
from pyiceberg.table import Table, TableProperties
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _ManifestMergeManager, _OverwriteFiles
from pyiceberg.typedef import EMPTY_DICT
from pyiceberg.utils.properties import property_as_bool, property_as_int

from tidegate.destinations.iceberg_files import added_file, listed_files
from tidegate.destinations.iceberg_history import TableHistory, property_of
from tidegate.destinations.iceberg_schema import change_schema

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile as ListedFile
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Transaction
    from pyiceberg.table.snapshots import Summary
    from pyiceberg.table.update.snapshot import _SnapshotProducer

    from tidegate.destinations.commit import Commit
    from tidegate.destinations.table import Change, DataFile

NEW_TABLE_PROPERTIES = {
    TableProperties.PARQUET_COMPRESSION: "zstd",
    TableProperties.MANIFEST_MERGE_ENABLED: "true",
    TableProperties.METADATA_DELETE_AFTER_COMMIT_ENABLED: "true",
}
"""Many small loads stay cheap: manifests are merged, and old metadata files are removed."""


@dataclass(slots=True, kw_only=True)
class TableVersion:
    """A table as it was read, which a commit builds on."""

    table: Table
    history: TableHistory
    allow: Callable[[list[ListedFile]], None]
    """Raises where the load may not read these files."""
    _files: dict[str, tuple[DataFile, ListedFile]] | None = field(default=None)

    def files(self) -> list[DataFile]:
        """Return the data files; read on the first call."""
        return [known for known, _ in self._by_reference().values()]

    def listed(self, file: DataFile) -> ListedFile:
        """Return the file as Iceberg lists it."""
        return self._by_reference()[file.reference][1]

    def _by_reference(self) -> dict[str, tuple[DataFile, ListedFile]]:
        if self._files is None:
            files = {known.reference: (known, listed) for known, listed in listed_files(self.table)}
            self.allow([listed for _, listed in files.values()])
            self._files = files
        return self._files


def transaction_on(table: Table) -> Transaction:
    """Return a transaction on the version of a table that was read; it is never repeated when it loses a race.

    It works on the current snapshot alone: PyIceberg copies all that it is given, again and again.
    """
    current, head = table.metadata.current_snapshot(), table.metadata.refs.get("main")
    metadata = table.metadata.model_copy(
        update={
            "properties": {**table.properties, TableProperties.COMMIT_NUM_RETRIES: "0"},
            "snapshots": [current] if current else [],
            "snapshot_log": [],
            "refs": {"main": head} if head else {},
            "statistics": [],
            "partition_statistics": [],
        }
    )
    return Table(
        identifier=table.name(),
        metadata=metadata,
        metadata_location=table.metadata_location,
        io=table.io,
        catalog=table.catalog,
        config=table.config,
    ).transaction()


def commit_first(transaction: Transaction, change: Change, commit: Commit) -> int:
    """Create the table with its first rows, and return its version."""
    history = TableHistory(transaction.table_metadata, "")
    return _committed(transaction, history, change, commit, removed=[])


def commit_next(there: TableVersion, change: Change, commit: Commit) -> int:
    """Commit on the version that was read, and return the version that it makes."""
    transaction = transaction_on(there.table)
    change_schema(transaction, change.columns, replace=change.replaces_all)
    removed = there.files() if change.replaces_all else change.removed
    return _committed(transaction, there.history, change, commit, removed=[there.listed(file) for file in removed])


def commit_compaction(there: TableVersion, change: Change) -> None:
    """Put files in the place of others with the same rows, and merge manifests; no flow's record is touched."""
    transaction = transaction_on(there.table)
    metadata = transaction.table_metadata
    summary = there.history.line_summary(metadata.next_sequence_number())
    producer = _Compaction(
        operation=Operation.REPLACE, transaction=transaction, io=there.table.io, snapshot_properties=summary
    )
    for file in change.added:
        producer.append_data_file(added_file(file, metadata))
    for known in change.removed:
        producer.delete_data_file(there.listed(known))
    producer.delete_by_predicate(AlwaysTrue())
    producer.commit()
    transaction.commit_transaction()


class _Compaction(_OverwriteFiles):
    """A snapshot with the same rows in other files, and with fewer manifests.

    PyIceberg 0.12 makes no snapshots of this kind, and rewrites no manifests but those of appends.
    """

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        merging = _ManifestMergeManager(
            target_size_bytes=manifest_target_size(self._transaction.table_metadata.properties),
            min_count_to_merge=2,
            merge_enabled=True,
            snapshot_producer=self,
        )
        alive = [
            manifest
            for manifest in manifests
            if manifest.has_added_files()
            or manifest.has_existing_files()
            or manifest.added_snapshot_id == self._snapshot_id
        ]
        return merging.merge_manifests(alive)

    def _summary(self, snapshot_properties: dict[str, str] = EMPTY_DICT) -> Summary:
        self._operation = Operation.OVERWRITE  # the only one of these that PyIceberg can sum up
        summary = super()._summary(snapshot_properties)
        return summary.model_copy(update={"operation": Operation.REPLACE})


def manifest_target_size(properties: Mapping[str, str]) -> int:
    """Return the size in bytes up to which manifests are merged."""
    name, default = TableProperties.MANIFEST_TARGET_SIZE_BYTES, TableProperties.MANIFEST_TARGET_SIZE_BYTES_DEFAULT
    return property_as_int(dict(properties), name, default) or default


def _committed(
    transaction: Transaction, history: TableHistory, change: Change, commit: Commit, *, removed: list[ListedFile]
) -> int:
    metadata = transaction.table_metadata
    version = metadata.next_sequence_number()
    producer = _producer(transaction, history.summary(commit, version), is_append=not removed)
    for file in change.added:
        producer.append_data_file(added_file(file, metadata))
    for listed in removed:
        producer.delete_data_file(listed)
    if removed and metadata.spec().is_unpartitioned():
        producer.delete_by_predicate(AlwaysTrue())  # else PyIceberg looks into no manifest
    producer.commit()
    transaction.set_properties(property_of(commit, version))
    transaction.commit_transaction()
    return version


def _producer(transaction: Transaction, summary: dict[str, str], *, is_append: bool) -> _SnapshotProducer[object]:
    update = transaction.update_snapshot(snapshot_properties=summary)
    if not is_append:
        return update.overwrite()  # type: ignore[return-value]  # each producer is generic in itself
    name, default = TableProperties.MANIFEST_MERGE_ENABLED, TableProperties.MANIFEST_MERGE_ENABLED_DEFAULT
    merges = property_as_bool(transaction.table_metadata.properties, name, default)
    return update.merge_append() if merges else update.fast_append()  # type: ignore[return-value]
