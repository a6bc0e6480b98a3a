"""Secrets that hold several fields: a JSON object in a vault, a file of settings."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, TypeAlias

from tidegate.secrets.lookup import Lookup
from tidegate.secrets.memory import Memory
from tidegate.secrets.provider import BaseSecretProvider

Fields: TypeAlias = Mapping[str, object]

WHOLE = ""
"""The key of all of a secret, as one text."""


class DocumentSecretProvider(BaseSecretProvider):
    """Fetches the secret that a source names once, and picks fields from it by key.

    So user and password come from the same version of it, and cost one request.

    Args:
        cache_ttl: Seconds for which a fetched secret is remembered; 0 asks the backend each time.
        **kwargs: Passed on to the next base class.
    """

    def __init__(self, cache_ttl: float = 300, **kwargs: Any) -> None:
        super().__init__(cache_ttl=0, **kwargs)
        self._documents: Memory[Fields] = Memory(cache_ttl)

    def clear_cache(self) -> None:
        """Forget all cached secrets."""
        self._documents.clear()

    def _fetch_secret(self, key: str, source: str) -> str:
        fields = self._documents.get(source, lambda: self._fetch_fields(source))
        if fields.get(key) is None:
            self._documents.forget(source)  # a field that is added now is found by the next attempt
        return text_of(key, fields, self._lookup(source))

    @abstractmethod
    def _fetch_fields(self, source: str) -> Fields:
        """Ask the backend. Any exception means that the secret cannot be had."""

    @abstractmethod
    def _lookup(self, source: str) -> Lookup:
        """Say what is looked for."""


def text_of(key: str, fields: Fields, lookup: Lookup) -> str:
    """Return one field as text. Truth values are written as JSON writes them.

    Raises:
        ConfigurationError: TG605, there is no such field, or it is null.
        PlatformError: TG606, it is an object or a list.
    """
    value = fields.get(key)
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if value is None:
        hint = "add it, or correct the field's value in configure"
        if fields.keys() == {WHOLE}:
            hint = "it is plain text: let the key be its name, and leave the source empty after its prefix"
        raise lookup.missing(f"has no field {key!r}", key=key, known=filter(None, fields), hint=hint)
    raise lookup.unreadable(f"holds no text in its field {key!r}", "store each secret as text in a field of its own")


def json_fields(text: str) -> dict[str, object] | None:
    """Return the fields of a JSON object, numbers as they are written; None when the text is no such thing."""
    try:
        document = json.loads(text, parse_int=str, parse_float=str)
    except ValueError:  # which quotes the secret: nobody is to see it
        return None
    return document if isinstance(document, dict) else None
