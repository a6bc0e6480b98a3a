"""What a person sees: the live table, the errors, the summary."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from tidegate.reporting import (
    ErrorReport,
    Event,
    ExecutionResult,
    Notice,
    RunFinished,
    RunStarted,
    UnitFinished,
    UnitProgress,
    UnitReport,
    UnitStarted,
)
from tidegate.reporting.board import Board, Row
from tidegate.reporting.console import ConsoleSink, final_table, print_result
from tidegate.reporting.unit_table import ASCII, UNICODE, Symbols, unit_table

START = datetime(2013, 3, 1, 6, 0, tzinfo=UTC)
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-8]|9[0-7]|4[0-8])[;m]")


def report(name: str = "flights", status: str = "succeeded", **values: Any) -> UnitReport:
    given_values: dict[str, Any] = {
        "run_id": "run-1",
        "dataflow_id": name,
        "name": name,
        "status": status,
        "stage": "bronze",
        "started_at": START,
        "ended_at": START + timedelta(seconds=4),
        "rows_in": 1234567,
        "rows_out": 1234000,
        "position_after": "updated_at=2013-02-28 23:00",
        **values,
    }
    return UnitReport(**given_values)


NOT_FOUND = ErrorReport(code="TG201", message="no such file: a.csv", where="tidegate.yaml:61:7", hint="check base_path")


def failed(name: str, error: ErrorReport = NOT_FOUND) -> UnitReport:
    return report(name, "failed", error=error, rows_out=None, position_after=None)


def running(name: str, **values: Any) -> UnitProgress:
    return UnitProgress(run_id="run-1", dataflow_id=name, name=name, phase="writing", **{"at": START, **values})


def announced(*names: str) -> RunStarted:
    return RunStarted(run_id="run-1", units=tuple((name, None, "lake") for name in names), at=START)


def board_of(*events: Event) -> Board:
    board = Board()
    for event in events:
        board.apply(event)
    return board


def drawn(
    rows: list[Row], width: int, *, symbols: Symbols = UNICODE, seconds: float = 10, live: bool = False
) -> list[str]:
    out = io.StringIO()
    now = START + timedelta(seconds=seconds)
    console = Console(file=out, width=width, color_system=None)
    console.print(unit_table(rows, width=width, symbols=symbols, now=now, live=live))
    return out.getvalue().splitlines()


def shown(result: ExecutionResult, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(final_table(result))
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


class TestBoard:
    def test_shows_all_rows_in_the_announced_order_where_they_fit(self) -> None:
        board = board_of(announced("a", "b", "c"), running("c"), UnitFinished(report=report("b")))

        assert [(row.name, row.status) for row in board.visible(3)] == [
            ("a", "waiting"),
            ("b", "succeeded"),
            ("c", "writing"),
        ]

    def test_of_a_thousand_flows_shows_the_running_ones_and_the_last_failures(self) -> None:
        names = [f"f{number:04}" for number in range(1000)]
        board = board_of(announced(*names))
        for second, name in enumerate(names[:500]):
            status = "failed" if name.endswith("7") else "succeeded"
            unit = report(name, status, ended_at=START + timedelta(seconds=second))
            board.apply(UnitFinished(report=unit))
        for name in names[500:512]:
            board.apply(running(name))

        visible = [row.name for row in board.visible(20)]

        assert visible[:8] == ["f0427", "f0437", "f0447", "f0457", "f0467", "f0477", "f0487", "f0497"]
        assert visible[8:] == names[500:512]
        assert board.counts() == {"waiting": 488, "running": 12, "succeeded": 450, "failed": 50}

    def test_keeps_room_for_failures_when_more_run_than_fit(self) -> None:
        names = [f"f{number}" for number in range(50)]
        board = board_of(
            announced("bad", *names), UnitFinished(report=failed("bad")), *(running(name) for name in names)
        )

        assert [row.name for row in board.visible(5)] == ["bad", "f0", "f1", "f2", "f3"]

    @given(st.lists(st.sampled_from(["waiting", "running", "succeeded", "failed", "skipped"])), st.integers(1, 30))
    def test_never_shows_more_rows_than_asked_nor_fewer_than_it_could(self, statuses: list[str], limit: int) -> None:
        names = [str(number) for number in range(len(statuses))]
        board = board_of(announced(*names))
        for name, status in zip(names, statuses, strict=True):
            if status == "running":
                board.apply(running(name))
            elif status != "waiting":
                board.apply(UnitFinished(report=report(name, status)))

        visible = [row.name for row in board.visible(limit)]

        assert len(visible) == min(limit, len(names))
        assert len(set(visible)) == len(visible)

    def test_ignores_progress_that_comes_after_the_end(self) -> None:
        board = board_of(announced("a"), UnitFinished(report=report("a")), running("a", rows_in=1))

        assert board.rows[0].status == "succeeded"
        assert board.rows[0].rows_in == 1234567

    def test_a_retry_starts_over(self) -> None:
        started = UnitStarted(run_id="run-1", dataflow_id="a", name="a", attempt=2, at=START)
        board = board_of(announced("a"), running("a", rows_in=10), started)

        assert (board.rows[0].status, board.rows[0].rows_in) == ("planning", None)

    def test_what_runs_when_the_run_ends_was_interrupted(self) -> None:
        board = board_of(announced("a"), running("a"), RunFinished(result=ExecutionResult()))

        assert board.rows[0].status == "interrupted"

    def test_tells_the_time_left_where_the_total_is_known(self) -> None:
        board = board_of(announced("a", "b"), running("a", rows_in=250, rows_total=1000), running("b", rows_in=9))
        later = START + timedelta(seconds=10)

        assert board.rows[0].remaining_seconds(later) == 30
        assert board.rows[1].remaining_seconds(later) is None


class TestUnitTable:
    ROWS = staticmethod(
        lambda: (
            board_of(
                announced("flights_daily_by_carrier", "planes", "weather"),
                running("flights_daily_by_carrier", rows_in=250, rows_out=100, rows_total=1000),
                UnitFinished(report=failed("planes")),
                UnitFinished(report=report("weather")),
            ).rows
        )
    )

    @pytest.mark.parametrize(
        ("width", "titles"),
        [
            (40, ["flow", "status", "rows out"]),
            (60, ["flow", "status", "rows out", "elapsed"]),
            (80, ["flow", "status", "rows in", "rows out", "rows/s", "elapsed", "ETA"]),
            (200, ["flow", "stage", "status", "rows in", "rows out", "rows/s", "elapsed", "ETA", "position"]),
        ],
    )
    def test_drops_columns_by_priority(self, width: int, titles: list[str]) -> None:
        header = drawn(self.ROWS(), width, live=True)[0]

        assert re.split(r"  +", header.strip()) == titles

    def test_aligns_figures_to_the_right_with_thousands_separated(self) -> None:
        lines = drawn(self.ROWS(), 200, live=True)
        end = lines[0].index("rows in") + len("rows in")

        assert lines[1][:end].endswith(" 250")
        assert lines[3][:end].endswith(" 1,234,567")

    def test_says_where_a_unit_stands_or_why_it_failed(self) -> None:
        lines = drawn(self.ROWS(), 200, live=True)

        assert re.search(r"⠋ writing +250 +100 +25 +10\.0s +30\.0s *$", lines[1])
        assert re.search(r"✗ failed .* TG201 no such file: a\.csv *$", lines[2])
        assert re.search(r"✓ succeeded .* updated_at=2013-02-28 23:00 *$", lines[3])

    def test_has_no_eta_when_nothing_runs_any_more(self) -> None:
        assert "ETA" not in drawn(self.ROWS(), 200)[0]

    def test_shows_why_a_unit_was_skipped(self) -> None:
        row = Row.of(report(status="skipped", detail="nothing new"))

        assert "nothing new · " in drawn([row], 200)[1]

    def test_cuts_the_middle_of_a_long_name(self) -> None:
        rows = [Row(name="carrier_delay_history_0017"), Row(name="carrier_delay_history_0018")]

        assert [line.split()[0] for line in drawn(rows, 40)[1:]] == ["carrier…ry_0017", "carrier…ry_0018"]

    def test_has_signs_and_words_in_plain_ascii(self) -> None:
        text = "\n".join(drawn(self.ROWS(), 60, symbols=ASCII, live=True))

        assert text.isascii()
        assert "x failed" in text
        assert "+ succeeded" in text

    @given(
        st.lists(st.tuples(st.text(min_size=1), st.integers(0, 10**15)), max_size=5),
        st.integers(20, 220),
        st.booleans(),
    )
    def test_each_row_is_one_line_no_wider_than_the_terminal(
        self,
        units: list[tuple[str, int]],
        width: int,
        live: bool,  # noqa: FBT001 - drawn by hypothesis
    ) -> None:
        rows = [Row.of(report(name, rows_in=count, position_after=name)) for name, count in units]

        lines = drawn(rows, width, live=live)

        assert len(lines) == len(rows) + 1
        assert max(map(cell_len, lines)) <= width

    def test_a_name_is_text_not_markup_nor_escape_sequence(self) -> None:
        line = drawn([Row(name="[red]x[/red]\x1b[2J")], 100)[1]

        assert line.startswith("[red]x[/red]?[2J ")


class TestFinalTable:
    def test_prints_each_error_once_in_full_with_all_its_flows(self) -> None:
        long = ErrorReport(code="TG300", message=" ".join(["word"] * 40) + "\nsecond line")
        names = [f"flow_{number}" for number in range(7)]
        text = shown(ExecutionResult.from_units([*map(failed, names), failed("other", long), report("good")]))

        assert "✗ flow_0, flow_1, flow_2, flow_3, flow_4 and 2 more\n" in text
        assert text.count("  TG201 no such file: a.csv\n  at tidegate.yaml:61:7\n  hint: check base_path\n") == 1
        errors = text[text.index("✗ other") :]
        assert errors.count("word") == 40
        assert "second line" in errors

    def test_ends_with_one_line_that_sums_up(self) -> None:
        units = [report("a"), failed("b"), report("c", "skipped", rows_in=0, rows_out=0)]
        last = shown(ExecutionResult.from_units(units)).splitlines()[-1].rstrip()

        assert last == ("✗ 3 flows: 1 succeeded, 1 failed, 1 skipped   2,469,134 rows in, 1,234,000 out   4.0s")

    def test_a_run_that_was_interrupted_does_not_look_like_success(self) -> None:
        result = ExecutionResult.from_units([report("a"), report("b", "skipped", rows_in=0, rows_out=0)])
        result.interrupted, result.counted_in = True, "window"

        assert shown(result).splitlines()[-1].startswith("! 2 windows, interrupted: 1 succeeded, 1 skipped   ")

    def test_of_an_empty_run_is_the_summary_alone(self) -> None:
        assert shown(ExecutionResult()).split() == ["✓", "0", "flows", "0", "rows", "in,", "0", "out", "0.00s"]

    def test_is_never_cut_in_a_file_or_pipe(self) -> None:
        out = io.StringIO()
        name, position = "a_name_that_is_rather_long_" * 4, "updated_at=2013-02-28 23:00, " * 8

        print_result(ExecutionResult.from_units([report(name, position_after=position.strip())]), out)

        assert name in out.getvalue()
        assert position.strip() in out.getvalue()
        assert "\x1b" not in out.getvalue()

    def test_goes_to_stdout_by_default(self, capsys: pytest.CaptureFixture[str]) -> None:
        print_result(ExecutionResult.from_units([report()]))

        assert "1,234,567" in capsys.readouterr().out

    def test_is_ascii_where_the_stream_is(self) -> None:
        buffer = io.BytesIO()
        out = io.TextIOWrapper(buffer, encoding="ascii")
        print_result(ExecutionResult.from_units([report(), failed("b")]), out)
        out.flush()

        assert b"+ succeeded" in buffer.getvalue()
        assert b"x 2 flows" in buffer.getvalue()


class TestConsoleSink:
    @staticmethod
    def sink() -> tuple[ConsoleSink, Callable[[], str]]:
        out = io.StringIO()
        console = Console(file=out, force_terminal=True, width=120, height=30, highlight=False)
        return ConsoleSink(console=console), lambda: ESCAPE.sub("", out.getvalue())

    def test_leaves_the_table_and_adds_errors_and_summary(self) -> None:
        sink, seen = self.sink()
        units = [report("flights"), failed("planes")]
        for event in (announced("flights", "planes"), *(UnitFinished(report=unit) for unit in units)):
            sink.handle(event)
        sink.handle(RunFinished(result=ExecutionResult.from_units(units)))
        sink.close()

        final = seen()[seen().rindex("flow  ") :]
        assert [line.split()[:3] for line in final.splitlines()[1:3]] == [
            ["flights", "bronze", "✓"],
            ["planes", "bronze", "✗"],
        ]
        assert "TG201 no such file: a.csv" in final
        assert final.rstrip().endswith("4.0s")

    def test_prints_notices_with_code_and_hint(self) -> None:
        sink, seen = self.sink()
        sink.handle(Notice(level="warning", message="slow [disk]", code="TG640", hint="use another"))

        assert seen() == "warning: TG640 slow [disk]\n  hint: use another\n"

    def test_close_shows_what_was_interrupted(self) -> None:
        sink, seen = self.sink()
        sink.handle(announced("a", "b"))
        sink.handle(running("a"))
        sink.close()
        sink.close()

        final = seen()[seen().rindex("flow  ") :]
        assert "! interrupted" in final
        assert "1 interrupted  1 waiting" in final


THOUSAND_FLOWS = """
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from tidegate.reporting import *
from tidegate.reporting.console import print_result

