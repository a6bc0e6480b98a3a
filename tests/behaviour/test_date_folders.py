"""Dated folders: which are looked into, and that no row of the others is lost in silence."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from tests.behaviour.project import Project
from tests.behaviour.test_look_back import looking_back
from tidegate import DataFlow
from tidegate.models.date_folders import DateFolders
from tidegate.orchestration.positions import at_start, at_values, move
from tidegate.platforms import platform_registry
from tidegate.platforms.local import LocalPlatform
from tidegate.platforms.s3 import S3Platform
from tidegate.sources.date_folders import DatedListing

DAILY = "{year}/{month}/{day}"


def dated(project: Project, pattern: str = DAILY, *, back: dict[str, Any] | None = None, **options: Any) -> DataFlow:
    """Declare a flow over dated folders."""
    return looking_back(project.flow(**options), shared={"date_folder_partitions": pattern}, **(back or {}))


@pytest.fixture
def looked_into(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The folders whose names, or files, were asked for."""
    seen: set[str] = set()
    for method in ("names_in", "files_below"):
        original = getattr(LocalPlatform, method)

        def wrapped(self: LocalPlatform, path: str, original: Any = original) -> Any:
            seen.add(path)
            return original(self, path)

        monkeypatch.setattr(LocalPlatform, method, wrapped)
    return seen


class TestPattern:
    @pytest.mark.parametrize(
        ("pattern", "folders", "lower", "upper"),
        [
            (DAILY, "2026", "2026-01-01", "2027-01-01"),
            (DAILY, "2026/3", "2026-03-01", "2026-04-01"),
            (DAILY, "2026/12", "2026-12-01", "2027-01-01"),
            (DAILY, "2026/03/31", "2026-03-31", "2026-04-01"),
            (f"{DAILY}/{{hour}}", "2026/03/31/23", "2026-03-31T23", "2026-04-01"),
            ("{year}{month}{day}", "20260331", "2026-03-31", "2026-04-01"),
            ("dt={year}-{month}-{day}", "dt=2026-3-1", "2026-03-01", "2026-03-02"),
            ("{day}.{month}.{year}", "01.03.2026", "2026-03-01", "2026-03-02"),
            ("year={year}/month={month}", "year=2026/month=03", "2026-03-01", "2026-04-01"),
            ("{year}/{year}-{month}", "2026/2026-03", "2026-03-01", "2026-04-01"),
            ("data/{year}", "data/2026", "2026-01-01", "2027-01-01"),
        ],
    )
    def test_folders_stand_for_a_time(self, pattern: str, folders: str, lower: str, upper: str) -> None:
        """The outer ones for a longer one."""
        span = DateFolders.parse(pattern).span(folders.split("/"))
        assert span == (datetime.fromisoformat(lower), datetime.fromisoformat(upper))

    @pytest.mark.parametrize(
        ("pattern", "folders"),
        [
            (DAILY, "latest"),
            (DAILY, "2026/13"),
            (DAILY, "2026/02/30"),
            (DAILY, "26/03/01"),
            ("{year}{month}{day}", "2026113"),
            ("{year}/{year}-{month}", "2026/2025-03"),
            ("dt={year}", "DT=2026"),
        ],
    )
    def test_other_names_hold_no_date(self, pattern: str, folders: str) -> None:
        """Nor do those of days that there are not."""
        assert DateFolders.parse(pattern).span(folders.split("/")) is None

    @pytest.mark.parametrize("pattern", ["", "orders", "{month}/{day}", "{year}/{day}", "{year}/{minute}", "{year}/{}"])
    def test_a_pattern_without_a_year_or_with_gaps_is_none(self, pattern: str) -> None:
        """The outer parts say which of the inner ones are meant."""
        with pytest.raises(ValueError, match=r"write \{year\}"):
            DateFolders.parse(pattern)

    @given(st.datetimes(min_value=datetime(1000, 1, 1), max_value=datetime(9998, 1, 1)))  # noqa: DTZ001 - no zone
    def test_a_folder_lies_in_those_around_it(self, moment: datetime) -> None:
        """Each level is part of the one above, and holds the moment."""
        folders = DateFolders.parse("{year}/{month}/{day}/{hour}")
        names = f"{moment:%Y/%m/%d/%H}".split("/")
        outer = None
        for depth in range(1, 5):
            span = folders.span(names[:depth])
            assert span is not None
            assert span[0] <= moment < span[1]
            assert outer is None or outer[0] <= span[0] < span[1] <= outer[1]
            outer = span
        assert outer is not None
        assert outer[1] - outer[0] == timedelta(hours=1)


