"""Secrets in environment variables: the ``env:`` resolver, and the local platform's own provider."""

from __future__ import annotations

import difflib
import os
from typing import Any

from tidegate.errors import ConfigurationError
from tidegate.secrets.provider import BaseSecretProvider
from tidegate.secrets.resolver import BaseSecretResolver


class EnvResolver(BaseSecretResolver):
    """Reads the environment variable ``{source}{key}``."""

    def resolve(self, key: str, source: str) -> str:
        """Return the variable's value.

        Raises:
            ConfigurationError: TG605, when it is not set.
        """
        return _variable(source + key)


class EnvSecretProvider(BaseSecretProvider):
    """Reads the environment variable ``{source}{key}``. Nothing is cached unless a time is given."""

    def __init__(self, cache_ttl: float = 0, **kwargs: Any) -> None:
        super().__init__(cache_ttl, **kwargs)

    def _fetch_secret(self, key: str, source: str) -> str:
        return _variable(source + key)


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if value is not None:
        return value
    prefix, colon, _ = name.partition(":")
    if colon:
        hint = f"{prefix!r} is no known prefix of a source, so this was taken for a variable; see `tidegate plugins`"
        raise ConfigurationError(f"environment variable {name!r} is not set", code="TG605", hint=hint)
    similar = difflib.get_close_matches(name, os.environ, n=1)
    question = f"did you mean {similar[0]!r}? " if similar else ""
    hint = f"{question}set it, or correct its name: the source in secrets_ref, then the field's value"
    raise ConfigurationError(f"environment variable {name!r} is not set", code="TG605", hint=hint)
