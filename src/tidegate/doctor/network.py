"""Names, ports, and clocks of servers."""

from __future__ import annotations

import socket
import time
import urllib.request
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from urllib.error import HTTPError

from tidegate.doctor.diagnosis import Diagnosis, ok, warning
from tidegate.errors import PlaceUnavailableError, PlatformError, TidegateError

MOST_SECONDS_APART = 5.0
"""How far a clock may be off: look-back, watermarks by modification time and leases bear so much."""
_SECONDS_TO_ANSWER = 5.0


def answers(host: str, port: int) -> str:
    """Return how soon a port takes a connection.

    Raises:
        PlatformError: nobody knows the name, or the port is closed (TG760).
        PlaceUnavailableError: there is no answer (TG760).
    """
    started = time.monotonic()
    try:
        with socket.create_connection((host, port), _SECONDS_TO_ANSWER):
            return f"{host}:{port} answers in {(time.monotonic() - started) * 1000:.0f} ms"
    except socket.gaierror as error:
        msg, hint = f"the name {host} is not known here: {error.strerror}", "check `host`, the DNS, and the VPN"
        raise PlatformError(msg, code="TG760", hint=hint) from None
    except ConnectionRefusedError:
        hint = "is the server up, and is `port` its own?"
        raise PlatformError(f"nothing listens at {host}:{port}", code="TG760", hint=hint) from None
    except OSError as error:
        hint = "is there a way from this machine to the server: firewall, security group, VPN?"
        msg = f"{host}:{port} does not answer: {error}"
        raise PlaceUnavailableError(msg, code="TG760", hint=hint) from None


def compared(server: float, *, before: float, after: float, resolution: float = 0.0) -> Diagnosis:
    """Return how a clock compares to that of this machine.

    Args:
        server: What the server's clock said, in seconds since 1970, rounded down to its resolution.
        before: What ours said before the server was asked.
        after: What ours said when it had answered.
        resolution: Seconds by which the server's clock ticks.
    """
    ahead, behind = server - after, before - (server + resolution)
    apart = max(ahead, behind, 0.0)
    if apart <= MOST_SECONDS_APART:
        return ok("clock", "agrees with this machine's" if apart < 1 else f"{apart:.1f} s apart from this machine's")
    which = "ahead of" if ahead > behind else "behind"
    error = TidegateError(
        f"its clock is {apart:,.0f} s {which} this machine's",
        code="TG761",
        hint="set both by NTP: signatures, leases and watermarks by time rely on clocks",
    )
    return warning("clock", error)


def clock_of_http(url: str) -> Diagnosis | None:
    """Return how the clock of a web server compares, by the `Date` of any answer; None when it tells none."""
    if not url.startswith(("https://", "http://")):
        return None
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - by the schemes above
    before = time.time()
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS_TO_ANSWER) as answer:  # noqa: S310 - as above
            date = answer.headers.get("Date")
    except HTTPError as error:
        with error:
            date = error.headers.get("Date")
    except (OSError, HTTPException, ValueError):
        return None  # whether it can be reached is told elsewhere
    after = time.time()
    try:
        told = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return None
    return compared(told, before=before, after=after, resolution=1)
