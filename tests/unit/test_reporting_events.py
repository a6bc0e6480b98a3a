"""How events reach those who listen, and what they look like as JSON lines."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.masking import register_secret_values
from tidegate.reporting import (
    ErrorReport,
    Event,
    EventStream,
    ExecutionResult,
    JsonLinesSink,
    Notice,
    RunFinished,
    RunStarted,
    UnitFinished,
    UnitProgress,
    UnitReport,
    UnitStarted,
    progress_sink,
)

START = datetime(2013, 3, 1, 6, 0, tzinfo=UTC)
REPORT = UnitReport(
    run_id="run-1",
    dataflow_id="id-1",
    name="flights",
    status="failed",
    started_at=START,
    ended_at=START + timedelta(seconds=2),
    rows_in=10,
    error=ErrorReport(code="TG201", message="no such file"),
)
EVENTS: list[Event] = [
    RunStarted(run_id="run-1", units=(("flights", "bronze", "lake/flights"),), at=START),
    UnitStarted(run_id="run-1", dataflow_id="id-1", name="flights", stage="bronze", at=START),
    UnitProgress(run_id="run-1", dataflow_id="id-1", name="flights", phase="reading", rows_in=5, at=START),
    Notice(level="warning", message="slow disk", code="TG640", hint="use another", at=START),
    UnitFinished(report=REPORT),
    RunFinished(result=ExecutionResult.from_units([REPORT]), at=START),
]


class Recorder:
    """A sink that remembers; it notices when two threads call it at once."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.closed = 0
        self.overlaps = 0
        self._busy = threading.Lock()

    def handle(self, event: Event, /) -> None:
        if not self._busy.acquire(blocking=False):
            self.overlaps += 1
            return
        self.events.append(event)
        self._busy.release()

    def close(self) -> None:
        self.closed += 1


class Broken:
    """A sink whose disk is full, for so many events."""

    def __init__(self, failures: int = sys.maxsize) -> None:
        self.failures = failures
        self.handled = 0

    def handle(self, _: Event, /) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("no space left for hunter-event-1")
        self.handled += 1

    def close(self) -> None:
        raise OSError("still no space")


class Closed(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


class TestEventStream:
    def test_hands_every_event_to_every_sink_in_order(self) -> None:
        sinks = [Recorder(), Recorder()]
        with EventStream(sinks) as stream:
            for event in EVENTS:
                stream.emit(event)

        assert [sink.events for sink in sinks] == [EVENTS, EVENTS]
        assert [sink.closed for sink in sinks] == [1, 1]

    def test_racing_threads_reach_a_sink_one_at_a_time_in_one_order_for_all(self) -> None:
        sinks = [Recorder(), Recorder()]
        stream = EventStream(sinks)
        together = threading.Barrier(8)

        def load(number: int) -> None:
            together.wait()
            for _ in range(250):
                stream.emit(Notice(level="info", message=str(number)))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(load, range(8)))

        assert len(sinks[0].events) == 2000
        assert sinks[0].events == sinks[1].events
        assert sinks[0].overlaps == 0

    def test_a_failing_sink_stops_neither_the_load_nor_its_neighbours(self, capsys: pytest.CaptureFixture[str]) -> None:
        register_secret_values("hunter-event-1")
        after = Recorder()
        with EventStream([Broken(), after]) as stream:
            for event in EVENTS:
                stream.emit(event)

        assert after.events == EVENTS
        assert after.closed == 1
        told = capsys.readouterr().err
        assert told == "warning: Broken failed, the run goes on: OSError: no space left for ***\n"

    def test_a_sink_that_recovers_gets_what_follows(self) -> None:
        sink = Broken(failures=2)
        stream = EventStream([sink])
        for event in EVENTS:
            stream.emit(event)

        assert sink.handled == len(EVENTS) - 2

    def test_survives_a_stderr_that_is_gone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stderr", Closed())

        EventStream([Broken()]).emit(EVENTS[0])

    def test_lets_an_interrupt_through(self) -> None:
        class Interrupted(Recorder):
            def handle(self, event: Event, /) -> None:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            EventStream([Interrupted()]).emit(EVENTS[0])

    def test_a_sink_may_emit_itself(self) -> None:
        recorder = Recorder()

        class Commenting(Recorder):
            def handle(self, event: Event, /) -> None:
                if isinstance(event, UnitStarted):
                    stream.emit(Notice(level="info", message="hello"))

        stream = EventStream([Commenting(), recorder])
        stream.emit(EVENTS[1])

        assert len(recorder.events) == 2

    def test_drops_what_comes_after_the_end(self) -> None:
        sink = Recorder()
        stream = EventStream([sink])
        stream.close()
        stream.close()
        stream.emit(EVENTS[0])

        assert (sink.events, sink.closed) == ([], 1)

    def test_masks_secrets_in_every_text(self) -> None:
        secret = "hunter-event-2"
        register_secret_values(secret)
        failed = UnitReport(
            run_id=secret,
            dataflow_id=secret,
            name=f"flow {secret}",
            status="failed",
            started_at=START,
            ended_at=START,
            error=ErrorReport(code="TG1", message=secret, where=secret, hint=secret),
        )
        out = io.StringIO()
        with EventStream([JsonLinesSink(out)]) as stream:
            stream.emit(RunStarted(run_id="r", units=((f"flow {secret}", secret, f"lake/{secret}"),)))
            stream.emit(UnitStarted(run_id="r", dataflow_id="i", name=secret, destination=secret))
            stream.emit(UnitProgress(run_id="r", dataflow_id="i", name=secret, phase="reading"))
            stream.emit(Notice(level="error", message=secret, hint=secret))
            stream.emit(UnitFinished(report=failed))
            stream.emit(RunFinished(result=ExecutionResult.from_units([failed])))

        assert secret not in out.getvalue()
        assert out.getvalue().count("***") >= 13
        assert json.loads(out.getvalue().splitlines()[-1])["errors"] == {"flow ***": "***"}

    def test_a_secret_that_is_one_of_our_words_changes_no_meaning(self) -> None:
        register_secret_values("committing")
        sink = Recorder()
        stream = EventStream([sink])
        stream.emit(UnitProgress(run_id="r", dataflow_id="i", name="committing", phase="committing"))

        event = sink.events[0]
        assert isinstance(event, UnitProgress)
        assert (event.name, event.phase) == ("***", "committing")


