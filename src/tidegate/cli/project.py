"""The state store of a project, for commands that look at it without a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.state import SQLiteStateStore


def state_path(root: Path) -> Path:
    """Return where the state store of a project is."""
    return root.absolute() / ".tidegate" / "state.db"


@contextmanager
def state_store(root: Path) -> Iterator[SQLiteStateStore]:
    """Open the state store of a project; reading creates nothing."""
    from tidegate.state import SQLiteStateStore

    store = SQLiteStateStore(state_path(root))
    try:
        yield store
    finally:
        store.close()