class TestListing:
    def test_only_newer_folders_are_looked_into(self, project: Project, looked_into: set[str]) -> None:
        """A closed year, month or day is skipped by its name alone."""
        for day in ("2024/12/31", "2025/12/31", "2026/02/28", "2026/03/01", "2026/03/02"):
            project.csv(f"events/{day}/a.csv", "id", day.replace("/", ""))
        flow = dated(project)
        assert project.load(flow).rows_out == 5
        project.csv("events/2026/03/02/b.csv", "id", "1")
        project.csv("events/2026/03/03/a.csv", "id", "2")
        looked_into.clear()
        assert project.load(flow).rows_out == 2
        root = f"{project.source_root}/events"
        below = {path.removeprefix(root) for path in looked_into if path.startswith(root)}
        assert below == {"", "/2026", "/2026/03", "/2026/03/02", "/2026/03/03"}

    def test_the_plan_says_what_it_does_not_look_into(self, project: Project) -> None:
        """And how late files there would be found."""
        for day in (1, 2, 3):
            project.csv(f"events/2026/03/{day:02}/a.csv", "id", str(day))
        flow = dated(project)
        assert project.plan(flow)["notes"] == []
        project.load(flow)
        project.csv("events/2026/03/04/a.csv", "id", "4")
        plan = project.plan(flow)
        assert plan["steps"][0]["older folders"] == 2
        remedy = "a longer look-back (backward_days) finds files that came there late"
        assert plan["notes"] == [f"2 dated folders lie before 2026-03-03 00:00 and will not be looked into; {remedy}"]

    def test_a_look_back_finds_late_files(self, project: Project) -> None:
        """As far as it goes; each file once."""
        for day in (1, 2, 3, 4):
            project.csv(f"events/2026/03/{day:02}/a.csv", "id", str(day))
        flow = dated(project, back={"backward_days": 2})
        project.load(flow)
        for day in (1, 2, 3):
            project.csv(f"events/2026/03/{day:02}/late.csv", "id", f"10{day}")
        assert project.load(flow).rows_out == 2
        longer = dated(project, back={"backward_months": 1})
        assert project.load(longer).rows_out == 1
        assert project.load(longer).rows_out == 0
        assert project.rows(flow) == [1, 2, 3, 4, 101, 102, 103]

    def test_what_has_no_date_is_always_looked_at(self, project: Project) -> None:
        """Files beside dated folders, and folders of other names, are of the source as they were."""
        project.csv("events/2026/03/02/a.csv", "id", "1")
        flow = dated(project)
        project.load(flow)
        for number, name in enumerate(("top", "latest/b", "2026/c", "2026/extra/d", "2026/03/e", "2026/03/99/f"), 2):
            project.csv(f"events/{name}.csv", "id", str(number))
        project.load(flow)
        project.csv("events/latest/g.csv", "id", "8")
        project.load(flow)
        assert project.rows(flow) == [1, 2, 3, 4, 5, 6, 7, 8]

    def test_hidden_folders_stay_hidden(self, project: Project) -> None:
        """As everywhere."""
        project.csv("events/2026/03/02/a.csv", "id", "1")
        flow = dated(project)
        project.load(flow)
        project.csv("events/_archive/2026/03/03/a.csv", "id", "2")
        project.csv("events/2026/.tmp/a.csv", "id", "3")
        assert project.load(flow).rows_out == 0

    def test_folders_that_are_hive_partitions_too(self, project: Project) -> None:
        """The date is a column, and says which folders are looked into."""
        project.csv("events/year=2026/month=1/a.csv", "id", "1")
        flow = dated(project, "year={year}/month={month}", hive=True)
        project.load(flow)
        project.csv("events/year=2026/month=2/a.csv", "id", "2")
        project.load(flow)
        project.csv("events/year=2026/month=1/late.csv", "id", "3")
        assert project.load(flow).rows_out == 0
        assert project.rows(flow, "id", "month") == [(1, 1), (2, 2)]

    def test_an_overwrite_reads_all_folders(self, project: Project) -> None:
        """It mirrors the source."""
        for day in (1, 2):
            project.csv(f"events/2026/03/{day:02}/a.csv", "id", str(day))
        flow = dated(project, load_type="overwrite")
        project.load(flow)
        project.csv("events/2026/03/01/late.csv", "id", "3")
        project.load(flow)
        assert project.rows(flow) == [1, 2, 3]

    def test_a_window_from_the_position_on_is_read_from_all_folders(self, project: Project) -> None:
        """The date of a folder says nothing of the watermarks of its rows."""
        project.csv("events/2026/03/01/a.csv", "id,at", "1,5")
        project.csv("events/2026/03/02/a.csv", "id,at", "2,3")
        flow = dated(project, watermark="at", settings={"replace_by_watermark": True})
        project.load(flow)
        project.csv("events/2026/03/01/late.csv", "id,at", "3,7")
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2, 3]

    def test_declared_after_loads_it_doubles_and_loses_nothing(self, project: Project) -> None:
        """The first load after that looks at all folders, and remembers the newest."""
        for day in (1, 2):
            project.csv(f"events/2026/03/{day:02}/a.csv", "id", str(day))
        project.load(project.flow())
        project.csv("events/2026/03/01/late.csv", "id", "3")
        flow = dated(project)
        assert project.load(flow).rows_out == 1
        project.csv("events/2026/03/03/a.csv", "id", "4")
        project.load(flow)
        assert project.rows(flow) == [1, 2, 3, 4]


