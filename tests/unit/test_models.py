"""The models: what a declaration means once it is written."""

import copy
from typing import Any

import pytest
from pydantic import ValidationError

from tidegate.errors import ConfigurationError
from tidegate.models import Connection, DataFlow, Destination, SchemaHintSection, Source, Transform
from tidegate.models.options import READ_OPTIONS, WRITE_OPTIONS, named_options


def flow(**changes: Any) -> dict[str, Any]:
    """Return a small dataflow as plain data."""
    return {
        "name": "a",
        "source": {"connection_name": "landing", "table": "t"},
        "destination": {"connection_name": "lake", "table": "t"},
        **changes,
    }


class TestDeclarations:
    """What all models have in common."""

    def test_they_cannot_be_changed(self) -> None:
        """What was checked stays what it was."""
        with pytest.raises(ValidationError):
            Source(connection_name="a").table = "b"  # type: ignore[misc]

    def test_unknown_fields_are_refused(self) -> None:
        """At every depth, also in `configure`."""
        for changes in ({"stge": 1}, {"source": {"connection_name": "a", "configure": {"read_option": {}}}}):
            with pytest.raises(ValidationError, match="Extra inputs"):
                DataFlow.model_validate(flow(**changes))

    def test_nothing_means_the_default(self) -> None:
        """A field that is null, as in exported metadata, is a field that is not given."""
        changes = {"transform": {"additional_columns": None, "rename_columns": None}, "is_active": None, "tags": None}
        dataflow = DataFlow.model_validate(flow(**changes))
        assert dataflow == DataFlow.model_validate(flow())
        with pytest.raises(ValidationError, match="Field required"):
            DataFlow.model_validate(flow(name=None))

    def test_an_object_may_be_json_text(self) -> None:
        """As database and spreadsheet metadata hold it."""
        text = flow(source='{"connection_name": "landing", "table": "t", "configure": "{\\"page_size\\": 7}"}')
        dataflow = DataFlow.model_validate(text)
        assert dataflow.source.settings.page_size == 7

    def test_a_copy_forgets_what_was_derived(self) -> None:
        """Settings that were read before a copy got other ones are not the copy's."""
        connection = Connection(name="a", format="csv", configure={"base_path": "x"})
        assert connection.settings.base_path == "x"
        moved = connection.model_copy(update={"configure": {"base_path": "y"}})
        assert moved.settings.base_path == "y"
        assert connection.settings.base_path == "x"
        assert copy.deepcopy(connection) == connection

    def test_names_may_be_separated_by_commas(self) -> None:
        """A list and a text say the same."""
        assert Source(connection_name="a", watermark_columns="b, c,").watermark_columns == ("b", "c")  # type: ignore[arg-type]

    def test_ids_are_derived_from_names(self) -> None:
        """The same on every machine; a given id stays."""
        assert DataFlow.model_validate(flow()).dataflow_id == DataFlow.model_validate(flow()).dataflow_id
        assert DataFlow.model_validate(flow(dataflow_id="x")).dataflow_id == "x"
        assert Connection(name="a").connection_id != DataFlow.model_validate(flow()).dataflow_id


class TestConnection:
    """Connections."""

    @pytest.mark.parametrize(
        ("format_name", "kind"), [("CSV", "file"), ("delta", "lakehouse"), ("sql", "database"), ("api", "api")]
    )
    def test_the_type_follows_from_the_format(self, format_name: str, kind: str) -> None:
        """Whatever its case."""
        assert Connection(name="a", format=format_name).connection_type == kind

    def test_a_type_that_contradicts_the_format_is_refused(self) -> None:
        """A CSV file is no database."""
        with pytest.raises(ValidationError, match="belongs to connection_type 'file'"):
            Connection(name="a", format="csv", connection_type="database")

    @pytest.mark.parametrize("configure", [{"catalog": "c", "database": "d"}, '{"catalog": "c", "database": "d"}'])
    def test_catalog_and_database_are_lifted(self, configure: Any) -> None:
        """From `configure`, also when that is JSON text."""
        connection = Connection(name="a", format="delta", configure=configure)
        assert (connection.catalog, connection.database) == ("c", "d")

    def test_text_that_is_no_json_is_refused_at_its_field(self) -> None:
        """And not at the connection as a whole."""
        with pytest.raises(ValidationError) as caught:
            Connection(name="a", format="delta", configure="{x")  # type: ignore[arg-type]
        assert caught.value.errors()[0]["loc"] == ("configure",)

    def test_secrets_of_a_copy_are_read_from_the_copy(self) -> None:
        """Also when the settings had been read before."""
        connection = Connection(
            name="a", format="sql", configure={"password": "key"}, secrets_ref={"env": ["password"]}
        )  # type: ignore[dict-item]
        assert connection.settings.password == "key"
        resolved = connection.with_resolved()
        resolved.configure["password"] = "secret"
        assert resolved.settings.password == "secret"
        assert connection.settings.password == "key"

    def test_credentials_are_not_shown(self) -> None:
        """Neither in `repr` nor in a dump."""
        connection = Connection(name="a", format="sql", configure={"password": "s3cret", "host": "h"})
        assert "s3cret" not in repr(connection)
        assert connection.model_dump()["configure"] == {"password": "***", "host": "h"}


