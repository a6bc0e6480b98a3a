"""Secret values that must never be shown, and the functions that hide them.

Errors, logs, `repr` and dumps all pass their text through :func:`mask`. The set holds *values*, so a secret
is hidden wherever it turns up, whoever puts it there.
"""

from __future__ import annotations

import json
import threading
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"

_lock = threading.Lock()
_values: frozenset[str] = frozenset()
_written: tuple[str, ...] = ()


def register_secret_values(*values: str) -> None:
    """Hide these values from now on. Empty strings are ignored, as they would mask everything."""
    global _values, _written  # noqa: PLW0603 - the registry is this module's one purpose
    with _lock:
        _values |= {value for value in values if value}
        forms = {form for value in _values for form in _written_forms(value)}
        _written = tuple(sorted(forms, key=len, reverse=True))


def get_registered_secret_values() -> frozenset[str]:
    """Return a snapshot of all registered secret values."""
    return _values


def mask(text: str) -> str:
    """Return `text` with every registered secret value replaced by ``***``, the longest first.

    A value is also found as a URL, a `repr` and JSON write it.
    """
    for value in _written:
        text = text.replace(value, MASK)
    return text


def mask_within(value: Any) -> Any:
    """Return `value` with the texts in its dicts, lists and tuples masked; other objects stay as they are."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {key: mask_within(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [mask_within(item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    return value


def _written_forms(value: str) -> set[str]:
    in_urls = {quote(value), quote(value, safe=""), quote_plus(value)}
    in_json = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    return {value, repr(value)[1:-1]} | in_urls | in_json
