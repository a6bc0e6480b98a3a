"""Metadata in files: YAML, JSON or Excel, one file or a folder of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate.metadata.checked import CheckedMetadata
from tidegate.metadata.document import Document, read_document
from tidegate.metadata.finding import Findings


class FileMetadata(CheckedMetadata):
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
        super().__init__(profile=profile, variables=variables, state=state)
        self.path = Path(path)
        self.root = self.path if self.path.is_dir() else self.path.parent

    def document(self, findings: Findings) -> Document:
        """Read the files as :func:`~tidegate.metadata.document.read_document` says."""
        return read_document(self.path, findings)
