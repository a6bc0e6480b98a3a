"""The pages of an API's answer, in order. What is cut off is an error, never fewer rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urljoin

from tidegate.connections.http import HttpClient
from tidegate.connections.http_call import Call
from tidegate.errors import PlaceUnavailableError, PlatformError, SourceError
from tidegate.sources.api_streams import in_order

if TYPE_CHECKING:
    from tidegate.models.source import SourceSettings

Record = dict[str, Any]
Page = list[Record]

_PAST_THE_END = frozenset({404, 416})
"""What some APIs answer beyond their last record."""
_HAS_MORE = frozenset({"has_more", "hasmore", "more"})
_ABSENT = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Reads the pages that a call leads to.

    Attributes:
        settings: How the API cuts its answers into pages.
        exact: Whether numbers with a point are read as decimals.
    """

    client: HttpClient
    settings: SourceSettings
    exact: bool = False

    def read(self, call: Call, *, workers: int = 1) -> Iterator[Page]:
        """Yield the pages, none of them empty.

        Args:
            call: The call, without the parameters of paging.
            workers: How many pages are asked for at a time, where that is possible.

        Raises:
            PlatformError: the API did not answer as it should (TG241 to TG245).
            SourceError: the pages do not end (TG246), or there are more than may be read (TG247).
            PlaceUnavailableError: the rows changed while they were read (TG248).
        """
        match self.settings.pagination_type:
            case "offset" if self.settings.total_path:
                pages = self._by_total(call, workers)
            case "offset":
                pages = self._by_offset(call)
            case "cursor":
                pages = self._by_cursor(call)
            case "next_link":
                pages = self._by_link(call)
            case None:
                pages = iter([self._records(self._fetch(call), call)])
        return (page for page in pages if page)

    def _by_offset(self, call: Call) -> Iterator[Page]:
        """Yield pages up to the first empty one: one that is short may be so because the API has a limit of its own."""
        offset, page = 0, None
        for number in itertools.count(1):
            before, page = page, self._page_at(call, offset, before=page)
            if not page:
                return
            self._refuse_repeated(page, before, offset, call)
            self._refuse_too_many(number, call)
            yield page
            offset += len(page)

    def _page_at(self, call: Call, offset: int, before: Page | None) -> Page:
        """Return the page at an offset; after a short page an API may have no address for the next one."""
        called = self._call_at(call, offset, self.settings.page_size)
        try:
            return self._records(self._fetch(called), called)
        except PlatformError as error:
            is_past_the_end = before is not None and len(before) < self.settings.page_size
            if is_past_the_end and error.details.get("status") in _PAST_THE_END:
                return []
            raise

    def _by_total(self, call: Call, workers: int) -> Iterator[Page]:
        """Yield as many records as the API says that there are, several pages at a time."""
        called = self._call_at(call, 0, self.settings.page_size)
        data = self._fetch(called)
        first, total = self._records(data, called), self._total(data, called)
        if not first:
            if total:
                self._changed(0, total, total, call)
            return
        if len(first) > total:
            what = f"{total}, and the first page alone has {len(first)} records,"
            self._misplaced("total_path", self.settings.total_path, what, data, called)
        step = len(first)  # the API may give fewer than it is asked for
        self._refuse_too_many(-(-total // step), call)
        yield first
        offsets = range(step, total, step)

        def page_at(offset: int) -> Callable[[], Iterator[Page]]:
            def read() -> Iterator[Page]:
                called = self._call_at(call, offset, step)
                data = self._fetch(called)
                page, now = self._records(data, called), self._total(data, called)
                if now != total or len(page) != min(step, total - offset):
                    self._changed(offset + len(page), total, now, call)
                yield page

            return read

        before = first
        for offset, page in zip(offsets, in_order(map(page_at, offsets), workers), strict=True):
            self._refuse_repeated(page, before, offset, call)
            before = page
            yield page

    def _by_cursor(self, call: Call) -> Iterator[Page]:
        settings, cursor, seen = self.settings, None, set()
        for number in itertools.count(1):
            called = call.with_params({**self._declared_limit, settings.cursor_param: cursor})
            data = self._fetch(called)
            yield self._counted(self._records(data, called), number, call)
            cursor = found(data, settings.cursor_path)
            if cursor in (None, "", False, _ABSENT):
                self._refuse_overlooked(cursor, "cursor_path", data, called)
                return
            if isinstance(cursor, list | dict):
                self._misplaced("cursor_path", settings.cursor_path, "no cursor", data, called)
            if cursor in seen:
                self._endless(f"the cursor {str(cursor)[:80]!r} came twice", "cursor_param", call)
            seen.add(cursor)

    def _by_link(self, call: Call) -> Iterator[Page]:
        settings, seen = self.settings, set[str]()
        called = call.with_params(self._declared_limit)
        for number in itertools.count(1):
            seen.add(called.url)
            data = self._fetch(called)
            yield self._counted(self._records(data, called), number, call)
            link = found(data, settings.next_link_path)
            if link in (None, "", False, _ABSENT):
                self._refuse_overlooked(link, "next_link_path", data, called)
                return
            if not isinstance(link, str):
                self._misplaced("next_link_path", settings.next_link_path, "no link", data, called)
            called = Call(url=urljoin(called.url, link), method=call.method, body=call.body)
            if called.url in seen:
                self._endless("a link came twice", "next_link_path", call)

    @property
    def _declared_limit(self) -> dict[str, int]:
        """The size of a page, for APIs that may not know such a parameter: where it is declared."""
        settings = self.settings
        return {settings.limit_param: settings.page_size} if "page_size" in settings.model_fields_set else {}

    def _fetch(self, call: Call) -> Any:
        return self.client.fetch(call, Decimal if self.exact else float)

    def _call_at(self, call: Call, offset: int, limit: int) -> Call:
        return call.with_params({self.settings.offset_param: offset, self.settings.limit_param: limit})

    def _records(self, data: Any, call: Call) -> Page:
        """Return the records of an answer: a list at `data_path`, or one object that is a record itself."""
        path = self.settings.data_path
        rows = found(data, path) if path else data
        if rows is None and not (path and data is None):
            return []
        if isinstance(rows, dict) and (path or self.settings.pagination_type is None):
            rows = [rows]
        if not isinstance(rows, list):
            what = "nothing" if rows is _ABSENT else "no list"
            self._misplaced("data_path", path, what, data, call)
        if not all(isinstance(row, dict) for row in rows):
            self._misplaced("data_path", path, "values that are no objects", data, call)
        return rows

    def _total(self, data: Any, call: Call) -> int:
        total = found(data, self.settings.total_path or "")
        try:
            return int(total)
        except (TypeError, ValueError):
            self._misplaced("total_path", self.settings.total_path, "no number", data, call)

    def _counted(self, page: Page, number: int, call: Call) -> Page:
        if page:
            self._refuse_too_many(number, call)
        elif number > 2 * self.settings.max_pages:
            self._endless("empty pages follow each other", "max_pages", call)
        return page

    def _refuse_too_many(self, pages: int, call: Call) -> None:
        if pages > self.settings.max_pages:
            msg = f"there are more than {self.settings.max_pages} pages, and all of them are needed; no row was taken"
            hint = "raise source.configure.max_pages or page_size, or read in ranges: watermark_range_interval_unit"
            raise SourceError(msg, code="TG247", where=call.place, hint=hint)

    def _refuse_repeated(self, page: Page, before: Page | None, offset: int, call: Call) -> None:
        if page == before:
            self._endless(f"the page at offset {offset} is the one before it again", "offset_param", call)

    def _refuse_overlooked(self, value: Any, setting: str, data: Any, call: Call) -> None:
        """Refuse to end where the answer says, elsewhere than declared, that there is more."""
        if value is _ABSENT and (path := _continuation(data)):
            path_given = getattr(self.settings, setting)
            msg = f"{setting} {path_given!r} finds nothing in the answer, which goes on: it has {path}"
            hint = f"did you mean {setting}: {path}?"
            raise PlatformError(msg, code="TG245", where=call.place, hint=hint)

    def _endless(self, what: str, setting: str, call: Call) -> NoReturn:
        given = getattr(self.settings, setting)
        hint = f"does the API page by {self.settings.pagination_type}, and is {setting} {given!r} what it takes?"
        raise SourceError(f"the pages do not end: {what}", code="TG246", where=call.place, hint=hint)

    def _changed(self, reached: int, total: int, now: int, call: Call) -> NoReturn:
        what = f"{total} records, then {now}" if now != total else f"{total} records, and {reached} up to there"
        msg = f"the rows changed while they were read: {what}"
        hint = "without total_path pages are read one after the other; a cursor or ranges are safer still"
        raise PlaceUnavailableError(msg, code="TG248", where=call.place, hint=hint)

    def _misplaced(self, setting: str, path: str | None, what: str, data: Any, call: Call) -> NoReturn:
        msg = f"{setting} {path!r} finds {what} in the answer" if path else f"the answer itself is no list: {setting}"
        kind = type(data).__name__
        hint = f"the answer has {', '.join(map(str, data))[:200]}" if isinstance(data, dict) else f"it is a {kind}"
        lists = [name for name, value in data.items() if isinstance(value, list)] if isinstance(data, dict) else []
        if setting == "data_path" and len(lists) == 1:
            hint = f"did you mean data_path: {lists[0]}? {hint}"
        raise PlatformError(msg, code="TG245", where=call.place, hint=hint)


def _continuation(data: Any, depth: int = 3) -> str | None:
    """Return the path of what looks like the way to the next page; None when nothing does."""
    for name, value in data.items() if isinstance(data, dict) and depth else ():
        if isinstance(value, dict):
            if (path := _continuation(value, depth - 1)) is not None:
                return f"{name}.{path}"
        elif value and not isinstance(value, list) and ("next" in name.lower() or name.lower() in _HAS_MORE):
            return str(name)
    return None


def found(data: Any, path: str) -> Any:
    """Return what a dotted path leads to; a key that has dots itself is taken as it is.

    >>> found({"meta": {"next": 7}, "@odata.nextLink": "u"}, "meta.next")
    7
    >>> found({"@odata.nextLink": "u"}, "@odata.nextLink")
    'u'
    """
    if isinstance(data, list) and path.partition(".")[0].isdecimal():
        head, _, rest = path.partition(".")
        inner = data[int(head)] if int(head) < len(data) else _ABSENT
        return found(inner, rest) if rest else inner
    if not isinstance(data, Mapping):
        return _ABSENT
    if path in data:
        return data[path]
    for index in (index for index, letter in enumerate(path) if letter == "."):
        if path[:index] in data and (value := found(data[path[:index]], path[index + 1 :])) is not _ABSENT:
            return value
    return _ABSENT
