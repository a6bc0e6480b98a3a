"""scd2 against an oracle of ten lines: random loads into real tables, compared after each of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.behaviour.history import Version, history, live_files, told
from tests.behaviour.project import DATABASES, Project
from tidegate import DataFlow
from tidegate.destinations.load_strategies import scd2

few = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))

SCHEMA = {"k": pl.String, "n": pl.Int64, "at": pl.Int64, "op": pl.String, "v": pl.Int64, "w": pl.String}
HINTS = {name: "bigint" if dtype == pl.Int64 else "string" for name, dtype in SCHEMA.items()}
CDC = {"operation_column": "op"}

Key = tuple[str | None, int | None]
Batch = dict[tuple[Key, int], Any]
"""Key and time → content; None for a delete."""
Histories = dict[Key, list[Version]]

keys = st.tuples(st.sampled_from([None, "x", "y/ü"]), st.sampled_from([None, 1]))
times = st.integers(0, 7)
contents = st.tuples(st.sampled_from([None, 1, 2]), st.sampled_from([None, "", "b"]))
batches = st.dictionaries(st.tuples(keys, times), st.one_of(contents, contents, st.none()), max_size=8)
sizes = st.tuples(st.sampled_from([None, 1]), st.sampled_from([3, 10**6]))
"""Rows a file, and events that are taken at once."""
layouts = st.sampled_from([(), ("w",), ("__is_current",), ("v", "__is_current")])


class Table:
    """A real history, and what it must hold."""

    def __init__(
        self, project: Project, flow: DataFlow, without_w: DataFlow, *, empty_is_null: bool, deletes: bool
    ) -> None:
        self.project = project
        self.flow = flow
        self.without_w = without_w
        self.expected: Histories = {}
        self._empty_is_null = empty_is_null
        self._deletes = deletes
        self._loads = 0

    def load(self, batch: Batch, *, lacks: bool = False) -> None:
        """Load a batch, which may lack column `w`, and compare the table with the oracle."""
        if not self._deletes:
            batch = {at: content for at, content in batch.items() if content}
        if self._empty_is_null:  # a path has no empty text
            batch = {at: content and (content[0], content[1] or None) for at, content in batch.items()}
        rows = [(*key, at, "U" if content else "D", *(content or (None, None))) for (key, at), content in batch.items()]
        frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
        flow = self.without_w if lacks else self.flow
        self.project.parquet(f"{flow.source.table}/{self._loads}.parquet", frame)
        self._loads += 1
        before = self.files()
        self.project.load(flow)
        changed = False
        for key in {key for key, _ in batch}:
            old = self.expected.get(key, [])
            news = {at: content for (other, at), content in batch.items() if other == key}
            if lacks:
                news = {at: content and (content[0], _w_before(old, at)) for at, content in news.items()}
            self.expected[key] = told(old, news)
            changed |= self.expected[key] != old
        assert self.rows() == self.expected_rows()
        assert changed or not before or self.files() == before

    def rows(self) -> list[Any]:
        """Return what the table holds."""
        columns = ("k", "n", "__valid_from", "__valid_to", "__is_current", "v", "w")
        return _sorted(self.project.frame(self.flow).select(columns).rows())

    def expected_rows(self) -> list[Any]:
        """Return what it must hold."""
        return _sorted(
            (*key, version.start, version.end, version.end is None, *version.content)
            for key, found in self.expected.items()
            for version in found
        )

    def files(self) -> set[str]:
        """Return the files that make up the table."""
        path = self.flow.destination.path
        return live_files(self.flow) if path is None or Path(path).exists() else set()


def _w_before(versions: list[Version], at: int) -> str | None:
    before = [version for version in versions if version.start <= at] or versions[:1]
    return before[-1].content[1] if before else None


def _sorted(rows: Any) -> list[Any]:
    return sorted(rows, key=lambda row: [(value is not None, str(type(value)), value) for value in row])


@contextmanager
def table(
    destination_format: str,
    *,
    layout: Sequence[str] = (),
    rows_per_file: int | None = None,
    shares: int = 10**6,
    deletes: bool = True,
) -> Iterator[Table]:
    """Make an empty history."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(scd2, "_EVENTS_AT_ONCE", shares):
        project = Project(Path(folder), destination_format)
        layout_is_real = destination_format not in DATABASES  # rows of a database lie in no files
        flow, without_w = (
            history(
                project,
                name=name,
                source=name,
                keys=["k", "n"],
                format="parquet",
                hints=HINTS,
                cdc=CDC if deletes else None,
                partitions=layout,
                drop_columns=["op", *dropped],
                write_options={"max_rows_per_file": rows_per_file} if rows_per_file and layout_is_real else {},
            )
            for name, dropped in (("all", []), ("some", ["w"]))
        )
        yield Table(project, flow, without_w, empty_is_null="w" in layout and layout_is_real, deletes=deletes)


@pytest.fixture(params=["delta", "iceberg", "sqlite"])
def table_format(request: pytest.FixtureRequest) -> str:
    """Each format whose single rows can change."""
    return str(request.param)


