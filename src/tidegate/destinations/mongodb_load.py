"""How the rows of a load get into a collection, exactly once, however many they are.

A transaction of MongoDB has to fit into the server's cache and to end within a minute: 100,000 small documents are too
many for a cache of 256 MB. So there are three ways, and a load is committed by the same thing in each of them: by the
one transaction that moves the table's record on.

- A small change is made in that very transaction.
- A table that is new, or whose rows are all replaced, is built in a hidden collection beside; the record names it, and
  then a rename puts it in place, which readers see as one step.
- A large change is written to a hidden collection as numbered operations; the record names that. They are then carried
  out some at a time, each group in a transaction that also moves the record's number on from what it was: so each is
  carried out once, in order, whoever does it, and a process that was held up in between finds its number taken.

What the record names and is not done yet is done by whoever opens the table next.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from bson import encode
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteMany, InsertOne, UpdateOne, errors
from pymongo.collation import Collation
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from tidegate.connections.mongodb import OWN, Document, MongoPlace
from tidegate.destinations.mongodb_rows import Operation, weight
from tidegate.errors import DestinationError, PlaceUnavailableError, TidegateError

if TYPE_CHECKING:
    from pymongo.client_session import ClientSession

LOADS = f"{OWN}loads"
STAGED = f"{OWN}staged_"
SIMPLE = Collation("simple")
"""Texts are equal when their letters are, whatever the collection's own collation is."""

_MOST_DOCUMENTS = 10_000
_MOST_BYTES = 4 * 2**20
"""Of one transaction: some fifth of what the smallest cache that a server takes has room for."""
_DOCUMENT_BYTES = 16 * 2**20
_TOO_LARGE = frozenset({225, 290, 388})
"""Transaction too large, or too long, or too large for the cache."""
_RENAMED_ALREADY = 26
_IN_THE_WAY = 48
_MOST_ATTEMPTS = 5
_COMMIT_ATTEMPTS = 3
_ABANDONED_SECONDS = 90
"""For how long another transaction is waited for; the server ends it after transactionLifetimeLimitSeconds, 60."""
UNDONE = "TG752"
"""Code of the error for a transaction that the server undid because of another one."""


