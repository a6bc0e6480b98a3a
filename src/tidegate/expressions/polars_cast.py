"""Casts as Polars SQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tidegate.expressions.kinds import kind_of_word
from tidegate.expressions.nodes import Cast, Kind
from tidegate.expressions.rendering import Renderer

TRUE_WORDS = ("true", "t", "yes", "y", "1")
FALSE_WORDS = ("false", "f", "no", "n", "0")

_DAY = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?"
_OFFSET = "(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?"
DATE_SHAPE = f"^{_DAY}([ T]{_CLOCK}{_OFFSET})?$"
"""Text that is a date, ISO: a clock after it is allowed and left out, as DuckDB does."""

WHITESPACE = " \t\n\v\f\r"
"""What is taken away around a number or date before it is read."""

_MAX_PRECISION = 38
_SPARE_DIGITS = 10

Half = Callable[[str, int], str]


class _Target(NamedTuple):
    """The engine's word for the type, and whether what cannot be converted is NULL."""

    word: str
    lenient: bool


def rendered_cast(renderer: Renderer, cast: Cast, kind: Kind, half_away: Half) -> str:
    """Return a conversion of a value of a known kind."""
    target = kind_of_word(cast.target)
    text = renderer.render(cast.operand)
    word = renderer.type_word(cast.target)
    verb = "TRY_CAST" if cast.lenient else "CAST"
    if kind == "text" and target in _FROM_TEXT:
        return _FROM_TEXT[target](text, _Target(word, cast.lenient))
    if target == "decimal" and kind in {"decimal", "float"}:
        scale = int(cast.target.removesuffix(")").partition(",")[2])
        number = f"ROUND({text}, {scale})" if kind == "decimal" else half_away(text, scale)
        if cast.lenient and kind == "float":
            number = _fitting(number, cast.target)
        return f"{verb}({number} AS {word})"
    if target == "decimal" and kind == "boolean":
        return f"CAST(CAST({text} AS BIGINT) AS {word})"
    if target == "decimal" and kind == "text":
        return _decimal(text, cast.target, verb)
    if target == "text" and kind == "timestamp":
        stamp = f"STRFTIME({text}, '%Y-%m-%d %H:%M:%S.%6f')"
        return f"REGEXP_REPLACE({stamp}, '[.]?0+$', '')"
    return f"{verb}({text} AS {word})"


def _fitting(number: str, target: str) -> str:
    """Make a float that does not fit NULL: Polars fails even for TRY_CAST."""
    precision, _, scale = target.removeprefix("decimal(").removesuffix(")").partition(",")
    return f"CASE WHEN ABS({number}) < 1e{int(precision) - int(scale)} THEN {number} END"


def _trim(text: str) -> str:
    return f"TRIM(BOTH '{WHITESPACE}' FROM {text})"


def _number(text: str, target: _Target) -> str:
    """Polars reads no number that has spaces around it."""
    return f"{'TRY_CAST' if target.lenient else 'CAST'}({_trim(text)} AS {target.word})"


def _decimal(text: str, target: str, verb: str) -> str:
    """Polars rounds surplus digits to even: read more of them, then round a half away from zero."""
    precision, scale = (int(part) for part in target.removeprefix("decimal(").removesuffix(")").split(","))
    wide = min(scale + _SPARE_DIGITS, _MAX_PRECISION)
    is_roomy = wide <= _MAX_PRECISION - (precision - scale)
    trimmed, word = _trim(text), f"DECIMAL({precision},{scale})"
    read = f"{verb if is_roomy else 'TRY_CAST'}({trimmed} AS DECIMAL({_MAX_PRECISION},{wide}))"
    rounded = f"{verb}(ROUND({read}, {scale}) AS {word})"
    return rounded if is_roomy else f"COALESCE({rounded}, {verb}({trimmed} AS {word}))"


