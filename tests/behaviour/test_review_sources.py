"""What a review of sources and engines found, so that it stays mended."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import polars as pl
import pytest

from tests.behaviour.project import Project
from tidegate.engines import meter as meters
from tidegate.engines import polars as polars_engine
from tidegate.engines import polars_errors
from tidegate.engines.polars import PolarsEngine
from tidegate.engines.row_hash import row_hashes
from tidegate.errors import TidegateError
from tidegate.orchestration.positions import at_start, move
from tidegate.platforms import platform_registry
from tidegate.platforms.local import LocalPlatform
from tidegate.sources.files import FileSource


def failing(error: BaseException) -> Callable[..., NoReturn]:
    """Return a function that raises."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    return fail


class TestManifest:
    @pytest.mark.parametrize("source", ["events", "events/*.csv", "events/**/*.csv", "events/a", "events/a.csv"])
    def test_a_moved_project_keeps_its_position(self, tmp_path: Path, source: str) -> None:
        """Files are known by their path below the source's folder, however that folder is reached."""
        project = Project(tmp_path / "here")
        project.csv("events/a.csv", "id", "1", "2")
        project.load(project.flow(source=source))
        shutil.move(tmp_path / "here", tmp_path / "there")
        moved = Project(tmp_path / "there")
        flow = moved.flow(source=source)
        assert moved.load(flow).detail == "nothing new"
        assert moved.rows(flow) == [1, 2]

    def test_a_base_path_through_a_link_keeps_the_position(self, project: Project) -> None:
        """A symlinked folder, or one spelled otherwise, is the same source."""
        project.csv("events/sub/a.csv", "id", "1")
        project.load(project.flow())
        link = project.root / "link"
        link.symlink_to(project.source_root)
        for spelling in (link, Path(f"{project.source_root}/../in")):
            project.source_root = spelling
            assert project.load(project.flow()).detail == "nothing new"
        assert project.rows(project.flow()) == [1]

    def test_files_that_were_moved_are_not_appended_again(self, project: Project) -> None:
        """When no file is known by its path, but its size and time are, an append without a watermark refuses."""
        file = project.csv("events/a.csv", "id", "1")
        flow = project.flow()
        project.load(flow)
        (file.parent / "2024").mkdir()
        file.rename(file.parent / "2024" / "a.csv")
        error = project.fail(flow)
        assert error.code == "TG208"
        assert "2024/a.csv" in error.message

    def test_a_moved_file_with_a_watermark_is_no_matter(self, project: Project) -> None:
        """Where rows are told apart, a file may have any name."""
        file = project.csv("events/a.csv", "id,at", "1,1")
        flow = project.flow(watermark="at")
        project.load(flow)
        file.rename(file.parent / "b.csv")
        project.load(flow)
        assert project.rows(flow, "id") == [1]

    def test_a_glob_has_the_partitions_below_its_root(self, project: Project) -> None:
        """With wildcards for folders, the folders are partitions as they are without."""
        project.csv("events/day=1/a.csv", "id", "1")
        flow = project.flow(source="events/day=*/*.csv", hive=True)
        project.load(flow)
        assert project.rows(flow, "id", "day") == [(1, 1)]


class TestSkippedFiles:
    def late(self, project: Project, **options: Any) -> Any:
        """Load a file, then one that lies before the position and is skipped for it."""
        project.parquet("events/a.parquet", {"id": [1], "at": [100]})
        flow = project.merge(format="parquet", watermark="at", **options)
        project.load(flow)
        project.parquet("events/late.parquet", {"id": [2], "at": [95]})
        project.parquet("events/b.parquet", {"id": [3], "at": [101]})
        project.load(flow)
        assert project.rows(flow, "id") == [1, 3]
        return flow

    def test_a_lag_that_comes_later_finds_a_file_skipped_as_older(self, project: Project) -> None:
        """A file that was never read is never remembered as read."""
        self.late(project)
        flow = project.merge(format="parquet", watermark="at", lag=50)
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2, 3]

    def test_the_plan_goes_on_to_tell_of_it(self, project: Project) -> None:
        """As long as a file lies before the position, the plan says so."""
        flow = self.late(project)
        assert "1 file lies before the position" in project.plan(flow)["notes"][0]

    def test_a_rewind_finds_it(self, project: Project) -> None:
        """From the start, all files are read."""
        flow = self.late(project)
        store = project.store()
        move(flow, at_start, store=store, platform=platform_registry.get("local"), origin="rewound")
        store.close()
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2, 3]


