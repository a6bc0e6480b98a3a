"""Object stores, through obstore: what S3, Azure and Google Cloud Storage have in common.

A folder is what the names of objects begin with; an empty one is an object that marks it. Writes of one object are
atomic everywhere, and so is its creation if absent. A move is a copy, then a removal.
"""

from __future__ import annotations

import fnmatch
import io
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, cast

import obstore

from tidegate.errors import ConfigurationError, first_line
from tidegate.platforms.base import BasePlatform, FileInfo, R, T, glob_root
from tidegate.platforms.store_failures import store_failure

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from tidegate.models.connection import ConnectionSettings

_MARKER = ".folder"
"""Name of the object that makes a folder be there while nothing else is in it."""
_AT_ONCE = 1024 * 1024
"""Bytes that are read at once of an object that is read in parts."""
_AT_THE_SAME_TIME = 16
"""Requests: each waits some milliseconds for its answer."""
_OF_THE_CLIENT = frozenset(
    {"allow_http", "allow_invalid_certificates", "connect_timeout", "proxy_url", "timeout", "user_agent"}
)
"""Storage options that say how requests are made, not where to and by whom."""


class ObjectStorePlatform(BasePlatform):
    """One bucket or container. Paths are URLs that begin with its own.

    Args:
        root: The bucket's URL, without an end: `s3://bucket`.
        options: Storage options, by the names of Rust's `object_store`.
    """

    def __init__(self, root: str, options: Mapping[str, str]) -> None:
        self.root = root
        self._options = options

    @classmethod
    def of_connection(cls, settings: ConnectionSettings) -> Self:
        """Return the platform of the bucket that `base_path` is in."""
        given = {name: _text(value) for name, value in settings.storage_options.items()}
        declared = {name: value for name, value in cls.credentials(settings).items() if value is not None}
        return cls(store_root(settings.base_path or ""), {**declared, **given})

    @staticmethod
    @abstractmethod
    def credentials(settings: ConnectionSettings) -> Mapping[str, str | None]:
        """Return what the connection's own fields say, as storage options."""

    def credential_provider(self) -> Any:
        """Return where obstore gets credentials from, when no option says so; None for its own search."""

    @property
    def storage_options(self) -> Mapping[str, str]:
        """The options of this bucket."""
        return MappingProxyType(self._options)

    def __eq__(self, other: object) -> bool:
        """Two that reach one bucket in the same way are one."""
        if not isinstance(other, ObjectStorePlatform):
            return NotImplemented
        return (self.root, self._options) == (other.root, other._options)

    def __hash__(self) -> int:
        return hash(self.root)

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Return what `work` says of each item, in order, of a few at the same time."""
        with ThreadPoolExecutor(_AT_THE_SAME_TIME, thread_name_prefix="tidegate-store") as pool:
            return list(pool.map(work, items))

    def file(self, path: str) -> FileInfo | None:
        """Return the object at `path`, or None when there is none, or one that only marks a folder."""
        with self._translated("look at", path):
            try:
                found = self._info(obstore.head(self._store, self._key(path)))
            except FileNotFoundError:
                return None
        return None if found.size == 0 and self.is_folder(path) else found

    def is_folder(self, path: str) -> bool:
        """Tell whether the name of any object begins with `path`."""
        with self._translated("list", path):
            return any(batch for batch in obstore.list(self._store, self._prefix(path), chunk_size=1))

    def files_below(self, path: str) -> list[FileInfo]:
        """Return all objects below a folder, sorted by path; hidden ones are left out."""
        return [file for file, _ in self._visible(path)]

    def files_matching(self, pattern: str) -> list[FileInfo]:
        """Return the objects that a glob matches, sorted by path."""
        root = glob_root(pattern)
        parts = [part for part in pattern.removeprefix(root).split("/") if part]
        return [file for file, names in self._visible(root) if _matches(names, parts)]

    def names_in(self, path: str) -> list[str]:
        """Return the names in a folder, sorted; none when nothing is in it."""
        with self._translated("list", path):
            found = obstore.list_with_delimiter(self._store, self._prefix(path))
        keys = [*found["common_prefixes"], *(entry["path"] for entry in found["objects"])]
        return sorted({key.rpartition("/")[2] for key in keys} - {_MARKER})

    def read(self, path: str) -> bytes:
        """Return the content of an object."""
        with self._translated("read", path):
            return bytes(obstore.get(self._store, self._key(path)).bytes())

    def open(self, path: str) -> io.BufferedReader:
        """Open an object to read parts of it."""
        with self._translated("read", path):
            size = obstore.head(self._store, self._key(path))["size"]

        def part(start: int, length: int) -> bytes:
            with self._translated("read", path):
                return bytes(obstore.get_range(self._store, self._key(path), start=start, length=length))

        return io.BufferedReader(_ObjectReader(size, part), _AT_ONCE)

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Create the object on condition that there is none (`If-None-Match: *`)."""
        with self._translated("write", path):
            try:
                obstore.put(self._store, self._key(path), data, mode="create", use_multipart=False)
            except (obstore.exceptions.AlreadyExistsError, obstore.exceptions.PreconditionError):
                return False
        return True

    def make_folder(self, path: str) -> None:
        """Mark the folder: it is there until it is removed."""
        with self._translated("write", path):
            obstore.put(self._store, self._key(f"{path}/{_MARKER}"), b"", use_multipart=False)

    def move(self, source: str, target: str) -> None:
        """Copy an object, and remove it where it was."""
        with self._translated("write", target):
            obstore.copy(self._store, self._key(source), self._key(target))
        self._delete([self._key(source)], source)

    def remove(self, path: str) -> None:
        """Remove an object, and all whose names begin with it as a folder."""
        for batch in self._listed(path):
            self._delete([entry["path"] for entry in batch], path)
        self._delete([self._key(path)], path)

    @cached_property
    def _store(self) -> ObjectStore:
        return self.connect()

    def connect(self) -> ObjectStore:
        """Return the store.

        Raises:
            ConfigurationError: an option is unknown or wrong, or one is missing (TG705).
        """
        config = {name: value for name, value in self._options.items() if name not in _OF_THE_CLIENT}
        client = {name: _client_value(value) for name, value in self._options.items() if name in _OF_THE_CLIENT}
        try:
            return obstore.store.from_url(
                self.root,
                config=cast("Any", config),
                client_options=cast("Any", client),
                credential_provider=self.credential_provider(),
            )
        except (obstore.exceptions.BaseError, ValueError) as error:
            msg = f"the connection to {self.root} is not declared rightly: {first_line(error)}"
            hint = "see `storage_options`, and the fields for credentials, in the reference of connections"
            raise ConfigurationError(msg, {"bucket": self.root}, code="TG705", hint=hint) from error

    def _key(self, path: str) -> str:
        return path.removeprefix(self.root).strip("/")

    def _prefix(self, path: str) -> str | None:
        return self._key(path) or None

    def _listed(self, path: str) -> Iterator[Sequence[Mapping[str, Any]]]:
        with self._translated("list", path):
            yield from obstore.list(self._store, self._prefix(path), chunk_size=1000)

    def _visible(self, path: str) -> list[tuple[FileInfo, list[str]]]:
        """Return the objects below a folder that are not hidden, with the names below it, sorted by path."""
        key = self._key(path)
        found = []
        for batch in self._listed(path):
            for entry in batch:
                names = entry["path"].removeprefix(key).strip("/").split("/")
                if not any(name.startswith((".", "_")) for name in names):
                    found.append((self._info(entry), names))
        folders = {file.path.rpartition("/")[0] for file, _ in found}  # that may be marked by objects of their names
        files = (item for item in found if item[0].size or item[0].path not in folders)
        return sorted(files, key=lambda item: item[0].path)

    def _info(self, entry: Mapping[str, Any]) -> FileInfo:
        return FileInfo(
            path=f"{self.root}/{entry['path']}",
            size=entry["size"],
            modified_ns=int(entry["last_modified"].timestamp()) * 1_000_000_000,  # a listing may tell more than a look
            version=(entry["e_tag"] or "").strip('"'),
        )

    def _delete(self, keys: list[str], path: str) -> None:
        with self._translated("remove", path):
            try:
                obstore.delete(self._store, keys)
            except FileNotFoundError:  # some stores tell, and what else was to be removed may be there yet
                for key in keys if len(keys) > 1 else ():
                    with suppress(FileNotFoundError):
                        obstore.delete(self._store, key)

    @contextmanager
    def _translated(self, action: str, path: str) -> Iterator[None]:
        try:
            yield
        except (obstore.exceptions.BaseError, OSError, ValueError) as error:
            raise store_failure(error, path, action=action) from error


