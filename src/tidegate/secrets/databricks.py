"""Secrets in the scopes of a Databricks workspace, found as the Databricks command line finds it."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.errors import (
    DeadlineExceeded,
    InternalError,
    NotFound,
    PermissionDenied,
    TemporarilyUnavailable,
    TooManyRequests,
    Unauthenticated,
)
from databricks.sdk.errors.base import DatabricksError

from tidegate.errors import first_line
from tidegate.secrets.lookup import Lookup
from tidegate.secrets.memory import Memory
from tidegate.secrets.provider import BaseSecretProvider


class DatabricksSecretProvider(BaseSecretProvider):
    """Reads Databricks secrets: the source is the scope.

    Args:
        cache_ttl: Seconds for which a fetched secret is remembered; 0 asks the workspace each time.
        client: Whom to ask.
        **kwargs: Passed on to the next base class.
    """

    def __init__(self, cache_ttl: float = 300, *, client: WorkspaceClient | None = None, **kwargs: Any) -> None:
        super().__init__(cache_ttl, **kwargs)
        self._given = client
        self._client: Memory[WorkspaceClient] = Memory()

    def _fetch_secret(self, key: str, source: str) -> str:
        permission = "give this identity the permission READ on the scope"
        lookup = Lookup(what=f"secret {key!r} of Databricks scope {source!r}", permission=permission)
        try:
            client = self._client.get(None, lambda: self._given or _client())
        except ValueError as error:  # no host, or nobody to be
            said, _, _ = first_line(error).partition(" Config:")
            hint = "set DATABRICKS_HOST and DATABRICKS_TOKEN, or log in: `databricks auth login`"
            raise lookup.unreadable(f"cannot be read: {said}", hint) from error
        try:
            encoded = client.secrets.get_secret(source, key).value
        except NotFound as error:
            raise lookup.missing(key=key, known=_keys(client, source)) from error
        except (PermissionDenied, Unauthenticated) as error:
            raise lookup.refused(first_line(error)) from error
        except (TooManyRequests, InternalError, TemporarilyUnavailable, DeadlineExceeded, TimeoutError) as error:
            raise lookup.unavailable(first_line(error)) from error
        return lookup.decoded(base64.b64decode(encoded or ""))


def _client() -> WorkspaceClient:
    return WorkspaceClient(config=Config(http_timeout_seconds=10, retry_timeout_seconds=15))


def _keys(client: WorkspaceClient, scope: str) -> list[str]:
    with suppress(DatabricksError):  # the scope does not exist either
        return [secret.key for secret in client.secrets.list_secrets(scope) if secret.key]
    return []
