"""A client of one HTTP API: requests that wait for their turn, are signed, and are tried again while that makes sense.

========  ==================================  ============================================================
code      class                               what happened
========  ==================================  ============================================================
TG240     ConfigurationError                  the connection does not say where the API is, or who asks
TG241     PlatformError                       the API refused a request: credentials, address, parameters
TG242     PlaceUnavailableError (transient)   it did not answer, broke off, or asked to come back later
TG243     PlatformError                       the server of tokens gave none
TG244     PlatformError                       the answer is not JSON
========  ==================================  ============================================================
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Self

import httpx2

from tidegate.connections.http_auth import auth_of
from tidegate.connections.http_call import Call, call_below, origin_of
from tidegate.errors import ConfigurationError, PlaceUnavailableError, PlatformError, TidegateError, first_line

if TYPE_CHECKING:
    from tidegate.models import Connection

LONGEST_WAIT_SECONDS = 300.0
"""Longest that an API may ask to wait; after that the run gives up, and may be tried again later."""
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_TICK_SECONDS = 0.2
_MOST_REDIRECTS = 5
_TRY_AGAIN = frozenset({408, 425, 429})
_NOT_IMPLEMENTED = 501
_HINTS = {
    401: "check auth_type and its credentials",
    403: "check what the credentials may read",
    404: "check base_url and endpoint",
    405: "check method",
}


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: httpx2.Headers
    body: bytes

    @property
    def cause(self) -> str:
        """What went wrong, in one line."""
        text = self.body.decode("utf-8", "replace").strip()
        said = text.splitlines()[0][:200] if text else "no body"
        return f"{self.status} {httpx2.codes.get_reason_phrase(self.status)}: {said}"


@dataclass(slots=True, kw_only=True)
class _Pace:
    """When the next request may be sent, over all threads."""

    delay: float
    _next: float = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def turn(self) -> float:
        """Take the next turn; return when it is, on the monotonic clock."""
        with self._lock:
            turn = max(time.monotonic(), self._next)
            self._next = turn + self.delay
            return turn

    def hold(self, seconds: float) -> None:
        """Let no request be sent for a while."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