class TestInfinity:
    @pytest.mark.parametrize("infinity", [float("inf"), float("-inf")])
    def test_infinity_is_no_watermark(self, project: Project, infinity: float) -> None:
        """Nothing is past infinity, so it ends no read; its rows are loaded once, as those with NULL are."""
        project.parquet("events/a.parquet", {"id": [1, 2], "at": [1.0, infinity]})
        flow = project.flow(format="parquet", watermark="at")
        assert project.load(flow).position_after == "at=1.0"
        project.parquet("events/a.parquet", {"id": [1, 2, 3, 4], "at": [1.0, infinity, 2.0, infinity]})
        assert project.load(flow).position_after == "at=2.0"
        assert project.rows(flow, "id") == [1, 2, 3, 4]

    def test_statistics_of_floats_prove_nothing(self, project: Project) -> None:
        """A file whose floats all lie before the position may hold rows without a watermark."""
        project.parquet("events/a.parquet", {"id": [1], "at": [5.0]})
        flow = project.flow(format="parquet", watermark="at")
        project.load(flow)
        project.parquet("events/b.parquet", {"id": [2, 3], "at": [float("-inf"), 1.0]})
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2]


class TestNestedHashes:
    def test_a_record_that_gains_a_field_is_the_same_row(self, project: Project) -> None:
        """A nested field that comes later is NULL in the rows before, which are recognised all the same."""
        project.jsonl("e.jsonl", {"id": 1, "at": 10, "o": {"a": 1, "l": [{"x": 1}]}})
        flow = project.flow(source="e.jsonl", format="jsonl", watermark="at", drop_columns=["o"])
        project.load(flow)
        project.more("e.jsonl", json.dumps({"id": 2, "at": 11, "o": {"a": 2, "b": {"c": 3}, "l": [{"x": 1, "y": 2}]}}))
        project.load(flow)
        assert project.rows(flow, "id") == [1, 2]

    @pytest.mark.parametrize(
        ("value", "dtypes"),
        [
            (100, [pl.Int8, pl.Int64, pl.UInt64]),
            (0.5, [pl.Float32, pl.Float64]),
            (Decimal("1.50"), [pl.Decimal(10, 2), pl.Decimal(38, 10)]),
            (datetime(2024, 1, 1, 12), [pl.Datetime("ms"), pl.Datetime("us"), pl.Datetime("ns")]),  # noqa: DTZ001
            (
                datetime(2024, 1, 1, 12, tzinfo=timezone(timedelta(hours=1))),
                [pl.Datetime("us", "UTC"), pl.Datetime("us", "Europe/Berlin")],
            ),
        ],
        ids=str,
    )
    @pytest.mark.parametrize(
        ("nested", "wrapped"),
        [
            (lambda dtype: pl.Struct({"x": dtype}), lambda value: {"x": value}),
            (pl.List, lambda value: [value]),
            (lambda dtype: pl.List(pl.Struct({"x": dtype})), lambda value: [{"x": value}]),
        ],
        ids=["struct", "list", "list of structs"],
    )
    def test_the_width_of_a_nested_type_does_not_matter(
        self, value: Any, dtypes: list[Any], nested: Callable[[Any], Any], wrapped: Callable[[Any], Any]
    ) -> None:
        """A nested value hashes alike in a narrow and in a wide type."""
        frames = [pl.DataFrame({"v": [wrapped(value)]}, schema={"v": nested(dtype)}) for dtype in dtypes]
        assert len({row_hashes(frame, ("v",))[0] for frame in frames}) == 1


