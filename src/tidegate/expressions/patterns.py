r"""Regular expressions and time formats that mean the same in every engine.

DuckDB matches with RE2, Polars with the regex crate of Rust, Spark with Java. They agree on a large subset; what is
outside it is refused, and ``\d``, ``\w``, ``\s``, which are ASCII in one and Unicode in the other, are spelled out as
ASCII.
"""

from __future__ import annotations

import re
import warnings

from tidegate.expressions.errors import unavailable

_ASCII = {"d": "0-9", "w": "0-9A-Za-z_", "s": r"\t\n\f\r "}
_SHARED_ESCAPES = frozenset("tnrfv") | frozenset(r".\+*?()|[]{}^$/-'\"#&~@!%,:;<>=_ `")
_GROUP = re.compile(r"\(\?(?!:|[ims]+\)|[ims]+:|P<[A-Za-z_]\w*>)")
_SET_OPERATION = re.compile(r"&&|--|~~")
_COUNT = r"\{\d+(?:,\d*)?\}"
_FOREIGN_QUANTIFIER = re.compile(rf"\{{(?!\d+(?:,\d*)?\}})|(?:[*+?]|{_COUNT})\+")
"""A brace that counts nothing, and possessive quantifiers."""


def portable_pattern(pattern: str) -> str:
    r"""Return the pattern with its classes spelled out, for instance ``\d`` as ``[0-9]``.

    Raises:
        MetadataError: the pattern does not compile, or uses what engines do not share: lookaround, back-references,
            ``\b``, Unicode classes, set operations (TG109).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # nested sets, which are refused below
            re.compile(pattern)
    except re.error as error:
        message = f"regular expression {pattern!r} does not compile: {error.msg}"
        raise unavailable(message) from None
    if group := _GROUP.search(pattern):
        raise _foreign(pattern, f"the group {pattern[group.start() : group.end() + 2]!r}")
    parts: list[str] = []
    position = 0
    in_class = False
    while position < len(pattern):
        character = pattern[position]
        step = 1
        if character == "\\":
            parts.append(_escape(pattern, pattern[position + 1], in_class=in_class))
            step = 2
        elif in_class and (character == "[" or _SET_OPERATION.match(pattern, position)):
            raise _foreign(pattern, f"{character!r} inside a class")
        elif not in_class and (quantifier := _FOREIGN_QUANTIFIER.match(pattern, position)):
            raise _foreign(pattern, repr(quantifier[0]), "write \\{ for a brace, and no + after a quantifier")
        else:
            opens = character == "[" and not in_class
            if opens:
                parts.append("[")
                step = 1 + pattern.startswith("^", position + 1)
                parts.append("^" * (step - 1))
                if pattern.startswith("]", position + step):
                    raise _foreign(pattern, "']' as the first of a class (write \\])")
            else:
                parts.append(character)
            in_class = opens or (in_class and character != "]")
        position += step
    return "".join(parts)


def _escape(pattern: str, character: str, *, in_class: bool) -> str:
    if character.lower() in _ASCII:
        if character.islower():
            members = _ASCII[character]
            return members if in_class else f"[{members}]"
        if not in_class:
            return f"[^{_ASCII[character.lower()]}]"
    if character in _SHARED_ESCAPES:
        return "\\" + character if character in r".\+*?()|[]{}^$-tnrfv" else character
    raise _foreign(pattern, f"'\\{character}'{' inside a class' if in_class else ''}")


_INSTEAD = {
    "d": "[0-9]",
    "D": "[^0-9]",
    "w": "[0-9A-Za-z_]",
    "W": "[^0-9A-Za-z_]",
    "s": "[ \\t\\r\\n]",
    "S": "[^ \\t\\r\\n]",
    "b": "the characters around the word, as a group",
}
_CLASS_ESCAPE = re.compile(r"(?:[^\\]|^)(?:\\\\)*\\([dDwWsSbB])")
_REFERENCE = re.compile(r"\$(\$|[0-9]+|.?)")


def replacing_rule(pattern: str, replacement: str) -> tuple[str, str]:
    r"""Return pattern and replacement of a value rule in the words of `regexp_replace`.

    Args:
        pattern: The pattern, without ``\d``, ``\w``, ``\s`` and ``\b``.
        replacement: Text; ``$1`` to ``$9`` are groups, ``$0`` is the match, ``$$`` a dollar.

    Raises:
        MetadataError: engines read either of them differently, or not at all (TG109).
    """
    if escape := _CLASS_ESCAPE.search(pattern):
        instead = _INSTEAD.get(escape[1], "what is meant as a class")
        message = f"regular expression {pattern!r} uses \\{escape[1]}, which is ASCII in one engine, Unicode in another"
        raise unavailable(message, hint=f"write {instead}")
    portable = portable_pattern(pattern)
    compiled = re.compile(portable)
    for dollar in _REFERENCE.finditer(replacement):
        number = dollar[1]
        if number != "$" and not (len(number) == 1 and number.isdecimal() and int(number) <= compiled.groups):
            message = f"replacement {replacement!r} has {dollar[0]!r}, which is no group of {pattern!r}"
            raise unavailable(message, hint="groups are $1 to $9, the whole match is $0, and a dollar is $$")
    if backward := re.search(r"\\[0-9]", replacement):
        message = f"replacement {replacement!r} has {backward[0]!r}, which is a group in some engines, text in others"
        raise unavailable(message, hint=f"write ${backward[0][1]} for a group")
    is_anchored = pattern.startswith("^") and "|" not in pattern
    if replacement and not is_anchored and compiled.search(""):
        message = f"regular expression {pattern!r} matches empty text, which engines find in different places"
        raise unavailable(message, hint="let it match at least one character (+ for *), or begin it with ^")
    rewritten = _REFERENCE.sub(
        lambda found: "$" if found[1] == "$" else f"\\{found[1]}", replacement.replace("\\", "\\\\")
    )
    return portable, rewritten


def _foreign(
    pattern: str, what: str, hint: str = "use classes, groups, alternatives, quantifiers, ^ and $"
) -> Exception:
    message = f"regular expression {pattern!r} uses {what}, which engines read differently or not at all"
    return unavailable(message, hint=hint)


_SPECIFIERS = frozenset("YmdHMSfjyBbAaIp%")
"""strftime specifiers that DuckDB, Polars and Python write alike."""

_READABLE = _SPECIFIERS - {"y", "A", "a"}
"""Those that they read alike: %y differs for 69, and day names are not checked by all."""

_JAVA = {
    "yyyy": "%Y",
    "yy": "%y",
    "MM": "%m",
    "MMM": "%b",
    "MMMM": "%B",
    "dd": "%d",
    "DDD": "%j",
    "HH": "%H",
    "hh": "%I",
    "mm": "%M",
    "ss": "%S",
    "SSSSSS": "%f",
    "a": "%p",
    "EEE": "%a",
    "EEEE": "%A",
}
_JAVA_PART = re.compile(r"'((?:[^']|'')*)'|(([A-Za-z])\3*)|([^A-Za-z']+)")


def time_format(text: str, *, reading: bool) -> str:
    """Return a format of times in strftime's words; one in Java's (``yyyy-MM-dd``) is translated.

    Args:
        text: The format. It is strftime's when it holds a ``%``.
        reading: Whether text is read by it, which excludes more than writing does.

    Raises:
        MetadataError: it holds something that engines write or read differently (TG109).
    """
    if "%" not in text:
        text = _from_java(text)
    allowed = _READABLE if reading else _SPECIFIERS
    for match in re.finditer(r"%(.?)", text):
        if match[1] not in allowed:
            message = (
                f"time format {text!r} uses '%{match[1]}', which engines {'read' if reading else 'write'} differently"
            )
            shared = ", ".join(f"%{one}" for one in sorted(allowed))
            raise unavailable(message, hint=f"engines share {shared}")
    if reading and "%H" in text and "%M" not in text:
        raise unavailable(f"time format {text!r} has hours and no minutes", hint="add %M")
    return text


def _from_java(text: str) -> str:
    parts: list[str] = []
    for match in _JAVA_PART.finditer(text):
        quoted, letters, _, other = match.groups()
        if quoted is not None:
            parts.append(quoted.replace("''", "'") or "'")
        elif other is not None:
            parts.append(other)
        elif letters in _JAVA:
            parts.append(_JAVA[letters])
        elif letters in {"T", "Z"}:
            parts.append(letters)
        else:
            hint = f"known: {', '.join(_JAVA)}; or a strftime format such as %Y-%m-%d"
            raise unavailable(f"time format {text!r} uses {letters!r}, which is not known", hint=hint)
    return "".join(parts)
