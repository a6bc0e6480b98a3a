"""Python functions as sources: what they are given, what they may return, and what is said when they fail."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import polars as pl
import pyarrow as pa
import pytest

from tests.behaviour.project import Project
from tidegate import Connection, DataFlow, ReplayConfig, Source, create_driver
from tidegate.cli import main
from tidegate.errors import ConfigurationError
from tidegate.metadata import check
from tidegate.sources.kinds import refuse_other_functions

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a module of its own for each text; returns its name."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    written: list[str] = []

    def writes(text: str) -> str:
        name = f"jobs_{tmp_path.name.replace('-', '_')}_{len(written)}"
        (folder / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
        written.append(name)
        return name

    yield writes
    for name in written:
        sys.modules.pop(name, None)


def from_function(project: Project, function: str, **options: Any) -> DataFlow:
    """Declare a flow that reads what a function returns."""
    flow = project.flow(**options)
    source = flow.source.model_copy(
        update={
            "connection": Connection(name="functions", format="function"),
            "connection_name": "functions",
            "table": None,
            "python_function": function,
        }
    )
    return flow.model_copy(update={"source": source})


def returns(result: Any, write: Write) -> str:
    """Make a function that returns a value of this process."""
    name = write("def read(engine, source, watermark_start, watermark_end):\n    return RESULT() \n")
    module = __import__(name)
    module.RESULT = result
    return f"{name}.read"


ROWS = {"id": [1, 2], "name": ["a", None]}
EXPECTED = [(1, "a"), (2, None)]


@pytest.mark.supports("sources", "function", "polars", evidence="real")
class TestWhatAFunctionReturns:
    @pytest.mark.parametrize(
        "result",
        [
            pytest.param(lambda: pl.LazyFrame(ROWS), id="polars lazy"),
            pytest.param(lambda: pl.DataFrame(ROWS), id="polars"),
            pytest.param(lambda: pl.DataFrame(ROWS, schema_overrides={"name": pl.Categorical}), id="categories"),
            pytest.param(lambda: nw.from_native(pl.DataFrame(ROWS)), id="narwhals"),
            pytest.param(lambda: pa.table(ROWS), id="arrow table"),
            pytest.param(lambda: pa.record_batch(ROWS), id="arrow batch"),
            pytest.param(lambda: pa.table(ROWS).to_reader(1), id="arrow stream"),
            pytest.param(lambda: pa.table(ROWS).to_batches(1), id="list of batches"),
            pytest.param(lambda: (pl.DataFrame(ROWS)[place] for place in range(2)), id="generator of frames"),
            pytest.param(lambda: duckdb.sql("SELECT 1 AS id, 'a' AS name UNION ALL SELECT 2, NULL"), id="duckdb"),
            pytest.param(lambda: [{"id": 1, "name": "a"}, {"id": 2}], id="dicts, one lacks a key"),
            pytest.param(lambda: iter([{"id": 1, "name": "a"}, {"name": None, "id": 2}]), id="generator of dicts"),
            pytest.param(lambda: ([row] for row in ({"id": 1, "name": "a"}, {"id": 2})), id="pages of dicts"),
        ],
    )
    def test_rows_arrive_as_they_are(self, project: Project, write: Write, result: Callable[[], Any]) -> None:
        flow = from_function(project, returns(result, write))
        assert project.load(flow).rows_out == 2
        assert project.rows(flow, "id", "name") == EXPECTED

    def test_pandas_frames_are_read_without_their_index(self, project: Project, write: Write) -> None:
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(ROWS, index=[7, 8])
        flow = from_function(project, returns(lambda: frame, write))
        project.load(flow)
        assert project.rows(flow) == EXPECTED

    def test_values_of_dicts_keep_their_types(self, project: Project, write: Write) -> None:
        row = {"amount": Decimal("1.50"), "day": date(2026, 1, 2), "at": datetime(2026, 1, 2, tzinfo=UTC), "raw": b"x"}
        flow = from_function(project, returns(lambda: [row], write))
        project.load(flow)
        assert project.frame(flow).rows(named=True) == [row]

    def test_many_dicts_go_through_a_file_of_the_run(
        self, project: Project, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not through one of the system's, whose folder may be memory; and the plan says so."""
        monkeypatch.setattr("tidegate.sources.spool._IN_MEMORY_BYTES", 1000)
        monkeypatch.setattr("tempfile.tempdir", "/nowhere")
        flow = from_function(project, returns(lambda: ({"id": number} for number in range(30_000)), write))
        assert "rows that it returns as dicts are kept on disk first" in project.plan(flow)["notes"]
        assert project.load(flow).rows_out == 30_000

    def test_columns_come_of_all_dicts_however_many(self, project: Project, write: Write) -> None:
        def rows() -> Iterator[dict[str, Any]]:
            yield from ({"id": number} for number in range(25_000))
            yield {"id": 0.5, "late": "x"}

        flow = from_function(project, returns(rows, write))
        assert project.load(flow).rows_out == 25_001
        assert project.frame(flow)["id"].dtype == pl.Float64
        assert project.frame(flow)["late"].count() == 1

    def test_no_rows_are_no_rows_once_columns_are_known(self, project: Project, write: Write) -> None:
        results: list[Any] = [[], [{"id": 1}], []]
        function = returns(lambda: results.pop(0), write)
        flow = from_function(project, function)
        assert project.fail(flow).code == "TG224"
        project.load(flow)
        assert project.load(flow).rows_out == 0
        assert project.rows(flow) == [1]

    def test_an_empty_frame_makes_an_empty_table(self, project: Project, write: Write) -> None:
        flow = from_function(project, returns(lambda: pl.DataFrame(schema={"id": pl.Int64}), write))
        assert project.load(flow).rows_out == 0
        assert project.frame(flow).schema == {"id": pl.Int64}

    @pytest.mark.parametrize(
        ("result", "said"),
        [
            (lambda: None, "returned nothing"),
            (lambda: 5, "returned a int"),
            (lambda: "text", "returned a str"),
            (lambda: [1, 2], "int"),
            (lambda: [{"a": 1}, {"a": "x"}], "nothing in common"),
            (lambda: [{"a": 1}, 5], "a int among them"),
            (lambda: [pa.table({"a": [1]}), pa.table({"b": [1]})], "different columns: b"),
            (lambda: pa.table([[1], [2]], names=["a", "a"]), "two columns 'a'"),
        ],
    )
    def test_what_is_no_rows_is_named(
        self, project: Project, write: Write, result: Callable[[], Any], said: str
    ) -> None:
        error = project.fail(from_function(project, returns(result, write)))
        assert error.code == "TG224"
        assert said in error.message


