"""Secrets in HashiCorp Vault or OpenBao: the key-value store, version 2, over its HTTP API."""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from tidegate.errors import ConfigurationError, TidegateError, first_line
from tidegate.masking import register_secret_values
from tidegate.secrets.document import DocumentSecretProvider, Fields
from tidegate.secrets.lookup import Lookup
from tidegate.secrets.memory import Memory

_TOKEN_FILE = ".vault-token"  # noqa: S105 - its name


class VaultSecretProvider(DocumentSecretProvider):
    """Reads a key-value store of Vault: the source is ``mount/path``, the key a field of the secret there.

    Address and identity are those of Vault's own command line: `VAULT_ADDR`, `VAULT_NAMESPACE`, `VAULT_CACERT`, and
    `VAULT_TOKEN` or the file that ``vault login`` leaves; else an AppRole, `VAULT_ROLE_ID` and `VAULT_SECRET_ID`.
    """

    def __init__(self, cache_ttl: float = 300, **kwargs: Any) -> None:
        super().__init__(cache_ttl, **kwargs)
        self._clients: Memory[httpx2.Client] = Memory()
        self._logins: Memory[str] = Memory()

    def _fetch_fields(self, source: str) -> Fields:
        lookup, url = self._lookup(source), "/v1/" + quote(_api_path(source))
        token = _token()
        response = self._send("GET", url, lookup, token or self._logged_in(lookup))
        if response.status_code == HTTPStatus.FORBIDDEN and not token:  # the login may have expired: once more
            self._logins.clear()
            response = self._send("GET", url, lookup, self._logged_in(lookup))
        answer = _body(response)
        if response.status_code == HTTPStatus.NOT_FOUND:
            raise _missing(source, answer, lookup)
        if not response.is_success:
            raise _answered(response, answer, lookup)
        data = answer.get("data")
        fields = data.get("data") if isinstance(data, dict) else None
        if not isinstance(fields, dict):
            raise lookup.unreadable("is no answer of a key-value store of version 2", "check VAULT_ADDR and the mount")
        return fields

    def _lookup(self, source: str) -> Lookup:
        permission = f'renew the token, or give it a policy: path "{_api_path(source)}" {{ capabilities = ["read"] }}'
        return Lookup(what=f"secret {source!r} of Vault", permission=permission)

    def _logged_in(self, lookup: Lookup) -> str:
        """Return the token of the AppRole."""
        role, secret = os.environ.get("VAULT_ROLE_ID"), os.environ.get("VAULT_SECRET_ID", "")
        if not role:
            hint = "set VAULT_TOKEN, run `vault login`, or set VAULT_ROLE_ID and VAULT_SECRET_ID"
            raise lookup.unreadable("cannot be read: there is no token", hint)
        register_secret_values(secret)
        return self._logins.get((role, secret), lambda: self._log_in(role, secret, lookup))

    def _log_in(self, role: str, secret: str, lookup: Lookup) -> str:
        response = self._send("POST", "/v1/auth/approle/login", lookup, json={"role_id": role, "secret_id": secret})
        answer = _body(response)
        if response.status_code == HTTPStatus.BAD_REQUEST:  # how Vault says that it knows no such role or secret
            raise lookup.refused(f"login of the AppRole: {_said(response, answer)}")
        if not response.is_success:
            raise _answered(response, answer, lookup)
        token = str(answer["auth"]["client_token"])
        register_secret_values(token)
        return token

    def _send(self, method: str, url: str, lookup: Lookup, token: str = "", **body: Any) -> httpx2.Response:
        address, namespace = os.environ.get("VAULT_ADDR", ""), os.environ.get("VAULT_NAMESPACE", "")
        if not address.startswith(("https://", "http://")):
            hint = "set it to the address of the server: https://vault.example:8200"
            raise lookup.unreadable("cannot be read: VAULT_ADDR is no URL", hint)
        headers = {name: value for name, value in _headers(token, namespace).items() if value}
        client = self._clients.get(address, lambda: _client(address))
        try:
            return client.request(method, url, headers=headers, **body)
        except httpx2.TransportError as error:
            raise lookup.unavailable(first_line(error)) from error


def _api_path(source: str) -> str:
    mount, _, path = source.strip("/").partition("/")
    return f"{mount}/data/{path}"


def _headers(token: str, namespace: str) -> dict[str, str]:
    return {"X-Vault-Request": "true", "X-Vault-Token": token, "X-Vault-Namespace": namespace}


def _token() -> str:
    """Return the token of this process, or of the user that runs it; an empty text when there is none."""
    token = os.environ.get("VAULT_TOKEN", "")
    if not token and not os.environ.get("VAULT_ROLE_ID"):
        with suppress(OSError, RuntimeError):  # no such file, no home
            token = (Path.home() / _TOKEN_FILE).read_text(encoding="utf-8")
    register_secret_values(token.strip())
    return token.strip()


def _client(address: str) -> httpx2.Client:
    # Redirects are not followed: the token would go wherever they lead.
    authority = os.environ.get("VAULT_CACERT")
    verify = ssl.create_default_context(cafile=authority) if authority else True
    return httpx2.Client(base_url=address, verify=verify, timeout=httpx2.Timeout(10, connect=5))


def _body(response: httpx2.Response) -> dict[str, Any]:
    """Return what was answered; nothing when it is no JSON object, as from a proxy in between."""
    with suppress(ValueError):
        answer = response.json()
        if isinstance(answer, dict):
            return answer
    return {}


def _said(response: httpx2.Response, answer: dict[str, Any]) -> str:
    errors = "; ".join(" ".join(str(error).split()) for error in answer.get("errors") or [])
    return f"HTTP {response.status_code}" + (f", {errors}" if errors else "")


def _answered(response: httpx2.Response, answer: dict[str, Any], lookup: Lookup) -> TidegateError:
    said = _said(response, answer)
    if response.status_code == HTTPStatus.PRECONDITION_FAILED:  # a replica that has not caught up yet
        return lookup.unavailable(said)
    return lookup.answered(response.status_code, said)


def _missing(source: str, answer: dict[str, Any], lookup: Lookup) -> ConfigurationError:
    data = answer.get("data")
    about = data.get("metadata") if isinstance(data, dict) else None
    if isinstance(about, dict) and (about.get("destroyed") or about.get("deletion_time")):
        hint = "write a new version, or bring this one back: `vault kv undelete`"
        return lookup.missing("is deleted in its latest version", hint=hint)
    if source.strip("/").partition("/")[2].startswith("data/"):
        return lookup.missing(hint="leave `data/` out of the source: it is mount/path, as `vault kv get` takes it")
    hint = "write the source as mount/path, as `vault kv get` takes it; the mount is a key-value store of version 2"
    return lookup.missing(hint=hint)
