"""Metadata moved from one place to another mean the same there."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.unit.metadata_content import RICH, contents, declared, written
from tests.unit.metadata_server import Service, serving
from tidegate.errors import MetadataError
from tidegate.metadata import check, open_metadata
from tidegate.metadata.convert import convert
from tidegate.metadata.finding import Findings

FORMATS = ("json", "yaml", "xlsx", "sqlite", "postgresql", "mariadb", "api")


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as running:
        yield running
        assert running.broken == []


@pytest.fixture
def place(tmp_path: Path, service: Service, request: pytest.FixtureRequest):
    """Return a new place of a format."""
    numbers = itertools.count()

    def named(kind: str) -> str | Path:
        number = next(numbers)
        match kind:
            case "sqlite":
                return f"sqlite:///{tmp_path}/metadata.db?workspace=w{number}"
            case "postgresql":
                return f"{request.getfixturevalue('postgres_url')}?workspace=w{number}"
            case "mariadb":
                return f"{request.getfixturevalue('mariadb_url')}?workspace=w{number}"
            case "api":
                return f"{service.url}/workspaces/w{number}"
            case suffix:
                return tmp_path / f"m{number}.{suffix}"

    return named


class TestRoundTrip:
    @pytest.mark.parametrize(("first", "second"), list(itertools.product(FORMATS, FORMATS)))
    def test_everything_means_the_same_in_every_place(self, first, second, place, tmp_path):
        """From YAML through two places: names, ids, types, texts that look like something else."""
        origin = written(RICH, tmp_path / "origin")
        assert {finding.severity for finding in check(origin)} <= {"warning", "note"}
        there, back = place(first), place(second)
        convert(origin, there)
        convert(there, back)
        assert declared(there) == declared(origin)
        assert declared(back) == declared(origin)

    @pytest.mark.parametrize("kind", FORMATS)
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(content=contents())
    def test_whatever_holds_comes_back(self, kind, content, place, tmp_path):
        """Any text and any value that a field takes survives the way there and back."""
        origin, there, back = written(content, tmp_path / "origin"), place(kind), place("json")
        convert(origin, there)
        convert(there, back)
        assert declared(back) == declared(origin)

    def test_references_stay_references(self, tmp_path, place):
        """They are replaced where metadata are read, and not where they are copied; but in columns of numbers."""
        origin = written(RICH, tmp_path / "origin")
        for kind in FORMATS:
            there = place(kind)
            convert(origin, there)
            flow = open_metadata(there).document(Findings()).content.plain()["dataflows"][0]
            assert "${env:TIDEGATE_TEST_NONE:-and a default}" in flow["description"]
            number = 2 if kind in {"sqlite", "postgresql", "mariadb"} else "${var:days}"
            assert flow["group_number"] == number

    def test_ids_that_were_derived_are_written_down(self, tmp_path):
        """So that a name can change without state being lost."""
        origin = written(RICH, tmp_path / "origin")
        known = {flow.name: flow.dataflow_id for flow in open_metadata(origin).load().dataflows}
        convert(origin, tmp_path / "copy.json")
        copy = json.loads((tmp_path / "copy.json").read_text())
        assert {flow["name"]: flow["dataflow_id"] for flow in copy["dataflows"]} == known


class TestRefusals:
    def test_nothing_is_replaced_unasked(self, tmp_path, place):
        origin = written(RICH, tmp_path / "origin")
        for kind in FORMATS:
            there = place(kind)
            convert(origin, there)
            with pytest.raises(MetadataError) as caught:
                convert(origin, there)
            assert caught.value.code == "TG145"
            convert(origin, there, replace=True)

    def test_metadata_that_do_not_hold_are_not_copied(self, tmp_path):
        origin = written("connections: [{name: a, fromat: csv}]", tmp_path / "origin")
        with pytest.raises(MetadataError) as caught:
            convert(origin, tmp_path / "copy.json")
        assert caught.value.code == "TG101"
        assert not (tmp_path / "copy.json").exists()

    @pytest.mark.parametrize("suffix", ["json", "xlsx"])
    def test_what_a_format_cannot_hold_is_said_and_nothing_written(self, suffix, tmp_path):
        """JSON has no infinity, nor have cells."""
        text = "variables: {most: .inf}\nconnections: [{name: a, format: csv, configure: {base_path: x}}]"
        with pytest.raises(MetadataError) as caught:
            convert(written(text, tmp_path / "origin"), tmp_path / f"copy.{suffix}")
        assert caught.value.code == "TG145"
        assert [file.name for file in tmp_path.iterdir()] == ["origin.yaml"]

    def test_a_text_that_is_too_long_for_a_cell_is_said(self, tmp_path):
        content = {"connections": [{"name": "a", "format": "csv", "configure": {"base_path": "x" * 40_000}}]}
        with pytest.raises(MetadataError, match="40,000 characters does not fit into cell D2"):
            convert(written(content, tmp_path / "origin"), tmp_path / "copy.xlsx")
        assert not (tmp_path / "copy.xlsx").exists()

    def test_a_file_needs_a_format(self, tmp_path):
        origin = written(RICH, tmp_path / "origin")
        with pytest.raises(MetadataError, match="says no format"):
            convert(origin, tmp_path / "copy.toml")