class TestWhatAFunctionIsGiven:
    def test_it_starts_where_the_last_load_ended_and_ties_are_neither_lost_nor_doubled(
        self, project: Project, write: Write
    ) -> None:
        name = write("""
            ROWS, CALLS = [], []

            def read(engine, source, watermark_start, watermark_end):
                CALLS.append((engine.name, source.python_function, watermark_start, watermark_end))
                start = (watermark_start or {}).get("number", 0)
                return [row for row in ROWS if row["number"] >= start]
        """)
        module = __import__(name)
        flow = from_function(project, f"{name}.read", watermark="number")
        module.ROWS.extend([{"id": 1, "number": 5}, {"id": 2, "number": 7}])
        project.load(flow)
        module.ROWS.extend([{"id": 3, "number": 7}, {"id": 4, "number": 9}])
        assert project.load(flow).rows_out == 2
        assert project.rows(flow, "id") == [1, 2, 3, 4]
        calls = [("polars", f"{name}.read", None, None), ("polars", f"{name}.read", {"number": 7}, None)]
        assert calls == module.CALLS

    def test_a_function_that_ignores_the_watermark_doubles_nothing(self, project: Project, write: Write) -> None:
        flow = from_function(project, returns(lambda: pa.table({"id": [1, 2]}), write), watermark="id")
        project.load(flow)
        assert project.load(flow).rows_out == 0

    def test_a_replay_gives_both_ends_of_its_window(self, project: Project, write: Write) -> None:
        name = write("""
            CALLS = []

            def read(engine, source, watermark_start, watermark_end):
                CALLS.append((watermark_start, watermark_end))
                return [{"id": number} for number in range(10)]
        """)
        flow = from_function(project, f"{name}.read", watermark="id", load_type="merge_upsert", keys="id")
        with create_driver(root=project.root) as driver:
            replay = ReplayConfig(start=2, end=6, chunk_interval={"step": 2})
            assert driver.run_replay([flow], replay).exit_code == 0
        assert project.rows(flow, "id") == [2, 3, 4, 5]
        windows = [({"id": 2}, {"id": 4}), ({"id": 4}, {"id": 6})]
        assert windows == __import__(name).CALLS

    @pytest.mark.parametrize(
        "parameters",
        [
            "*given",
            "engine, source, start, end, extra=None",
            "*, engine, source, watermark_start, watermark_end",
            "engine, source, *, watermark_start, watermark_end",
            "e, s, **rest",
        ],
    )
    def test_any_signature_that_takes_four_will_do(self, project: Project, write: Write, parameters: str) -> None:
        flow = from_function(project, f"{write(f'def read({parameters}): return [dict(id=1)]')}.read")
        project.load(flow)
        assert project.rows(flow) == [1]

    def test_columns_may_come_and_go_between_loads(self, project: Project, write: Write) -> None:
        results = [[{"id": 1, "old": "x"}], [{"id": 2, "new": 2.5}]]
        flow = from_function(project, returns(lambda: results.pop(0), write))
        project.load(flow)
        assert "lacks old" in (project.load(flow).detail or "")
        assert project.rows(flow, "id", "new", "old") == [(1, None, "x"), (2, 2.5, None)]


