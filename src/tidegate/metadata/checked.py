"""Providers that read declarations as they are written, wherever they are kept: one way to check them all."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from tidegate.errors import MetadataError
from tidegate.metadata.document import Document
from tidegate.metadata.finding import Findings
from tidegate.metadata.profile import ENVIRONMENT_VARIABLE
from tidegate.metadata.project import Project, project_of
from tidegate.metadata.provider import BaseMetadataProvider
from tidegate.metadata.reading import collector_paused
from tidegate.models import Metadata


class CheckedMetadata(BaseMetadataProvider):
    """Declarations that are read as a document, and then checked.

    Args:
        profile: Name of the profile; when None, that of the environment variable ``TIDEGATE_PROFILE``.
        variables: Values that win over the declared variables.
        state: Where state is kept, over what the environment or the metadata say.
    """

    def __init__(
        self, *, profile: str | None = None, variables: Mapping[str, Any] | None = None, state: str | None = None
    ) -> None:
        self.profile = profile or os.environ.get(ENVIRONMENT_VARIABLE) or None
        self.state = state
        self._variables = dict(variables or {})

    @abstractmethod
    def document(self, findings: Findings) -> Document:
        """Read the declarations as they are written, references in place.

        Args:
            findings: Takes what cannot be read, or is not where it should be.

        Raises:
            MetadataError: The place where they are kept cannot be used.
        """

    def project(self) -> Project:
        """Read and check the declarations. No data is touched.

        Raises:
            MetadataError: As :meth:`document`.
        """
        findings = Findings()
        with collector_paused():
            return project_of(self.document(findings), findings, profile=self.profile, variables=self._variables)

    def read(self) -> Metadata:
        """Read the declarations as :meth:`BaseMetadataProvider.read` says."""
        project = self.project()
        if project.errors:
            raise error_of(project)
        return project.metadata


def error_of(project: Project) -> MetadataError:
    """Return the error for metadata that do not hold: the first finding, and how many there are."""
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
