"""Rows that are kept until all of them are there: in memory while they are few, then in a file."""

from __future__ import annotations

import pickle
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

Part = TypeVar("Part")

KEEPS_ALL = "keeps all rows on disk first"
"""What a plan says of a source that does."""
_IN_MEMORY_BYTES = 32 * 2**20


class Spool(Generic[Part]):
    """Parts of a read, each of which fits into memory, in the order in which they came. Its file has no name."""

    def __init__(self, folder: str | None) -> None:
        """Begin an empty one.

        Args:
            folder: Where its file is, made if it is not there; None for the system's folder for temporary files.
        """
        if folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, dir=folder)  # noqa: SIM115 - closed by `close`
        self._end = 0
        self.close: Callable[[], object] = weakref.finalize(self, self._file.close)
        """Forgets all parts."""

    def add(self, part: Part) -> None:
        """Keep a part."""
        self._file.seek(self._end)
        pickle.dump(part, self._file, pickle.HIGHEST_PROTOCOL)
        self._end = self._file.tell()

    def __iter__(self) -> Iterator[Part]:
        """Yield all parts from the first one, as often as is asked for, also while another iteration is under way."""
        at = 0
        while at < self._end:
            self._file.seek(at)
            part: Part = pickle.load(self._file)  # noqa: S301 - written by `add`
            at = self._file.tell()
            yield part
