"""Collections of MongoDB as a source.

A read takes all documents before its first row is used, as the server sends them, into a temporary file: so they are
those of one snapshot, which servers do not keep for long, the columns and their types are those of all documents, and
memory holds a batch at a time.
"""

from __future__ import annotations

import json
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from bson import decode_all
from bson.json_util import loads
from pymongo.collation import Collation

from tidegate.connections.mongodb import OWN, VALUES, Document, MongoPlace, collection_named, with_microseconds
from tidegate.errors import ConfigurationError, PlaceUnavailableError, SourceError
from tidegate.expressions.data_type import parse_data_type
from tidegate.models.options import READ_OPTIONS, checked_options
from tidegate.sources.mongodb_documents import Shape, batch_of, settled_type, shapes_of, type_of
from tidegate.sources.mongodb_filter import holding, new_since, within
from tidegate.sources.rows import Columns, OpenRowRead, RowReadPlan, RowRequest, RowSource

if TYPE_CHECKING:
    from pymongo.client_session import ClientSession

    from tidegate.engines.base import BaseEngine, Frame
    from tidegate.engines.meter import Reading
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform
    from tidegate.sources.base import OpenRead, ReadPlan
    from tidegate.state import Position

_BATCH_DOCUMENTS = 10_000
_IN_MEMORY_BYTES = 32 * 2**20
_SNAPSHOT_UNAVAILABLE = 246
_SNAPSHOT_SECONDS = 10
"""How long a read waits for a snapshot: there is none for a moment after a collection was made or renamed."""
_NO_SNAPSHOT = "the server keeps no snapshots (it is no replica set): the read may see changes that are made meanwhile"
_SIMPLE = Collation("simple")
"""Texts compare letter by letter, whatever the collection's own collation is."""
_QUERY_HINT = (
    'as a command: {"find": "orders", "filter": {"paid": true}}, or '
    '{"aggregate": "orders", "pipeline": [{"$match": {"paid": true}}]}'
)
_FIND = frozenset({"find", "filter", "projection", "sort", "limit", "skip", "hint", "collation"})
_AGGREGATE = frozenset({"aggregate", "pipeline", "hint", "collation", "let"})


