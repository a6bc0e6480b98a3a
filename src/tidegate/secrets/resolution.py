"""Puts secrets into a connection: all of them, or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from tidegate.errors import ConfigurationError, TidegateError
from tidegate.models.connection import Connection, ConnectionSettings
from tidegate.secrets.backend import ask
from tidegate.secrets.resolver import BaseSecretResolver, NativeProviderResolver, ResolverLookup, parse_source

if TYPE_CHECKING:
    from tidegate.secrets.provider import BaseSecretProvider


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reference:
    """One field of a connection that names a secret."""

    connection: str
    source: str
    field: str
    key: str

    def __str__(self) -> str:
        return f"connection {self.connection!r}, secret field {self.field!r} of source {self.source!r}"

    def details(self) -> dict[str, str]:
        return {"connection": self.connection, "source": self.source, "field": self.field}


def resolve_secrets(
    connection: Connection, provider: BaseSecretProvider, *, resolver_lookup: ResolverLookup | None = None
) -> None:
    """Replace the secret keys in `connection.configure` by their values, in place.

    Each field listed in `connection.secrets_ref` holds the key of its secret. All secrets are fetched and
    checked before the first is put in place, so a failure leaves the connection as it was. The values are
    hidden from logs and errors from then on. A connection that is resolved already is left alone. To keep the
    declaration free of secrets, resolve its :meth:`Connection.with_resolved` copy; one thread resolves one
    connection.

    Args:
        connection: What to resolve.
        provider: The platform's own provider, which takes every source without a known prefix.
        resolver_lookup: Finds the resolver of a prefix; without it, no source is taken to have one.

    Raises:
        ConfigurationError: `secrets_ref` does not fit `configure` (TG604), a secret does not exist (TG605),
            or its value does not fit the field (TG607).
        PlatformError: A backend failed (TG606).
        SecretUnavailableError: A backend did not answer (TG608); another attempt may succeed.
    """
    if connection.secrets_resolved:
        return
    references = _references(connection)
    fallback = NativeProviderResolver(provider)
    values: dict[str, str] = {}
    for reference in references:
        resolver, source = parse_source(reference.source, fallback, resolver_lookup)
        values[reference.field] = _fetch(reference, resolver, source)
    _require_fit(connection, references, values)
    connection.take_secrets(values)


def _references(connection: Connection) -> list[_Reference]:
    found: dict[str, _Reference] = {}
    for source, fields in connection.secrets_ref.items():
        for field in fields:
            key = connection.configure.get(field)
            reference = _Reference(connection=connection.name, source=source, field=field, key=key or "")
            if field in found and found[field] != reference:
                raise _invalid(reference, f"is also listed under {found[field].source!r}", "keep one of them")
            if field not in connection.configure:
                raise _invalid(reference, "is not in configure", f"add `{field}: <key of the secret>` there")
            if not key or not isinstance(key, str):
                raise _invalid(reference, "holds no text in configure", "write the key of the secret there")
            found[field] = reference
    return list(found.values())


def _fetch(reference: _Reference, resolver: BaseSecretResolver, source: str) -> str:
    try:
        return ask(resolver, resolver.resolve, reference.key, source)
    except TidegateError as error:
        # The class stays, since it decides about a retry; the message gains the place.
        error.message = f"{reference}: {error.message}"
        error.args = (error.message,)
        error.details |= reference.details()
        raise


def _require_fit(connection: Connection, references: list[_Reference], values: dict[str, str]) -> None:
    try:
        ConnectionSettings.model_validate({**connection.configure, **values})
    except ValidationError as error:
        problems = {problem["loc"][:1]: problem["msg"] for problem in error.errors(include_input=False)}
        for reference in references:
            if problem := problems.get((reference.field,)):
                raise ConfigurationError(
                    f"{reference}: the secret does not fit the field: {problem}",
                    reference.details(),
                    code="TG607",
                    hint="store a fitting value under that key, or refer to another key",
                ) from None  # the validation error quotes the secret


def _invalid(reference: _Reference, problem: str, hint: str) -> ConfigurationError:
    message = f"{reference}: the field {problem}"
    return ConfigurationError(message, reference.details(), code="TG604", hint=hint)
