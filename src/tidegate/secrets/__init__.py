"""Secrets: where they come from, and how they get into a connection without being shown.

A connection names its secrets in `secrets_ref`; :func:`resolve_secrets` fetches them. A source with a
registered prefix (``env:APP_``) goes to that resolver, any other to the platform's own provider.
"""

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


def registered_resolver(prefix: str) -> BaseSecretResolver | None:
    """Return the resolver registered under `prefix`, or None: the usual `resolver_lookup`."""
    return resolver_registry.get_or_create(prefix) if resolver_registry.is_available(prefix) else None


__all__ = [
    "BaseSecretProvider",
    "BaseSecretResolver",
    "EnvResolver",
    "EnvSecretProvider",
    "NativeProviderResolver",
    "ResolverLookup",
    "SecretFilter",
    "get_registered_secret_values",
    "install_secret_filter",
    "parse_source",
    "register_secret_values",
    "registered_resolver",
    "resolve_secrets",
    "resolver_registry",
    "secret_provider_registry",
]
