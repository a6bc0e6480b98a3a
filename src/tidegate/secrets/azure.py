"""Secrets in Azure Key Vault, read as whom `DefaultAzureCredential` finds this process to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient

from tidegate.errors import TidegateError, first_line
from tidegate.secrets.lookup import Lookup
from tidegate.secrets.memory import Memory
from tidegate.secrets.provider import BaseSecretProvider

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

_LIMITS = {"connection_timeout": 5, "read_timeout": 10, "retry_total": 2, "retry_backoff_max": 5}


class AzureKeyVaultProvider(BaseSecretProvider):
    """Reads Azure Key Vault: the source is the vault's URL or name, the key ``secret`` or ``secret/version``.

    Args:
        cache_ttl: Seconds for which a fetched secret is remembered; 0 asks the vault each time.
        credential: Who asks.
        client_options: Further options of `azure.keyvault.secrets.SecretClient`.
        **kwargs: Passed on to the next base class.
    """

    def __init__(
        self,
        cache_ttl: float = 300,
        *,
        credential: TokenCredential | None = None,
        client_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(cache_ttl, **kwargs)
        self._credential = credential
        self._options = _LIMITS | dict(client_options or {})
        self._clients: Memory[SecretClient] = Memory()

    def _fetch_secret(self, key: str, source: str) -> str:
        url = source if "://" in source else f"https://{source}.vault.azure.net"
        permission = "give this identity the role Key Vault Secrets User, or the access policy `get` for secrets"
        lookup = Lookup(what=f"secret {key!r} of key vault {url!r}", permission=permission)
        if not source:
            raise lookup.missing("has no vault", hint="let the source in secrets_ref be the URL of a key vault")
        name, _, version = key.partition("/")
        try:
            secret = self._clients.get(url, lambda: self._client(url)).get_secret(name, version or None)
        except AzureError as error:
            raise _translated(error, lookup) from error
        if secret.value is None:
            raise lookup.missing("has no value")
        return secret.value

    def _client(self, url: str) -> SecretClient:
        return SecretClient(url, self._credential or DefaultAzureCredential(), **self._options)


def _translated(error: AzureError, lookup: Lookup) -> TidegateError:
    said = first_line(error)
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return lookup.unavailable(said)
    if isinstance(error, HttpResponseError) and error.status_code is not None:
        return lookup.answered(error.status_code, said)
    if isinstance(error, ClientAuthenticationError):  # without a status: nobody to be
        hint = "run `az login`, use a managed identity, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
        return lookup.unreadable(f"cannot be read: {said}", hint)
    return lookup.unreadable(f"cannot be read: {said}", "check the URL of the vault, and the name of the secret")
