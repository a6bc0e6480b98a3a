"""Collections of MongoDB: rows, sequence and position change in one transaction.

A collection `_tidegate_loads` beside the loaded ones has a document per collection, its record: how many commits there
were, the types of the columns (BSON has fewer than tables), and the sequence of each dataflow's last commit. It is one
document, so that a single read tells where the table stands, and a commit replaces just the version that it has seen.
One more document per dataflow has what travels with its last commit. `mongodb_load` tells how rows get in.

Rows without an `_id` of their own get an ObjectId.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pyarrow as pa
from bson import Decimal128, Int64, ObjectId
from pymongo import errors

from tidegate.connections.exact import plain_type
from tidegate.connections.mongodb import Document, MongoPlace, collection_named, with_microseconds
from tidegate.destinations.commit import Commit
from tidegate.destinations.database_rows import batches_of
from tidegate.destinations.mongodb_load import LOADS, SIMPLE, STAGED, UNDONE, Loader
from tidegate.destinations.mongodb_rows import (
    documents_of,
    filter_of,
    key_filters,
    misnamed,
    operations_of,
    reads_as,
    storable,
    unstorable,
)
from tidegate.destinations.selection import RowsWithKeys
from tidegate.destinations.table import BaseTable, Change, DataFile, RowChange, Snapshot, StaleSnapshotError
from tidegate.engines.base import FileTarget
from tidegate.errors import DestinationError, TidegateError
from tidegate.expressions.data_type import describe_type, parse_data_type
from tidegate.models.options import WRITE_OPTIONS, checked_options
from tidegate.sources.mongodb_documents import Shape, batch_of, shapes_of, type_of

if TYPE_CHECKING:
    from pymongo.client_session import ClientSession

    from tidegate.destinations.selection import Selection
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform

_BATCH_DOCUMENTS = 10_000
_EXISTS = 48
_WRITTEN = (type(None), bool, int, Int64, float, str, bytes, Decimal128, datetime)
"""Python types of values that a load writes; and documents and arrays."""


class MongoTable(BaseTable):
    """A collection. One that is there already is taken as it is, with the documents that it has."""

    keeps_rows: ClassVar[bool] = True

    def __init__(self, flow: DataFlow, platform: BasePlatform) -> None:
        super().__init__(flow, platform)
        destination = flow.destination
        assert destination.connection is not None, "checked with the metadata"  # noqa: S101
        checked_options(WRITE_OPTIONS, "mongodb", destination.write_options)
        self._server = MongoPlace(destination.connection)
        self._name = collection_named(destination.schema_name, destination.table)
        self._loader = Loader(self._server, self._name)

    @property
    def place(self) -> str:
        """The database and the collection."""
        return self._loader.place

    def recover(self) -> None:
        """Finish the newest load, if its process died before it did."""
        record = self._record()
        if record and record["pending"]:
            self._loader.publish(record["pending"])

    def snapshot(self) -> Snapshot:
        """Return the table as its record has it; what is in the collection, where there is no record yet."""
        self._server.require_transactions()
        record = self._record()  # before the look: a collection is there before its load is no longer pending
        pending = record["pending"] if record else None
        there = self._there()
        if not there and not pending:
            return Snapshot(version=None, handle=_without_loads(record))
        is_new = _is_another(record, there)
        if is_new:
            if self._record() != record:  # a load has replaced it meanwhile
                return self.snapshot()
            record = _without_loads(record)
        with self._server.translated():
            has_rows = pending or self._server.destination[self._name].find_one({}, {"_id": 1})
        rows = [DataFile(path=self.place, rows=None, size=0)] if has_rows else []
        sequences = dict(record["sequences"]) if record else {}
        return Snapshot(
            version=_version(record),
            columns=_columns(record) if record and not is_new else self._inferred(),
            sequences=lambda flow: int(sequences.get(flow, 0)),
            files=lambda: rows,
            handle=record,
        )

    def last_commit(self, dataflow_id: str) -> Commit | None:
        """Return the flow's last commit."""
        return next((commit for commit in self.commits() if commit.dataflow_id == dataflow_id), None)

    def commits(self) -> list[Commit]:
        """Return the last commit of every flow."""
        record = self._record()
        there = self._there()
        if record is None or not (record["pending"] or there) or _is_another(record, there):
            return []
        with self._server.translated():
            found = list(self._loads.find({"_id.table": self._name, "_id.dataflow": {"$ne": ""}}))
        return [Commit.from_data(json.loads(one["record"])) for one in found]

    def target(self, prefix: str, partition_by: tuple[str, ...], *, scratch: str) -> FileTarget:
        """Write to a local folder; the commit brings the rows into the collection."""
        return FileTarget(folder=scratch, prefix=prefix, partition_by=partition_by, compression="lz4")

    def candidates(self, snapshot: Snapshot, selection: Selection, *, scratch: str) -> list[DataFile]:
        """Fetch the selected rows into one local file."""
        import pyarrow.parquet as pq

        if not snapshot.files():
            return []
        path = Path(scratch, "selected.parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = 0
        with pq.ParquetWriter(path, pa.schema(list(snapshot.columns.items())), compression="lz4") as writer:
            for documents in self._selected(selection, snapshot.columns):
                writer.write_batch(batch_of(documents, snapshot.columns, self.place, reads_text=False))
                rows += len(documents)
        return [DataFile(path=str(path), rows=rows, size=path.stat().st_size)] if rows else []

    def storable(self, column: str, dtype: pa.DataType) -> pa.DataType:
        """Return the type as which the collection gives the column back."""
        if error := misnamed(column, self.place):
            raise error
        found = storable(dtype, plain_type)
        if found is None:
            raise unstorable(column, dtype, self.place)
        return found

    def widening(self, column: str, dtype: pa.DataType, into: pa.DataType) -> Literal["in place", "rewrite"] | None:
        """Leave documents as they are, where they read the same."""
        return "in place" if reads_as(dtype, into) else None

    def commit(self, snapshot: Snapshot, change: Change, commit: Commit) -> int:
        """Stage what does not fit into a transaction, move the record on, and publish what was staged."""
        before = snapshot.handle
        if before and before["pending"]:  # its process may have died since this load last called recover()
            self._loader.publish(before["pending"])
            raise StaleSnapshotError
        staged = f"{STAGED}{commit.load_id}-{uuid.uuid4().hex[:4]}"
        columns = {**({} if snapshot.version is None else snapshot.columns), **change.columns}
        rows = change.rows or RowChange(added=change.added)
        replaces_all = snapshot.version is None or (change.replaces_all and change.rows is None)
        try:
            small = self._prepared(rows, change.columns, columns, staged, replaces_all=replaces_all)
            record = self._next_record(snapshot, commit, columns)
            if small is None:
                over = snapshot.version is not None  # else what is there then is of another program
                record["pending"] = {"load": staged, "rename": replaces_all, "over": over, "next": 0}
            self._make_loads()
            record["identity"] = self._identity(staged if replaces_all else self._name)
            self._loader.transaction_once_free(
                lambda session: self._carry_out(session, snapshot, record, commit, small),
                lambda: _version(self._record()) == _version(before),
            )
        except (TidegateError, StaleSnapshotError) as error:
            if getattr(error, "code", None) != "TG753":
                with suppress(TidegateError):
                    self._loader.drop(staged)
            if getattr(error, "code", None) == UNDONE:
                raise StaleSnapshotError from error
            raise
        if record["pending"]:
            self._loader.publish(record["pending"])
        with suppress(TidegateError):  # the load is in
            self._loader.sweep(commit.load_id)
        return int(record["version"])

    @property
    def _loads(self) -> Any:
        return self._server.destination[LOADS]

    def _record(self) -> Document | None:
        with self._server.translated():
            found: Document | None = self._loads.find_one({"_id": self._loader.record_id})
        return found

    def _there(self) -> dict[str, Any] | None:
        """Return which collection is there now, beside which one of loads; None where there is none."""
        with self._server.translated():
            found = list(self._server.destination.list_collections(filter={"name": self._name}))
        if found and (found[0].get("type", "collection") != "collection" or found[0]["options"].get("capped")):
            msg = f"{self.place} is a {found[0].get('type')}, which rows cannot be loaded into"
            hint = "views, time series and capped collections take no transactions; use another name"
            raise DestinationError(msg, code="TG402", where=self.place, hint=hint)
        return self._identity(self._name) if found else None

    def _identity(self, name: str) -> dict[str, Any]:
        """Return the numbers that the server has given to a collection and to that of loads."""
        with self._server.translated():
            found = self._server.destination.list_collections(filter={"name": {"$in": [name, LOADS]}})
            numbers = {one["name"]: one["info"].get("uuid") for one in found}
        return {"loads": _hexadecimal(numbers.get(LOADS)), "table": _hexadecimal(numbers.get(name))}

    def _inferred(self) -> dict[str, pa.DataType]:
        """Return the columns of documents that others wrote."""
        shapes: dict[str, Shape] = {}
        for documents in self._batches({}):
            for document in documents:
                if isinstance(document["_id"], ObjectId):
                    del document["_id"]
                for name, value in document.items():
                    self._require_written(name, value)
            shapes = shapes_of(documents, shapes, ())
        return {name: type_of(shape) for name, shape in shapes.items()}

    def _require_written(self, column: str, value: Any) -> None:
        """Refuse what a load could not write back as it is."""
        match value:
            case dict() | list():
                for inner in value.values() if isinstance(value, dict) else value:
                    self._require_written(column, inner)
            case _ if not isinstance(value, _WRITTEN):
                msg = f"{self.place} has {type(value).__name__} values in {column!r}, which tables do not have"
                raise DestinationError(msg, {"column": column}, code="TG402", where=self.place, hint="use another name")

    def _selected(self, selection: Selection, columns: Mapping[str, pa.DataType]) -> Iterator[list[Document]]:
        if isinstance(selection, RowsWithKeys):
            self._loader.index(self._name, list(selection.keys))
            for keys in key_filters(selection, columns, self.place):
                yield from self._batches(keys)
        else:
            yield from self._batches(filter_of(selection, columns, self.place))

    def _batches(self, condition: Document) -> Iterator[list[Document]]:
        """Yield documents; were they not those of one version, the commit would find the record moved on."""
        with self._server.translated():
            found = self._server.destination[self._name].find(condition, collation=SIMPLE)
            batch: list[Document] = []
            for document in found:
                batch.append(with_microseconds(document))
                if len(batch) == _BATCH_DOCUMENTS:
                    yield batch
                    batch = []
            if batch:
                yield batch

    def _ids(self, selection: Selection, columns: Mapping[str, pa.DataType]) -> Iterator[Any]:
        with self._server.translated():
            condition = filter_of(selection, columns, self.place)
            for document in self._server.destination[self._name].find(condition, {"_id": 1}, collation=SIMPLE):
                yield document["_id"]

    def _prepared(
        self,
        rows: RowChange,
        written: Mapping[str, pa.DataType],
        columns: Mapping[str, pa.DataType],
        staged: str,
        *,
        replaces_all: bool,
    ) -> list[Document] | None:
        """Return operations to carry out within the commit; None when they are staged."""
        keys = [key for key in self.flow.destination.merge_keys if key in columns]
        if replaces_all:
            batches = batches_of((*rows.merged, *rows.added), written)
            documents = (document for batch in batches for document in documents_of(batch, self.place))
            self._loader.build(staged, documents, keys)
            return None
        if rows.merged:
            self._loader.index(self._name, list(rows.identity))
        types = {**columns, **written}
        operations = operations_of(rows, types, written, lambda selection: self._ids(selection, types), self.place)
        return self._loader.small_or_staged(operations, staged)

    def _next_record(self, snapshot: Snapshot, commit: Commit, columns: Mapping[str, pa.DataType]) -> Document:
        before = snapshot.handle
        known = dict(before["sequences"]) if before else {}
        return {
            "_id": self._loader.record_id,
            "version": _version(before) + 1,
            "columns": [[name, describe_type(dtype)] for name, dtype in columns.items()],
            "sequences": [list(item) for item in {**known, commit.dataflow_id: commit.sequence}.items()],
            "pending": None,
        }

    def _make_loads(self) -> None:
        with self._server.translated():
            try:
                self._server.destination.create_collection(LOADS, check_exists=False)
            except errors.OperationFailure as error:
                if error.code != _EXISTS:
                    raise

    def _carry_out(
        self, session: ClientSession, snapshot: Snapshot, record: Document, commit: Commit, small: list[Document] | None
    ) -> None:
        before = snapshot.handle
        if before is None:
            try:
                self._loads.insert_one(record, session=session)
            except errors.DuplicateKeyError as error:
                raise StaleSnapshotError from error
        else:
            seen = {"_id": record["_id"], "version": before["version"], "pending": None}
            if not self._loads.replace_one(seen, record, session=session).matched_count:
                raise StaleSnapshotError
        if not (before and before["sequences"]):  # what a collection of this name had that is gone
            self._loads.delete_many({"_id.table": self._name, "_id.dataflow": {"$ne": ""}}, session=session)
        of_flow = {"table": self._name, "dataflow": commit.dataflow_id}
        new = {"_id": of_flow, "sequence": commit.sequence, "record": json.dumps(commit.to_data())}
        self._loads.replace_one({"_id": of_flow}, new, upsert=True, session=session)
        if small:
            self._loader.carry_out(small, session)


def _version(record: Document | None) -> int:
    return int(record["version"]) if record else 0


def _hexadecimal(number: uuid.UUID | bytes | None) -> str | None:
    """Return a UUID as text, however the driver has decoded it."""
    return None if number is None else (number.bytes if isinstance(number, uuid.UUID) else bytes(number)).hex()


def _without_loads(record: Document | None) -> Document | None:
    """Return the record for a collection that it is not of: no load has been made into that."""
    return record and {**record, "sequences": []}


def _is_another(record: Document | None, there: Mapping[str, Any] | None) -> bool:
    """Tell whether a collection is surely another one than at the last commit: others made it anew.

    All of a database that was restored has new numbers, also the collection of loads: that tells nothing.
    """
    was = (record or {}).get("identity")
    if not (record and was and there) or record["pending"]:
        return False
    return bool(was["loads"] and was["loads"] == there["loads"] and was["table"] != there["table"])


def _columns(record: Document) -> dict[str, pa.DataType]:
    return {name: parse_data_type(text) for name, text in record["columns"]}