class TestRecognisedRows:
    def test_rows_that_are_left_out_are_told(self, project: Project) -> None:
        """No row vanishes silently: the report counts those that were loaded before."""
        project.csv("events.csv", "id,at", "1,5", "2,5", "3,5")
        flow = project.flow(watermark="at")
        assert project.load(flow).detail is None
        project.more("events.csv", "4,6")
        assert project.load(flow).detail == "3 rows were loaded before"
        project.more("events.csv", "5,7")
        assert project.load(flow).detail == "1 row was loaded before"

    def test_a_file_s_own_columns_tell_its_rows_apart(self, project: Project) -> None:
        """With include_file_info an equal row of another file is another row, and one of a grown file is not."""
        project.csv("events/shop1.csv", "day,product", "2024-01-05,apple")
        flow = project.flow(watermark="day", read_options={"include_file_info": True})
        project.load(flow)
        project.csv("events/shop2.csv", "day,product", "2024-01-05,apple")
        project.load(flow)
        assert project.rows(flow, "product") == ["apple", "apple"]
        project.more("events/shop1.csv", "2024-01-05,pear")
        project.load(flow)
        assert project.rows(flow, "product") == ["apple", "apple", "pear"]


class TestRowsWithoutAWatermark:
    def test_they_are_remembered_in_one_generation(self, project: Project) -> None:
        """However many loads there were, they are kept once."""
        flow = project.flow(watermark="at")
        for number in range(4):
            project.csv(f"events/{number}.csv", "id,at", f"{number},", f"1{number},{number}")
            project.load(flow)
        state = project.position(flow)
        assert state is not None
        seen = state.position.seen_rows.generations
        assert [generation.hashes.total() for generation in seen if not generation.up_to] == [4]

    def test_they_count_towards_the_limit(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        """An append that would remember ever more of them says so instead."""
        monkeypatch.setattr(meters, "MOST_REMEMBERED_ROWS", 5)
        flow = project.flow(watermark="at")
        project.csv("events/0.csv", "id,at", *(f"{number}," for number in range(4)), "9,1")
        project.load(flow)
        project.csv("events/1.csv", "id,at", *(f"1{number}," for number in range(4)), "19,2")
        assert project.fail(flow).code == "TG211"

    def test_a_merge_forgets_them_instead(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        """A keyed load may read a row again."""
        monkeypatch.setattr(meters, "MOST_REMEMBERED_ROWS", 5)
        flow = project.merge(watermark="at")
        for load in range(3):
            project.csv(f"events/{load}.csv", "id,at", *(f"{load}{number}," for number in range(4)), f"9{load},{load}")
            project.load(flow)
        assert len(project.rows(flow)) == 15


class TestLocating:
    @pytest.mark.parametrize("column", ["junk", "id"])
    def test_a_full_disk_is_not_looked_for_in_the_source(
        self, project: Project, monkeypatch: pytest.MonkeyPatch, column: str
    ) -> None:
        """What the system refused is told as it is, and no file is read again, whatever values it holds."""
        project.csv("e.csv", "id,junk", "1,5", *["2,6"] * 10001, "3,oops")
        flow = project.flow(source="e.csv", drop_columns=[column])
        full = OSError(errno.ENOSPC, "No space left on device")
        monkeypatch.setattr(polars_engine, "write_files", failing(full))
        monkeypatch.setattr(polars_errors, "_look", failing(AssertionError("the source was read again")))
        error = project.fail(flow)
        assert (error.code, "No space left" in error.message) == ("TG401", True)

    def test_a_column_that_polars_does_not_name_is_not_blamed(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When Polars names the column that failed, an earlier value of another one is not the cause."""
        project.csv("e.csv", "id,junk", *["3,7"] * 10_001, "4,oops", "five,8")
        named = pl.exceptions.ComputeError("could not parse `five` as dtype `i64` at column 'id' (column number 1)")
        monkeypatch.setattr(polars_engine, "write_files", failing(named))
        error = project.fail(project.flow(source="e.csv"))
        assert (error.code, "'five'" in error.message) == ("TG206", True)

    def test_a_column_that_is_dropped_is_not_blamed(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        """A failure without a column is not one of a column that the metadata drop."""
        project.csv("e.csv", "id,junk", *["3,7"] * 10_001, "4,oops")
        monkeypatch.setattr(polars_engine, "write_files", failing(pl.exceptions.ComputeError("something else")))
        error = project.fail(project.flow(source="e.csv", drop_columns=["junk"]))
        assert (error.code, error.message) == ("TG801", "polars: something else")

    def test_a_bad_value_far_down_a_json_file_is_found(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        """The file is looked through some lines at a time."""
        monkeypatch.setattr(polars_errors, "_LINES_AT_ONCE", 10)
        project.jsonl("e.jsonl", *({"id": number, "v": "1.5"} for number in range(95)), {"id": 95, "v": "oops"})
        error = project.fail(project.flow(source="e.jsonl", format="jsonl", hints={"v": "double"}))
        assert (error.code, "'oops'" in error.message) == ("TG206", True)
        assert (error.where or "").endswith("row 96, column v")

    def test_in_a_compressed_json_file_too(self, project: Project) -> None:
        """A gzip file is read as its text."""
        project.text("e.jsonl.gz", '{"v": "1"}\n{"v": "oops"}\n')
        error = project.fail(project.flow(source="e.jsonl.gz", format="jsonl", hints={"v": "double"}))
        assert (error.code, (error.where or "").endswith("row 2, column v")) == ("TG206", True)


class TestTransient:
    @pytest.mark.parametrize("kind", [TimeoutError, ConnectionResetError])
    def test_what_may_pass_is_tried_again(
        self, project: Project, monkeypatch: pytest.MonkeyPatch, kind: type[OSError]
    ) -> None:
        """A timeout or a broken connection, on the way in or out, is a failure that a retry may mend."""
        project.csv("e.csv", "id", "1")
        flow = project.flow(source="e.csv")
        attempts = iter([failing(kind(errno.ETIMEDOUT, "it took too long")), polars_engine.write_files])

        def write(*arguments: Any) -> Any:
            return next(attempts)(*arguments)

        monkeypatch.setattr(polars_engine, "write_files", write)
        assert project.load(flow, retry_count=1, retry_delay=0).attempts == 2

    def test_the_platform_s_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A mount that does not answer is another failure than a path that is wrong."""
        monkeypatch.setattr(os, "listdir", failing(TimeoutError(errno.ETIMEDOUT, "Connection timed out")))
        with pytest.raises(TidegateError, match="timed out") as raised:
            LocalPlatform().names_in(str(tmp_path))
        assert (raised.value.code, raised.value.transient) == ("TG702", True)


class TestBoundary:
    def test_a_panic_of_polars_is_an_error_of_ours(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        """One dataflow fails, the others go on: no foreign exception that `except Exception` lets through."""
        project.csv("a.csv", "id", "1")
        first, second = project.flow("a", source="a.csv"), project.flow("b", source="a.csv")
        write = polars_engine.write_files

        def panic(frame: Any, target: Any) -> Any:
            if "/out/a" in target.folder:
                raise pl.exceptions.PanicException("boom")
            return write(frame, target)

        monkeypatch.setattr(polars_engine, "write_files", panic)
        units = {unit.name: unit for unit in project.run(first, second).units}
        assert (units["load_a"].status, units["load_b"].status) == ("failed", "succeeded")
        assert units["load_a"].error is not None
        assert units["load_a"].error.code == "TG801"

    @pytest.mark.parametrize("method", ["distinct", "key_ranges", "repeated_key", "latest", "schema"])
    def test_in_every_method_that_runs_a_frame(self, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever is run, a panic leaves the engine as an EngineError."""
        panic = failing(pl.exceptions.PanicException("boom"))
        for name in ("collect", "collect_schema", "sink_parquet"):
            monkeypatch.setattr(pl.LazyFrame, name, panic)
        import narwhals as nw

        frame = nw.from_native(pl.LazyFrame({"id": [1]}))
        arguments = {"distinct": ("id",), "schema": (), "latest": (["id"], ["id"])}.get(method, (["id"],))
        options = {"by_rank": False, "scratch": "/tmp"} if method == "latest" else {}
        with pytest.raises(TidegateError, match="boom") as raised:
            getattr(PolarsEngine(), method)(frame, *arguments, **options)
        assert raised.value.code == "TG801"

    def test_a_source_asks_its_engine(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        """Sources name no engine: another one inspects files its own way."""
        project.csv("e.csv", "id", "1")
        inspected: list[str] = []
        inspect = PolarsEngine.inspect

        def noted(self: PolarsEngine, path: str, *rest: Any) -> Any:
            inspected.append(Path(path).name)
            return inspect(self, path, *rest)

        monkeypatch.setattr(PolarsEngine, "inspect", noted)
        project.load(project.flow(source="e.csv"))
        assert inspected == ["e.csv"]
        assert "polars" not in Path(str(FileSource.open.__code__.co_filename)).read_text(encoding="utf-8")


class TestListing:
    def test_a_partition_of_another_type_is_named(self, project: Project) -> None:
        """A folder that does not fit the type of earlier loads is told with its file."""
        project.csv("events/r=1/a.csv", "id", "1")
        flow = project.flow(hive=True)
        project.load(flow)
        project.csv("events/r=x/a.csv", "id", "2")
        error = project.fail(flow)
        assert (error.code, "r=x" in error.message, "r=x/a.csv" in str(error.where)) == ("TG203", True, True)

    @pytest.mark.parametrize("pattern", ["events/**/*.csv", "events/*/*.csv", "events/**"])
    def test_globs_leave_hidden_names_out(self, project: Project, pattern: str) -> None:
        """What is hidden in a folder is hidden from a glob: files half written stand there."""
        for name in ("ok/a", "ok/_b", "ok/.c", "_tmp/d", ".tmp/e", "ok/_x/f"):
            project.csv(f"events/{name}.csv", "id", "1" if name == "ok/a" else "2")
        flow = project.flow(source=pattern)
        project.load(flow)
        assert project.rows(flow, "id") == [1]

    def test_a_hidden_folder_may_be_the_root_of_a_glob(self, project: Project) -> None:
        """Who names it wants it."""
        project.csv("_landing/a.csv", "id", "1")
        flow = project.flow(source="_landing/*.csv")
        project.load(flow)
        assert project.rows(flow, "id") == [1]

    @pytest.mark.parametrize("source", ["events", "events/**/*.csv", "events/*.csv"])
    def test_links_in_a_circle_are_followed_once(self, project: Project, source: str) -> None:
        """Links back up, of which two would make 2^40 paths, and a link to itself, give each file once."""
        folder = project.csv("events/a.csv", "id", "1").parent
        for name in ("me", "me_too"):
            (folder / name).symlink_to(folder)
        (folder / "self.csv").symlink_to(folder / "self.csv")
        flow = project.flow(source=source)
        assert project.load(flow).files_read == 1
        assert project.rows(flow, "id") == [1]

    def test_globs_match_as_they_did(self, tmp_path: Path) -> None:
        """Files only, at every depth that the pattern names, sorted, each once."""
        for name in ("a.csv", "b1.csv", "x/a.csv", "x/y/a.csv", "x/y/b.txt"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("x")

        def found(pattern: str) -> list[str]:
            files = LocalPlatform().files_matching(f"{tmp_path}/{pattern}")
            return [file.path.removeprefix(f"{tmp_path}/") for file in files]

        assert found("*") == ["a.csv", "b1.csv"]
        assert found("b[0-9].csv") == ["b1.csv"]
        assert found("x/*/a.csv") == found("*/y/?.csv") == ["x/y/a.csv"]
        assert found("**/a.csv") == found("**/**/a.csv") == ["a.csv", "x/a.csv", "x/y/a.csv"]
        assert found("*/**/a.csv") == ["x/a.csv", "x/y/a.csv"]
        assert found("**") == ["a.csv", "b1.csv", "x/a.csv", "x/y/a.csv", "x/y/b.txt"]
        assert found("none/*.csv") == []


class TestTypes:
    @pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
    def test_long_integers_do_not_become_floats(self, project: Project, order: tuple[str, str]) -> None:
        """Ids above 2^53 would run together; in Parquet the types are told, and two that clash are an error."""
        project.parquet(f"events/{order[0]}.parquet", {"id": [2**53 + 1, 2**53]})
        project.parquet(f"events/{order[1]}.parquet", {"id": [1.5]})
        error = project.fail(project.flow(format="parquet"))
        assert (error.code, "'id'" in error.message) == ("TG203", True)

    def test_nor_in_a_later_load(self, project: Project) -> None:
        """A column of floats takes no long integers either."""
        project.parquet("events/a.parquet", {"id": [1.5]})
        flow = project.flow(format="parquet")
        project.load(flow)
        project.parquet("events/b.parquet", {"id": [2**53 + 1]})
        assert project.fail(flow).code == "TG203"

    def test_short_ones_do(self, project: Project) -> None:
        """32 bits fit into a double."""
        project.parquet("events/a.parquet", pl.DataFrame({"id": [1]}, schema={"id": pl.Int32}))
        project.parquet("events/b.parquet", {"id": [1.5]})
        flow = project.flow(format="parquet")
        project.load(flow)
        assert project.rows(flow) == [1.0, 1.5]

    def test_text_widens(self, project: Project) -> None:
        """What was only inferred may turn out to be wider."""
        project.csv("events/a.csv", "id", "1")
        project.csv("events/b.csv", "id", "1.5")
        flow = project.flow()
        project.load(flow)
        assert project.rows(flow) == [1.0, 1.5]

    @pytest.mark.parametrize("options", [{}, {"infer_schema_length": None}, {"has_header": False}])
    def test_numbers_with_leading_zeros_are_text(self, project: Project, options: dict[str, Any]) -> None:
        """007 and a zip code lose nothing; 0, 0.5 and -1 are numbers."""
        rows = ["007,01234,0,0.5,-1", "12,98765,10,1.5,0"]
        project.csv("e.csv", *(rows if options.get("has_header") is False else ["id,zip,n,x,y", *rows]))
        flow = project.flow(source="e.csv", read_options=options)
        project.load(flow)
        assert sorted(project.frame(flow).rows()) == [("007", "01234", 0, 0.5, -1), ("12", "98765", 10, 1.5, 0)]

    def test_keys_with_leading_zeros_stay_two(self, project: Project) -> None:
        """007 and 7 are two keys."""
        project.csv("e.csv", "id,x", "007,a", "7,b")
        flow = project.merge(source="e.csv")
        project.load(flow)
        assert project.rows(flow, "id", "x") == [("007", "a"), ("7", "b")]


class TestPlan:
    @pytest.mark.parametrize("file_format", ["json", "jsonl", "csv"])
    @pytest.mark.parametrize("options", [{}, {"infer_schema_length": 100}])
    def test_it_says_when_files_are_read_twice(
        self, project: Project, file_format: str, options: dict[str, Any]
    ) -> None:
        """Types of JSON are inferred from all of each file, unless the metadata say how much of it is enough."""
        project.jsonl("e.jsonl", {"id": 1})
        project.json("e.json", [{"id": 1}])
        project.csv("e.csv", "id", "1")
        flow = project.flow(source=f"e.{file_format}", format=file_format, read_options=options)
        text = project.plan(flow)["steps"][0]["text"]
        assert ("(inspects all of each file)" in text) is (file_format != "csv" and not options)