@dataclass(frozen=True, slots=True)
class Loader:
    """Puts rows into one collection."""

    server: MongoPlace
    collection: str

    @property
    def record_id(self) -> Document:
        """The `_id` of the table's record."""
        return {"table": self.collection, "dataflow": ""}

    @property
    def place(self) -> str:
        """The collection, as people write it."""
        return f"{self.server.place()}/{self.collection}"

    def transaction(self, steps: Callable[[ClientSession], None]) -> None:
        """Take steps in one transaction.

        Raises:
            PlaceUnavailableError: it did not happen (TG750, TG752), or nobody knows whether it did (TG753).
        """
        server = self.server
        with server.translated(), server.client.start_session() as session:
            session.start_transaction(ReadConcern("snapshot"), WriteConcern("majority"), ReadPreference.PRIMARY)
            steps(session)
            for attempt in range(_COMMIT_ATTEMPTS):
                try:
                    with server.translated(committing=True):
                        session.commit_transaction()  # may be asked again: it happens once
                except PlaceUnavailableError as error:
                    if error.code != "TG753" or attempt == _COMMIT_ATTEMPTS - 1:
                        raise
                else:
                    return

    def transaction_once_free(self, steps: Callable[[ClientSession], None], is_current: Callable[[], bool]) -> None:
        """Take steps in one transaction, and wait where another one stands in the way that nobody ends.

        A server keeps the transaction of a process that was killed for a minute, with what it has written.

        Args:
            steps: The steps.
            is_current: Tells whether nobody has come first meanwhile.

        Raises:
            PlaceUnavailableError: as :meth:`transaction`.
        """
        end = time.monotonic() + _ABANDONED_SECONDS
        while True:
            try:
                self.transaction(steps)
            except PlaceUnavailableError as error:
                if error.code != UNDONE or time.monotonic() > end or not is_current():
                    raise
                time.sleep(random.uniform(0.05, 0.3))  # noqa: S311 - jitter
            else:
                return

    def small_or_staged(self, operations: Iterable[Operation], staged: str) -> list[Operation] | None:
        """Return operations that fit into a transaction; else None, and they are in the hidden collection `staged`."""
        rest = iter(operations)
        first: list[Operation] = []
        changed = size = 0
        for operation in rest:
            first.append(operation)
            changed += weight(operation)
            size += len(_raw(operation, self.place).raw)
            if changed > _MOST_DOCUMENTS or size > _MOST_BYTES:
                numbered = ({"_id": number, **one} for number, one in enumerate(chain(first, rest)))
                self._insert(staged, numbered)
                return None
        return first

    def carry_out(self, operations: list[Any], session: ClientSession) -> None:
        """Carry out operations, in a transaction."""
        requests = [_request(operation) for operation in operations]
        if not requests:
            return
        try:
            self.server.destination[self.collection].bulk_write(requests, session=session)
        except errors.BulkWriteError as error:
            raise_refused(error, self.place)
            raise

    def build(self, staged: str, documents: Iterable[Document], keys: Iterable[str]) -> None:
        """Build the table anew in a hidden collection, with the options and indexes that it has."""
        database, keys = self.server.destination, list(keys)
        with self.server.translated():
            there = next(iter(database.list_collections(filter={"name": self.collection})), None)
            options = dict(there["options"]) if there else {}
            database.create_collection(staged, check_exists=False, **options)
            indexes = database[self.collection].list_indexes() if there else ()
            others = [dict(index) for index in indexes if index["name"] != "_id_"]
            if others:
                specs = [{name: value for name, value in index.items() if name not in {"v", "ns"}} for index in others]
                database.command("createIndexes", staged, indexes=specs)
        self._insert(staged, documents)
        self.index(staged, keys)

    def index(self, collection: str, keys: list[str]) -> None:
        """Make the index by which rows are found, if there is none."""
        if not keys or keys == ["_id"]:
            return
        with self.server.translated(), suppress(errors.OperationFailure):  # one by the same keys serves as well
            self.server.destination[collection].create_index([(key, 1) for key in keys], collation=SIMPLE)

    def publish(self, pending: Document) -> None:
        """Finish what a record names. May run twice, and side by side."""
        if pending["rename"]:
            self._rename(pending)
        else:
            self._carry_out_staged(pending["load"])
        self.drop(pending["load"])

    def drop(self, staged: str) -> None:
        """Remove a hidden collection, if it is there."""
        with self.server.translated():
            self.server.destination[staged].drop()

    def sweep(self, load_id: str) -> None:
        """Remove what killed attempts at this or earlier loads of the flow left: they can never be committed now."""
        flow, _, load = load_id.removeprefix("tg-").partition("-")
        with self.server.translated():
            names = self.server.destination.list_collection_names(filter={"name": {"$regex": f"^{STAGED}"}})
        for name in names:
            owner, _, rest = name.removeprefix(f"{STAGED}tg-").partition("-")
            if owner == flow and rest[:8] <= load[:8]:
                self.drop(name)

    def _insert(self, collection: str, documents: Iterable[Document]) -> None:
        """Insert documents outside of a transaction, in bounded memory."""
        target = self.server.destination[collection]
        for group in _groups(_raw(document, self.place) for document in documents):
            try:
                with self.server.translated():
                    target.insert_many(group, ordered=False)
            except TidegateError as error:
                if isinstance(error.__cause__, errors.BulkWriteError):
                    raise_refused(error.__cause__, self.place)
                raise

    def _rename(self, pending: Document) -> None:
        """Put a hidden collection in place. When there is none, another process has done it."""
        database, staged = self.server.destination, pending["load"]
        with self.server.translated():
            try:
                database[staged].rename(self.collection, dropTarget=pending["over"])
            except errors.OperationFailure as error:
                if error.code == _IN_THE_WAY:
                    msg = f"another program made {self.place} while its first load was on the way"
                    hint = f"rename or drop that; then run again: the load lies in {staged}, and is put in place"
                    raise DestinationError(msg, code="TG402", where=self.place, hint=hint) from error
                if error.code != _RENAMED_ALREADY:
                    raise
            done = {"$set": {"pending": None}}
            database[LOADS].update_one({"_id": self.record_id, "pending.load": staged}, done)

    def _carry_out_staged(self, staged: str) -> None:
        most, failures = _MOST_DOCUMENTS, 0
        while (number := self._next(staged)) is not None:
            try:
                self._carry_out_from(number, staged, most)
                failures = 0
            except _NumberTakenError:
                pass
            except TidegateError as error:
                failures += 1
                too_large = error.details.get("error") in _TOO_LARGE
                if failures == _MOST_ATTEMPTS or not (error.transient or too_large):
                    raise
                most = max(most // 4, 1) if too_large else most
                time.sleep(random.uniform(0, 0.2))  # noqa: S311 - jitter

    def _next(self, staged: str) -> int | None:
        """Return the number of the first operation that is not carried out; None when all are."""
        with self.server.translated():
            record = self.server.destination[LOADS].find_one({"_id": self.record_id, "pending.load": staged})
        return int(record["pending"]["next"]) if record else None

    def _carry_out_from(self, number: int, staged: str, most: int) -> None:
        raw = CodecOptions(document_class=RawBSONDocument)
        with self.server.translated():
            found = self.server.destination[staged].with_options(raw).find({"_id": {"$gte": number}}).sort("_id", 1)
            group = next(_groups(found, most), [])
            found.close()
        to_do = {"pending": None} if not group else {"pending.next": group[-1]["_id"] + 1}

        def steps(session: ClientSession) -> None:
            mine = {"_id": self.record_id, "pending.load": staged, "pending.next": number}
            loads = self.server.destination[LOADS]
            if not loads.update_one(mine, {"$set": to_do}, session=session).matched_count:
                raise _NumberTakenError
            self.carry_out(group, session)

        self.transaction_once_free(steps, lambda: self._next(staged) == number)


class _NumberTakenError(Exception):
    """Another process carried out these operations."""


def raise_refused(error: errors.BulkWriteError, place: str) -> None:
    """Raise the error for a document that breaks a rule of the collection; nothing for other failures."""
    failed: Mapping[str, Any] = next(iter((error.details or {}).get("writeErrors", ())), {})
    if failed.get("code") in {11000, 121}:
        msg = f"MongoDB refused a row: {failed['errmsg']}"
        hint = "the collection has a unique index or a validator that the row breaks; `_id` is unique in each"
        raise DestinationError(msg, {"error": failed["code"]}, code="TG756", where=place, hint=hint) from error


def _raw(document: Document, place: str) -> RawBSONDocument:
    raw = encode(document)
    if len(raw) > _DOCUMENT_BYTES:
        msg = f"a row is a document of {len(raw):,} bytes; MongoDB takes {_DOCUMENT_BYTES:,}"
        hint = "load fewer or shorter columns: transform.select_columns, or drop_columns"
        raise DestinationError(msg, {"bytes": len(raw)}, code="TG756", where=place, hint=hint)
    return RawBSONDocument(raw)


def _request(operation: Any) -> DeleteMany | InsertOne[Any] | UpdateOne:
    if "i" in operation:
        return InsertOne(operation["i"])
    if "d" in operation:
        return DeleteMany(operation["d"], collation=SIMPLE)
    return UpdateOne(operation["q"], operation["u"], upsert=True, collation=SIMPLE)


def _groups(documents: Iterable[RawBSONDocument], most: int = _MOST_DOCUMENTS) -> Iterator[list[RawBSONDocument]]:
    """Yield raw documents in groups that fit into a transaction, one at least."""
    group: list[RawBSONDocument] = []
    changed = size = 0
    for document in documents:
        group.append(document)
        changed += weight(document)
        size += len(document.raw)
        if changed >= most or size >= _MOST_BYTES:
            yield group
            group, changed, size = [], 0, 0
    if group:
        yield group
