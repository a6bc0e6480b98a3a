"""Who asks: the ways in which requests to an API are authorised."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote_plus, urlencode

from tidegate.connections.http_call import Call
from tidegate.errors import ConfigurationError, PlatformError
from tidegate.masking import register_secret_values
from tidegate.models.connection import CREDENTIAL_FIELDS

if TYPE_CHECKING:
    import httpx2

    from tidegate.models import Connection
    from tidegate.models.connection import ConnectionSettings

FetchToken = Callable[[Call, Mapping[str, str]], Any]
"""Sends a call with headers of its own, and returns the JSON data of the answer."""

_EARLY_SECONDS = 30.0
"""How long before its end a token is no longer used."""
_SHORTEST_SECRET = 8
"""Characters of the shortest credential that is hidden in messages, wherever it comes from: shorter ones are words."""


class Auth(Protocol):
    """Authorises requests. Safe to use from many threads."""

    def sign(self, request: httpx2.Request) -> None:
        """Add what shows who asks."""

    def renew(self, refused: httpx2.Request) -> bool:
        """Tell whether a refused request may be signed anew: with what it showed forgotten."""


def auth_of(connection: Connection, fetch_token: FetchToken) -> Auth:
    """Return what the connection declares.

    Raises:
        ConfigurationError: TG240, when a credential is missing, or APIs know no such `auth_type`.
    """
    settings = connection.settings
    secrets = (getattr(settings, name) for name in CREDENTIAL_FIELDS)
    register_secret_values(*(secret for secret in secrets if secret and len(secret) >= _SHORTEST_SECRET))
    match settings.auth_type:
        case None:
            return _Headers({})
        case "bearer" | "access_token":
            token = settings.auth_token or settings.token
            return _Headers({"Authorization": f"Bearer {_given(connection, 'auth_token', token)}"})
        case "basic" | "password":
            username, password = (_given(connection, name) for name in ("username", "password"))
            return _Headers({"Authorization": _basic(username, password)})
        case "api_key":
            return _Headers({settings.api_key_header: _given(connection, "api_key_value")})
        case "oauth2_client_credentials":
            for name in ("token_url", "client_id", "client_secret"):
                _given(connection, name)
            return _ClientCredentials(settings, fetch_token)
        case "aws_sigv4":
            return _SigV4(connection)
        case other:
            known = "bearer, basic, api_key, oauth2_client_credentials, aws_sigv4"
            msg = f"connection {connection.name!r}: auth_type {other!r} is none of an API"
            raise ConfigurationError(msg, code="TG240", hint=f"APIs know {known}")


class _Headers:
    """The same headers on each request."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def sign(self, request: httpx2.Request) -> None:
        request.headers.update(self._headers)

    def renew(self, refused: httpx2.Request) -> bool:
        return False


class _ClientCredentials:
    """A token from a token server, fetched when it is needed (RFC 6749, 4.4)."""

    def __init__(self, settings: ConnectionSettings, fetch_token: FetchToken) -> None:
        self._settings = settings
        self._fetch_token = fetch_token
        self._lock = threading.Lock()
        self._header = ""
        self._ends_at = 0.0

    def sign(self, request: httpx2.Request) -> None:
        with self._lock:
            if not self._header or time.monotonic() >= self._ends_at:
                self._fetch()
            request.headers["Authorization"] = self._header

    def renew(self, refused: httpx2.Request) -> bool:
        with self._lock:
            if refused.headers.get("Authorization") == self._header:  # else another thread has renewed it
                self._header = ""
        return True

    def _fetch(self) -> None:
        call, headers = self._call()
        asked_at = time.monotonic()
        answer = self._fetch_token(call, headers)
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            msg = "the token server's answer has no access_token"
            raise PlatformError(msg, code="TG243", where=call.place, hint="check token_url and token_request_extras")
        register_secret_values(token)
        try:
            lasts = float(answer["expires_in"])
        except (KeyError, TypeError, ValueError):
            lasts = float("inf")  # until the API refuses it
        self._header = f"Bearer {token}"
        self._ends_at = asked_at + max(lasts - _EARLY_SECONDS, lasts / 2)

    def _call(self) -> tuple[Call, Mapping[str, str]]:
        settings = self._settings
        client_id, secret = settings.client_id or "", settings.client_secret or ""
        fields: dict[str, Any] = {"grant_type": "client_credentials"}
        headers: dict[str, str] = {}
        if settings.scope:
            fields["scope"] = settings.scope
        if settings.token_auth_method == "client_secret_basic":  # noqa: S105 - the name of a method
            headers["Authorization"] = _basic(quote_plus(client_id), quote_plus(secret))  # RFC 6749, 2.3.1
        else:
            fields |= {"client_id": client_id, "client_secret": secret}
        fields |= settings.token_request_extras
        if settings.token_request_body_format == "form":  # noqa: S105 - the name of a format
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(fields)
        else:
            body = json.dumps(fields)
        return Call(url=settings.token_url or "", method="POST", body=body), headers


class _SigV4:
    """A signature of each request, by AWS' Signature Version 4."""

    def __init__(self, connection: Connection) -> None:
        self._service = _given(connection, "aws_service")
        self._region = _given(connection, "aws_region")
        try:
            from botocore import auth, credentials, session
        except ImportError as error:
            hint = "pip install 'tidegate[aws]'"
            raise ConfigurationError("auth_type aws_sigv4 needs an extra", code="TG612", hint=hint) from error
        settings = connection.settings
        if settings.aws_access_key_id:
            secret = _given(connection, "aws_secret_access_key")
            found = credentials.Credentials(settings.aws_access_key_id, secret, settings.aws_session_token)
        else:
            found = session.get_session().get_credentials()
        if found is None:
            msg = f"connection {connection.name!r} has no aws_access_key_id, and AWS' own settings know no credentials"
            raise ConfigurationError(msg, code="TG240", hint="add configure.aws_access_key_id, or set AWS_PROFILE")
        self._credentials = found
        self._signer = auth.S3SigV4Auth if self._service == "s3" else auth.SigV4Auth

    def sign(self, request: httpx2.Request) -> None:
        from botocore.awsrequest import AWSRequest

        headers = {name: value for name, value in request.headers.items() if name == "content-type"}
        told = AWSRequest(method=request.method, url=str(request.url), data=request.content, headers=headers)
        frozen = self._credentials.get_frozen_credentials()
        self._signer(frozen, self._service, self._region).add_auth(told)
        request.headers.update(dict(told.headers.items()))

    def renew(self, refused: httpx2.Request) -> bool:
        return False


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _given(connection: Connection, name: str, value: str | None = None) -> str:
    """Return a setting that must be there."""
    settings = connection.settings
    value = value or getattr(settings, name)
    if not value:
        msg = f"connection {connection.name!r} has auth_type {settings.auth_type} and no {name}"
        raise ConfigurationError(msg, code="TG240", hint=f"add configure.{name}; secrets_ref keeps it out of the file")
    return str(value)
