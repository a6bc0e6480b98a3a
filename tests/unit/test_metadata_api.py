"""Metadata kept by a web service that holds to the contract, or does not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.services import free_port
from tests.unit.metadata_server import CONTRACT, Service, refusals, serving
from tidegate.errors import MetadataError, WatermarkError
from tidegate.metadata import check, open_metadata
from tidegate.metadata.api import ApiMetadata
from tidegate.metadata.api_client import MetadataClient

CONTENT: dict[str, Any] = {
    "connections": [
        {"name": "landing", "connection_id": "c-1", "format": "csv", "configure": '{"base_path": "/landing"}'},
        {"name": "lake", "connection_id": "c-2", "format": "delta", "configure": {"base_path": "/lake"}},
    ],
    "dataflows": [
        {
            "name": f"flow{number}",
            "dataflow_id": f"d-{number}",
            "source": {"connection_id": "c-1", "table": f"t{number}"},
            "destination": {"connection_name": "lake", "table": "${var:table}" if number == 4 else f"u{number}"},
        }
        for number in range(5)
    ],
    "schema_hints": [{"connection_id": "c-1", "table_name": "t0", "hints": [{"column_name": "a", "data_type": "int"}]}],
    "settings": {"variables": {"table": "last"}},
}


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(workspaces={"w": json.loads(json.dumps(CONTENT))}) as running:
        yield running


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited, and are not."""
    waited: list[float] = []
    make = MetadataClient.__init__

    def quick(self: MetadataClient, url: str, **about: Any) -> None:
        make(self, url, **{**about, "wait": waited.append})

    monkeypatch.setattr(MetadataClient, "__init__", quick)
    return waited


def metadata_of(service: Service, workspace: str = "w", **about: Any) -> ApiMetadata:
    return ApiMetadata(f"{service.url}/workspaces/{workspace}", **about)


def code_of(service: Service, **about: Any) -> tuple[str, str]:
    """Return code and message of the error that reading ends in."""
    with pytest.raises(MetadataError) as caught:
        metadata_of(service, **about).load()
    return caught.value.code, caught.value.message


class TestContract:
    def test_its_references_lead_somewhere_and_its_schemas_are_schemas(self) -> None:
        for reference in re.findall(r"'\$ref': '#/(.*?)'", str(CONTRACT)):
            target = CONTRACT
            for step in reference.split("/"):
                target = target[step]
        for schema in CONTRACT["components"]["schemas"].values():
            Draft202012Validator.check_schema(schema)

    def test_it_refuses_what_it_does_not_say(self) -> None:
        """A contract that takes anything would prove nothing."""
        assert refusals("Metadata", {"conections": []})
        assert refusals("Watermark", {"a": None})
        assert refusals("Connections", {"next": None})
        assert refusals("Dataflows", [{"name": "x"}])
        assert not refusals("Connections", {"items": [{"name": "a", "connection_id": "b"}], "next": None})

    def test_client_and_service_hold_to_it(self, service: Service) -> None:
        metadata = metadata_of(service)
        metadata.load()
        metadata.write_watermark("d-1", {"at": datetime(2026, 4, 3, tzinfo=UTC), "id": 7})
        metadata.write({"connections": CONTENT["connections"]}, metadata.load(), replace=True)
        assert service.broken == []


