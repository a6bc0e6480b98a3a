"""Which rows an API is asked for: the watermark as parameters of a call, and a long range as several calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from math import floor
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tidegate.connections.http_call import Call
from tidegate.errors import ConfigurationError
from tidegate.state.watermark import parse_duration
from tidegate.timegrid import parse_bound, windows

if TYPE_CHECKING:
    from tidegate.models import Source
    from tidegate.models.source import SourceSettings
    from tidegate.sources.base import ColumnWindow
    from tidegate.state.watermark import Value

_INTERVALS = {"hour": (1, "h"), "day": (1, "D"), "month": (1, "M"), "year": (12, "M")}
_ZONE_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NONE, _DAY, _SECOND = timedelta(0), timedelta(days=1), timedelta(seconds=1)
_MILLISECOND, _MICROSECOND = timedelta(milliseconds=1), timedelta(microseconds=1)
_STEPS = {"timestamp_ms": _MILLISECOND, "datetime": _SECOND, "datetime_ms": _MILLISECOND}
"""What a format cannot say exactly; the others are exact to the microsecond, and `date` has days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatermarkParams:
    """How an API is told which rows are wanted.

    Attributes:
        zone: The API's, in which it reads and writes times that name none.
        column: The watermark column.
        lower: Parameter of the value from which rows may be new; None when the API knows none.
        upper: Parameter of the moment up to which rows are wanted; None when the API knows none.
    """

    settings: SourceSettings
    zone: tzinfo
    column: str = ""
    lower: str | None = None
    upper: str | None = None

    @classmethod
    def of(cls, source: Source) -> WatermarkParams:
        """Return those of a source.

        Raises:
            ConfigurationError: what is declared would leave out rows that are new, or contradicts itself (TG250).
        """
        settings = source.settings
        assert source.connection is not None  # noqa: S101 - a source is read with its connection
        mapping = settings.watermark_param_mapping
        if mapping and (len(mapping) > 1 or tuple(mapping) != source.watermark_columns):
            hint = "map the one column of watermark_columns: rows that only a second one shows as new would be left out"
            raise _wrong("watermark_param_mapping does not map the one watermark column", hint)
        column, lower = next(iter(mapping.items()), ("", None))
        unit, upper = settings.watermark_range_interval_unit, settings.watermark_to_param
        if unit and not (lower and upper):
            hint = "declare watermark_param_mapping: {<watermark column>: <parameter>}, and watermark_to_param"
            raise _wrong("watermark_range_interval_unit needs parameters for the start and the end of a range", hint)
        if unit == "hour" and settings.watermark_param_format == "date":
            raise _wrong("watermark_param_format date cannot tell hours", "take days, or a format that has hours")
        _duration(settings.watermark_range_to_exclusive_offset)
        _bound(settings.watermark_range_start)
        zone = _zone(source.connection.settings.watermark_to_param_timezone)
        return cls(settings=settings, zone=zone, column=column, lower=lower, upper=upper)

    def calls(self, call: Call, starts: Mapping[str, Value], window: ColumnWindow | None, now: datetime) -> list[Call]:
        """Return the calls that together read what is wanted, in order; two of them meet where one ends.

        Args:
            call: The call for all rows.
            starts: Watermark column → value from which rows may be new.
            window: What a replay reads.
            now: When the read begins: what comes later is for the next read.
        """
        if window is not None and window.column.lower() == self.column.lower():
            lower, upper = self._widest(window.window.lower, min), self._widest(window.window.upper, max)
        else:
            lower = None if window else self._moment(self._start(starts))
            upper = now.astimezone(self.zone)
        if not (isinstance(lower, datetime) and isinstance(upper, datetime)):
            return [self._call(call, lower, upper, rounds_up=window is not None)]
        if lower >= upper:
            return [self._call(call, lower, None)]  # the API's clock is ahead of ours
        if self.settings.watermark_range_interval_unit is None:
            return [self._call(call, lower, upper, rounds_up=window is not None)]
        count, offset = _INTERVALS[self.settings.watermark_range_interval_unit]
        step = f"{count * self.settings.watermark_range_interval_amount}{offset}"
        *pieces, last = windows(self._floored(lower), upper, step)
        less = _duration(self.settings.watermark_range_to_exclusive_offset)
        return [
            *(self._call(call, piece.lower, piece.upper - less) for piece in pieces),  # type: ignore[operator]  # datetimes
            self._call(call, last.lower, upper, rounds_up=window is not None),
        ]

    def _start(self, starts: Mapping[str, Value]) -> Any:
        """Return the value from which rows may be new; before the first load that which is declared."""
        start = next((value for name, value in starts.items() if name.lower() == self.column.lower()), None)
        return self.settings.watermark_range_start if start is None else start

    def _moment(self, value: Any) -> Any:
        """Return a value of the watermark as a moment in the API's zone; what is no time stays as it is.

        So does what the API wrote itself, as long as it reads that and nothing is to be counted.
        """
        form, counts = self.settings.watermark_param_format, self.settings.watermark_range_interval_unit
        if isinstance(value, str):
            try:
                bound = parse_bound(value)
            except ConfigurationError:
                return value
            return value if form == "iso" and not counts else self._moment(bound)
        if isinstance(value, int | float | Decimal) and form in {"timestamp", "timestamp_ms"}:
            unit = _SECOND if form == "timestamp" else _MILLISECOND
            elapsed = floor(Decimal(value) * (unit // _MICROSECOND)) * _MICROSECOND
            return (_EPOCH + elapsed).astimezone(self.zone)
        if isinstance(value, date) and not isinstance(value, datetime):
            if form == "iso" and not counts:
                return value
            value = datetime.combine(value, time.min)
        if not isinstance(value, datetime):
            return value
        return value.replace(tzinfo=self.zone) if value.tzinfo is None else value.astimezone(self.zone)

    def _widest(self, bound: Any, choose: Any) -> Any:
        """Return a bound of a window; one without a zone may be meant in UTC, or as the API writes times."""
        if isinstance(bound, int):
            return self._moment(bound)
        moment = bound if isinstance(bound, datetime) else datetime.combine(bound, time.min)
        if moment.tzinfo is not None:
            return moment.astimezone(self.zone)
        return choose(moment.replace(tzinfo=zone).astimezone(self.zone) for zone in (UTC, self.zone))

    def _floored(self, moment: datetime) -> datetime:
        """Return a moment at or before this one whose steps the format says exactly."""
        if self.settings.watermark_param_format == "date":
            return moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return moment.replace(microsecond=0)

    def _call(self, call: Call, lower: Any, upper: Any, *, rounds_up: bool = False) -> Call:
        given = {}
        if self.lower and lower is not None:
            given[self.lower] = self._written(lower, rounds_up=False)
        if self.upper and upper is not None:
            given[self.upper] = self._written(upper, rounds_up=rounds_up)
        if self.settings.watermark_param_location == "params" or not given:
            return call.with_params(given)
        if not isinstance(call.body, dict | None):
            raise _wrong("the body has no place for the watermark", "write body as an object")
        return replace(call, body={**(call.body or {}), **given})

    def _written(self, value: Any, *, rounds_up: bool) -> Any:
        """Return a bound as the API reads it; rounded, where it must be, so that no row is left out."""
        if not isinstance(value, datetime):
            return value.isoformat() if isinstance(value, date) else value
        form, value = self.settings.watermark_param_format, value.astimezone(self.zone)
        if form == "date":
            day = value.date()
            return (day + _DAY if rounds_up and value.time() != time.min else day).isoformat()
        step, elapsed = _STEPS.get(form, _MICROSECOND), value - _EPOCH
        elapsed = (-(-elapsed // step) if rounds_up else elapsed // step) * step
        value = (_EPOCH + elapsed).astimezone(self.zone)
        match form:
            case "timestamp":
                return elapsed // _SECOND if not elapsed % _SECOND else elapsed / _SECOND
            case "timestamp_ms":
                return elapsed // _MILLISECOND
            case "datetime" | "datetime_ms":
                wall = value.replace(tzinfo=None)
                if rounds_up and value.fold:  # clocks show it twice, and the API may mean the first time
                    wall += (value.replace(fold=0).utcoffset() or _NONE) - (value.utcoffset() or _NONE)
                return wall.isoformat(timespec="seconds" if form == "datetime" else "milliseconds")
            case _:
                return value.isoformat()


def _duration(text: str | None) -> timedelta:
    """Return how far before the next range one ends, for APIs whose ranges hold their end."""
    if text is None:
        return _NONE
    milliseconds = re.fullmatch(r"(\d+)\s*ms", text.strip().lower())
    duration = int(milliseconds[1]) * _MILLISECOND if milliseconds else parse_duration(text)
    if duration is None:
        raise _wrong(f"watermark_range_to_exclusive_offset {text!r} is no duration", "write 1s, 1ms or 1d")
    return duration


def _bound(text: str | None) -> None:
    try:
        parse_bound(text or 0)
    except ConfigurationError as error:
        raise _wrong(f"watermark_range_start: {error.message}", error.hint or "") from None


def _zone(text: str) -> tzinfo:
    if match := _ZONE_OFFSET.fullmatch(text.strip()):
        span = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return timezone(span if match[1] == "+" else -span)
    try:
        return UTC if text.upper() in {"UTC", "Z"} else ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        hint = "write a name such as Europe/Rome, or an offset such as +07:00"
        raise _wrong(f"watermark_to_param_timezone {text!r} is no time zone", hint) from None


def _wrong(message: str, hint: str) -> ConfigurationError:
    return ConfigurationError(message, code="TG250", hint=hint)