class HttpClient:
    """A client of the API of one connection. Safe to use from many threads; to be closed.

    Credentials and default headers go to the host of `base_url` alone, also when a link or a redirect leads elsewhere.

    Args:
        connection: With its secrets resolved.
        delay: Seconds between two requests.
        max_retries: How often a request is tried again.
        check: Called while waiting; raises when the work is no longer wanted.

    Raises:
        ConfigurationError: TG240.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        delay: float = 0,
        max_retries: int = 10,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        settings = connection.settings
        if not settings.base_url:
            msg = f"connection {connection.name!r} has no base_url"
            raise ConfigurationError(msg, code="TG240", hint="add configure.base_url: https://...")
        self._home = origin_of(settings.base_url)
        self._base_url = settings.base_url
        self._auth = auth_of(connection, self._fetch_token)
        self._headers = {str(name): str(value) for name, value in settings.default_headers.items()}
        self._timeout = settings.timeout
        self._max_retries = max_retries
        self._pace = _Pace(delay=delay)
        self._check = check
        self._closed = threading.Event()
        self._client = httpx2.Client(timeout=settings.timeout, limits=httpx2.Limits(max_connections=None))

    def call(self, endpoint: str, method: str = "GET", body: Any = None) -> Call:
        """Return a call of an endpoint: a path below `base_url`, or a whole URL."""
        return replace(call_below(self._base_url, endpoint), method=method.upper(), body=body)

    def fetch(self, call: Call, parse_float: Callable[[str], Any] = float) -> Any:
        """Return the JSON data that the API answers.

        Raises:
            PlatformError: it refused (TG241), or the answer is not JSON (TG244).
            PlaceUnavailableError: it did not answer, as often as it was tried (TG242).
        """
        reply = self._send(call)
        if not reply.body.strip():
            return None
        try:
            return json.loads(reply.body, parse_float=parse_float)
        except ValueError as error:
            hint = "check base_url, endpoint and method; the answer may be a web page"
            msg = f"the answer is not JSON ({first_line(error)}): {reply.cause}"
            raise PlatformError(msg, code="TG244", where=call.place, hint=hint) from None

    def close(self) -> None:
        """End the connections; requests under way in other threads end soon."""
        self._closed.set()
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fetch_token(self, call: Call, headers: Mapping[str, str]) -> Any:
        try:
            return json.loads(self._send(call, headers).body)
        except (ValueError, PlatformError) as error:
            if isinstance(error, TidegateError) and error.transient:
                raise
            hint = "check token_url, client_id, client_secret, scope and token_auth_method"
            msg = f"no token was given: {first_line(error)}"
            raise PlatformError(msg, code="TG243", where=call.place, hint=hint) from None

    def _send(self, call: Call, headers: Mapping[str, str] | None = None) -> _Reply:
        """Return the reply to a call, after retries and redirects; with `headers`, as nobody in particular."""
        retries, redirects, renewed, cause = 0, 0, False, ""
        while True:
            try:
                request, is_ours = self._request(call, headers)
                reply = self._once(request)
            except (httpx2.TransportError, httpx2.DecodingError, httpx2.InvalidURL) as error:
                cause, wait = _cause(error), None
                if _is_final(error):
                    raise PlatformError(cause, code="TG241", where=call.place, hint="check base_url") from error
            else:
                if httpx2.codes.is_success(reply.status):
                    return reply
                if reply.headers.get("location") and httpx2.codes.is_redirect(reply.status) and call.method == "GET":
                    call = Call(url=str(request.url.join(reply.headers["location"])))
                    redirects += 1
                    if redirects <= _MOST_REDIRECTS:
                        continue
                    raise PlatformError("it redirects without end", code="TG241", where=call.place)
                if reply.status == httpx2.codes.UNAUTHORIZED and is_ours and not renewed and self._auth.renew(request):
                    renewed = True
                    continue
                cause, wait = reply.cause, _retry_after(reply.headers)
                if not _may_pass(reply.status):
                    hint = _HINTS.get(reply.status, "check params, body and the API's documentation")
                    msg = f"the API refused: {cause}"
                    raise PlatformError(msg, {"status": reply.status}, code="TG241", where=call.place, hint=hint)
            retries += 1
            self._pause(call, retries, cause, wait)

    def _request(self, call: Call, headers: Mapping[str, str] | None) -> tuple[httpx2.Request, bool]:
        """Return a request, and whether it is for the host whose credentials and headers we have."""
        is_ours = headers is None and origin_of(call.url) == self._home
        content = None
        sent = {"Accept": "application/json", **(headers or {}), **(self._headers if is_ours else {})}
        if call.body is not None:
            content = (call.body if isinstance(call.body, str) else json.dumps(call.body, default=str)).encode()
            sent = {"Content-Type": "application/json", **sent}
        request = self._client.build_request(call.method, call.url, headers=sent, content=content)
        if is_ours:
            self._auth.sign(request)
        return request, is_ours

    def _once(self, request: httpx2.Request) -> _Reply:
        """Send a request when it is its turn, and read the reply within the time it may take."""
        self._sleep_until(self._pace.turn())
        ends_at = time.monotonic() + self._timeout
        response = self._client.send(request, stream=True)
        try:
            parts = []
            for part in response.iter_bytes():
                parts.append(part)
                self._go_on()
                if time.monotonic() > ends_at:
                    msg = f"the answer took longer than {self._timeout:g} seconds"
                    raise httpx2.ReadTimeout(msg, request=request)
            return _Reply(response.status_code, response.headers, b"".join(parts))
        finally:
            response.close()

    def _pause(self, call: Call, retries: int, cause: str, wait: float | None) -> None:
        """Wait before the next try.

        Raises:
            PlaceUnavailableError: there is none (TG242).
        """
        if retries > self._max_retries:
            msg = f"the API did not answer in {retries} tries: {cause}"
            raise PlaceUnavailableError(msg, code="TG242", where=call.place, hint="it may answer later; run again")
        if wait is not None and wait > LONGEST_WAIT_SECONDS:
            msg = f"the API asks to come back in {wait:.0f} seconds: {cause}"
            hint = "run again then; rate_limit_delay keeps the requests apart"
            raise PlaceUnavailableError(msg, code="TG242", where=call.place, hint=hint)
        if wait is None:
            longest = min(_FIRST_PAUSE_SECONDS * 2 ** (retries - 1), _LONGEST_PAUSE_SECONDS)
            wait = longest * random.uniform(0.5, 1)  # noqa: S311 - spreads retries, hides nothing
        else:
            self._pace.hold(wait)  # it is meant for all of us
        self._sleep_until(time.monotonic() + wait)

    def _sleep_until(self, moment: float) -> None:
        self._go_on()
        while (left := moment - time.monotonic()) > 0:
            self._closed.wait(min(left, _TICK_SECONDS))
            self._go_on()

    def _go_on(self) -> None:
        if self._closed.is_set():
            raise PlaceUnavailableError("the client was closed", code="TG242")
        self._check()


def _may_pass(status: int) -> bool:
    return status in _TRY_AGAIN or (httpx2.codes.is_server_error(status) and status != _NOT_IMPLEMENTED)


def _is_final(error: Exception) -> bool:
    wrong = (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.InvalidURL)
    return isinstance(error, wrong) or "CERTIFICATE_VERIFY_FAILED" in str(error)


def _cause(error: Exception) -> str:
    words = {httpx2.TimeoutException: "it took too long", httpx2.RemoteProtocolError: "the connection broke off"}
    said = next((text for kind, text in words.items() if isinstance(error, kind)), "it cannot be reached")
    return f"{said}: {first_line(error)}"


def _retry_after(headers: httpx2.Headers) -> float | None:
    """Return the seconds that `Retry-After` asks to wait (RFC 9110, 10.2.3: a number, or a date)."""
    text = headers.get("retry-after", "")
    with suppress(ValueError):
        return max(0.0, float(text))
    with suppress(ValueError):
        moment = parsedate_to_datetime(text)
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    return None
