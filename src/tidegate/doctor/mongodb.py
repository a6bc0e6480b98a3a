"""Probes of MongoDB."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC
from typing import Any

import pymongo

from tidegate.connections.mongodb import OWN, MongoPlace
from tidegate.doctor.diagnosis import Diagnosis, failed, ok, tried, warning
from tidegate.doctor.network import answers, compared
from tidegate.doctor.probe import BaseProbe, named
from tidegate.errors import ConfigurationError, PlatformError, TidegateError
from tidegate.models.destination import physical_key
from tidegate.reporting.figures import plural

_PORT = 27017


class MongoProbe(BaseProbe):
    """Looks at a database of MongoDB, and at the collections that dataflows read and write there."""

    def diagnoses(self) -> Iterator[Diagnosis]:
        """Yield what is found."""
        place = MongoPlace(self.connection)
        if not (self.connection.settings.url or "").startswith("mongodb+srv"):  # those names are no hosts
            reached = self._reach(place)
            yield reached
            if reached.status == "failed":
                return
        with place.translated():
            before = time.time()
            hello = place.client.admin.command("hello")
            after = time.time()
            collections = set(place.source.list_collection_names())
            version = place.client.server_info()["version"]
        yield ok("sign in", place.place())
        yield ok("version", f"MongoDB {version}, pymongo {pymongo.version}")
        now = hello["localTime"].replace(tzinfo=UTC).timestamp()
        yield compared(now, before=before, after=after, resolution=0.001)
        yield self._replica_set(hello)
        yield from self._reading(place, collections)
        if self.use.writes and "setName" in hello:
            yield tried("write", lambda: _written(place))

    def _reach(self, place: MongoPlace) -> Diagnosis:
        """Return how one of the servers answers, or how the last one does not."""
        found = None
        for host in place.place().rpartition("/")[0].split(","):
            name, _, port = host.partition(":")
            found = tried("reach", lambda name=name, port=port: answers(name, int(port or _PORT)))  # type: ignore[misc]
            if found.status == "ok":
                break
        return found or ok("reach", place.place())

    def _replica_set(self, hello: dict[str, Any]) -> Diagnosis:
        if "setName" in hello or hello.get("msg") == "isdbgrid":
            return ok("transactions", f"replica set {hello['setName']}" if "setName" in hello else "sharded cluster")
        msg = "it is no replica set, and so has no transactions and no snapshots"
        hint = "start it as a replica set, of one node at least: mongod --replSet rs0, then rs.initiate()"
        error = ConfigurationError(msg, code="TG754", hint=hint)
        return failed("transactions", error) if self.use.writes else warning("transactions", error)

    def _reading(self, place: MongoPlace, collections: set[str]) -> Iterator[Diagnosis]:
        refused = 0
        for flow in self.use.reads:
            table = flow.source.table
            if table is None:
                continue  # the collection of a query is told when it is planned
            try:
                if table not in collections:
                    if physical_key(self.connection, flow.source.schema_name, table) in self.use.written:
                        continue
                    hint = f"collections there: {', '.join(sorted(collections)[:20]) or 'none'}"
                    raise PlatformError(f"there is no collection {table!r}", code="TG762", hint=hint)
                with place.translated():
                    place.source[table].find_one({}, {"_id": 1})
            except TidegateError as error:
                refused += 1
                yield failed("read", named(flow, error))
        if not refused:
            reads = self.use.reads
            yield ok(
                "read", f"{plural(len(reads), 'flow')} can read" if reads else plural(len(collections), "collection")
            )


def _written(place: MongoPlace) -> str:
    """Insert a document, and undo it."""
    with place.translated(), place.client.start_session() as session:
        session.start_transaction()
        try:
            place.destination[f"{OWN}probe"].insert_one({"made_by": "tidegate doctor"}, session=session)
        finally:
            session.abort_transaction()
    return f"{place.place()} takes documents in a transaction"
