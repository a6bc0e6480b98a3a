"""Look-back: where a read starts, and that rows which it meets again are not loaded twice."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.behaviour.project import Project
from tidegate import DataFlow
from tidegate.models.connection import LookBack
from tidegate.sources.look_back import declared_look_back, look_back_start

NUMBERS = st.integers(0, 40)
RULES = st.builds(
    LookBack,
    days=NUMBERS,
    hours=NUMBERS,
    months=NUMBERS,
    years=st.integers(0, 3),
    closing_day=st.none() | st.integers(1, 31),
)
MOMENTS = st.datetimes(timezones=st.sampled_from([None, UTC]))


def looking_back(flow: DataFlow, *, shared: dict[str, Any] | None = None, **own: Any) -> DataFlow:
    """Return the flow with a look-back of its source, and of its connection."""
    source = flow.source
    assert source.connection is not None
    connection = source.connection.model_copy(update={"configure": {**source.connection.configure, **(shared or {})}})
    changed = source.model_copy(update={"connection": connection, "configure": {**source.configure, **own}})
    return flow.model_copy(update={"source": changed})


class TestStart:
    """The function of a watermark and the rules."""

    @pytest.mark.parametrize(
        ("value", "rules", "start"),
        [
            ("2026-03-10", {"days": 3}, "2026-03-07"),
            ("2026-03-10", {"hours": 1}, "2026-03-09"),
            ("2026-03-10T01:00", {"hours": 2}, "2026-03-09T23:00"),
            ("2026-03-31", {"months": 1}, "2026-02-28"),
            ("2024-02-29", {"years": 1}, "2023-02-28"),
            ("2026-03-31", {"months": 1, "days": 1}, "2026-02-27"),
            ("2026-03-05", {"closing_day": 5}, "2026-02-01"),
            ("2026-03-06", {"closing_day": 5}, "2026-03-01"),
            ("2026-01-01T12:00", {"closing_day": 5}, "2025-12-01T00:00"),
            ("2026-03-06", {"closing_day": 5, "months": 2, "years": 1}, "2025-01-01"),
            ("0001-02-03T04:05", {"years": 1}, "0001-01-01T00:00"),
        ],
    )
    def test_by_example(self, value: str, rules: dict[str, int], start: str) -> None:
        """Dates, times, ends of months, and the first of all days."""
        read = datetime.fromisoformat if "T" in value else date.fromisoformat
        assert look_back_start(read(value), LookBack(**rules)) == read(start)

    @given(MOMENTS, RULES)
    def test_it_is_never_later(self, value: datetime, rules: LookBack) -> None:
        """Nor of another zone."""
        start = look_back_start(value, rules)
        assert start <= value
        assert start.tzinfo == value.tzinfo

    @given(st.dates(), st.dates(), RULES)
    def test_of_dates_the_later_one_starts_no_earlier(self, one: date, other: date, rules: LookBack) -> None:
        """So a position that moves on never looks farther back."""
        one, other = sorted((one, other))
        assert look_back_start(one, rules) <= look_back_start(other, rules)

    @given(MOMENTS, RULES)
    def test_a_date_starts_no_later_than_its_times(self, value: datetime, rules: LookBack) -> None:
        """Whole days are taken, more rather than less."""
        midnight = value.replace(hour=0, minute=0, second=0, microsecond=0)
        assert look_back_start(value.date(), rules) <= look_back_start(midnight, rules).date()

    @given(st.datetimes(min_value=datetime(2, 1, 1)), st.integers(1, 31))  # noqa: DTZ001 - any will do
    def test_a_closing_day_against_its_words(self, value: datetime, closing: int) -> None:
        """Up to the day the first of the month before, later the first of this month."""
        first = value.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        before = first - timedelta(days=1)
        expected = before.replace(day=1) if value.day <= closing else first
        assert look_back_start(value, LookBack(closing_day=closing)) == expected

    @given(st.dates(min_value=date(200, 1, 1)), st.integers(0, 1200))
    def test_months_against_counting(self, value: date, months: int) -> None:
        """One at a time, the day being cut to the last month alone."""
        year, month = value.year, value.month
        for _ in range(months):
            year, month = (year - 1, 12) if month == 1 else (year, month - 1)
        expected = date(year, month, min(value.day, monthrange(year, month)[1]))
        assert look_back_start(value, LookBack(months=months)) == expected


class TestDeclared:
    @pytest.mark.parametrize(
        ("shared", "own", "rules"),
        [
            ({}, {}, None),
            ({"backward_days": 3}, {}, LookBack(days=3)),
            ({"backward": {"months": 1}}, {}, LookBack(months=1)),
            ({"backward_days": 3, "backward_hours": 1}, {"backward_months": 1}, LookBack(months=1)),
            ({"backward_days": 3}, {"backward": {"closing_day": 5}}, LookBack(closing_day=5)),
            ({"backward_days": 3}, {"backward_days": 0}, None),
            ({"backward_days": 3}, {"backward": {}}, None),
        ],
    )
    def test_that_of_the_source_takes_the_place_of_that_of_its_connection(
        self, project: Project, shared: dict[str, Any], own: dict[str, Any], rules: LookBack | None
    ) -> None:
        """As a whole, in either form; none takes it away."""
        assert declared_look_back(looking_back(project.flow(), shared=shared, **own).source) == rules


class TestReads:
    def test_late_rows_arrive_and_none_twice(self, project: Project) -> None:
        """An append recognises what it loaded; what lies before the look-back stays out."""
        project.csv("events.csv", "id,at", "1,2026-03-10T00:00:00Z", "2,2026-03-08T12:00:00Z")
        flow = looking_back(project.flow(watermark="at", hints={"at": "timestamp"}), backward_days=2)
        project.load(flow)
        project.more("events.csv", "3,2026-03-08T00:00:00Z", "4,2026-03-07T23:59:59Z", "5,2026-03-10T00:00:00Z")
        assert project.load(flow).rows_out == 2
        assert project.load(flow).rows_out == 0
        assert project.rows(flow, "id") == [1, 2, 3, 5]

    @pytest.mark.parametrize("load_type", ["append", "merge_upsert"])
    def test_again_and_again(self, project: Project, load_type: str) -> None:
        """A month is read anew with each load, and stands in the table once."""
        header = "id,day"
        project.csv("events.csv", header, "0,2026-03-01")
        keys = {"keys": ["id"]} if load_type == "merge_upsert" else {}
        base = project.flow(watermark="day", hints={"day": "date"}, load_type=load_type, **keys)
        flow = looking_back(base, backward_closing_day=5)
        project.load(flow)
        for number in range(1, 12):
            project.more("events.csv", f"{number},2026-03-{number:02}", f"{100 + number},2026-03-01")
            project.load(flow)
        assert project.rows(flow, "id") == [*range(12), *range(101, 112)]

    def test_a_closed_month_is_not_read(self, project: Project) -> None:
        """After the closing day, the month before is done."""
        project.csv("events.csv", "id,day", "1,2026-03-05")
        flow = looking_back(project.flow(watermark="day", hints={"day": "date"}), backward={"closing_day": 5})
        project.load(flow)
        project.more("events.csv", "2,2026-02-01", "3,2026-01-31", "4,2026-03-06")
        project.load(flow)
        project.more("events.csv", "5,2026-02-28", "6,2026-03-01")
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2, 4, 6]

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        batches=st.lists(st.lists(st.dates(date(2026, 1, 1), date(2026, 4, 30)), max_size=6), min_size=1, max_size=5),
        rules=st.builds(
            LookBack, days=st.integers(0, 20), months=st.integers(0, 1), closing_day=st.none() | st.integers(1, 31)
        ),
    )
    def test_an_append_takes_what_the_rules_reach_once(
        self, tmp_path_factory: pytest.TempPathFactory, batches: list[list[date]], rules: LookBack
    ) -> None:
        """Against a count of which rows lie at or after where the read starts."""
        project = Project(tmp_path_factory.mktemp("project"))
        project.csv("events.csv", "id,day", "0,2026-03-01")
        base = project.flow(watermark="day", hints={"day": "date"})
        flow = looking_back(base, backward=rules.model_dump(exclude_none=True))
        project.load(flow)
        reached, expected, number = date(2026, 3, 1), [0], 0
        for batch in batches:
            rows = list(enumerate(batch, number + 1))
            number += len(batch)
            project.more("events.csv", *(f"{row},{day}" for row, day in rows))
            expected += [row for row, day in rows if day >= look_back_start(reached, rules)]
            reached = max([reached, *batch])
            project.load(flow)
        assert project.rows(flow, "id") == expected

    def test_besides_a_lag(self, project: Project) -> None:
        """The read starts before both together."""
        project.csv("events.csv", "id,day", "1,2026-03-10")
        flow = looking_back(project.flow(watermark="day", hints={"day": "date"}, lag="1d"), backward_days=2)
        project.load(flow)
        project.more("events.csv", "2,2026-03-07", "3,2026-03-06")
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2]

    def test_declared_after_the_first_load_it_doubles_nothing(self, project: Project) -> None:
        """An append goes back only as far as it remembers rows."""
        project.csv("events.csv", "id,day", "1,2026-03-10", "2,2026-03-09")
        flow = project.flow(watermark="day", hints={"day": "date"})
        project.load(flow)
        project.more("events.csv", "3,2026-03-10")
        later = looking_back(flow, backward_days=30)
        project.load(later)
        assert project.rows(flow, "id") == [1, 2, 3]

    def test_it_moves_dates_and_times_alone(self, project: Project) -> None:
        """A number has no days; the plan says so."""
        project.csv("events.csv", "id,at", "1,5")
        flow = looking_back(project.flow(watermark="at"), shared={"backward_days": 3})
        project.load(flow)
        project.more("events.csv", "2,4", "3,6")
        notes = project.plan(flow)["notes"]
        assert notes == ["the look-back moves dates and times, not at; watermark_lag moves numbers"]
        project.load(flow)
        assert project.rows(flow, "id") == [1, 3]

    def test_files_before_it_are_not_opened(self, project: Project) -> None:
        """Their statistics say so; those within are."""
        flow = looking_back(project.flow(format="parquet", watermark="day"), backward_days=2)
        project.parquet("events/a.parquet", {"id": [1], "day": [date(2026, 3, 10)]})
        project.load(flow)
        project.parquet("events/b.parquet", {"id": [2], "day": [date(2026, 3, 8)]})
        project.parquet("events/c.parquet", {"id": [3], "day": [date(2026, 3, 7)]})
        (read, *_) = project.plan(flow)["steps"]
        assert (read["files"], read["older by statistics"]) == (1, 1)
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2]
