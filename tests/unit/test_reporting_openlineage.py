"""What a lineage server is told, and that no server can hold a load up."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import RunEvent
from openlineage.client.transport.file import FileConfig, FileTransport
from openlineage.client.transport.http import HttpConfig, HttpTransport

from tests.behaviour.project import Project
from tidegate import create_driver
from tidegate.errors import ConfigurationError, PlaceUnavailableError
from tidegate.masking import register_secret_values
from tidegate.models import ColumnCaseMode
from tidegate.orchestration.lineage import lineage_of
from tidegate.reporting import ErrorReport, Event, EventStream, ExecutionResult, RunFinished, RunStarted, UnitReport
from tidegate.reporting.events import UnitFinished, UnitProgress, UnitStarted
from tidegate.reporting.jsonl import EventFileSink
from tidegate.reporting.lineage import ColumnLineage, Dataset, InputColumn, Lineage
from tidegate.reporting.openlineage import OpenLineageSink
from tidegate.reporting.parquet import ParquetSink
from tidegate.reporting.sinks import configured_sinks

RUN = "0123456789abcdef0123456789abcdef"
START = datetime(2026, 3, 1, tzinfo=UTC)
LINEAGE = Lineage(
    source=Dataset(namespace="file", name="/landing/orders", columns=(("Id", "bigint"), ("Amount", "double"))),
    destination=Dataset(
        namespace="s3://lake", name="gold/orders", columns=(("id", "bigint"), ("gross", "")),
        table=("https://catalog", "gold.orders"),
    ),
    columns=(
        ColumnLineage(column="id", inputs=(InputColumn(column="Id", use="IDENTITY"),)),
        ColumnLineage(column="gross", inputs=(InputColumn(column="Amount", use="TRANSFORMATION", description="x*2"),)),
        ColumnLineage(column="__created_at"),
    ),
    row_inputs=(
        InputColumn(column="Id", use="GROUP_BY"), InputColumn(column="Id", use="JOIN"),
        InputColumn(column="Amount", use="FILTER", description="Amount > 0"),
    ),
)  # fmt: skip


def report(name: str = "orders", status: str = "succeeded", **more: object) -> UnitReport:
    more = {"rows_in": 3, "rows_out": 2, "files_read": 1, "bytes_written": 700, **more}
    return UnitReport(
        run_id=RUN, dataflow_id=name, name=name, status=status, started_at=START,
        ended_at=START + timedelta(seconds=2), **more,
    )  # fmt: skip


def story(*finished: UnitFinished) -> list[Event]:
    """Return the events of a run."""
    names = [event.report.name for event in finished]
    events: list[Event] = [RunStarted(run_id=RUN, units=tuple((name, None, "") for name in names), at=START)]
    for name, event in zip(names, finished, strict=True):
        events += [UnitStarted(run_id=RUN, dataflow_id=name, name=name, at=START), event]
    return [*events, RunFinished(result=ExecutionResult.from_units([event.report for event in finished]), at=START)]


class Server:
    """A lineage server: remembers what it is sent, and can be slow or refuse."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.status = 200
        self.go_on = threading.Event()
        self.go_on.set()
        remembered = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                remembered.go_on.wait(60)
                remembered.events.append(json.loads(body))
                self.send_response(remembered.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def client(self, url: str | None = None) -> OpenLineageClient:
        config = HttpConfig(url=url or self.url, retry={"total": 0}, timeout=60)
        return OpenLineageClient(transport=HttpTransport(config))


@pytest.fixture(autouse=True)
def _no_lineage_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE_NAMESPACE", "TIDEGATE_LOG_PATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.go_on.set()
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def told(server: Server) -> Callable[..., list[dict[str, Any]]]:
    """Tell a run to the server, and return what it got."""

    def tell(*finished: UnitFinished, events: list[Event] | None = None) -> list[dict[str, Any]]:
        with EventStream([OpenLineageSink(server.client())]) as stream:
            for event in events or story(*finished):
                stream.emit(event)
        return server.events

    return tell


Told = Callable[..., list[dict[str, Any]]]


class TestEvents:
    def test_a_run_and_its_units_begin_and_end(self, told: Told) -> None:
        events = told(UnitFinished(report=report()), UnitFinished(report=report("bad", "failed")))
        assert [(event["eventType"], event["job"]["name"]) for event in events] == [
            ("START", "tidegate.run"),
            ("START", "orders"), ("COMPLETE", "orders"),
            ("START", "bad"), ("FAIL", "bad"),
            ("FAIL", "tidegate.run"),
        ]  # fmt: skip
        assert {event["job"]["namespace"] for event in events} == {"tidegate"}

    def test_a_unit_keeps_its_id_and_names_the_run_as_its_parent(self, told: Told) -> None:
        run, start, end, _ = told(UnitFinished(report=report()))
        assert run["run"]["runId"] == str(UUID(RUN))
        assert start["run"]["runId"] == end["run"]["runId"] != run["run"]["runId"]
        parent = end["run"]["facets"]["parent"]
        assert (parent["run"]["runId"], parent["job"]["name"]) == (run["run"]["runId"], "tidegate.run")

    def test_what_is_broken_off_is_aborted(self, told: Told) -> None:
        events = told(events=story(UnitFinished(report=report()))[:2])
        assert [(event["eventType"], event["job"]["name"]) for event in events[2:]] == [
            ("ABORT", "orders"), ("ABORT", "tidegate.run")
        ]  # fmt: skip

    def test_a_retry_is_no_second_start_and_what_is_skipped_is_aborted(self, told: Told) -> None:
        events = story(UnitFinished(report=report(status="skipped")))
        events.insert(2, UnitStarted(run_id=RUN, dataflow_id="orders", name="orders", attempt=2, at=START))
        states = [event["eventType"] for event in told(events=events)]
        assert states == ["START", "START", "RUNNING", "ABORT", "COMPLETE"]

    def test_a_unit_that_was_never_started_is_not_told(self, told: Told) -> None:
        events = story(UnitFinished(report=report(status="skipped")))
        del events[1]
        assert [event["eventType"] for event in told(events=events)] == ["START", "COMPLETE"]

    def test_an_error_is_told(self, told: Told) -> None:
        error = ErrorReport(code="TG201", message="no such file")
        *_, event, _ = told(UnitFinished(report=report(status="failed", error=error)))
        assert event["run"]["facets"]["errorMessage"]["message"] == "TG201: no such file"

    def test_windows_of_a_dataflow_are_runs_of_one_job_at_their_nominal_times(self, told: Told) -> None:
        window = ("2026-01-01", "2026-02-01T06:00:00+02:00")
        *_, event, _ = told(UnitFinished(report=report("orders 2026-01-01--2026-02-01", window=window)))
        nominal = event["run"]["facets"]["nominalTime"]
        assert event["job"]["name"] == "orders"
        assert nominal["nominalStartTime"] == "2026-01-01T00:00:00.000000+00:00"
        assert nominal["nominalEndTime"] == "2026-02-01T04:00:00.000000+00:00"

    def test_a_window_of_numbers_has_no_nominal_time(self, told: Told) -> None:
        *_, event, _ = told(UnitFinished(report=report(window=("20260101", "20260201"))))
        assert "nominalTime" not in event["run"]["facets"]

    def test_every_event_names_its_schema_and_its_producer(self, told: Told) -> None:
        for event in told(UnitFinished(report=report(), lineage=LINEAGE)):
            assert event["schemaURL"].startswith("https://openlineage.io/spec/")
            assert event["producer"].startswith("urn:tidegate:")
            assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None


class TestDatasets:
    @pytest.fixture
    def event(self, told: Told) -> dict[str, Any]:
        *_, event, _ = told(UnitFinished(report=report(), lineage=LINEAGE))
        return event

    def test_names_schemas_and_statistics(self, event: dict[str, Any]) -> None:
        (read,), (written,) = event["inputs"], event["outputs"]
        assert (read["namespace"], read["name"]) == ("file", "/landing/orders")
        fields = read["facets"]["schema"]["fields"]
        assert [(field["name"], field["type"]) for field in fields] == [("Id", "bigint"), ("Amount", "double")]
        statistics = read["inputFacets"]["inputStatistics"]
        assert (statistics["rowCount"], statistics["fileCount"]) == (3, 1)
        assert (written["namespace"], written["name"]) == ("s3://lake", "gold/orders")
        statistics = written["outputFacets"]["outputStatistics"]
        assert (statistics["rowCount"], statistics["size"]) == (2, 700)

    def test_the_name_of_a_table_in_its_catalog_is_a_symlink(self, event: dict[str, Any]) -> None:
        (link,) = event["outputs"][0]["facets"]["symlinks"]["identifiers"]
        assert link == {"namespace": "https://catalog", "name": "gold.orders", "type": "TABLE"}

    def test_columns_say_where_they_come_from(self, event: dict[str, Any]) -> None:
        facet = event["outputs"][0]["facets"]["columnLineage"]
        assert set(facet["fields"]) == {"id", "gross"}
        (field,) = facet["fields"]["gross"]["inputFields"]
        assert (field["namespace"], field["name"], field["field"]) == ("file", "/landing/orders", "Amount")
        (used,) = field["transformations"]
        assert (used["type"], used["subtype"], used["description"]) == ("DIRECT", "TRANSFORMATION", "x*2")

    def test_what_decides_about_rows_is_said_of_the_dataset(self, event: dict[str, Any]) -> None:
        facet = event["outputs"][0]["facets"]["columnLineage"]
        uses = {
            field["field"]: [(one["type"], one["subtype"]) for one in field["transformations"]]
            for field in facet["dataset"]
        }
        assert uses == {"Id": [("INDIRECT", "GROUP_BY"), ("INDIRECT", "JOIN")], "Amount": [("INDIRECT", "FILTER")]}

    def test_secrets_are_masked_in_expressions_names_and_errors(self, told: Told) -> None:
        register_secret_values("hunter-lineage-1")
        secret = InputColumn(column="a", use="FILTER", description="key = 'hunter-lineage-1'")
        source = Dataset(namespace="postgres://hunter-lineage-1@db", name="t", columns=(("a", ""),))
        lineage = Lineage(
            source=source, destination=source, row_inputs=(secret,),
            columns=(ColumnLineage(column="b", inputs=(secret,)),),
        )  # fmt: skip
        error = ErrorReport(code="TG401", message="refused: hunter-lineage-1")
        failed = report(status="failed", error=error)
        events = told(UnitFinished(report=failed, lineage=lineage))
        assert "hunter-lineage-1" not in json.dumps(events)
        assert events[-2]["outputs"][0]["facets"]["columnLineage"]["dataset"][0]["transformations"][0]["description"]


class TestRealLoads:
    def test_a_load_of_an_iceberg_table_is_told_with_its_columns(self, tmp_path: Path, server: Server) -> None:
        """From the plan that a driver makes, through the sink, to the server."""
        project = Project(tmp_path, "iceberg")
        project.csv("events/1.csv", "Id,Amount", "1,10.5")
        flow = project.merge(
            keys=["Id"], hints={"amount": "double"}, additional_columns=[{"column": "net", "expression": "Amount / 2"}]
        )
        with create_driver(root=project.root) as driver:
            ((_, plan),) = driver.plan(dataflows=[flow])
        unit = project.load(flow)
        read = {"Id": pa.int64(), "Amount": pa.float64()}
        lineage = lineage_of(plan, mode=ColumnCaseMode.LOWER, read=read)
        with EventStream([OpenLineageSink(server.client())]) as stream:
            stream.emit(RunStarted(run_id=unit.run_id, units=((unit.name, None, ""),)))
            stream.emit(UnitFinished(report=unit, lineage=lineage))
        written = server.events[1]["outputs"][0]
        assert written["name"] == str(project.destination_root / "events")
        assert written["facets"]["symlinks"]["identifiers"][0]["name"] == "default.events"
        (field,) = written["facets"]["columnLineage"]["fields"]["net"]["inputFields"]
        assert field["field"] == "Amount"

    def test_a_driver_tells_a_whole_run(self, tmp_path: Path, server: Server) -> None:
        project = Project(tmp_path)
        project.csv("events/1.csv", "id", "1")
        flows = [project.flow(name="good"), project.flow("missing", name="bad")]
        with create_driver(root=project.root, sinks=[OpenLineageSink(server.client())]) as driver:
            driver.run(dataflows=flows)
        states = {(event["job"]["name"], event["eventType"]) for event in server.events}
        assert {("good", "COMPLETE"), ("bad", "FAIL"), ("tidegate.run", "FAIL")} <= states

    def test_events_can_be_written_to_a_file_instead(self, tmp_path: Path) -> None:
        transport = FileTransport(FileConfig(log_file_path=str(tmp_path / "lineage.jsonl"), append=True))
        with EventStream([OpenLineageSink(OpenLineageClient(transport=transport))]) as stream:
            for event in story(UnitFinished(report=report(), lineage=LINEAGE)):
                stream.emit(event)
        lines = (tmp_path / "lineage.jsonl").read_text().splitlines()
        assert [json.loads(line)["eventType"] for line in lines] == ["START", "START", "COMPLETE", "COMPLETE"]


class Refusing:
    """A client whose server is not there."""

    def __init__(self) -> None:
        self.asked = 0

    def emit(self, event: RunEvent) -> None:
        self.asked += 1
        raise OSError("it failed") from ConnectionRefusedError(111, "Connection refused")

    def close(self, timeout: float = -1.0) -> bool:
        return True


def _connects(sink: Any) -> int:
    return int(sink._client.transport.config.retry["connect"])


class TestADeadServer:
    def test_a_refused_connection_is_told_once_at_the_end(
        self, server: Server, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.http.server_close()
        with EventStream([OpenLineageSink(server.client())]) as stream:
            for event in story(UnitFinished(report=report())):
                stream.emit(event)
        errors = capsys.readouterr().err.splitlines()
        assert errors[0].startswith(
            "warning: OpenLineageSink failed, the run goes on: TG641: 4 lineage events were lost: "
            "the server cannot be reached: "
        )
        assert sum("warning" in line for line in errors) == 1

    def test_it_is_asked_once_a_run(self) -> None:
        refusing = Refusing()
        sink = OpenLineageSink(refusing)
        events = story(*[UnitFinished(report=report(f"orders{number}")) for number in range(20)])
        for event in [*events, *events]:
            sink.handle(event)
        with pytest.raises(PlaceUnavailableError, match="84 lineage events were lost: the server cannot be reached"):
            sink.close()
        assert refusing.asked == 2

    def test_the_client_s_own_retries_do_not_delay_it(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        """Unless they are asked for: connections are tried once."""
        server.http.server_close()
        monkeypatch.setenv("OPENLINEAGE_URL", server.url)
        (sink,) = configured_sinks()
        assert isinstance(sink, OpenLineageSink)
        assert _connects(sink) == 0
        for event in story(UnitFinished(report=report())):
            sink.handle(event)
        with pytest.raises(PlaceUnavailableError, match="4 lineage events were lost: the server cannot be reached"):
            sink.close()
        monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "http")
        monkeypatch.setenv("OPENLINEAGE__TRANSPORT__URL", server.url)
        monkeypatch.setenv("OPENLINEAGE__TRANSPORT__RETRY", '{"total": 3, "connect": 3}')
        monkeypatch.delenv("OPENLINEAGE_URL")
        (sink,) = configured_sinks()
        assert _connects(sink) == 3

    def test_a_server_that_hangs_delays_neither_the_load_nor_the_end_for_long(self, server: Server) -> None:
        server.go_on.clear()
        sink = OpenLineageSink(server.client(), close_seconds=0.2)
        begun = time.monotonic()
        for event in story(UnitFinished(report=report())):
            sink.handle(event)
        with pytest.raises(PlaceUnavailableError, match="4 lineage events were lost"):
            sink.close()
        assert time.monotonic() - begun < 30  # the server would have taken a minute for each

    def test_a_server_that_refuses_events_does_not_stop_those_that_follow(self, server: Server) -> None:
        sink = OpenLineageSink(server.client())
        server.status = 400
        sink.handle(story()[0])
        while not server.events:
            time.sleep(0.01)
        while sink._sending:
            time.sleep(0.01)
        server.status = 200
        for event in story(UnitFinished(report=report()))[1:]:
            sink.handle(event)
        with pytest.raises(PlaceUnavailableError, match="1 lineage event was lost: HTTPError: 400"):
            sink.close()
        assert len(server.events) == 4

    def test_what_waits_is_bounded(self, server: Server) -> None:
        server.go_on.clear()
        sink = OpenLineageSink(server.client(), most_waiting=10, close_seconds=0.1)
        for _ in range(1000):
            sink.handle(UnitStarted(run_id=RUN, dataflow_id="a", name="a", at=START))
        assert len(sink._waiting) == 10
        with pytest.raises(PlaceUnavailableError, match=r"(1,000|1000) lineage events were lost"):
            sink.close()

    def test_progress_is_not_told(self, server: Server) -> None:
        sink = OpenLineageSink(server.client())
        sink.handle(UnitProgress(run_id=RUN, dataflow_id="a", name="a", phase="reading"))
        sink.close()
        assert server.events == []


class TestChoosing:
    def test_nothing_is_kept_unless_it_is_asked_for(self) -> None:
        assert configured_sinks() == []

    def test_a_log_path_is_taken_from_the_option_or_the_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert [type(sink) for sink in configured_sinks(tmp_path)] == [ParquetSink, EventFileSink]
        monkeypatch.setenv("TIDEGATE_LOG_PATH", str(tmp_path))
        assert [type(sink) for sink in configured_sinks()] == [ParquetSink, EventFileSink]

    def test_an_object_store_is_no_log_path(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            configured_sinks("s3://team/log")
        assert caught.value.code == "TG642"

    def test_lineage_is_sent_where_the_environment_names_a_server_unless_it_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = tmp_path / "lineage.yml"
        config.write_text("transport: {type: file, log_file_path: lineage.jsonl, append: true}")
        monkeypatch.setenv("OPENLINEAGE_CONFIG", str(config))
        (sink,) = configured_sinks()
        assert isinstance(sink, OpenLineageSink)
        assert configured_sinks(lineage=False) == []
        sink.handle(story()[0])
        sink.close()
        assert Path("lineage.jsonl").read_text().count('"START"') == 1

    def test_lineage_that_goes_nowhere_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="no server is named") as caught:
            configured_sinks(lineage=True)
        assert caught.value.code == "TG640"

    def test_settings_that_are_not_there_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENLINEAGE_CONFIG", "/nope.yml")
        with pytest.raises(ConfigurationError, match=r"OPENLINEAGE_CONFIG names no file: /nope\.yml") as caught:
            configured_sinks()
        assert caught.value.code == "TG640"
        assert configured_sinks(lineage=False) == []

    def test_settings_that_make_no_sense_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "openlineage.yml").write_text("transport: {type: pigeon}")
        with pytest.raises(ConfigurationError, match="OpenLineage is not set up"):
            configured_sinks(lineage=True)

    def test_the_room_loads_no_lineage_library(self) -> None:
        code = "import sys, tidegate.reporting.sinks; print({'openlineage', 'pyarrow'} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "set()"


def test_events_are_of_the_library_s_own_class() -> None:
    """Its classes check formats when they are made, so that what is sent is what the specification says."""
    from tidegate.reporting.openlineage_events import Translation

    translation = Translation("tests")
    finished = UnitFinished(report=report(), lineage=LINEAGE)
    events = [told for event in story(finished) for told in translation.of(event)]
    assert len(events) == 4
    assert all(type(event) is RunEvent for event in events)
