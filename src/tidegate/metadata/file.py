"""Metadata in files: JSON or YAML, one file or a folder of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate.errors import MetadataError
from tidegate.metadata.profile import ENVIRONMENT_VARIABLE
from tidegate.metadata.project import Project, read_project
from tidegate.metadata.provider import BaseMetadataProvider
from tidegate.metadata.reading import collector_paused
from tidegate.models import Metadata


class FileMetadata(BaseMetadataProvider):
    """The declarations of a metadata file, or of a project folder.

    Args:
        path: The file or folder.
        profile: Name of the profile; when None, that of the environment variable ``TIDEGATE_PROFILE``.
        variables: Values that win over the declared variables.
        state: Where state is kept, over what the environment or the metadata say.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        profile: str | None = None,
        variables: Mapping[str, Any] | None = None,
        state: str | None = None,
    ) -> None:
        self.path = Path(path)
        self.root = self.path if self.path.is_dir() else self.path.parent
        self.profile = profile or os.environ.get(ENVIRONMENT_VARIABLE) or None
        self.state = state
        self._variables = dict(variables or {})

    def read(self) -> Metadata:
        """Read the files as :meth:`BaseMetadataProvider.read` says."""
        with collector_paused():
            project = read_project(self.path, profile=self.profile, variables=self._variables)
        if project.errors:
            raise _error_of(project)
        return project.metadata


def _error_of(project: Project) -> MetadataError:
    first, *others = project.errors
    count = f" (the first of {len(others) + 1} errors)" if others else ""
    hint = first.hint
    if others:
        hint = f"{hint}; `tidegate check` shows all errors" if hint else "`tidegate check` shows all errors"
    return MetadataError(
        first.message + count,
        {"findings": list(project.findings)},
        code=first.code,
        hint=hint,
        where=str(first.where),
    )
