"""The local file system."""

from __future__ import annotations

import fnmatch
import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.errors import PlaceUnavailableError, PlatformError
from tidegate.platforms.base import BasePlatform, FileInfo, glob_root

if TYPE_CHECKING:
    from io import BufferedReader


class LocalPlatform(BasePlatform):
    """Files of this machine, or of what is mounted on it."""

    def file(self, path: str) -> FileInfo | None:
        """Return the file at `path`, or None when there is none."""
        with _translated(path):
            return _info(path) if os.path.isfile(path) else None

    def is_folder(self, path: str) -> bool:
        """Tell whether `path` is a folder."""
        return os.path.isdir(path)

    def files_below(self, path: str) -> list[FileInfo]:
        """Return all files below a folder, sorted by path; hidden ones are left out."""
        with _translated(path):
            return sorted(_walk(path), key=lambda file: file.path)

    def files_matching(self, pattern: str) -> list[FileInfo]:
        """Return the files that a glob matches, sorted by path."""
        with _translated(pattern):
            root = glob_root(pattern)
            parts = [part for part in pattern.removeprefix(root).split("/") if part]
            return [_info(path) for path in sorted(set(_matching(root, parts, ())))]

    def names_in(self, path: str) -> list[str]:
        """Return the names in a folder, sorted; none when the folder does not exist."""
        with _translated(path):
            try:
                return sorted(os.listdir(path))
            except (FileNotFoundError, NotADirectoryError):
                return []

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        with _translated(path):
            return Path(path).read_bytes()

    def open(self, path: str) -> BufferedReader:
        """Open a file to read parts of it."""
        with _translated(path):
            return open(path, "rb")

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Create the file through a hard link: all of it appears, or it exists already."""
        draft = f"{path}.{uuid.uuid4().hex}.draft"
        with _translated(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            try:
                with open(draft, "xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.link(draft, path)
            except FileExistsError:
                return False
            finally:
                Path(draft).unlink(missing_ok=True)
            return True

    def make_folder(self, path: str) -> None:
        """Create the folder and those above it, where they do not exist."""
        with _translated(path):
            os.makedirs(path, exist_ok=True)

    def move(self, source: str, target: str) -> None:
        """Rename a file; the target is replaced."""
        with _translated(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.replace(source, target)

    def remove(self, path: str) -> None:
        """Remove a file or a folder with all below it; nothing happens when it does not exist."""
        with _translated(path):
            while os.path.isdir(path) and not os.path.islink(path):
                with suppress(FileNotFoundError):  # another removes it at the same time
                    shutil.rmtree(path)
            with suppress(FileNotFoundError, NotADirectoryError):
                Path(path).unlink()


LOCAL = LocalPlatform()
"""The file system of this machine, where nothing says otherwise."""


def _walk(path: str, above: Sequence[os.stat_result] = ()) -> Iterator[FileInfo]:
    """Yield the files below a folder that are not hidden; a link back to a folder above is not followed."""
    here = os.stat(path)
    if any(os.path.samestat(here, folder) for folder in above):
        return
    for entry in _visible(path):
        if os.path.isdir(entry):
            yield from _walk(entry, (*above, here))
        elif os.path.isfile(entry):
            with suppress(FileNotFoundError):  # it is gone since it was listed
                yield _info(entry)


def _matching(folder: str, parts: Sequence[str], above: Sequence[os.stat_result]) -> Iterator[str]:
    """Yield the files below a folder whose names match the parts of a pattern; `**` is any number of folders."""
    try:
        here = os.stat(folder or ".")
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISDIR(here.st_mode):
        return
    if any(os.path.samestat(here, other) for other in above):
        return
    part, *rest = parts
    if part == "**" and rest:
        yield from _matching(folder, rest, above)
    for path in _visible(folder):
        if not (part == "**" or fnmatch.fnmatch(os.path.basename(path), part)):
            continue
        if os.path.isdir(path):
            if deeper := parts if part == "**" else rest:
                yield from _matching(path, deeper, (*above, here))
        elif not rest and os.path.isfile(path):
            yield path


def _visible(folder: str) -> list[str]:
    return [os.path.join(folder, name) for name in os.listdir(folder or ".") if not name.startswith((".", "_"))]


def _info(path: str) -> FileInfo:
    about = os.stat(path)
    return FileInfo(path=path, size=about.st_size, modified_ns=about.st_mtime_ns)


@contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except (TimeoutError, ConnectionError) as error:
        hint = "run again; if it lasts, check that the place can be reached from this machine"
        msg = f"{error.strerror or error}: {error.filename or path}"
        raise PlaceUnavailableError(msg, {"path": path}, hint=hint) from error
    except OSError as error:
        msg = f"{error.strerror or error}: {error.filename or path}"
        hint = "check that the path is right and that this user may read and write it"
        raise PlatformError(msg, {"path": path}, hint=hint) from error
