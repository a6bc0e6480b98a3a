"""Which metadata provider a path or a URL means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate.errors import ConfigurationError
from tidegate.metadata.checked import CheckedMetadata
from tidegate.metadata.provider import metadata_registry

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://")  # C:\tidegate.yaml has none


def open_metadata(
    location: str | Path,
    *,
    workspace: str | None = None,
    profile: str | None = None,
    variables: Mapping[str, Any] | None = None,
    state: str | None = None,
) -> CheckedMetadata:
    """Return the provider of the metadata at a place. Nothing is read yet.

    Args:
        location: A metadata file or project folder; ``https://host/api/workspaces/NAME``; or the URL of a database,
            such as ``postgresql://user@host/database?workspace=NAME``. A :class:`~pathlib.Path` is one, whatever its
            name.
        workspace: The workspace, where a URL does not say.
        profile: Name of the profile.
        variables: Values that win over the declared variables.
        state: Where state is kept, over what the environment or the metadata say.

    Raises:
        MetadataError: The URL says no place for metadata (TG144).
        ConfigurationError: What it needs is not installed (TG612).
    """
    about: dict[str, Any] = {"profile": profile, "variables": variables, "state": state}
    url = None if isinstance(location, Path) else _URL.match(location)
    if url is None:
        return _opened("file", location, about)
    kind = "api" if url["scheme"].lower() in {"http", "https"} else "database"
    return _opened(kind, location, {**about, "workspace": workspace})


def is_url(location: str) -> bool:
    """Tell whether a text is a URL; else it is a path.

    >>> is_url("sqlite:///x.db"), is_url("C:/tidegate.yaml"), is_url("metadata.xlsx")
    (True, False, False)
    """
    return _URL.match(location) is not None


def _opened(kind: str, location: str | Path, about: Mapping[str, Any]) -> CheckedMetadata:
    make: Any = metadata_registry.load(kind)
    provider = make(location, **about)
    if not isinstance(provider, CheckedMetadata):
        message = f"metadata provider {kind!r} is not one that can be checked: {type(provider).__name__}"
        raise ConfigurationError(message, code="TG613", hint="register a subclass of CheckedMetadata")
    return provider
