"""Amazon S3, and what speaks its language: `s3://bucket/...`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3
from obstore.auth.boto3 import Boto3CredentialProvider

from tidegate.errors import PlatformError
from tidegate.platforms.object_store import ObjectStorePlatform

if TYPE_CHECKING:
    from tidegate.models.connection import ConnectionSettings

_KEYS = {"aws_access_key_id", "access_key_id"}
_SKIPS = {"aws_skip_signature", "skip_signature"}


class S3Platform(ObjectStorePlatform):
    """One bucket of S3."""

    @staticmethod
    def credentials(settings: ConnectionSettings) -> Mapping[str, str | None]:
        """Return the connection's keys and region; for a store that is not Amazon's, else those of the machine.

        delta-rs searches for credentials in profiles only where no endpoint is given.
        """
        options = settings.storage_options
        declared = {
            "aws_access_key_id": settings.aws_access_key_id,
            "aws_secret_access_key": settings.aws_secret_access_key,
            "aws_session_token": settings.aws_session_token,
            "aws_region": settings.aws_region,
        }
        is_elsewhere = any("endpoint" in name for name in options)
        if settings.aws_access_key_id or not is_elsewhere or options.keys() & (_KEYS | _SKIPS):
            return declared
        found = boto3.Session().get_credentials()
        if found is None:
            return declared
        frozen = found.get_frozen_credentials()
        return {
            "aws_access_key_id": frozen.access_key,
            "aws_secret_access_key": frozen.secret_key,
            "aws_session_token": frozen.token,
            "aws_region": settings.aws_region,
        }

    def credential_provider(self) -> Any:
        """Search as all AWS tools do, where the connection has no keys: environment, profile, role of the machine."""
        given = self.storage_options.keys()
        if given & _KEYS or any(self.storage_options.get(name) == "true" for name in _SKIPS):
            return None
        try:
            return Boto3CredentialProvider()
        except ValueError as error:
            msg = f"no AWS credentials were found for {self.root}"
            hint = (
                "give the connection aws_access_key_id and aws_secret_access_key, set AWS_PROFILE, or use a role; "
                "for a public bucket: storage_options: {skip_signature: true}"
            )
            raise PlatformError(msg, {"bucket": self.root}, hint=hint) from error
