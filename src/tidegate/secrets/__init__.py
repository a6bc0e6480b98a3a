"""Secrets: where they come from, and how they get into a connection without being shown.

A connection names its secrets in `secrets_ref`; :func:`resolve_secrets` fetches them. A source with a
registered prefix (``env:APP_``) goes to that resolver, any other to the run's own provider: environment variables,
or what ``TIDEGATE_SECRET_PROVIDER`` names.
"""

import os

from tidegate.masking import get_registered_secret_values, register_secret_values
from tidegate.registry import PluginRegistry
from tidegate.secrets.environment import EnvResolver, EnvSecretProvider
from tidegate.secrets.log_filter import SecretFilter, install_secret_filter
from tidegate.secrets.provider import BaseSecretProvider
from tidegate.secrets.resolution import resolve_secrets
from tidegate.secrets.resolver import BaseSecretResolver, NativeProviderResolver, ResolverLookup, parse_source

resolver_registry: PluginRegistry[BaseSecretResolver] = PluginRegistry(
    "tidegate.resolvers",
    BaseSecretResolver,
)
resolver_registry.register("env", EnvResolver)

secret_provider_registry: PluginRegistry[BaseSecretProvider] = PluginRegistry(
    "tidegate.secret_providers",
    BaseSecretProvider,
)
secret_provider_registry.register("env", EnvSecretProvider)

# Each of these is both: a prefix, and a provider.
for _name, _target in {
    "aws-sm": "aws:AwsSecretsManagerProvider [aws]",
    "aws-ssm": "aws:AwsParameterStoreProvider [aws]",
    "azure-kv": "azure:AzureKeyVaultProvider [azure]",
    "databricks": "databricks:DatabricksSecretProvider [databricks]",
    "file": "file:FileSecretProvider",
    "gcp-sm": "gcp:GcpSecretManagerProvider [gcp]",
    "vault": "vault:VaultSecretProvider [api]",
}.items():
    resolver_registry.register_lazy(_name, f"tidegate.secrets.{_target}")
    secret_provider_registry.register_lazy(_name, f"tidegate.secrets.{_target}")

PROVIDER_VARIABLE = "TIDEGATE_SECRET_PROVIDER"


def registered_resolver(prefix: str) -> BaseSecretResolver | None:
    """Return the resolver registered under `prefix`, or None: the usual `resolver_lookup`."""
    return resolver_registry.get_or_create(prefix) if resolver_registry.is_available(prefix) else None


def native_provider() -> BaseSecretProvider:
    """Return the provider that ``TIDEGATE_SECRET_PROVIDER`` names; without it that of environment variables.

    Raises:
        ConfigurationError: The name is unknown (TG610), or its extra is missing (TG612).
    """
    return secret_provider_registry.get(os.environ.get(PROVIDER_VARIABLE) or "env")


__all__ = [
    "PROVIDER_VARIABLE",
    "BaseSecretProvider",
    "BaseSecretResolver",
    "EnvResolver",
    "EnvSecretProvider",
    "NativeProviderResolver",
    "ResolverLookup",
    "SecretFilter",
    "get_registered_secret_values",
    "install_secret_filter",
    "native_provider",
    "parse_source",
    "register_secret_values",
    "registered_resolver",
    "resolve_secrets",
    "resolver_registry",
    "secret_provider_registry",
]
