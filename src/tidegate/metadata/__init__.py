"""Where declarations are kept, and the check that everything in them holds."""

from tidegate.metadata.check import check
from tidegate.metadata.checked import CheckedMetadata
from tidegate.metadata.file import FileMetadata
from tidegate.metadata.finding import Finding, Place
from tidegate.metadata.json_schema import metadata_json_schema
from tidegate.metadata.opening import open_metadata
from tidegate.metadata.provider import BaseMetadataProvider, metadata_registry

__all__ = [
    "BaseMetadataProvider",
    "CheckedMetadata",
    "FileMetadata",
    "Finding",
    "Place",
    "check",
    "metadata_json_schema",
    "metadata_registry",
    "open_metadata",
]
