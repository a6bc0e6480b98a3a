"""The state store of a project, for commands that look at it without a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.metadata import BaseMetadataProvider
    from tidegate.state import StateStore


@contextmanager
def state_store(metadata: BaseMetadataProvider) -> Iterator[StateStore]:
    """Open the state store of a project; reading creates nothing."""
    from tidegate.state import open_state_store

    store = open_state_store(metadata.state_url, root=metadata.root, profile=metadata.profile)
    try:
        yield store
    finally:
        store.close()
