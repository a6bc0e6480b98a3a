"""The contract of a platform's own secret store, with a cache in front of it."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from typing import Any

from tidegate.secrets.backend import ask


class BaseSecretProvider(ABC):
    """Fetches secrets from one backend, and remembers them for a while. Safe to use from many threads.

    Every value that it hands out is hidden from logs and errors.

    Args:
        cache_ttl: Seconds for which a fetched secret is remembered; 0 asks the backend each time.
        **kwargs: Passed on to the next base class.
    """

    def __init__(self, cache_ttl: float = 300, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._cache_ttl = cache_ttl
        self._lock = threading.Lock()
        self._cache: dict[tuple[str, str], _CachedSecret] = {}

    def get_secret(self, key: str, source: str = "") -> str:
        """Return one secret. Threads that ask for the same one at once share one fetch.

        Args:
            key: Name of the secret; for AWS the field within the secret's JSON.
            source: Where to look: a Databricks scope, a vault URL, an environment prefix, an AWS secret.

        Raises:
            TidegateError: When the secret cannot be retrieved.
        """
        if self._cache_ttl <= 0:
            return ask(self, self._fetch_secret, key, source)
        with self._lock:
            cached = self._cache.setdefault((source, key), _CachedSecret())
        with cached.lock:
            if cached.value is None or time.monotonic() >= cached.expires_at:
                cached.value = ask(self, self._fetch_secret, key, source)
                cached.expires_at = time.monotonic() + self._cache_ttl
            return cached.value

    def get_secrets(self, keys: list[str], source: str = "") -> dict[str, str]:
        """Return several secrets of one source by key.

        Raises:
            TidegateError: When one of them cannot be retrieved.
        """
        return {key: self.get_secret(key, source) for key in keys}

    def clear_cache(self) -> None:
        """Forget all cached secrets; what is being fetched right now is not remembered either."""
        with self._lock:
            self._cache = {}

    @abstractmethod
    def _fetch_secret(self, key: str, source: str) -> str:
        """Ask the backend. Any exception means that the secret cannot be had."""


class _CachedSecret:
    """One secret's place in the cache."""

    __slots__ = ("expires_at", "lock", "value")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value: str | None = None
        self.expires_at = 0.0
