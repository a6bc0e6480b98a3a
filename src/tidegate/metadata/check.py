"""Checking metadata: everything that is wrong in all of them, in one run, without touching data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate.metadata.finding import Finding
from tidegate.metadata.opening import open_metadata


def check(path: str | Path, *, profile: str | None = None, variables: Mapping[str, Any] | None = None) -> list[Finding]:
    """Return what is wrong, doubtful or worth knowing in the metadata, in the order of the files.

    Args:
        path: A metadata file, or a project folder; or a URL, as :func:`~tidegate.metadata.opening.open_metadata` takes.
        profile: Name of the profile; when None, that of the environment variable ``TIDEGATE_PROFILE``.
        variables: Values that win over the declared variables.

    Raises:
        MetadataError: A database or service that keeps them cannot be used.
    """
    return list(open_metadata(path, profile=profile, variables=variables).project().findings)
