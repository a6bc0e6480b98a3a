"""Half-open windows of time and integers, and the calendars that they are cut by."""

from tidegate.timegrid.bound import Bound, Direction, decode_bound, encode_bound, parse_bound
from tidegate.timegrid.calendar import (
    BaseCalendar,
    BusinessCalendar,
    DayCalendar,
    IntervalCalendar,
    calendar_of,
    calendar_registry,
)
from tidegate.timegrid.chunks import chunks
from tidegate.timegrid.interval import Interval
from tidegate.timegrid.window import CalendarLike, Window, point_windows, points, windows
from tidegate.timegrid.window_set import WindowSet

__all__ = [
    "BaseCalendar",
    "Bound",
    "BusinessCalendar",
    "CalendarLike",
    "DayCalendar",
    "Direction",
    "Interval",
    "IntervalCalendar",
    "Window",
    "WindowSet",
    "calendar_of",
    "calendar_registry",
    "chunks",
    "decode_bound",
    "encode_bound",
    "parse_bound",
    "point_windows",
    "points",
    "windows",
]
