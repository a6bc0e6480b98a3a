"""Text functions as Polars SQL."""

from __future__ import annotations

from collections.abc import Callable

from tidegate.expressions.calls import filling, is_constant, literal_text, matching, replacing, trimming
from tidegate.expressions.kinds import kind_of
from tidegate.expressions.nodes import Cast, Literal, Node
from tidegate.expressions.rendering import Renderer, quoted

Rule = Callable[[Renderer, tuple[Node, ...]], str]

SPACES = " \u00a0\u1680" + "".join(chr(code) for code in range(0x2000, 0x200B)) + "\u202f\u205f\u3000"
"""What TRIM takes away: Unicode's space separators. Polars' own TRIM takes tabs and line ends as well."""


def as_text(renderer: Renderer, node: Node) -> str:
    """Return a value as text; one that is not text is cast."""
    return renderer.render(node if kind_of(node) in {"text", "unknown", "null"} else Cast(node, "string"))


def unless_null(renderer: Renderer, nodes: tuple[Node, ...], result: str) -> str:
    """Return NULL when one of the nodes is NULL; Polars forgets it in some arguments."""
    tests = [f"{renderer.render(node)} IS NULL" for node in nodes if not is_constant(node)]
    return f"CASE WHEN {' OR '.join(tests)} THEN NULL ELSE {result} END" if tests else result


def _trimmed(side: str) -> Rule:
    def rule(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
        characters = trimming(arguments)
        characters = SPACES if characters is None else characters
        return f"TRIM({side} {quoted(characters)} FROM {renderer.render(arguments[0])})"

    return rule


def _length(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    """Polars counts in 32 unsigned bits: `length(x) - 5` would wrap around."""
    return f"CAST(CHAR_LENGTH({renderer.render(arguments[0])}) AS BIGINT)"


def _substring(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    """A negative start counts from the end; Polars counts it from before the start."""
    text, start, *length = (renderer.render(argument) for argument in arguments)
    value = arguments[1].value if isinstance(arguments[1], Literal) else None
    if not isinstance(value, int) or value < 0:
        from_end = f"{_length(renderer, arguments[:1])} + {start} + 1"
        start = f"CASE WHEN {start} < 0 THEN {from_end} ELSE {start} END"
        start = start if length else f"GREATEST({start}, 1)"
    parts = [text, start, *(_count(renderer, argument) for argument in arguments[2:])]
    return unless_null(renderer, arguments[1:], f"SUBSTR({', '.join(parts)})")


def _count(renderer: Renderer, node: Node) -> str:
    """Return a number of characters; a computed one that is negative counts as 0."""
    count = renderer.render(node)
    return count if is_constant(node) else f"GREATEST(CAST({count} AS BIGINT), 0)"


def _side(name: str) -> Rule:
    """Polars' RIGHT cuts a text with other than ASCII letters when the count is greater than its length."""

    def rule(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
        text, count = (renderer.render(argument) for argument in arguments)
        count = f"LEAST(CAST({count} AS BIGINT), {_length(renderer, arguments)})"
        return unless_null(renderer, arguments[1:], f"{name}({text}, {count})")

    return rule


def _joined(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    return "(" + " || ".join(as_text(renderer, argument) for argument in arguments) + ")"


def _concat(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    parts = [as_text(renderer, argument) for argument in arguments if kind_of(argument) != "null"]
    return f"CONCAT({', '.join(parts)})" if parts else "''"


def _concat_ws(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    separator = quoted(literal_text(arguments[0], "the separator"))
    parts = [as_text(renderer, argument) for argument in arguments[1:] if kind_of(argument) != "null"]
    return f"CONCAT_WS({', '.join([separator, *parts])})" if parts else "''"


def _replaced(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    """Polars takes a search from a column not at all, and an empty one as matching everywhere."""
    text, replacement = renderer.render(arguments[0]), renderer.render(arguments[2])
    search = literal_text(arguments[1], "the search")
    if not search:
        return unless_null(renderer, arguments[2:], text)
    return unless_null(renderer, arguments[2:], f"REPLACE({text}, {quoted(search)}, {replacement})")


def _split_part(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    text, separator, index = (renderer.render(argument) for argument in arguments)
    return unless_null(renderer, arguments[1:], f"SPLIT_PART({text}, {separator}, {index})")


def _padded(name: str) -> Rule:
    """Polars fills with one character only, and takes a negative length for an error."""

    def rule(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
        count = _count(renderer, arguments[1])
        filled = f"{name}({renderer.render(arguments[0])}, {count}, {quoted(filling(arguments))})"
        return unless_null(renderer, arguments[1:2], filled)

    return rule


def _position(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    """Polars counts bytes, gives 0 for NULL, and takes the part for a regular expression."""
    text, part = (renderer.render(argument) for argument in arguments)
    before = f"CAST(CHAR_LENGTH(SPLIT_PART({text}, {part}, 1)) AS BIGINT)"
    found = f"CASE WHEN {part} = '' THEN 1 WHEN {before} < CHAR_LENGTH({text}) THEN {before} + 1 ELSE 0 END"
    return unless_null(renderer, arguments, f"({found})")


def _contains(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    """Polars SQL has no CONTAINS, and its STRPOS takes even a literal for a regular expression."""
    part = arguments[1].value if isinstance(arguments[1], Literal) else None
    if isinstance(part, str) and not set(part) & set("%_\\"):
        return f"({renderer.render(arguments[0])} LIKE {quoted('%' + part + '%')})"
    return f"({_position(renderer, arguments)} > 0)"


def _edge(name: str) -> Rule:
    def rule(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
        text, part = (renderer.render(argument) for argument in arguments)
        return unless_null(renderer, arguments[1:], f"{name}({text}, {part})")

    return rule


def _matches(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    parts = [quoted(part) for part in matching(arguments) if part]
    return f"REGEXP_LIKE({renderer.render(arguments[0])}, {', '.join(parts)})"


def _rewritten(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    parts = [quoted(part) for part in replacing(arguments)]
    return f"REGEXP_REPLACE({renderer.render(arguments[0])}, {', '.join(parts)})"


TEXT_RULES: dict[str, Rule] = {
    "trim": _trimmed("BOTH"),
    "ltrim": _trimmed("LEADING"),
    "rtrim": _trimmed("TRAILING"),
    "length": _length,
    "substring": _substring,
    "left": _side("LEFT"),
    "right": _side("RIGHT"),
    "||": _joined,
    "concat": _concat,
    "concat_ws": _concat_ws,
    "replace": _replaced,
    "split_part": _split_part,
    "lpad": _padded("LPAD"),
    "rpad": _padded("RPAD"),
    "starts_with": _edge("STARTS_WITH"),
    "ends_with": _edge("ENDS_WITH"),
    "contains": _contains,
    "strpos": _position,
    "regexp_like": _matches,
    "regexp_replace": _rewritten,
}
