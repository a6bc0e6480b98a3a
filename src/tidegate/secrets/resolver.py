"""The one contract of every secret backend, and the choice of a backend by a source's prefix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from tidegate.secrets.provider import BaseSecretProvider


class BaseSecretResolver(ABC):
    """Fetches secrets from one backend."""

    @abstractmethod
    def resolve(self, key: str, source: str) -> str:
        """Return one secret.

        Args:
            key: Name of the secret: what `configure` holds before it is resolved.
            source: Where to look. Of a prefixed source (``env:APP_``) the part after the colon, else all.

        Raises:
            TidegateError: When the secret cannot be retrieved.
        """


ResolverLookup: TypeAlias = Callable[[str], BaseSecretResolver | None]
"""Finds the resolver of a prefix; None means that it is no prefix."""


class NativeProviderResolver(BaseSecretResolver):
    """A platform's own provider, as a resolver.

    Args:
        provider: Whom to ask.
        **_: Ignored, so that a registry may pass what other resolvers take.
    """

    def __init__(self, provider: BaseSecretProvider, **_: object) -> None:
        self._provider = provider

    def resolve(self, key: str, source: str) -> str:
        """Return one secret of the provider, cached as it caches."""
        return self._provider.get_secret(key, source)


def parse_source(
    source: str, fallback: BaseSecretResolver, resolver_lookup: ResolverLookup | None = None
) -> tuple[BaseSecretResolver, str]:
    """Split ``<prefix>:<argument>`` if, and only if, the prefix belongs to a resolver.

    Args:
        source: A key of `secrets_ref`: ``env:APP_``, ``my-scope``, ``https://my-vault.example``, ``arn:...``.
        fallback: Takes every source without a known prefix, whole.
        resolver_lookup: Finds the resolver of a prefix.

    Returns:
        The resolver, and the source to pass to it.
    """
    prefix, colon, argument = source.partition(":")
    resolver = resolver_lookup(prefix) if resolver_lookup and colon and prefix else None
    return (fallback, source) if resolver is None else (resolver, argument)
