"""The catalogue of codes: what each error means, why it arises, an example, and what to do.

The entries are in the TOML files of this folder, one for each group of codes.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from tidegate.errors import ConfigurationError

_PREFIX = "TG"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What there is to say about one code.

    Attributes:
        code: The code, for instance ``TG101``.
        title: Its name, in a few words.
        what: What was found.
        why: Why that is refused, or how it comes about.
        example: What leads to it.
        fix: What to do.
    """

    code: str
    title: str
    what: str
    why: str
    example: str
    fix: str


@cache
def explanations() -> Mapping[str, Explanation]:
    """Return all explanations by code, in the order of the codes.

    Raises:
        ConfigurationError: Two files explain one code.
    """
    found: dict[str, Explanation] = {}
    for file in files(__name__).iterdir():
        if file.name.endswith(".toml"):
            for code, entry in tomllib.loads(file.read_text(encoding="utf-8")).items():
                if code in found:
                    raise ConfigurationError(f"{code} is explained twice, the second time in {file.name}")
                texts = {name: text.strip() for name, text in entry.items()}
                found[code] = Explanation(code=code, **texts)
    return MappingProxyType(dict(sorted(found.items())))


def explain(code: str) -> Explanation:
    """Return the explanation of a code, which may be written ``TG101``, ``tg101`` or ``101``.

    Raises:
        ConfigurationError: No such code; the hint names the closest ones.
    """
    wanted = code.strip().upper().replace(" ", "").replace("-", "")
    wanted = f"{_PREFIX}{wanted}" if wanted.isdecimal() else wanted
    known = explanations()
    if wanted in known:
        return known[wanted]
    near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.6)
    near.sort(key=lambda code: difflib.SequenceMatcher(None, code, wanted).find_longest_match().size, reverse=True)
    hint = f"did you mean {' or '.join(near)}?" if near else f"codes are {', '.join(known)}"
    raise ConfigurationError(f"there is no code {code.strip()!r}", hint=hint)
