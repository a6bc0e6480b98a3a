"""The forms that a function has in several dialects, brought to one, and the arguments that must be literals."""

from __future__ import annotations

from collections.abc import Callable

from tidegate.expressions.errors import unavailable
from tidegate.expressions.literals import unit_of
from tidegate.expressions.nodes import Call, Column, Literal, Node, show
from tidegate.expressions.patterns import portable_pattern, time_format

_MAX_DIGITS = 18
_MAX_LENGTH = 2**31 - 1


def shaped(name: str, arguments: tuple[Node, ...]) -> Node:
    """Return the call of a function in its one form.

    Raises:
        MetadataError: engines read these arguments differently, or need a literal for one of them (TG109).
    """
    if name == "if":
        condition, value, *default = arguments
        return Call("case", (condition, value, default[0] if default else Literal(None, "null")))
    if name in {"dateadd", "date_trunc"}:
        arguments = (_unit(name, arguments[0]), *arguments[1:])
    if name == "datediff":
        arguments = _difference(arguments)
    if (check := _CHECKS.get(name)) is not None:
        check(arguments)
    return Call(name, arguments)


def _difference(arguments: tuple[Node, ...]) -> tuple[Node, ...]:
    match arguments:
        case (end, start):  # as Spark and MySQL write it
            return Literal("day", "text"), start, end
        case (unit, start, end):
            word = _unit("datediff", unit)
            if word.value == "week":
                message = "datediff counts weeks from Monday, from Sunday or in sevens of days, as the engine likes"
                raise unavailable(message, hint="write floor(datediff('day', a, b) / 7)")
            return word, start, end
        case _:
            raise ValueError(arguments)


def _unit(name: str, node: Node) -> Literal:
    word = node.name if isinstance(node, Column) else node.value if isinstance(node, Literal) else None
    unit = unit_of(word) if isinstance(word, str) else None
    if unit is None or unit in {"millisecond", "microsecond"}:
        hint = "year, quarter, month, week, day, hour, minute, second"
        raise unavailable(f"{name} takes a unit first, not {show(node)}", hint=hint)
    return Literal(unit, "text")


def literal_text(node: Node, what: str) -> str:
    """Return the text of a literal argument.

    Raises:
        MetadataError: the argument is computed, and engines take a literal here (TG109).
    """
    if isinstance(node, Literal) and isinstance(node.value, str):
        return node.value
    raise unavailable(f"{what} must be a text in quotes, not {show(node)}")


def literal_integer(node: Node, what: str, least: int, most: int) -> int:
    """Return the value of a literal argument.

    Raises:
        MetadataError: the argument is computed or out of range (TG109).
    """
    if isinstance(node, Literal) and type(node.value) is int and least <= node.value <= most:
        return node.value
    raise unavailable(f"{what} must be a whole number from {least} to {most}, not {show(node)}")


def is_constant(node: Node) -> bool:
    """Say whether a node is a literal other than NULL."""
    return isinstance(node, Literal) and node.value is not None


def matching(arguments: tuple[Node, ...]) -> tuple[str, str]:
    """Return the portable pattern and the flags of regexp_like."""
    pattern = portable_pattern(literal_text(arguments[1], "a regular expression"))
    flags = "".join(literal_text(node, "the flags of a regular expression") for node in arguments[2:])
    if flags not in {"", "i"}:
        raise unavailable(f"regexp_like knows the flag 'i', not {flags!r}")
    return pattern, flags


def replacing(arguments: tuple[Node, ...]) -> tuple[str, str, str]:
    """Return portable pattern, replacement and flags of regexp_replace."""
    pattern = portable_pattern(literal_text(arguments[1], "a regular expression"))
    replacement = literal_text(arguments[2], "the replacement of regexp_replace")
    flags = "".join(literal_text(node, "the flags of a regular expression") for node in arguments[3:])
    if not flags:
        message = "regexp_replace without flags replaces every match in Spark, and only the first in DuckDB"
        raise unavailable(message, hint="add 'g' as the fourth argument: every match")
    if flags not in {"g", "gi", "ig"}:
        hint = "'g' replaces every match, 'gi' without regard to case"
        raise unavailable(f"regexp_replace needs the flag 'g', not {flags!r}", hint=hint)
    position = replacement.find("\\")
    while position >= 0:
        following = replacement[position + 1 : position + 2]
        if not following.isdigit() and following != "\\":
            raise unavailable(f"{replacement!r} has a backslash before something other than a group's number")
        position = replacement.find("\\", position + 2)
    return pattern, replacement, "".join(sorted(flags))


def writing_format(arguments: tuple[Node, ...]) -> str:
    """Return the format of strftime, in strftime's words."""
    return time_format(literal_text(arguments[1], "a time format"), reading=False)


def reading_format(arguments: tuple[Node, ...]) -> str | None:
    """Return the format by which to_timestamp reads, or None for ISO."""
    if len(arguments) == 1:
        return None
    pattern = time_format(literal_text(arguments[1], "a time format"), reading=True)
    if "%Y" not in pattern:
        raise unavailable(f"time format {pattern!r} has no year", hint="add %Y, or write the year before the text")
    if "%f" in pattern.replace(".%f", ""):
        raise unavailable(f"time format {pattern!r} has a fraction without a point", hint="write .%f")
    return pattern


def filling(arguments: tuple[Node, ...]) -> str:
    """Return the character with which lpad and rpad fill."""
    fill = "".join(literal_text(node, "the filling of lpad and rpad") for node in arguments[2:]) or " "
    if len(fill) != 1 or (arguments[2:] and literal_text(arguments[2], "") == ""):
        raise unavailable(f"lpad and rpad fill with one character, not {show(arguments[2])}: Polars knows no more")
    _check_count(arguments[1], "the length of lpad and rpad")
    return fill


def trimming(arguments: tuple[Node, ...]) -> str | None:
    """Return the characters that are trimmed, or None for spaces."""
    return literal_text(arguments[1], "the characters to trim") if len(arguments) > 1 else None


def digits(arguments: tuple[Node, ...]) -> int:
    """Return the number of decimals to round to."""
    return literal_integer(arguments[1], "the digits of round", 0, _MAX_DIGITS) if len(arguments) > 1 else 0


def _check_count(node: Node, what: str) -> None:
    if is_constant(node):
        literal_integer(node, what, 0, _MAX_LENGTH)


def _check_substring(arguments: tuple[Node, ...]) -> None:
    _, start, *length = arguments
    if isinstance(start, Literal) and start.value == 0:
        message = "substring starts at 0, which is the first character in Spark and none in DuckDB"
        raise unavailable(message, hint="start at 1")
    for node in length:
        _check_count(node, "the length of substring")


_CHECKS: dict[str, Callable[[tuple[Node, ...]], object]] = {
    "regexp_like": matching,
    "regexp_replace": replacing,
    "strftime": writing_format,
    "to_timestamp": reading_format,
    "lpad": filling,
    "rpad": filling,
    "trim": trimming,
    "ltrim": trimming,
    "rtrim": trimming,
    "round": digits,
    "substring": _check_substring,
    "replace": lambda arguments: literal_text(arguments[1], "what replace searches"),
    "concat_ws": lambda arguments: literal_text(arguments[0], "the separator of concat_ws"),
}
