"""The record of runs in Parquet files: what analysts read, and what is left of a run that was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from tidegate.masking import register_secret_values
from tidegate.reporting import ErrorReport, EventStream, ExecutionResult, RunFinished, RunStarted, UnitReport
from tidegate.reporting.events import UnitFinished, UnitStarted
from tidegate.reporting.jsonl import EventFileSink
from tidegate.reporting.parquet import ParquetSink, schema_of
from tidegate.reporting.record import RUN_COLUMNS, TABLES, UNIT_COLUMNS

START = datetime(2026, 3, 1, 23, 59, 50, tzinfo=UTC)
END = START + timedelta(seconds=20)


def unit(name: str, status: str = "succeeded", **more: object) -> UnitReport:
    more = {"rows_in": 10, "rows_out": 9, **more}
    return UnitReport(
        run_id="run1", dataflow_id=f"id-{name}", name=name, status=status, started_at=START,
        ended_at=START + timedelta(seconds=2), **more,
    )  # fmt: skip


def started(run_id: str = "run1", units: int = 2, **job: object) -> RunStarted:
    return RunStarted(run_id=run_id, units=tuple((f"u{i}", None, "t") for i in range(units)), at=START, **job)


def record(root: Path, *reports: UnitReport, **job: object) -> None:
    """Tell a whole run to the sink."""
    with EventStream([ParquetSink(root)]) as stream:
        stream.emit(started(units=len(reports), **job))
        for report in reports:
            stream.emit(UnitFinished(report=report))
        stream.emit(RunFinished(result=ExecutionResult.from_units(reports), at=END))


def scanned(root: Path, table: str = "unit_runs") -> pl.DataFrame:
    return pl.scan_parquet(f"{root}/{table}/**/*.parquet", hive_partitioning=True).collect()


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


FAILED = unit(
    "bad", "failed", rows_in=None, rows_out=None, window=("2026-03-01", "2026-03-02"),
    error=ErrorReport(code="TG201", message="no such file", where="landing/x", hint="look"),
)  # fmt: skip


class TestTheTables:
    def test_a_run_becomes_one_file_in_each_table_by_the_day_it_began(self, tmp_path: Path) -> None:
        record(tmp_path, unit("a"), FAILED)
        assert files(tmp_path) == [
            "runs/run_date=2026-03-01/run1.parquet",
            "unit_runs/run_date=2026-03-01/run1.parquet",
        ]

    def test_polars_reads_typed_columns_and_the_date(self, tmp_path: Path) -> None:
        record(tmp_path, unit("a", sequence=3), FAILED, job_id="nightly", job_num=4, job_index=2)
        frame = scanned(tmp_path)

        assert frame.columns == [*(column.name for column in UNIT_COLUMNS), "run_date"]
        assert frame.schema["started_at"] == pl.Datetime("us", "UTC")
        good, bad = frame.sort("name").to_dicts()
        assert good["name"] == "a"
        assert good["run_date"] == date(2026, 3, 1)
        assert good["started_at"] == START
        assert (good["rows_in"], good["sequence"], good["duration_seconds"]) == (10, 3, 2.0)
        assert (good["job_id"], good["job_num"], good["job_index"]) == ("nightly", 4, 2)
        assert good["error_code"] is good["window_lower"] is None
        assert (bad["error_code"], bad["error_message"]) == ("TG201", "no such file")
        assert (bad["error_where"], bad["error_hint"]) == ("landing/x", "look")
        assert (bad["window_lower"], bad["window_upper"]) == ("2026-03-01", "2026-03-02")

    def test_duckdb_reads_the_same(self, tmp_path: Path) -> None:
        record(tmp_path, unit("a"), FAILED)
        query = f"""
            SELECT u.name, r.status, u.run_date::text
            FROM read_parquet('{tmp_path}/unit_runs/**/*.parquet', hive_partitioning = true) AS u
            JOIN read_parquet('{tmp_path}/runs/**/*.parquet', hive_partitioning = true) AS r USING (run_id)
            WHERE u.status = 'failed'
        """
        assert duckdb.sql(query).fetchall() == [("bad", "failed", "2026-03-01")]

    def test_the_row_of_a_run_sums_its_units_up(self, tmp_path: Path) -> None:
        record(tmp_path, unit("a"), unit("b", "skipped", rows_out=None), FAILED)
        (row,) = scanned(tmp_path, "runs").to_dicts()
        assert (row["units"], row["succeeded"], row["failed"], row["skipped"]) == (3, 1, 1, 1)
        assert (row["rows_in"], row["rows_out"], row["rows_updated"]) == (20, 9, 0)
        assert (row["status"], row["command"], row["duration_seconds"]) == ("failed", "run", 20.0)
        assert row["process_id"] == os.getpid()

    def test_every_field_of_a_report_has_a_column(self) -> None:
        columns = {column.name for column in UNIT_COLUMNS}
        flat = {"error": "error_code", "window": "window_lower"}
        assert {flat.get(item.name, item.name) for item in fields(UnitReport)} <= columns

    def test_names_and_types_are_stable(self) -> None:
        """Queries of users depend on them: add columns, and never rename one."""
        first = {"run_id": "string", "name": "string", "started_at": "timestamp[us, tz=UTC]", "rows_in": "int64"}
        schema = schema_of("unit_runs")
        assert {name: str(schema.field(name).type) for name in first} == first
        assert len({column.name for column in RUN_COLUMNS}) == len(RUN_COLUMNS)
        assert set(TABLES) == {"unit_runs", "runs"}

    def test_units_that_were_never_started_are_rows_too(self, tmp_path: Path) -> None:
        unstarted = unit("late", "skipped", detail="not started: an earlier dataflow failed")
        with EventStream([ParquetSink(tmp_path)]) as stream:
            stream.emit(started())
            stream.emit(UnitFinished(report=FAILED))
            stream.emit(RunFinished(result=ExecutionResult.from_units([FAILED, unstarted])))
        assert sorted(scanned(tmp_path)["name"]) == ["bad", "late"]

    def test_a_run_without_units_leaves_tables_that_can_be_read(self, tmp_path: Path) -> None:
        record(tmp_path)
        assert scanned(tmp_path).height == 0
        assert scanned(tmp_path, "runs").height == 1

    def test_secrets_are_masked(self, tmp_path: Path) -> None:
        register_secret_values("hunter-record-1")
        error = ErrorReport(code="TG401", message="password hunter-record-1 refused", where="db/hunter-record-1")
        record(tmp_path, unit("a", "failed", position_before="p=hunter-record-1", error=error))
        assert not any(b"hunter-record-1" in (tmp_path / file).read_bytes() for file in files(tmp_path))
        assert scanned(tmp_path)["error_message"].to_list() == ["password *** refused"]

    def test_a_hundred_thousand_units_are_written_piece_by_piece(self, tmp_path: Path) -> None:
        sink = ParquetSink(tmp_path)
        sink.handle(started(units=100_000))
        for number in range(100_000):
            sink.handle(UnitFinished(report=unit(f"u{number}")))
        sink.close()
        import pyarrow.parquet as pq

        (path,) = (tmp_path / "unit_runs").rglob("*.parquet")
        metadata = pq.read_metadata(path)
        assert metadata.num_rows == 100_000
        assert max(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)) <= 10_000


PROCESS = """
import os, sys, time
from datetime import UTC, datetime
from tidegate.reporting import RunStarted, UnitReport
from tidegate.reporting.events import UnitFinished
from tidegate.reporting.parquet import ParquetSink
at = datetime(2026, 3, 1, tzinfo=UTC)
sink = ParquetSink(sys.argv[1])
sink.handle(RunStarted(run_id=sys.argv[2], units=(("a", None, ""), ("b", None, ""), ("c", None, "")), at=at))
for name in "ab":
    sink.handle(UnitFinished(report=UnitReport(
        run_id=sys.argv[2], dataflow_id=name, name=name, status="succeeded", started_at=at, ended_at=at, rows_in=1)))
