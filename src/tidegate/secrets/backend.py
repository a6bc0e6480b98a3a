"""The border between Tidegate and a secret backend: the one place that asks, and that judges the answer."""

from __future__ import annotations

from collections.abc import Callable

from tidegate.errors import PlatformError, SecretUnavailableError, TidegateError
from tidegate.masking import register_secret_values


def ask(backend: object, fetch: Callable[[str, str], object], key: str, source: str) -> str:
    """Return what `fetch` returns for a key and a source, hidden from logs and errors from now on.

    Raises:
        TidegateError: As `fetch` raised it.
        SecretUnavailableError: The backend did not answer.
        PlatformError: TG606, on any other exception of the backend, and on an answer that is no text.
    """
    name = type(backend).__name__
    try:
        value = fetch(key, source)
    except TidegateError:
        raise
    except (ConnectionError, TimeoutError) as error:
        hint = "check that the backend can be reached from this machine"
        raise SecretUnavailableError(_told(name, error), hint=hint) from error
    except Exception as error:
        hint = "check that the secret exists there, and that this process may read it"
        raise PlatformError(_told(name, error), code="TG606", hint=hint) from error
    if not isinstance(value, str):
        message = f"{name} returned {type(value).__name__} instead of text"
        hint = "a backend returns a secret as str, and raises if it has none"
        raise PlatformError(message, code="TG606", hint=hint)
    register_secret_values(value)
    return value


def _told(name: str, error: Exception) -> str:
    return f"{name} failed: {type(error).__name__}: {error}"
