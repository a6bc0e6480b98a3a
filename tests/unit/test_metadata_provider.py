"""Loading metadata, and choosing dataflows."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from tidegate.errors import MetadataError
from tidegate.metadata import BaseMetadataProvider, FileMetadata, check, metadata_registry
from tidegate.models import DataFlow

TEXT = """
connections:
  - {name: landing, connection_id: c-1, format: csv, configure: {base_path: landing}}
  - {name: plain, format: csv, configure: {base_path: s3://bucket/x, use_schema_hint: false}}
  - {name: lake, format: delta, configure: {base_path: /lake}}
dataflows:
  - name: orders
    stage: bronze
    source: {connection: landing, schema_name: sales, table: orders}
    transform:
      schema_hints:
        - {column_name: b, data_type: bigint}
        - {column_name: d, data_type: date, is_active: false}
    destination: {connection_name: lake, table: orders}
  - name: orders_plain
    stage: bronze
    source: {connection_name: plain, table: orders}
    destination: {connection_name: lake, table: orders_plain}
  - name: lines
    stage: silver
    source: {connection_name: landing, table: lines}
    destination: {connection_name: lake, table: lines}
  - name: old
    stage: gold
    is_active: false
    source: {connection_name: landing, table: old}
    destination: {connection_name: lake, table: old}
schema_hints:
  - connection_id: c-1
    table_name: orders
    schema_name: sales
    hints: [{column_name: a, data_type: date}]
  - connection_name: landing
    table_name: orders
    hints:
      - {column_name: a, data_type: int}
      - {column_name: b, data_type: int}
      - {column_name: c, data_type: int, is_active: false}
      - {column_name: d, data_type: int}
  - {connection_name: landing, table_name: orders, schema_name: other, hints: [{column_name: e, data_type: int}]}
  - {connection_name: plain, table_name: orders, hints: [{column_name: a, data_type: int}]}
"""


@pytest.fixture
def provider(tmp_path: Path) -> FileMetadata:
    """Return the provider of a small project."""
    (tmp_path / "tidegate.yaml").write_text(TEXT)
    return FileMetadata(tmp_path)


def hints(dataflow: DataFlow) -> list[tuple[str, str]]:
    """Return columns and types of a dataflow's hints."""
    return [(hint.column_name, hint.data_type) for hint in dataflow.transform.schema_hints]


def names(dataflows: list[DataFlow]) -> list[str]:
    """Return the names of dataflows."""
    return [dataflow.name for dataflow in dataflows]


class TestLoad:
    """Everything validated and put together."""

    def test_connections_are_attached(self, provider: FileMetadata, tmp_path: Path) -> None:
        """A relative path is below the project folder; absolute ones and URLs stay."""
        orders, plain = provider.load().dataflows[:2]
        assert orders.source.connection is not None
        assert orders.source.path == f"{tmp_path}/landing/sales/orders"
        assert plain.source.path == "s3://bucket/x/orders"
        assert orders.destination.path == "/lake/orders"
        assert orders.source.connection_name == "landing"

    def test_a_path_relative_to_here_becomes_absolute(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The loads of a project do not depend on where it was started from."""
        monkeypatch.chdir(tmp_path)
        Path("tidegate.yaml").write_text(TEXT)
        assert FileMetadata("tidegate.yaml").load().dataflows[2].source.path == f"{tmp_path}/landing/lines"
        assert FileMetadata("tidegate.yaml").root == Path()

    def test_shared_hints_come_first_and_own_ones_win(self, provider: FileMetadata) -> None:
        """A section for the schema wins over one for all; inactive hints are as though not written."""
        orders, plain, lines, _ = provider.load().dataflows
        assert hints(orders) == [("a", "date"), ("b", "bigint"), ("d", "int")]
        assert hints(plain) == []  # its connection asks for none
        assert hints(lines) == []

    def test_hints_can_be_left_out(self, provider: FileMetadata) -> None:
        """Then a dataflow has what it declares itself."""
        orders = provider.get_dataflows(attach_schema_hints=False)[0]
        assert hints(orders) == [("b", "bigint"), ("d", "date")]

    def test_yaml_and_json_give_the_same(self, provider: FileMetadata, tmp_path: Path) -> None:
        """The format of the file is a matter of taste."""
        import yaml

        (tmp_path / "same.json").write_text(json.dumps(yaml.safe_load(TEXT)))
        assert FileMetadata(tmp_path / "same.json").load() == provider.load()

    def test_errors_are_raised_as_one(self, tmp_path: Path) -> None:
        """Its code is that of the first; it has all findings, and it pickles."""
        (tmp_path / "tidegate.yaml").write_text(
            TEXT.replace("stage: silver", "stge: 1").replace("table: old", "tabel: x")
        )
        with pytest.raises(MetadataError) as caught:
            FileMetadata(tmp_path).load()
        error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
        assert error.code == "TG101"
        assert error.message == "dataflow 'lines': unknown field stge (the first of 3 errors)"
        assert error.where == f"{tmp_path}/tidegate.yaml:20:5"
        assert error.hint == "did you mean 'stage'?; `tidegate check` shows all errors"
        assert error.details["findings"] == check(tmp_path)

    def test_loading_again_reads_again(self, provider: FileMetadata) -> None:
        """A service that lives long sees what was changed, when it asks."""
        assert len(provider.get_dataflows()) == 3
        (provider.root / "tidegate.yaml").write_text("dataflows: []")
        assert len(provider.get_dataflows()) == 3
        assert provider.load().dataflows == ()
        assert provider.get_dataflows() == []


class TestChoice:
    """Stages and names."""

    @pytest.mark.parametrize(
        ("stage", "expected"),
        [
            (None, ["orders", "orders_plain", "lines"]),
            ("bronze", ["orders", "orders_plain"]),
            ("silver, bronze", ["orders", "orders_plain", "lines"]),
            (["silver"], ["lines"]),
            ("gold", []),
        ],
    )
    def test_stages_are_chosen_by_name_list_or_commas(self, provider: FileMetadata, stage: Any, expected: Any) -> None:
        """The order is that of the declarations; inactive dataflows are left out."""
        assert names(provider.get_dataflows(stage)) == expected

    def test_inactive_dataflows_can_be_had(self, provider: FileMetadata) -> None:
        """When they are asked for."""
        assert names(provider.get_dataflows("gold", active_only=False)) == ["old"]

    def test_an_unknown_stage_is_an_error(self, provider: FileMetadata) -> None:
        """Running nothing would look like success."""
        with pytest.raises(MetadataError) as caught:
            provider.get_dataflows("bronze,silvr")
        assert (caught.value.code, caught.value.message) == ("TG114", "unknown stage 'silvr'")
        assert caught.value.hint == "did you mean 'silver'? stages: bronze, silver, gold"
        with pytest.raises(MetadataError) as caught:
            provider.get_dataflows("xyz")
        assert caught.value.hint == "stages: bronze, silver, gold"

    def test_dataflows_are_chosen_by_name(self, provider: FileMetadata) -> None:
        """A name that is unknown, or inactive, is an error."""
        assert names(provider.get_dataflows(names=["lines", "orders"])) == ["orders", "lines"]
        for name, hint in (("linse", "did you mean 'lines'?"), ("old", "set its is_active to true")):
            with pytest.raises(MetadataError) as caught:
                provider.get_dataflows(names=name)
            assert caught.value.code == "TG115"
            assert hint in str(caught.value.hint)

    def test_connections_are_listed(self, provider: FileMetadata) -> None:
        """In the order in which they are declared."""
        assert [connection.name for connection in provider.get_connections()] == ["landing", "plain", "lake"]


class TestRegistry:
    """Providers are plugins."""

    def test_files_are_a_provider_by_name(self, tmp_path: Path) -> None:
        """And so can be any other place."""
        assert metadata_registry.load("file") is FileMetadata
        assert issubclass(FileMetadata, BaseMetadataProvider)
