"""Dataflows with the secrets of their connections in place."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tidegate.secrets import BaseSecretProvider, registered_resolver, resolve_secrets

if TYPE_CHECKING:
    from tidegate.models import Connection, DataFlow, Destination, Source


class SecretConnections:
    """Resolves the secrets of connections, each connection once. Safe to use from many threads.

    The declared connections keep their references; a secret that cannot be had fails only the dataflows that need it.

    Args:
        provider: Where secrets without a resolver prefix come from.
    """

    def __init__(self, provider: BaseSecretProvider) -> None:
        self._provider = provider
        self._resolved: dict[str, Connection] = {}
        self._lock = threading.Lock()

    def resolved(self, flow: DataFlow) -> DataFlow:
        """Return the dataflow with resolved connections; itself when they have no secrets.

        Raises:
            TidegateError: a secret is missing or its reference is wrong (TG604 to TG608).
        """
        ends: dict[str, Source | Destination] = {"source": flow.source, "destination": flow.destination}
        update = {
            side: end.model_copy(update={"connection": self._with_secrets(end.connection)})
            for side, end in ends.items()
            if end.connection is not None and end.connection.secrets_ref
        }
        return flow.model_copy(update=update) if update else flow

    def _with_secrets(self, connection: Connection) -> Connection:
        with self._lock:
            if connection.connection_id not in self._resolved:
                copy = connection.with_resolved()
                resolve_secrets(copy, self._provider, resolver_lookup=registered_resolver)
                self._resolved[connection.connection_id] = copy
            return self._resolved[connection.connection_id]
