"""Which small files become one."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tidegate.destinations.compaction import groups_of_small_files
from tidegate.destinations.table import DataFile

FILES = st.lists(st.tuples(st.integers(1, 120), st.integers(0, 50), st.sampled_from(["north", "south", None])))


def data_files(specs):
    return [
        DataFile(path=f"/t/{number:03}", rows=rows, size=size, partition={"region": region})
        for number, (size, rows, region) in enumerate(specs)
    ]


class TestGroups:
    """`groups_of_small_files`."""

    @given(FILES, st.sampled_from([None, 20, 60]))
    def test_a_group_is_small_files_of_one_partition_within_the_target(self, specs, most_rows):
        for group in groups_of_small_files(data_files(specs), 100, most_rows):
            assert len(group) > 1
            assert len({file.partition["region"] for file in group}) == 1
            assert all(file.size < 50 for file in group)
            assert sum(file.size for file in group) <= 100
            assert most_rows is None or sum(file.rows for file in group) <= most_rows

    @given(FILES)
    def test_no_file_is_in_two_groups(self, specs):
        grouped = Counter(file.path for group in groups_of_small_files(data_files(specs), 100) for file in group)
        assert set(grouped.values()) <= {1}

    @given(FILES)
    def test_it_comes_to_an_end(self, specs):
        """At most one small file is left in a partition, once files are as large as the sum of what they were."""
        files = data_files(specs)
        while groups := list(groups_of_small_files(files, 100)):
            gone = {file.path for group in groups for file in group}
            together = [
                DataFile(
                    path=group[0].path,
                    rows=sum(file.rows for file in group),
                    size=sum(file.size for file in group),
                    partition=group[0].partition,
                )
                for group in groups
            ]
            assert len(together) < len(gone)
            files = [file for file in files if file.path not in gone] + together
        small = Counter(file.partition["region"] for file in files if file.size < 50)
        assert all(count == 1 for count in small.values())

    def test_a_file_alone_in_its_partition_stays(self):
        assert list(groups_of_small_files(data_files([(1, 1, "north"), (1, 1, "south")]), 100)) == []

    def test_files_keep_their_order(self):
        files = data_files([(1, 1, None)] * 5)
        (group,) = groups_of_small_files(reversed(files), 100)
        assert list(group) == files