names = [f"flow_{number:04}" for number in range(1000)]

def load(name):
    began, ids = datetime.now(UTC), {"run_id": "r", "dataflow_id": name, "name": name}
    stream.emit(UnitStarted(**ids))
    for rows in range(3):
        time.sleep(0.001)
        stream.emit(UnitProgress(**ids, phase="writing", rows_in=rows, rows_total=3))
    bad = ErrorReport(code="TG201", message="gone") if name.endswith("77") else None
    status = "failed" if bad else "succeeded"
    unit = UnitReport(**ids, status=status, started_at=began, ended_at=datetime.now(UTC), error=bad)
    stream.emit(UnitFinished(report=unit))
    return unit

with EventStream([progress_sink()]) as stream:
    stream.emit(RunStarted(run_id="r", units=tuple((name, None, "lake") for name in names)))
    with ThreadPoolExecutor(32) as pool:
        units = list(pool.map(load, names))
    print("printed by a user's function")
    result = ExecutionResult.from_units(units)
    stream.emit(RunFinished(result=result))
print_result(result)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX pseudo-terminal")
class TestTerminal:
    """A thousand flows in a real process, with stderr on a real pseudo-terminal and stdout in a pipe."""

    @staticmethod
    def run(lines: int, columns: int, **environment: str) -> tuple[str, str]:
        import fcntl
        import pty
        import struct
        import termios
        from concurrent.futures import ThreadPoolExecutor

        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        kept = {name: value for name, value in os.environ.items() if name not in {"LINES", "COLUMNS", "NO_COLOR"}}
        process = subprocess.Popen(
            [sys.executable, "-c", THOUSAND_FLOWS],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env={**kept, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **environment},
        )
        os.close(theirs)

        def watch() -> bytes:
            seen = b""
            while True:
                try:
                    seen += (piece := os.read(ours, 65536))
                except OSError:  # Linux: the other end is closed
                    return seen
                if not piece:
                    return seen

        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            out, _ = process.communicate(timeout=60)
            seen = watching.result()
        os.close(ours)
        assert process.returncode == 0, seen.decode()
        return out.decode(), seen.decode()

    @pytest.mark.parametrize(("lines", "columns"), [(24, 80), (10, 40), (50, 200)])
    def test_the_live_table_never_has_more_lines_than_the_terminal(self, lines: int, columns: int) -> None:
        _, seen = self.run(lines, columns)
        redrawn = [len(ups) // len("\x1b[1A\x1b[2K") for ups in re.findall(r"(?:\x1b\[1A\x1b\[2K)+", seen)]

        assert redrawn
        assert max(redrawn) < lines
        last = ESCAPE.sub("", seen).rpartition("\rflow ")[2]
        frame = last[: last.index("of 1,000 flows shown")]
        assert frame.count("\n") + 1 == lines - 1  # all but the line on which the cursor waits
        assert max(cell_len(line) for line in re.split(r"[\r\n]+", ESCAPE.sub("", seen))) <= columns

    def test_results_go_to_stdout_and_progress_to_stderr(self) -> None:
        out, seen = self.run(24, 80)

        assert "\x1b" not in out
        assert out.startswith("printed by a user's function\nflow ")
        assert out.count("\nflow_") == 1000
        assert "printed by" not in seen
        assert "x 1,000 flows" not in out
        assert "✗ 1,000 flows: 990 succeeded, 10 failed" in out
        assert "✗ 1,000 flows: 990 succeeded, 10 failed" in ESCAPE.sub("", seen)

    def test_is_coloured_unless_no_color_is_set(self) -> None:
        assert COLOUR.search(self.run(24, 80)[1])
        assert not COLOUR.search(self.run(24, 80, NO_COLOR="1")[1])

    def test_gives_the_cursor_back(self) -> None:
        _, seen = self.run(24, 80)

        assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")