class TestReading:
    @pytest.mark.parametrize("plain_lists", [False, True], ids=["pages", "lists"])
    def test_all_pages_are_read(self, service: Service, *, plain_lists: bool) -> None:
        service.plain_lists = plain_lists
        metadata = metadata_of(service).load()
        assert [flow.name for flow in metadata.dataflows] == [f"flow{number}" for number in range(5)]
        assert metadata.dataflows[4].destination.path == "/lake/last"
        assert metadata.dataflows[0].source.connection_name == "landing"
        assert [hint.column_name for hint in metadata.dataflows[0].transform.schema_hints] == ["a"]

    def test_a_service_need_not_keep_settings(self, service: Service) -> None:
        del service.workspaces["w"]["settings"]
        del service.workspaces["w"]["dataflows"][4]
        assert metadata_of(service).load().variables == {}

    def test_a_finding_says_url_and_pointer(self, service: Service) -> None:
        service.workspaces["w"]["dataflows"][3]["destination"]["load_type"] = "mege_upsert"
        (finding,) = check(f"{service.url}/workspaces/w")
        page = f"{service.url}/workspaces/w/dataflows?page_size=2&from=2"
        assert str(finding.where) == f"{page}#/items/1/destination/load_type"

    def test_the_key_is_sent_and_not_shown(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        service.key = "s3cret-key"
        code, message = code_of(service)
        assert (code, "401" in message) == ("TG142", True)
        assert len(metadata_of(service, api_key="s3cret-key").load().dataflows) == 5
        monkeypatch.setenv("TIDEGATE_METADATA_API_KEY", "s3cret-key")
        assert len(metadata_of(service).load().dataflows) == 5

    def test_the_workspace_may_be_said_apart(self, service: Service) -> None:
        assert len(open_metadata(service.url, workspace="w").load().dataflows) == 5
        with pytest.raises(MetadataError) as caught:
            open_metadata(service.url)
        assert (caught.value.code, caught.value.hint) == ("TG144", f"{service.url}/workspaces/NAME")

    def test_an_unknown_workspace_is_said(self, service: Service) -> None:
        assert code_of(service, workspace="x")[0] == "TG141"


class TestTroubles:
    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_what_passes_is_waited_for(self, service: Service, waits: list[float], status: int) -> None:
        service.faults = [(status, {}, ""), (status, {}, "")]
        assert len(metadata_of(service).load().dataflows) == 5
        assert 0.25 <= waits[0] <= 0.5 <= waits[1] <= 1.0

    def test_a_wait_that_is_asked_for_is_kept(self, service: Service, waits: list[float]) -> None:
        """A number of seconds, or a date; not for ever."""
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
        service.faults = [(429, {"Retry-After": text}, "") for text in ("7", date, "100000", "soon")]
        metadata_of(service).load()
        assert (waits[0], waits[2]) == (7.0, 60.0)
        assert 27 < waits[1] <= 30
        assert 2.0 <= waits[3] <= 4.0

    def test_what_does_not_pass_ends(self, service: Service, waits: list[float]) -> None:
        service.faults = [(503, {}, "")] * 9
        code, message = code_of(service)
        assert code == "TG146"
        assert message == "the metadata service did not answer: 503 Service Unavailable, 5 times"
        assert len(waits) == 4

    def test_a_service_that_is_away_is_said(self, waits: list[float]) -> None:
        with pytest.raises(MetadataError) as caught:
            open_metadata(f"http://127.0.0.1:{free_port()}/workspaces/w").load()
        assert caught.value.code == "TG146"
        assert len(waits) == 4

    @pytest.mark.parametrize("status", [400, 418])
    def test_what_asking_again_does_not_mend_is_not_asked_again(self, service: Service, status: int) -> None:
        service.faults = [(status, {}, "")]
        assert code_of(service)[0] == "TG142"
        assert len(service.asked) == 1

    @pytest.mark.parametrize("body", ["<html>", "{}", '{"items": 1}', "null", '{"items": [], "next": 2}'])
    def test_an_answer_of_another_kind_is_said(self, service: Service, body: str) -> None:
        service.faults = [(200, {}, body)]
        assert code_of(service)[0] == "TG142"

    def test_pages_that_repeat_are_found(self, service: Service) -> None:
        """By their items, where the service takes no notice of what page it is asked for; and by their URL."""
        service.faults = [(200, {}, json.dumps({"items": [{"name": "a"}], "next": f"?page={n}"})) for n in range(5)]
        assert "repeat" in code_of(service)[1]
        assert len(service.asked) == 2
        service.faults = [(200, {}, json.dumps({"items": [{"name": f"{n}"}], "next": "?page=1"})) for n in range(5)]
        assert "repeat" in code_of(service)[1]

    def test_the_key_goes_to_no_other_host(self, service: Service) -> None:
        with serving() as other:
            service.faults = [(200, {}, json.dumps({"items": [], "next": f"{other.url}/workspaces/w/connections"}))]
            assert code_of(service, api_key="k-123456")[0] == "TG142"
            service.faults = [(302, {"Location": f"{other.url}/workspaces/w/connections"}, "")]
            assert code_of(service, api_key="k-123456")[0] == "TG142"
            assert other.asked == []


class TestWatermarks:
    def test_they_keep_their_type_and_the_one_before(self, service: Service) -> None:
        metadata, moment = metadata_of(service), datetime(2026, 4, 3, 9, 15, tzinfo=UTC)
        assert metadata.read_watermark("d/1 ä") is None
        metadata.write_watermark("d/1 ä", {"id": 1})
        metadata.write_watermark("d/1 ä", {"at": moment})
        metadata.write_watermark("d/1 ä", {"at": moment})
        assert metadata.read_watermark("d/1 ä") == {"at": moment}
        assert len(service.watermarks["d/1 ä"]) == 2

    def test_one_that_changed_meanwhile_is_read_anew(self, service: Service) -> None:
        others = iter(range(2))

        def change() -> None:
            if (number := next(others, None)) is not None:
                service.watermarks.setdefault("d", []).append({"id": number})

        service.before_put = change
        metadata_of(service).write_watermark("d", {"id": 9})
        assert service.watermarks["d"] == [{"id": 0}, {"id": 1}, {"id": 9}]

    def test_one_that_changes_without_end_is_an_error(self, service: Service) -> None:
        service.before_put = lambda: service.watermarks.setdefault("d", []).append({"id": len(service.watermarks["d"])})
        service.watermarks["d"] = [{"id": 0}]
        with pytest.raises(MetadataError) as caught:
            metadata_of(service).write_watermark("d", {"id": 9})
        assert caught.value.code == "TG143"

    def test_a_service_may_answer_with_text(self, service: Service) -> None:
        service.watermarks["d"] = ['{"at": {"__date__": "2026-04-03"}}']
        assert str(metadata_of(service).read_watermark("d")) == "{'at': datetime.date(2026, 4, 3)}"

    @pytest.mark.parametrize("said", [[], 7, "", "soon", {"a": {"__date__": "soon"}}, {"a": None}])
    def test_what_is_none_is_an_error_and_never_a_first_run(self, service: Service, said: Any) -> None:
        service.watermarks["d"] = [said]
        with pytest.raises(WatermarkError) as caught:
            metadata_of(service).read_watermark("d")
        assert caught.value.code == "TG504"
