"""Random increments against oracles of ten lines: what is loaded is what the rules say, in whatever order."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.behaviour.project import Project
from tidegate import DataFlow

few = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))

marks = st.one_of(st.none(), st.integers(0, 6))
formats = st.sampled_from(["csv", "jsonl", "parquet"])
schema = {"id": pl.Int64, "a": pl.Int64, "b": pl.Int64}


class Files:
    """The files of a source, as lists of rows; written again as a whole when they grow."""

    def __init__(self, project: Project, file_format: str, types: dict[str, Any]) -> None:
        self._project = project
        self._format = file_format
        self._types = types
        self._rows: dict[int, list[tuple[Any, ...]]] = {}

    def grow(self, file: int, rows: list[tuple[Any, ...]]) -> None:
        """Add rows to a file, which may be new."""
        if not rows and self._format == "jsonl" and file not in self._rows:
            return  # a file without a byte is no file
        self._rows.setdefault(file, []).extend(rows)
        frame = pl.DataFrame(self._rows[file], schema=self._types, orient="row")
        path = self._project.source_root / "events" / f"{file}.{self._format}"
        path.parent.mkdir(exist_ok=True)
        writers: dict[str, Any] = {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}
        writers[self._format](path)
        self._project.touch(path)


def hints(types: dict[str, Any]) -> dict[str, str]:
    """Declare the types, so that a file of NULLs has them too."""
    return {column: "bigint" if dtype == pl.Int64 else "string" for column, dtype in types.items()}


def rows_of(project: Project, flow: DataFlow, *columns: str) -> list[Any]:
    """Return what was loaded, sorted."""
    return project.rows(flow, *columns) if Path(str(flow.destination.path)).exists() else []


def ordered(rows: list[Any]) -> list[Any]:
    """Sort rows that hold NULL as the project does: NULL first."""
    return sorted(rows, key=lambda row: [(value is not None, str(type(value)), value) for value in row])


class TestAppend:
    @few
    @given(formats, st.lists(st.lists(st.tuples(st.integers(0, 2), marks), max_size=5), max_size=5))
    def test_a_growing_file_is_a_multiset(self, file_format: str, steps: list[list[tuple[int, int | None]]]) -> None:
        """Rows of one growing file at or past the watermark are loaded once each, identical ones too."""
        types = {"id": pl.Int64, "a": pl.Int64}
        with tempfile.TemporaryDirectory() as folder:
            project = Project(Path(folder))
            files = Files(project, file_format, types)
            flow = project.flow(format=file_format, watermark="a", hints=hints(types))
            loaded: list[tuple[int, int | None]] = []
            position: int | None = None
            for new in steps:
                files.grow(0, new)
                if not (project.source_root / "events").exists():
                    continue
                loaded += [row for row in new if row[1] is None or position is None or row[1] >= position]
                position = max([position, *(row[1] for row in new)], key=lambda mark: -1 if mark is None else mark)
                project.load(flow)
            assert rows_of(project, flow, "id", "a") == ordered(loaded)

    @few
    @given(
        formats,
        st.integers(0, 3),
        st.lists(st.lists(st.tuples(st.integers(0, 3), marks, marks), max_size=4), max_size=5),
        st.data(),
    )
    def test_many_files_two_watermarks_and_a_lag(
        self, file_format: str, lag: int, steps: list[list[tuple[int, int | None, int | None]]], data: st.DataObject
    ) -> None:
        """Rows of new and growing files are loaded once when a watermark column is past its start, or none is set."""
        with tempfile.TemporaryDirectory() as folder:
            project = Project(Path(folder))
            files = Files(project, file_format, schema)
            flow = project.flow(format=file_format, watermark=["a", "b"], lag=lag or None, hints=hints(schema))
            loaded: list[tuple[int, int | None, int | None]] = []
            position: list[int | None] = [None, None]
            number = 0
            for step in steps:
                starts = [None if mark is None else mark - lag for mark in position]
                for file, *values in step:
                    row = (number := number + 1, values[0], values[1])
                    files.grow(file, [row])
                    past = any(
                        value is not None and (start is None or value >= start)
                        for value, start in zip(values, starts, strict=True)
                    )
                    if past or values == [None, None]:
                        loaded.append(row)
                        position = [
                            max((mark for mark in pair if mark is not None), default=None)
                            for pair in zip(position, values, strict=True)
                        ]
                if number:
                    if data.draw(st.booleans(), label="forget the state") and project.state_path.exists():
                        project.forget_state()
                    project.load(flow)
            assert rows_of(project, flow, "id", "a", "b") == ordered(loaded)


class TestOverwrite:
    @few
    @given(formats, st.lists(st.lists(st.tuples(st.integers(0, 3), marks, marks), max_size=4), min_size=1, max_size=3))
    def test_the_table_is_the_source(
        self, file_format: str, steps: list[list[tuple[int, int | None, int | None]]]
    ) -> None:
        """After a full load the table holds the rows of all files, with a watermark or without."""
        with tempfile.TemporaryDirectory() as folder:
            project = Project(Path(folder))
            files = Files(project, file_format, schema)
            flow = project.flow(format=file_format, load_type="overwrite", watermark="a", hints=hints(schema))
            files.grow(9, [(0, None, None)])
            everything = [(0, None, None)]
            for step in steps:
                for row in step:
                    files.grow(row[0], [row])
                    everything.append(row)
                project.load(flow)
            assert rows_of(project, flow, "id", "a", "b") == ordered(everything)


keys = st.tuples(st.one_of(st.none(), st.sampled_from(["x", "y", "z/ü", ""])), st.one_of(st.none(), st.integers(0, 2)))


class TestMergeUpsert:
    @few
    @given(
        formats.filter(lambda file_format: file_format != "csv"),  # csv has no empty text
        st.lists(st.dictionaries(keys, st.tuples(st.integers(0, 3), marks), max_size=5), max_size=5),
        st.sampled_from([(), ("part",)]),
        st.sampled_from([None, 1]),
    )
    def test_it_is_a_dictionary(
        self,
        file_format: str,
        steps: list[dict[tuple[str | None, int | None], tuple[int, int | None]]],
        partitions: tuple[str, ...],
        rows_per_file: int | None,
    ) -> None:
        """Merging is updating a dictionary: by all keys, NULL equal to NULL, whatever the partition or the file."""
        types = {"k": pl.String, "n": pl.Int64, "part": pl.Int64, "value": pl.Int64}
        with tempfile.TemporaryDirectory() as folder:
            project = Project(Path(folder))
            flow = project.merge(
                format=file_format,
                keys=["k", "n"],
                partitions=partitions,
                hints=hints(types),
                write_options={"max_rows_per_file": rows_per_file} if rows_per_file else {},
            )
            table: dict[tuple[str | None, int | None], tuple[int, int | None]] = {}
            for number, batch in enumerate(steps):
                if batch:
                    Files(project, file_format, types).grow(number, [(*key, *row) for key, row in batch.items()])
                    table.update(batch)
                    project.load(flow)
            assert rows_of(project, flow, *types) == ordered([(*key, *row) for key, row in table.items()])

    @few
    @given(formats, st.lists(st.lists(st.tuples(st.integers(0, 3), marks), max_size=6), max_size=4))
    def test_the_latest_row_of_a_key_wins(self, file_format: str, steps: list[list[tuple[int, int | None]]]) -> None:
        """Of all loads the greatest watermark wins, the last read of ties; NULL never wins over a value."""
        types = {"id": pl.Int64, "a": pl.Int64, "value": pl.Int64}
        with tempfile.TemporaryDirectory() as folder:
            project = Project(Path(folder))
            flow = project.merge(format=file_format, watermark="a", hints=hints(types))
            table: dict[int, tuple[int, int | None, int]] = {}
            position, number = -1, 0
            for file, pairs in enumerate(steps):
                rows = [(*pair, number := number + 1) for pair in pairs]
                if not rows:
                    continue
                Files(project, file_format, types).grow(file, list(rows))
                new = [row for row in rows if row[1] is None or row[1] >= position]
                for row in new:
                    table[row[0]] = max(table.get(row[0], row), row, key=lambda row: (_rank(row[1]), row[2]))
                position = max([position, *(_rank(row[1]) for row in rows)])
                project.load(flow)
            assert rows_of(project, flow, *types) == ordered(list(table.values()))


def _rank(mark: int | None) -> int:
    """NULL is below every mark."""
    return -1 if mark is None else mark
