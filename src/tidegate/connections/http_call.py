"""What is asked of an API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode, urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is asked of an API."""

    url: str
    """With its query, quoted."""
    method: str = "GET"
    body: Any = None
    """JSON data; text is sent as it is."""

    @property
    def place(self) -> str:
        """The call without its query, which may hold credentials."""
        return f"{self.method} {self.url_without_query}"

    @property
    def url_without_query(self) -> str:
        """The URL without query and user."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def with_params(self, params: Mapping[str, Any]) -> Call:
        """Return the call with these parameters in its query; None is left out, a list repeats its parameter."""
        given = {name: _text_in_query(value) for name, value in params.items() if value is not None}
        if not given:
            return self
        url, _, fragment = self.url.partition("#")
        separator = "&" if "?" in url else "?"
        query = urlencode(given, doseq=True, quote_via=quote)  # %20, not +, which signatures read as a plus
        return replace(self, url=f"{url}{separator}{query}{fragment and '#'}{fragment}")


def call_below(base_url: str, endpoint: str) -> Call:
    """Return a call of an endpoint: a path below a URL, or a whole URL."""
    if endpoint.startswith(("http://", "https://")):
        return Call(url=endpoint)
    return Call(url=f"{base_url.rstrip('/')}/{endpoint.lstrip('/')}" if endpoint else base_url)


def origin_of(url: str) -> tuple[str, str | None, int | None]:
    """Return whom a URL leads to: scheme, host and port."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return url, None, None
    return parts.scheme, parts.hostname, port


def _text_in_query(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_text_in_query(item) for item in value]
    return str(value).lower() if isinstance(value, bool) else value
