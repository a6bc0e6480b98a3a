"""Which columns of the source each column of the destination comes from, and what datasets are called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.behaviour.project import Project
from tidegate import Connection, DataFlow, Destination, Source, create_driver
from tidegate.expressions.data_type import parse_data_type
from tidegate.models import ColumnCaseMode
from tidegate.orchestration.lineage import lineage_of
from tidegate.orchestration.stages import UnitPlan
from tidegate.reporting.datasets import destination_dataset, source_dataset
from tidegate.reporting.lineage import Lineage
from tidegate.transformers import BaseTransformer, TransformContext, transformer_registry

ROWS = ("Id,Amount,Country,at", "1,10.5,NO,2026-03-01T06:00:00Z", "2,20,AT,2026-03-02T06:00:00Z")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.csv("events/1.csv", *ROWS)
    return project


class Doubling(BaseTransformer):
    """A step that is not ours."""

    name = "double"
    order = 45

    @classmethod
    def describe(cls, flow: DataFlow) -> str | None:  # noqa: ARG003 - the same for every dataflow
        return "every row twice"

    def transform(self, frame: Any, context: TransformContext) -> Any:
        return frame


@pytest.fixture
def doubling() -> Iterator[None]:
    transformer_registry.register("doubling", Doubling)
    yield
    transformer_registry.unregister("doubling")


def planned(project: Project, flow: DataFlow) -> UnitPlan:
    with create_driver(root=project.root) as driver:
        ((_, plan),) = driver.plan(dataflows=[flow])
    assert isinstance(plan, UnitPlan), plan
    return plan


def traced(project: Project, flow: DataFlow, mode: str = "lower") -> Lineage:
    """Plan and run a flow, and return the lineage of its plan; its columns must be those of the table."""
    plan = planned(project, flow)
    project.load(flow, column_name_mode=mode)
    read = {name: parse_data_type(text) for name, text in project.position(flow).position.columns.items()}
    lineage = lineage_of(plan, mode=ColumnCaseMode(mode), read=read)
    assert {column.column for column in lineage.columns} == set(project.frame(flow, system=True).columns)
    return lineage


def uses(lineage: Lineage) -> dict[str, list[tuple[str, str]]]:
    """Return the inputs of each column that has some: name at the source, and use."""
    return {
        column.column: [(known.column, known.use) for known in column.inputs]
        for column in lineage.columns
        if column.inputs
    }


def row_uses(lineage: Lineage) -> set[tuple[str, str]]:
    return {(known.column, known.use) for known in lineage.row_inputs}


class TestColumns:
    def test_columns_that_pass_unchanged_are_identities_under_their_new_names(self, project: Project) -> None:
        lineage = traced(project, project.flow())
        assert uses(lineage) == {
            "id": [("Id", "IDENTITY")],
            "amount": [("Amount", "IDENTITY")],
            "country": [("Country", "IDENTITY")],
            "at": [("at", "IDENTITY")],
        }

    def test_system_columns_come_from_nowhere(self, project: Project) -> None:
        lineage = traced(project, project.flow())
        empty = {column.column for column in lineage.columns if not column.inputs}
        assert empty == {"__created_at", "__updated_at", "__updated_by", "__dataflow_run_id"}

    def test_a_computed_column_has_the_columns_of_its_expression_also_through_another(self, project: Project) -> None:
        added = [
            {"column": "gross", "expression": "Amount * 1.2"},
            {"column": "label", "expression": "concat(country, ' ', cast(gross as decimal(18,2)))"},
            {"column": "copied", "expression": "Id"},
            {"column": "fixed", "expression": "'x'"},
        ]
        lineage = traced(project, project.flow(additional_columns=added, hints={"Amount": "double"}))
        assert uses(lineage)["gross"] == [("Amount", "TRANSFORMATION")]
        assert uses(lineage)["label"] == [("Country", "TRANSFORMATION"), ("Amount", "TRANSFORMATION")]
        assert uses(lineage)["copied"] == [("Id", "IDENTITY")]
        assert "fixed" not in uses(lineage)
        (label,) = (column for column in lineage.columns if column.column == "label")
        assert label.inputs[0].description == "concat(country, ' ', cast(gross as decimal(18,2)))"

    def test_a_column_that_takes_the_place_of_another_forgets_it(self, project: Project) -> None:
        added = [{"column": "Country", "expression": "upper(at)"}]
        flow = project.flow(additional_columns=added, rename_columns={"country": "was"}, drop_columns=["Id"])
        assert uses(traced(project, flow)) == {
            "amount": [("Amount", "IDENTITY")],
            "was": [("at", "TRANSFORMATION")],
            "at": [("at", "IDENTITY")],
        }

    def test_a_step_of_a_plugin_may_have_changed_everything(self, project: Project, doubling: None) -> None:
        lineage = traced(project, project.flow(drop_columns=["at"]))
        assert uses(lineage) == {name: [(name.title(), "TRANSFORMATION")] for name in ("id", "amount", "country")}

    def test_a_declared_type_is_no_transformation_and_a_default_is_one(self, project: Project) -> None:
        hints = {"amount": "double", "country": {"data_type": "string", "default_value": "NO"}}
        found = uses(traced(project, project.flow(hints=hints)))
        assert found["amount"] == [("Amount", "IDENTITY")]
        assert found["country"] == [("Country", "TRANSFORMATION")]

    def test_shaped_and_masked_columns_are_transformed_and_a_hash_comes_from_its_columns(
        self, project: Project
    ) -> None:
        flow = project.flow(
            value_rules=[{"operation": "trim", "columns": "COUNTRY"}],
            hash_columns=[{"target_column": "key", "columns": ["id", "country"]}],
            masking_rules=[{"operation": "numeric_bucket", "columns": "amount", "bucket_size": 10}],
            rename_columns={"Country": "land"},
        )
        lineage = traced(project, flow)
        assert uses(lineage) == {
            "id": [("Id", "IDENTITY")],
            "amount": [("Amount", "TRANSFORMATION")],
            "land": [("Country", "TRANSFORMATION")],
            "at": [("at", "IDENTITY")],
            "key": [("Id", "TRANSFORMATION"), ("Country", "TRANSFORMATION")],
        }
        (amount,) = (column for column in lineage.columns if column.column == "amount")
        assert amount.inputs[0].description == "masked: numeric_bucket"

    def test_what_is_dropped_or_not_selected_is_not_there(self, project: Project) -> None:
        assert set(uses(traced(project, project.flow(drop_columns=["amount", "AT"])))) == {"id", "country"}
        chosen = project.flow("chosen", source="events", select_columns=["Id"], rename_columns={"id": "Event Key"})
        assert uses(traced(project, chosen)) == {"event_key": [("Id", "IDENTITY")]}

    def test_names_are_written_as_the_run_writes_them(self, project: Project) -> None:
        project.csv("wide/1.csv", "OrderID,Net Price", "1,2")
        assert set(uses(traced(project, project.flow("wide"), mode="snake"))) == {"order_id", "net_price"}

    def test_a_partition_column_comes_from_its_expression(self, project: Project) -> None:
        partitions = ["country", {"column": "day", "expression": "cast(at as date)"}]
        lineage = traced(project, project.flow(partitions=partitions, hints={"at": "timestamp"}))
        assert uses(lineage)["day"] == [("at", "TRANSFORMATION")]
        assert uses(lineage)["country"] == [("Country", "IDENTITY")]

    def test_history_columns_follow_from_the_effective_column_and_else_from_nothing(self, project: Project) -> None:
        hints = {"at": "timestamp"}
        dated = project.flow(
            load_type="scd2", keys=["Id"], hints=hints, watermark="at", settings={"scd2_effective_column": "at"}
        )
        found = uses(traced(project, dated))
        assert found["__valid_from"] == [("at", "IDENTITY")]
        assert found["__valid_to"] == found["__is_current"] == [("at", "TRANSFORMATION")]
        undated = project.flow("undated", source="events", load_type="scd2", keys=["Id"])
        assert not {"__valid_from", "__valid_to", "__is_current"} & set(uses(traced(project, undated)))

    def test_columns_about_files_are_no_columns_of_the_source(self, project: Project) -> None:
        lineage = traced(project, project.flow(read_options={"include_file_info": True}))
        assert "__file_name" not in uses(lineage)
        assert [name for name, _ in lineage.source.columns] == ["Id", "Amount", "Country", "at"]


class TestRows:
    def test_conditions_keys_and_order_decide_about_rows(self, project: Project) -> None:
        flow = project.merge(
            keys=["Id"], watermark="at", hints={"at": "timestamp", "amount": "double"},
            source_filter="Country <> 'XX'", filter_expression="amount > 1 and country is not null",
        )  # fmt: skip
        assert row_uses(traced(project, flow)) == {
            ("Country", "FILTER"), ("Amount", "FILTER"), ("Id", "GROUP_BY"), ("at", "SORT"), ("Id", "JOIN")
        }  # fmt: skip

    def test_the_watermark_decides_about_rows_once_there_is_a_position(self, project: Project) -> None:
        flow = project.flow(watermark="at", hints={"at": "timestamp"})
        assert row_uses(traced(project, flow)) == set()
        project.csv("events/2.csv", ROWS[0], "3,1,SE,2026-03-03T06:00:00Z")
        assert row_uses(traced(project, flow)) == {("at", "FILTER")}

    def test_the_operation_of_change_data_decides_about_rows_and_is_not_written(self, project: Project) -> None:
        project.csv("changes/1.csv", "id,op,n", "1,I,1")
        flow = project.flow(
            "changes", load_type="merge_delete", keys=["id"], watermark="n", cdc={"operation_column": "OP"}
        )
        lineage = traced(project, flow)
        assert ("op", "FILTER") in row_uses(lineage)
        assert set(uses(lineage)) == {"id", "n"}


class TestTables:
    def test_types_are_those_of_the_table_and_of_the_source(self, project: Project) -> None:
        flow = project.flow(hints={"amount": "double"})
        first = traced(project, flow)
        assert dict(first.destination.columns)["amount"] == ""
        project.csv("events/2.csv", *ROWS)
        again = traced(project, flow)
        assert dict(again.destination.columns)["amount"] == "double"
        assert dict(again.source.columns)["Country"] == "string"

    def test_with_the_columns_as_they_were_written_nothing_else_is_told(self, project: Project) -> None:
        lineage = lineage_of(
            planned(project, project.flow()),
            mode=ColumnCaseMode.LOWER,
            read={"Id": pa.int64(), "new": pa.string()},
            written={"ID": pa.int64()},
        )
        assert uses(lineage) == {"ID": [("Id", "IDENTITY")]}
        assert lineage.destination.columns == (("ID", "bigint"),)

    def test_columns_that_the_policy_leaves_out_are_left_out(self, project: Project) -> None:
        flow = project.flow(settings={"schema_policy": "ignore"})
        project.load(flow)
        project.csv("events/2.csv", f"{ROWS[0]},extra", f"{ROWS[1]},1")
        assert "extra" not in uses(traced(project, flow))

    def test_a_load_without_news_tells_what_it_looked_at_and_no_columns(self, project: Project) -> None:
        flow = project.flow()
        project.load(flow)
        lineage = lineage_of(planned(project, flow), mode=ColumnCaseMode.LOWER)
        assert lineage.columns == ()
        assert lineage.source.name == str(project.source_root / "events")
        assert lineage.destination.name == str(project.destination_root / "events")


def source(format: str, table: str = "orders", **fields: object) -> Source:  # noqa: A002 - the word of the metadata
    named = {name: fields.pop(name) for name in ("schema_name", "query", "python_function") if name in fields}
    settings = {"endpoint": fields.pop("endpoint")} if "endpoint" in fields else {}
    connection = Connection(name="there", format=format, configure=fields)
    return Source(connection=connection, table=table, configure=settings, **named)


def destination(format: str, table: str = "orders", **fields: object) -> Destination:  # noqa: A002
    schema_name = fields.pop("schema_name", None)
    connection = Connection(name="there", format=format, configure=fields)
    return Destination(connection=connection, table=table, schema_name=schema_name)


SERVER = {"host": "db", "database": "shop", "password": "hunter2"}
URL = "postgresql+psycopg://ada:hunter2@db:6543/shop?sslmode=require"


class TestNames:
    """The rules of OpenLineage's dataset naming specification."""

    @pytest.mark.parametrize(
        ("read", "expected"),
        [
            (source("csv", base_path="/data"), ("file", "/data/orders")),
            (source("csv", "2026-*/orders*.csv", base_path="/data/in"), ("file", "/data/in")),
            (source("parquet", base_path="s3://bucket/raw"), ("s3://bucket", "raw/orders")),
            (source("parquet", base_path="s3a://bucket"), ("s3://bucket", "orders")),
            (source("parquet", base_path="gs://bucket/raw/"), ("gs://bucket", "raw/orders")),
            (
                source("parquet", base_path="abfss://c@acc.dfs.core.windows.net/raw"),
                ("abfss://c@acc.dfs.core.windows.net", "raw/orders"),
            ),
            (source("parquet", base_path="hdfs://name:8020/raw"), ("hdfs://name:8020", "/raw/orders")),
            (source("parquet", base_path="file:///data"), ("file", "/data/orders")),
            (source("sql", database_type="postgresql", **SERVER), ("postgres://db:5432", "shop.public.orders")),
            (source("sql", schema_name="sales", url=URL), ("postgres://db:6543", "shop.sales.orders")),
            (source("sql", database_type="mysql", **SERVER), ("mysql://db:3306", "shop.orders")),
            (source("sql", database_type="mssql", port=99, **SERVER), ("mssql://db:99", "shop.dbo.orders")),
            (
                source("sql", "", query="select * from sales.orders o", database_type="postgresql", **SERVER),
                ("postgres://db:5432", "shop.sales.orders"),
            ),
            (
                source("sql", "", query="select * from a join b using (id)", database_type="mysql", **SERVER),
                ("mysql://db:3306", "shop.query"),
            ),
            (source("sql", database_type="sqlite", database="/data/shop.db"), ("sqlite:///data/shop.db", "orders")),
            (source("mongodb", host="mongo", database="shop"), ("mongodb://mongo:27017", "shop.orders")),
            (
                source("api", base_url="https://me:hunter2@api.example.com/v1", endpoint="/orders"),
                ("https://api.example.com", "/v1/orders"),
            ),
            (
                source("api", endpoint="/orders?api_key=hunter2", base_url="https://api.example.com/v1"),
                ("https://api.example.com", "/v1/orders"),
            ),
            (
                source("api", endpoint="https://me:hunter2@eu.example.com/orders?page=1", base_url="https://api"),
                ("https://eu.example.com", "/orders"),
            ),
            (source("sql", database_type="duckdb", base_path="/d", database="a.db"), ("duckdb:///d/a.db", "orders")),
            (
                source("sql", database_type="duckdb", database="md:shop?motherduck_token=hunter2"),
                ("duckdb://md:shop", "orders"),
            ),
            (source("function", python_function="shop.orders.read"), ("python", "shop.orders.read")),
        ],
    )  # fmt: skip
    def test_of_sources(self, read: Source, expected: tuple[str, str]) -> None:
        dataset = source_dataset(read)
        assert (dataset.namespace, dataset.name) == expected

    @pytest.mark.parametrize(
        ("written", "expected", "table"),
        [
            (destination("delta", base_path="/lake", schema_name="gold"), ("file", "/lake/gold/orders"), None),
            (destination("delta", base_path="s3://lake/t"), ("s3://lake", "t/orders"), None),
            (
                destination("iceberg", base_path="/lake", schema_name="gold"),
                ("file", "/lake/gold/orders"),
                ("file:/lake", "gold.orders"),
            ),
            (
                destination("iceberg", base_path="s3://lake", catalog_type="rest", url="https://u:p@cat:8181/api"),
                ("s3://lake", "orders"),
                ("https://cat:8181/api", "default.orders"),
            ),
            (
                destination("iceberg", schema_name="gold", catalog_type="rest", url="https://cat:8181"),
                ("https://cat:8181", "gold.orders"),
                None,
            ),
        ],
    )  # fmt: skip
    def test_of_destinations(
        self, written: Destination, expected: tuple[str, str], table: tuple[str, str] | None
    ) -> None:
        dataset = destination_dataset(written)
        assert (dataset.namespace, dataset.name) == expected
        assert dataset.table == table

    @pytest.mark.parametrize("settings", [{"base_path": "/lake"}, {"catalog_type": "rest", "url": "https://cat:8181"}])
    def test_a_table_has_one_name_as_source_and_as_destination(self, settings: dict[str, Any]) -> None:
        written = destination("iceberg", schema_name="gold", **settings)
        assert source_dataset(source("iceberg", schema_name="gold", **settings)) == destination_dataset(written)

    def test_a_relative_folder_is_named_by_where_it_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert source_dataset(source("csv", base_path="landing")).name == f"{tmp_path}/landing/orders"
