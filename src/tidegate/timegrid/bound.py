"""Bounds: the integers, dates and datetimes that ranges run between, and how they compare and travel."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Literal

from tidegate.errors import ConfigurationError
from tidegate.timegrid.zone import existing

Bound = int | date | datetime
"""A place on a line: an integer, a day, or a moment with or without a time zone."""
Direction = Literal["forward", "backward"]
"""The order in which points and windows come."""
Kind = Literal["integer", "date", "datetime without zone", "datetime with zone"]
"""Bounds of one kind compare; those of two kinds do not."""

_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECODERS: dict[str, Callable[[str], Bound]] = {
    "__datetime__": datetime.fromisoformat,
    "__date__": date.fromisoformat,
}


def kind_of(value: object) -> Kind:
    """Return the kind of a bound.

    Raises:
        ConfigurationError: TG623, when the value is none.
    """
    match value:
        case bool():  # before int: True is an int
            pass
        case int():
            return "integer"
        case datetime():  # before date: a datetime is a date
            return "datetime without zone" if value.utcoffset() is None else "datetime with zone"
        case date():
            return "date"
    raise _no_bound(value)


def parse_bound(value: Bound | str) -> Bound:
    """Return the bound that a value or a text says.

    A text is an integer (``1000``, also ``2025``), an ISO 8601 date or an ISO 8601 datetime. Time zones are kept. A
    wall time that the clocks skip is moved to the first moment after the gap.

    Raises:
        ConfigurationError: TG623, when the value is no bound.
    """
    bound = _parse_text(value) if isinstance(value, str) else value
    if kind_of(bound) != "datetime with zone":
        return bound
    try:
        bound = existing(bound)  # type: ignore[arg-type]  # its kind says that it is a datetime
        instant(bound)
    except OverflowError:
        raise _no_bound(value) from None
    return bound


def parse_range(start: Bound | str, end: Bound | str) -> tuple[Bound, Bound]:
    """Return both bounds of a range, of one kind. `start` may be after `end`.

    Raises:
        ConfigurationError: One of them is no bound (TG623), or they are of different kinds (TG624).
    """
    lower, upper = parse_bound(start), parse_bound(end)
    require_same_kind(lower, upper)
    return lower, upper


def require_same_kind(one: Bound, other: Bound) -> None:
    """Refuse bounds that do not compare.

    Raises:
        ConfigurationError: TG624, when they are of different kinds.
    """
    if kind_of(one) != kind_of(other):
        raise ConfigurationError(
            f"{one} ({kind_of(one)}) and {other} ({kind_of(other)}) do not go together",
            {"bounds": [str(one), str(other)]},
            code="TG624",
            hint="give bounds of one kind: two integers, two dates, or two datetimes both with or both without zone",
        )


def instant(bound: Bound) -> Any:
    """Return what bounds of one kind compare by: a datetime with zone in UTC, anything else as it is.

    Python compares datetimes of one zone by wall time, which runs backward when clocks are set back.
    """
    aware = isinstance(bound, datetime) and bound.tzinfo is not None
    return bound.astimezone(UTC) if aware else bound  # type: ignore[union-attr]  # aware implies a datetime


def encode_bound(bound: Bound) -> object:
    """Return the bound as JSON data, tagged where JSON has no type of its own."""
    if isinstance(bound, datetime):
        return {"__datetime__": bound.isoformat()}
    return {"__date__": bound.isoformat()} if isinstance(bound, date) else bound


def decode_bound(data: object) -> Bound:
    """Return the bound that :func:`encode_bound` wrote.

    Raises:
        ValueError: The data is none of its forms.
    """
    if isinstance(data, int) and not isinstance(data, bool):
        return data
    if isinstance(data, dict) and len(data) == 1:
        tag, text = next(iter(data.items()))
        if tag in _DECODERS and isinstance(text, str):
            return _DECODERS[tag](text)
    raise ValueError(data)


def _parse_text(text: str) -> Bound:
    stripped = text.strip()
    try:
        if _INTEGER.fullmatch(stripped):
            return int(stripped)
        try:
            return date.fromisoformat(stripped)
        except ValueError:
            return datetime.fromisoformat(stripped)
    except ValueError:
        raise _no_bound(text) from None


def _no_bound(value: object) -> ConfigurationError:
    return ConfigurationError(
        f"{str(value)[:80]!r} is no bound of a range",
        code="TG623",
        hint="write 2025-01-31, 2025-01-31T06:00, 2025-01-31T06:00+01:00, or an integer",
    )