class TestHistory:
    @few
    @given(st.lists(batches, max_size=6), layouts, sizes, st.booleans())
    def test_it_is_what_the_oracle_says(
        self,
        table_format: str,
        loads: list[Batch],
        layout: tuple[str, ...],
        limits: tuple[int | None, int],
        deletes: bool,  # noqa: FBT001
    ) -> None:
        """After each load, whatever came in which order: ties, late rows, deletes, NULL, several rows a key."""
        rows_per_file, shares = limits
        with table(table_format, layout=layout, rows_per_file=rows_per_file, shares=shares, deletes=deletes) as found:
            for batch in loads:
                found.load(batch)

    @few
    @given(st.lists(batches, min_size=1, max_size=3), st.data())
    def test_what_comes_again_changes_nothing(self, table_format: str, loads: list[Batch], data: st.DataObject) -> None:
        """A load that is delivered again makes no version and no file: its rows, or some of them, of the last load."""
        with table(table_format) as found:
            for batch in loads:
                found.load(batch)
            last = list(loads[-1].items())
            again = dict(data.draw(st.lists(st.sampled_from(last), unique_by=lambda item: item[0])) if last else [])
            before = found.rows(), found.files()
            found.load(again)
            assert (found.rows(), found.files()) == before

    @few
    @given(batches, st.lists(times, min_size=1, max_size=3))
    def test_many_loads_in_order_are_one(self, table_format: str, events: Batch, cuts: list[int]) -> None:
        """Events that are loaded bit by bit, as time goes by, come to what one load of them all comes to."""
        parts: list[Batch] = [{} for _ in range(len(cuts) + 1)]
        for (key, at), content in events.items():
            parts[sum(at >= cut for cut in cuts)][key, at] = content
        with table(table_format) as whole, table(table_format) as pieces:
            whole.load(events)
            for part in parts:
                pieces.load(part)
            assert pieces.rows() == whole.rows()

    @few
    @given(st.data())
    def test_many_loads_in_any_order_are_one(self, table_format: str, data: st.DataObject) -> None:
        """So do events that leave a trace, however late: contents that are not repeated, and deletes after them."""
        places = data.draw(st.lists(st.tuples(keys, times), unique=True, max_size=10))
        inserts = [(place, (number, "b")) for number, place in enumerate(places)]
        free = data.draw(st.lists(st.tuples(keys, times), unique=True, max_size=4))
        deletes = [(place, None) for place in free if place not in places]
        shuffled = [*data.draw(st.permutations(inserts)), *data.draw(st.permutations(deletes))]
        size = data.draw(st.integers(1, 4))
        with table(table_format) as whole, table(table_format) as pieces:
            whole.load(dict([*inserts, *deletes]))
            for start in range(0, len(shuffled) or 1, size):
                pieces.load(dict(shuffled[start : start + size]))
            assert pieces.rows() == whole.rows()

    @few
    @given(st.lists(st.tuples(batches, st.booleans()), min_size=1, max_size=5))
    def test_what_a_batch_lacks_is_as_it_was(self, table_format: str, loads: list[tuple[Batch, bool]]) -> None:
        """A column that a flow does not have takes the value of the version before, and tells no versions apart."""
        with table(table_format) as found:
            found.load({})
            for batch, lacks in loads:
                found.load(batch, lacks=lacks)


class TestOrder:
    @few
    @given(
        st.lists(
            st.dictionaries(
                st.tuples(st.integers(0, 1), st.integers(0, 3)),
                st.tuples(st.sampled_from([None, 1, 2, 3]), st.sampled_from([None, "a", "b"])),
                max_size=5,
            ),
            max_size=6,
        )
    )
    def test_of_one_time_the_later_row_counts(
        self, table_format: str, loads: list[dict[tuple[int, int], tuple[int | None, str | None]]]
    ) -> None:
        """Where columns order the changes, a row does not replace one of the same time that is later; NULL is first."""
        schema = {"id": pl.Int64, "at": pl.Int64, "seq": pl.Int64, "op": pl.String, "v": pl.String}
        with tempfile.TemporaryDirectory() as folder:
            project = Project(Path(folder), table_format)
            flow = history(project, format="parquet", cdc={"operation_column": "op", "sequence_by": ["seq"]})
            expected: dict[int, list[Version]] = {0: [], 1: []}
            for number, batch in enumerate(loads):
                rows = [(*place, seq, "U" if v else "D", v) for place, (seq, v) in batch.items()]
                project.parquet(f"events/{number}.parquet", pl.DataFrame(rows, schema=schema, orient="row"))
                project.load(flow)
                for key, old in expected.items():
                    there = {version.start: version.content for version in old}
                    news = {
                        at: _Row(v, seq) if v else None
                        for (other, at), (seq, v) in batch.items()
                        if other == key and not _knows_better(there.get(at), v, seq)
                    }
                    expected[key] = told(old, news)
                assert _sorted(
                    project.frame(flow).select("id", "__valid_from", "__valid_to", "seq", "v").rows()
                ) == _sorted(
                    (key, version.start, version.end, version.content.seq, version.content.v)
                    for key, found in expected.items()
                    for version in found
                )


@dataclass(frozen=True)
class _Row:
    v: str
    seq: int | None = field(compare=False)


def _knows_better(there: _Row | None, v: str | None, seq: int | None) -> bool:
    return there is not None and (there.v == v or (there.seq is not None and (seq is None or there.seq > seq)))