print("told", flush=True)
time.sleep(120)
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has told two of three units of the run `other`, and goes on."""
    command = [sys.executable, "-c", PROCESS, str(tmp_path), "other"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "told\n"
        yield other
        other.kill()


class TestAKilledRun:
    def test_its_units_are_kept_and_the_next_run_makes_parquet_of_them(
        self, tmp_path: Path, process: subprocess.Popen[str]
    ) -> None:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert files(tmp_path) == ["unit_runs/run_date=2026-03-01/.other.jsonl"]

        record(tmp_path, unit("a"))

        assert not [file for file in files(tmp_path) if not file.endswith(".parquet")]
        frame = scanned(tmp_path)
        assert sorted(frame.filter(run_id="other")["name"]) == ["a", "b"]
        (row,) = scanned(tmp_path, "runs").filter(run_id="other").to_dicts()
        assert (row["status"], row["units"], row["succeeded"]) == ("interrupted", 3, 2)
        assert row["ended_at"] == datetime(2026, 3, 1, tzinfo=UTC)

    def test_a_run_that_goes_on_is_left_alone_and_not_seen_by_readers(
        self, tmp_path: Path, process: subprocess.Popen[str]
    ) -> None:
        record(tmp_path, unit("a"))
        assert "unit_runs/run_date=2026-03-01/.other.jsonl" in files(tmp_path)
        assert scanned(tmp_path)["run_id"].unique().to_list() == ["run1"]

    def test_a_line_that_was_broken_off_is_left_out(self, tmp_path: Path, process: subprocess.Popen[str]) -> None:
        process.kill()
        process.wait()
        (path,) = tmp_path.rglob(".*.jsonl")
        with path.open("a") as file:
            file.write('{"unit": {"run_id": "oth')
        record(tmp_path, unit("a"))
        assert scanned(tmp_path).filter(run_id="other").height == 2

    def test_parquet_that_was_made_but_not_cleaned_up_after_is_made_again(
        self, tmp_path: Path, process: subprocess.Popen[str]
    ) -> None:
        process.kill()
        process.wait()
        (path,) = tmp_path.rglob(".*.jsonl")
        lines = path.read_bytes()
        record(tmp_path, unit("a"))
        path.write_bytes(lines)
        record(tmp_path, unit("a"))
        assert scanned(tmp_path).filter(run_id="other").height == 2
        assert not path.exists()

    def test_a_run_that_is_broken_off_in_order_is_interrupted_too(self, tmp_path: Path) -> None:
        with EventStream([ParquetSink(tmp_path)]) as stream:
            stream.emit(started())
            stream.emit(UnitFinished(report=unit("a")))
        assert scanned(tmp_path, "runs")["status"].to_list() == ["interrupted"]
        assert scanned(tmp_path)["name"].to_list() == ["a"]


class TestAFullDisk:
    def test_units_that_follow_a_line_that_failed_are_kept(self, tmp_path: Path) -> None:
        sink = ParquetSink(tmp_path)
        sink.handle(started())
        (path,) = tmp_path.rglob(".*.jsonl")
        lines = sink._lines
        assert lines is not None
        lines._file.write(b'{"unit": {"run')  # as far as the disk had room
        lines._torn = True
        sink.handle(UnitFinished(report=unit("b")))
        assert len(path.read_text().splitlines()) == 3
        sink.close()
        assert scanned(tmp_path)["name"].to_list() == ["b"]

    def test_a_folder_that_cannot_be_written_stops_no_run(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "file").write_text("")
        record(tmp_path / "file", unit("a"))
        assert "ParquetSink failed, the run goes on" in capsys.readouterr().err


class TestTheEvents:
    def test_each_run_has_a_file_of_its_events(self, tmp_path: Path) -> None:
        report = unit("a")
        with EventStream([EventFileSink(tmp_path)]) as stream:
            for run_id in ("run1", "run2"):
                stream.emit(started(run_id))
                stream.emit(UnitStarted(run_id=run_id, dataflow_id="id-a", name="a", at=START))
                stream.emit(UnitFinished(report=report))
                stream.emit(RunFinished(result=ExecutionResult.from_units([report]), at=END))
        assert files(tmp_path) == [f"events/run_date=2026-03-01/run{number}.jsonl" for number in (1, 2)]
        lines = (tmp_path / files(tmp_path)[0]).read_text().splitlines()
        assert [json.loads(line)["event"] for line in lines] == [
            "run_started", "unit_started", "unit_finished", "run_finished"
        ]  # fmt: skip