def _boolean(text: str, target: _Target) -> str:
    """Polars reads no boolean from text. A word that is none fails as a number, which names it."""
    yes, no = (", ".join(f"'{word}'" for word in words) for words in (TRUE_WORDS, FALSE_WORDS))
    otherwise = "NULL" if target.lenient else f"CONCAT('not a boolean: ', {text})"
    cases = (
        f"WHEN {text} IS NULL THEN NULL WHEN LOWER({text}) IN ({yes}) THEN '1' WHEN LOWER({text}) IN ({no}) THEN '0'"
    )
    return f"CAST(CAST(CASE {cases} ELSE {otherwise} END AS INTEGER) AS BOOLEAN)"


def _date(text: str, target: _Target) -> str:
    """Polars guesses the format of a literal, and reads no column."""
    trimmed = _trim(text)
    shaped = f"REGEXP_LIKE({trimmed}, '{DATE_SHAPE}')"
    if not target.lenient:
        return f"DATE(CASE WHEN {shaped} THEN SUBSTR({trimmed}, 1, 10) ELSE {trimmed} END, '%Y-%m-%d')"
    day, is_day = _lenient_day(trimmed, shaped)
    return f"CASE WHEN {is_day} THEN {day} END"


def _lenient_day(trimmed: str, shaped: str) -> tuple[str, str]:
    """Return a day, and the test that it exists: day 30 after the first of February lies in March."""
    first = f"DATE(CASE WHEN {shaped} THEN CONCAT(SUBSTR({trimmed}, 1, 7), '-01') END, '%Y-%m-%d')"
    day = f"({first} + (TRY_CAST(SUBSTR({trimmed}, 9, 2) AS BIGINT) - 1) * INTERVAL '1 day')"
    return day, f"EXTRACT(MONTH FROM {day}) = EXTRACT(MONTH FROM {first})"


def _timestamp(text: str, target: _Target) -> str:
    """Read the wall time; an offset after it is left out, as DuckDB and Spark do."""
    return f"STRPTIME({_complete(text, lenient=target.lenient, with_zone=False)}, '%Y-%m-%d %H:%M:%S%.f')"


def _instant(text: str, target: _Target) -> str:
    """Read the instant; without an offset it is UTC."""
    return f"STRPTIME({_complete(text, lenient=target.lenient, with_zone=True)}, '%Y-%m-%d %H:%M:%S%.f%z')"


def _complete(text: str, *, lenient: bool, with_zone: bool) -> str:
    """Complete the text to date, time with seconds, and offset."""
    trimmed = _trim(text)
    shaped = f"REGEXP_LIKE({trimmed}, '{DATE_SHAPE}')"
    clock = f"SUBSTR({trimmed}, 12)"
    time = f"REGEXP_REPLACE({clock}, '[Z+-].*$', '')"
    offset = f"REGEXP_REPLACE({clock}, '^[0-9:.]+', '')"
    seconds = (
        f"CASE WHEN {time} = '' THEN '00:00:00' WHEN CHAR_LENGTH({time}) = 5 THEN CONCAT({time}, ':00') ELSE {time} END"
    )
    zone = (
        f"CASE WHEN {offset} IN ('', 'Z') THEN '+00:00' "
        f"WHEN CHAR_LENGTH({offset}) = 3 THEN CONCAT({offset}, ':00') ELSE {offset} END"
    )
    complete = f"CONCAT(SUBSTR({trimmed}, 1, 10), ' ', {seconds}{', ' + zone if with_zone else ''})"
    if lenient:
        _, is_day = _lenient_day(trimmed, shaped)
        return f"CASE WHEN {is_day} THEN {complete} END"
    return f"CASE WHEN {shaped} THEN {complete} ELSE {trimmed} END"


_FROM_TEXT: dict[Kind, Callable[[str, _Target], str]] = {
    "integer": _number,
    "float": _number,
    "boolean": _boolean,
    "date": _date,
    "timestamp": _timestamp,
    "timestamp_utc": _instant,
}
