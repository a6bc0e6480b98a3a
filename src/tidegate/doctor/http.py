"""Probes of HTTP APIs."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.connections.http import HttpClient
from tidegate.doctor.diagnosis import Diagnosis, failed, ok
from tidegate.doctor.network import clock_of_http
from tidegate.doctor.probe import BaseProbe
from tidegate.errors import ConfigurationError, PlatformError, TidegateError

_REFUSES_US = {401: "sign in", 403: "read"}
_UNKNOWN_METHOD = frozenset({405, 501})
_NO_JSON = "TG244"


class HttpProbe(BaseProbe):
    """Looks at the `base_url` of an API, with the credentials of the connection."""

    def diagnoses(self) -> Iterator[Diagnosis]:
        """Yield what is found."""
        try:
            status = self._asked()
        except TidegateError as error:
            is_reached = not error.transient and (error.details.get("status") or error.code == "TG243")
            check = _REFUSES_US.get(error.details.get("status", 0), "sign in") if is_reached else "reach"
            yield failed("settings" if isinstance(error, ConfigurationError) else check, error)
        else:
            yield ok("reach", f"{self._place} {status}")
        if clock := clock_of_http(self.connection.settings.base_url or ""):
            yield clock

    @property
    def _place(self) -> str:
        return (self.connection.settings.base_url or "").partition("?")[0].rpartition("@")[2]

    def _asked(self) -> str:
        """Return what the API answers: any answer will do, but that it does not know us, or that it fails.

        Raises:
            TidegateError: it refuses the credentials, or does not answer.
        """
        with HttpClient(self.connection, max_retries=0) as client:
            for method in ("HEAD", "GET"):
                try:
                    client.fetch(client.call("", method))
                except PlatformError as error:
                    status = error.details.get("status")
                    if error.code == _NO_JSON:
                        return "answers"
                    if status in _UNKNOWN_METHOD and method == "HEAD":
                        continue
                    if status is None or status in _REFUSES_US:
                        raise
                    return f"answers {status}, which says nothing of its endpoints"
                else:
                    return "answers"
        return "answers"
