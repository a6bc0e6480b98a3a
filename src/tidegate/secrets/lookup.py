"""What became of a question to a secret backend: one rule for all of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from tidegate.errors import ConfigurationError, PlatformError, SecretUnavailableError, TidegateError

_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """One question to a backend, and the errors that may come of it. None of them shows a value.

    Attributes:
        what: What is looked for, and where: ``secret 'db' of key vault 'https://...'``.
        permission: What this process needs to be allowed, as an order to the reader.
    """

    what: str
    permission: str

    def missing(
        self, problem: str = "does not exist", *, key: str = "", known: Iterable[str] = (), hint: str = ""
    ) -> ConfigurationError:
        """Return TG605: the backend has no such secret. Names in `known` that are like `key` are suggested."""
        similar = difflib.get_close_matches(key, list(known), n=1)
        question = f"did you mean {similar[0]!r}? " if similar else ""
        advice = hint or "create it, or correct its name: the source in secrets_ref, then the field's value"
        return ConfigurationError(f"{self.what} {problem}", code="TG605", hint=question + advice)

    def refused(self, said: str) -> PlatformError:
        """Return TG606: this process may not read it, or is not known there."""
        return PlatformError(f"{self.what} may not be read: {said}", code="TG606", hint=self.permission)

    def unreadable(self, problem: str, hint: str) -> PlatformError:
        """Return TG606: it is there, and is nothing that could be used."""
        return PlatformError(f"{self.what} {problem}", code="TG606", hint=hint)

    def decoded(self, data: bytes) -> str:
        """Return bytes as text, without a byte order mark.

        Raises:
            PlatformError: TG606, they are not UTF-8.
        """
        text = _decoded(data)
        if text is None:
            hint = "store it as UTF-8; what is binary may be stored as base64"
            raise self.unreadable("is not UTF-8 text", hint)
        return text

    def unavailable(self, said: str) -> SecretUnavailableError:
        """Return TG608: the backend did not answer, or not now."""
        hint = "check that the backend can be reached from this machine, then run again"
        return SecretUnavailableError(f"{self.what} cannot be had at the moment: {said}", hint=hint)

    def answered(self, status: int, said: str) -> TidegateError:
        """Return the error for an HTTP status that is no success.

        404 and 410: it does not exist. 401 and 403: refused. 408, 425, 429 and 5xx may pass. Others will not.
        """
        if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            return self.missing()
        if status in _REFUSED:
            return self.refused(said)
        if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return self.unavailable(said)
        return self.unreadable(f"cannot be read: {said}", "read it with the backend's own client to see more")


def _decoded(data: bytes) -> str | None:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:  # which holds the bytes: nobody is to see them
        return None
