"""Google Cloud Storage: `gs://bucket/...`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tidegate.platforms.object_store import ObjectStorePlatform

if TYPE_CHECKING:
    from tidegate.models.connection import ConnectionSettings


class GCSPlatform(ObjectStorePlatform):
    """One bucket. Without a service account in `storage_options`, the machine's default credentials serve."""

    @staticmethod
    def credentials(settings: ConnectionSettings) -> Mapping[str, str | None]:  # noqa: ARG004 - it has no fields here
        """Return nothing: `storage_options` may name `google_service_account`, a file, or its key."""
        return {}
