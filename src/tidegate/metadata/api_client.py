"""Requests to a metadata service: tried again where that makes sense, page by page, never to another host."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx2

from tidegate.errors import MetadataError, first_line
from tidegate.masking import register_secret_values

_RETRIED = frozenset({408, 429, 500, 502, 503, 504})
_ATTEMPTS = 5
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0
_MOST_PAGES = 10_000
_PAGE_SIZE = 500
CONTRACT = "the contract is docs/reference/metadata-api.yaml"


class MetadataClient:
    """A client of one workspace.

    Args:
        url: The workspace: ``https://host/api/workspaces/NAME``.
        api_key: Sent as `X-API-Key`; hidden from logs and errors.
        timeout: Seconds a request may take.
        wait: Waits so many seconds before a request is tried again.
    """

    def __init__(
        self, url: str, *, api_key: str | None = None, timeout: float = 30.0, wait: Callable[[float], None] = time.sleep
    ) -> None:
        register_secret_values(*filter(None, [api_key]))
        self.url = httpx2.URL(url.partition("?")[0].rstrip("/"))
        self._headers = {"Accept": "application/json", **({"X-API-Key": api_key} if api_key else {})}
        self._timeout = timeout
        self._wait = wait

    def pages(self, collection: str) -> Iterator[tuple[str, list[Any], str]]:
        """Yield the pages of a collection: the URL of each, its items, and the JSON pointer to them.

        Raises:
            MetadataError: There is no such workspace (TG141); pages repeat, do not end, or lead to another host
                (TG142); else as :meth:`request`.
        """
        url = httpx2.URL(f"{self.url}/{collection}?page_size={_PAGE_SIZE}")
        seen: set[str] = set()
        before: list[Any] | None = None
        while True:
            answer = self.request("GET", url)
            if answer.status_code == HTTPStatus.NOT_FOUND:
                message = "the metadata service knows no such workspace"
                raise MetadataError(message, code="TG141", where=str(url), hint="is the URL right, and the name?")
            content = json_of(answer)
            items, after = (content, None) if isinstance(content, list) else _page(content, url)
            if (items and items == before) or str(url) in seen or len(seen) >= _MOST_PAGES:
                raise _unexpected(url, f"pages of {collection} repeat, or do not end")
            yield str(url), items, "" if isinstance(content, list) else "/items"
            if not after:
                return
            seen.add(str(url))
            before, url = items, self._within(url.join(after))

    def request(
        self, method: str, url: httpx2.URL | str, *, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        """Return the answer to a request; 404, 409 and 412 are answers, too.

        Args:
            method: Which; all that are used may be repeated without harm.
            url: The whole URL, or what follows that of the workspace.
            body: Sent as JSON.
            headers: Further headers.

        Raises:
            MetadataError: The service did not answer, or not in time, also when asked again (TG146); it refused the
                key, or the request (TG142).
        """
        target = httpx2.URL(f"{self.url}{url}") if isinstance(url, str) else url
        fault, wait = "", 0.0
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._wait(wait)
            wait = random.uniform(0.5, 1.0) * min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT)  # noqa: S311 - no secret
            try:
                with httpx2.Client(timeout=self._timeout, headers=self._headers) as client:
                    answer = client.request(method, target, json=body, headers=dict(headers or {}))
            except httpx2.TransportError as error:
                fault = first_line(error)
                continue
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise _unexpected(target, f"the request failed: {first_line(error)}") from error
            if answer.status_code not in _RETRIED:
                return _accepted(answer)
            fault = _said(answer)
            wait = _asked_for(answer) or wait
        message = f"the metadata service did not answer: {fault}, {_ATTEMPTS} times"
        raise MetadataError(message, code="TG146", where=str(target), hint="is it up, and the URL right?")

    def _within(self, url: httpx2.URL) -> httpx2.URL:
        """Return the URL, unless it leads to another host, which must not be told the key."""
        if (url.scheme, url.host, url.port) != (self.url.scheme, self.url.host, self.url.port):
            raise _unexpected(self.url, f"the next page is on another host: {url.host}")
        return url


def json_of(answer: httpx2.Response) -> Any:
    """Return what an answer says.

    Raises:
        MetadataError: It is not JSON (TG142).
    """
    if answer.status_code != HTTPStatus.OK:
        raise _unexpected(answer.url, _said(answer))
    try:
        return answer.json()
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise _unexpected(answer.url, f"the answer is not JSON: {first_line(error)}") from error


def _page(content: Any, url: httpx2.URL) -> tuple[list[Any], str | None]:
    items, after = (content.get("items"), content.get("next")) if isinstance(content, dict) else (None, None)
    if not isinstance(items, list) or not isinstance(after, str | None):
        raise _unexpected(url, "the answer is no list, and no object with `items` and `next`")
    return items, after


def _accepted(answer: httpx2.Response) -> httpx2.Response:
    status = answer.status_code
    if answer.is_success or status in {404, 409, 412}:
        return answer
    if status in {401, 403}:
        hint = "the key is that of $TIDEGATE_METADATA_API_KEY"
        raise _unexpected(answer.url, f"the metadata service refused: {_said(answer)}", hint)
    raise _unexpected(answer.url, f"the metadata service answered {_said(answer)}")


def _said(answer: httpx2.Response) -> str:
    return f"{answer.status_code} {answer.reason_phrase}".strip()


def _asked_for(answer: httpx2.Response) -> float | None:
    """Return the seconds that the service asks to wait: a number, or until a date."""
    text = answer.headers.get("Retry-After", "").strip()
    try:
        seconds = float(text) if text.replace(".", "").isdigit() else _seconds_until(text)
    except ValueError:
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def _seconds_until(text: str) -> float:
    moment = parsedate_to_datetime(text)
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()


def _unexpected(url: httpx2.URL, message: str, hint: str = CONTRACT) -> MetadataError:
    return MetadataError(message, code="TG142", where=str(url), hint=hint)
