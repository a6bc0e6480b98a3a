"""Which files a source names, and which of them show that they hold nothing new."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tidegate.engines.hive_paths import partition_values
from tidegate.errors import SourceError
from tidegate.platforms import FileInfo
from tidegate.platforms.local import LocalPlatform
from tidegate.sources.file_listing import list_files, seen_as, select_files
from tidegate.state import Position

PLATFORM = LocalPlatform()


def file(path: str, size: int = 1, modified_ns: int = 1) -> FileInfo:
    """Return a file that need not exist."""
    return FileInfo(path=path, size=size, modified_ns=modified_ns)


def seen(*files: FileInfo) -> Position:
    """Return the position after these files."""
    return Position(seen_files=dict(seen_as(item, "") for item in files))


class TestListing:
    def test_a_folder_is_listed_deep_sorted_and_by_suffix(self, tmp_path: Path) -> None:
        """Hidden names and other suffixes are left out, in folders too."""
        for name in ("b.csv", "a.CSV", "sub/c.csv.gz", "_x/d.csv", ".e.csv", "f.txt", "_g.csv"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("x")
        found = [item.path.removeprefix(f"{tmp_path}/") for item in list_files(PLATFORM, str(tmp_path), "csv")]
        assert found == ["a.CSV", "b.csv", "sub/c.csv.gz"]

    @pytest.mark.parametrize("name", ["x.csv", "x", "*.csv", "?.csv", "**/x.csv"])
    def test_one_file_is_found_in_many_ways(self, tmp_path: Path, name: str) -> None:
        """By its name, its name without suffix, or a glob."""
        (tmp_path / "x.csv").write_text("x")
        assert [item.path for item in list_files(PLATFORM, f"{tmp_path}/{name}", "csv")] == [f"{tmp_path}/x.csv"]

    def test_a_name_with_a_bracket_is_a_name_first(self, tmp_path: Path) -> None:
        """A file whose name looks like a glob is found by its name."""
        (tmp_path / "a[1].csv").write_text("x")
        assert len(list_files(PLATFORM, f"{tmp_path}/a[1].csv", "csv")) == 1

    def test_an_empty_file_is_an_error(self, tmp_path: Path) -> None:
        """A file of no bytes may still be being written."""
        (tmp_path / "x.csv").touch()
        with pytest.raises(SourceError) as raised:
            list_files(PLATFORM, str(tmp_path), "csv")
        assert raised.value.code == "TG202"

    def test_links_are_followed(self, tmp_path: Path) -> None:
        """A linked file, or one in a linked folder, is a file of the source."""
        (tmp_path / "real").mkdir()
        (tmp_path / "real" / "x.csv").write_text("x")
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "linked").symlink_to(tmp_path / "real")
        assert len(list_files(PLATFORM, str(tmp_path / "folder"), "csv")) == 1


class TestSelection:
    def test_files_are_known_by_path_size_and_time(self) -> None:
        """The same path with another size or time has changed; another path is new."""
        old = file("/a.csv", 5, 5)
        position = seen(old)
        files = [old, file("/a.csv", 6, 5), file("/a.csv", 5, 6), file("/b.csv", 5, 5)]
        selection = select_files(files, position, {}, "", "csv")
        assert (selection.unchanged, selection.read, len(selection.changed)) == (1, tuple(files[1:]), 2)
        assert selection.skipped == 1

    def test_an_older_time_is_a_change(self) -> None:
        """A file that is put back as it was is read again."""
        assert select_files([file("/a.csv", 5, 1)], seen(file("/a.csv", 5, 9)), {}, "", "csv").changed

    @pytest.mark.parametrize(
        ("folder", "start", "older"),
        [
            ("day=2024-01-01", date(2024, 1, 2), True),
            ("day=2024-01-02", date(2024, 1, 2), False),
            ("day=9", 10, True),
            ("day=10", 9, False),
            ("day=a", "b", True),
            ("day=b", "a", False),
            ("day=soon", date(2024, 1, 2), False),
            ("day=__HIVE_DEFAULT_PARTITION__", 5, False),
            ("other=1", 5, False),
            ("day=2024-01-01", datetime(2024, 1, 2, 12, tzinfo=UTC), True),
            ("day=2024-01-02", datetime(2024, 1, 2, 12, tzinfo=UTC), False),
        ],
    )
    def test_partitions_are_compared_as_what_they_are(self, folder: str, start: Any, older: bool) -> None:  # noqa: FBT001
        """Dates as dates, numbers as numbers; what cannot be compared is read."""
        selection = select_files(
            [file(f"/t/{folder}/a.csv")], Position(), {"day": start}, "/t", "csv", has_partitions=True
        )
        assert bool(selection.older_by_name) is older
        assert select_files([file(f"/t/{folder}/a.csv")], Position(), {"day": start}, "", "csv").read

    def test_every_watermark_column_must_be_older(self) -> None:
        """One column that may be past its start is enough to read the file."""
        path = "/t/year=2023/month=12/a.csv"
        assert select_files(
            [file(path)], Position(), {"year": 2024, "month": 13}, "/t", "csv", has_partitions=True
        ).older_by_name
        assert select_files([file(path)], Position(), {"year": 2024, "month": 1}, "/t", "csv", has_partitions=True).read
        assert select_files([file(path)], Position(), {"year": 2024, "id": 1}, "/t", "csv", has_partitions=True).read

    @pytest.mark.parametrize(
        ("values", "start", "older"),
        [
            ([1, 2], 3, True),
            ([1, 3], 3, False),
            ([1, None], 3, False),
            ([None, None], 3, False),
            ([], 3, False),
            ([1.0, 2.0], 3.0, False),
            (["a", "b"], "c", True),
            ([1, 2], "c", False),
            ([date(2024, 1, 1)], date(2024, 1, 2), True),
            ([date(2024, 1, 1)], datetime(2024, 1, 2, tzinfo=UTC), False),
            ([datetime(2024, 1, 1, tzinfo=UTC)], datetime(2024, 1, 2, tzinfo=UTC), True),
            ([datetime(2024, 1, 1)], datetime(2024, 1, 2, tzinfo=UTC), False),  # noqa: DTZ001
            ([datetime(2023, 12, 31)], datetime(2024, 1, 2, tzinfo=UTC), True),  # noqa: DTZ001
            ([datetime(9999, 12, 31)], datetime(2024, 1, 2, tzinfo=UTC), False),  # noqa: DTZ001
        ],
    )
    def test_statistics_must_prove_it(self, tmp_path: Path, values: list[Any], start: Any, older: bool) -> None:  # noqa: FBT001
        """Only bounds that are there, without NULL, of the same kind and below the start leave a file out."""
        path = tmp_path / "a.parquet"
        schema = None if values and values != [None, None] else {"at": pl.Int64}
        pl.DataFrame({"at": values}, schema=schema).write_parquet(path)
        selection = select_files([file(str(path))], Position(), {"at": start}, "", "parquet")
        assert bool(selection.older_by_statistics) is older

    def test_every_row_group_counts(self, tmp_path: Path) -> None:
        """A newer row in any group makes the file one to read."""
        path = tmp_path / "a.parquet"
        pl.DataFrame({"at": [*range(100), 500, *range(100)]}).write_parquet(path, row_group_size=20)
        assert select_files([file(str(path))], Position(), {"at": 500}, "", "parquet").read
        assert select_files([file(str(path))], Position(), {"at": 501}, "", "parquet").older_by_statistics

    def test_a_file_that_is_no_parquet_is_left_to_the_read(self, tmp_path: Path) -> None:
        """Listing does not fail: the read says what is wrong with the file."""
        path = tmp_path / "a.parquet"
        path.write_text("no")
        assert select_files([file(str(path))], Position(), {"at": 1}, "", "parquet").read


class TestPartitions:
    def test_values_are_decoded(self) -> None:
        """Percent signs, NULL, and equals signs in a value."""
        path = "/a%20b=x%2Fy/n=__HIVE_DEFAULT_PARTITION__/e=1=2/plain/file=1.csv"
        assert partition_values(path) == {"a b": "x/y", "n": None, "e": "1=2"}
