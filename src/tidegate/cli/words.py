"""The word that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is nearest to `word`; None when none is near.

    >>> closest("--flo", ["--flow", "--stage"]), closest("zzz", ["plan", "run"])
    ('--flow', None)
    """
    from difflib import get_close_matches

    near = get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return near[0] if near else None
