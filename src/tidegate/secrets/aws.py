"""Secrets in AWS: Secrets Manager, and the parameter store of Systems Manager.

Credentials and region are found as the AWS command line finds them.
"""

from __future__ import annotations

from typing import Any, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

from tidegate.errors import TidegateError, first_line
from tidegate.secrets.document import WHOLE, DocumentSecretProvider, Fields, json_fields
from tidegate.secrets.lookup import Lookup
from tidegate.secrets.memory import Memory
from tidegate.secrets.provider import BaseSecretProvider

_MISSING = frozenset({"ResourceNotFoundException", "ParameterNotFound", "ParameterVersionNotFound"})
_REFUSED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "DecryptionFailure",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "UnrecognizedClientException",
    }
)
_UNKNOWN_TO_AWS = (
    NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, NoRegionError, ProfileNotFound
)  # fmt: skip


class AwsSecretsManagerProvider(DocumentSecretProvider):
    """Reads AWS Secrets Manager: the current version, found by name or ARN.

    The source is the secret and the key a field of its JSON object. Without a source, the key is the secret, and its
    whole text the value. The region of an ARN wins over that of the environment.
    """

    def __init__(self, cache_ttl: float = 300, **kwargs: Any) -> None:
        super().__init__(cache_ttl, **kwargs)
        self._clients = _Clients("secretsmanager")

    def _fetch_secret(self, key: str, source: str) -> str:
        if not source:
            key, source = WHOLE, key
        return super()._fetch_secret(key, source)

    def _fetch_fields(self, source: str) -> Fields:
        lookup = self._lookup(source)
        answer = self._clients.ask("get_secret_value", lookup, _region(source), SecretId=source)
        text = answer.get("SecretString")
        whole = lookup.decoded(answer["SecretBinary"]) if text is None else text
        return {**(json_fields(whole) or {}), WHOLE: whole}

    def _lookup(self, source: str) -> Lookup:
        permission = "allow secretsmanager:GetSecretValue on it, and kms:Decrypt when it has a key of its own"
        return Lookup(what=f"secret {source!r} of AWS Secrets Manager", permission=permission)


class AwsParameterStoreProvider(BaseSecretProvider):
    """Reads the parameter ``{source}/{key}`` of AWS Systems Manager, decrypted; its value is the secret."""

    def __init__(self, cache_ttl: float = 300, **kwargs: Any) -> None:
        super().__init__(cache_ttl, **kwargs)
        self._clients = _Clients("ssm")

    def _fetch_secret(self, key: str, source: str) -> str:
        name = f"{source.rstrip('/')}/{key.lstrip('/')}" if source else key
        permission = "allow ssm:GetParameter on it, and kms:Decrypt when it has a key of its own"
        lookup = Lookup(what=f"parameter {name!r} of AWS Systems Manager", permission=permission)
        answer = self._clients.ask("get_parameter", lookup, _region(name), Name=name, WithDecryption=True)
        return str(answer["Parameter"]["Value"])


class _Clients:
    """Clients of one service, one for each region."""

    def __init__(self, service: Literal["secretsmanager", "ssm"]) -> None:
        self._service = service
        self._clients: Memory[Any] = Memory()

    def ask(self, operation: str, lookup: Lookup, region: str | None, **arguments: object) -> dict[str, Any]:
        """Call an operation of the service.

        Raises:
            TidegateError: It did not succeed.
        """
        try:
            client = self._clients.get(region, lambda: self._client(region))
            answer: dict[str, Any] = getattr(client, operation)(**arguments)
        except (ClientError, BotoCoreError) as error:
            raise _translated(error, lookup) from error
        return answer

    def _client(self, region: str | None) -> Any:
        config = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
        return boto3.Session(region_name=region).client(self._service, config=config)


def _region(name: str) -> str | None:
    """Return the region of an ARN; None for a name, which is looked for in the region of the environment."""
    return name.split(":")[3] if name.startswith("arn:") and name.count(":") > 3 else None  # noqa: PLR2004


def _translated(error: ClientError | BotoCoreError, lookup: Lookup) -> TidegateError:
    said = first_line(error)
    if isinstance(error, ClientError):
        code = error.response["Error"]["Code"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if code in _MISSING:
            return lookup.missing()
        if code in _REFUSED:
            return lookup.refused(said)
        return lookup.unavailable(said) if "Throttl" in code else lookup.answered(status, said)
    if isinstance(error, _UNKNOWN_TO_AWS):
        hint = "set AWS_REGION and credentials: AWS_PROFILE, AWS_ACCESS_KEY_ID, or a role of this machine"
        return lookup.unreadable(f"cannot be read: {said}", hint)
    if isinstance(error, HTTPClientError | BotoConnectionError):
        return lookup.unavailable(said)
    return lookup.unreadable(f"cannot be read: {said}", "check the name of the secret, and the settings of AWS")
