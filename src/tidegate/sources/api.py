"""REST APIs as a source. A read asks for all pages before its first row is used."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from tidegate.connections.http import HttpClient
from tidegate.connections.http_call import call_below
from tidegate.errors import SourceError
from tidegate.sources.api_pages import Page, Pages
from tidegate.sources.api_records import Shape, record_batches, settled_type, shapes_of_records
from tidegate.sources.api_streams import in_order
from tidegate.sources.api_watermark import WatermarkParams
from tidegate.sources.kept_rows import KeptRowSource

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.connections.http_call import Call
    from tidegate.sources.base import ColumnWindow, ReadScope
    from tidegate.sources.rows import Columns, RowReadPlan
    from tidegate.state import Position


class ApiSource(KeptRowSource[Page, Shape]):
    """Reads the records of an endpoint."""

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

    def parts(self, plan: RowReadPlan) -> Iterator[Page]:
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
            pages = Pages(client=client, settings=settings, exact=bool(self.read_as_text))
            if len(calls) == 1:
                yield from pages.read(calls[0], workers=settings.offset_max_workers)
                return
            ranges = (partial(_numbered, number, pages, call) for number, call in enumerate(calls))
            yield from without_overlap(in_order(ranges, settings.watermark_range_max_workers))

    def shapes_with(self, part: Page, before: Mapping[str, Shape]) -> dict[str, Shape]:
        """Return the columns of a page, after those of the pages before it."""
        return shapes_of_records(part, before, self.read_as_text)

    def settled_type(self, found: Shape | None, known: pa.DataType | None, column: str) -> pa.DataType:
        """Return the type of a column: as in earlier loads where there is one."""
        return settled_type("null" if found is None else found, known, column)

    def converted(self, parts: Iterable[Page], columns: Columns) -> Iterator[pa.RecordBatch]:
        """Yield a batch for each page."""
        return record_batches(parts, columns, self.place)

    def nothing_known(self) -> SourceError:
        """Return the error that there are no records."""
        msg = f"there are no records at {self.place}, and so nothing is known of their columns"
        hint = "declare schema_hints to begin with an empty table, or run again once there are records"
        return SourceError(msg, code="TG251", where=self.place, hint=hint)

    @property
    def _endpoint(self) -> str:
        source = self.flow.source
        return source.settings.endpoint or source.table or ""


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