class TestWhatIsSaidWhenItFails:
    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("no_such_module.read", "there is no module no_such_module"),
            ("{module}.raed", "has no 'raed'"),
            ("{module}.VALUE", "is a int, not a function"),
            ("{module}.few", "does not take what it is given"),
            ("{module}.later", "is asynchronous"),
            ("read", "is no dotted name"),
        ],
    )
    def test_a_plan_says_what_cannot_be_called(self, project: Project, write: Write, name: str, said: str) -> None:
        module = write("""
            VALUE = 5

            def read(engine, source, watermark_start, watermark_end): ...

            def few(engine): ...

            async def later(engine, source, watermark_start, watermark_end): ...
        """)
        with pytest.raises(ConfigurationError, match=said) as caught:
            project.plan(from_function(project, name.format(module=module)))
        assert caught.value.code == "TG221"

    def test_a_module_that_fails_is_named_with_its_line(self, project: Project, write: Write) -> None:
        module = write("import math\n\nmath.sqrt(-1)\n")
        with pytest.raises(ConfigurationError, match="ValueError") as caught:
            project.plan(from_function(project, f"{module}.read"))
        assert str(caught.value.where).endswith(f"{module}.py:3")

    @pytest.mark.parametrize("how", ["return [row['missing'] for row in [{}]]", "yield {'id': 1}\n    {}['missing']"])
    def test_an_exception_is_told_with_its_type_and_line(self, project: Project, write: Write, how: str) -> None:
        module = write(f"def read(engine, source, watermark_start, watermark_end):\n    {how}\n")
        error = project.fail(from_function(project, f"{module}.read"))
        assert error.code == "TG223"
        assert "KeyError: 'missing'" in error.message
        assert f"{module}.py:" in str(error.where)

    def test_a_failure_amid_batches_loads_nothing(self, project: Project, write: Write) -> None:
        module = write("""
            import pyarrow as pa

            def read(engine, source, watermark_start, watermark_end):
                yield pa.table({"id": [1]})
                raise RuntimeError("half way")
        """)
        error = project.fail(from_function(project, f"{module}.read"))
        assert (error.code, "half way" in error.message) == ("TG223", True)

    def test_a_broken_connection_is_tried_again(self, project: Project, write: Write) -> None:
        module = write("""
            CALLS = []

            def read(engine, source, watermark_start, watermark_end):
                CALLS.append(1)
                if len(CALLS) < 3:
                    raise ConnectionResetError("gone")
                return [{"id": 1}]
        """)
        flow = from_function(project, f"{module}.read")
        project.load(flow, retry_count=2, retry_delay=0)
        assert project.rows(flow) == [1]


class TestWhichFunctionsMayBeCalled:
    @pytest.mark.parametrize(
        ("prefixes", "allowed"),
        [
            ([], True),
            (["jobs"], True),
            (["jobs.orders"], True),
            (["job"], False),
            (["jobs.order"], False),
            (["x"], False),
        ],
    )
    def test_whole_names_count(self, prefixes: list[str], *, allowed: bool) -> None:
        source = Source(
            connection_name="functions",
            connection=Connection(name="functions", format="function"),
            python_function="jobs.orders.read",
        )
        if allowed:
            refuse_other_functions(source, prefixes)
            return
        with pytest.raises(ConfigurationError) as caught:
            refuse_other_functions(source, prefixes)
        assert caught.value.code == "TG222"

    def test_one_that_is_not_is_not_even_imported(self, project: Project, write: Write) -> None:
        module = write("def read(engine, source, watermark_start, watermark_end): return []")
        flow = from_function(project, f"{module}.read")
        assert project.fail(flow, allowed_function_prefixes=["jobs"]).code == "TG222"
        assert module not in sys.modules


class TestInAProject:
    METADATA = """
        connections:
          - {name: functions, format: function}
          - {name: lake, format: delta, configure: {base_path: lake}}
        dataflows:
          - name: orders
            source: {connection: functions, python_function: MODULE.orders}
            destination: {connection: lake, table: orders}
        """

    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        name = f"own_{tmp_path.name.replace('-', '_')}"
        (tmp_path / "tidegate.yaml").write_text(textwrap.dedent(self.METADATA.replace("MODULE", name)))
        (tmp_path / f"{name}.py").write_text("def orders(engine, source, start, end): return [{'id': 1}]")
        monkeypatch.setattr(sys, "path", [*sys.path])
        return tmp_path

    def test_modules_of_the_project_are_found(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["run", str(folder)]) == 0
        capsys.readouterr()
        assert main(["plan", str(folder), "--allow-functions", "jobs"]) == 1
        assert "TG222" in capsys.readouterr().out

    def test_check_wants_a_function(self, folder: Path) -> None:
        path = folder / "tidegate.yaml"
        path.write_text(path.read_text().replace("python_function", "table"))
        assert [finding.code for finding in check(folder)] == ["TG103"]
