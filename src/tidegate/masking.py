"""Secret values that must never be shown, and the one function that hides them.

Errors, logs, `repr` and dumps all pass their text through :func:`mask`. The set holds *values*, so a secret is
hidden wherever it turns up, whoever puts it there.
"""

from __future__ import annotations

import threading

MASK = "***"

_lock = threading.Lock()
_values: frozenset[str] = frozenset()


def register_secret_values(*values: str) -> None:
    """Hide these values from now on. Empty strings are ignored, as they would mask everything."""
    global _values  # noqa: PLW0603 - the registry is this module's one purpose
    with _lock:
        _values |= {value for value in values if value}


def get_registered_secret_values() -> frozenset[str]:
    """Return a snapshot of all registered secret values."""
    return _values


def mask(text: str) -> str:
    """Return `text` with every registered secret value replaced by ``***``, the longest first."""
    for value in sorted(_values, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text