class _ObjectReader(io.RawIOBase):
    """An object as a file that is read in parts, each with a request of its own."""

    def __init__(self, size: int, read: Callable[[int, int], bytes]) -> None:
        self._size = size
        self._read = read
        self._at = 0

    def readable(self) -> bool:
        """It is only read."""
        return True

    def seekable(self) -> bool:
        """Any part can be read."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place: from the start, from here, or from the end."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Read as much as the buffer takes, or as there is."""
        count = max(0, min(len(buffer), self._size - self._at))
        if count:
            buffer[:count] = self._read(self._at, count)
            self._at += count
        return count


def store_root(path: str) -> str:
    """Return the bucket of a URL.

    >>> store_root("abfss://lake@account.dfs.core.windows.net/bronze/orders")
    'abfss://lake@account.dfs.core.windows.net'
    """
    scheme, _, rest = path.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _matches(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Tell whether the names below a folder match the parts of a pattern; `**` is any number of folders."""
    part, *rest = parts
    if part == "**":
        return not rest or _matches(names, rest) or (len(names) > 1 and _matches(names[1:], parts))
    if not fnmatch.fnmatchcase(names[0], part):
        return False
    return _matches(names[1:], rest) if rest and len(names) > 1 else not rest and len(names) == 1


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _client_value(value: str) -> bool | str:
    return {"true": True, "false": False}.get(value.lower(), value)