class TestJsonLines:
    FIELDS = {  # noqa: RUF012 - the documented contract, read only
        "run_started": {
            "run_id": str,
            "units": list,
            "command": str,
            "job_id": None,
            "job_num": int,
            "job_index": int,
        },
        "unit_started": {
            "run_id": str,
            "dataflow_id": str,
            "name": str,
            "stage": str,
            "destination": str,
            "attempt": int,
        },
        "unit_progress": {
            "run_id": str,
            "dataflow_id": str,
            "name": str,
            "phase": str,
            "rows_in": int,
            "rows_out": None,
            "rows_total": None,
        },
        "notice": {"level": str, "message": str, "code": str, "hint": str},
        "unit_finished": {
            "run_id": str,
            "dataflow_id": str,
            "name": str,
            "stage": None,
            "operation": str,
            "load_type": None,
            "source": str,
            "destination": str,
            "status": str,
            "window": None,
            "detail": None,
            "rows_in": int,
            "rows_out": None,
            "rows_updated": None,
            "rows_deleted": None,
            "files_read": None,
            "files_skipped": None,
            "bytes_written": None,
            "files_removed": None,
            "bytes_freed": None,
            "sequence": None,
            "position_before": None,
            "position_after": None,
            "attempts": int,
            "started_at": str,
            "ended_at": str,
            "error": dict,
            "duration_seconds": float,
            "rows_per_second": float,
        },
        "run_finished": {
            "run_id": str,
            "total": int,
            "succeeded": int,
            "failed": int,
            "skipped": int,
            "interrupted": bool,
            "rows_in": int,
            "rows_out": int,
            "errors": dict,
            "duration_seconds": float,
            "success_rate": float,
            "exit_code": int,
        },
    }

    @pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
    def test_each_event_is_one_line_of_the_documented_fields(self, event: Event) -> None:
        out = io.StringIO()
        JsonLinesSink(out).handle(event)

        assert out.getvalue().count("\n") == 1
        record = json.loads(out.getvalue())
        kind, at = record.pop("event"), record.pop("at")
        assert kind == event.kind
        assert datetime.fromisoformat(at) == event.at
        types = {name: None if value is None else type(value) for name, value in record.items()}
        assert types == self.FIELDS[kind]

    def test_names_the_parts_of_units_and_errors(self) -> None:
        out = io.StringIO()
        for event in EVENTS:
            JsonLinesSink(out).handle(event)
        lines = [json.loads(line) for line in out.getvalue().splitlines()]

        assert lines[0]["units"] == [{"name": "flights", "stage": "bronze", "destination": "lake/flights"}]
        assert lines[4]["error"] == {"code": "TG201", "message": "no such file", "where": None, "hint": None}

    def test_a_line_stays_one_line_and_ascii_whatever_a_message_holds(self) -> None:
        buffer = io.BytesIO()
        out = io.TextIOWrapper(buffer, encoding="ascii", newline="\n")
        JsonLinesSink(out).handle(Notice(level="info", message="Zürich\nnext\u2028line"))

        assert buffer.getvalue().count(b"\n") == 1
        assert json.loads(buffer.getvalue())["message"] == "Zürich\nnext\u2028line"

    def test_is_flushed_with_each_line_and_left_open(self) -> None:
        buffer = io.BytesIO()
        out = io.TextIOWrapper(buffer, encoding="utf-8")
        sink = JsonLinesSink(out)
        sink.handle(EVENTS[0])
        written = len(buffer.getvalue())
        sink.close()

        assert written > 0
        assert not out.closed

    def test_progress_is_thinned_within_a_phase_but_never_across(self) -> None:
        out = io.StringIO()
        sink = JsonLinesSink(out, progress_seconds=5)
        for second, phase in ((0, "reading"), (1, "reading"), (2, "writing"), (4, "writing"), (7, "writing")):
            sink.handle(
                UnitProgress(run_id="r", dataflow_id="i", name="x", phase=phase, at=START + timedelta(seconds=second))
            )
        seconds = [datetime.fromisoformat(json.loads(line)["at"]).second for line in out.getvalue().splitlines()]

        assert seconds == [0, 2, 7]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestProgressSink:
    def test_is_json_lines_where_nobody_watches(self) -> None:
        assert isinstance(progress_sink(io.StringIO()), JsonLinesSink)

    def test_is_json_lines_on_a_dumb_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TERM", "dumb")

        assert isinstance(progress_sink(Terminal()), JsonLinesSink)

    def test_is_the_live_table_on_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TERM", "xterm-256color")

        assert type(progress_sink(Terminal())).__name__ == "ConsoleSink"

    def test_goes_to_stderr_by_default(self, capsys: pytest.CaptureFixture[str]) -> None:
        progress_sink().handle(EVENTS[0])
        captured = capsys.readouterr()

        assert captured.out == ""
        assert json.loads(captured.err)["event"] == "run_started"

    def test_loading_the_room_does_not_load_rich(self) -> None:
        code = "import sys, tidegate.reporting; sys.exit('rich' in sys.modules)"

        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