class TestDestination:
    @pytest.mark.parametrize(
        ("inherited", "own", "strategy"),
        [
            ({}, {}, "overwrite"),
            ({}, {"partitionOverwriteMode": "dynamic"}, "overwrite_partitions"),
            ({"partition_overwrite_mode": "static"}, {"partitionOverwriteMode": "Dynamic"}, "overwrite_partitions"),
            ({"partitionOverwriteMode": "dynamic"}, {"partition_overwrite_mode": "static"}, "overwrite"),
        ],
    )
    def test_the_destination_says_how_it_overwrites(
        self, inherited: dict[str, str], own: dict[str, str], strategy: str
    ) -> None:
        """In whatever spelling: what the destination declares lies over what its connection does."""
        lake = Connection(name="lake", format="delta", configure={"base_path": "x", "write_options": inherited})
        configure = {"write_options": own}
        found = Destination(connection=lake, table="t", load_type="overwrite", configure=configure)
        assert found.strategy == strategy

    """Destinations."""

    LAKE = Connection(name="lake", format="delta", configure={"base_path": "/Lake/"})

    def test_two_spellings_are_one_destination(self) -> None:
        """The key is lower case."""
        one = Destination(connection_name="lake", connection=self.LAKE, schema_name="S", table="T")
        other = Destination(connection_name="lake", connection=self.LAKE, schema_name="s", table="t")
        assert one.destination_key == other.destination_key == "path:/lake/s/t"
        assert one.path == "/Lake/S/T"

    def test_a_catalog_makes_it_a_table(self) -> None:
        """With its qualified name."""
        connection = Connection(name="lake", format="delta", configure={"catalog": "C", "database": "D"})
        destination = Destination(connection_name="lake", connection=connection, schema_name="S", table="T")
        assert destination.destination_key == "table:c.d.s.t"

    def test_without_a_base_path_there_is_no_key(self) -> None:
        """It is an error, not the folder that happens to be current."""
        destination = Destination(connection_name="lake", connection=Connection(name="lake", format="delta"), table="t")
        with pytest.raises(ConfigurationError, match="no base_path"):
            _ = destination.destination_key

    def test_partition_columns_may_be_names_or_expressions(self) -> None:
        """And stand in `configure`, as in older metadata."""
        destination = Destination.model_validate(
            {"connection": "a", "table": "t", "load_type": " MERGE_UPSERT ", "partition_columns": "x, y"}
        )
        assert [partition.column for partition in destination.partitions] == ["x", "y"]
        assert (destination.connection_name, destination.load_type) == ("a", "merge_upsert")
        older = {
            "connection": "a",
            "table": "t",
            "configure": {"partition_columns": [{"column": "m", "expression": "x"}]},
        }
        assert Destination.model_validate(older).partitions[0].expression == "x"


class TestDataFlow:
    """Fallbacks."""

    def test_columns_fall_back_to_keys_and_watermarks(self) -> None:
        """Unless they are given."""
        changes = {
            "source": {"connection_name": "a", "watermark_columns": ["w"]},
            "destination": {"connection_name": "a", "table": "t", "merge_keys": ["k"]},
        }
        dataflow = DataFlow.model_validate(flow(**changes))
        assert (dataflow.deduplicate_columns, dataflow.latest_data_columns) == (("k",), ("w",))
        transform = {"deduplicate_columns": ["d"], "latest_data_columns": ["l"]}
        dataflow = DataFlow.model_validate(flow(**changes, transform=transform))
        assert (dataflow.deduplicate_columns, dataflow.latest_data_columns) == (("d",), ("l",))

    @pytest.mark.parametrize(
        ("model", "data", "code"),
        [
            (Transform, {"select_columns": ["a"], "drop_columns": ["b"]}, "TG116"),
            (SchemaHintSection, {"table_name": "t"}, "TG103"),
        ],
    )
    def test_broken_rules_carry_their_code(self, model: Any, data: dict[str, Any], code: str) -> None:
        """So that a check can say them as it says its own."""
        with pytest.raises(ValidationError) as caught:
            model.model_validate(data)
        assert caught.value.errors()[0]["type"] == code


class TestOptions:
    """Read and write options."""

    def test_spellings_become_names_and_values_become_ours(self) -> None:
        """Metadata of other systems call them otherwise, and write truth values as text."""
        options = {"sep": ";", "header": "False", "quote": "", "skip_rows": "2", "encoding": "UTF-8", "nullValue": "NA"}
        assert named_options(READ_OPTIONS["csv"], options) == {
            "separator": ";",
            "has_header": False,
            "quote_char": None,
            "skip_rows": 2,
            "encoding": "utf8",
            "null_values": "NA",
        }

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("separator", ";;"),
            ("separator", "§"),
            ("has_header", 1),
            ("encoding", "latin1"),
            ("null_values", [1]),
            ("skip_rows", -1),
            ("skip_rows", True),
            ("infer_schema_length", "many"),
            ("comment_prefix", ""),
        ],
    )
    def test_values_that_do_not_fit_are_refused(self, option: str, value: object) -> None:
        """Before a file is opened."""
        with pytest.raises(ValueError):  # noqa: PT011 - its text is never shown
            READ_OPTIONS["csv"][option].read(value)

    def test_a_size_of_nothing_is_refused(self) -> None:
        """Files of no rows would never end."""
        with pytest.raises(ValueError):  # noqa: PT011 - its text is never shown
            WRITE_OPTIONS["delta"]["max_rows_per_file"].read(0)
