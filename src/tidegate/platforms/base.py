"""Where bytes live: the few things Tidegate asks of a file system or an object store."""

from __future__ import annotations

import glob
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Self, TypeVar

from tidegate.registry import PluginRegistry

if TYPE_CHECKING:
    from io import BufferedReader

    from tidegate.models.connection import ConnectionSettings

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """One file. `modified_ns` is its modification time in nanoseconds since 1970, UTC."""

    path: str
    size: int
    modified_ns: int
    version: str = ""
    """What tells this content from others that were at the path, where the store knows: its entity tag."""


class BasePlatform(ABC):
    """A file system or object store. Paths are absolute; those of an object store are URLs.

    Every method raises :class:`~tidegate.errors.PlatformError` (TG701) when access fails, and
    :class:`~tidegate.errors.PlaceUnavailableError` (TG702) when another attempt may succeed.
    """

    @classmethod
    def of_connection(cls, settings: ConnectionSettings) -> Self:  # noqa: ARG003 - a file system needs no settings
        """Return the platform of a connection, by its `base_path` and credentials."""
        return cls()

    @property
    def storage_options(self) -> Mapping[str, str]:
        """What libraries need to open files of this store themselves, by the names of Rust's `object_store`."""
        return MappingProxyType({})

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Return what `work` says of each item, in order; some at the same time where each waits for an answer."""
        return [work(item) for item in items]

    @abstractmethod
    def file(self, path: str) -> FileInfo | None:
        """Return the file at `path`, or None when there is none."""

    @abstractmethod
    def is_folder(self, path: str) -> bool:
        """Tell whether `path` is a folder."""

    @abstractmethod
    def files_below(self, path: str) -> list[FileInfo]:
        """Return all files below a folder, sorted by path. Names that start with ``.`` or ``_`` are hidden."""

    @abstractmethod
    def files_matching(self, pattern: str) -> list[FileInfo]:
        """Return the files that a glob matches (``*``, ``?``, ``[]``, ``**``), sorted by path.

        Names that start with ``.`` or ``_`` are hidden below the pattern's root.
        """

    @abstractmethod
    def names_in(self, path: str) -> list[str]:
        """Return the names in a folder, hidden ones too, sorted; none when the folder does not exist."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """Return the content of a file."""

    @abstractmethod
    def open(self, path: str) -> BufferedReader:
        """Open a file to read parts of it; the caller closes it."""

    @abstractmethod
    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Create the file with all of `data` in one atomic step, or return False when it exists."""

    @abstractmethod
    def make_folder(self, path: str) -> None:
        """Create the folder and those above it, where they do not exist."""

    @abstractmethod
    def move(self, source: str, target: str) -> None:
        """Rename a file within the store; the target is replaced."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Remove a file or a folder with all below it; nothing happens when it does not exist."""


def glob_root(pattern: str) -> str:
    """Return the folder before a glob's first wildcard.

    >>> glob_root("/in/orders/year=*/*.csv"), glob_root("/in/orders/2024-*.csv")
    ('/in/orders', '/in/orders')
    """
    folders = itertools.takewhile(lambda part: not glob.has_magic(part), pattern.split("/"))
    return "/".join(folders) or ("/" if pattern.startswith("/") else "")


platform_registry: PluginRegistry[BasePlatform] = PluginRegistry("tidegate.platforms", BasePlatform)
platform_registry.register_lazy("local", "tidegate.platforms.local:LocalPlatform")
for _scheme, _place in {
    "s3": "s3:S3Platform [aws]",
    "s3a": "s3:S3Platform [aws]",
    "az": "azure:AzurePlatform [azure]",
    "abfs": "azure:AzurePlatform [azure]",
    "abfss": "azure:AzurePlatform [azure]",
    "gs": "gcs:GCSPlatform [gcp]",
}.items():
    platform_registry.register_lazy(_scheme, f"tidegate.platforms.{_place}")
