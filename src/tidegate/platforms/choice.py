"""Which platform a connection's data live on: its `base_path` says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.errors import ConfigurationError
from tidegate.platforms.base import BasePlatform, platform_registry

if TYPE_CHECKING:
    from tidegate.models import Connection


def platform_of(connection: Connection | None, default: BasePlatform) -> BasePlatform:
    """Return the platform of a connection: by the scheme of its `base_path`, or `default` for a path without one.

    Raises:
        ConfigurationError: there is no platform of that scheme (TG704), or its settings are wrong (TG705).
    """
    base_path = connection.settings.base_path if connection else None
    scheme, separator, _ = (base_path or "").partition("://")
    if (base_path or "").startswith("dbfs:"):
        msg = "a dbfs: path is known inside of a Databricks workspace alone"
        hint = (
            "on a cluster /Volumes/...; elsewhere the storage location of an external volume: abfss://, s3:// or gs://"
        )
        raise ConfigurationError(msg, {"base_path": base_path}, code="TG704", hint=hint)
    if connection is None or not separator:
        return default
    if not platform_registry.is_available(scheme):
        known = ", ".join(f"{name}://" for name in platform_registry.list_plugins() if name != "local")
        msg = f"connection {connection.name!r}: there is no platform for {scheme}:// paths"
        raise ConfigurationError(
            msg, {"base_path": base_path}, code="TG704", hint=f"a path of this machine, or {known}"
        )
    return platform_registry.load(scheme).of_connection(connection.settings)
