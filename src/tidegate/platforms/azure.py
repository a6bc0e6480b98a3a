"""Azure storage: blobs, ADLS and Fabric's OneLake.

`az://container/...` with the field `account_name`, `abfss://container@account.dfs.core.windows.net/...`, and
`abfss://workspace@onelake.dfs.fabric.microsoft.com/item.Lakehouse/Files/...`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tidegate.platforms.object_store import ObjectStorePlatform

if TYPE_CHECKING:
    from tidegate.models.connection import ConnectionSettings


class AzurePlatform(ObjectStorePlatform):
    """One container, or one workspace of OneLake."""

    @staticmethod
    def credentials(settings: ConnectionSettings) -> Mapping[str, str | None]:
        """Return the connection's account with its key, a shared access signature, a service principal or a token."""
        return {
            "azure_storage_account_name": settings.account_name,
            "azure_storage_account_key": settings.account_key,
            "azure_storage_sas_key": settings.sas_token,
            "azure_storage_tenant_id": settings.tenant_id,
            "azure_storage_client_id": settings.client_id,
            "azure_storage_client_secret": settings.client_secret,
            "azure_storage_token": settings.token,
        }