class MongoSource(RowSource):
    """Reads the documents of a collection, or of a query.

    Attributes:
        check: Called between batches; raises when the rows are no longer wanted.
    """

    def __init__(self, flow: DataFlow, platform: BasePlatform) -> None:
        super().__init__(flow, platform)
        connection = flow.source.connection
        assert connection is not None, "checked with the metadata"  # noqa: S101
        self.check: Callable[[], None] = lambda: None
        self._server = MongoPlace(connection)
        self._query = _Query.of(flow)
        self._options = checked_options(READ_OPTIONS, "mongodb", flow.source.read_options)
        self._kept = _Kept()
        self._as_read: Columns = {}

    @property
    def place(self) -> str:
        """The database and the collection."""
        return f"{self._server.place()}/{self._query.collection}{'' if self.flow.source.table else ' (query)'}"

    def open(self, plan: ReadPlan, engine: BaseEngine) -> OpenRowRead:
        """Read all documents, settle the columns, and return the rows as a frame."""
        assert isinstance(plan, RowReadPlan)  # noqa: S101 - a source opens its own plans
        self._kept.close()
        has_snapshots = self._server.has_snapshots()
        self._read(self._conditions(plan), has_snapshots=has_snapshots)
        opened = super().open(plan, engine)
        return opened if has_snapshots else replace(opened, notes=(*opened.notes, _NO_SNAPSHOT))

    def columns(self, known: Columns) -> Columns:
        """Return the columns of earlier loads, then those that are new: a document leaves out what it lacks."""
        declared, found = self._declared, self._kept.shapes
        names = dict.fromkeys((*known, *found))
        lower = {name.lower() for name in names}
        names |= dict.fromkeys(name for name in declared if name.lower() not in lower)
        if not names:
            raise self._nothing_known()
        types = {name.lower(): dtype for name, dtype in declared.items()}
        self._as_read = {
            name: type_of(found.get(name, "null"))
            if name.lower() in types
            else settled_type(found.get(name, "null"), known.get(name), name)
            for name in names
        }
        return {name: types.get(name.lower(), dtype) for name, dtype in self._as_read.items()}

    def frame(self, request: RowRequest, engine: BaseEngine) -> Frame:
        """Return the documents as they are read; a later step converts those columns whose types are declared."""
        return engine.scan_batches(lambda: self.batches(request), self._as_read)

    def batches(self, request: RowRequest) -> Iterator[pa.RecordBatch]:
        """Yield a batch for each that the server sent."""
        for documents in self._kept.batches():
            yield batch_of(documents, self._as_read, self.place)

    def finish(self, plan: ReadPlan, opened: OpenRead, reading: Reading) -> Position:
        """Return the position after the read."""
        self._kept.close()
        return super().finish(plan, opened, reading)

    @cached_property
    def _declared(self) -> Columns:
        """The types that schema hints declare, by the names that they use."""
        connection = self.flow.source.connection
        system = connection.settings.schema_hint_type_system if connection else None
        return {
            hint.column_name: parse_data_type(
                hint.data_type, type_system=system, precision=hint.precision, scale=hint.scale
            )
            for hint in self.flow.transform.schema_hints
            if hint.is_active
        }

    @cached_property
    def _read_as_text(self) -> frozenset[str]:
        """Columns that may hold values of several types, or must keep all digits of numbers; in lower case."""
        exact = {
            name for name, dtype in self._declared.items() if pa.types.is_decimal(dtype) or pa.types.is_string(dtype)
        }
        return frozenset(name.lower() for name in exact)

    def _conditions(self, plan: RowReadPlan) -> list[dict[str, Any]]:
        """Return what the server may leave out, by columns whose types are those of the documents."""
        hinted = {name.lower() for name in self._declared}
        known = {
            name: parse_data_type(text) for name, text in plan.position.columns.items() if name.lower() not in hinted
        }
        if self.flow.transform.value_rules:
            return []
        texts = self._query.has_simple_texts
        found: list[dict[str, Any]] = []
        if plan.starts.keys() <= known.keys() and len(plan.starts) == len(self.flow.source.watermark_columns):
            found += new_since(plan.starts, texts=texts)
        if plan.window and plan.window.column.lower() not in hinted:
            spelled = {name.lower(): name for name in known}.get(plan.window.column.lower(), plan.window.column)
            found += within(spelled, plan.window.window)
        if expression := self.flow.source.filter_expression:
            found += holding(expression, known, texts=texts)
        return found

    def _read(self, conditions: list[dict[str, Any]], *, has_snapshots: bool) -> None:
        """Fetch all documents, again from the start while there is no snapshot yet."""
        end = time.monotonic() + _SNAPSHOT_SECONDS
        while True:
            self._kept.close()
            self._kept = _Kept()
            try:
                self._fetch(conditions, has_snapshots=has_snapshots)
            except PlaceUnavailableError as error:
                if error.details["error"] != _SNAPSHOT_UNAVAILABLE or time.monotonic() > end:
                    raise
                time.sleep(0.05)
            else:
                return

    def _fetch(self, conditions: list[dict[str, Any]], *, has_snapshots: bool) -> None:
        server = self._server
        size = int(self._options.get("batch_size", _BATCH_DOCUMENTS))
        with server.translated(), server.client.start_session(snapshot=True) if has_snapshots else nullcontext() as one:
            for raw in self._query.raw_batches(server, conditions, one, size):
                self._add(raw)
                self.check()

    def _add(self, raw: bytes) -> None:
        try:
            self._kept.add(raw, self._read_as_text)
        except SourceError as error:
            error.where = self.place
            raise

    def _nothing_known(self) -> SourceError:
        import difflib

        with self._server.translated():
            names = self._server.source.list_collection_names()
        names = sorted(name for name in names if not name.startswith((OWN, "system.")))
        collection = self._query.collection
        if collection in names:
            msg = f"there are no documents in {self.place}, and so nothing is known of their columns"
            hint = "declare schema_hints to begin with an empty table, or run again once there are documents"
            return SourceError(msg, code="TG758", where=self.place, hint=hint)
        near = difflib.get_close_matches(collection, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"collections there: {', '.join(names[:20]) or 'none'}"
        msg = f"there is no collection {collection!r} in {self._server.place()}"
        return SourceError(msg, {"table": collection}, code="TG201", where=self.place, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Query:
    """What is asked of the server."""

    collection: str
    command: Mapping[str, Any] = field(default_factory=dict)
    pipeline: list[dict[str, Any]] | None = None

    @property
    def has_simple_texts(self) -> bool:
        """Whether texts compare letter by letter: a query of the user's own may compare them otherwise."""
        return not self.command and self.pipeline is None

    @classmethod
    def of(cls, flow: DataFlow) -> _Query:
        """Return the query of a source.

        Raises:
            ConfigurationError: it has none, or one that is no find or aggregate command (TG103, TG759).
        """
        source = flow.source
        if source.table:
            return cls(collection=collection_named(source.schema_name, source.table))
        if not source.query:
            msg = f"the source of {flow.name!r} names neither a collection nor a query"
            raise ConfigurationError(msg, code="TG103", hint="source.table, or source.query")
        try:
            command = loads(source.query)
        except (ValueError, TypeError) as error:
            what = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise _no_query(flow, f"is no JSON: {what}") from error
        if not isinstance(command, dict) or len({"find", "aggregate"} & command.keys()) != 1:
            raise _no_query(flow, "is neither a find nor an aggregate command")
        kind = "find" if "find" in command else "aggregate"
        unknown = command.keys() - (_FIND if kind == "find" else _AGGREGATE)
        if unknown:
            raise _no_query(flow, f"has {', '.join(sorted(unknown))}, which reads here do not take")
        pipeline = command.get("pipeline") if kind == "aggregate" else None
        if kind == "aggregate" and not (isinstance(pipeline, list) and all(isinstance(one, dict) for one in pipeline)):
            raise _no_query(flow, "has no pipeline, a list of stages")
        if any({"$out", "$merge"} & stage.keys() for stage in pipeline or ()):
            raise _no_query(flow, "writes: a source is only read")
        options = {name: value for name, value in command.items() if name not in {kind, "pipeline"}}
        return cls(collection=str(command[kind]), command=options, pipeline=pipeline)

    def raw_batches(
        self, server: MongoPlace, conditions: list[dict[str, Any]], session: ClientSession | None, size: int
    ) -> Iterator[bytes]:
        """Yield documents as the server sends them, in batches."""
        collection = server.source[self.collection]
        if self.pipeline is not None:
            stages = [*self.pipeline, *({"$match": condition} for condition in conditions)]
            options = dict(self.command, allowDiskUse=True)
            yield from collection.aggregate_raw_batches(stages, session=session, batchSize=size, **options)
            return
        options = dict(self.command)
        limited = "limit" in options or "skip" in options
        if conditions and not limited:  # what is left out would else be replaced by others
            options["filter"] = {"$and": [*conditions, *([options["filter"]] if options.get("filter") else [])]}
        if "sort" in options:
            options["sort"] = list(options["sort"].items())
        options.setdefault("collation", _SIMPLE if self.has_simple_texts else None)
        yield from collection.find_raw_batches(session=session, batch_size=size, **options)


def _no_query(flow: DataFlow, what: str) -> ConfigurationError:
    return ConfigurationError(f"the query of {flow.name!r} {what}", code="TG759", hint=_QUERY_HINT)


class _Kept:
    """The documents of a read, in a temporary file once they are many, and their columns."""

    def __init__(self) -> None:
        self.shapes: dict[str, Shape] = {}
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - closed by `close`
        self.close: Callable[[], object] = weakref.finalize(self, self._file.close)

    def add(self, raw: bytes, as_text: frozenset[str]) -> None:
        """Keep a batch; columns `as_text`, in lower case, are read as text whatever they hold."""
        self.shapes = shapes_of(_documents(raw), self.shapes, as_text)
        self._file.write(len(raw).to_bytes(8, "little"))
        self._file.write(raw)

    def batches(self) -> Iterator[list[Document]]:
        """Yield all batches, from the first one."""
        self._file.seek(0)
        while size := self._file.read(8):
            yield _documents(self._file.read(int.from_bytes(size, "little")))


def _documents(raw: bytes) -> list[Document]:
    return [with_microseconds(document) for document in decode_all(raw, VALUES)]
