"""The contract of a platform's own secret store, with a cache in front of it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from tidegate.secrets.backend import ask
from tidegate.secrets.memory import Memory
from tidegate.secrets.resolver import BaseSecretResolver


class BaseSecretProvider(BaseSecretResolver):
    """Fetches secrets from one backend, and remembers them for a while. Safe to use from many threads.

    Every value that it hands out is hidden from logs and errors. A provider is also a resolver, so one class serves
    as a run's own provider and under a prefix.

    Args:
        cache_ttl: Seconds for which a fetched secret is remembered; 0 asks the backend each time.
        **kwargs: Passed on to the next base class.
    """

    def __init__(self, cache_ttl: float = 300, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._cache: Memory[str] = Memory(cache_ttl)

    def get_secret(self, key: str, source: str = "") -> str:
        """Return one secret. Threads that ask for the same one at once share one fetch.

        Args:
            key: Name of the secret; for AWS the field within the secret's JSON.
            source: Where to look: a Databricks scope, a vault URL, an environment prefix, an AWS secret.

        Raises:
            TidegateError: When the secret cannot be retrieved.
        """
        return self._cache.get((source, key), lambda: ask(self, self._fetch_secret, key, source))

    def get_secrets(self, keys: list[str], source: str = "") -> dict[str, str]:
        """Return several secrets of one source by key.

        Raises:
            TidegateError: When one of them cannot be retrieved.
        """
        return {key: self.get_secret(key, source) for key in keys}

    def resolve(self, key: str, source: str) -> str:
        """Return one secret, as :meth:`get_secret` does."""
        return self.get_secret(key, source)

    def clear_cache(self) -> None:
        """Forget all cached secrets; what is being fetched right now is not remembered either."""
        self._cache.clear()

    @abstractmethod
    def _fetch_secret(self, key: str, source: str) -> str:
        """Ask the backend. Any exception means that the secret cannot be had."""
