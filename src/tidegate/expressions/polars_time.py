"""Dates, times and spans as Polars SQL."""

from __future__ import annotations

from collections.abc import Callable

from tidegate.expressions.calls import literal_text, reading_format, writing_format
from tidegate.expressions.errors import unavailable
from tidegate.expressions.kinds import kind_of
from tidegate.expressions.nodes import Interval, Literal, Node, show
from tidegate.expressions.rendering import Renderer, quoted

Rule = Callable[[Renderer, tuple[Node, ...]], str]

_CLOCK = frozenset({"hour", "minute", "second", "epoch"})
_CLOCK_SPECIFIERS = ("%H", "%I", "%M", "%S", "%f", "%p")
_FIELDS = {
    "year": "YEAR",
    "quarter": "QUARTER",
    "month": "MONTH",
    "week": "WEEK",
    "day": "DAY",
    "dayofyear": "DOY",
}
_FIELDS |= {"isodow": "ISODOW", "hour": "HOUR", "minute": "MINUTE", "second": "SECOND"}


def _extracted(part: str) -> Rule:
    """Polars gives fields in 8 bits: `hour(t) * 60` would wrap around. It has no hour of a date."""

    def rule(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
        return _field(part, _with_clock(renderer, arguments[0]) if part in _CLOCK else renderer.render(arguments[0]))

    return rule


def _field(part: str, moment: str) -> str:
    return f"CAST(EXTRACT({_FIELDS[part]} FROM {moment}) AS BIGINT)"


def _with_clock(renderer: Renderer, node: Node) -> str:
    text = renderer.render(node)
    return f"CAST({text} AS TIMESTAMP)" if kind_of(node) == "date" else text


def _epoch(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    return f"EXTRACT(EPOCH FROM {_with_clock(renderer, arguments[0])})"


def _day(renderer: Renderer, node: Node) -> str:
    text = renderer.render(node)
    return text if kind_of(node) == "date" else f"CAST({text} AS DATE)"


def _days(amount: str, *, back: bool = False) -> str:
    return f"{'-' if back else '+'} {amount} * INTERVAL '1 day'"


def _truncated(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    """Polars SQL truncates no column: it asks for the type and cannot tell. So the fields are taken away."""
    unit = literal_text(arguments[0], "the unit of date_trunc")
    kind = renderer.known(arguments[1], "date_trunc")
    result = _start_of(unit, _day(renderer, arguments[1]), _with_clock(renderer, arguments[1]))
    return f"CAST({result} AS TIMESTAMPTZ)" if kind == "timestamp_utc" else result


def _start_of(unit: str, day: str, moment: str) -> str:
    midnight = f"CAST({day} AS TIMESTAMP)"
    if unit in {"hour", "minute", "second"}:
        parts = ("hour", "minute", "second")
        kept = parts[: parts.index(unit) + 1]
        return "(" + " + ".join([midnight, *(f"{_field(part, moment)} * INTERVAL '1 {part}'" for part in kept)]) + ")"
    if unit == "quarter":
        month = _start_of("month", day, moment)
        offset = f"(({_field('month', day)} - 1) % 3)"
        first, second = (f"{month} - INTERVAL '{number} months'" for number in (1, 2))
        return f"CASE WHEN {offset} = 1 THEN {first} WHEN {offset} = 2 THEN {second} ELSE {month} END"
    counted = {"week": "isodow", "month": "day", "year": "dayofyear"}
    if unit not in counted:
        return midnight
    return f"({midnight} {_days(f'({_field(counted[unit], day)} - 1)', back=True)})"


def _difference(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    """Count the boundaries crossed between two moments; Polars SQL has no DATEDIFF."""
    unit = literal_text(arguments[0], "the unit of datediff")
    start, end = (_ordinal(unit, renderer, node) for node in arguments[1:])
    return f"({end} - {start})"


def _ordinal(unit: str, renderer: Renderer, node: Node) -> str:
    day = _day(renderer, node)
    number = f"CAST({day} AS BIGINT)"  # days since 1970-01-01
    if unit == "day":
        return number
    if unit in {"hour", "minute", "second"}:
        moment = _with_clock(renderer, node)
        ordinal = f"({number} * 24 + {_field('hour', moment)})"
        if unit != "hour":
            ordinal = f"({ordinal} * 60 + {_field('minute', moment)})"
        return f"({ordinal} * 60 + {_field('second', moment)})" if unit == "second" else ordinal
    year = _field("year", day)
    if unit == "year":
        return year
    return f"({year} * {12 if unit == 'month' else 4} + {_field(unit, day)})"


def _moved(*, back: bool) -> Rule:
    def rule(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
        count = f"CAST({renderer.render(arguments[1])} AS BIGINT)"
        return f"({_day(renderer, arguments[0])} {_days(count, back=back)})"

    return rule


def add_or_subtract(renderer: Renderer, operator: str, arguments: tuple[Node, ...]) -> str:
    """Add a span to a moment, or subtract a span or a moment from it.

    A date with a span is a timestamp by now; Polars would keep the date and drop the hours.
    """
    renderer.known(arguments[0], "adding an interval")
    one, other = arguments
    text = renderer.render(one)
    if isinstance(other, Literal) and isinstance(other.value, Interval):
        value = other.value
        parts = (value.months, value.days, value.microseconds)
        if any(part < 0 for part in parts):
            if any(part > 0 for part in parts):
                raise unavailable(f"{show(other)} goes forth and back at once", hint="add two intervals")
            flipped = Interval(-value.months, -value.days, -value.microseconds)
            return f"({text} {'-' if operator == '+' else '+'} {renderer.literal(flipped)})"
    return f"({text} {operator} {renderer.render(other)})"


def span(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    """A number of spans of fixed length."""
    count, one = arguments
    value = one.value if isinstance(one, Literal) else None
    if not isinstance(value, Interval):
        raise TypeError(arguments)
    sign = ""
    if value.days < 0 or value.microseconds < 0:
        value, sign = Interval(0, -value.days, -value.microseconds), "-1 * "
    return f"({sign}CAST({renderer.render(count)} AS BIGINT) * {renderer.literal(value)})"


def _formatted(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    """Polars writes %f in nine digits, and no clock for a date."""
    pattern = writing_format(arguments)
    has_clock = any(specifier in pattern for specifier in _CLOCK_SPECIFIERS)
    moment = _with_clock(renderer, arguments[0]) if has_clock else renderer.render(arguments[0])
    return f"STRFTIME({moment}, {quoted(pattern.replace('%f', '%6f'))})"


def _read(renderer: Renderer, arguments: tuple[Node, ...]) -> str:
    """Polars reads %f as nanoseconds; %.f reads the fraction with its point. It skips no spaces."""
    pattern = (reading_format(arguments) or "").replace(".%f", "%.f")
    return f"STRPTIME(TRIM({renderer.render(arguments[0])}), {quoted(pattern)})"


def _today(renderer: Renderer, _: tuple[Node, ...]) -> str:
    return renderer.literal(renderer.now.date())


def _now(renderer: Renderer, _: tuple[Node, ...]) -> str:
    return renderer.literal(renderer.now)


TIME_RULES: dict[str, Rule] = {
    **{part: _extracted(part) for part in _FIELDS},
    "epoch": _epoch,
    "date_trunc": _truncated,
    "datediff": _difference,
    "date_add": _moved(back=False),
    "date_sub": _moved(back=True),
    "strftime": _formatted,
    "to_timestamp": _read,
    "current_date": _today,
    "current_timestamp": _now,
}
