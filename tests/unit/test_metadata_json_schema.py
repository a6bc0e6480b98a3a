"""The JSON Schema for editors."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tidegate import demo
from tidegate.metadata import metadata_json_schema
from tidegate.models import Metadata

jsonschema = pytest.importorskip("jsonschema", reason="the schema is tested with the jsonschema package")

MINIMAL: dict[str, Any] = {
    "connections": [{"name": "lake", "format": "delta", "configure": {"base_path": "x"}}],
    "dataflows": [
        {
            "name": "a",
            "source": {"connection": "lake", "table": "t"},
            "destination": {"connection_name": "lake", "table": "u"},
        }
    ],
}


def mistakes(document: object) -> list[str]:
    """Return what the schema says against a document."""
    validator = jsonschema.Draft202012Validator(metadata_json_schema())
    return [error.message for error in validator.iter_errors(document)]


def changed(*path: str | int, value: object) -> dict[str, Any]:
    """Return the minimal document with one value changed."""
    import copy

    document = copy.deepcopy(MINIMAL)
    target: Any = document
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return document


class TestSchema:
    """What an editor accepts and underlines."""

    def test_it_is_a_valid_schema(self) -> None:
        """Of the draft that it names."""
        jsonschema.Draft202012Validator.check_schema(metadata_json_schema())

    def test_the_demo_is_valid(self) -> None:
        """The first metadata that a user sees."""
        text = (Path(demo.__path__[0]) / "tidegate.yaml").read_text()
        assert mistakes(yaml.safe_load(text)) == []

    @pytest.mark.parametrize(
        "document",
        [
            {},
            MINIMAL,
            {"$schema": "./tidegate.schema.json", **MINIMAL},
            {"profiles": {"prod": {"variables": {"a": 1}, "connections": {"lake": {"configure": {}}}}}},
            {"connections": None, "compat": "datacoolie"},
            changed("dataflows", 0, "is_active", value="${var:active}"),
            changed("dataflows", 0, "group_number", value=None),
            changed("dataflows", 0, "destination", "merge_keys", value="a, b"),
            changed("dataflows", 0, "destination", "partition_columns", value=["a", {"column": "b"}]),
            changed("dataflows", 0, "destination", "load_type", value="${var:load}"),
            changed("dataflows", 0, "transform", value='{"select_columns": ["a"]}'),
            changed("connections", 0, "configure", value='{"base_path": "x"}'),
            changed("connections", 0, "configure", "port", value="${env:PORT}"),
        ],
    )
    def test_what_can_be_written_is_valid(self, document: object) -> None:
        """References, JSON text, comma-separated names, and nothing for a default."""
        assert mistakes(document) == []

    @pytest.mark.parametrize(
        ("document", "message"),
        [
            ({"conections": []}, "'conections' was unexpected"),
            (changed("dataflows", 0, "source", "watermark_colums", value=[]), "'watermark_colums' was unexpected"),
            (changed("connections", 0, "configure", "base_pth", value="x"), "'base_pth' was unexpected"),
            (changed("connections", 0, "format", value="delt"), "'delt' is not valid"),
            (changed("dataflows", 0, "destination", "load_type", value="mege"), "'mege' is not valid"),
            (changed("dataflows", 0, "is_active", value="maybe"), "'maybe' does not match"),
            (changed("dataflows", 0, "destination", value={"connection": "lake"}), "'table' is a required property"),
            (changed("dataflows", 0, "source", value={"table": "t"}), "is not valid under any"),
            ({"profiles": {"prod": {"conections": {}}}}, "'conections' was unexpected"),
            ({"dataflows": {}}, "is not of type 'array', 'null'"),
        ],
    )
    def test_typos_are_underlined(self, document: object, message: str) -> None:
        """By a message that names them."""
        assert any(message in mistake for mistake in mistakes(document)), mistakes(document)

    def test_every_section_of_the_models_is_in_it(self) -> None:
        """A field that is added to the models shows up in editors."""
        assert metadata_json_schema()["properties"].keys() == {"$schema", *Metadata.model_fields}

    def test_docstrings_become_descriptions(self) -> None:
        """An editor says what a field means."""
        source = metadata_json_schema()["$defs"]["Source"]["properties"]
        assert source["watermark_lag"]["description"].startswith("How far behind the position")
        assert source["connection"]["description"] == "The same as `connection_name`."
