"""Secrets in Google Cloud Secret Manager, read with the application default credentials."""

from __future__ import annotations

from typing import Any

from google.api_core.exceptions import (
    GoogleAPICallError,
    GoogleAPIError,
    RetryError,
    ServiceUnavailable,
    TooManyRequests,
)
from google.api_core.retry import Retry, if_exception_type
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud.secretmanager_v1 import SecretManagerServiceClient

from tidegate.errors import TidegateError, first_line
from tidegate.secrets.lookup import Lookup
from tidegate.secrets.memory import Memory
from tidegate.secrets.provider import BaseSecretProvider


class GcpSecretManagerProvider(BaseSecretProvider):
    """Reads Google Secret Manager: the source is the project, the key ``secret`` or ``secret/versions/5``.

    Without a version it is the latest. Without a source, the key is the full name, ``projects/...``.

    Args:
        cache_ttl: Seconds for which a fetched secret is remembered; 0 asks the service each time.
        client: Whom to ask.
        timeout: Seconds that one secret may take, attempts included.
        **kwargs: Passed on to the next base class.
    """

    def __init__(
        self,
        cache_ttl: float = 300,
        *,
        client: SecretManagerServiceClient | None = None,
        timeout: float = 15,
        **kwargs: Any,
    ) -> None:
        super().__init__(cache_ttl, **kwargs)
        self._given = client
        self._timeout = timeout
        self._client: Memory[SecretManagerServiceClient] = Memory()

    def _fetch_secret(self, key: str, source: str) -> str:
        name = key if key.startswith("projects/") else f"projects/{source}/secrets/{key}"
        name = name if "/versions/" in name else f"{name}/versions/latest"
        permission = "give this account the role roles/secretmanager.secretAccessor on it"
        lookup = Lookup(what=f"secret {name!r} of Google Secret Manager", permission=permission)
        if name.startswith("projects//"):
            raise lookup.missing("has no project", hint="let the source in secrets_ref be the project")
        retry = Retry(if_exception_type(ServiceUnavailable, TooManyRequests), initial=0.5, timeout=self._timeout)
        try:
            client = self._client.get(None, lambda: self._given or SecretManagerServiceClient())
            payload = client.access_secret_version(name=name, retry=retry, timeout=self._timeout).payload
        except (GoogleAPIError, GoogleAuthError) as error:
            raise _translated(error, lookup) from error
        return lookup.decoded(payload.data)


def _translated(error: GoogleAPIError | GoogleAuthError, lookup: Lookup) -> TidegateError:
    said = first_line(error)
    if isinstance(error, GoogleAPICallError) and error.code is not None:
        return lookup.answered(int(error.code), said)
    if isinstance(error, RetryError | TransportError) or (isinstance(error, GoogleAuthError) and error.retryable):
        return lookup.unavailable(said)
    hint = "set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`"
    return lookup.unreadable(f"cannot be read: {said}", hint)
