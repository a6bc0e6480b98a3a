"""Checking metadata: everything that is wrong in all files, in one run, without touching data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate.metadata.finding import Finding
from tidegate.metadata.project import read_project
from tidegate.metadata.reading import collector_paused


def check(path: str | Path, *, profile: str | None = None, variables: Mapping[str, Any] | None = None) -> list[Finding]:
    """Return what is wrong, doubtful or worth knowing in the metadata, in the order of the files.

    Args:
        path: A metadata file, or a project folder.
        profile: Name of the profile; when None, that of the environment variable ``TIDEGATE_PROFILE``.
        variables: Values that win over the declared variables.
    """
    with collector_paused():
        return list(read_project(Path(path), profile=profile, variables=variables).findings)
