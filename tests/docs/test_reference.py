"""Pages that are written from the code say what the code says; fragments of metadata in all pages hold."""

import itertools
from pathlib import Path

import pytest
import yaml

import tidegate
from tidegate.catalogue import explanations
from tidegate.cli.commands import COMMANDS
from tidegate.metadata import check
from tidegate.models import DataFlow, Destination, Source, Transform
from tidegate.reporting.record import TABLES
from tools import generate_reference
from tools.run_docs import blocks

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if page.parent.name != "reference")
FRAGMENTS = [
    pytest.param(block, id=f"{page.stem}-{block.line}")
    for page in PAGES
    for block in blocks(page.read_text())
    if block.language == "yaml" and not block.title
]
CONNECTIONS = [
    {"name": "landing", "format": "csv", "configure": {"base_path": "landing"}},
    {"name": "landing_parquet", "format": "parquet", "configure": {"base_path": "landing"}},
    {"name": "lake", "format": "delta", "configure": {"base_path": "lake"}},
]


def _complete(fragment):
    """Return a project of which the fragment is a part: of its only dataflow, or of the whole."""
    if isinstance(fragment, list):
        fragment = {"dataflows": fragment}
    flow = {
        "name": "orders",
        "source": {"connection_name": "landing", "table": "orders.csv"},
        "destination": {"connection_name": "lake", "table": "orders"},
    }
    flow |= {key: fragment.pop(key) for key in list(fragment) if key in DataFlow.model_fields}
    named = {connection["name"] for connection in fragment.get("connections", [])}
    connections = [connection for connection in CONNECTIONS if connection["name"] not in named]
    project = {"dataflows": [flow], **fragment}
    return project | {"connections": [*fragment.get("connections", []), *connections]}


@pytest.mark.parametrize("block", FRAGMENTS)
def test_fragment_of_metadata_holds(block, tmp_path):
    project = _complete(yaml.safe_load("\n".join(block.lines)))
    (tmp_path / "tidegate.yaml").write_text(yaml.safe_dump(project))
    assert [str(finding) for finding in check(tmp_path)] == []


def test_there_are_fragments():
    assert len(FRAGMENTS) >= 6


def test_pages_are_what_the_code_says():
    behind = [path.name for path in generate_reference.stale()]
    assert behind == [], "run `python tools/generate_reference.py`"


class TestNothingIsLeftOut:
    """Each list of the code is on its page, whole; the generator may not lose an entry on its way."""

    def test_every_field(self):
        page = generate_reference.metadata_page()
        models = [model for _, _, model, _ in generate_reference._sections()]
        assert {Source, Transform, Destination, DataFlow} <= set(models)
        missing = [name for model in models for name in model.model_fields if f"| `{name}`" not in page]
        assert missing == []

    def test_every_model_of_the_schema(self):
        """A model that metadata can hold, and that has no section, would be a link to nowhere."""
        from tidegate.models import Metadata

        shown = {model.__name__ for _, _, model, _ in generate_reference._sections()}
        assert set(Metadata.model_json_schema()["$defs"]) <= shown

    def test_what_the_page_adds_is_of_fields_that_say_nothing_themselves(self):
        models = {model.__name__: model for _, _, model, _ in generate_reference._sections()}
        needless = [
            f"{model}.{field}"
            for model, fields in generate_reference._ABOUT.items()
            for field in fields
            if models[model].model_fields[field].description
        ]
        assert needless == []

    def test_every_code(self):
        page = generate_reference.error_page()
        assert [code for code in explanations() if f"{{#{code.lower()}}}" not in page] == []

    def test_every_column_of_the_record(self):
        page = generate_reference.record_page()
        columns = [column for table in TABLES.values() for column in table]
        assert [column.name for column in columns if f"| `{column.name}` | {column.type} |" not in page] == []

    def test_every_command(self):
        page = generate_reference.cli_page()
        assert [name for name in COMMANDS if f"Usage: tidegate {name}" not in page] == []

    def test_every_public_name(self):
        page = generate_reference.python_page()
        names = set(tidegate.__all__) - {"__version__"}
        assert [name for name in names if f".{name}\n" not in page] == []


def test_every_link_to_a_code_leads_to_one():
    linked = itertools.chain.from_iterable(
        part.split("error-codes.md#")[1:] for page in PAGES for part in [page.read_text()]
    )
    codes = {text.split(")")[0].upper() for text in linked}
    assert codes
    assert codes <= set(explanations())
