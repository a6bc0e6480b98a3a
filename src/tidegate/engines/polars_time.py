"""Dates and timestamps from text: ISO 8601, strictly, or by a declared format.

Only ISO 8601 is taken without a format: whether 01/02/2020 is in January or in February is not for us to guess.
"""

from __future__ import annotations

import re
from itertools import product

import polars as pl

_CLOCKS = ("%H:%M:%S%.f", "%H:%M:%S", "%H:%M")
_ZONES = ("Z", "%:z", "%z")
_LOCAL_FORMS = (*(f"%Y-%m-%d{separator}{clock}" for separator, clock in product("T ", _CLOCKS)), "%Y-%m-%d")
_ZONED_FORMS = tuple(f"%Y-%m-%d{separator}{clock}{zone}" for separator, clock, zone in product("T ", _CLOCKS, _ZONES))
_ISO = re.compile(
    r"\d{4}-\d\d-\d\d(?:(?P<separator>[T ])(?P<minutes>\d\d:\d\d)(?P<seconds>:\d\d(?P<fraction>\.\d+)?)?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d)?)?"
)


def parsed(
    value: pl.Expr, target: pl.DataType, form: str | None, *, zone: str | None = None, strict: bool = True
) -> pl.Expr:
    """Return text as dates, times or timestamps.

    Args:
        value: The text.
        target: `Date`, `Time` or `Datetime`.
        form: strptime format; ISO 8601 when not given.
        zone: Zone of text without one, where the target is zoned; UTC when not given.
        strict: Whether text that does not fit fails the run; else it is NULL.
    """
    if isinstance(target, pl.Time):
        return value.str.to_time(form, strict=strict)
    if form is not None and isinstance(target, pl.Date):
        return value.str.to_date(form, strict=strict)
    parse = _Parser(target, (form,) if form else None, zone or "UTC", strict=strict)
    return value.map_batches(parse, return_dtype=target, is_elementwise=True)


class _Parser:
    """Parses batches of text; remembers the form that took all of the last batch, to try it first on the next."""

    def __init__(self, target: pl.DataType, forms: tuple[str, ...] | None, zone: str, *, strict: bool) -> None:
        self._target = target
        self._declared = forms
        self._zone = zone
        self._strict = strict
        self._last: str | None = None

    def __call__(self, texts: pl.Series) -> pl.Series:
        """Parse by the first form that takes all texts; texts in several forms take as many passes."""
        if self._last is not None:
            times = _by_form(texts, self._target, self._last, self._zone)
            if times.null_count() == texts.null_count():
                return times
        result: pl.Series | None = None
        for form in self._declared or _forms(texts, self._target):
            times = _by_form(texts, self._target, form, self._zone)
            if times.null_count() == texts.null_count():
                self._last = form
                return times
            result = times if result is None else result.zip_with(result.is_not_null(), times)
            if result.null_count() == texts.null_count():
                return result
        assert result is not None, "there is always a form"  # noqa: S101
        if self._strict:
            bad = texts.filter(result.is_null() & texts.is_not_null())[0]
            msg = f"conversion from `str` to `{self._target}` failed in column '{texts.name}': [{bad!r}]"
            raise pl.exceptions.InvalidOperationError(msg)
        return result


def _forms(texts: pl.Series, target: pl.DataType) -> list[str]:
    """Return the ISO forms to try, that of the first text first."""
    if isinstance(target, pl.Date):
        return ["%Y-%m-%d"]
    forms = [*_LOCAL_FORMS, *(_ZONED_FORMS if isinstance(target, pl.Datetime) and target.time_zone else ())]
    first = _form_of(next(iter(texts.drop_nulls().head(1)), ""))
    return [first, *(form for form in forms if form != first)] if first in forms else forms


def _form_of(text: str) -> str | None:
    """Return the ISO form of one text, by its looks."""
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    if match["minutes"] is None:
        return "%Y-%m-%d"
    clock = "%H:%M:%S%.f" if match["fraction"] else "%H:%M:%S" if match["seconds"] else "%H:%M"
    zone = match["zone"] or ""
    zone_form = "%:z" if ":" in zone else "%z" if zone.startswith(("+", "-")) else zone
    return f"%Y-%m-%d{match['separator']}{clock}{zone_form}"


def _by_form(texts: pl.Series, target: pl.DataType, form: str, zone: str) -> pl.Series:
    if not isinstance(target, pl.Datetime):
        return texts.str.to_date(form, strict=False)
    is_zoned = form.endswith(_ZONES)
    times = texts.str.to_datetime(form, time_unit=target.time_unit, time_zone="UTC" if is_zoned else None, strict=False)
    if target.time_zone is None:
        return times.dt.replace_time_zone(None) if is_zoned else times
    if not is_zoned:
        times = times.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="raise")
    return times.dt.convert_time_zone(target.time_zone)