class MemoryPlatform(S3Platform):
    """An object store in this process."""

    def connect(self) -> Any:
        """Reach an empty one."""
        return MemoryStore()


class TestObjectStore:
    def test_folders_are_listed_as_on_a_disk(self, tmp_path: Path) -> None:
        """The same files, and the same number of folders left out."""
        names = ("2025/12/31/a", "2026/02/28/a", "2026/03/01/a", "2026/03/01/b/c", "2026/03/x", "latest/a", "a")
        memory, disk = MemoryPlatform("s3://bucket", {}), LocalPlatform()
        for name in names:
            memory.put_if_absent(f"s3://bucket/in/{name}.csv", b"id")
            disk.put_if_absent(f"{tmp_path}/{name}.csv", b"id")
        found = []
        for platform, root in ((memory, "s3://bucket/in"), (disk, str(tmp_path))):
            start = datetime(2026, 3, 1)  # noqa: DTZ001 - folders have no zone
            listing = DatedListing(platform=platform, folders=DateFolders.parse(DAILY), start=start)
            found.append(([file.path.removeprefix(root) for file in listing.files(root)], listing.older))
        assert found[0] == found[1]
        assert found[0] == (
            ["/2026/03/01/a.csv", "/2026/03/01/b/c.csv", "/2026/03/x.csv", "/a.csv", "/latest/a.csv"],
            2,
        )


class TestPositions:
    def test_the_newest_folder_is_part_of_the_position(self, project: Project) -> None:
        """A lost state store gets it back from the commit."""
        for day in (1, 2):
            project.csv(f"events/2026/03/{day:02}/a.csv", "id", str(day))
        flow = dated(project)
        project.load(flow)
        project.forget_state()
        project.csv("events/2026/03/01/late.csv", "id", "3")
        assert project.load(flow).rows_out == 0
        assert project.rows(flow) == [1, 2]

    def test_a_failed_load_does_not_move_it(self, project: Project) -> None:
        """Folders are done once their rows are committed."""
        project.csv("events/2026/03/01/a.csv", "id,n", "1,1")
        flow = dated(project)
        project.load(flow)
        project.csv("events/2026/03/02/a.csv", "id,n", "2,2")
        bad = project.csv("events/2026/03/03/a.csv", "id,n", "3,x")
        project.fail(flow)
        bad.unlink()
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2]

    def test_after_a_rewind_all_folders_are_looked_into(self, project: Project) -> None:
        """To a value as to the start."""
        for day in (1, 2, 3):
            project.csv(f"events/2026/03/{day:02}/a.csv", "id,at", f"{day},{day}")
        flow = dated(project, watermark="at", load_type="merge_upsert", keys=["id"])
        project.load(flow)
        Path(project.csv("events/2026/03/01/b.csv", "id,at", "4,2"))
        platform = platform_registry.load("local")()
        store = project.store()
        move(flow, at_values(flow, {"at": "2"}), store=store, platform=platform, origin="rewound")
        store.close()
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2, 3, 4]
        project.csv("events/2026/03/01/c.csv", "id,at", "5,1")
        store = project.store()
        move(flow, at_start, store=store, platform=platform, origin="rewound")
        store.close()
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2, 3, 4, 5]
