"""REST APIs as a source.

A read asks for all pages before its first row is used, and keeps them in a temporary file: so the columns and their
types are those of all records, an answer that breaks off loads nothing, and memory holds a page at a time.
"""

from __future__ import annotations

import json
import pickle
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property, partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tidegate.connections.http import HttpClient
from tidegate.connections.http_call import call_below
from tidegate.errors import SourceError
from tidegate.expressions.data_type import parse_data_type
from tidegate.sources.api_pages import Page, Pages
from tidegate.sources.api_records import Shape, record_batches, settled_type, shapes_of_records, type_of
from tidegate.sources.api_streams import in_order
from tidegate.sources.api_watermark import WatermarkParams
from tidegate.sources.rows import Columns, OpenRowRead, RowReadPlan, RowRequest, RowSource

if TYPE_CHECKING:
    from tidegate.connections.http_call import Call
    from tidegate.engines.base import BaseEngine, Frame
    from tidegate.engines.meter import Reading
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform
    from tidegate.sources.base import ColumnWindow, OpenRead, ReadPlan, ReadScope
    from tidegate.state import Position

_IN_MEMORY_BYTES = 32 * 2**20


class ApiSource(RowSource):
    """Reads the records of an endpoint."""

    def __init__(self, flow: DataFlow, platform: BasePlatform) -> None:
        super().__init__(flow, platform)
        self._kept = _Kept()
        self._as_read: Columns = {}

    @property
    def place(self) -> str:
        """The URL, without its query."""
        connection = self.flow.source.connection
        base_url = (connection.settings.base_url if connection else None) or ""
        return call_below(base_url, self._endpoint).url_without_query

    def plan(self, position: Position, *, scope: ReadScope, window: ColumnWindow | None = None) -> RowReadPlan:
        """Fix from where rows are read, and refuse settings that contradict each other."""
        WatermarkParams.of(self.flow.source)
        return super().plan(position, scope=scope, window=window)

    def open(self, plan: ReadPlan, engine: BaseEngine) -> OpenRowRead:
        """Read all pages, settle the columns, and return the rows as a frame."""
        assert isinstance(plan, RowReadPlan)  # noqa: S101 - a source opens its own plans
        self._kept.close()
        self._kept = _Kept()
        for page in self._pages(plan):
            self._kept.add(page, self._read_as_text)
            self.check()
        return super().open(plan, engine)

    def columns(self, known: Columns) -> Columns:
        """Return the columns of earlier loads, then those that are new: an API may leave out what is NULL."""
        declared, found = self._declared, self._kept.shapes
        names = dict.fromkeys((*known, *found))
        lower = {name.lower() for name in names}
        names |= dict.fromkeys(name for name in declared if name.lower() not in lower)
        if not names:
            msg = f"there are no records at {self.place}, and so nothing is known of their columns"
            hint = "declare schema_hints to begin with an empty table, or run again once there are records"
            raise SourceError(msg, code="TG251", where=self.place, hint=hint)
        types = {name.lower(): dtype for name, dtype in declared.items()}
        self._as_read = {
            name: type_of(found.get(name, "null"))
            if name.lower() in types
            else settled_type(found.get(name, "null"), known.get(name), name)
            for name in names
        }
        return {name: types.get(name.lower(), dtype) for name, dtype in self._as_read.items()}

    def frame(self, request: RowRequest, engine: BaseEngine) -> Frame:
        """Return the records as they are read; a later step converts those columns whose types are declared."""
        return engine.scan_batches(lambda: self.batches(request), self._as_read)

    def batches(self, request: RowRequest) -> Iterator[pa.RecordBatch]:
        """Yield a batch for each page."""
        return record_batches(self._kept.pages(), self._as_read, self.place)

    def finish(self, plan: ReadPlan, opened: OpenRead, reading: Reading) -> Position:
        """Return the position after the read."""
        self._kept.close()
        return super().finish(plan, opened, reading)

    @property
    def _endpoint(self) -> str:
        source = self.flow.source
        return source.settings.endpoint or source.table or ""

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
        """Columns whose numbers keep all of their digits, as text, up to their conversion; in lower case."""
        exact = {
            name for name, dtype in self._declared.items() if pa.types.is_decimal(dtype) or pa.types.is_string(dtype)
        }
        return frozenset(name.lower() for name in exact)

    def _pages(self, plan: RowReadPlan) -> Iterator[Page]:
        """Yield the pages of all calls of a read."""
        source = self.flow.source
        settings = source.settings
        assert source.connection is not None  # noqa: S101 - a source is read with its connection
        client = HttpClient(
            source.connection, delay=settings.rate_limit_delay, max_retries=settings.max_retries, check=self.check
        )
        with client:
            all_rows = client.call(self._endpoint, settings.method, settings.body).with_params(settings.params)
            calls = WatermarkParams.of(source).calls(all_rows, plan.starts, plan.window, datetime.now(UTC))
            pages = Pages(client=client, settings=settings, exact=bool(self._read_as_text))
            if len(calls) == 1:
                yield from pages.read(calls[0], workers=settings.offset_max_workers)
                return
            ranges = (partial(_numbered, number, pages, call) for number, call in enumerate(calls))
            yield from without_overlap(in_order(ranges, settings.watermark_range_max_workers))


def without_overlap(pages: Iterator[tuple[int, Page]]) -> Iterator[Page]:
    """Yield the pages of ranges that meet, each record once: an API may count the end of a range to both.

    Args:
        pages: The number of its range with each page, in order.
    """
    number, before, current = 0, Counter[bytes](), Counter[bytes]()
    for number_of_page, page in pages:
        if number_of_page != number:
            before = current if number_of_page == number + 1 else Counter()
            number, current = number_of_page, Counter()
        digests = [_digest(record) for record in page]
        current.update(digests)
        kept = []
        for record, digest in zip(page, digests, strict=True):
            if before[digest]:
                before[digest] -= 1
            else:
                kept.append(record)
        if kept:
            yield kept


def _numbered(number: int, pages: Pages, call: Call) -> Iterator[tuple[int, Page]]:
    return ((number, page) for page in pages.read(call))


def _digest(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record, sort_keys=True, default=str)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class _Kept:
    """The pages of a read, in a temporary file once they are many, and the columns of their records."""

    def __init__(self) -> None:
        self.shapes: dict[str, Shape] = {}
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - closed by `close`
        self.close: Callable[[], object] = weakref.finalize(self, self._file.close)

    def add(self, page: Page, as_text: Collection[str]) -> None:
        """Keep a page; columns `as_text`, in lower case, are read as text whatever they hold."""
        self.shapes = shapes_of_records(page, self.shapes, as_text)
        pickle.dump(page, self._file, pickle.HIGHEST_PROTOCOL)

    def pages(self) -> Iterator[Page]:
        """Yield all pages, from the first one."""
        self._file.seek(0)
        while True:
            try:
                page: Page = pickle.load(self._file)  # noqa: S301 - written by `add`
            except EOFError:
                return
            yield page
