"""A folder, or what stands for one in an object store, tried out: an object is made once, looked at, and removed."""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.errors import PlatformError, TidegateError

if TYPE_CHECKING:
    from tidegate.platforms import BasePlatform


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedFolder:
    """What was seen: the file's modification time, and this machine's clock before and after, in seconds since 1970."""

    said: str
    modified: float
    before: float
    after: float


def nearest_folder(path: str) -> str:
    """Return a path of this machine, or the nearest folder above it, that is there."""
    return str(next(folder for folder in (Path(path), *Path(path).parents) if folder.is_dir()))


def try_folder(platform: BasePlatform, folder: str) -> TriedFolder:
    """Make a file that must not be there, and remove it.

    Raises:
        TidegateError: it cannot be made or removed; or it can be made twice, as two loads might do (TG763).
    """
    path = f"{folder.rstrip('/')}/_tidegate_probe_{uuid.uuid4().hex}"
    try:
        before = time.time()
        platform.put_if_absent(path, b"tidegate doctor")
        after = time.time()
        is_made_twice = platform.put_if_absent(path, b"tidegate doctor, again")
        made = platform.file(path)
    except BaseException:
        with suppress(TidegateError):
            platform.remove(path)
        raise
    platform.remove(path)
    if is_made_twice or made is None:
        msg = f"{folder} does not keep two writers apart: it makes an object that is there already"
        hint = "the store must honour If-None-Match: *; a newer version of it, or of the gateway before it, may"
        raise PlatformError(msg, {"path": folder}, code="TG763", hint=hint)
    said = f"{folder} takes new files once, and lets them be removed"
    return TriedFolder(said=said, modified=made.modified_ns / 1e9, before=before, after=after)
